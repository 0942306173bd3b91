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
"""An empty answer has no text at all."""
# fails: responses
# words: finish is 'stop' but there is no text

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    return nb.Response(request.id, None)


def load() -> nb.Adapter:
    return nb.each(answer)
