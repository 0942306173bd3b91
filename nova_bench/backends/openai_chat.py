"""Any server that speaks OpenAI's Chat Completions: the vendors', vLLM, SGLang, llama.cpp, Ollama.

The vendor's own client sends; what it does slowly for large images is done here: the body is joined around the base64 by hand (a
JSON encoder would scan 400 kB for characters to escape), and goes through aiohttp.
"""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import contextlib
import importlib.util
import ipaddress
import json
import os
import re
import time
import urllib.parse
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nova_bench.backends.flow import Stream, answer
from nova_bench.backends.retry import Patience, PermanentError, TransientError, read_retry_after
from nova_bench.errors import AdapterError, UsageError
from nova_bench.types import Finish, Request, Response, Usage

if TYPE_CHECKING:
    import openai

OPENAI_URL = "https://api.openai.com/v1"

_CONNECT_SECONDS = 20.0
_LONGEST_ERROR = 500
_PIECE = 3 * 8192
_BODY_THREADS = 4
_SLOW_BODY_SECONDS = 0.02
_TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
_CONCERNS_ALL = frozenset({401, 402, 403, 404, 405})
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


class OpenAIChat:
    """A model behind an OpenAI-compatible server.

    Args:
        model: The model's name, as the server knows it.
        base_url: The server, with its version: ``http://localhost:8000/v1``. OpenAI's own by default.
        key_env: The environment variable that holds the key. A server on this machine or in a private network needs none.
        concurrency: Requests in flight.
        deadline: Seconds that a request may take with its retries; after that it failed, and is asked again by the next run.
        attempt_timeout: Seconds that one attempt may take; long, because what was being answered by then is paid and lost.
        start_patience: Seconds after which an address where nobody ever listened ends the run.
        max_tokens_field: The server's name for the limit of output tokens; OpenAI's newer models want ``max_completion_tokens``.

    Raises:
        AdapterError: The client package is not installed.
        UsageError: A value does not fit, or a vendor's key is not in the environment.
    """

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        key_env: str = "OPENAI_API_KEY",
        concurrency: int = 16,
        deadline: float = 600.0,
        attempt_timeout: float = 300.0,
        start_patience: float = 10.0,
        max_tokens_field: str = "max_tokens",
    ) -> None:
        for package in ("openai", "aiohttp"):
            if importlib.util.find_spec(package) is None:
                raise AdapterError(
                    f'package {package!r} is not installed; install it with: pip install "nova-bench[openai]"'
                )
        self._url = base_url or OPENAI_URL
        address = urllib.parse.urlsplit(self._url)
        if address.scheme not in ("http", "https") or not address.hostname:
            shown = self._url.rpartition("@")[2]
            raise UsageError(f"base_url={shown!r}: expected an address such as http://localhost:8000/v1")
        if not model:
            raise UsageError("the model's name is empty; expected a name that the server knows")
        if max_tokens_field not in ("max_tokens", "max_completion_tokens"):
            raise UsageError(
                f"max_tokens_field={max_tokens_field!r}: expected max_tokens or max_completion_tokens"
            )
        if concurrency < 1 or deadline <= 0 or attempt_timeout <= 0:
            raise UsageError(
                f"concurrency={concurrency}, deadline={deadline}, attempt_timeout={attempt_timeout}: expected positive numbers"
            )
        self._shown_url = urllib.parse.urlunsplit(
            address._replace(netloc=address.netloc.rpartition("@")[2], query="")
        )
        if "@" in address.netloc:
            raise UsageError(
                f"base_url={self._shown_url} came with a user and password; give the key in {key_env} instead"
            )
        self.is_private = is_private_host(address.hostname)
        """Whether the server is this machine or in a private network: what is sent stays there."""
        self._key = _read_key(key_env, is_needed=not self.is_private, where=self._shown_url)
        self._key_env = key_env
        self._concurrency = concurrency
        self._deadline = deadline
        self._attempt_timeout = attempt_timeout
        self._start_patience = start_patience
        self._max_tokens_field = max_tokens_field
        self._model = model
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer requests as they come; see `nova_bench.adapter` for the contract."""
        stream = answer(requests, self._connect, concurrency=self._concurrency)
        self._streams.add(stream)
        return stream

    def close(self) -> None:
        """Cancel what is in flight and free everything within 5 seconds; from any thread."""
        for stream in list(self._streams):
            stream.close()

    def body(self, request: Request) -> bytes:
        """Return the JSON that is sent for a request.

        Raises:
            DataError: An image cannot be read.

        >>> chat = OpenAIChat(model="m", base_url="http://localhost:1/v1")
        >>> chat.body(Request("1", "1", 0, ("Is it a brain?",)))
        b'{"model": "m", "messages": [{"role": "user", "content": "Is it a brain?"}]}'
        """
        params = request.params
        fields: dict[str, Any] = {"model": self._model}
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
    async def _connect(self) -> AsyncIterator[Callable[[Request], Awaitable[Response]]]:
        import openai

        limits = {"max_connections": self._concurrency, "max_keepalive_connections": self._concurrency}
        timeout = openai.Timeout(None, connect=_CONNECT_SECONDS)
        # A proxy of the environment cannot reach this machine's own network; its certificates still count for https.
        has_proxy = not self.is_private or self._url.startswith("https:")
        http_client = openai.DefaultAioHttpClient(
            limits=_limits(**limits), timeout=timeout, trust_env=has_proxy
        )
        async with openai.AsyncOpenAI(
            api_key=self._key or "none",  # the client refuses to have none
            base_url=self._url,
            max_retries=0,
            timeout=timeout,
            http_client=http_client,
        ) as client:
            key = f"the key in {self._key_env}" if self._key else f"the key (none is set in {self._key_env})"
            patience = Patience(
                deadline=self._deadline,
                attempt_timeout=self._attempt_timeout,
                start_patience=self._start_patience,
                where=f"check the server at base_url={self._shown_url}, {key} and the model's name {self._model!r}",
            )

            bodies = _Bodies(self.body)

            async def send(request: Request) -> Response:
                body = await bodies.make(request)
                return await patience.answer(request.id, lambda: self._ask(client, request.id, body))

            with contextlib.closing(bodies):
                yield send

    async def _ask(self, client: openai.AsyncOpenAI, request_id: str, body: bytes) -> Response:
        """Make one attempt."""
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
            return self._refused(request_id, error, time.monotonic() - began)
        except (openai.APIConnectionError, aiohttp.ClientError, OSError) as error:
            raise self._disconnected(error) from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise TransientError(self._clean(f"the answer is no JSON: {error}")) from None
        except Exception as error:  # of the client, before anything was sent
            raise PermanentError(self._clean(f"{type(error).__name__}: {error}")) from None
        return self._read(request_id, completion, time.monotonic() - began)

    def _read(self, request_id: str, completion: object, seconds: float) -> Response:
        """Turn a completion into a response; servers leave out, and add, more than the API's description says."""
        whole = _mapping(completion)
        choices = whole.get("choices")
        if not isinstance(choices, list) or not choices:
            raise TransientError(
                self._clean(f"the answer holds no choice: {whole.get('error') or completion}")
            )
        choice = _mapping(choices[0])
        finish_reason = choice.get("finish_reason")
        if finish_reason == "error" or not isinstance(choice.get("message"), Mapping):
            raise TransientError(
                self._clean(f"the server stopped with an error: {choice.get('error') or choice}")
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
        text = self._clean(f"HTTP {status}: {_message(error)}")
        if status == 400 and code in _FILTER_CODES:
            return Response(request_id, finish="filter", error=text, seconds=seconds)
        is_spent = (
            code == "insufficient_quota" or error.type == "insufficient_quota"
        )  # a 429 that no waiting heals
        if status in _TRANSIENT and not is_spent:
            raise TransientError(
                text, read_retry_after(error.response.headers.get("retry-after"), time.time())
            )
        if status == 413 or (status in (400, 422) and (code in _REJECT_CODES or _REJECT_TEXT.search(text))):
            return Response(request_id, finish="rejected", error=text, seconds=seconds)
        raise PermanentError(text, concerns_all=is_spent or status in _CONCERNS_ALL)

    def _disconnected(self, error: Exception) -> TransientError:
        import aiohttp

        cause: BaseException = error
        is_unreachable = False
        while (deeper := cause.__cause__) is not None:
            cause = deeper
            # The client reports a refused connection as a timeout; only the cause below tells.
            is_unreachable = is_unreachable or isinstance(
                cause, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
            )
        what = "nobody answers at" if is_unreachable else "lost the connection to"
        detail = str(cause) or type(cause).__name__
        return TransientError(
            self._clean(f"{what} {self._shown_url}: {detail}"), is_unreachable=is_unreachable
        )

    def _clean(self, text: str) -> str:
        """Take the key out of a text, should a server have quoted it, and then cut the text."""
        if self._key:
            text = text.replace(self._key, f"[{self._key_env}]")
        return text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]} ..."


class _Bodies:
    """Makes bodies on the event loop as long as that is quick, and in other threads once it was not.

    A stored picture takes a millisecond; to hand it to another thread and back costs as much again, because each of the small
    steps waits for the interpreter's lock. A picture that must be encoded anew, or a file on a slow disk, would stall the loop.
    """

    def __init__(self, make: Callable[[Request], bytes]) -> None:
        self._make = make
        self._is_slow = False
        self._pool = concurrent.futures.ThreadPoolExecutor(
            _BODY_THREADS, thread_name_prefix="nova-bench-body"
        )

    async def make(self, request: Request) -> bytes:
        if self._is_slow:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._make, request)
        began = time.monotonic()
        body = self._make(request)
        self._is_slow = time.monotonic() - began > _SLOW_BODY_SECONDS
        return body

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _read_key(key_env: str, *, is_needed: bool, where: str) -> str:
    key = os.environ.get(key_env, "").strip()
    if not key and is_needed:
        raise UsageError(
            f"{where} wants a key; set the environment variable {key_env}, or name another one with -o key_env=NAME"
        )
    if not (key.isascii() and key.isprintable()):
        raise UsageError(
            f"the key in the environment variable {key_env} holds characters that no key has; copy it again"
        )
    return key


def is_private_host(host: str) -> bool:
    """Return whether a host is this machine or in a private network, judged by its name alone."""
    if (
        host == "localhost"
        or host.endswith((".localhost", ".local", ".internal", ".lan"))
        or ("." not in host and ":" not in host)
    ):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_private or address.is_loopback or address.is_link_local


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
