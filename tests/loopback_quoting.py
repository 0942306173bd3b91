"""A server on this machine that quotes the prompt in everything that it says, as far as it says anything but the answer.

What befalls a request stands in its own text: ``FAULT-x`` is answered by the fault x of `FAULTS`, for as long as the server is `is_ill`.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from loopback import prompt_of

FAULTS = {
    "refused": (400, {"type": "invalid_request_error", "code": "unknown_parameter"}),
    "down": (500, {"type": "server_error", "code": None}),
    "filtered": (400, {"type": "invalid_request_error", "code": "content_filter"}),
    "long": (400, {"type": "invalid_request_error", "code": "context_length_exceeded"}),
    "key": (401, {"type": "invalid_request_error", "code": "invalid_api_key"}),
}
"""Faults that are an HTTP status with an error object. Beside them: ``shouted`` (400, the quotation in capitals), ``cut`` (the answer ends in
the middle), ``aborted`` (an answer that says of itself that it was broken off), ``sick`` (200, with an error), ``page`` (200, not JSON),
``named`` (a good answer, whose model is named after the prompt)."""


class Quoting(ThreadingHTTPServer):
    """The server; what it does may be changed while it runs."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.is_ill = True
        self.every: str | None = None
        """The fault of every request, whatever its text says."""
        self.calls = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Quoting

    def do_POST(self) -> None:
        self.server.calls += 1
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = prompt_of(body)
        named = re.search(r"FAULT-([a-z]+)", prompt)
        kind = self.server.every or (named[1] if named and self.server.is_ill else "")
        quoted = f"cannot digest this prompt: {prompt}"
        if kind in FAULTS:
            status, error = FAULTS[kind]
            self._send(status, {"error": {"message": quoted, "param": None, **error}})
        elif kind == "shouted":
            self._send(400, {"error": {"message": quoted.upper(), "type": prompt, "code": prompt}})
        elif kind == "sick":
            self._send(200, {"error": {"message": quoted, "code": 502}})
        elif kind == "page":
            self._write(200, f"<html>{quoted}</html>".encode(), "text/html")
        elif kind == "cut":
            begun = json.dumps(_completion(quoted))[:-20].encode()
            self._write(200, begun, "application/json", length=len(begun) + 5000)
            self.close_connection = True
        elif kind == "aborted":
            self._send(200, _completion(quoted, finish_reason="abort"))
        else:
            model = prompt if kind == "named" else body["model"]
            self._send(200, _completion("glaucoma", model=model))

    def log_message(self, *words: Any) -> None:
        """Say nothing."""

    def _send(self, status: int, document: Any) -> None:
        self._write(status, json.dumps(document).encode(), "application/json")

    def _write(self, status: int, data: bytes, kind: str, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)


def _completion(text: str, model: str = "m", finish_reason: str = "stop") -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [choice],
        "usage": usage,
    }


@contextlib.contextmanager
def serve_quoting() -> Iterator[tuple[str, Quoting]]:
    """Run the server in a thread; gives its base URL and itself."""
    server = Quoting()
    thread = threading.Thread(target=server.serve_forever, name="loopback")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
