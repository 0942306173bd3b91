"""What an engine writes while it loads and runs: kept off the screen, and quoted where something fails.

Engines of the field write to both standard streams, from several processes and from C++ too. Standard output belongs to ``--json``, and
nobody reads 200 lines about a start that worked. So the streams of this process lead into a file while an engine starts; the processes
that it starts inherit them and go on writing there. The file has no name, so nothing is left behind.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

LINES = 12
"""Lines of an engine's log that an error quotes."""

_LONGEST_LINE = 300
_READ_BYTES = 64 * 1024
_PREFIX = re.compile(r"^(?:\([^)]*pid=\d+\) )?(?:[A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d )?(?:\[[^\]]+:\d+\] )?")
"""vLLM begins each line with its process, level, time and place; they fill half of the line."""
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class EngineLog:
    r"""A file without a name that takes an engine's words.

    >>> log = EngineLog()
    >>> with log.captured():
    ...     _ = os.write(2, b"(EngineCore pid=7) ERROR 01-31 23:59:59 [core.py:12] out of memory\n")
    >>> log.tail()
    'out of memory'
    >>> log.close()
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the engine)

    @property
    def fd(self) -> int:
        """The file's descriptor, to be given to a process as its output."""
        return self._file.fileno()

    @contextlib.contextmanager
    def captured(self) -> Iterator[None]:
        """Lead both standard streams of this process into the file, C++ and processes started meanwhile included."""
        _flush()
        kept = [os.dup(stream) for stream in (1, 2)]
        try:
            for stream in (1, 2):
                os.dup2(self.fd, stream)
            yield
        finally:
            _flush()
            for stream, original in zip((1, 2), kept, strict=True):
                os.dup2(original, stream)
                os.close(original)

    def tail(self, lines: int = LINES) -> str:
        """Return the last lines that say something; empty where nothing was written."""
        if self._file.closed:
            return ""
        size = os.fstat(self.fd).st_size
        # pread: the offset is shared with everybody who writes.
        text = os.pread(self.fd, _READ_BYTES, max(0, size - _READ_BYTES)).decode(errors="replace")
        said = [_PREFIX.sub("", _ANSI.sub("", line)).rstrip() for line in re.split(r"[\r\n]+", text)]
        kept = [line[:_LONGEST_LINE] for line in said if line.strip()]
        return "\n".join(kept[-lines:])

    def close(self) -> None:
        """Give the file up; processes that still write to it go on doing so."""
        self._file.close()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, or replaced by something that cannot
            stream.flush()
