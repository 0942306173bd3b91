# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = "Broken"
# license = "apache-2.0"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/1000"
# sends = "local"
# ///
"""What it does at the end of the program ends badly."""
# fails: exit
# words: its process ended with code 5 after all steps

import atexit
import os

import nova_bench as nb


def load() -> nb.Adapter:
    atexit.register(os._exit, 5)
    return nb.each(lambda request: "a brain")
