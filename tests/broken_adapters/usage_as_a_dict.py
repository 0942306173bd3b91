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
"""The tokens are as the vendor's JSON has them."""
# fails: responses
# words: usage is a dict

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    return nb.Response(request.id, "a brain", usage={"total_tokens": 7})


def load() -> nb.Adapter:
    return nb.each(answer)
