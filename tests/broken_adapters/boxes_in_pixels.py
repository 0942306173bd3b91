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
"""It declares thousandths and writes pixels."""
# fails: boxes
# words: boxes are out of the frame xyxy/1000 that the card declares

import json

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    if request.ask and request.ask["kind"] == "ground":
        width, height = request.images[0].size
        box = [width - 350, height - 400, width - 150, height - 190]
        return json.dumps([{"box": box, "label": "bright spot"}])
    return "a brain"


def load() -> nb.Adapter:
    return nb.each(answer)
