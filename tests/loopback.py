"""A server on this machine that speaks OpenAI's Chat Completions and Responses, for tests and benchmarks.

It answers from the request's content alone, fails as often and in the ways that it is told to, and counts what it answered.

    python tests/loopback.py --port-file PORT [--latency 0.2] [--fault 429=0.1]...     then GET /stats
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import collections
import contextlib
import email.utils
import hashlib
import json
import math
import os
import random
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from loopback_faults import STATUS_FAULTS
from loopback_plan import Plan, Stats

OTHER_FAULTS = ("redirect", "reset", "cut", "empty", "html", "error-200", "not-json", "hang")


def _content_of(body: Mapping[str, Any]) -> Any:
    """Return the content of the user's message, in either API."""
    messages = body["messages"] if "messages" in body else body["input"]
    return messages if isinstance(messages, str) else messages[-1]["content"]


def prompt_of(body: Mapping[str, Any]) -> str:
    """Return the text of the user's message."""
    content = _content_of(body)
    if isinstance(content, str):
        return content
    return "\n\n".join(part["text"] for part in content if part["type"] in ("text", "input_text"))


def images_of(body: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    """Return (media type, bytes) of the images in the user's message."""
    content = _content_of(body)
    urls = [] if isinstance(content, str) else [part["image_url"] for part in content if "image_url" in part]
    plain = [url if isinstance(url, str) else url["url"] for url in urls]
    heads_and_data = [url.removeprefix("data:").split(";base64,") for url in plain]
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
        self.app.router.add_post("/v1/responses", self._complete)
        self.app.router.add_get("/v1/models", self._models)
        self.app.router.add_get("/stats", self._report)
        self.app.router.add_post("/reset", self._reset)

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
            key: value
            for key, value in vars(self.stats).items()
            if key not in ("keys", "bodies", "headers", "loads")
        }
        return web.json_response(fields)

    async def _reset(self, request: web.Request) -> web.Response:
        """Forget what was counted, between two measurements."""
        self.stats = Stats()
        return web.json_response({})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        stats = self.stats
        stats.calls += 1
        stats.first_at = stats.first_at or time.time()
        call = stats.calls
        stats.in_flight += 1
        stats.most_in_flight = max(stats.most_in_flight, stats.in_flight)
        stats.loads.append(stats.in_flight)
        stats.calls_too_early += time.monotonic() < self._held_until
        try:
            return await self._answer(request, call)
        finally:
            stats.in_flight -= 1
            stats.last_at = time.time()

    async def _answer(self, request: web.Request, call: int) -> web.StreamResponse:
        plan, stats = self.plan, self.stats
        data = await request.read()
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        stats.keys.add(key)
        if plan.is_raw:
            await asyncio.sleep(plan.latency)
            stats.answered["raw"] += 1
            return web.json_response(self._completion({"model": "loopback"}, plan.raw_answer))
        if len(stats.bodies) < 64:
            stats.bodies.append(data)
            stats.headers.append(dict(request.headers))
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
        own = plan.fault_of(body) if plan.fault_of is not None else None
        if own is not None:
            stats.faults[own] += 1
            return await self._fail(request, own, key, "")
        refused = next((name for name in plan.refuses if name in body), None)
        if refused is not None:
            stats.faults["refused"] += 1
            return _refusal(refused, plan.refuses[refused])
        prompt = prompt_of(body)
        self._serving += 1
        try:
            await asyncio.sleep(plan.latency if plan.latency_of is None else plan.latency_of(prompt))
        finally:
            self._serving -= 1
        answer = (plan.answer_of or answer_to)(body)
        make = self._response if request.path.endswith("/responses") else self._completion
        response = web.json_response(make(body, answer))
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
            # Older versions of vLLM, and SGLang, send the error itself.
            whole = error if "object" in error else {"error": error}
            return web.json_response(whole, status=status, headers=headers)
        if fault == "redirect":  # keeps method and body
            return web.Response(status=307, headers={"Location": self.plan.redirect_to})
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
            "message": {"role": "assistant", "content": text, "refusal": None, **self.plan.message},
            "finish_reason": self.plan.finish_reason,
            "logprobs": {"content": self._positions(body, text), "refusal": None}
            if body.get("logprobs")
            else None,
            **(self.plan.choice_of(body) if self.plan.choice_of is not None else {}),
        }
        if self.plan.reasoning:
            choice["message"]["reasoning_content"] = self.plan.reasoning
        completion = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": f"{body.get('model', '')}-2026-01-01",
            "choices": [choice],
        }
        return completion if self.plan.usage is None else {**completion, "usage": self.plan.usage}

    def _positions(self, body: Mapping[str, Any], text: str) -> list[dict[str, Any]]:
        """Return the log-probabilities of an answer of one token."""
        probs = self.plan.probs_of(body) if self.plan.probs_of else {text: 1.0}
        top = [
            {"token": token, "logprob": math.log(value), "bytes": list(token.encode())}
            for token, value in sorted(probs.items(), key=lambda item: -item[1])[: body["top_logprobs"]]
        ]
        return [{**top[0], "top_logprobs": top}] if top else []

    def _response(self, body: Mapping[str, Any], text: str) -> dict[str, Any]:
        """Return the answer of the Responses API."""
        include = body.get("include") or []
        part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
        if "message.output_text.logprobs" in include:
            part["logprobs"] = self._positions(body, text)
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [part],
        }
        thought = {
            "id": "rs_1",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": self.plan.reasoning}],
            "encrypted_content": "opaque",
        }
        usage = {
            "input_tokens": 11,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
            "output_tokens": 7,
            "output_tokens_details": {"reasoning_tokens": 3},
            "total_tokens": 18,
        }
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 0.0,
            "status": "completed",
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "metadata": {},
            "model": f"{body.get('model', '')}-2026-01-01",
            "output": [thought, message] if self.plan.reasoning else [message],
            "parallel_tool_calls": True,
            "temperature": body.get("temperature", 1.0),
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "store": body.get("store", True),
            "usage": usage,
            **self.plan.response,
        }


def _refusal(name: str, code: str) -> web.Response:
    """Return the error for a parameter that the model does not take, in the words of the API."""
    what = "value" if code == "unsupported_value" else "parameter"
    error = {
        "message": f"Unsupported {what}: '{name}' is not supported with this model.",
        "type": "invalid_request_error",
        "param": name,
        "code": code,
    }
    if code == "logprobs":
        error |= {
            "message": "You are not allowed to request logprobs from this model",
            "param": None,
            "code": None,
        }
        return web.json_response({"error": error}, status=403)
    return web.json_response({"error": error}, status=400)


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
    kinds = ", ".join((*STATUS_FAULTS, *OTHER_FAULTS))
    parser.add_argument("--fault", action="append", default=[], metavar="KIND=SHARE", help=kinds)
    parser.add_argument("--retry-after", default="0.02")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--raw", action="store_true")
    parser.add_argument("--raw-answer", default="[]")
    args = parser.parse_args()
    faults = {kind: float(share) for kind, share in (text.split("=") for text in args.fault)}
    raw = {"is_raw": args.raw, "raw_answer": args.raw_answer}
    plan = Plan(args.latency, faults, retry_after=args.retry_after, seed=args.seed, **raw)

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
