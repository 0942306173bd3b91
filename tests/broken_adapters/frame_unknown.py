# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = "Broken"
# license = "apache-2.0"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/999"
# sends = "local"
# ///
"""The frame is one that some papers use, outside of the grammar."""
# fails: card
# words: box frame 'xyxy/999' is not in the grammar

import nova_bench as nb


def load() -> nb.Adapter:
    return nb.each(lambda request: "a brain")
