# /// script
# requires-python = ">=3.11"
# dependencies = ["nova-bench[openai]"]
# [tool.nova-bench]
# name = "OpenAI-compatible server"
# license = "varies"
# weights = "varies"
# outputs = ["text", "label_probs"]
# boxes = "xyxy/1000"
# sends = "vendor"
# transport = ["base_url", "key_env", "concurrency", "deadline", "attempt_timeout"]
# ///
"""Any model behind an OpenAI-compatible server: ``--model openai:MODEL -o base_url=http://localhost:8000/v1``.

OpenAI itself without ``base_url``; vLLM, SGLang, llama.cpp, Ollama and most vendors with theirs. OpenAI's key is read
from the environment variable ``OPENAI_API_KEY`` and goes to OpenAI alone; ``-o key_env=NAME`` names that of another server. One on
this machine or in a private network needs none.

``-o api=responses`` asks through the Responses API instead of Chat Completions, with nothing kept at the vendor. It has no seed and no
stop texts. What a model refuses (a temperature, a seed) is left out and shown as dropped. ``-o json_schema=false`` is for servers that
take no schema, ``-o max_pixels=N`` scales larger pictures down, ``-o reasoning_effort=`` and, with Responses, ``-o
reasoning_summary=auto`` are for reasoning models.
"""

from __future__ import annotations

import nova_bench as nb
from nova_bench.errors import UsageError


def load(
    *,
    model: str = "",
    base_url: str = "https://api.openai.com/v1",
    api: str = "chat",
    key_env: str = "",
    concurrency: int = 16,
    deadline: float = 600.0,
    attempt_timeout: float = 300.0,
    max_tokens_field: str = "max_tokens",
    max_pixels: int = 0,
    json_schema: bool = True,
    reasoning_effort: str = "",
    reasoning_summary: str = "",
) -> nb.Adapter:
    """Return the adapter of a model that the server knows by this name."""
    if not model:
        raise UsageError("which model? name it as the server knows it: --model openai:MODEL")
    options = {
        "model": model,
        "base_url": base_url,
        "key_env": key_env,
        "concurrency": concurrency,
        "deadline": deadline,
        "attempt_timeout": attempt_timeout,
        "max_pixels": max_pixels,
        "json_schema": json_schema,
        "reasoning_effort": reasoning_effort,
    }
    if api == "chat":
        if reasoning_summary:
            raise UsageError("reasoning_summary is of the Responses API; add -o api=responses")
        return nb.backends.OpenAIChat(max_tokens_field=max_tokens_field, **options)
    if api == "responses":
        return nb.backends.OpenAIResponses(reasoning_summary=reasoning_summary, **options)
    raise UsageError(f"api={api!r}: expected chat or responses")
