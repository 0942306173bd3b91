"""The judged stage: verdicts beside the model's answers, failed and broken ones, counted; and what the numbers say of them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from judged_runs import LIKENESS, Model, cells_of, hash_of, run, small_set, verdicts_of
from judged_task import FakeJudge, verdict_on
from running import final_ids

import nova_bench as nb
from nova_bench.errors import AdapterError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_set(tmp_path_factory.mktemp("small"))


def test_answers_are_judged_and_scored(tmp_path: Path, data: Path) -> None:
    judge = FakeJudge()
    made = run(tmp_path, data, [judge])
    assert made.progress is not None
    assert made.progress.error is None
    assert len(judge.asked) == 12  # two scorers share one call an answer
    assert not any(request.images or request.system for request in judge.asked)
    expected = sum(verdict_on(request)["score"] / 10 for request in judge.asked) / 12
    assert 0 < expected < 1
    found = cells_of(made)
    assert found[LIKENESS].value == pytest.approx(expected)
    assert found[LIKENESS].n == 12
    assert found[LIKENESS].counts["unjudged"] == found[LIKENESS].counts["judge_failed"] == 0
    assert "correct(judge=FakeJudge)" in found
    assert "unjudged" not in found["binary_accuracy(lexicon)"].counts
    protocol = found[LIKENESS].signature["protocol"]["judge"]
    assert protocol["model"] == "FakeJudge"
    assert protocol["rubric"].startswith("likeness/1/")
    assert protocol["repeats"] == 1
    assert protocol["params"] == {"temperature": 0.0, "max_tokens": 1024}
    assert found["binary_accuracy(lexicon)"].signature["protocol"]["judge"] is None
    assert {"likeness@FakeJudge", "correct@FakeJudge", "words@FakeJudge"} <= set(made.scored.table.columns)


def test_without_a_judge_the_judged_columns_are_absent(tmp_path: Path, data: Path) -> None:
    made = run(tmp_path, data, [])
    assert not any("likeness" in name or "correct(" in name for name in cells_of(made))
    assert not any("likeness" in column for column in made.scored.table.columns)
    assert not (tmp_path / "out" / "judges").exists()


@pytest.mark.parametrize("batch", [1, 5, 100])
def test_a_judge_may_gather_requests(tmp_path: Path, data: Path, batch: int) -> None:
    broken = FakeJudge(lambda request, nth: "no verdict" if nth == 1 else None, batch=batch)
    made = run(tmp_path, data, [broken])
    assert made.progress.error is None
    assert len(broken.asked) == 24
    assert cells_of(made)[LIKENESS].counts["unjudged"] == 0
    assert made.is_complete


def test_the_judge_works_while_the_model_does(tmp_path: Path, data: Path) -> None:
    """The model answers its last sample only once the judge has seen the first."""
    seen = threading.Event()

    class Waiting(Model):
        def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
            for response in super().generate(requests):
                if len(self.asked) == 12:
                    assert seen.wait(30)
                yield response

    def note(request: nb.Request, nth: int) -> None:
        seen.set()

    made = run(tmp_path, data, [FakeJudge(note)], Waiting())
    assert made.progress.error is None
    assert cells_of(made)[LIKENESS].n_failed == 0


def test_failed_calls_are_asked_again_by_the_next_start(tmp_path: Path, data: Path) -> None:
    failing = FakeJudge(
        lambda request, nth: (
            nb.Response(request.id, finish="error", error="no") if hash_of(request.id) else None
        )
    )
    first = run(tmp_path, data, [failing])
    n_failed = sum(hash_of(request.id) for request in failing.asked)
    assert 0 < n_failed < 12
    found = cells_of(first)[LIKENESS]
    assert (found.n, found.n_failed, found.counts["judge_failed"]) == (12, n_failed, n_failed)
    assert found.counts["failed"] == 0
    total = found.value * (12 - n_failed)
    assert found.bounds == pytest.approx((total / 12, (total + n_failed) / 12))
    assert cells_of(first)["bare(judge=FakeJudge,mean)"].bounds == pytest.approx(found.bounds)
    assert not first.is_complete
    assert cells_of(first)["binary_accuracy(lexicon)"].n_failed == 0
    whole, model = FakeJudge(), Model()
    second = run(tmp_path, data, [whole], model)
    assert model.asked == []
    assert len(whole.asked) == n_failed
    assert second.is_complete
    undisturbed = run(tmp_path / "other", data, [FakeJudge()])
    assert cells_of(second)[LIKENESS].value == cells_of(undisturbed)[LIKENESS].value
    assert cells_of(second)[LIKENESS].signature == cells_of(undisturbed)[LIKENESS].signature


def test_a_verdict_that_stays_broken_is_unjudged_and_no_zero(tmp_path: Path, data: Path) -> None:
    judge = FakeJudge(lambda request, nth: '{"label": "CORRECT"}' if hash_of(request.id) else None)
    made = run(tmp_path, data, [judge])
    broken = {request.id for request in judge.asked if hash_of(request.id)}
    for name in broken:
        assert [request.params.seed for request in judge.asked if request.id == name] == [0, 1, 2]
    found = cells_of(made)[LIKENESS]
    assert found.counts["unjudged"] == len(broken)
    assert (found.n, found.n_failed) == (12, 0)
    good = [verdict_on(request)["score"] / 10 for request in judge.asked if request.id not in broken]
    assert found.value == pytest.approx(sum(good) / len(good))
    assert cells_of(made)["bare(judge=FakeJudge,mean)"].value == pytest.approx(found.value)
    records = [record for record in verdicts_of(tmp_path / "out") if "fault" in record]
    assert len(records) == 3 * len(broken)
    assert records[0]["fault"] == "verdict: score is missing"
    assert records[0]["text"] == '{"label": "CORRECT"}'
    again = FakeJudge()
    second = run(tmp_path, data, [again])
    assert again.asked == []  # final
    assert cells_of(second)[LIKENESS].value == found.value
    assert second.is_complete


def test_bounds_hold_for_the_unjudged_too(tmp_path: Path, data: Path) -> None:
    names: list[str] = []

    def two_fates(request: nb.Request, nth: int) -> nb.Response | str | None:
        names.append(request.id)
        order = list(dict.fromkeys(names)).index(request.id)
        if order == 0:
            return nb.Response(request.id, finish="error", error="busy")
        return "?" if order == 1 else json.dumps({"label": "CORRECT", "score": 6, "why": ""})

    found = cells_of(run(tmp_path, data, [FakeJudge(two_fates)]))["bare(judge=FakeJudge,mean)"]
    assert found.value == pytest.approx(0.6)
    assert (found.n, found.n_failed, found.counts["unjudged"]) == (12, 1, 1)
    assert found.bounds == pytest.approx((6 / 12, 8 / 12))


def test_what_a_judge_cannot_take_is_not_sent_again(tmp_path: Path, data: Path) -> None:
    judge = FakeJudge(lambda request, nth: nb.Response(request.id, finish="rejected", error="too long"))
    made = run(tmp_path, data, [judge])
    assert len(judge.asked) == 12
    assert cells_of(made)[LIKENESS].counts["unjudged"] == 12
    assert made.is_complete


def test_tries_of_an_earlier_start_count(tmp_path: Path, data: Path) -> None:
    def twice_then_down(request: nb.Request, nth: int) -> nb.Response | str:
        return "?" if nth < 3 else nb.Response(request.id, finish="error", error="down")

    run(tmp_path, data, [FakeJudge(twice_then_down)])
    judge = FakeJudge(lambda request, nth: "?")
    made = run(tmp_path, data, [judge])
    assert len(judge.asked) == 12
    assert {request.params.seed for request in judge.asked} == {2}
    assert cells_of(made)[LIKENESS].counts["unjudged"] == 12
    assert cells_of(made)[LIKENESS].value is None
    assert cells_of(made)[LIKENESS].note == "no answer was judged"


def test_an_empty_answer_is_scored_by_rule_and_not_sent(tmp_path: Path, data: Path) -> None:
    judge = FakeJudge()
    made = run(tmp_path, data, [judge], Model(empty=5))
    assert len(judge.asked) == 7
    expected = sum(verdict_on(request)["score"] / 10 for request in judge.asked) / 12
    assert cells_of(made)[LIKENESS].value == pytest.approx(expected)
    assert cells_of(made)[LIKENESS].n_failed == 0


def test_a_judge_that_breaks_down_leaves_the_model_alone(tmp_path: Path, data: Path) -> None:
    class Dead:
        def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
            next(iter(requests))
            raise AdapterError("the key is wrong")
            yield

    model = Model()
    made = run(tmp_path, data, [Dead()], model)
    assert len(model.asked) == 12
    assert len(final_ids(tmp_path / "out")) == 12
    assert str(made.progress.error) == "the key is wrong"
    assert cells_of(made)["likeness(judge=Dead)"].counts["judge_failed"] == 12
    assert cells_of(made)["binary_accuracy(lexicon)"].n_failed == 0


def test_responses_to_nothing_and_missing_ones_are_said(tmp_path: Path, data: Path) -> None:
    class Sloppy(FakeJudge):
        def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
            for i, response in enumerate(super().generate(requests)):
                yield nb.Response("another|likeness", response.text) if i == 0 else response

    made = run(tmp_path, data, [Sloppy()])
    assert any("ids that were not asked" in said for said in made.progress.messages)
    assert any("without answering 1 requests" in said for said in made.progress.messages)
    assert cells_of(made)["likeness(judge=Sloppy)"].counts["judge_failed"] == 1


def test_a_model_waits_for_a_judge_that_is_far_behind(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nova_bench.judge_stage.WAITING", 2)
    ahead: list[int] = []
    model = Model()

    class Slow(FakeJudge):
        def answer(self, request: nb.Request) -> nb.Response:
            time.sleep(0.02)
            ahead.append(len(model.asked) - len(self.asked))
            return super().answer(request)

    made = run(tmp_path, data, [Slow()], model)
    assert made.is_complete
    assert max(ahead) <= 5  # two that wait, one at the judge, one at the door, one at the model


def test_a_judge_that_died_does_not_hold_the_model_up(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nova_bench.judge_stage.WAITING", 1)

    def dead(request: nb.Request, nth: int) -> None:
        raise AdapterError("gone")

    model = Model()
    made = run(tmp_path, data, [FakeJudge(dead)], model)
    assert len(model.asked) == 12
    assert str(made.progress.error) == "gone"
