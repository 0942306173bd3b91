"""How many attempts are in flight: what the scheduler decides, and what a server with a limit sees of it."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import statistics
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nova_bench.backends import retry
from nova_bench.backends.openai_chat import OpenAIChat
from nova_bench.backends.pace import FIRST, Pace
from nova_bench.errors import AdapterError
from nova_bench.types import Request, Response

ROOT = Path(__file__).resolve().parents[1]


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


loopback = _load("loopback", ROOT / "tests" / "loopback.py")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(retry, "LONGEST_WAIT", 0.2)


def ask(n: int) -> list[Request]:
    return [Request(str(i), str(i), 0, (f"question {i}",)) for i in range(n)]


def run(plan: Any, n: int, **options: Any) -> tuple[list[Response], Any]:
    with loopback.serve(plan) as (url, server):
        return list(OpenAIChat(model="m", base_url=url, **options).generate(ask(n))), server.stats


def settle() -> Awaitable[None]:
    return asyncio.sleep(0.01)


async def drive(
    pace: Pace, rounds: int, refuse: Callable[[int, int], bool] = lambda i, limit: False
) -> list[int]:
    """Run rounds in which everybody who may asks, with more waiting; returns the limit before each."""
    limits = []
    waiting = [asyncio.create_task(pace.enter(is_again=False)) for _ in range(4000)]
    for i in range(rounds):
        await settle()
        limits.append(pace.limit)
        begun = [task for task in waiting if task.done()]
        waiting = [task for task in waiting if not task.done()]
        assert len(begun) == pace.limit
        for task in begun:
            is_refused = refuse(i, len(begun))
            pace.leave(task.result(), is_answered=not is_refused, is_refused=is_refused)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return limits


# What it decides.


def test_it_doubles_until_the_most_where_nothing_is_refused() -> None:
    assert asyncio.run(drive(Pace(200), 5)) == [FIRST, 2 * FIRST, 4 * FIRST, 200, 200]
    assert asyncio.run(drive(Pace(5), 3)) == [5, 5, 5]


def test_a_round_of_refusals_halves_once_and_comes_back_faster_and_faster() -> None:
    limits = asyncio.run(drive(Pace(32), 12, lambda i, limit: i == 1))
    assert limits[:3] == [32, 32, 16]
    steps = [after - before for before, after in itertools.pairwise(limits[2:])]
    assert steps[0] <= 1
    assert max(steps) >= 3
    assert limits[-1] == 32


def test_it_settles_below_what_the_server_bears() -> None:
    limits = asyncio.run(drive(Pace(64), 100, lambda i, limit: limit > 10))
    late = limits[20:]
    assert max(late) <= 10 + 6
    assert 5 <= statistics.mean(late) <= 11


def test_it_never_falls_below_one() -> None:
    assert asyncio.run(drive(Pace(64), 12, lambda i, limit: True))[-1] == 1


def test_a_limit_that_nobody_waits_for_does_not_grow() -> None:
    async def quiet() -> int:
        pace = Pace(1000)
        for _ in range(500):
            pace.leave(await pace.enter(is_again=False), is_answered=True)
        return pace.limit

    assert asyncio.run(quiet()) == FIRST


def test_requests_that_were_tried_go_first() -> None:
    async def order() -> list[str]:
        pace = Pace(1)
        came: list[str] = []

        async def one(name: str, *, is_again: bool) -> None:
            round_ = await pace.enter(is_again=is_again)
            came.append(name)
            pace.leave(round_, is_answered=True)

        taken = await pace.enter(is_again=False)
        tasks = [
            asyncio.create_task(one(name, is_again=name.startswith("again")))
            for name in ("fresh 1", "fresh 2", "again 1", "again 2")
        ]
        await settle()
        pace.leave(taken)
        await asyncio.gather(*tasks)
        return came

    assert asyncio.run(order()) == ["again 1", "again 2", "fresh 1", "fresh 2"]


def test_no_place_is_lost_to_requests_that_are_cancelled_while_they_wait() -> None:
    async def cancel() -> int:
        pace = Pace(3)
        for _ in range(50):
            rounds = [await pace.enter(is_again=False) for _ in range(3)]
            waiting = [asyncio.create_task(pace.enter(is_again=False)) for _ in range(6)]
            await asyncio.sleep(0)
            waiting[0].cancel()
            for round_ in rounds:
                pace.leave(round_, is_answered=True)
            waiting[1].cancel()  # in the moment in which its place was given
            waiting[5].cancel()
            left = [
                result
                for result in await asyncio.gather(*waiting, return_exceptions=True)
                if isinstance(result, int)
            ]
            assert len(left) == 3
            for round_ in left:
                pace.leave(round_, is_answered=True)
        async with asyncio.timeout(5):
            return len([await pace.enter(is_again=False) for _ in range(3)])

    assert asyncio.run(cancel()) == 3


def test_a_hold_keeps_everybody_and_a_longer_one_counts() -> None:
    async def hold() -> tuple[bool, int]:
        pace = Pace(4)
        pace.hold(0.05)
        waiting = [asyncio.create_task(pace.enter(is_again=False)) for _ in range(4)]
        await asyncio.sleep(0)
        pace.hold(0.2)
        pace.hold(0.01)
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*waiting)
        return asyncio.get_running_loop().time() - began >= 0.19, len(waiting)

    assert asyncio.run(hold()) == (True, 4)


def test_a_stop_reaches_those_who_wait_and_those_who_come() -> None:
    async def stop() -> list[BaseException | int]:
        pace = Pace(1)
        await pace.enter(is_again=False)
        waiting = [asyncio.create_task(pace.enter(is_again=bool(i))) for i in range(2)]
        await settle()
        pace.stop(AdapterError("wrong key"))
        return await asyncio.gather(*waiting, pace.enter(is_again=False), return_exceptions=True)

    assert [str(error) for error in asyncio.run(stop())] == ["wrong key"] * 3


# What a server sees.


def test_a_storm_of_429_shrinks_what_the_server_sees() -> None:
    plan = loopback.Plan(capacity=4, latency=0.01, retry_after="0")
    responses, stats = run(plan, 400, concurrency=64)
    assert {response.finish for response in responses} == {"stop"}
    assert set(stats.prompts.values()) == {1}
    assert max(stats.loads[:64]) > 16
    assert statistics.mean(stats.loads[-200:]) < 8
    assert stats.faults["429"] < 400


def test_without_refusals_the_server_sees_the_whole_concurrency() -> None:
    responses, stats = run(loopback.Plan(latency=0.05), 300, concurrency=48)
    assert len(responses) == 300
    assert stats.most_in_flight == 48


def test_retry_after_holds_everybody() -> None:
    plan = loopback.Plan(first=(None,) * 10 + ("429",), retry_after="0.6")
    responses, stats = run(plan, 200, concurrency=8)
    assert {response.finish for response in responses} == {"stop"}
    # At most those that were on their way already.
    assert stats.calls_too_early <= 7
