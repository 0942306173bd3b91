# /// script
# requires-python = ">=3.11"
# dependencies = ["nova-bench"]  # tells people what to install; nova_bench installs nothing
# [tool.nova-bench]
# name = "my_model"      # for people; the file's name is how the model is asked for
# license = "apache-2.0" # of the model
# weights = "none"       # open, closed, varies, or none: there is no trained model in this file
# outputs = ["text"]
# boxes = "xyxy/1000"    # how it writes boxes: order / scale, here thousandths of width and height
# sends = "local"        # "vendor" if pictures and texts leave this machine
# ///
"""my_model, a plain Python function: replace `answer`, and this line."""

from __future__ import annotations

import json

import nova_bench as nb


def load(*, size: int = 300) -> nb.Adapter:
    """Return the adapter; each keyword is an option (``-o size=400``), and its default gives the type."""
    # Import torch and the like, and read the weights, here: listing and showing the file then stay quick.
    low, high = 500 - size // 2, 500 + size // 2

    def answer(request: nb.Request) -> str:
        """Answer one request; an exception makes this request alone fail, and the next run asks it again."""
        pictures = [image.pil() for image in request.images]  # decoded, mode L or RGB; may be none or several
        # Ask your model here: model(request.system, request.text, pictures, max_tokens=request.params.max_tokens)
        # `ask` says what is wanted; never the name of a task or data set.
        if (request.ask or {}).get("kind") == "ground":
            return json.dumps([{"box": [low, low, high, high], "label": "lesion"}])
        return f"{len(pictures)} pictures and {len(request.text)} characters were read."

    return nb.each(answer)
