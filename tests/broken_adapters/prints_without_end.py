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
"""A progress bar fills the disk."""
# fails: loads
# words: wrote more than 100 MB to standard output or standard error

import sys

import nova_bench as nb


def load() -> nb.Adapter:
    while True:
        sys.stderr.write("loading " * 100_000)
