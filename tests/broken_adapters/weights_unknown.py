# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = "Broken"
# license = "apache-2.0"
# weights = "on request"
# outputs = ["text"]
# boxes = "xyxy/1000"
# sends = "local"
# ///
"""The weights have a state that nobody else uses."""
# fails: card
# words: weights is 'on request'

import nova_bench as nb


def load() -> nb.Adapter:
    return nb.each(lambda request: "a brain")
