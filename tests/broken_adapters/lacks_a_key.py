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
"""A key variable is not set."""
# not checked: loads
# words: the environment variable ACME_BRAIN_API_KEY is not set

import os

import nova_bench as nb


def load() -> nb.Adapter:
    key = os.environ["ACME_BRAIN_API_KEY"]
    return nb.each(lambda request: f"{len(key)}")
