"""Ends an engine's processes when this one dies without a word (``kill -9``, out of memory): nobody else would.

An engine's processes do not notice that whoever asked them is gone, and keep a whole GPU's memory. So a small process waits at a pipe
whose other end only this process holds. Process ids come through the pipe; when it closes, the guard ends what is still alive of them.
It looks at start times too, so an id that was given away again is safe. Needs psutil, which engines bring along.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys


class ChildGuard:
    """A process that outlives this one for a moment, to end its children.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self) -> None:
        # A session of its own: Ctrl-C in the terminal must not take the guard away.
        self._process = subprocess.Popen(
            [sys.executable, "-I", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._watched: set[int] = set()

    def watch(self, pid: int) -> None:
        """End this process too, should we die."""
        if pid in self._watched or pid == self._process.pid:
            return
        self._watched.add(pid)
        self._say(f"{pid}\n")

    @property
    def pid(self) -> int:
        """The guard's own process id."""
        return self._process.pid

    def release(self) -> None:
        """Let the guard go; the processes that it watched have ended, or are somebody else's now."""
        self._say("released\n")
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the guard is gone: nothing that could be mended
            if self._process.stdin is not None:
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()


def main() -> None:
    """Wait at standard input, the guard's own side."""
    import psutil

    watched = []
    for line in sys.stdin:
        if line.strip() == "released":
            return
        with contextlib.suppress(psutil.Error):
            watched.append(psutil.Process(int(line)))
    for process in watched:
        with contextlib.suppress(psutil.Error):
            process.kill()


if __name__ == "__main__":
    main()
