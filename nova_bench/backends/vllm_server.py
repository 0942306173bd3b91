"""vLLM's server, started for one run on a free port of this machine, asked through Chat Completions, and stopped again.

The server starts with the first request: a run that is complete already starts none, and neither does a dry run. It listens to
127.0.0.1 alone and wants a key that is drawn anew each time. What it writes goes to a file without a name; the last lines are in the
error where it fails. `nova_bench.backends.vllm_guard` stands between, so that no server outlives this process, whatever ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from nova_bench.backends import vllm_guard
from nova_bench.backends.engine_log import LINES, EngineLog
from nova_bench.backends.local_model import LocalModel
from nova_bench.backends.openai_api import Body
from nova_bench.backends.openai_chat import OpenAIChat
from nova_bench.backends.retry import PermanentError, TransientError
from nova_bench.backends.seen_size import changed_config, read_processor_config, seen_size
from nova_bench.backends.vllm_arguments import ONE_LINE, convert, refuse_uncovered
from nova_bench.errors import AdapterError, UnknownNameError, UsageError
from nova_bench.types import Request, Response

if TYPE_CHECKING:
    import openai

MODULE = "vllm.entrypoints.openai.api_server"
HOST = "127.0.0.1"
KEY_VARIABLE = "VLLM_API_KEY"

START_SECONDS = 1200.0
CONCURRENCY = 64
_ATTEMPT_SECONDS = (
    3600.0  # a queue in front of our own engine is no fault, and asking again makes it no shorter
)

STRUCTURED_OUTPUTS = {"backend": "guidance"}
"""Of vLLM's ways to keep an answer to a schema the one whose answers always parse: xgrammar, which it tries first, lets raw control
characters into texts with a greatest length (54 of 100 answers of a random model were no JSON)."""

_OURS = frozenset(
    {"api_key", "config", "dtype", "headless", "help", "host", "model", "port", "revision", "root_path"}
    | {"served_model_name", "trust_remote_code", "uds"}
)
_GRACE_SECONDS = 2.5
_GUARD_SECONDS = 4.0
_LOOK_SECONDS = 0.2
_WHOLE = 10_000
_CAUSES = 3
_CAUSE = re.compile(r"\b\w*(Error|Exception)\b: |: error: ")
_SECRET = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD)$")
_PORT_TAKEN = "address already in use"


class VllmServer:
    """One server process; started, waited for and stopped from any thread.

    Args:
        arguments: Of the server, without address and key.
        start_seconds: How long it may take until it answers.
    """

    def __init__(self, arguments: Sequence[str], *, start_seconds: float = START_SECONDS) -> None:
        self._arguments = tuple(arguments)
        self._start_seconds = start_seconds
        self._lock = threading.Lock()
        self._guard: subprocess.Popen[bytes] | None = None
        self._log: EngineLog | None = None
        self.port = 0
        """Where it listens."""
        self.key = ""
        """What it wants to be shown."""

    async def ready(self) -> None:
        """Start the server where it does not run, and return once it answers.

        Raises:
            AdapterError: It ended, took too long, or was stopped meanwhile; with the last lines of its log.
        """
        until = time.monotonic() + self._start_seconds
        guard = self._start()
        while not await asyncio.to_thread(self._answers):
            if self._guard is not guard:
                raise AdapterError("vLLM's server was stopped while it was starting")
            if guard.poll() is not None:
                if _PORT_TAKEN in self._said().casefold() and time.monotonic() < until:
                    guard = self._start()  # somebody took the port between our look and the server's
                    continue
                raise AdapterError(
                    self._with_log(f"vLLM's server ended while it was starting ({_code(guard)})")
                )
            if time.monotonic() > until:
                fault = self._with_log(
                    f"vLLM's server did not answer within {self._start_seconds:.0f} s; give it longer with -o start_timeout=SECONDS"
                )
                self.stop()
                raise AdapterError(fault)
            await asyncio.sleep(_LOOK_SECONDS)

    def fault(self) -> str | None:
        """Return why nobody answers any more, with the last lines of the log; None while the server runs."""
        guard = self._guard
        if guard is None:
            return "vLLM's server was stopped"
        if guard.poll() is None:
            return None
        return self._with_log(f"vLLM's server ended in the middle of the run ({_code(guard)})")

    def stop(self) -> None:
        """End the server and everything that it started within 5 seconds; more than once, from any thread."""
        with self._lock:
            guard, self._guard = self._guard, None
        if guard is None:
            return
        if guard.stdin is not None:
            guard.stdin.close()  # what the guard waits for
        with contextlib.suppress(subprocess.TimeoutExpired):
            guard.wait(_GUARD_SECONDS)
        _kill_group(guard)
        with self._lock:
            if self._guard is None and self._log is not None:
                self._log.close()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._guard is not None:
                if self._guard.poll() is None:
                    return self._guard
                _kill_group(self._guard)  # the guard itself was killed: what it guarded may still be there
            self.port, self.key = _free_port(), secrets.token_urlsafe(24)
            if self._log is not None:
                self._log.close()
            self._log = EngineLog()
            # -P: `-m` would otherwise import from the folder in which the user happens to be.
            server = [sys.executable, "-P", "-m", MODULE, f"--host={HOST}", f"--port={self.port}"]
            # A session of its own: Ctrl-C at the terminal is for us, who let it finish what is in flight.
            self._guard = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", vllm_guard.__file__, str(os.getpid()), str(_GRACE_SECONDS)),
                    *server,
                    *self._arguments,
                ],
                stdin=subprocess.PIPE,
                stdout=self._log.fd,
                stderr=subprocess.STDOUT,
                env=_environment(self.key),
                start_new_session=True,
            )
            return self._guard

    def _answers(self) -> bool:
        """Return whether a server that knows our key says that it is ready."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {self.key}"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _said(self) -> str:
        return "" if self._log is None else self._log.tail(_WHOLE)

    def _with_log(self, what: str) -> str:
        """Return a sentence and the end of the log, and before it what looks like a first cause, which can stand far above."""
        lines = self._said().splitlines()
        if not lines:
            return f"{what}; it wrote nothing"
        above, end = lines[:-LINES], lines[-LINES:]
        causes = [line for line in dict.fromkeys(above) if _CAUSE.search(line) and line not in end]
        shown = "\n".join(f"  {line}" for line in (*causes[:_CAUSES], *end))
        return f"{what}; from its log:\n{shown}"


class ServedChat(OpenAIChat):
    """A checkpoint behind a vLLM server of our own.

    Args:
        model: The checkpoint.
        dtype: Of the weights, as vLLM names it.
        engine: Options for vLLM's engine and server, as texts.
        start_timeout: Seconds until the server has to answer.
        concurrency: Requests in flight, at most; 0 for a number that keeps one GPU busy.
        max_pixels: As in `OpenAIChat`.

    A request without a temperature is asked with 0, as by the engine in this process.

    Raises:
        AdapterError: A package is not installed.
        UsageError: An option does not exist, or does not fit.
    """

    def __init__(
        self,
        model: LocalModel,
        *,
        dtype: str = "auto",
        engine: Mapping[str, str] | None = None,
        start_timeout: float = START_SECONDS,
        concurrency: int = 0,
        max_pixels: int = 0,
    ) -> None:
        name = model.shown if model.commit is None else f"{model.shown}@{model.commit}"
        super().__init__(
            model=name,
            base_url=f"http://{HOST}:1/v1",  # the port is known once the server starts
            key_env="none",
            concurrency=concurrency or CONCURRENCY,
            max_pixels=max_pixels,
            deadline=2 * _ATTEMPT_SECONDS,
            attempt_timeout=_ATTEMPT_SECONDS,
        )
        named = {name.replace("-", "_"): text for name, text in (engine or {}).items()}
        arguments = server_arguments(model, dtype=dtype, engine=named)
        self._local = model
        changes = json.loads(named.get("mm_processor_kwargs", "{}")) or {}
        self._processor = changed_config(read_processor_config(model.path), changes)
        self.server = VllmServer([f"--served-model-name={name}", *arguments], start_seconds=start_timeout)

    def identity(self) -> Mapping[str, Any]:
        """Return what decides whether a run may be continued."""
        return self._local.identity()

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer requests as they come; without any, no server starts."""
        pulled = iter(requests)
        for first in pulled:
            return super().generate(chain((first,), pulled))
        return iter(())

    def close(self) -> None:
        """Stop the server and free everything within 5 seconds; from any thread."""
        self.server.stop()
        super().close()
        self.server.stop()  # a stream may just have been starting it

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[openai.AsyncOpenAI]:
        """Start the server, then open the client."""
        await self.server.ready()
        self.url = self.shown_url = f"http://{HOST}:{self.server.port}/v1"
        self.key_env, self.key = KEY_VARIABLE, self.server.key
        async with super().client() as client:
            yield client

    def body(self, request: Request) -> Body:
        """Return what is sent for a request."""
        if request.params.temperature is None:
            request = replace(request, params=replace(request.params, temperature=0.0))
        return super().body(request)

    def schema_of(self, request: Request) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
        """Return what is sent of a schema."""
        sent, dropped = super().schema_of(request)
        if sent is not None:
            sent = {**sent, "schema": {"x-guidance": ONE_LINE, **sent["schema"]}}
        return sent, dropped

    async def attempt(self, client: openai.AsyncOpenAI, request: Request, body: Body) -> Response:
        """Make one try; where the server is gone, no other request needs to be tried.

        Raises:
            AdapterError: It is.
        """
        try:
            response = await super().attempt(client, request, body)
        except (TransientError, PermanentError):
            fault = self.server.fault()
            if fault is None:
                raise
            raise AdapterError(self._redacted(fault)) from None
        sent = response.image_sizes or tuple(image.size for image in request.images)
        seen = tuple(seen_size(self._processor, size) or size for size in sent)
        return response if seen == sent else replace(response, image_sizes=seen)


def server_arguments(model: LocalModel, *, dtype: str = "auto", engine: Mapping[str, str]) -> list[str]:
    """Return the server's command line for a checkpoint, without address, key and name.

    Args:
        model: The checkpoint.
        dtype: Of the weights.
        engine: Options as texts, checked against the parser of vLLM's server: the engine's own and those of the server.

    Raises:
        UnknownNameError: vLLM has no such option.
        UsageError: A value does not fit, or the option is ours to set.
    """
    arguments = [
        f"--model={model.path}",
        f"--dtype={dtype}",
        "--generation-config=vllm",  # a checkpoint's own would change sampling without a word
        f"--structured-outputs-config={json.dumps(STRUCTURED_OUTPUTS)}",
        "--enable-prompt-tokens-details",  # how many tokens came from the cache
        "--disable-uvicorn-access-log",
        "--uvicorn-log-level=warning",
    ]
    if model.trust_remote_code:
        arguments.append("--trust-remote-code")
    if not engine:
        return arguments
    with (
        contextlib.closing(EngineLog()) as log,
        log.captured(),
    ):  # the import says which of its parts do not fit this machine
        actions = {action.dest: action for action in _parser()._actions if action.option_strings}
    for spelled, text in engine.items():
        name = spelled.replace("-", "_")
        refuse_uncovered(name, text)
        if name in _OURS or name.startswith(("ssl_", "grpc")):
            raise UsageError(
                f"option {spelled}={text!r}: the server that nova-bench starts has its own; leave it out"
            )
        if name not in actions:
            raise UnknownNameError("option", spelled, actions, "vLLM's server arguments")
        value = convert(name, text, actions[name])
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool) and actions[name].nargs == 0:
            if value:
                arguments.append(flag)
            elif isinstance(actions[name], argparse.BooleanOptionalAction):
                arguments.append(f"--no-{flag[2:]}")
        elif isinstance(value, list) and actions[name].nargs in ("+", "*"):
            arguments += [flag, *map(str, value)]
        else:
            arguments.append(f"{flag}={text}")
    return arguments


def _parser() -> argparse.ArgumentParser:
    """Return the parser of vLLM's server, which releases keep in different places."""
    try:
        from vllm.utils.argparse_utils import FlexibleArgumentParser
    except ModuleNotFoundError:
        from vllm.utils import FlexibleArgumentParser
    try:
        from vllm.entrypoints.launchers.cli_args import make_arg_parser
    except ModuleNotFoundError:
        from vllm.entrypoints.openai.cli_args import make_arg_parser
    made: argparse.ArgumentParser = make_arg_parser(FlexibleArgumentParser())
    return made


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _environment(key: str) -> dict[str, str]:
    """Return the server's environment: ours without keys that are none of its business (a checkpoint's own code may run there)."""
    kept = {name: value for name, value in os.environ.items() if not _SECRET.search(name.upper())}
    return {
        **kept,
        KEY_VARIABLE: key,  # not on the command line, which everybody on the machine can read
        "HF_HUB_OFFLINE": "1",  # the checkpoint is here, and code that it points to elsewhere was not agreed to
        "VLLM_NO_USAGE_STATS": "1",
    }


def _code(guard: subprocess.Popen[bytes]) -> str:
    code = guard.returncode
    with contextlib.suppress(ValueError):
        if code < 0:
            return f"its guard was killed by {signal.Signals(-code).name}"
        if code > 128:
            return f"killed by {signal.Signals(code - 128).name}"
    return f"exit code {code}"


def _kill_group(guard: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a guard and its group; a guard that ended by itself has left nothing."""
    if guard.poll() is not None and guard.returncode >= 0:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(guard.pid, signal.SIGKILL)
    guard.wait(1)
