"""A server on this machine that speaks Anthropic's Messages API, for tests: what it takes, what it answers and how it fails."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib.util
import json
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from aiohttp import web


def _load_loopback() -> ModuleType:
    if "loopback" not in sys.modules:
        spec = importlib.util.spec_from_file_location("loopback", Path(__file__).with_name("loopback.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules["loopback"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["loopback"])
    return sys.modules["loopback"]


loopback = _load_loopback()

VERSIONS = ("2023-06-01", "2026-10-21")
MEDIA_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")

INVALID = "invalid_request_error"
STATUS_FAULTS: dict[str, tuple[int, str, str, str | None]] = {
    "400": (400, INVALID, "messages.0.content.0: Input tag 'x' found using 'type'", None),
    "401": (401, "authentication_error", "invalid x-api-key: {key}", None),
    "402": (402, "billing_error", "There is an issue with your billing.", None),
    "403": (403, "permission_error", "Your API key has no access to this model.", None),
    "404": (404, "not_found_error", "model: m", None),
    "408": (408, "timeout_error", "Request timeout", None),
    "413": (413, "request_too_large", "Request exceeds the maximum size", None),
    "429": (429, "rate_limit_error", "This request would exceed the rate limit of {key}.", None),
    "429-date": (429, "rate_limit_error", "This request would exceed the rate limit.", None),
    "ramp": (429, "rate_limit_error", "Your usage grows too fast.", "ramp_limit_exceeded"),
    "500": (500, "api_error", "Internal server error", None),
    "502": (502, "api_error", "Bad gateway", None),
    "503": (503, "api_error", "Service unavailable", None),
    "504": (504, "timeout_error", "Gateway timeout", None),
    "529": (529, "overloaded_error", "Overloaded", None),
    "credit": (400, INVALID, "Your credit balance is too low to access the Anthropic API.", None),
    "spent": (429, "rate_limit_error", "The monthly limit is reached.", "enforced_spend_limit_reached"),
    "long": (400, INVALID, "prompt is too long: 215000 tokens > 200000 maximum", None),
    "context": (
        400,
        INVALID,
        "input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000",
        None,
    ),
    "image": (
        400,
        INVALID,
        "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 7 > 5",
        None,
    ),
    "pixels": (400, INVALID, "The longest side is over the limit.", "image_dimensions_too_large"),
    "images": (400, INVALID, "Too much media: 0 document pages + 101 images > 100", None),
    "unreadable": (400, INVALID, "Could not process image", None),
    "filtered": (400, INVALID, "Output blocked by content filtering policy", None),
}
"""Kind of fault to (status, error type, message, code), as the API documents them; ``{key}`` quotes the key, as careless proxies do."""


@dataclasses.dataclass
class Plan(loopback.Plan):
    """How the server behaves."""

    content: list[Mapping[str, Any]] | None = None
    """The answer's blocks, over the text that the request gives."""
    finish_reason: str | None = "end_turn"
    stop_details: Mapping[str, Any] | None = None
    usage: Mapping[str, Any] | None = dataclasses.field(
        default_factory=lambda: {"input_tokens": 11, "output_tokens": 7}
    )
    takes_temperature: bool = True
    """Whether the model takes a temperature under the older version of the API."""


def images_of(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (media type, base64) of the images in the user's message."""
    blocks = body["messages"][-1]["content"]
    return [(b["source"]["media_type"], b["source"]["data"]) for b in blocks if b["type"] == "image"]


def complaint(body: Mapping[str, Any], version: str, plan: Plan) -> str | None:
    """Return what the API would say against a request, by the rules that it documents."""
    if version not in VERSIONS:
        return f"anthropic-version: {version!r} is not a valid version"
    if not isinstance(body.get("max_tokens"), int):
        return "max_tokens: Field required"
    if "temperature" in body:
        if version != "2023-06-01":
            return "temperature: Extra inputs are not permitted"
        if not plan.takes_temperature:
            return "`temperature` is deprecated for this model."
        if body.get("thinking", {}).get("type") in ("enabled", "adaptive"):
            return "`temperature` may only be set to 1 when thinking is enabled"
    if body.get("thinking", {}).get("budget_tokens", 0) >= body["max_tokens"]:
        return "`max_tokens` must be greater than `thinking.budget_tokens`"
    if any(not stop.strip() for stop in body.get("stop_sequences", ())):
        return "stop_sequences: each stop sequence must contain non-whitespace"
    known = {"model", "max_tokens", "messages", "system", "temperature", "stop_sequences", "thinking"}
    extra = set(body) - known - {"tools", "tool_choice", "output_config"}
    if extra:
        return f"{min(extra)}: Extra inputs are not permitted"
    for block in body["messages"][-1]["content"]:
        if block["type"] == "text" and not block["text"].strip():
            return "messages: text content blocks must be non-empty"
        if block["type"] == "image" and block["source"]["media_type"] not in MEDIA_TYPES:
            return "messages.0.content.0.image.source.base64.media_type: Input should be 'image/jpeg'"
    return None


class Loopback(loopback.Loopback):  # type: ignore[misc]
    """The server's application."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.app.router.add_post("/v1/messages", self._complete)
        self.headers: list[Mapping[str, str]] = []
        """Of all calls."""
        self.complaints: list[str] = []

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        body = json.loads(await request.read())
        said = complaint(body, request.headers.get("anthropic-version", ""), self.plan)
        if said is not None:
            self.complaints.append(said)
            return self._error(400, INVALID, said)
        response: web.StreamResponse = await super()._complete(request)
        return response

    async def _fail(self, request: web.Request, fault: str, key: str, quoted: str) -> web.StreamResponse:
        if fault in STATUS_FAULTS:
            status, kind, message, code = STATUS_FAULTS[fault]
            headers = {}
            if fault in ("429", "ramp"):
                headers["retry-after"] = self.plan.retry_after
            if fault == "429-date":
                headers["retry-after"] = "Wed, 21 Oct 2015 07:28:00 GMT"
            message = message.replace("{key}", key) + (f" Input: {quoted[-300:]}" if quoted else "")
            return self._error(status, kind, message, code, headers)
        if fault == "slow":
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(request)
            for byte in b'{"id": "msg_1", "content": [':
                await response.write(bytes([byte]))
                await asyncio.sleep(0.05)
            return response
        if fault == "redirect":
            return web.Response(
                status=307, headers={"Location": f"http://localhost:{request.url.port}/elsewhere"}
            )
        answers: dict[str, Any] = {
            "empty": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"},
            "error-200": {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        }
        if fault in answers:
            return web.json_response(answers[fault])
        response = await super()._fail(request, fault, key, quoted)
        return response

    def _error(
        self,
        status: int,
        kind: str,
        message: str,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        error: dict[str, Any] = {"type": kind, "message": message}
        if code is not None:
            error["details"] = {"error_code": code, "max_side_length_pixels": 8000, "paths": []}
        whole = {"type": "error", "error": error, "request_id": "req_1"}
        return web.json_response(whole, status=status, headers=headers)

    def _completion(self, body: Mapping[str, Any], text: str) -> dict[str, Any]:
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": f"{body.get('model', '')}-20260101",
            "content": [{"type": "text", "text": text}] if self.plan.content is None else self.plan.content,
            "stop_reason": self.plan.finish_reason,
            "stop_sequence": None,
            "stop_details": self.plan.stop_details,
        }
        return message if self.plan.usage is None else {**message, "usage": self.plan.usage}


@contextlib.contextmanager
def serve(plan: Plan | None = None) -> Iterator[tuple[str, Loopback]]:
    """Run the server in a thread; gives its base URL and itself."""
    server = Loopback(plan or Plan())
    loop = asyncio.new_event_loop()
    runner, port = loop.run_until_complete(loopback._listen(server, 0))
    thread = threading.Thread(target=loop.run_forever, name="loopback-anthropic")
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}", server
    finally:
        asyncio.run_coroutine_threadsafe(loopback._stop(runner), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
