# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = "Broken"
# licence = "apache-2.0"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/1000"
# sends = "local"
# ///
"""A header key is misspelt, as British English would have it."""
# fails: header
# words: header key 'licence' not found

import nova_bench as nb


def load() -> nb.Adapter:
    return nb.each(lambda request: "a brain")
