"""A hub on the loopback interface for the real ``huggingface_hub`` client: data or a model with commits, branches, logins and faults.

It speaks the part of the protocol that a download uses: ``GET /api/datasets/ID/revision/REV`` and ``HEAD`` and ``GET`` of
``/datasets/ID/resolve/REV/PATH`` (models: ``/api/models/ID/revision/REV`` and
``/ID/resolve/REV/PATH``) with ``ETag``, ``X-Repo-Commit`` and, for refusals, ``X-Error-Code`` and ``X-Error-Message``.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit


class LoopbackHub:
    """Serves one data set or model; use as a context manager.

    Attributes:
        url: What ``HF_ENDPOINT`` is set to.
        requests: ``(method, path, status)`` of what was asked, in order.
        gated: Files are given only to accounts in `granted`; without a token 401, with another one 403.
        private: Without a token of `granted` there is, by its word, no such repository.
        granted: Tokens with access.
        status: Any call answers this, such as 503; None for the ordinary course.
        fail_images_after: After so many pictures or weights no further one is given (503); None for no limit.
        sizes: Bytes that the listing claims for a path, where that is not the truth.
        silent: Seconds for which any call says nothing.
    """

    def __init__(self, repository: str = "c-i-ber/Nova", kind: str = "dataset") -> None:
        self.repository, self.kind = repository, kind
        self.sizes: dict[str, int] = {}
        self.commits: dict[str, dict[str, bytes]] = {}
        self.branches: dict[str, str] = {}
        self.requests: list[tuple[str, str, int]] = []
        self.gated = False
        self.private = False
        self.granted: set[str] = set()
        self.status: int | None = None
        self.fail_images_after: int | None = None
        self.silent = 0.0
        self._given = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> LoopbackHub:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def commit(self, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Make a commit of these files, point the branch to it and return its 40 hex digits."""
        content = json.dumps([(path, hashlib.sha1(data).hexdigest()) for path, data in sorted(files.items())])
        commit = hashlib.sha1(content.encode()).hexdigest()
        self.commits[commit] = dict(files)
        self.branches[branch] = commit
        return commit

    def asked(self, ending: str, method: str = "GET") -> int:
        """Return how many calls with this method were for a path with this ending."""
        return sum(1 for each, path, _ in self.requests if each == method and path.endswith(ending))

    def answer(self, path: str, token: str | None, method: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body."""
        if self.status is not None:
            return self.status, {}, b"out of order"
        api = f"/api/{self.kind}s/{self.repository}/revision/"
        resolve = f"{'/datasets' if self.kind == 'dataset' else ''}/{self.repository}/resolve/"
        rest = path.removeprefix(api if path.startswith(api) else resolve)
        revision, _, name = rest.partition("/")
        if rest == path or (self.private and token not in self.granted):
            # the real hub does not tell strangers whether a repository exists
            return _refusal(404 if token else 401, "RepoNotFound", "Repository not found")
        commit = self.branches.get(unquote(revision), revision)
        if commit not in self.commits:
            return _refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = self.commits[commit]
        if path.startswith(api):  # metadata of gated data sets are public
            body: dict[str, Any] = {
                "id": self.repository,
                "sha": commit,
                "private": self.private,
                "gated": self.gated,
            }
            return (
                200,
                {"Content-Type": "application/json"},
                json.dumps({**body, "siblings": [self._sibling(n, files[n]) for n in files]}).encode(),
            )
        if self.gated and token not in self.granted:
            message = f"Access to {self.kind} {self.repository} is restricted"
            return _refusal(403 if token else 401, "GatedRepo", message)
        if unquote(name) not in files:
            status, headers, body_bytes = _refusal(404, "EntryNotFound", "Entry not found")
            return status, {**headers, "X-Repo-Commit": commit}, body_bytes
        if method == "GET" and name.endswith((".png", ".safetensors")):
            self._given += 1
            if self.fail_images_after is not None and self._given > self.fail_images_after:
                return 503, {}, b"out of order"
        data = files[unquote(name)]
        return 200, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": commit}, data

    def _sibling(self, name: str, data: bytes) -> dict[str, Any]:
        return {"rfilename": name, "size": self.sizes.get(name, len(data))}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._reply()

            def do_HEAD(self) -> None:
                self._reply()

            def log_message(self, format: str, *args: object) -> None:
                pass

            def _reply(self) -> None:
                path = urlsplit(self.path).path
                time.sleep(hub.silent)
                login = self.headers.get("Authorization")
                status, headers, body = hub.answer(
                    path, login.removeprefix("Bearer ") if login else None, self.command
                )
                hub.requests.append((self.command, unquote(path), status))
                try:
                    self.send_response(status)
                    for name, value in {**headers, "Content-Length": str(len(body))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    if self.command == "GET":
                        self.wfile.write(body)
                except OSError:  # the client gave up waiting
                    self.close_connection = True

        return Handler


def _refusal(status: int, code: str, message: str) -> tuple[int, dict[str, str], bytes]:
    return status, {"X-Error-Code": code, "X-Error-Message": message}, json.dumps({"error": message}).encode()
