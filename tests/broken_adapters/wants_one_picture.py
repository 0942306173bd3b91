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
"""There is always one picture, it thinks."""
# fails: several images
# words: failed: ValueError: too many values

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    for_text = [part for part in request.parts if not isinstance(part, str)]
    if for_text:
        (picture,) = for_text
        return str(picture.size)
    return "a brain"


def load() -> nb.Adapter:
    return nb.each(answer)
