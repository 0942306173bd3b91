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
"""The file ends its process when it is imported, behind Python's back."""
# fails: loads
# words: ended its process with exit code 7 while it was loading

import os

import nova_bench as nb

os._exit(7)


def load() -> nb.Adapter:
    return nb.each(lambda request: "a brain")
