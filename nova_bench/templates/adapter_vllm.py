# /// script
# requires-python = ">=3.11"
# dependencies = ["nova-bench[vllm]"]
# [tool.nova-bench]
# name = "my_model"      # for people; the file's name is how the model is asked for
# license = "apache-2.0" # of the model
# weights = "open"       # open, closed, varies or none
# outputs = ["text", "label_probs"]
# boxes = "xyxy/1000"    # how the model writes boxes: order / scale, here thousandths of width and height
# sends = "local"        # nothing leaves this machine
# transport = ["concurrency", "tensor_parallel_size", "gpu_memory_utilization"] # options that cannot change an answer, rounding apart
# ///
"""my_model, a checkpoint in vLLM's engine: say here which one."""

from __future__ import annotations

import nova_bench as nb


def load(
    *,
    model: str = "",  # your checkpoint: a folder, or OWNER/NAME on the hub
    revision: str = "",  # a branch, tag or commit of the hub
    dtype: str = "auto",  # bfloat16, float16, float32
    max_pixels: int = 0,  # larger pictures are scaled down to it; 0 for none
    concurrency: int = 0,  # requests in flight; 0 for what the engine can hold
    **engine: str,
) -> nb.Adapter:
    """Return the adapter; each keyword is an option (``-o model=FOLDER``), and its default gives the type."""
    # `engine` takes any argument of vLLM's engine under its own name: -o tensor_parallel_size=2, -o max_model_len=32k.
    return nb.backends.VllmEngine(
        nb.backends.find_model(model, revision=revision),
        dtype=dtype,
        max_pixels=max_pixels,
        concurrency=concurrency,
        engine=engine,
    )
