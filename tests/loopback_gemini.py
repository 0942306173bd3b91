"""A server on this machine that speaks the Gemini API's ``generateContent``, for tests.

It answers from the request's content alone, fails as often and in the ways that it is told to, and counts what it answered. The wire
format is that of the API's reference (GenerateContentResponse) and of google.rpc.Status for errors; a test holds both against the
SDK's own types.
"""

from __future__ import annotations

import asyncio
import base64
import collections
import contextlib
import dataclasses
import email.utils
import hashlib
import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aiohttp import web

RPC = "type.googleapis.com/google.rpc"
QUOTA = "You exceeded your current quota, please check your plan and billing details."


def _error(code: int, status: str, message: str, *details: Mapping[str, Any]) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    return {**error, "details": [dict(detail) for detail in details]} if details else error


def _quota(quota_id: str) -> dict[str, Any]:
    metric = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
    violation = {
        "quotaMetric": metric,
        "quotaId": quota_id,
        "quotaDimensions": {"model": "m"},
        "quotaValue": "10",
    }
    return {"@type": f"{RPC}.QuotaFailure", "violations": [violation]}


def _reason(reason: str) -> dict[str, Any]:
    return {"@type": f"{RPC}.ErrorInfo", "reason": reason, "domain": "googleapis.com"}


STATUS_FAULTS: dict[str, dict[str, Any]] = {
    "429": _error(
        429, "RESOURCE_EXHAUSTED", QUOTA, _quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier")
    ),
    "429-header": _error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    "429-date": _error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    "daily": _error(
        429, "RESOURCE_EXHAUSTED", QUOTA, _quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier")
    ),
    "spent": _error(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."),
    "500": _error(500, "INTERNAL", "An internal error has occurred."),
    "502": _error(502, "INTERNAL", "Bad gateway."),
    "503": _error(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "504": _error(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
    "499": _error(499, "CANCELLED", "The operation was cancelled."),
    "401": _error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials: {key}."),
    "403": _error(403, "PERMISSION_DENIED", "Your project has been denied access."),
    "404": _error(404, "NOT_FOUND", "models/x is not found for API version v1beta."),
    "400": _error(400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    "key": _error(
        400,
        "INVALID_ARGUMENT",
        "API key {key} not valid. Please pass a valid API key.",
        _reason("API_KEY_INVALID"),
    ),
    "place": _error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
    "context": _error(
        400,
        "INVALID_ARGUMENT",
        "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).",
    ),
    "payload": _error(400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes."),
    "image": _error(400, "INVALID_ARGUMENT", "Unable to process input image. Please retry."),
    "413": _error(413, "INVALID_ARGUMENT", "Request Entity Too Large"),
}
"""Faults that are an HTTP status and an error object; ``{key}`` quotes the key, as careless servers do."""

OTHER_FAULTS = (
    "reset",
    "cut",
    "hang",
    "slow",
    "html",
    "html-503",
    "not-json",
    "empty",
    "unfinished",
    "error-200",
    "redirect",
)
LACKS = {
    "thinkingConfig": "Thinking is not enabled for models/m",
    "responseMimeType": "JSON mode is not enabled for models/m",
    "seed": "Seed is not supported for models/m",
    "temperature": "Unsupported parameter: temperature is not supported with this model.",
    "systemInstruction": "Developer instruction is not enabled for models/m",
}
"""What a model without a parameter says to it."""


@dataclasses.dataclass
class Plan:
    """How the server behaves."""

    latency: float = 0.0
    faults: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Kind of fault to the share of calls that it strikes, drawn from the seed, the request and the attempt."""
    first: tuple[str | None, ...] = ()
    """Faults of the first calls, in order (None: answer); after that `faults` holds."""
    retry_after: str = "0.02s"
    seed: int = 0
    lacks: tuple[str, ...] = ()
    """Fields of `LACKS` that the model does not take."""
    finish_reason: str = "STOP"
    candidate: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Fields over the answer's own candidate."""
    block_reason: str | None = None
    thoughts: tuple[str, ...] = ()
    usage: Mapping[str, Any] | None = dataclasses.field(
        default_factory=lambda: {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18}
    )
    fault_of: Callable[[str], str | None] | None = None
    """Fault by prompt, before all others."""
    answer_of: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    """The whole answer by request, over the server's own."""
    location: str = ""
    """Where a redirect leads."""


@dataclasses.dataclass
class Stats:
    """What the server saw."""

    calls: int = 0
    answered: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """Text of the prompt to the number of calls that were answered with an answer."""
    faults: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    most_in_flight: int = 0
    in_flight: int = 0
    keys: set[str] = dataclasses.field(default_factory=set)
    paths: set[str] = dataclasses.field(default_factory=set)
    bodies: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """The bodies, as long as they are few (64)."""


def camel(value: Any) -> Any:
    """Return a body with its fields in camel case; the API takes both spellings, as all JSON of protocol buffers does, and the SDK mixes them."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = {re.sub(r"_(\w)", lambda found: found[1].upper(), key): item for key, item in value.items()}
    return {key: item if key == "responseJsonSchema" else camel(item) for key, item in named.items()}


def prompt_of(body: Mapping[str, Any]) -> str:
    """Return the text of the user's turn."""
    return "\n\n".join(part["text"] for part in body["contents"][-1]["parts"] if "text" in part)


def images_of(body: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    """Return (media type, bytes) of the images in the user's turn."""
    blobs = [part["inlineData"] for part in body["contents"][-1]["parts"] if "inlineData" in part]
    return [(blob["mimeType"], base64.urlsafe_b64decode(blob["data"])) for blob in blobs]


def answer_to(body: Mapping[str, Any]) -> str:
    """Return the answer to a request: one box in 0..1000, y before x, that depends on its text and images alone."""
    digest = hashlib.sha256(prompt_of(body).encode())
    for media_type, data in images_of(body):
        digest.update(media_type.encode() + data)
    dice = random.Random(digest.digest())
    y, x = dice.randint(0, 800), dice.randint(0, 800)
    box = [y, x, y + dice.randint(20, 200), x + dice.randint(20, 200)]
    return json.dumps([{"box_2d": box, "label": "abnormality"}])


def answer(plan: Plan, model: str, text: str) -> dict[str, Any]:
    """Return a GenerateContentResponse as it is on the wire."""
    whole: dict[str, Any] = {"modelVersion": f"{model}-001", "responseId": "r1"}
    if plan.usage is not None:
        whole["usageMetadata"] = dict(plan.usage)
    if plan.block_reason is not None:
        return {**whole, "promptFeedback": {"blockReason": plan.block_reason}}
    parts: list[dict[str, Any]] = [{"text": thought, "thought": True} for thought in plan.thoughts]
    candidate: dict[str, Any] = {
        "content": {"parts": [*parts, {"text": text}], "role": "model"},
        "finishReason": plan.finish_reason,
        "index": 0,
        **plan.candidate,
    }
    return {**whole, "candidates": [candidate]}


class Loopback:
    """The server's application; `serve` runs it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.stats = Stats()
        self._attempts: collections.Counter[str] = collections.Counter()
        self.app = web.Application(client_max_size=1 << 30)
        self.app.router.add_post("/{version}/models/{model}:generateContent", self._generate)

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        stats = self.stats
        stats.calls += 1
        call = stats.calls
        stats.in_flight += 1
        stats.most_in_flight = max(stats.most_in_flight, stats.in_flight)
        try:
            return await self._answer(request, call)
        finally:
            stats.in_flight -= 1

    async def _answer(self, request: web.Request, call: int) -> web.StreamResponse:
        plan, stats = self.plan, self.stats
        data = await request.read()
        key = request.headers.get("x-goog-api-key", "")
        stats.keys.add(key)
        stats.paths.add(request.path)
        body = camel(json.loads(data))
        if len(stats.bodies) < 64:
            stats.bodies.append(body)
        prompt = prompt_of(body)
        digest = hashlib.sha256(data).hexdigest()
        self._attempts[digest] += 1
        fault = self._fault(call, digest, prompt)
        if fault is not None:
            stats.faults[fault] += 1
            return await self._fail(request, fault, key)
        for field in plan.lacks:
            if field in body or field in body.get("generationConfig", {}):
                stats.faults[field] += 1
                error = _error(400, "INVALID_ARGUMENT", LACKS[field])
                return web.json_response({"error": error}, status=400)
        await asyncio.sleep(plan.latency)
        make = plan.answer_of or (lambda asked: answer(plan, request.match_info["model"], answer_to(asked)))
        response = web.json_response(make(body))
        await response.prepare(request)
        await response.write_eof()
        stats.answered[prompt] += 1
        return response

    def _fault(self, call: int, digest: str, prompt: str) -> str | None:
        plan = self.plan
        if plan.fault_of is not None and (fault := plan.fault_of(prompt)) is not None:
            return fault
        if call <= len(plan.first):
            return plan.first[call - 1]
        draw = random.Random(f"{plan.seed} {digest} {self._attempts[digest]}").random()
        for kind, share in plan.faults.items():
            draw -= share
            if draw < 0:
                return kind
        return None

    async def _fail(self, request: web.Request, fault: str, key: str) -> web.StreamResponse:
        if fault in STATUS_FAULTS:
            error = dict(STATUS_FAULTS[fault])
            error["message"] = error["message"].replace("{key}", key)
            headers = {}
            if fault == "429":
                delay = {"@type": f"{RPC}.RetryInfo", "retryDelay": self.plan.retry_after}
                error["details"] = [*error["details"], delay]
            if fault == "429-header":
                headers["Retry-After"] = self.plan.retry_after.removesuffix("s")
            if fault == "429-date":
                headers["Retry-After"] = email.utils.formatdate(time.time() + 1, usegmt=True)
            return web.json_response({"error": error}, status=error["code"], headers=headers)
        assert request.transport is not None
        if fault == "reset":
            request.transport.abort()
            return web.Response()
        if fault in ("cut", "slow"):
            response = web.StreamResponse(
                headers={"Content-Type": "application/json", "Content-Length": "5000"}
            )
            await response.prepare(request)
            await response.write(b'{"candidates": [')
            if fault == "slow":
                await asyncio.sleep(3600)
            request.transport.close()
            return response
        if fault == "hang":
            await asyncio.sleep(3600)
        whole = answer(self.plan, "m", "cut")
        candidate = {key: value for key, value in whole["candidates"][0].items() if key != "finishReason"}
        answers = {
            "empty": web.json_response({**whole, "candidates": []}),
            "unfinished": web.json_response({**whole, "candidates": [candidate]}),
            "html": web.Response(text="<html>Please wait</html>", content_type="text/html"),
            "html-503": web.Response(text="<html>Wait</html>", content_type="text/html", status=503),
            "error-200": web.json_response({"error": STATUS_FAULTS["503"]}),
            "not-json": web.Response(text="{'candidates': [", content_type="application/json"),
            "redirect": web.Response(status=307, headers={"Location": self.plan.location}),
        }
        return answers[fault]


async def _listen(loopback: Loopback, port: int) -> tuple[web.AppRunner, int]:
    runner = web.AppRunner(loopback.app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    return runner, runner.addresses[0][1]


async def _stop(runner: web.AppRunner) -> None:
    await runner.cleanup()
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in left:  # handlers that hang, and connections that were cut
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@contextlib.contextmanager
def serve(plan: Plan | None = None, port: int = 0) -> Iterator[tuple[str, Loopback]]:
    """Run the server in a thread; gives its base URL and itself, whose `plan` may be changed and whose `stats` may be read."""
    loopback = Loopback(plan or Plan())
    loop = asyncio.new_event_loop()
    runner, port = loop.run_until_complete(_listen(loopback, port))
    thread = threading.Thread(target=loop.run_forever, name="loopback")
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}", loopback
    finally:
        asyncio.run_coroutine_threadsafe(_stop(runner), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
