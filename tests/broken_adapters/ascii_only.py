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
"""Prompts are written to a file in ASCII."""
# fails: unicode
# words: letters of many scripts failed: UnicodeEncodeError

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    return f"{len(request.text.encode('ascii'))} letters"


def load() -> nb.Adapter:
    return nb.each(answer)
