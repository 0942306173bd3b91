"""A server on this machine that speaks OpenAI's Chat Completions, for tests and benchmarks.

It answers from the request's content alone, fails as often and in the ways that it is told to, and counts what it answered.

    python tests/loopback.py --port-file PORT [--latency 0.2] [--fault 429=0.1]...     then GET /stats
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import collections
import contextlib
import dataclasses
import email.utils
import hashlib
import json
import os
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

STATUS_FAULTS = {
    "400": (
        400,
        {"message": "Unknown parameter: 'x'.", "type": "invalid_request_error", "code": "unknown_parameter"},
    ),
    "401": (
        401,
        {
            "message": "Incorrect API key provided: {key}.",
            "type": "invalid_request_error",
            "code": "invalid_api_key",
        },
    ),
    "403": (
        403,
        {"message": "Your project has no access to this model.", "type": "permission_error", "code": None},
    ),
    "404": (
        404,
        {
            "message": "The model `x` does not exist.",
            "type": "invalid_request_error",
            "code": "model_not_found",
        },
    ),
    "408": (408, {"message": "Request timeout.", "type": "timeout", "code": None}),
    "413": (413, {"message": "Payload is over the limit.", "type": "invalid_request_error", "code": None}),
    "429": (
        429,
        {"message": "Rate limit reached for {key}.", "type": "requests", "code": "rate_limit_exceeded"},
    ),
    "429-date": (429, {"message": "Rate limit reached.", "type": "requests", "code": "rate_limit_exceeded"}),
    "quota": (
        429,
        {"message": "You exceeded your quota.", "type": "insufficient_quota", "code": "insufficient_quota"},
    ),
    "500": (500, {"message": "The server had an error.", "type": "server_error", "code": None}),
    "502": (502, {"message": "Bad gateway.", "type": "server_error", "code": None}),
    "503": (503, {"message": "Loading model.", "type": "server_error", "code": None}),
    "504": (504, {"message": "Gateway timeout.", "type": "server_error", "code": None}),
    "529": (529, {"message": "Overloaded.", "type": "overloaded_error", "code": None}),
    "context": (
        400,
        {
            "message": "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens.",
            "type": "invalid_request_error",
            "code": "context_length_exceeded",
        },
    ),
    "context-vllm": (
        400,
        {
            "message": "The decoder prompt (length 9000) is longer than the maximum model length of 4096.",
            "type": "BadRequestError",
            "code": 400,
        },
    ),
    "image": (
        400,
        {"message": "image exceeds 5 MB maximum: 7 MB", "type": "invalid_request_error", "code": None},
    ),
    "filtered": (
        400,
        {"message": "The prompt was filtered.", "type": "invalid_request_error", "code": "content_filter"},
    ),
}
"""Faults that are an HTTP status and an error object; ``{key}`` quotes the Authorization header, as careless servers do."""

OTHER_FAULTS = ("reset", "cut", "empty", "html", "error-200", "not-json", "hang")


@dataclasses.dataclass
class Plan:
    """How the server behaves."""

    latency: float = 0.0
    faults: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Kind of fault to the share of calls that it strikes, drawn from the seed, the request and the attempt."""
    first: tuple[str | None, ...] = ()
    """Faults of the first calls, in order (None: answer); after that `faults` holds."""
    retry_after: str = "0.02"
    seed: int = 0
    is_raw: bool = False
    """Leave the body unread by JSON and answer a constant: a benchmark measures the client, not the server."""
    message: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Fields over the answer's own message."""
    finish_reason: str | None = "stop"
    usage: Mapping[str, Any] | None = dataclasses.field(
        default_factory=lambda: {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    )
    latency_of: Callable[[str], float] | None = None
    """Latency by prompt, over `latency`."""
    answer_of: Callable[[Mapping[str, Any]], str] | None = None
    """Answer by request, over `answer_to`."""
    capacity: int | None = None
    """Calls in flight that are served; further ones get 429, as from a vendor with a rate limit."""
    quotes: bool = False
    """Errors quote the prompt, as servers do that say which field was wrong."""


@dataclasses.dataclass
class Stats:
    """What the server saw."""

    calls: int = 0
    answered: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """sha256 of a request's body to the number of calls that were answered with 200 and a completion."""
    prompts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """The same by the text of the prompt."""
    faults: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    in_flight: int = 0
    most_in_flight: int = 0
    loads: list[int] = dataclasses.field(default_factory=list)
    """Calls in flight when each call came, itself included."""
    calls_too_early: int = 0
    """Calls that came before the last ``Retry-After`` had passed."""
    keys: set[str] = dataclasses.field(default_factory=set)
    bodies: list[bytes] = dataclasses.field(default_factory=list)
    """The bodies, as long as they are few (64)."""


def prompt_of(body: Mapping[str, Any]) -> str:
    """Return the text of the user's message."""
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return "\n\n".join(part["text"] for part in content if part["type"] == "text")


def images_of(body: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    """Return (media type, bytes) of the images in the user's message."""
    content = body["messages"][-1]["content"]
    urls = (
        []
        if isinstance(content, str)
        else [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    )
    heads_and_data = [url.removeprefix("data:").split(";base64,") for url in urls]
    return [(head, base64.b64decode(data, validate=True)) for head, data in heads_and_data]


def answer_to(body: Mapping[str, Any]) -> str:
    """Return the answer to a request: one box in 0..1000, x before y, that depends on its text and images alone."""
    digest = hashlib.sha256(prompt_of(body).encode())
    for media_type, data in images_of(body):
        digest.update(media_type.encode() + data)
    dice = random.Random(digest.digest())
    x, y = dice.randint(0, 800), dice.randint(0, 800)
    box = [x, y, x + dice.randint(20, 200), y + dice.randint(20, 200)]
    return json.dumps([{"bbox_2d": box, "label": "abnormality"}])


class Loopback:
    """The server's application; `serve` and `main` run it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.stats = Stats()
        self._attempts: collections.Counter[str] = collections.Counter()
        self._held_until = 0.0
        self._serving = 0
        self.sites: list[web.TCPSite] = []
        self.loop: asyncio.AbstractEventLoop
        self.app = web.Application(client_max_size=1 << 30)
        self.app.router.add_post("/v1/chat/completions", self._complete)
        self.app.router.add_get("/v1/models", self._models)
        self.app.router.add_get("/stats", self._report)

    def stop_listening(self) -> None:
        """Refuse new connections and leave those that are open: a machine that is half dead."""
        for site in list(self.sites):
            asyncio.run_coroutine_threadsafe(_close(site), self.loop).result(10)

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "object": "list",
                "data": [{"id": "loopback", "object": "model", "created": 0, "owned_by": "tests"}],
            }
        )

    async def _report(self, request: web.Request) -> web.Response:
        fields = {
            key: value for key, value in vars(self.stats).items() if key not in ("keys", "bodies", "loads")
        }
        return web.json_response(fields)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        stats = self.stats
        stats.calls += 1
        call = stats.calls
        stats.in_flight += 1
        stats.most_in_flight = max(stats.most_in_flight, stats.in_flight)
        stats.loads.append(stats.in_flight)
        stats.calls_too_early += time.monotonic() < self._held_until
        try:
            return await self._answer(request, call)
        finally:
            stats.in_flight -= 1

    async def _answer(self, request: web.Request, call: int) -> web.StreamResponse:
        plan, stats = self.plan, self.stats
        data = await request.read()
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        stats.keys.add(key)
        if plan.is_raw:
            await asyncio.sleep(plan.latency)
            stats.answered["raw"] += 1
            return web.json_response(self._completion({"model": "loopback"}, "[]"))
        if len(stats.bodies) < 64:
            stats.bodies.append(data)
        digest = hashlib.sha256(data).hexdigest()
        self._attempts[digest] += 1
        is_full = plan.capacity is not None and self._serving >= plan.capacity
        fault = "429" if is_full else self._fault(call, digest)
        if is_full:
            await asyncio.sleep(plan.latency)
        if fault is not None:
            stats.faults[fault] += 1
            return await self._fail(request, fault, key, prompt_of(json.loads(data)) if plan.quotes else "")
        body = json.loads(data)
        prompt = prompt_of(body)
        self._serving += 1
        try:
            await asyncio.sleep(plan.latency if plan.latency_of is None else plan.latency_of(prompt))
        finally:
            self._serving -= 1
        response = web.json_response(self._completion(body, (plan.answer_of or answer_to)(body)))
        await response.prepare(request)
        await response.write_eof()
        stats.answered[digest] += 1
        stats.prompts[prompt] += 1
        return response

    def _fault(self, call: int, digest: str) -> str | None:
        if call <= len(self.plan.first):
            return self.plan.first[call - 1]
        draw = random.Random(f"{self.plan.seed} {digest} {self._attempts[digest]}").random()
        for kind, share in self.plan.faults.items():
            draw -= share
            if draw < 0:
                return kind
        return None

    async def _fail(self, request: web.Request, fault: str, key: str, quoted: str) -> web.StreamResponse:
        if fault in STATUS_FAULTS:
            status, error = STATUS_FAULTS[fault]
            error = {**error, "message": str(error["message"]).replace("{key}", key)}
            if quoted:
                error["message"] += f" Input: {quoted[-300:]}"
            headers = {}
            if fault == "429":
                headers["Retry-After"] = self.plan.retry_after
                with contextlib.suppress(ValueError):
                    self._held_until = time.monotonic() + float(self.plan.retry_after)
            if fault == "429-date":
                headers["Retry-After"] = email.utils.formatdate(time.time() + 1, usegmt=True)
            return web.json_response({"error": error}, status=status, headers=headers)
        if fault == "reset":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if fault == "cut":
            response = web.StreamResponse(
                headers={"Content-Type": "application/json", "Content-Length": "5000"}
            )
            await response.prepare(request)
            await response.write(b'{"id": "1", "choices": [')
            assert request.transport is not None
            request.transport.close()
            return response
        if fault == "hang":
            await asyncio.sleep(3600)
        answers = {
            "empty": web.json_response({**self._completion({}, ""), "choices": []}),
            "html": web.Response(text="<html>Please wait</html>", content_type="text/html"),
            "error-200": web.json_response({"error": {"message": "Provider returned error", "code": 502}}),
            "not-json": web.Response(text="{'id': 1,", content_type="application/json"),
        }
        return answers[fault]

    def _completion(self, body: Mapping[str, Any], text: str) -> dict[str, Any]:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text, **self.plan.message},
            "finish_reason": self.plan.finish_reason,
            "logprobs": None,
        }
        completion = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": f"{body.get('model', '')}-2026-01-01",
            "choices": [choice],
        }
        return completion if self.plan.usage is None else {**completion, "usage": self.plan.usage}


async def _listen(
    loopback: Loopback, port: int, tls: ssl.SSLContext | None = None
) -> tuple[web.AppRunner, int]:
    runner = web.AppRunner(loopback.app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    loopback.sites.append(site)
    loopback.loop = asyncio.get_running_loop()
    return runner, runner.addresses[0][1]


async def _close(site: web.TCPSite) -> None:
    assert site._server is not None
    site._server.close()


async def _stop(runner: web.AppRunner) -> None:
    await runner.cleanup()
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in left:  # handlers that hang, and connections that were cut
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@contextlib.contextmanager
def serve(
    plan: Plan | None = None, port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, Loopback]]:
    """Run the server in a thread; gives its base URL and itself, whose `plan` may be changed and whose `stats` may be read."""
    loopback = Loopback(plan or Plan())
    loop = asyncio.new_event_loop()
    runner, port = loop.run_until_complete(_listen(loopback, port, tls))
    thread = threading.Thread(target=loop.run_forever, name="loopback")
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1", loopback
    finally:
        asyncio.run_coroutine_threadsafe(_stop(runner), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def main() -> None:
    """Run the server until it is killed; the port goes into a file, written and renamed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="KIND=SHARE",
        help=f"{', '.join((*STATUS_FAULTS, *OTHER_FAULTS))}",
    )
    parser.add_argument("--retry-after", default="0.02")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--raw", action="store_true")
    args = parser.parse_args()
    faults = {kind: float(share) for kind, share in (text.split("=") for text in args.fault)}
    plan = Plan(
        latency=args.latency, faults=faults, retry_after=args.retry_after, seed=args.seed, is_raw=args.raw
    )

    async def forever() -> None:
        runner, port = await _listen(Loopback(plan), args.port)
        new = args.port_file.with_suffix(".new")
        new.write_text(str(port))
        os.replace(new, args.port_file)
        try:
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(forever())


if __name__ == "__main__":
    main()
