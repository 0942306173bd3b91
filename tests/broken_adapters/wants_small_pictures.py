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
"""The memory is for small pictures."""
# fails: large image
# words: a picture of 8000 x 6000 pixels failed: MemoryError

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    for image in request.images:
        width, height = image.size
        if width * height > 20_000_000:
            raise MemoryError(f"{width} x {height}")
    return "a brain"


def load() -> nb.Adapter:
    return nb.each(answer)
