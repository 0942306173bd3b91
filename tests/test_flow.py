"""The plumbing of asynchronous backends: what it delivers, in which order, what it holds back, and what it leaves behind."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from nova_bench.backends.flow import Send, Stream, answer
from nova_bench.errors import AdapterError
from nova_bench.types import Request, Response

PATIENCE = 20.0
"""Seconds after which a test that waits for another thread fails instead of hanging."""


def ask(*names: object) -> list[Request]:
    return [Request(str(name), str(name), 0, ("?",)) for name in names]


def connect_to(
    send: Send, log: list[str] | None = None
) -> Callable[[], contextlib.AbstractAsyncContextManager[Send]]:
    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Send]:
        if log is not None:
            log.append("open")
        try:
            yield send
        finally:
            if log is not None:
                log.append("close")

    return connect


async def echo(request: Request) -> Response:
    await asyncio.sleep(0)
    return Response(request.id, request.text)


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("nova-bench")]


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "the condition did not come true"
        time.sleep(0.002)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    wait_until(lambda: not our_threads())


def test_every_request_is_answered_once() -> None:
    responses = list(answer(ask(*range(300)), connect_to(echo), concurrency=7))
    assert sorted(int(response.id) for response in responses) == list(range(300))
    assert our_threads() == []


def test_no_request_gives_no_response() -> None:
    assert list(answer([], connect_to(echo), concurrency=3)) == []


def test_nothing_starts_before_the_first_next() -> None:
    log: list[str] = []
    stream = answer(ask(1), connect_to(echo, log), concurrency=1)
    assert our_threads() == []
    assert log == []
    assert [response.id for response in stream] == ["1"]


def test_a_straggler_delays_no_other_answer() -> None:
    others_arrived = threading.Event()

    async def send(request: Request) -> Response:
        while request.id == "straggler" and not others_arrived.is_set():
            await asyncio.sleep(0.001)
        return Response(request.id)

    seen = []
    for response in answer(ask("straggler", *range(50)), connect_to(send), concurrency=4):
        seen.append(response.id)
        if len(seen) == 50:
            others_arrived.set()
    assert seen[-1] == "straggler"


def test_a_late_request_delays_no_finished_answer() -> None:
    both_arrived = threading.Event()

    def requests() -> Iterator[Request]:
        yield from ask("a", "b")
        assert both_arrived.wait(PATIENCE), "the answers wait for the next request"
        yield from ask("late")

    seen = []
    for response in answer(requests(), connect_to(echo), concurrency=8):
        seen.append(response.id)
        if len(seen) == 2:
            both_arrived.set()
    assert sorted(seen[:2]) == ["a", "b"]
    assert seen[2:] == ["late"]


def test_a_slow_consumer_stalls_nothing_in_flight() -> None:
    finished = []

    async def send(request: Request) -> Response:
        await asyncio.sleep(0.005 if request.id != "0" else 0)
        finished.append(request.id)
        return Response(request.id)

    stream = answer(ask(*range(6)), connect_to(send), concurrency=6)
    first = next(stream)
    wait_until(lambda: len(finished) == 6)  # while the consumer is busy with the first
    assert {first.id, *(response.id for response in stream)} == set("012345")


@pytest.mark.parametrize("concurrency", [1, 2, 16])
def test_sent_and_not_logged_never_exceeds_concurrency(concurrency: int) -> None:
    dice = random.Random(0)
    n_pulled = n_sent = n_logged = 0
    most_pulled = most_sent = 0

    def requests() -> Iterator[Request]:
        nonlocal n_pulled, most_pulled
        for request in ask(*range(400)):
            n_pulled += 1
            most_pulled = max(most_pulled, n_pulled - n_logged)
            yield request

    async def send(request: Request) -> Response:
        nonlocal n_sent, most_sent
        n_sent += 1
        most_sent = max(most_sent, n_sent - n_logged)
        await asyncio.sleep(dice.choice([0, 0, 0.001]))
        return Response(request.id)

    for _ in answer(requests(), connect_to(send), concurrency=concurrency):
        n_logged += 1
    assert n_logged == 400
    assert most_sent == concurrency
    assert most_pulled == concurrency


def test_a_response_holds_its_slot_until_the_consumer_comes_back() -> None:
    sent = []

    async def send(request: Request) -> Response:
        sent.append(request.id)
        return Response(request.id)

    stream = answer(ask(*range(10)), connect_to(send), concurrency=3)
    for expected in (3, 4, 5, 6, 7, 8, 9, 10, 10, 10):
        next(stream)
        wait_until(lambda n=expected: len(sent) >= n)  # type: ignore[misc]
        time.sleep(0.005)  # time for one too many, if the slots were wrong
        assert len(sent) == expected
    assert list(stream) == []


def test_the_end_of_requests_drains_what_is_in_flight() -> None:
    all_are_sent = threading.Event()
    n_sent = 0

    async def send(request: Request) -> Response:
        nonlocal n_sent
        n_sent += 1
        if n_sent == 5:
            all_are_sent.set()
        while not has_ended:
            await asyncio.sleep(0.001)
        return Response(request.id)

    has_ended = False

    def requests() -> Iterator[Request]:
        nonlocal has_ended
        yield from ask(*range(5))
        assert all_are_sent.wait(PATIENCE)
        has_ended = True

    assert len(list(answer(requests(), connect_to(send), concurrency=8))) == 5


def test_an_exception_in_requests_is_raised_after_what_is_in_flight() -> None:
    def requests() -> Iterator[Request]:
        yield from ask("a", "b")
        raise ValueError("the data set broke")

    stream = answer(requests(), connect_to(echo), concurrency=8)
    assert {next(stream).id, next(stream).id} == {"a", "b"}
    with pytest.raises(ValueError, match="the data set broke"):
        next(stream)
    with pytest.raises(StopIteration):
        next(stream)


def test_an_exception_in_send_fails_that_request_alone() -> None:
    async def send(request: Request) -> Response:
        if request.id == "1":
            raise OSError("no route")
        if request.id == "2":
            raise asyncio.CancelledError  # libraries leak their own cancellations
        return Response(request.id)

    responses = {
        response.id: response for response in answer(ask(*range(4)), connect_to(send), concurrency=2)
    }
    assert [responses[name].finish for name in "0123"] == ["stop", "error", "error", "stop"]
    assert responses["1"].error == "OSError: no route"


def test_an_adapter_error_stops_pulling_and_keeps_what_is_in_flight() -> None:
    is_fatal = threading.Event()
    next_is_free = threading.Event()

    def requests() -> Iterator[Request]:
        yield from ask("slow", "fatal")
        next_is_free.wait(PATIENCE)  # the error is not held up by a request that does not come
        yield from ask(*range(100))

    async def send(request: Request) -> Response:
        if request.id == "fatal":
            is_fatal.set()
            raise AdapterError("wrong key")
        while not is_fatal.is_set():
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        return Response(request.id, "paid")

    stream = answer(requests(), connect_to(send), concurrency=8)
    responses = {response.id: response for response in (next(stream), next(stream))}
    assert responses["slow"].text == "paid"
    assert (responses["fatal"].finish, responses["fatal"].error) == ("error", "wrong key")
    with pytest.raises(AdapterError, match="wrong key"):
        next(stream)
    next_is_free.set()


def test_a_keyboard_interrupt_in_send_is_raised() -> None:
    log: list[str] = []

    async def send(request: Request) -> Response:
        if request.id == "3":
            raise KeyboardInterrupt
        await asyncio.sleep(30)
        return Response(request.id)

    with pytest.raises(KeyboardInterrupt):
        list(answer(ask(*range(8)), connect_to(send, log), concurrency=8))
    assert log == ["open", "close"]


@pytest.mark.parametrize("interrupt", [_thread.interrupt_main, lambda: os.kill(os.getpid(), signal.SIGINT)])
def test_ctrl_c_while_waiting_loses_no_answer(interrupt: Callable[[], None]) -> None:
    is_interrupted = threading.Event()

    async def send(request: Request) -> Response:
        if request.id == "0":
            interrupt()  # while the consumer waits in next(); the first form is seen only once an answer has woken it
            await asyncio.sleep(0.05)
            is_interrupted.set()
        while not is_interrupted.is_set():
            await asyncio.sleep(0.001)
        return Response(request.id)

    stream = answer(ask(*range(8)), connect_to(send), concurrency=8)
    with pytest.raises(KeyboardInterrupt):
        list(stream)
    assert {response.id for response in stream} == set("01234567")


def test_close_from_another_thread_wakes_a_waiting_consumer() -> None:
    log: list[str] = []
    cancelled = []

    async def send(request: Request) -> Response:
        if request.id == "quick":
            return Response(request.id)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(request.id)
            raise
        raise AssertionError("nobody answers")

    stream = answer(ask("quick", *range(5)), connect_to(send, log), concurrency=6)
    assert next(stream).id == "quick"
    closer = threading.Timer(0.05, stream.close)
    closer.start()
    assert list(stream) == []
    closer.join()
    assert sorted(cancelled) == list("01234")
    assert log == ["open", "close"]
    assert our_threads() == []
    stream.close()  # again


def test_close_keeps_answers_that_had_arrived() -> None:
    finished = []

    async def send(request: Request) -> Response:
        if request.id == "never":
            await asyncio.sleep(3600)
        finished.append(request.id)
        return Response(request.id)

    stream = answer(ask("a", "b", "c", "never"), connect_to(send), concurrency=4)
    first = next(stream)
    wait_until(lambda: len(finished) == 3)
    stream.close()
    assert {first.id, *(response.id for response in stream)} == {"a", "b", "c"}


def test_close_returns_while_requests_block() -> None:
    may_go_on = threading.Event()

    def requests() -> Iterator[Request]:
        yield from ask("a")
        may_go_on.wait(PATIENCE)
        yield from ask("b")

    stream = answer(requests(), connect_to(echo), concurrency=4)
    assert next(stream).id == "a"
    stream.close()
    assert our_threads() == ["nova-bench-pull"]  # inside next(requests), where nobody can reach it
    may_go_on.set()
    assert list(stream) == []


def test_close_before_the_start_answers_nothing() -> None:
    stream = answer(ask(1), connect_to(echo), concurrency=1)
    stream.close()
    assert list(stream) == []


def test_close_ends_the_threads_of_a_send_that_cannot_be_cancelled() -> None:
    has_begun = threading.Event()

    async def send(request: Request) -> Response:
        has_begun.set()
        for _ in range(100):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
        return Response(request.id)

    stream = answer(ask(1), connect_to(send), concurrency=1)
    taker = threading.Thread(target=lambda: list(stream))
    taker.start()
    assert has_begun.wait(PATIENCE)
    stream.close()
    assert our_threads() == []
    taker.join()


def test_an_abandoned_stream_stops_by_itself() -> None:
    log: list[str] = []
    for _ in answer(ask(*range(1000)), connect_to(echo, log), concurrency=4):
        break
    wait_until(lambda: log == ["open", "close"])
    wait_until(lambda: not our_threads())


def test_a_client_that_does_not_open_raises() -> None:
    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Send]:
        raise AdapterError("no client")
        yield echo

    with pytest.raises(AdapterError, match="no client"):
        next(answer(ask(1), connect, concurrency=1))


def test_a_client_that_does_not_close_takes_no_answer_back() -> None:
    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Send]:
        yield echo
        raise OSError("cannot close")

    assert [response.id for response in answer(ask(1), connect, concurrency=1)] == ["1"]


def test_streams_work_inside_a_running_event_loop() -> None:
    async def cell_of_a_notebook() -> list[str]:
        return [response.id for response in answer(ask(1, 2), connect_to(echo), concurrency=1)]

    assert asyncio.run(cell_of_a_notebook()) == ["1", "2"]


def test_streams_can_follow_one_another_and_leave_no_task() -> None:
    tasks_left = []

    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Send]:
        yield echo
        tasks_left.append(len(asyncio.all_tasks()) - 1)

    for _ in range(5):
        stream: Stream = answer(ask(*range(20)), connect, concurrency=3)
        assert len(list(stream)) == 20
    assert tasks_left == [0] * 5


def test_concurrency_below_one_is_refused() -> None:
    with pytest.raises(AdapterError, match="expected 1 or more"):
        answer([], connect_to(echo), concurrency=0)


@pytest.fixture
def running_loop():
    """A loop that runs in a thread of its own, as an engine's."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_a_given_loop_serves_several_streams_and_goes_on(running_loop):
    loops = set()

    @contextlib.asynccontextmanager
    async def connect():
        async def send(request):
            loops.add(asyncio.get_running_loop())
            await asyncio.sleep(0)
            if request.id == "2":
                raise ValueError("bad")
            return Response(request.id, request.id)

        yield send

    for _ in range(2):
        requests = (Request(str(i), str(i), 0, ("?",)) for i in range(5))
        responses = list(answer(requests, connect, concurrency=2, loop=running_loop))
        assert sorted(response.id for response in responses) == list("01234")
        assert [response.id for response in responses if response.finish == "error"] == ["2"]
    assert loops == {running_loop}
    assert running_loop.is_running()


def test_a_stream_on_a_given_loop_closes_and_cancels_what_is_in_flight(running_loop):
    cancelled = []
    begun = threading.Event()

    @contextlib.asynccontextmanager
    async def connect():
        async def send(request):
            if request.id == "0":
                return Response("0", "first")
            begun.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                cancelled.append(request.id)
                raise

        yield send

    stream = answer(
        (Request(str(i), str(i), 0, ("?",)) for i in range(3)), connect, concurrency=2, loop=running_loop
    )
    assert next(stream).text == "first"
    assert begun.wait(10)
    stream.close()
    assert list(stream) == []
    assert cancelled == ["1"]
    assert running_loop.is_running()


def test_an_adapter_error_on_a_given_loop_reaches_the_consumer(running_loop):
    @contextlib.asynccontextmanager
    async def connect():
        async def send(request):
            raise AdapterError("the engine died")

        yield send

    stream = answer(
        (Request(str(i), str(i), 0, ("?",)) for i in range(3)), connect, concurrency=1, loop=running_loop
    )
    with pytest.raises(AdapterError, match="the engine died"):
        list(stream)
    assert running_loop.is_running()
