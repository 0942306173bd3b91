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
"""There are no arrays, and it says so with None."""
# fails: responses
# words: arrays is None; expected a dict

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    return nb.Response(request.id, "a brain", arrays=None)


def load() -> nb.Adapter:
    return nb.each(answer)
