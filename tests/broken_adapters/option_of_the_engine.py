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
"""An option has the name of one that every adapter has."""
# fails: options
# words: option boxes is taken

import nova_bench as nb


def load(*, boxes: str = "xyxy/1000") -> nb.Adapter:
    return nb.each(lambda request: "a brain")
