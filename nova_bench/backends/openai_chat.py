"""Any server that speaks OpenAI's Chat Completions: the vendors', vLLM, SGLang, llama.cpp, Ollama.

The vendor's own client sends; what it does slowly for large images is done here: the body is joined around the base64 by hand (a
JSON encoder would scan 400 kB for characters to escape), and goes through aiohttp.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from nova_bench.backends.hosted_chat import HostedChat
from nova_bench.backends.retry import PermanentError, TransientError, fault_of
from nova_bench.errors import UsageError
from nova_bench.types import Finish, Request, Response, Usage

if TYPE_CHECKING:
    import openai

OPENAI_URL = "https://api.openai.com/v1"

_CONNECT_SECONDS = 20.0
_PIECE = 3 * 8192
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation"})
_REJECT_CODES = frozenset(
    {
        "context_length_exceeded",
        "exceed_context_size_error",
        "image_parse_error",
        "image_too_large",
        "image_too_small",
        "invalid_image",
        "invalid_image_format",
        "request_too_large",
        "string_above_max_length",
        "unsupported_image_media_type",
    }
)
_REJECT_TEXT = re.compile(
    r"context (length|window|size)|max(imum)? (model|input|prompt|sequence) len|longer than the (max|model)|prompt is too long"
    r"|too many (input |prompt )?tokens|reduce the (length|input|prompt)|input token count|max_new_tokens.{0,20} must be"
    r"|image.{0,80}(too (large|small|big|many)|exceed)|too many images|at most \d+ (image|multimodal)"
    r"|(request|payload|body).{0,20} too large",
    re.IGNORECASE | re.DOTALL,
)
"""How servers say that they cannot take a request: OpenAI, vLLM, SGLang, TGI, llama.cpp, Anthropic, Gemini."""

_FINISH: dict[str | None, Finish] = {"length": "length", "content_filter": "filter"}


class OpenAIChat(HostedChat):
    """A model behind an OpenAI-compatible server.

    Args:
        model: The model's name, as the server knows it.
        base_url: The server, with its version: ``http://localhost:8000/v1``. OpenAI's own by default.
        key_env: The environment variable that holds the key, where it is not OpenAI's at OpenAI; see `nova_bench.backends.hosted_chat`.
        max_tokens_field: The server's name for the limit of output tokens; OpenAI's newer models want ``max_completion_tokens``.
        scheduling: ``concurrency``, ``deadline``, ``attempt_timeout``, ``start_patience`` and ``outage_patience`` of `HostedChat`.

    Raises:
        AdapterError: The client package is not installed.
        UsageError: A value does not fit, or a key is missing, or would go where it must not.
    """

    packages = ("openai", "aiohttp")
    extra = "openai"

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        key_env: str | None = None,
        max_tokens_field: str = "max_tokens",
        **scheduling: Any,
    ) -> None:
        super().__init__(
            model=model,
            base_url=base_url or OPENAI_URL,
            vendor_hosts=("api.openai.com", ".api.openai.com"),
            key_envs=("OPENAI_API_KEY",),
            key_env=key_env,
            **scheduling,
        )
        if max_tokens_field not in ("max_tokens", "max_completion_tokens"):
            raise UsageError(
                f"max_tokens_field={max_tokens_field!r}: expected max_tokens or max_completion_tokens"
            )
        self._max_tokens_field = max_tokens_field

    def body(self, request: Request) -> bytes:
        """Return the JSON that is sent for a request.

        Raises:
            DataError: An image cannot be read.

        >>> chat = OpenAIChat(model="m", base_url="http://localhost:1/v1")
        >>> chat.body(Request("1", "1", 0, ("Is it a brain?",)))
        b'{"model": "m", "messages": [{"role": "user", "content": "Is it a brain?"}]}'
        """
        params = request.params
        fields: dict[str, Any] = {"model": self.model}
        optional = {
            self._max_tokens_field: params.max_tokens,
            "temperature": params.temperature,
            "seed": params.seed,
            "stop": list(params.stop) or None,
        }
        fields.update({key: value for key, value in optional.items() if value is not None})
        if params.json_schema is not None:
            schema = {"name": "answer", "strict": True, "schema": params.json_schema}
            fields["response_format"] = {"type": "json_schema", "json_schema": schema}
        pieces = [json.dumps(fields)[:-1].encode(), b', "messages": [']
        if request.system is not None:
            pieces += [json.dumps({"role": "system", "content": request.system}).encode(), b", "]
        pieces.append(b'{"role": "user", "content": ')
        if request.images:
            pieces.append(b"[")
            for i, part in enumerate(request.parts):
                pieces.append(b", " if i else b"")
                if isinstance(part, str):
                    pieces.append(json.dumps({"type": "text", "text": part}).encode())
                else:
                    data, media_type = part.sendable()
                    pieces.append(
                        b'{"type": "image_url", "image_url": {"url": "data:%b;base64,' % media_type.encode()
                    )
                    # In pieces small enough to come from memory that is warm; three bytes make four characters.
                    view = memoryview(data)
                    pieces += [base64.b64encode(view[at : at + _PIECE]) for at in range(0, len(data), _PIECE)]
                    pieces.append(b'"}}')
            pieces.append(b"]")
        else:
            pieces.append(json.dumps(request.text).encode())  # a text-only server may know no list of parts
        pieces.append(b"}]}")
        return b"".join(pieces)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[openai.AsyncOpenAI]:
        """Open OpenAI's client on aiohttp, which sends large bodies twice as fast as its own transport."""
        import openai

        limits = {"max_connections": self.concurrency, "max_keepalive_connections": self.concurrency}
        timeout = openai.Timeout(None, connect=_CONNECT_SECONDS)
        # A proxy of the environment cannot reach this machine's own network; its certificates still count for https.
        has_proxy = not self.is_private or self.url.startswith("https:")
        http_client = openai.DefaultAioHttpClient(
            limits=_limits(**limits), timeout=timeout, trust_env=has_proxy
        )
        async with openai.AsyncOpenAI(
            api_key=self.key or "none",  # the client refuses to have none
            base_url=self.url,
            max_retries=0,
            timeout=timeout,
            http_client=http_client,
        ) as client:
            yield client

    async def attempt(self, client: openai.AsyncOpenAI, request: Request, body: bytes) -> Response:
        """Make one try."""
        import aiohttp
        import openai

        began = time.monotonic()
        try:
            # As plain JSON: building the client's own type costs a tenth of a request, and other servers bend it anyway.
            completion = await client.post(
                "/chat/completions",
                cast_to=object,
                content=body,
                options={"headers": {"Content-Type": "application/json"}},
            )
        except openai.APIStatusError as error:
            return self._refused(request.id, error, time.monotonic() - began)
        except (openai.APIConnectionError, aiohttp.ClientError, OSError) as error:
            raise self.disconnected(error) from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise TransientError(self.clean(f"the answer is no JSON: {error}")) from None
        except Exception as error:  # of the client, before anything was sent
            raise PermanentError(self.clean(f"{type(error).__name__}: {error}")) from None
        return self._read(request.id, completion, time.monotonic() - began)

    def _read(self, request_id: str, completion: object, seconds: float) -> Response:
        """Turn a completion into a response; servers leave out, and add, more than the API's description says."""
        whole = _mapping(completion)
        choices = whole.get("choices")
        if not isinstance(choices, list) or not choices:
            raise TransientError(
                self.clean(f"the answer holds no choice: {whole.get('error') or completion}")
            )
        choice = _mapping(choices[0])
        finish_reason = choice.get("finish_reason")
        if finish_reason == "error" or not isinstance(choice.get("message"), Mapping):
            raise TransientError(
                self.clean(f"the server stopped with an error: {choice.get('error') or choice}")
            )
        message = choice["message"]
        usage = whole.get("usage")
        return Response(
            request_id,
            _joined(message.get("content")) or _joined(message.get("refusal")),
            finish=_FINISH.get(finish_reason, "stop"),
            reasoning=_joined(message.get("reasoning_content")) or _joined(message.get("reasoning")) or None,
            model=whole.get("model"),
            usage=_usage(usage) if isinstance(usage, Mapping) else None,
            seconds=seconds,
        )

    def _refused(self, request_id: str, error: openai.APIStatusError, seconds: float) -> Response:
        """Tell what an HTTP status of 400 or more means."""
        status, code = error.status_code, error.code
        text = self.clean(f"HTTP {status}: {_message(error)}")
        if status == 400 and code in _FILTER_CODES:
            return Response(request_id, finish="filter", error=text, seconds=seconds)
        is_spent = (
            code == "insufficient_quota" or error.type == "insufficient_quota"
        )  # a 429 that no waiting heals
        if status == 413 or (status in (400, 422) and (code in _REJECT_CODES or _REJECT_TEXT.search(text))):
            return Response(request_id, finish="rejected", error=text, seconds=seconds)
        if is_spent:
            raise PermanentError(text, concerns_all=True)
        raise fault_of(status, text, error.response.headers.get("retry-after"))


def _limits(**limits: int) -> Any:
    """Return the connection limits in the type of the HTTP library that the installed client is built on."""
    import openai

    return type(openai.DEFAULT_CONNECTION_LIMITS)(**limits)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _joined(content: object) -> str:
    """Return a message's text; some servers send a list of parts, of which the text ones count."""
    if isinstance(content, list):
        return "".join(text for part in content if isinstance(text := _mapping(part).get("text"), str))
    return content if isinstance(content, str) else ""


def _message(error: openai.APIStatusError) -> str:
    """Return what the server said."""
    return str(_mapping(error.body).get("message") or error.body or error.message)


def _usage(usage: Mapping[str, Any]) -> Usage:
    return Usage(
        input_tokens=usage.get("prompt_tokens"),
        output_tokens=usage.get("completion_tokens"),
        reasoning_tokens=_mapping(usage.get("completion_tokens_details")).get("reasoning_tokens"),
        cached_tokens=_mapping(usage.get("prompt_tokens_details")).get("cached_tokens"),
    )
