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
"""load cannot be called without an option."""
# fails: options, ...
# words: option model has no default

import nova_bench as nb


def load(model: str) -> nb.Adapter:
    return nb.each(lambda request: "a brain")
