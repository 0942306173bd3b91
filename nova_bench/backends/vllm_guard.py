"""Runs a server for another process, and ends it with all that it started when that process is gone; a script of its own.

``python vllm_guard.py PARENT SECONDS COMMAND...``: PARENT is the process that wants the server and holds the other end of standard
input, SECONDS is what the server has to end by itself. The exit code is the server's.

A process that was killed with -9 cannot clean up, and vLLM's engine does not notice that nobody wants it any more: it would hold its
GPU memory for ever. So somebody else watches. Linux can send a signal at a parent's death instead, but sends it when the *thread* ends
that started the child, and only to the child itself, not to the engine below it.

This file is run by its path, without any site packages, so that it starts in milliseconds: it imports the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

_LOOK_SECONDS = 0.25
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str]) -> int:
    """Run a server until it ends, or until nobody wants it any more."""
    parent, seconds, command = int(arguments[0]), float(arguments[1]), arguments[2:]
    asked_to_end: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked_to_end.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, note)  # a handler: what is ignored would be ignored by the server too
    _control(_PR_SET_CHILD_SUBREAPER, 1)  # what loses its parent becomes our child, and so is found
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)
    while server.poll() is None and not asked_to_end and os.getppid() == parent:
        # The pipe tells at once; the parent's number tells even where a fork of the parent kept the pipe open.
        readable, _, _ = select.select([sys.stdin], [], [], _LOOK_SECONDS)
        if readable and not os.read(sys.stdin.fileno(), 1):
            break
    _end(server, seconds)
    code = server.returncode
    return 1 if code is None else code if code >= 0 else 128 - code  # of a signal, as shells say it


def descendants(of: int) -> list[int]:
    """Return the processes below one, dead ones left out; none where the system has no ``/proc``."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # "PID (NAME) STATE PARENT ...", and a name may hold anything, brackets too.
            state, its_parent = entry.read_text(errors="replace").rpartition(")")[2].split()[:2]
        except (OSError, ValueError):  # ended meanwhile
            continue
        if state not in "ZX":
            children.setdefault(int(its_parent), []).append(int(entry.parent.name))
    found: list[int] = []
    waiting = [of]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _end(server: subprocess.Popen[bytes], seconds: float) -> None:
    """Ask all processes of the group to end, and kill what does not."""
    until = time.monotonic() + seconds
    with contextlib.suppress(ProcessLookupError):
        os.killpg(0, signal.SIGTERM)  # ours too, which has a handler
    while (server.poll() is None or descendants(os.getpid())) and time.monotonic() < until:
        time.sleep(0.05)
    for process in descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    if server.poll() is None:
        server.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(1)
    # What lost its parent is ours to bury; the error comes once there is none left.
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < until + 1:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)
    if sys.platform != "linux":  # nobody can be listed there; this ends the guard too
        os.killpg(0, signal.SIGKILL)


def _die_with_parent() -> None:
    """Have this process killed when the guard is killed; the guard has one thread, so that is what it means."""
    _control(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _control(option: int, value: int) -> None:
    """Call ``prctl``; elsewhere than on Linux there is none, and the process group has to do."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
