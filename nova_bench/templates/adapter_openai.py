# /// script
# requires-python = ">=3.11"
# dependencies = ["nova-bench[openai]"]
# [tool.nova-bench]
# name = "my_model"       # for people; the file's name is how the model is asked for
# license = "proprietary" # of the model
# weights = "closed"      # open, closed, varies or none
# outputs = ["text"]
# boxes = "xyxy/1000"     # how the model writes boxes: order / scale, here thousandths of width and height
# sends = "vendor"        # pictures and texts leave this machine
# transport = ["base_url", "key_env", "concurrency"] # options that cannot change an answer
# ///
"""my_model, behind a server that speaks OpenAI's Chat Completions: say here which one."""

from __future__ import annotations

import nova_bench as nb


def load(
    *,
    model: str = "my_model",  # as the server knows it
    base_url: str = "http://localhost:8000/v1",  # yours, with its version: https://api.example.com/v1
    key_env: str = "",  # the environment variable that holds the key, never the key: MY_MODEL_API_KEY
    concurrency: int = 16,
    max_pixels: int = 0,  # larger pictures are scaled down to it; 0 for none
) -> nb.Adapter:
    """Return the adapter; each keyword is an option (``-o base_url=...``), and its default gives the type."""
    # Retries, time limits and how many requests are in flight are seen to. docs/adapters.md has the other arguments.
    return nb.backends.OpenAIChat(
        model=model, base_url=base_url, key_env=key_env, concurrency=concurrency, max_pixels=max_pixels
    )
