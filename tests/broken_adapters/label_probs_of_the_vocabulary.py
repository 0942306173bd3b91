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
"""The probabilities are those of all tokens."""
# fails: outputs
# words: label_probs has the shape

import numpy as np

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    arrays = {"label_probs": np.full(1000, 0.001)} if request.labels else {}
    return nb.Response(request.id, "a brain", arrays=arrays)


def load() -> nb.Adapter:
    return nb.each(answer)
