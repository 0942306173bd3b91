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
"""What it does is printed."""
# fails: standard output
# words: printed to standard output: asked

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    print("asked", request.id)  # noqa: T201
    return "a brain"


def load() -> nb.Adapter:
    return nb.each(answer)
