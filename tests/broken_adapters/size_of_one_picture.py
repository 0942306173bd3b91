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
"""Several pictures were resized, and one size is reported."""
# fails: responses
# words: image_sizes has 1 sizes for 2 images

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    return nb.Response(request.id, "a brain", image_sizes=((96, 64),) if request.images else ())


def load() -> nb.Adapter:
    return nb.each(answer)
