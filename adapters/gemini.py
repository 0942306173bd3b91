# /// script
# requires-python = ">=3.11"
# dependencies = ["nova-bench[gemini]"]
# [tool.nova-bench]
# name = "Gemini API"
# license = "proprietary"
# url = "https://ai.google.dev/gemini-api/docs"
# weights = "closed"
# outputs = ["text"]
# boxes = "yxyx/1000"
# sends = "vendor"
# transport = ["base_url", "key_env", "concurrency", "deadline", "attempt_timeout"]
# ///
"""Google's Gemini models: ``--model gemini:MODEL``, with the key in ``GEMINI_API_KEY`` or ``GOOGLE_API_KEY``.

Boxes are asked for in the frame that Google documents for Gemini, ``[ymin, xmin, ymax, xmax]`` normalised to 0-1000
(https://ai.google.dev/gemini-api/docs/image-understanding, object detection). Another frame is ``-o boxes=``; models of another
family behind the same API may want one.

A thinking model's thoughts count against ``max_tokens``: give it room (``-p max_tokens=8192``) or less to think (``-o thinking=0``,
a number of tokens, or a level such as ``low``). ``-o thoughts=true`` keeps their summary beside the answer.
"""

from __future__ import annotations

import nova_bench as nb
from nova_bench.errors import UsageError


def load(
    *,
    model: str = "",
    base_url: str = "https://generativelanguage.googleapis.com",
    key_env: str = "",
    api_version: str = "v1beta",
    thinking: str = "",
    thoughts: bool = False,
    media_resolution: str = "",
    concurrency: int = 16,
    deadline: float = 600.0,
    attempt_timeout: float = 300.0,
) -> nb.Adapter:
    """Return the adapter of a model that the Gemini API knows by this name."""
    if not model:
        raise UsageError("which model? name it as Google does: --model gemini:gemini-2.5-flash")
    return nb.backends.Gemini(
        model=model,
        base_url=base_url,
        key_env=key_env,
        api_version=api_version,
        thinking=thinking,
        thoughts=thoughts,
        media_resolution=media_resolution,
        concurrency=concurrency,
        deadline=deadline,
        attempt_timeout=attempt_timeout,
    )
