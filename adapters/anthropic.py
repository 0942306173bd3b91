# /// script
# requires-python = ">=3.11"
# dependencies = ["nova-bench[anthropic]"]
# [tool.nova-bench]
# name = "Anthropic"
# license = "proprietary"
# url = "https://platform.claude.com/docs/en/api/messages"
# weights = "closed"
# outputs = ["text"]
# boxes = "xyxy/1000"
# sends = "vendor"
# transport = ["base_url", "key_env", "concurrency", "deadline", "attempt_timeout"]
# ///
"""A Claude model by Anthropic's Messages API: ``--model anthropic:MODEL``.

The key is read from the environment variable ``ANTHROPIC_API_KEY`` and goes to Anthropic alone; ``-o base_url=`` with
``-o key_env=NAME`` is another server that speaks the API. ``-o thinking=TOKENS`` lets the model think, newer ones with
``-o thinking=adaptive``; what is thought for long wants a longer ``attempt_timeout`` and ``deadline``. ``-o schema=tool`` is for
models without structured output. The API takes no seed, and most models no temperature: both are shown as dropped.
"""

from __future__ import annotations

import nova_bench as nb
from nova_bench.errors import UsageError


def load(
    *,
    model: str = "",
    base_url: str = "https://api.anthropic.com",
    key_env: str = "",
    thinking: str = "",
    effort: str = "",
    schema: str = "native",
    oversized_image: str = "downsize",
    concurrency: int = 16,
    deadline: float = 600.0,
    attempt_timeout: float = 300.0,
) -> nb.Adapter:
    """Return the adapter of a model that the API knows by this name."""
    if not model:
        raise UsageError("which model? name it as Anthropic does: --model anthropic:MODEL")
    return nb.backends.AnthropicMessages(
        model=model,
        base_url=base_url,
        key_env=key_env,
        thinking=thinking,
        effort=effort,
        schema=schema,
        oversized_image=oversized_image,
        concurrency=concurrency,
        deadline=deadline,
        attempt_timeout=attempt_timeout,
    )
