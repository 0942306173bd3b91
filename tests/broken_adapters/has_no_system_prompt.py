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
"""A system prompt is unknown to it."""
# fails: system prompt
# words: a system prompt failed: NotImplementedError

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    if request.system:
        raise NotImplementedError("no system prompt")
    return "a brain"


def load() -> nb.Adapter:
    return nb.each(answer)
