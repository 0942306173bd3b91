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
"""Grey values are taken for bytes."""
# fails: 16-bit image
# words: a grey picture of 16 bits failed

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    for image in request.images:
        if "16-bit" in request.id:
            raise TypeError(f"cannot handle the data of {image.size}")
    return "a brain"


def load() -> nb.Adapter:
    return nb.each(answer)
