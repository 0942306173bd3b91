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
"""There is always a picture, it thinks."""
# fails: text only
# words: a text without a picture failed: IndexError

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    return str(request.images[0].size)


def load() -> nb.Adapter:
    return nb.each(answer)
