# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = "Broken"
# license = "apache-2.0"
# weights = "none"
# outputs = ["text", "boxes"]
# boxes = "xyxy/1000"
# sends = "local"
# ///
"""The card declares an output that the protocol does not have."""
# fails: card, outputs
# words: outputs has 'boxes'

import nova_bench as nb


def load() -> nb.Adapter:
    return nb.each(lambda request: "a brain")
