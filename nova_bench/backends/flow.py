"""The plumbing between a blocking stream of requests and an asynchronous client.

    requests --(a thread pulls)--> [at most `concurrency` in flight on an event loop, in a thread of its own] --> responses

A late request never delays a finished answer, because requests are pulled apart from the loop; a slow consumer never stalls what
is in flight, because answers wait in a queue; a straggler delays nobody, because answers leave in the order in which they arrive.

A request holds its slot until the consumer *comes back for the next response*, which says that it has logged this one. So at most
`concurrency` requests are sent and not yet logged at any moment: that is all a ``kill -9`` can lose. The queue needs no other
bound.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import queue
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from nova_bench.errors import AdapterError
from nova_bench.types import Request, Response

T = TypeVar("T")

CLOSE_SECONDS = 5.0
"""How long `Stream.close` may take; what does not end by then is left behind as a daemon thread."""

_CANCEL_SECONDS = 2.0
_DISCONNECT_SECONDS = 1.5
_PULL_SECONDS = 0.5


Send = Callable[[Request], Awaitable[Response]]
"""Sends one request."""

Connect = Callable[[], AbstractAsyncContextManager[Send]]
"""Opens the client on the event loop and gives what sends; its exit closes the client."""


def answer(
    requests: Iterable[Request],
    connect: Connect,
    *,
    concurrency: int,
    loop: asyncio.AbstractEventLoop | None = None,
) -> Stream:
    """Answer a stream of requests with an asynchronous client.

    Args:
        requests: Pulled one at a time, in a thread of its own, never further ahead than there are free slots. ``next`` may block
            for as long as it likes. Its end is the graceful stop: what is in flight is finished and yielded. An exception out of
            it does the same, and is then raised to the consumer.
        connect: Opens the client and gives ``send``. Entered and left on the event loop, once a stream.
        concurrency: Requests that may be pulled and not yet logged.
        loop: A loop that runs already, in another thread, where the client has to live (an engine's); by default one is made for
            the stream. Whoever stops it cancels its tasks first.

    An exception in ``send`` makes that request alone fail (``finish="error"``). An `AdapterError` says that every further request
    would fail too: pulling stops, what is in flight is finished and yielded, then it is raised. What is no `Exception`
    (``KeyboardInterrupt``, ``SystemExit``) is raised at once.

    >>> @contextlib.asynccontextmanager
    ... async def connect():
    ...     async def send(request):
    ...         return Response(request.id, request.text.upper())
    ...     yield send
    >>> [response.text for response in answer([Request("1", "1", 0, ("a brain",))], connect, concurrency=4)]
    ['A BRAIN']
    """
    if concurrency < 1:
        raise AdapterError(f"concurrency={concurrency}: expected 1 or more")
    return Stream(_Run(requests, connect, concurrency, loop))


class Stream(Iterator[Response]):
    """The responses, as they arrive. Nothing starts before the first ``next``.

    An iterator, not a generator: a ``KeyboardInterrupt`` that strikes while the consumer waits leaves it whole, and the consumer
    can go on with what was paid for already. A response therefore stays at the head of the queue until the next call.
    """

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._is_given = False
        self._owes_slot = False

    def __next__(self) -> Response:
        run = self._run
        run.start()
        # Python looks for signals after a call, not between a line that clears a flag and the call below it.
        if self._is_given:
            self._is_given = False
            run.finished.popleft()
        if self._owes_slot:
            self._owes_slot = False
            run.slots.put(True)
        while not run.finished:
            run.arrived.get()
        response = run.finished[0]
        if response is None:  # stays there, so that every later call ends too
            run.join()
            error, run.error = run.error, None
            if error is not None:
                raise error
            raise StopIteration
        self._is_given = self._owes_slot = True
        return response

    def close(self) -> None:
        """Cancel what is in flight and end the threads within 5 seconds; from any thread, more than once.

        Responses that had arrived can still be taken; then the stream ends. The thread that pulls ends when ``next(requests)``
        returns: nobody can interrupt it, so whoever feeds the stream should end it.
        """
        self._run.close()
        self._run.join()

    def __del__(self) -> None:
        # An abandoned stream (break in a for loop) stops by itself. No join: the collector may run in any thread, ours included.
        self._run.close()


class _Run:
    """What the threads of one stream share. Only queues that are safe in a signal handler cross threads: no locks of our own."""

    def __init__(
        self,
        requests: Iterable[Request],
        connect: Connect,
        concurrency: int,
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        self.slots: queue.SimpleQueue[bool] = queue.SimpleQueue()
        for _ in range(concurrency):
            self.slots.put(True)
        self.finished: collections.deque[Response | None] = collections.deque()
        """What the consumer has not come back from; None is the end."""
        self.arrived: queue.SimpleQueue[None] = queue.SimpleQueue()
        """Wakes a consumer that waits; one token a response, and stale ones do no harm."""
        self.error: BaseException | None = None
        self._requests = requests
        self._connect = connect
        self._loop_thread: threading.Thread | None = None
        self._pull_thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._given_loop = loop
        self._served = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._has_started = False
        self._is_pulled = False  # no request will follow
        self._is_stopping = False  # no request may follow
        self._is_closed = False
        self._ended: asyncio.Event | None = None

    def start(self) -> None:
        if self._has_started:
            return
        self._has_started = True
        if self._is_closed:
            self._arrive(None)
            return
        if self._given_loop is not None:
            self._loop = self._given_loop
            asyncio.run_coroutine_threadsafe(self._serve_to_end(), self._loop)
            return
        self._loop_thread = threading.Thread(target=self._loop_until_end, name="nova-bench-loop", daemon=True)
        self._loop_thread.start()

    def close(self) -> None:
        self._is_closed = self._is_stopping = True
        self.slots.put(False)
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended by itself
                self._loop.call_soon_threadsafe(self._wake)

    def _arrive(self, response: Response | None) -> None:
        self.finished.append(response)
        self.arrived.put(None)

    def join(self) -> None:
        here = threading.current_thread()
        if self._loop_thread is not None and self._loop_thread is not here:
            self._loop_thread.join(CLOSE_SECONDS - _PULL_SECONDS)
        if self._given_loop is not None and self._has_started:
            self._served.wait(CLOSE_SECONDS - _PULL_SECONDS)
        if self._pull_thread is not None and self._pull_thread is not here:
            self._pull_thread.join(_PULL_SECONDS)  # waits longer only while it is inside next(requests)

    # The thread that pulls.

    def _pull(self) -> None:
        error: BaseException | None = None
        assert self._loop is not None  # the loop starts this thread
        try:
            requests = iter(self._requests)
            while self.slots.get() and not self._is_stopping:
                try:
                    request = next(requests)
                except StopIteration:
                    break
                if self._is_stopping:
                    break
                self._loop.call_soon_threadsafe(self._begin, request)
                del request  # a request can hold megabytes: none stays alive while the next one is awaited
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # closed meanwhile
            self._loop.call_soon_threadsafe(self._pulled, error)

    # The thread of the event loop.

    def _loop_until_end(self) -> None:
        try:
            loop = self._loop = asyncio.new_event_loop()
            serving = loop.create_task(self._serve())
            try:
                loop.run_until_complete(serving)
            finally:
                if not serving.done():  # KeyboardInterrupt or SystemExit out of a task stops the loop itself
                    serving.cancel()
                    loop.run_until_complete(asyncio.wait({serving}, timeout=CLOSE_SECONDS - _PULL_SECONDS))
                loop.run_until_complete(loop.shutdown_asyncgens())
                loop.close()
        except BaseException as raised:
            self._fail(raised)
        finally:
            self._arrive(None)

    async def _serve_to_end(self) -> None:
        """Serve on a loop that is not ours."""
        try:
            await self._serve()
        except BaseException as raised:
            self._fail(raised)
        finally:
            self._served.set()
            self._arrive(None)

    def _fail(self, error: BaseException) -> None:
        self._is_stopping = True
        self.slots.put(False)
        self.error = error

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        if self._is_closed:
            return
        async with _within(self._connect(), _DISCONNECT_SECONDS) as self._send:
            self._pull_thread = threading.Thread(target=self._pull, name="nova-bench-pull", daemon=True)
            self._pull_thread.start()
            try:
                await self._ended.wait()
            finally:
                self._is_stopping = True
                self.slots.put(False)  # a puller that waits for a slot ends
                if self._tasks:
                    for task in self._tasks:
                        task.cancel()
                    await asyncio.wait(self._tasks, timeout=_CANCEL_SECONDS)

    def _begin(self, request: Request) -> None:
        if self._is_stopping:
            return
        task = asyncio.get_running_loop().create_task(self._one(request))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def _one(self, request: Request) -> None:
        try:
            response = await self._send(request)
        except asyncio.CancelledError:
            if self._is_closed:
                raise
            response = Response(request.id, finish="error", error="cancelled by the client library")
        except AdapterError as error:
            self.error = self.error or error
            self._is_stopping = True
            self.slots.put(False)
            response = Response(request.id, finish="error", error=str(error))
        except Exception as error:
            response = Response(request.id, finish="error", error=f"{type(error).__name__}: {error}")
        self._arrive(response)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved: it has stopped the loop already, and need not be reported again
        self._wake()

    def _pulled(self, error: BaseException | None) -> None:
        self._is_pulled = True
        self.error = self.error or error
        self._wake()

    def _wake(self) -> None:
        """End the loop if it was closed, or if nothing is in flight and nothing will follow."""
        if self._ended is not None and (
            self._is_closed or ((self._is_pulled or self._is_stopping) and not self._tasks)
        ):
            self._ended.set()


@contextlib.asynccontextmanager
async def _within(client: AbstractAsyncContextManager[T], seconds: float) -> AsyncIterator[T]:
    """Enter a client, and give its exit no more than `seconds`; an exit that fails takes no answer back."""
    value = await client.__aenter__()
    try:
        yield value
    finally:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(seconds):
                await client.__aexit__(None, None, None)
