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
"""load ends the program where it is not content."""
# fails: loads
# words: loading raised SystemExit (no checkpoint)

import sys

import nova_bench as nb


def load() -> nb.Adapter:
    sys.exit("no checkpoint")
