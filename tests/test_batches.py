"""How batches form, without any engine; and what is said where there is none."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_bench.backends.batches import WINDOW, Batches, Waiting
from nova_bench.backends.hf_chat import HFChat
from nova_bench.backends.local_model import LocalModel
from nova_bench.errors import AdapterError
from nova_bench.types import Image, Request

PICTURE = Image(data=b"never read")


def waiting(name: str, length: int, n_pictures: int = 0, arrived: float = 0.0) -> Waiting:
    """Return a request that came long ago, so that nobody waits for another."""
    parts = (*[PICTURE] * n_pictures, "?")
    return Waiting(Request(name, name, 0, parts), "?", length, lambda outcome: None, arrived)


def names(batch: Sequence[Waiting]) -> list[str]:
    return [one.request.id for one in batch]


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 2)), min_size=1, max_size=40),
)
def test_every_request_is_in_one_batch_with_its_like(size: int, made: list[tuple[int, int]]) -> None:
    batches = Batches(size)
    for i, (length, n_pictures) in enumerate(made):
        batches.add(waiting(str(i), length, n_pictures))
    left, taken = [str(i) for i in range(len(made))], []
    while left:
        batch = batches.take()
        assert 1 <= len(batch) <= size
        assert len({one.group for one in batch}) == 1
        assert left[0] in names(batch), "the oldest is in the next batch, or a rare kind would wait for ever"
        lengths = [one.length for one in batch]
        others = [
            made[int(name)][0]
            for name in set(left) - set(names(batch))
            if made[int(name)][1] == batch[0].group
        ]
        assert not [other for other in others if min(lengths) < other < max(lengths)], "neighbours in length"
        left = [name for name in left if name not in names(batch)]
        taken += names(batch)
    assert sorted(taken) == sorted(map(str, range(len(made))))


@given(st.lists(st.integers(0, 99), min_size=3, max_size=12))
def test_a_full_window_makes_full_batches(lengths: list[int]) -> None:
    batches = Batches(3)
    for i, length in enumerate(lengths):
        batches.add(waiting(str(i), length))
    sizes = []
    for _ in range(-(-len(lengths) // 3)):
        sizes.append(len(batches.take()))
    assert sum(size < 3 for size in sizes) <= (len(lengths) % 3 > 0)


def test_full_batch_is_taken_ahead_and_no_other() -> None:
    batches = Batches(2)
    batches.add(waiting("1", 5))
    assert batches.take_full() == []
    batches.add(waiting("picture", 5, 1))
    assert batches.take_full() == []
    batches.add(waiting("2", 9))
    assert names(batches.take_full()) == ["1", "2"]
    assert names(batches.take()) == ["picture"]


def test_requests_that_came_just_now_are_waited_for_until_the_window_is_full() -> None:
    later = time.monotonic() + 1000
    batches = Batches(2)
    taken: list[list[str]] = []
    thread = threading.Thread(target=lambda: taken.append(names(batches.take())))
    batches.add(waiting("0", 0, arrived=later))
    thread.start()
    for i in range(1, WINDOW * 2):
        assert not taken
        batches.add(waiting(str(i), i, arrived=later))
    thread.join(60)
    assert taken == [["0", "1"]]


@pytest.mark.parametrize("n_waiting", [0, 1])
def test_close_ends_a_take_and_returns_what_waits(n_waiting: int) -> None:
    batches, taken = Batches(2), []
    for i in range(n_waiting):
        batches.add(waiting(str(i), 1, arrived=time.monotonic() + 1000))
    thread = threading.Thread(target=lambda: taken.append(batches.take()))
    thread.start()
    left: Any = batches.close()
    thread.join(60)
    assert (taken, names(left)) == ([[]], ["0"][:n_waiting])
    assert batches.take() == []


def test_request_that_comes_after_the_end_fails_instead_of_waiting_for_ever() -> None:
    batches, given = Batches(2), []
    batches.close()
    batches.add(Waiting(Request("late", "late", 0, ("?",)), "?", 1, given.append))
    assert [type(outcome) for outcome in given] == [AdapterError]
    assert batches.close() == []


def test_missing_engine_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(AdapterError, match=r'pip install "nova-bench\[transformers\]"'):
        HFChat(LocalModel("m", tmp_path, None, None))
