"""Google's Gemini API (``generateContent``), through google-genai, the SDK that Google maintains.

The SDK makes the request and the connection; what it returns is read here from the JSON, because its own types warn about every
reason to stop that is newer than they are. It is told everything that it would otherwise take from the environment: a key that was
not meant for this address, another address, Vertex AI.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import re
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nova_bench.backends.gemini_faults import FIELDS, RefusedError, mapping
from nova_bench.backends.hosted_chat import HostedChat
from nova_bench.backends.retry import PermanentError, TransientError
from nova_bench.errors import UsageError
from nova_bench.types import Finish, Request, Response, Usage

if TYPE_CHECKING:
    import aiohttp
    from google import genai

GEMINI_URL = "https://generativelanguage.googleapis.com"
LEVELS = ("minimal", "low", "medium", "high")
"""Of thinking; which of them a model knows is the model's."""
RESOLUTIONS = ("low", "medium", "high")
"""Of pictures: how many tokens the model spends on one."""
MOST_STOPS = 5
"""Stop sequences that the API takes (reference of GenerationConfig)."""

_CONNECT_SECONDS = 20.0
_INT32 = range(-(2**31), 2**31)
_FINISH: dict[str, Finish] = {
    "STOP": "stop",
    # The model's own doing, and no tool was offered: what there is of an answer is read as one.
    "MALFORMED_FUNCTION_CALL": "stop",
    "MALFORMED_RESPONSE": "stop",
    "UNEXPECTED_TOOL_CALL": "stop",
    "TOO_MANY_TOOL_CALLS": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "filter",
    "RECITATION": "filter",
    "BLOCKLIST": "filter",
    "PROHIBITED_CONTENT": "filter",
    "SPII": "filter",
    "LANGUAGE": "filter",
    "ESCALATION": "filter",
    "MODEL_ARMOR": "filter",
    "IMAGE_SAFETY": "filter",
    "IMAGE_PROHIBITED_CONTENT": "filter",
    "IMAGE_RECITATION": "filter",
    "IMAGE_OTHER": "filter",
    "OTHER": "filter",  # stopped by the vendor, for a reason that it does not name
}


class Gemini(HostedChat):
    """A model of the Gemini API.

    Args:
        model: The model's name: ``gemini-2.5-flash``.
        base_url: Where the API is; Google's own by default, without the version.
        key_env: The environment variable that holds the key; by default ``GEMINI_API_KEY``, then ``GOOGLE_API_KEY``, which go to
            Google's host alone.
        api_version: The API's version. Schemas, thinking and the ``-latest`` names are in ``v1beta``, which the SDK took by itself
            before version 3.
        thinking: A number of tokens (0: none, -1: as the model likes), one of `LEVELS`, or empty for the model's default.
        thoughts: Whether to ask for a summary of the thoughts, which becomes `Response.reasoning`.
        media_resolution: One of `RESOLUTIONS`, or empty for the model's default.
        scheduling: ``concurrency``, ``deadline``, ``attempt_timeout``, ``start_patience`` and the like, of `HostedChat`.

    Raises:
        AdapterError: The SDK is not installed.
        UsageError: A value does not fit, or a key is missing, or would go where it must not.
    """

    packages = ("google.genai", "aiohttp")
    extra = "gemini"

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        key_env: str | None = None,
        api_version: str = "v1beta",
        thinking: str = "",
        thoughts: bool = False,
        media_resolution: str = "",
        **scheduling: Any,
    ) -> None:
        super().__init__(
            model=model,
            base_url=base_url or GEMINI_URL,
            vendor_hosts=("generativelanguage.googleapis.com",),
            key_envs=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
            key_env=key_env,
            **scheduling,
        )
        if thinking and thinking.lower() not in LEVELS and not re.fullmatch(r"-1|\d+", thinking):
            raise UsageError(
                f"thinking={thinking!r}: expected a number of tokens, or one of {', '.join(LEVELS)}"
            )
        if media_resolution and media_resolution.lower() not in RESOLUTIONS:
            raise UsageError(
                f"media_resolution={media_resolution!r}: expected one of {', '.join(RESOLUTIONS)}"
            )
        if not re.fullmatch(r"v\d+\w*", api_version):
            raise UsageError(f"api_version={api_version!r}: expected one such as v1beta")
        self._api_version = api_version
        self._thinking = thinking.lower()
        self._thoughts = thoughts
        self._media_resolution = media_resolution.lower()
        self._lacking: set[str] = set()
        """Parameters that this model refused: what it lacks, it lacks for every request."""

    def body(self, request: Request) -> dict[str, Any]:
        """Return what is sent for a request, in the SDK's words: ``parts`` of the user's turn, and the fields of its ``config``.

        Raises:
            DataError: An image cannot be read.

        >>> body = Gemini(model="m", base_url="http://localhost:1").body(Request("1", "1", 0, ("Is it a brain?",), system="Be brief."))
        >>> body["parts"], body["config"]
        ([{'text': 'Is it a brain?'}], {'system_instruction': 'Be brief.'})
        """
        params, dropped = request.params, []
        config: dict[str, Any] = {}
        system, is_altered = _encodable(request.system or "")
        if system:
            config["system_instruction"] = system
        if params.max_tokens is not None:
            config["max_output_tokens"] = params.max_tokens
        if params.temperature is not None:
            config["temperature"] = params.temperature
        if params.seed is not None:
            if params.seed in _INT32:
                config["seed"] = params.seed
            else:
                dropped.append("seed")
        if params.stop:
            config["stop_sequences"] = [_encodable(stop)[0] for stop in params.stop[:MOST_STOPS]]
            if len(params.stop) > MOST_STOPS:
                dropped.append("stop")
        if params.json_schema is not None:
            config["response_mime_type"] = "application/json"
            config["response_json_schema"] = dict(params.json_schema)
        thinking: dict[str, Any] = {"include_thoughts": True} if self._thoughts else {}
        if self._thinking in LEVELS:
            thinking["thinking_level"] = self._thinking.upper()
        elif self._thinking:
            thinking["thinking_budget"] = int(self._thinking)
        if thinking:
            config["thinking_config"] = thinking
        if self._media_resolution:
            config["media_resolution"] = f"MEDIA_RESOLUTION_{self._media_resolution.upper()}"
        parts: list[dict[str, Any]] = []
        for part in request.parts:
            if isinstance(part, str):
                text, was_altered = _encodable(part)
                is_altered = is_altered or was_altered
                parts.append({"text": text})
            else:
                data, media_type = part.sendable()
                parts.append({"inline_data": {"mime_type": media_type, "data": data}})
        if is_altered:
            dropped.append("lone surrogates")
        return {"parts": parts, "config": config, "dropped": tuple(dropped)}

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[genai.client.AsyncClient]:
        """Open the SDK's client on aiohttp, with its retries off and nothing taken from the environment but proxies."""
        from google import genai

        # A proxy of the environment cannot reach this machine's own network; its certificates still count for https.
        has_proxy = not self.is_private or self.url.startswith("https:")
        async with _session(self.concurrency) as session:
            options = genai.types.HttpOptions(
                base_url=self.url,
                api_version=self._api_version,
                # One attempt: without these options the SDK asks again once by itself, after up to ten seconds.
                retry_options=genai.types.HttpRetryOptions(attempts=1),
                aiohttp_client=session,
                # A redirect would take the key's header and the pictures to any other host.
                async_client_args={"allow_redirects": False, **(_proxy(self.url) if has_proxy else {})},
            )
            with _unwarned():
                # A client without a key would look for one in the environment, and send it to this address.
                client = genai.Client(vertexai=False, api_key=self.key or "none", http_options=options)
            try:
                yield client.aio
            finally:
                await client.aio.aclose()
                client.close()

    async def attempt(
        self, client: genai.client.AsyncClient, request: Request, body: Mapping[str, Any]
    ) -> Response:
        """Make one try; one that fails for a parameter that this model lacks is made again without it, as nothing was paid."""
        while True:
            config, parts, dropped = self._fitted(body)
            began = time.monotonic()
            try:
                whole = await self._ask(client, parts, config)
                return self._read(request.id, whole, dropped, time.monotonic() - began)
            except RefusedError as refused:
                lacking = refused.lacking(config)
                if lacking is None:
                    return self._refused(request.id, refused, dropped, time.monotonic() - began)
                self._lacking.add(lacking)

    def _fitted(
        self, body: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[dict[str, Any]], tuple[str, ...]]:
        """Return config, parts and what was dropped, without the parameters that this model lacks."""
        config, parts, dropped = dict(body["config"]), list(body["parts"]), list(body["dropped"])
        for name in sorted(self._lacking):
            held = [config.pop(field) for field in FIELDS[name] if field in config]
            if held and name == "system":  # a text is never left out: it goes before the user's
                parts.insert(0, {"text": held[0]})
            if held:
                dropped.append(name)
        return config, parts, tuple(dropped)

    async def _ask(
        self, client: genai.client.AsyncClient, parts: list[dict[str, Any]], config: Mapping[str, Any]
    ) -> Any:
        """Send one request and return the JSON of its answer."""
        import aiohttp
        from google import genai

        try:
            answer = await client.models.generate_content(
                model=self.model,
                contents=[{"role": "user", "parts": parts}],  # type: ignore[arg-type, list-item]  # in the SDK's dict form
                config=genai.types.GenerateContentConfig(
                    **config,
                    should_return_http_response=True,
                    automatic_function_calling=genai.types.AutomaticFunctionCallingConfig(disable=True),
                ),
            )
            http = answer.sdk_http_response
            return json.loads(http.body if http is not None and http.body else "")
        except genai.errors.APIError as error:
            raise RefusedError.of(error) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self.disconnected(error) from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise TransientError(self.clean(f"the answer is no JSON: {error}")) from None
        except Exception as error:  # of the client, before anything was sent
            raise PermanentError(self.clean(f"{type(error).__name__}: {error}")) from None

    def _read(self, request_id: str, answer: object, dropped: tuple[str, ...], seconds: float) -> Response:
        """Turn an answer into a response.

        Raises:
            RefusedError: The answer is an error with status 200, as gateways send them.
        """
        whole = mapping(answer)
        if isinstance(error := whole.get("error"), Mapping):
            raise RefusedError(int(error.get("code") or 500), error, None)
        usage = _usage(mapping(whole.get("usageMetadata")))
        version = whole.get("modelVersion")
        told: dict[str, Any] = {
            "model": version if isinstance(version, str) else None,
            "usage": usage,
            "dropped": dropped,
            "seconds": seconds,
        }
        candidates = whole.get("candidates")
        if not isinstance(candidates, list) or not candidates:
            feedback = mapping(whole.get("promptFeedback"))
            if reason := feedback.get("blockReason"):
                text = f"the prompt was blocked: {reason} {feedback.get('blockReasonMessage') or ''}"
                return Response(request_id, finish="filter", error=self.clean(text.strip()), **told)
            raise TransientError(self.clean(f"the answer holds no candidate: {answer}"))
        candidate = mapping(candidates[0])
        reason = candidate.get("finishReason")
        if reason in (None, "", "FINISH_REASON_UNSPECIFIED"):
            raise TransientError("the answer says no reason for its end, so it may have been cut")
        message = f"{reason} {candidate.get('finishMessage') or ''}".strip()
        if reason == "PUP_LIMITED_DISABLED":
            raise PermanentError(self.clean(f"the account is limited: {message}"), concerns_all=True)
        if reason not in _FINISH:
            raise PermanentError(self.clean(f"ended for a reason that is not known here: {message}"))
        parts = mapping(candidate.get("content")).get("parts")
        texts = [
            mapping(part)
            for part in (parts if isinstance(parts, list) else [])
            if isinstance(mapping(part).get("text"), str)
        ]
        finish = _FINISH[reason]
        return Response(
            request_id,
            "".join(part["text"] for part in texts if not part.get("thought")),
            finish=finish,
            error=self.clean(f"stopped by the vendor: {message}") if finish == "filter" else None,
            reasoning="".join(part["text"] for part in texts if part.get("thought")) or None,
            **told,
        )

    def _refused(
        self, request_id: str, refused: RefusedError, dropped: tuple[str, ...], seconds: float
    ) -> Response:
        """Tell what an HTTP status other than 200 means."""
        text = self.clean(f"HTTP {refused}")
        if 300 <= refused.status < 400:
            raise PermanentError(
                f"{self.shown_url} redirects (HTTP {refused.status}); give the address that it leads to as base_url",
                concerns_all=True,
            )
        if refused.is_rejection:
            return Response(request_id, finish="rejected", error=text, dropped=dropped, seconds=seconds)
        raise refused.fault(text)


def _proxy(url: str) -> dict[str, Any]:
    """Return aiohttp's arguments for the proxy that the environment names for an address; none where there is none.

    The login goes apart, because errors quote the address.
    """
    address = urllib.parse.urlsplit(url)
    found = urllib.request.getproxies().get(address.scheme)
    if not found or urllib.request.proxy_bypass(address.hostname or ""):
        return {}
    proxy = urllib.parse.urlsplit(found if "://" in found else f"http://{found}")
    login, _, host = proxy.netloc.rpartition("@")
    if not login:
        return {"proxy": proxy.geturl()}
    encoded = base64.b64encode(urllib.parse.unquote_to_bytes(login)).decode()
    return {
        "proxy": proxy._replace(netloc=host).geturl(),
        "proxy_headers": {"Proxy-Authorization": f"Basic {encoded}"},
    }


def _session(concurrency: int) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientSession]:
    """Return the connections; the SDK's own have no limit to how long connecting may take.

    They take nothing from the environment: aiohttp would read ``~/.netrc`` with the proxy, and send a password from there beside the key.
    """
    import aiohttp

    class Connector(aiohttp.TCPConnector):
        async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:
            return await super().connect(req, traces, aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS))

    return aiohttp.ClientSession(connector=Connector(limit=concurrency), cookie_jar=aiohttp.DummyCookieJar())


@contextlib.contextmanager
def _unwarned() -> Iterator[None]:
    """Keep the SDK from saying that it takes ``GOOGLE_API_KEY`` where both variables are set: it is told which key to take."""
    logger = logging.getLogger("google_genai._api_client")

    def is_shown(record: logging.LogRecord) -> bool:
        return "GOOGLE_API_KEY" not in record.getMessage()

    logger.addFilter(is_shown)
    try:
        yield
    finally:
        logger.removeFilter(is_shown)


def _encodable(text: str) -> tuple[str, bool]:
    """Return a text that UTF-8 can hold, and whether that changed it: the API takes no halves of surrogate pairs.

    >>> _encodable("a" + chr(0xD800)), _encodable("brain")
    (('a\N{REPLACEMENT CHARACTER}', True), ('brain', False))
    """
    fixed = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return fixed, fixed != text


def _usage(counts: Mapping[str, Any]) -> Usage | None:
    """Return the tokens: thoughts are billed as output, and are counted in it, as other vendors do."""
    if not counts:
        return None
    candidates, thoughts = counts.get("candidatesTokenCount"), counts.get("thoughtsTokenCount")
    return Usage(
        input_tokens=counts.get("promptTokenCount"),
        output_tokens=None
        if candidates is None and thoughts is None
        else (candidates or 0) + (thoughts or 0),
        reasoning_tokens=thoughts,
        cached_tokens=counts.get("cachedContentTokenCount"),
    )
