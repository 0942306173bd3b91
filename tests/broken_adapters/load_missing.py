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
"""The function has another name."""
# fails: load
# words: the file has no function load

import nova_bench as nb


def make() -> nb.Adapter:
    return nb.each(lambda request: "a brain")
