"""Any server that speaks OpenAI's Chat Completions: the vendors', vLLM, SGLang, llama.cpp, Ollama.

The vendor's own client sends; what it does slowly for large images is done here: the body is joined around the base64 by hand (a
JSON encoder would scan 400 kB for characters to escape), and goes through aiohttp.

What servers do differently, and what is done about it. All of it is tested against a server that answers in the form given; none of it
against the products themselves, whose documentation and source it is taken from.

| server | deviation | here |
|---|---|---|
| OpenAI, reasoning models | refuse ``max_tokens``, a temperature other than 1, ``stop``, ``logprobs`` | left out or renamed, and shown as dropped |
| OpenAI | strict schemas must be closed objects | others go out with ``strict: false``, shown as dropped |
| vLLM | errors without the ``error`` object, numbers as codes | read in both forms |
| vLLM, SGLang | reasoning in ``reasoning_content`` or ``reasoning``; without a reasoning parser in the text | both read; ``-o think=`` |
| vLLM | log-probabilities of an answer begin with its reasoning | ``label_probs`` is then dropped: no label stands first |
| llama.cpp | ``exceed_context_size_error`` as the type of an error; 503 while it loads | ``rejected``; asked again |
| Ollama | cuts a prompt that is too long (``num_ctx``) and says nothing | cannot be seen here: set ``num_ctx`` |
| Ollama, llama.cpp | leave out parameters that they do not know, and say nothing | cannot be seen here |
| OpenRouter and others | HTTP 200 with an ``error`` object, ``finish_reason: "error"`` | asked again |
| vLLM, SGLang, DeepSeek | ``finish_reason`` ``abort`` or ``insufficient_system_resource`` in the middle of an answer | asked again |
| xAI, Gemini | ``completion_tokens`` without the reasoning, which is in ``total_tokens`` | counted as output, for that is how it is billed |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nova_bench.backends.label_probs import TOP, label_probs
from nova_bench.backends.openai_api import Body, OpenAIApi, joined, mapping
from nova_bench.backends.retry import TransientError
from nova_bench.errors import UsageError
from nova_bench.types import Finish, Request, Response, Usage

TOKENS_FIELDS = ("max_tokens", "max_completion_tokens")

_FINISH: dict[str | None, Finish] = {
    "length": "length",
    "model_length": "length",  # Mistral: the context is full
    "content_filter": "filter",
}
_BROKEN_OFF = frozenset({"abort", "error", "insufficient_system_resource"})
"""Reasons of a server that stopped in the middle of an answer: vLLM and SGLang, OpenRouter, DeepSeek."""


class OpenAIChat(OpenAIApi):
    """A model behind a server that speaks Chat Completions.

    Args:
        model: The model's name, as the server knows it.
        base_url: The server, with its version: ``http://localhost:8000/v1``. OpenAI's own by default.
        key_env: The environment variable that holds the key, where it is not OpenAI's at OpenAI; see `nova_bench.backends.hosted_chat`.
        max_tokens_field: The server's name for the limit of output tokens. Where the server refuses one, the other one is tried.
        max_pixels: Pictures with more pixels are scaled down to it, 0 for none; see `nova_bench.backends.sent_images`.
        json_schema: Whether schemas are sent; a server that takes none refuses such requests.
        reasoning_effort: Sent as it is where it is not empty.
        scheduling: ``concurrency``, ``deadline``, ``attempt_timeout``, ``start_patience`` and ``outage_patience`` of `HostedChat`.

    Raises:
        AdapterError: The client package is not installed.
        UsageError: A value does not fit, or a key is missing, or would go where it must not.
    """

    path = "/chat/completions"

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        key_env: str | None = None,
        max_tokens_field: str = "max_tokens",
        max_pixels: int = 0,
        json_schema: bool = True,
        reasoning_effort: str = "",
        **scheduling: Any,
    ) -> None:
        super().__init__(
            model=model,
            base_url=base_url,
            key_env=key_env,
            max_pixels=max_pixels,
            json_schema=json_schema,
            reasoning_effort=reasoning_effort,
            **scheduling,
        )
        if max_tokens_field not in TOKENS_FIELDS:
            raise UsageError(
                f"max_tokens_field={max_tokens_field!r}: expected max_tokens or max_completion_tokens"
            )
        self._tokens_fields = tuple(sorted(TOKENS_FIELDS, key=max_tokens_field.__ne__))

    def body(self, request: Request) -> Body:
        """Return what is sent for a request.

        Raises:
            DataError: An image cannot be read.

        >>> chat = OpenAIChat(model="m", base_url="http://localhost:1/v1")
        >>> chat.body(Request("1", "1", 0, ("Is it a brain?",))).json()
        b'{"model": "m", "messages": [{"role": "user", "content": "Is it a brain?"}]}'
        """
        params = request.params
        schema, dropped = self.schema_of(request)
        wants_probs = "label_probs" in request.outputs
        optional = {
            self._tokens_fields[0]: params.max_tokens,
            "temperature": params.temperature,
            "seed": params.seed,
            "stop": list(params.stop) or None,
            "logprobs": True if wants_probs else None,
            "top_logprobs": TOP if wants_probs else None,
            "reasoning_effort": self._reasoning_effort or None,
            "response_format": schema and {"type": "json_schema", "json_schema": schema},
        }
        fields = {
            "model": self.model,
            **{key: value for key, value in optional.items() if value is not None},
        }
        pieces = [b', "messages": [']
        if request.system is not None:
            pieces += [json.dumps({"role": "system", "content": request.system}).encode(), b", "]
        pieces.append(b'{"role": "user", "content": ')
        content, sizes = self.content_of(
            request, "text", b'{"type": "image_url", "image_url": {"url": "', b'"}}'
        )
        return Body(fields, (*pieces, *content, b"}]}"), sizes, dropped, self._tokens_fields)

    def read(self, request: Request, answer: Mapping[str, Any]) -> Response:
        """Turn a completion into a response; servers leave out, and add, more than the API's description says.

        Raises:
            TransientError: It holds no answer.
        """
        choices = answer.get("choices")
        if not isinstance(choices, list) or not choices:
            raise TransientError(self.clean(f"the answer holds no choice: {answer.get('error') or answer}"))
        choice = mapping(choices[0])
        finish_reason = choice.get("finish_reason")
        if finish_reason in _BROKEN_OFF or not isinstance(choice.get("message"), Mapping):
            raise TransientError(
                self.clean(f"the server stopped with an error: {choice.get('error') or choice}")
            )
        message, usage = choice["message"], answer.get("usage")
        probs = None
        if "label_probs" in request.outputs:
            probs = label_probs(mapping(choice.get("logprobs")).get("content"), request.labels)
        return Response(
            request.id,
            joined(message.get("content")) or joined(message.get("refusal")),
            finish=_FINISH.get(finish_reason, "stop"),
            reasoning=joined(message.get("reasoning_content")) or joined(message.get("reasoning")) or None,
            arrays={} if probs is None else {"label_probs": probs},
            model=answer.get("model"),
            dropped=("label_probs",) if "label_probs" in request.outputs and probs is None else (),
            usage=_usage(usage) if isinstance(usage, Mapping) else None,
        )


def _usage(usage: Mapping[str, Any]) -> Usage:
    """Return the tokens; servers that count reasoning apart from the completion (xAI, Gemini) show it in the total alone."""
    given, made, total = (usage.get(f"{name}_tokens") for name in ("prompt", "completion", "total"))
    reasoning = mapping(usage.get("completion_tokens_details")).get("reasoning_tokens")
    if isinstance(given, int) and isinstance(made, int) and isinstance(total, int):
        made = max(made, total - given)
    return Usage(
        input_tokens=given,
        output_tokens=made,
        reasoning_tokens=reasoning,
        cached_tokens=mapping(usage.get("prompt_tokens_details")).get("cached_tokens"),
    )
