"""The process in which a check runs an adapter, seen from outside: started, listened to, timed, ended with all that it started."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from nova_bench.conformance_child import LOADS
from nova_bench.conformance_judge import CLOSE_SECONDS
from nova_bench.conformance_stream import TIME
from nova_bench.static_check import Finding, printable

_GRACE_SECONDS = 5.0
"""The child times itself and can say where it waits; only a child that cannot is timed from here."""

_DRAWING_SECONDS = 60.0

_MOST_PRINTED = 2_000
_MOST_WRITTEN = 100_000_000
"""Bytes on standard output or standard error, after which a process is ended before it fills the disk."""

_START = "import json, sys; sys.path[:] = json.loads(sys.argv[2]); from nova_bench.conformance_child import main; main()"
"""Modules are looked for where a run looks: with -m, an openai.py in the user's folder would stand for the package."""


class Process:
    """One child: started, listened to, ended, with all that it started."""

    def __init__(
        self,
        order: Mapping[str, Any],
        hear: Callable[[Mapping[str, Any]], None],
        *,
        load_seconds: float,
        step_seconds: float,
    ) -> None:
        self._tell, self._load_seconds, self._step_seconds = hear, load_seconds, step_seconds
        self.loss: Finding | None = None
        """What became of a child that was lost in the middle of a step."""
        self.exit: Finding | None = None
        """How a child ended that did all of its steps."""
        self.printed = self.complained = ""
        """What it wrote to standard output (its beginning) and to standard error (its end)."""
        self.has_loaded = False
        self.step = LOADS
        self._deadline = time.monotonic() + load_seconds + _GRACE_SECONDS
        self._begun = time.monotonic()
        self._waiting: dict[str, None] = {}
        """What was pulled and not answered in this step."""
        self._state = "working"
        self._threads: list[str] = []
        self._crowd = 0
        self._stack = contextlib.ExitStack()
        self._output, self._errors = (
            self._stack.enter_context(contextlib.closing(tempfile.TemporaryFile()))  # noqa: SIM115  (the stack closes it)
            for _ in range(2)
        )
        self._pipe, far = os.pipe()
        self._stack.callback(os.close, self._pipe)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, str(far), json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self._errors,
            pass_fds=(far,),
            start_new_session=True,
        )
        os.close(far)
        assert self._process.stdin is not None  # it is a pipe
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(json.dumps(order).encode() + b"\n")

    def listen(self) -> str:
        """Hear the child to its end; return the step at which it was lost, empty where it did them all."""
        try:
            with self._stack:
                for line in self._lines():
                    self._hear(line)
                lost = "" if self._state == "ended" else self.step
                if self._state == "working":
                    self._explain_loss()
                if self._state == "ended" and self.has_loaded:
                    self.exit = self._see_off()
                self._kill()
                self.printed, self.complained = self._head(self._output), self._tail(self._errors)
                return lost
        finally:
            self._kill()

    def _hear(self, line: Mapping[str, Any]) -> None:
        kind = line["kind"]
        if kind in ("begin", "clock"):  # the clock starts again once the pictures of a step are drawn
            self.step = line.get("step", self.step)
            self._waiting.clear()
            seconds = self._load_seconds if self.step == LOADS else self._step_seconds
            # `close` waits for an answer first, twice for close(), and then for the end.
            extra = 3 * CLOSE_SECONDS if self.step == "close" else 0.0
            extra += _DRAWING_SECONDS if kind == "begin" and self.step != LOADS else 0.0
            self._begun = time.monotonic()
            self._deadline = self._begun + seconds + extra + (0.0 if self.step == LOADS else _GRACE_SECONDS)
        elif kind == "asked":
            self._waiting[repr(line["id"])] = None
        elif kind == "answered":
            self._waiting.pop(line["id"], None)
        elif kind == "loaded":
            self.has_loaded = True
        elif kind == "stuck":
            self._state = "stuck"
        elif kind == "end":
            self._state = "ended"
            self._threads, self._crowd = line["threads"], line["crowd"]
        self._tell(line)

    def _lines(self) -> Iterator[dict[str, Any]]:
        """Yield the child's lines until it says that it is done, ends, or is out of time."""
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_READ)
            while self._state == "working":
                has_ended = self._process.poll() is not None
                if not selector.select(0.0 if has_ended else 0.1):
                    if has_ended or time.monotonic() > self._deadline or self._writes_too_much():
                        return
                    continue
                data = os.read(self._pipe, 1 << 16)
                if not data:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._process.wait(2)
                    return
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    with contextlib.suppress(
                        ValueError
                    ):  # an adapter that writes into every file that is open
                        yield json.loads(line)

    def _explain_loss(self) -> None:
        """Say what became of a child that ended, or did not go on, in the middle of a step."""
        at = "while it was loading" if self.step == LOADS else f"in step '{self.step}'"
        asked = f", with {next(iter(self._waiting))} unanswered" if self._waiting else ""
        code: int | str | None = self._process.poll()
        if code is None and self._writes_too_much():
            what = f"it wrote more than {_MOST_WRITTEN // 1_000_000} MB to standard output or standard error {at}"
            remedy = "remove the print() of a loop"
        elif code is None:
            seconds = time.monotonic() - self._begun
            what = f"it did not come back within {seconds:.0f} s {at}{asked}"
            remedy = TIME
        elif isinstance(code, int) and code < 0:
            with contextlib.suppress(ValueError):
                code = signal.Signals(-code).name
            memory = ", which is what systems do where memory runs out" if code == "SIGKILL" else ""
            what = f"its process was ended by signal {code} {at}{asked}{memory}"
            remedy = (
                "remove what interrupts the process; an adapter ends a stream by returning"
                if code in ("SIGINT", "SIGTERM")
                else "run the adapter in a small script under python -X faulthandler, or on a machine with more memory"
            )
        else:
            what = f"it ended its process with exit code {code} {at}{asked}"
            remedy = "remove os._exit(), exec and what else ends a process; raise an exception instead"
        if said := self._tail(self._errors).strip():
            what += f"; its last words: {printable(said.splitlines()[-1], 200)}"
        self.loss = Finding(self.step, "fail", what, remedy)

    def _see_off(self) -> Finding:
        """Wait for the child's end, and say what keeps it or outlives it."""
        names = ", ".join(map(repr, dict.fromkeys(self._threads)))
        named = f": {len(self._threads)} threads ({names}) hold it" if self._threads else ""
        remedy = "end threads and child processes where generate ends, or in close(); a thread that may be left behind is made with daemon=True"
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            return Finding(
                "exit", "fail", f"{CLOSE_SECONDS:g} s after its work the process does not end{named}", remedy
            )
        if self._crowd:
            what = f"{self._crowd} threads of the adapter still ran after close(): each call of generate leaves some behind"
            return Finding("exit", "fail", what, remedy)
        until = time.monotonic() + 2.0
        while _is_group_alive(self._process.pid):
            if time.monotonic() > until:
                return Finding("exit", "fail", "a process that the adapter started is still running", remedy)
            time.sleep(0.05)
        if code := self._process.returncode:
            said = printable((self._tail(self._errors).strip().splitlines() or [""])[-1], 200)
            return Finding(
                "exit", "fail", f"its process ended with code {code} after all steps: {said}", remedy
            )
        return Finding("exit", "pass", "its process ended by itself, and left nothing behind")

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _writes_too_much(self) -> bool:
        return any(os.fstat(file.fileno()).st_size > _MOST_WRITTEN for file in (self._output, self._errors))

    @staticmethod
    def _head(file: IO[bytes]) -> str:
        file.seek(0)
        return file.read(_MOST_PRINTED).decode(errors="replace")

    @staticmethod
    def _tail(file: IO[bytes]) -> str:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 100 * _MOST_PRINTED))
        return file.read().decode(errors="replace")


def _is_group_alive(group: int) -> bool:
    """Return whether a process group whose leader was waited for has members left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
