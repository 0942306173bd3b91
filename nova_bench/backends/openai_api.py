"""What OpenAI's two APIs have in common: the client, the body's outline, what errors mean, and parameters that a model refuses.

A model can refuse a parameter that another one takes (reasoning models have no temperature, and want ``max_completion_tokens``). The
API then says which, in a form of its own (`_REFUSALS`), and the refused request costs nothing. So the parameter is left out for the
rest of the run, the request is sent again without it, and `Response.dropped` names it. A schema is no such parameter: a task that asks
for one gets an error with its remedy, because answers with and without it are not the same measurement.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import time
import urllib.parse
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from nova_bench.backends.addresses import is_vendor_host
from nova_bench.backends.hosted_chat import HostedChat
from nova_bench.backends.retry import PermanentError, TransientError, fault_of
from nova_bench.backends.sent_images import SentImages
from nova_bench.backends.strict_schema import strict_faults
from nova_bench.types import Request, Response

if TYPE_CHECKING:
    import openai

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_HOSTS = ("api.openai.com", ".api.openai.com")

_CONNECT_SECONDS = 20.0
_PIECE = 3 * 8192
_TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
_CONCERNS_ALL = frozenset({401, 402, 403, 404, 405})
FILTER_CODES = frozenset(
    {
        "bio_policy",
        "content_filter",
        "content_policy_violation",
        "image_content_policy_violation",
        "misalignment_policy_violation",
    }
)
REJECT_CODES = frozenset(
    {
        "context_length_exceeded",
        "exceed_context_size_error",
        "image_file_too_large",
        "image_parse_error",
        "image_too_large",
        "image_too_small",
        "invalid_image",
        "invalid_image_format",
        "invalid_image_mode",
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

_FLAGGED = re.compile(r"flagged as potentially violating|usage polic", re.IGNORECASE)
_TOO_LARGE_FOR_TIER = re.compile(r"request too large for .{0,80}(per min|TPM|RPM)", re.IGNORECASE | re.DOTALL)
_TOO_MANY_TOKENS = re.compile(
    r"max(?:_completion)?_tokens\D{0,60}(?:too large: |=)(\d+)\D{0,60}(?:maximum context length is |greater than max_model_len=)(\d+)",
    re.IGNORECASE,
)
"""vLLM's older and newer words; the older ones also of a request that is too long itself: only the numbers tell."""
_REFUSALS = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter"})
_REFUSED_NAME = re.compile(r"(?:unsupported|unknown) (?:parameter|value): '([a-z_.]+)'", re.IGNORECASE)
_NO_LOGPROBS = re.compile(r"logprobs", re.IGNORECASE)
_SCHEMA_REFUSED = re.compile(
    r"response_format|text\.format|json.?schema|structured output|invalid schema|guided|grammar",
    re.IGNORECASE,
)

_ITS_NAME = {
    "include": "label_probs",
    "logprobs": "label_probs",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "max_tokens": "max_tokens",
    "seed": "seed",
    "stop": "stop",
    "temperature": "temperature",
    "top_logprobs": "label_probs",
}
"""A parameter of a body that may be left out, to its name in `Response.dropped`."""


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """What is sent for a request, apart from what the server turned out to refuse."""

    fields: Mapping[str, Any]
    """The parameters."""
    pieces: tuple[bytes, ...]
    """The JSON of what follows them, with the images, up to the closing brace."""
    image_sizes: tuple[tuple[int, int], ...] = ()
    dropped: tuple[str, ...] = ()
    """What this API has no parameter for."""
    tokens_fields: tuple[str, ...] = ()
    """Names under which the limit of tokens may go, best first; it stands in `fields` under the first."""

    def sent_fields(self, refused: frozenset[str]) -> dict[str, Any]:
        """Return the parameters less those that the server refuses; a limit of tokens goes under the name that it takes."""
        sent: dict[str, Any] = {}
        left_out = {_ITS_NAME[name] for name in refused} - {"max_tokens"}
        for name, value in self.fields.items():
            if name in self.tokens_fields:
                name = next((other for other in self.tokens_fields if other not in refused), "")
            if name and _ITS_NAME.get(name) not in left_out:
                sent[name] = value
        return sent

    def json(self, refused: frozenset[str] = frozenset()) -> bytes:
        """Return what is sent."""
        return b"".join((json.dumps(self.sent_fields(refused))[:-1].encode(), *self.pieces))

    def dropped_without(self, refused: frozenset[str]) -> tuple[str, ...]:
        """Return the parameters that were asked for and not sent."""
        sent = {_ITS_NAME.get(name, name) for name in self.sent_fields(refused)}
        missing = [
            _ITS_NAME[name] for name in self.fields if name in _ITS_NAME and _ITS_NAME[name] not in sent
        ]
        return tuple(dict.fromkeys((*self.dropped, *missing)))


class OpenAIApi(HostedChat):
    """A model behind one of OpenAI's two APIs; `OpenAIChat` and `OpenAIResponses` say which."""

    packages = ("openai", "aiohttp")
    extra = "openai"
    path: ClassVar[str]

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        key_env: str | None = None,
        max_pixels: int = 0,
        json_schema: bool = True,
        reasoning_effort: str = "",
        **scheduling: Any,
    ) -> None:
        super().__init__(
            model=model,
            base_url=base_url or OPENAI_URL,
            vendor_hosts=OPENAI_HOSTS,
            key_envs=("OPENAI_API_KEY",),
            key_env=key_env,
            **scheduling,
        )
        self._images = SentImages(max_pixels)
        self._sends_schema = json_schema
        self._reasoning_effort = reasoning_effort
        self._refused: frozenset[str] = frozenset()
        """Parameters that the server refused in this run."""

    def read(self, request: Request, answer: Mapping[str, Any]) -> Response:
        """Turn an answer into a response, without the times, sizes and dropped parameters.

        Raises:
            TransientError: It holds none.
        """
        raise NotImplementedError

    def schema_of(self, request: Request) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
        """Return name, strictness and schema as both APIs take them, and what had to be dropped.

        A schema that OpenAI would not take as strict goes out as a wish; own servers enforce any, and read no such flag.
        """
        schema = request.params.json_schema
        if schema is None:
            return None, ()
        if not self._sends_schema:
            return None, ("json_schema",)
        is_strict = not strict_faults(schema)
        dropped = () if is_strict or self.is_private else ("json_schema.strict",)
        return {"name": "answer", "strict": is_strict, "schema": schema}, dropped

    def content_of(
        self, request: Request, text_type: str, before: bytes, behind: bytes
    ) -> tuple[list[bytes], tuple[tuple[int, int], ...]]:
        """Return the JSON of a message's content, and the sizes of its images as sent where one was scaled down.

        Args:
            request: The request.
            text_type: The ``type`` of a text part.
            before: What stands before an image's data URL.
            behind: What stands behind it.
        """
        if not request.images:  # a text-only server may know no list of parts
            return [json.dumps(request.text).encode()], ()
        pieces, sizes, is_scaled = [b"["], [], False
        for i, part in enumerate(request.parts):
            pieces.append(b", " if i else b"")
            if isinstance(part, str):
                pieces.append(json.dumps({"type": text_type, "text": part}).encode())
                continue
            sent = self._images.make(part)
            sizes.append((sent.size, part))
            is_scaled = is_scaled or sent.size is not None
            pieces.append(before + b"data:%b;base64," % sent.media_type.encode())
            # In pieces small enough to come from memory that is warm; three bytes make four characters.
            view = memoryview(sent.data)
            pieces += [base64.b64encode(view[at : at + _PIECE]) for at in range(0, len(view), _PIECE)]
            pieces.append(behind)
        pieces.append(b"]")
        return pieces, tuple(size or image.size for size, image in sizes) if is_scaled else ()

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[openai.AsyncOpenAI]:
        """Open OpenAI's client on aiohttp, which sends large bodies twice as fast as its own transport."""
        import openai

        limits = {"max_connections": self.concurrency, "max_keepalive_connections": self.concurrency}
        timeout = openai.Timeout(None, connect=_CONNECT_SECONDS)
        # A proxy of the environment cannot reach this machine's own network; its certificates still count for https.
        has_proxy = not self.is_private or self.url.startswith("https:")
        # Redirects are not followed: pictures would go to a host that nobody named, a private server's to a vendor's even.
        http_client = openai.DefaultAioHttpClient(
            limits=_limits(**limits), timeout=timeout, trust_env=has_proxy, follow_redirects=False
        )
        async with openai.AsyncOpenAI(
            api_key=self.key or "none",  # the client refuses to have none
            base_url=self.url,
            max_retries=0,
            timeout=timeout,
            http_client=http_client,
        ) as client:
            if not is_vendor_host(urllib.parse.urlsplit(self.url).hostname or "", OPENAI_HOSTS):
                # From variables of its own the client takes headers for OpenAI, and would send them to any address.
                client.organization = client.project = None
                client._custom_headers = {}
            yield client

    async def attempt(self, client: openai.AsyncOpenAI, request: Request, body: Body) -> Response:
        """Make one try; a parameter that the server refuses is left out from then on, and the try made again at once."""
        import aiohttp
        import openai

        began = time.monotonic()
        while True:
            refused = self._refused
            try:
                # As plain JSON: building the client's own type costs a tenth of a request, and other servers bend it anyway.
                answer = await client.post(
                    self.path,
                    cast_to=object,
                    content=body.json(refused),
                    options={"headers": {"Content-Type": "application/json"}},
                )
            except openai.APIStatusError as error:
                more = _refused_names(error, body.sent_fields(refused))
                if more:
                    self._refused |= more
                    continue
                response = self._faulty(request.id, error, body)
            except (openai.APIConnectionError, aiohttp.ClientError, OSError) as error:
                raise self.disconnected(error) from None
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise TransientError(self.clean(f"the answer is no JSON: {error}")) from None
            except Exception as error:  # of the client, before anything was sent
                raise PermanentError(self.clean(f"{type(error).__name__}: {error}")) from None
            else:
                response = self.read(request, mapping(answer))
            dropped = tuple(dict.fromkeys((*body.dropped_without(refused), *response.dropped)))
            return replace(
                response, dropped=dropped, image_sizes=body.image_sizes, seconds=time.monotonic() - began
            )

    def _faulty(self, request_id: str, error: openai.APIStatusError, body: Body) -> Response:
        """Tell what an HTTP status of 400 or more means."""
        status, code = error.status_code, error.code
        text = self.clean(f"HTTP {status}: {_message(error)}")
        if 300 <= status < 400:
            target = error.response.headers.get("location")
            text = f"{self.shown_url} sends to another address, {target}; give that one as base_url if it is right"
            raise PermanentError(self.clean(text), concerns_all=True)
        if status == 400 and (code in FILTER_CODES or (code == "invalid_prompt" and _FLAGGED.search(text))):
            return Response(request_id, finish="filter", error=text)
        # A 429 that no waiting heals.
        is_spent = code == "insufficient_quota" or error.type == "insufficient_quota"
        if status == 429 and _TOO_LARGE_FOR_TIER.search(text):
            raise PermanentError(text)
        if status in _TRANSIENT and not is_spent:
            raise fault_of(status, text, error.response.headers.get("retry-after"))
        too_many = _TOO_MANY_TOKENS.search(text)
        if too_many and int(too_many[1]) >= int(too_many[2]):  # no request would fit, and none is to blame
            raise PermanentError(f"{text} Ask for less: -p max_tokens=N", concerns_all=True)
        codes = {code, error.type}
        if status == 413 or (status in (400, 422) and (codes & REJECT_CODES or _REJECT_TEXT.search(text))):
            return Response(request_id, finish="rejected", error=text)
        has_schema = "response_format" in body.fields or "text" in body.fields
        if has_schema and status in (400, 422, 501) and _SCHEMA_REFUSED.search(f"{error.param} {text}"):
            raise PermanentError(
                f"{text} The server takes no JSON schema, or not this one; ask without it: -o json_schema=false (shown as dropped)",
                concerns_all=True,
            )
        concerns_all = (
            is_spent or status in _CONCERNS_ALL or (code in _REFUSALS and error.param in body.fields)
        )
        raise PermanentError(text, concerns_all=concerns_all)


def _refused_names(error: openai.APIStatusError, sent: Mapping[str, Any]) -> frozenset[str]:
    """Return the parameters that an error says are the reason, of those that were sent and may be left out."""
    said = _message(error)
    if error.status_code in (400, 422) and error.code in _REFUSALS:
        found = _REFUSED_NAME.search(said)
        names = {error.param, found[1] if found else None}
    elif error.status_code in (400, 403) and _NO_LOGPROBS.search(said):
        names = {"top_logprobs"}  # "You are not allowed to request logprobs from this model", without a code
    else:
        return frozenset()
    return frozenset(name for name in names if name is not None and name in sent and name in _ITS_NAME)


def _limits(**limits: int) -> Any:
    """Return the connection limits in the type of the HTTP library that the installed client is built on."""
    import openai

    return type(openai.DEFAULT_CONNECTION_LIMITS)(**limits)


def _message(error: openai.APIStatusError) -> str:
    """Return what the server said."""
    return str(mapping(error.body).get("message") or error.body or error.message)


def mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping as it is, and an empty one for anything else: servers bend the API's types."""
    return value if isinstance(value, Mapping) else {}


def joined(content: object) -> str:
    """Return the text of a content, which is a text or a list of parts, of which those with a text count."""
    if isinstance(content, list):
        return "".join(text for part in content if isinstance(text := mapping(part).get("text"), str))
    return content if isinstance(content, str) else ""
