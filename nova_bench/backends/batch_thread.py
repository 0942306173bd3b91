"""The thread in which a model answers batch after batch: the next one is made ready meanwhile, and one that fails is halved.

Out of memory, and any other fault of a batch, is searched down to the one request that cannot be answered, which then fails alone. After
memory ran out batches stay smaller for a while: for 8 batches at first, then for 16, 32, ... so that a few large pictures do not slow
down a whole run, and a batch that never fits is not tried all the time.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from nova_bench.backends.batches import Batches, Waiting
from nova_bench.backends.hf_checkpoint import Checkpoint, free_memory, is_lost, is_out_of_memory, quiet
from nova_bench.backends.hf_decoding import ClosedError
from nova_bench.errors import AdapterError
from nova_bench.types import Finish, Response

_FIRST_PATIENCE = 8


@dataclass(slots=True, eq=False)
class Prepared:
    """A batch that is ready for the model."""

    batch: list[Waiting] = field(default_factory=list)
    inputs: dict[str, Any] = field(default_factory=dict)
    n_inputs: list[int] = field(default_factory=list)
    settled: list[tuple[Waiting, Response]] = field(default_factory=list)
    """Requests that the model need not be asked for."""


class Batched(Protocol):
    """What answers batches."""

    batch_size: int
    model_lock: threading.Lock

    def load(self) -> Checkpoint:
        """Return the checkpoint, loaded at the first call."""

    def prepares_ahead(self) -> bool:
        """Whether a batch is made ready while the model works on another."""

    def prepare(self, batch: list[Waiting]) -> Prepared:
        """Make a batch ready for the model."""

    def answers(
        self, prepared: Prepared, is_closed: Callable[[], bool]
    ) -> Iterator[tuple[Waiting, Response]]:
        """Yield the responses of a batch that was made ready."""


class BatchThread:
    """The thread of one stream that runs the model."""

    def __init__(self, chat: Batched, loop: asyncio.AbstractEventLoop) -> None:
        self.batches = Batches(chat.batch_size)
        self.loaded: asyncio.Future[Checkpoint] = loop.create_future()
        self._chat = chat
        self._loop = loop
        self._is_stopped = False
        self._patience = _FIRST_PATIENCE
        self._successes = 0

    def stop(self) -> None:
        """End at the next token; from any thread."""
        self._is_stopped = True
        self.batches.close()

    def settle(self, future: asyncio.Future[Any], outcome: Any) -> None:
        """Give a future its result or exception, from the model's thread."""

        def give() -> None:
            if future.done():
                return
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(give)

    def work(self) -> None:
        """Load the model and answer batches until `stop`; the thread's body."""
        with self._chat.model_lock, quiet():
            try:
                checkpoint = self._chat.load()
            except BaseException as error:
                self.settle(self.loaded, error)
                return
            self.settle(self.loaded, checkpoint)
            del checkpoint
            try:
                with concurrent.futures.ThreadPoolExecutor(1, "nova-bench-prepare") as pool:
                    self._work(pool)
            except ClosedError:
                pass
            except BaseException as error:
                for waiting in self.batches.close():
                    waiting.finish(_fatal(error))

    def _work(self, pool: concurrent.futures.ThreadPoolExecutor) -> None:
        if not self._chat.prepares_ahead():
            while batch := self.batches.take():
                self._answer_or_end(batch, lambda batch=batch: self._chat.prepare(batch), [])  # type: ignore[misc]  # binds the loop's variable
            return
        batch = self.batches.take()
        ready = pool.submit(self._chat.prepare, batch)
        while batch:
            following = self.batches.take_full()
            following_ready = pool.submit(self._chat.prepare, following) if following else None
            self._answer_or_end(batch, ready.result, following)
            if following_ready is None:
                following = self.batches.take()
                following_ready = pool.submit(self._chat.prepare, following)
            batch, ready = following, following_ready

    def _answer_or_end(
        self, batch: list[Waiting], ready: Callable[[], Prepared], following: list[Waiting]
    ) -> None:
        """Answer a batch; an error that ends the run ends what was taken with it."""
        try:
            self._answer(batch, ready)
        except ClosedError:
            raise
        except BaseException as error:
            for waiting in (*batch, *following):
                waiting.finish(_fatal(error))
            raise

    def _answer(self, batch: list[Waiting], ready: Callable[[], Prepared]) -> None:
        """Answer a batch; one that fails is halved until what fails is one request, which then fails alone.

        Raises:
            AdapterError: All further ones would fail too.
            ClosedError: The adapter was closed.
        """
        if self._is_stopped:
            raise ClosedError
        is_short, reason = False, ""
        try:
            for waiting, response in self._chat.answers(ready(), lambda: self._is_stopped):
                waiting.finish(response)
        except (AdapterError, ClosedError):
            raise
        except Exception as error:
            if is_lost(error) and not is_out_of_memory(error):
                raise AdapterError(
                    f"the GPU is lost to this process: {error}; give the same command again"
                ) from None
            is_short, reason = is_out_of_memory(error), f"{type(error).__name__}: {error}"
        if not reason:
            self._grow(len(batch))
            return
        free_memory()  # not in the except block: there the error still holds the batch's tensors
        if len(batch) == 1:
            remedy = (
                "; it does not fit into memory even alone: use -o max_pixels=, -o dtype=bfloat16 or -p max_tokens="
                if is_short
                else ""
            )
            # Qwen's processors refuse pictures of more than 200 to 1: the model's own limit, so asking again would not help.
            finish: Finish = "rejected" if "aspect ratio" in reason else "error"
            batch[0].finish(Response(batch[0].request.id, finish=finish, error=reason + remedy))
            return
        half = (len(batch) + 1) // 2
        if is_short:
            self.batches.size = max(1, min(self.batches.size, half))
            self._successes, self._patience = 0, 2 * self._patience
        for part in (batch[:half], batch[half:]):
            self._answer(part, lambda part=part: self._chat.prepare(part))  # type: ignore[misc]  # a default binds the loop's variable

    def _grow(self, n_answered: int) -> None:
        """Try larger batches again after a while: what did not fit may have been a few large pictures."""
        self._successes += n_answered >= self.batches.size
        if self._successes >= self._patience:
            self._successes = 0
            self.batches.size = min(self._chat.batch_size, 2 * self.batches.size)


def _fatal(error: BaseException) -> AdapterError:
    """Return an error as the kind that ends a run."""
    return error if isinstance(error, AdapterError) else AdapterError(f"{type(error).__name__}: {error}")
