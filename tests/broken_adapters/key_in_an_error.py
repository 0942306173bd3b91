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
"""The vendor's refusal is passed on, with the key that it quotes."""
# fails: keys
# words: the value of BROKEN_API_KEY is in an answer

import os

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    if not request.images:
        return nb.Response(
            request.id, finish="rejected", error=f"401: bad key {os.environ['BROKEN_API_KEY']}"
        )
    return "a brain"


def load() -> nb.Adapter:
    return nb.each(answer)
