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
"""load returns what transformers calls a pipeline's settings, nothing that answers."""
# fails: loads
# words: load returned a dict

import nova_bench as nb


def load() -> nb.Adapter:
    return {"model": "acme"}
