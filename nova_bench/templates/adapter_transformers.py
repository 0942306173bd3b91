# /// script
# requires-python = ">=3.11"
# dependencies = ["nova-bench[transformers]"]
# [tool.nova-bench]
# name = "my_model"      # for people; the file's name is how the model is asked for
# license = "apache-2.0" # of the model
# weights = "open"       # open, closed, varies or none
# outputs = ["text", "label_probs"]
# boxes = "xyxy/1000"    # how the model writes boxes: order / scale, here thousandths of width and height
# sends = "local"        # nothing leaves this machine
# transport = ["batch_size", "device_map"] # options that cannot change an answer, rounding apart
# ///
"""my_model, a checkpoint with a chat template, through transformers: say here which one."""

from __future__ import annotations

import nova_bench as nb


def load(
    *,
    model: str = "",  # your checkpoint: a folder, or OWNER/NAME on the hub
    revision: str = "",  # a branch, tag or commit of the hub
    dtype: str = "auto",  # bfloat16, float16, float32
    device_map: str = "auto",
    batch_size: int = 8,
    max_pixels: int = 0,  # larger pictures are scaled down to it; 0 for none
) -> nb.Adapter:
    """Return the adapter; each keyword is an option (``-o model=FOLDER``), and its default gives the type."""
    # The checkpoint's own processor and chat template are used. One that needs other code than transformers has:
    # nova-bench new adapter NAME --kind python, and generate in your own words.
    return nb.backends.HFChat(
        nb.backends.find_model(model, revision=revision),
        dtype=dtype,
        device_map=device_map,
        batch_size=batch_size,
        max_pixels=max_pixels,
    )
