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
"""The first word of the prompt is looked at."""
# fails: empty text
# words: a picture with an empty text failed: IndexError

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    return request.text.split()[0]


def load() -> nb.Adapter:
    return nb.each(answer)
