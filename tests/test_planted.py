"""The twin with a planted gap worsens the answers of the samples that it was given, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest
from planted import WRONG, Planted, draw, members

import nova_bench as nb

MINI = Path(__file__).resolve().parent.parent / "tasks" / "data" / "fmbench_mini"
ROWS = 30


def requests(count: int = ROWS, repeats: int = 1) -> list[nb.Request]:
    return [
        nb.Request(f"s{i}" + (f"#{r}" if r else ""), f"s{i}", r, (f"question {i}",))
        for i in range(count)
        for r in range(repeats)
    ]


def test_only_the_given_samples_are_worsened_in_every_repeat() -> None:
    twin = Planted(nb.each(lambda request: request.text), {"s3", "s7", "elsewhere"})
    said = {response.id: response.text for response in twin.generate(requests(repeats=2))}
    assert len(said) == 2 * ROWS
    assert {name for name, text in said.items() if text == WRONG} == {"s3", "s3#1", "s7", "s7#1"}
    assert said["s4"] == "question 4"


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_share_is_that_of_the_samples_and_depends_on_the_seed(share: float) -> None:
    names = [f"s{i}" for i in range(2000)]
    twin = Planted(nb.each(lambda request: ""), names, share=share)
    assert len(twin.worsened) == pytest.approx(share * 2000, abs=0 if share != 0.5 else 100)
    other = Planted(nb.each(lambda request: ""), names, share=share, seed=1)
    assert (other.worsened == twin.worsened) == (share != 0.5)
    assert all((name in twin.worsened) == (draw(0, name) < share) for name in names)


def test_failure_stays_a_failure() -> None:
    def fail(request: nb.Request) -> str:
        raise ValueError("broken")

    (response,) = Planted(nb.each(fail), {"s0"}).generate(requests(1))
    assert (response.finish, response.text) == ("error", None)


def test_requests_are_pulled_one_at_a_time() -> None:
    pulled: list[str] = []

    def lazily() -> object:
        for request in requests():
            pulled.append(request.id)
            yield request

    stream = Planted(nb.each(lambda request: request.text), {"s0"}).generate(lazily())  # type: ignore[arg-type]
    next(stream)
    assert pulled == ["s0"]


def test_members_are_the_samples_of_a_group() -> None:
    groups = [members(MINI / "vqa.parquet", "race", value) for value in ("white", "black", "asian", None)]
    assert [bool(group) for group in groups] == [True, True, True, False]
    assert sum(map(len, groups)) == len(frozenset.union(*groups)) == 966
    assert len(members(MINI / "report.parquet", "language", "spanish")) == 5


def test_run_of_the_twin_scores_0_on_the_group_and_as_before_elsewhere(tmp_path: Path) -> None:
    group = members(MINI / "vqa.parquet", "race", "black")

    def guess(request: nb.Request) -> str:
        return "No further test is needed."

    plain = nb.evaluate("fmbench_vqa", guess, data="mini", out=tmp_path / "plain").scored.table
    twin = nb.evaluate("fmbench_vqa", Planted(nb.each(guess), group), data="mini", out=tmp_path / "twin")
    worse = twin.scored.table
    inside = [name in group for name in worse.id]
    assert worse.id.tolist() == plain.id.tolist()
    assert plain["token_f1"][inside].mean() > 0.1
    assert worse["token_f1"][inside].max() == 0
    outside = [not held for held in inside]
    assert worse["token_f1"][outside].tolist() == plain["token_f1"][outside].tolist()
