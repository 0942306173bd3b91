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
"""A request without a picture fails, and nobody is told why."""
# fails: responses, text only
# words: failed without saying why

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    if not request.images:
        return nb.Response(request.id, finish="error")
    return "a brain"


def load() -> nb.Adapter:
    return nb.each(answer)
