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
"""The probabilities are scores, each for itself."""
# fails: outputs
# words: which is no distribution

import numpy as np

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    arrays = {"label_probs": np.full(len(request.labels), 0.8)} if request.labels else {}
    return nb.Response(request.id, "a brain", arrays=arrays)


def load() -> nb.Adapter:
    return nb.each(answer)
