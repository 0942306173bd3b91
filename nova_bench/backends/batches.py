"""How batches form out of requests that come one at a time: by number of pictures and by length, never by waiting for a straggler.

A batch costs as much as its longest prompt, so requests of one length belong together. They are looked for among those that wait, at
most `WINDOW` batches of them. Nobody waits for ever: a batch is made around the request that has waited longest, and it is made as soon
as the window is full or nothing came for `LINGER_SECONDS` (then it holds what there is).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nova_bench.errors import AdapterError
from nova_bench.types import Request

WINDOW = 4
"""Batches that wait, at most."""

LINGER_SECONDS = 0.1
"""How long after a request's arrival the next one is waited for, while the window is not full."""

LONGEST_WAIT_SECONDS = 1.0
"""How long a request waits for a fuller window, however steadily others arrive."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A request that waits for its batch."""

    request: Request
    prompt: str
    """The prompt, as the checkpoint's chat template writes it."""
    length: int
    """How long it is, about, in tokens."""
    finish: Callable[[Any], None]
    """Takes the response, or the exception that stands for it."""
    arrived: float = field(default_factory=time.monotonic)

    @property
    def group(self) -> int:
        """What is the same in a batch: the number of pictures. Not all processors take a batch in which it differs."""
        return len(self.request.images)


class Batches:
    """Requests that wait, handed out in batches.

    Args:
        size: Requests a batch, at most; see `size`.

    >>> batches = Batches(2)
    >>> for i, length in enumerate((9, 1, 8)):
    ...     batches.add(Waiting(Request(str(i), str(i), 0, ("?",)), "?", length, print))
    >>> [[waiting.length for waiting in batches.take()] for _ in range(2)]
    [[8, 9], [1]]
    """

    def __init__(self, size: int) -> None:
        self.size = size
        """May be lowered, and raised again, while it runs."""
        self._most = WINDOW * size
        self._waiting: list[Waiting] = []
        self._changed = threading.Condition()
        self._is_closed = False

    def add(self, waiting: Waiting) -> None:
        """Let a request wait; once closed, nobody takes it any more, and it fails."""
        with self._changed:
            if not self._is_closed:
                self._waiting.append(waiting)
                self._changed.notify()
                return
        waiting.finish(AdapterError("the model had ended before this request came"))

    def close(self) -> list[Waiting]:
        """End every `take`, now and later, and return what still waits."""
        with self._changed:
            self._is_closed = True
            left, self._waiting = self._waiting, []
            self._changed.notify_all()
            return left

    def take(self) -> list[Waiting]:
        """Return the next batch as soon as there is one; empty once closed."""
        with self._changed:
            while not self._is_closed:
                if not self._waiting:
                    self._changed.wait()
                    continue
                left = self._due() - time.monotonic()
                if len(self._waiting) >= self._most or left <= 0:
                    return self._cut()
                self._changed.wait(left)
            return []

    def take_full(self) -> list[Waiting]:
        """Return a batch if there is a full one now, else an empty list."""
        with self._changed:
            oldest = self._waiting[0].group if self._waiting else None
            same = sum(waiting.group == oldest for waiting in self._waiting)
            return self._cut() if same >= self.size and not self._is_closed else []

    def _due(self) -> float:
        return min(
            self._waiting[-1].arrived + LINGER_SECONDS, self._waiting[0].arrived + LONGEST_WAIT_SECONDS
        )

    def _cut(self) -> list[Waiting]:
        """Take out the batch around the oldest request: its neighbours in length, of as many pictures."""
        oldest = self._waiting[0]
        alike = sorted(
            (waiting for waiting in self._waiting if waiting.group == oldest.group),
            key=lambda waiting: waiting.length,
        )
        # Whole batches are counted from the long end: memory runs out at once or never, and the remainder is the cheap one.
        place = len(alike) - 1 - alike.index(oldest)
        end = len(alike) - place // self.size * self.size
        batch = alike[max(0, end - self.size) : end]
        taken = {id(waiting) for waiting in batch}
        self._waiting = [waiting for waiting in self._waiting if id(waiting) not in taken]
        return batch
