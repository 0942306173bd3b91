"""OpenAI's Responses API, and the servers that speak it (vLLM, SGLang, llama.cpp and Ollama speak parts of it).

Nothing is kept at the vendor: ``store`` is false, and no request refers to an earlier one. The API has no seed and no stop texts;
requests with these go out without, and say so in `Response.dropped`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_bench.backends.label_probs import TOP, label_probs
from nova_bench.backends.openai_api import FILTER_CODES, REJECT_CODES, Body, OpenAIApi, joined, mapping
from nova_bench.backends.retry import PermanentError, TransientError
from nova_bench.errors import UsageError
from nova_bench.types import Finish, Request, Response, Usage

SUMMARIES = ("auto", "concise", "detailed")

_HEALS = frozenset({"server_error", "rate_limit_exceeded", "vector_store_timeout"})
_INCOMPLETE: dict[object, Finish] = {"content_filter": "filter"}


class OpenAIResponses(OpenAIApi):
    """A model behind a server that speaks the Responses API.

    Args:
        model: The model's name, as the server knows it.
        base_url: The server, with its version. OpenAI's own by default.
        key_env: The environment variable that holds the key, where it is not OpenAI's at OpenAI; see `nova_bench.backends.hosted_chat`.
        max_pixels: Pictures with more pixels are scaled down to it, 0 for none; see `nova_bench.backends.sent_images`.
        json_schema: Whether schemas are sent; a server that takes none refuses such requests.
        reasoning_effort: Sent as it is where it is not empty.
        reasoning_summary: ``auto``, ``concise`` or ``detailed``: OpenAI then tells what its model thought, in a summary.
        scheduling: ``concurrency``, ``deadline``, ``attempt_timeout``, ``start_patience`` and ``outage_patience`` of `HostedChat`.

    Raises:
        AdapterError: The client package is not installed.
        UsageError: A value does not fit, or a key is missing, or would go where it must not.
    """

    path = "/responses"

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        key_env: str | None = None,
        max_pixels: int = 0,
        json_schema: bool = True,
        reasoning_effort: str = "",
        reasoning_summary: str = "",
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
        if reasoning_summary and reasoning_summary not in SUMMARIES:
            raise UsageError(f"reasoning_summary={reasoning_summary!r}: expected {', '.join(SUMMARIES)}")
        self._reasoning_summary = reasoning_summary

    def body(self, request: Request) -> Body:
        """Return what is sent for a request.

        Raises:
            DataError: An image cannot be read.

        >>> model = OpenAIResponses(model="m", base_url="http://localhost:1/v1")
        >>> model.body(Request("1", "1", 0, ("Is it a brain?",))).json()
        b'{"model": "m", "store": false, "input": [{"role": "user", "content": "Is it a brain?"}]}'
        """
        params = request.params
        schema, dropped = self.schema_of(request)
        wants_probs = "label_probs" in request.outputs
        reasoning = {"effort": self._reasoning_effort, "summary": self._reasoning_summary}
        reasoning = {key: value for key, value in reasoning.items() if value}
        optional = {
            "instructions": request.system,
            "max_output_tokens": params.max_tokens,
            "temperature": params.temperature,
            "top_logprobs": TOP if wants_probs else None,
            "include": ["message.output_text.logprobs"] if wants_probs else None,
            "reasoning": reasoning or None,
            "text": schema and {"format": {"type": "json_schema", **schema}},
        }
        fields = {
            "model": self.model,
            "store": False,
            **{key: value for key, value in optional.items() if value is not None},
        }
        if params.seed is not None:
            dropped += ("seed",)
        if params.stop:
            dropped += ("stop",)
        content, sizes = self.content_of(
            request, "input_text", b'{"type": "input_image", "detail": "auto", "image_url": "', b'"}'
        )
        pieces = (b', "input": [{"role": "user", "content": ', *content, b"}]}")
        return Body(fields, pieces, sizes, dropped, ("max_output_tokens",))

    def read(self, request: Request, answer: Mapping[str, Any]) -> Response:
        """Turn a response of the API into ours.

        Raises:
            TransientError: It holds no answer.
            PermanentError: It says why there is none, and that will not change.
        """
        status, error = answer.get("status"), mapping(answer.get("error"))
        usage = answer.get("usage")
        model = answer.get("model")
        spent = _usage(usage) if isinstance(usage, Mapping) else None
        if error or status not in ("completed", "incomplete", None):
            code = error.get("code")
            text = self.clean(f"the server ended with {status}: {code}: {error.get('message')}")
            if code in FILTER_CODES or code == "invalid_prompt":
                return Response(request.id, finish="filter", error=text, model=model, usage=spent)
            if code in REJECT_CODES:
                return Response(request.id, finish="rejected", error=text, model=model, usage=spent)
            if status == "failed" and code is not None and code not in _HEALS:
                raise PermanentError(text)
            raise TransientError(text)
        items = [mapping(item) for item in answer.get("output") or ()]
        reason = mapping(answer.get("incomplete_details")).get("reason")
        if not items and status != "incomplete":
            raise TransientError(self.clean(f"the answer holds no output: {answer}"))
        texts, thoughts, logprobs = [], [], []
        for item in items:
            if item.get("type") == "reasoning":
                thoughts.append(joined(item.get("content")) or joined(item.get("summary")))
            elif item.get("type") == "message" and item.get("phase") == "commentary":
                thoughts.append(joined(item.get("content")))
            elif item.get("type") == "message":
                parts = [mapping(part) for part in item.get("content") or ()]
                texts += [str(part.get("text") or part.get("refusal") or "") for part in parts]
                logprobs += [position for part in parts for position in part.get("logprobs") or ()]
        wants_probs = "label_probs" in request.outputs
        probs = label_probs(logprobs, request.labels) if wants_probs else None
        return Response(
            request.id,
            "".join(texts),
            finish=_INCOMPLETE.get(reason, "length") if status == "incomplete" else "stop",
            reasoning="\n\n".join(filter(None, thoughts)) or None,
            arrays={} if probs is None else {"label_probs": probs},
            model=model,
            dropped=("label_probs",) if wants_probs and probs is None else (),
            usage=spent,
        )

    def _remedy(self) -> str:
        return f"{super()._remedy()}; a server without the Responses API wants -o api=chat"


def _usage(usage: Mapping[str, Any]) -> Usage:
    return Usage(
        input_tokens=usage.get("input_tokens"),
        output_tokens=usage.get("output_tokens"),
        reasoning_tokens=mapping(usage.get("output_tokens_details")).get("reasoning_tokens"),
        cached_tokens=mapping(usage.get("input_tokens_details")).get("cached_tokens"),
    )
