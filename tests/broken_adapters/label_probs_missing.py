# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = "Broken"
# license = "apache-2.0"
# weights = "none"
# outputs = ["text", "label_probs"]
# boxes = "xyxy/1000"
# sends = "local"
# ///
"""The card promises probabilities."""
# fails: outputs
# words: the card declares label_probs, but the response has none

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    return "a brain"


def load() -> nb.Adapter:
    return nb.each(answer)
