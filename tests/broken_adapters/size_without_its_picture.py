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
"""One size is given, not a list of sizes."""
# fails: responses
# words: image_sizes is (96, 64); expected pairs

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    return nb.Response(request.id, "a brain", image_sizes=(96, 64))


def load() -> nb.Adapter:
    return nb.each(answer)
