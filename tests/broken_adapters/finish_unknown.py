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
"""finish is a vendor's word."""
# fails: responses
# words: finish is 'end_turn'

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    return nb.Response(request.id, "a brain", finish="end_turn")


def load() -> nb.Adapter:
    return nb.each(answer)
