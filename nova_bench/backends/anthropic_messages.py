"""Anthropic's Messages API, by the vendor's own client, and servers that speak it.

What its client would take from the environment is not taken: ``ANTHROPIC_BASE_URL``, ``ANTHROPIC_AUTH_TOKEN``,
``ANTHROPIC_CUSTOM_HEADERS``, a profile on disk and OpenTelemetry's exporters could send pictures, texts or keys to places that nobody
named here. Redirects are not followed for the same reason.

The version ``2026-10-21`` of the API, which the client sends, refuses ``temperature`` for every model; ``2023-06-01`` takes it for the
models that can. So a request with a temperature goes out under the older version. A model that refuses it there is asked without, under
the client's version, and ``temperature`` stands in `Response.dropped`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nova_bench.backends.hosted_chat import HostedChat
from nova_bench.backends.retry import PermanentError, TransientError, fault_of
from nova_bench.errors import DataError, UsageError
from nova_bench.types import Finish, GenParams, Request, Response, Usage

if TYPE_CHECKING:
    import anthropic

ANTHROPIC_URL = "https://api.anthropic.com"
MAX_TOKENS = 4096
"""The limit of output tokens where a task gives none; the API wants one."""
LEAST_THINKING = 1024
"""The smallest budget that the API takes."""
ADAPTIVE_TOKENS = 16_384
"""What is added to the limit of output tokens where a model decides by itself how much to think."""
TOOL = "answer"
"""The tool that a model is made to call where a schema goes out as one."""

_TEMPERATURE_VERSION = "2023-06-01"
_CONNECT_SECONDS = 20.0
_PIECE = 3 * 8192
_EFFORTS = ("", "low", "medium", "high", "xhigh", "max")
_OVERSIZED = ("downsize", "error")
_SCHEMAS = ("native", "tool")

_FINISH: dict[object, Finish] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "refusal": "filter",
}
"""All other reasons (end_turn, stop_sequence, tool_use) are an end by itself."""

_NO_TEMPERATURE = re.compile(
    r"^[`'\"]?temperature\b.{0,80}(deprecated|not permitted|not supported|unsupported|only be set|not allowed)",
    re.IGNORECASE | re.DOTALL,
)
_SPENT_CODES = frozenset(
    {
        "contract_spend_limit_reached",
        "enforced_spend_limit_reached",
        "linked_organization_billing_unavailable",
        "linked_organization_spend_limit_reached",
        "organization_on_hold",
    }
)
"""Codes of the API (some with status 429) that no waiting within a run heals."""
_SPENT_TEXT = re.compile(
    r"credit balance is too low|reached your specified (api|workspace) usage limits", re.I
)
_FILTER_TEXT = re.compile(r"blocked by content filtering", re.IGNORECASE)
_REJECT_CODES = frozenset({"image_dimensions_too_large", "request_body_too_large_after_decoding"})
_REJECT_TEXT = re.compile(
    r"prompt is too long|exceed(s|ed)? (the )?context (limit|window|length)|context window"
    r"|image.{0,120}exceed|image dimensions|too many images|too much media|could not process image"
    r"|image (format|is too|was too)|media[_ ]type.{0,60}not (supported|match)|request.{0,20}too large"
    r"|exceeds? the maximum (allowed )?(size|number of (images|bytes))",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent for a request: small fields, and the rest of the JSON with its pictures."""

    fields: Mapping[str, Any]
    messages: bytes
    dropped: tuple[str, ...] = ()
    """What of the request is in neither; the temperature is told after the answer."""

    def content(self, *, with_temperature: bool) -> bytes:
        """Return the JSON, with the temperature or without.

        >>> Body({"model": "m", "temperature": 0.0}, b'"messages": []').content(with_temperature=False)
        b'{"model": "m", "messages": []}'
        """
        fields = {
            key: value for key, value in self.fields.items() if with_temperature or key != "temperature"
        }
        return b"".join((json.dumps(fields)[:-1].encode(), b", ", self.messages, b"}"))


class AnthropicMessages(HostedChat):
    """A model behind Anthropic's Messages API.

    Args:
        model: The model's name, as the API knows it.
        base_url: Another server that speaks the API, without ``/v1``.
        key_env: The environment variable that holds the key, where it is not ``ANTHROPIC_API_KEY`` at Anthropic.
        thinking: Tokens that the model may think, 1,024 or more; ``"adaptive"`` where the model decides (newer models know only that);
            ``"disabled"``; nothing leaves it to the model. Tokens to think come on top of the task's limit.
        effort: How much the model should put into an answer: low, medium, high, xhigh or max; nothing leaves it to the model.
        schema: How a JSON schema goes out: ``"native"`` as structured output, where the vendor's own function moves constraints that the
            API does not know into descriptions (``json_schema.constraints`` is then dropped); ``"tool"`` as a tool that the model must
            call, for models without structured output: the JSON of the tool's input is then the text.
        oversized_image: What the API does with an image larger than the model takes: ``"downsize"``, its default, tells no size, so a
            model that writes boxes in pixels wants ``"error"``, which rejects the request.
        scheduling: ``concurrency``, ``deadline``, ``attempt_timeout``, ``start_patience`` and ``outage_patience`` of `HostedChat`.

    Raises:
        AdapterError: The client package is not installed.
        UsageError: A value does not fit, or a key is missing, or would go where it must not.
    """

    packages = ("anthropic", "aiohttp")
    extra = "anthropic"

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        key_env: str | None = None,
        thinking: int | str = "",
        effort: str = "",
        schema: str = "native",
        oversized_image: str = "downsize",
        **scheduling: Any,
    ) -> None:
        super().__init__(
            model=model,
            base_url=(base_url or ANTHROPIC_URL).rstrip("/").removesuffix("/v1"),  # the client adds it
            vendor_hosts=("api.anthropic.com",),
            key_envs=("ANTHROPIC_API_KEY",),
            key_env=key_env,
            **scheduling,
        )
        self._thinking, self._thinking_tokens = _read_thinking(thinking)
        for name, value, known in (
            ("effort", effort, _EFFORTS),
            ("schema", schema, _SCHEMAS),
            ("oversized_image", oversized_image, _OVERSIZED),
        ):
            if value not in known:
                raise UsageError(f"{name}={value!r}: expected one of {', '.join(filter(None, known))}")
        if schema == "tool" and self._thinking_tokens:
            raise UsageError(
                "schema=tool makes the model call a tool, which the API refuses while it thinks; use schema=native"
            )
        self._effort = effort
        self._has_native_schema = schema == "native"
        self._rejects_oversized = oversized_image == "error"
        self._takes_temperature = not self._thinking_tokens
        """Until the API says otherwise; a model that thinks takes none."""

    def body(self, request: Request) -> Body:
        """Return what is sent for a request.

        Raises:
            DataError: An image cannot be read, or the API has no form for the JSON schema.

        >>> chat = AnthropicMessages(model="m", base_url="http://localhost:1")
        >>> chat.body(Request("1", "1", 0, ("Is it a brain?",))).content(with_temperature=True)
        b'{"model": "m", "max_tokens": 4096, "messages": [{"role": "user", "content": [{"type": "text", "text": "Is it a brain?"}]}]}'
        """
        end = b'"}, "transformations": {"oversized_image": "error"}}' if self._rejects_oversized else b'"}}'
        start = b'{"type": "image", "source": {"type": "base64", "media_type": "%b", "data": "'
        blocks: list[list[bytes]] = []
        for part in request.parts:
            if isinstance(part, str):
                if part.strip():  # the API refuses empty texts
                    blocks.append([json.dumps({"type": "text", "text": part}).encode()])
                continue
            data, media_type = part.sendable()
            view = memoryview(data)
            # Joined by hand: a JSON encoder would scan 400 kB for characters to escape.
            encoded = [base64.b64encode(view[at : at + _PIECE]) for at in range(0, len(data), _PIECE)]
            blocks.append([start % media_type.encode(), *encoded, end])
        pieces = [b'"messages": [{"role": "user", "content": [']
        for i, block in enumerate(blocks):
            pieces += [b", " if i else b"", *block]
        pieces.append(b"]}]")
        fields = self._fields(request)
        return Body(fields, b"".join(pieces), _dropped(request.params, fields))

    def _fields(self, request: Request) -> dict[str, Any]:
        params = request.params
        fields: dict[str, Any] = {
            "model": self.model,
            "max_tokens": (params.max_tokens or MAX_TOKENS) + self._thinking_tokens,
        }
        optional = {
            "system": request.system or None,
            "temperature": params.temperature,
            "stop_sequences": [stop for stop in params.stop if stop.strip()] or None,
            "thinking": self._thinking,
        }
        fields.update({key: value for key, value in optional.items() if value is not None})
        output: dict[str, Any] = {"effort": self._effort} if self._effort else {}
        if params.json_schema is not None:
            if self._has_native_schema:
                output["format"] = {"type": "json_schema", "schema": _native(params.json_schema)}
            else:
                about = "Give the answer, as its schema describes it."
                fields["tools"] = [
                    {"name": TOOL, "description": about, "input_schema": dict(params.json_schema)}
                ]
                fields["tool_choice"] = {"type": "tool", "name": TOOL}
        if output:
            fields["output_config"] = output
        return fields

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[anthropic.AsyncAnthropic]:
        """Open Anthropic's client on aiohttp, which sends large bodies faster than its own transport."""
        import anthropic

        limits = type(anthropic.DEFAULT_CONNECTION_LIMITS)(
            max_connections=self.concurrency, max_keepalive_connections=self.concurrency
        )
        timeout = anthropic.Timeout(None, connect=_CONNECT_SECONDS)
        # A proxy of the environment cannot reach this machine's own network; its certificates still count for https.
        has_proxy = not self.is_private or self.url.startswith("https:")
        http_client = anthropic.DefaultAioHttpClient(
            limits=limits, timeout=timeout, trust_env=has_proxy, follow_redirects=False
        )
        client = anthropic.AsyncAnthropic(
            api_key=self.key or "none",  # with none it would look for others: in the environment, in files
            base_url=self.url,
            max_retries=0,
            timeout=timeout,
            http_client=http_client,
            open_telemetry=False,
        )
        client._custom_headers = {}  # those of ANTHROPIC_CUSTOM_HEADERS; there is no public way
        async with client:
            yield client

    async def attempt(self, client: anthropic.AsyncAnthropic, request: Request, body: Body) -> Response:
        """Make one try; a temperature that the model refuses costs a second post, but no answer."""
        import aiohttp
        import anthropic

        began = time.monotonic()
        while True:
            has_temperature = self._takes_temperature and "temperature" in body.fields
            headers = {"Content-Type": "application/json"}
            if has_temperature:
                headers["anthropic-version"] = _TEMPERATURE_VERSION
            try:
                # As plain JSON: building the client's own type takes time, and other servers bend it anyway.
                message = await client.post(
                    "/v1/messages",
                    cast_to=object,
                    content=body.content(with_temperature=has_temperature),
                    options={"headers": headers},
                )
            except anthropic.APIStatusError as error:
                if has_temperature and error.status_code == 400 and _NO_TEMPERATURE.search(_said(error)):
                    self._takes_temperature = False
                    continue
                return self._refused(request.id, error, time.monotonic() - began)
            except (anthropic.APIConnectionError, aiohttp.ClientError, OSError) as error:
                raise self.disconnected(error) from None
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise TransientError(self.clean(f"the answer is no JSON: {error}")) from None
            except Exception as error:  # of the client, before anything was sent
                raise PermanentError(self.clean(f"{type(error).__name__}: {error}")) from None
            is_left_out = request.params.temperature is not None and not has_temperature
            dropped = (*body.dropped, "temperature") if is_left_out else body.dropped
            return self._read(request.id, message, dropped, time.monotonic() - began)

    def _read(self, request_id: str, message: object, dropped: tuple[str, ...], seconds: float) -> Response:
        """Turn a message into a response."""
        whole = _mapping(message)
        blocks = whole.get("content")
        if whole.get("type") == "error" or not isinstance(blocks, list):
            raise TransientError(self.clean(f"the answer holds no content: {whole.get('error') or message}"))
        blocks = [_mapping(block) for block in blocks]
        calls = [block.get("input") for block in blocks if block.get("type") == "tool_use"]
        text = json.dumps(calls[0], ensure_ascii=False) if calls else _joined(blocks, "text")
        reason = whole.get("stop_reason")
        details = _mapping(whole.get("stop_details"))
        told = ("refusal", details.get("category"), details.get("explanation")) if reason == "refusal" else ()
        return Response(
            request_id,
            text,
            finish=_FINISH.get(reason, "stop"),
            error=self.clean(": ".join(filter(None, told))) or None,
            reasoning=_joined(blocks, "thinking") or None,
            model=whole.get("model"),
            dropped=dropped,
            usage=_usage(_mapping(whole.get("usage"))),
            seconds=seconds,
        )

    def _refused(self, request_id: str, error: anthropic.APIStatusError, seconds: float) -> Response:
        """Tell what an HTTP status of 300 or more means."""
        status, code, said = error.status_code, error.error_code, _said(error)
        if status < 400:
            said = "a redirect, which is not followed; give the address that answers as base_url"
            raise PermanentError(f"HTTP {status}: {said}", concerns_all=True)
        text = self.clean(f"HTTP {status}: {said}")
        is_spent = error.type == "billing_error" or code in _SPENT_CODES
        if is_spent or (status < 500 and _SPENT_TEXT.search(said)):
            raise PermanentError(text, concerns_all=True)
        if status == 400 and _FILTER_TEXT.search(said):
            return Response(request_id, finish="filter", error=text, seconds=seconds)
        if status == 413 or code in _REJECT_CODES or (status in (400, 422) and _REJECT_TEXT.search(said)):
            return Response(request_id, finish="rejected", error=text, seconds=seconds)
        if code == "request_body_timeout":
            raise TransientError(text)
        raise fault_of(status, text, error.response.headers.get("retry-after"))


def _read_thinking(asked: int | str) -> tuple[dict[str, Any] | None, int]:
    """Return the API's field and the tokens that it adds to the limit of output tokens.

    >>> _read_thinking("2048")
    ({'type': 'enabled', 'budget_tokens': 2048}, 2048)
    """
    text = str(asked)
    if text in ("", "0"):
        return None, 0
    if text == "disabled":
        return {"type": "disabled"}, 0
    if text == "adaptive":  # newer models leave the text of their thoughts out unless asked
        return {"type": "adaptive", "display": "summarized"}, ADAPTIVE_TOKENS
    if not text.isdecimal() or int(text) < LEAST_THINKING:
        raise UsageError(
            f"thinking={text!r}: expected a number of tokens, {LEAST_THINKING} or more, or adaptive, or disabled"
        )
    return {"type": "enabled", "budget_tokens": int(text)}, int(text)


def _native(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON schema in the part of the language that the API's structured output knows."""
    import anthropic

    try:
        return anthropic.transform_schema(dict(schema))
    except (ValueError, TypeError, AttributeError, AssertionError) as error:
        raise DataError(
            f"Anthropic's structured output has no form for the JSON schema: {error}; try -o schema=tool"
        ) from None


def _dropped(params: GenParams, fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the parameters that the API is not given."""
    schema = fields.get("output_config", {}).get("format", {}).get("schema")
    left_out = {
        "seed": params.seed is not None,  # the API has none
        "stop": any(not stop.strip() for stop in params.stop),  # it refuses those of white space alone
        "json_schema.constraints": schema is not None and schema != params.json_schema,
    }
    return tuple(name for name, is_left_out in left_out.items() if is_left_out)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _joined(blocks: list[Mapping[str, Any]], kind: str) -> str:
    """Return the text of all blocks of a kind."""
    texts = (block.get(kind) for block in blocks if block.get("type") == kind)
    return "".join(text for text in texts if isinstance(text, str))


def _said(error: anthropic.APIStatusError) -> str:
    """Return what the server said."""
    return str(error.api_message or error.body or error.message)


def _usage(usage: Mapping[str, Any]) -> Usage | None:
    """Return the tokens; the API counts those of its cache apart from the input, here they are part of it."""
    if not usage:
        return None
    cached = usage.get("cache_read_input_tokens")
    fresh = usage.get("input_tokens")
    return Usage(
        input_tokens=None
        if fresh is None
        else fresh + (cached or 0) + (usage.get("cache_creation_input_tokens") or 0),
        output_tokens=usage.get("output_tokens"),
        reasoning_tokens=_mapping(usage.get("output_tokens_details")).get("thinking_tokens"),
        cached_tokens=cached,
    )
