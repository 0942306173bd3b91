"""The judged stage: verdicts beside the model's answers, continued, retried, counted; and what the numbers say of them."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from judged_task import FakeJudge, judged, verdict_on, write_task
from running import cell, environment, final_ids, make_set, settings

import nova_bench as nb
from nova_bench.errors import AdapterError, LimitReachedError, LogError, UsageError
from nova_bench.judge_log import VerdictLog, asked_judges


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set: 8 cases, 12 images."""
    return make_set(tmp_path_factory.mktemp("small") / "set", [1, 2] * 4)


class Model:
    """A model whose answer depends on the sample; counts what it was asked."""

    def __init__(self, empty: int = 0) -> None:
        self.asked: list[str] = []
        self.empty = empty

    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        for request in requests:
            self.asked.append(request.id)
            words = ["Axial", "T2", "image", "lesion."][: len(request.id) % 5 or 3 + hash_of(request.id)]
            text = "" if len(self.asked) <= self.empty else "ANSWER: " + " ".join(words)
            yield nb.Response(request.id, text, usage=nb.Usage(10, 5))


def hash_of(text: str) -> int:
    return sum(text.encode()) % 2


def run(home: Path, where: Path, judges: list[Any], model: Any = None, **more: Any) -> nb.Run:
    return nb.evaluate(
        more.pop("task", None) or judged(),
        model or Model(),
        **{"data": str(where), "out": home / "out", "settings": settings(home), "judges": judges, **more},
    )


def cells_of(run: nb.Run) -> dict[str, nb.Cell]:
    return {made.metric: made for made in run.cells() if made.slice == "all"}


def verdicts_of(folder: Path) -> list[dict[str, Any]]:
    (path,) = (folder / "judges").glob("*/verdicts.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


LIKENESS = "likeness(judge=FakeJudge)"


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


def test_two_judges_are_two_columns(tmp_path: Path, data: Path) -> None:
    def strict(request: nb.Request) -> str:
        return json.dumps({"label": "INCORRECT", "score": 0, "why": ""})

    made = run(tmp_path, data, [FakeJudge(), strict])
    found = cells_of(made)
    assert found["likeness(judge=strict)"].value == 0
    assert found[LIKENESS].value > 0
    assert len(list((tmp_path / "out" / "judges").iterdir())) == 2
    with pytest.raises(UsageError, match="stands twice"):
        run(tmp_path, data, [FakeJudge(), FakeJudge()])


def test_a_finished_run_is_judged_without_its_model(tmp_path: Path, data: Path) -> None:
    task = write_task(tmp_path)
    model = Model()
    done = run(tmp_path, data, [], model, task=task)
    before = done.report()
    assert not any("likeness" in made["metric"] for made in before["cells"])
    judge = FakeJudge()
    made = nb.rejudge(tmp_path / "out", [judge], settings=settings(tmp_path))
    assert made.progress.error is None
    assert len(model.asked) == len(judge.asked) == 12
    after = nb.open_run(tmp_path / "out", settings=settings(tmp_path)).report()
    assert cell(after, LIKENESS)["value"] == pytest.approx(cells_of(made)[LIKENESS].value)
    assert after["judges"][0]["name"] == "FakeJudge"
    beside = run(tmp_path / "beside", data, [FakeJudge()], task=task).report()
    assert after["cells"] == beside["cells"]
    assert nb.find_runs(tmp_path) == [tmp_path / "beside" / "out", tmp_path / "out"]
    unjudged = "nova_localization"
    plain = nb.evaluate(
        unjudged, Model(), data=str(data), out=tmp_path / "plain", settings=settings(tmp_path)
    )
    with pytest.raises(UsageError, match="no judged column"):
        nb.rejudge(plain, [FakeJudge()], settings=settings(tmp_path))


def test_verdicts_of_another_rubric_do_not_count(tmp_path: Path, data: Path) -> None:
    run(tmp_path, data, [FakeJudge()])
    task = judged()
    other = dataclasses.replace(task.judges[0], version=2)
    scorers = tuple(
        dataclasses.replace(scorer, judge=other) if scorer.judge else scorer for scorer in task.scorers
    )
    judge = FakeJudge()
    run(tmp_path, data, [judge], task=dataclasses.replace(task, scorers=scorers))
    assert len(judge.asked) == 12


def test_repeats_are_averaged_and_of_lists_the_majority_stays(tmp_path: Path, data: Path) -> None:
    def moody(request: nb.Request, nth: int) -> str:
        good = request.repeat != 1
        return json.dumps({"label": "CORRECT" if good else "INCORRECT", "score": 9 if good else 3, "why": ""})

    judge = FakeJudge(moody)
    made = run(tmp_path, data, [judge], judge_repeats=3)
    assert len(judge.asked) == 36
    assert len({(request.id, request.params.seed) for request in judge.asked}) == 36
    found = cells_of(made)
    assert found[LIKENESS].value == pytest.approx(0.7)
    assert found["correct(judge=FakeJudge)"].value == pytest.approx(2 / 3)
    assert found[LIKENESS].signature["protocol"]["judge"]["repeats"] == 3
    table = made.scored.table
    assert table["likeness@FakeJudge#1"].tolist() == [0.3] * 12
    assert table.ragged("words@FakeJudge")[0].tolist() == [1, 2]


def test_repeats_of_the_model_are_judged_apart(tmp_path: Path, data: Path) -> None:
    judge = FakeJudge()
    made = run(tmp_path, data, [judge], repeats=2)
    assert {request.id for request in judge.asked} == {
        f"{name}|likeness" for name in final_ids(tmp_path / "out")
    }
    assert len(judge.asked) == 24
    assert cells_of(made)[LIKENESS].n == 12


def test_the_model_as_its_own_judge_is_refused_unless_it_is_meant(tmp_path: Path, data: Path) -> None:
    class Both(FakeJudge):
        streams = 0

        def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
            self.streams += 1
            assert self.streams == 1  # an adapter answers one stream at a time
            yield from super().generate(requests)
            self.streams -= 1

        def answer(self, request: nb.Request) -> nb.Response:
            return (
                super().answer(request) if "|" in request.id else nb.Response(request.id, "ANSWER: Axial T2")
            )

    both = Both()
    with pytest.raises(UsageError, match="--allow-self-judge"):
        run(tmp_path, data, [both], both)
    assert both.asked == []
    made = run(tmp_path, data, [both], both, allow_self_judge=True)
    assert made.progress.error is None
    assert len(both.asked) == 12
    assert cells_of(made)["likeness(judge=Both)"].signature["protocol"]["judge"]["self"] is True


def test_costs_are_told_by_role_and_the_budget_holds_both(tmp_path: Path, data: Path) -> None:
    made = run(tmp_path, data, [FakeJudge()])
    made.report()
    usage = made.usage()
    assert usage["model"]["tokens"]["total"] == 12 * 15
    assert usage["judge FakeJudge"]["tokens"]["total"] == 12 * 110
    judge, model = FakeJudge(), Model()
    limited = run(tmp_path / "b", data, [judge], model, budget=nb.Budget(max_total_tokens=400))
    assert isinstance(limited.progress.error, LimitReachedError)
    assert len(judge.asked) < 12
    again = run(tmp_path / "b", data, [FakeJudge()])
    assert again.is_complete


CANARY = "Mrs Canary of Yellow Street sang at dawn"


def test_of_gated_data_free_text_goes_to_the_private_file_only(tmp_path: Path, data: Path) -> None:
    def leaky(request: nb.Request, nth: int) -> nb.Response | str | None:
        if hash_of(request.id):
            return None
        said = texts = f"{CANARY}: {request.text[-900:]}"
        if nth == 1:
            return nb.Response(request.id, finish="error", error=f"bad prompt: {request.text}")
        return said + texts

    task = judged(gated=True)
    first = run(tmp_path, data, [FakeJudge(leaky, why=CANARY)], task=task)
    run(tmp_path, data, [FakeJudge(leaky, why=CANARY)], task=task)
    first.report(fresh=True)
    holding = [
        path
        for path in (tmp_path / "out").rglob("*")
        if path.is_file() and (CANARY in path.read_text() or "hyperintense" in path.read_text())
    ]
    assert [path.name for path in holding] == ["private.jsonl"]
    assert os.stat(holding[0]).st_mode & 0o777 == 0o600
    assert not any(CANARY in said for said in first.progress.messages)
    kept = [record["verdict"] for record in verdicts_of(tmp_path / "out") if "verdict" in record]
    assert kept
    assert all(set(verdict) == {"label", "score"} for verdict in kept)
    assert cells_of(first)[LIKENESS].value is not None


def test_gated_data_and_an_open_text_do_not_meet(tmp_path: Path, data: Path) -> None:
    task = judged(gated=True)
    open_judge = dataclasses.replace(task.judges[0], private=())
    scorers = tuple(
        dataclasses.replace(scorer, judge=open_judge) if scorer.judge else scorer for scorer in task.scorers
    )
    with pytest.raises(UsageError, match="why can hold free text"):
        run(tmp_path, data, [FakeJudge()], task=dataclasses.replace(task, scorers=scorers))


def test_a_judge_of_a_vendor_needs_leave_for_gated_data(tmp_path: Path, data: Path) -> None:
    path = tmp_path / "far.py"
    path.write_text(
        '# /// script\n# [tool.nova-bench]\n# name = "Far"\n# sends = "vendor"\n# ///\n"""Far away."""\n'
        "from judged_task import FakeJudge\n\n\ndef load():\n    return FakeJudge()\n"
    )
    with pytest.raises(UsageError, match="--allow-hosted"):
        run(tmp_path, data, [str(path)], task=judged(gated=True))
    assert not (tmp_path / "out").exists()
    made = run(tmp_path, data, [str(path)], task=judged(gated=True), allow_hosted=True)
    assert cells_of(made)["likeness(judge=Far)"].n_failed == 0


def test_parameters_of_the_judge_are_asked_signed_and_identity(tmp_path: Path, data: Path) -> None:
    run(tmp_path, data, [FakeJudge()])
    judge = FakeJudge()
    made = run(tmp_path, data, [judge], judge_params={"max_tokens": "4000", "temperature": 0.5})
    assert {(request.params.max_tokens, request.params.temperature) for request in judge.asked} == {
        (4000, 0.5)
    }
    said = cells_of(made)[LIKENESS].signature["protocol"]["judge"]
    assert said["params"] == {"temperature": 0.5, "max_tokens": 4000}
    assert cells_of(made)[LIKENESS].n_failed == 0
    assert len(list((tmp_path / "out" / "judges").iterdir())) == 2
    with pytest.raises(UsageError, match="'top_p' does not exist"):
        run(tmp_path, data, [FakeJudge()], judge_params={"top_p": 1})


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_bad_judge_ends_where_an_undisturbed_one_does(tmp_path: Path, data: Path, repeats: int) -> None:
    """Fails three calls in ten and breaks one in ten, whatever is asked; the same start again until all is judged."""
    dice = random.Random(7)

    def bad(request: nb.Request, nth: int) -> nb.Response | str | None:
        fate = dice.random()
        if fate < 0.3:
            return nb.Response(request.id, finish="error", error="busy")
        return "{" if fate < 0.4 and request.params.seed % 3 < 2 else named(request)

    def named(request: nb.Request) -> nb.Response:
        return nb.Response(request.id, json.dumps(verdict_on(request)), model="judge-2031")

    def smooth(request: nb.Request, nth: int) -> nb.Response:
        return named(request)

    starts = 1
    disturbed = run(tmp_path / "a", data, [FakeJudge(bad)], judge_repeats=repeats)
    while not disturbed.is_complete:
        assert starts < 30
        disturbed = run(tmp_path / "a", data, [FakeJudge(bad)], judge_repeats=repeats)
        starts += 1
    assert starts > 1
    whole = run(tmp_path / "b", data, [FakeJudge(smooth)], judge_repeats=repeats)
    assert disturbed.report() == whole.report()
    assert (tmp_path / "a/out/report.json").read_bytes() == (tmp_path / "b/out/report.json").read_bytes()


ADAPTER = """# /// script
# [tool.nova-bench]
# name = "Fake, from a file"
# ///
\"\"\"A judge in a file.\"\"\"
import json
from judged_task import FakeJudge
import nova_bench as nb


def load(*, model: str = "", score: int = -1):
    def fixed(request, nth):
        verdict = {"label": "CORRECT", "score": score, "why": ""}
        return nb.Response(request.id, json.dumps(verdict), usage=nb.Usage(1000, 1000)) if score >= 0 else None
    return FakeJudge(fixed)
"""


def test_a_judge_is_named_like_a_model_and_has_options(tmp_path: Path, data: Path) -> None:
    (tmp_path / "fake.py").write_text(ADAPTER)
    spec = f"{tmp_path}/fake.py:judge-1"
    made = run(tmp_path, data, [spec], judge_options={"score": "4"})
    name = "likeness(judge=fake:judge-1)"
    assert cells_of(made)[name].value == pytest.approx(0.4)
    said = cells_of(made)[name].signature["protocol"]["judge"]
    assert said["options"] == {"model": "judge-1", "score": 4}
    unnamed = run(tmp_path, data, [str(tmp_path / "fake.py")])
    assert {"likeness(judge=Fake, from a file)", name} <= set(cells_of(unnamed))


def test_a_judges_money_is_counted_apart_and_limited(tmp_path: Path, data: Path) -> None:
    (tmp_path / "fake.py").write_text(ADAPTER)
    prices = tmp_path / "prices.toml"
    spec = f"{tmp_path}/fake.py:judge-1"
    prices.write_text(
        '[models."fake:judge-1"]\ninput = 10.0\noutput = 10.0\ndate = "2026-01-31"\n'
        '[models.Model]\ninput = 1.0\noutput = 1.0\ndate = "2026-01-31"\n'
    )
    more: dict[str, Any] = {"judge_options": {"score": "4"}, "prices": prices}
    limited = run(tmp_path, data, [spec], budget=nb.Budget(max_cost=0.05), **more)
    assert isinstance(limited.progress.error, LimitReachedError)
    whole = run(tmp_path, data, [spec], **more)
    assert whole.progress.error is None
    whole.report()
    judge = next(account for role, account in whole.usage().items() if role != "model")
    assert judge["cost_usd"] == pytest.approx(12 * 0.02)
    assert whole.usage()["model"]["cost_usd"] == pytest.approx(12 * 15e-6)
    free = run(tmp_path / "b", data, [FakeJudge()], prices=prices, budget=nb.Budget(max_cost=0.05))
    assert any("FakeJudge has no price" in said for said in free.progress.messages)


def test_a_run_is_not_judged_by_its_own_model_afterwards(tmp_path: Path, data: Path) -> None:
    (tmp_path / "fake.py").write_text(ADAPTER)
    spec = f"{tmp_path}/fake.py:judge-1"
    done = nb.evaluate(
        judged(), spec, data=str(data), out=tmp_path / "out", limit=2, settings=settings(tmp_path)
    )
    with pytest.raises(UsageError, match="--allow-self-judge"):
        nb.rejudge(done, [spec], settings=settings(tmp_path))


def test_a_judge_is_known_by_its_options(tmp_path: Path, data: Path) -> None:
    run(tmp_path, data, [FakeJudge()])
    (one,) = asked_judges(tmp_path / "out")
    assert (one.name, one.repeats, one.is_self) == ("FakeJudge", 1, False)
    assert len(one.folder.name) == 12


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from judged_task import FakeJudge, judged
import nova_bench as nb

class Slow:
    def __init__(self, seconds): self.seconds = seconds
    def generate(self, requests):
        for request in requests:
            time.sleep(self.seconds)
            yield nb.Response(request.id, "ANSWER: Axial T2 image")

class SlowJudge(FakeJudge):
    def answer(self, request):
        time.sleep(float(sys.argv[1]))
        return super().answer(request)

run = nb.evaluate(judged(), Slow(float(sys.argv[1])), data={data!r}, out={out!r}, judges=[SlowJudge()])
print(repr(run.progress.error), run.is_complete)
"""


def test_ctrl_c_lets_model_and_judge_finish_what_they_have(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "out"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), data=str(data), out=str(out)))

    def start(seconds: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(script), seconds],
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            text=True,
        )

    process = start("0.3")
    while not out.exists() or not list(out.glob("judges/*/verdicts.jsonl")) or not verdicts_of(out):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert said.split() == ["KeyboardInterrupt()", "False"]
    n_answered, n_judged = len(final_ids(out)), len(verdicts_of(out))
    assert 0 < n_judged <= n_answered < 12
    said, _ = start("0").communicate(timeout=60)
    assert said.split() == ["None", "True"]
    ids = [record["id"] for record in verdicts_of(out)]
    assert len(ids) == len(set(ids)) == 12


def test_a_killed_start_loses_only_what_was_in_flight(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "out"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), data=str(data), out=str(out)))
    words = [sys.executable, str(script)]
    process = subprocess.Popen([*words, "0.2"], env=environment(tmp_path), stdout=subprocess.PIPE)
    while not out.exists() or not list(out.glob("judges/*/verdicts.jsonl")) or len(verdicts_of(out)) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    kept = {record["id"] for record in verdicts_of(out)}
    (log,) = out.glob("judges/*/verdicts.jsonl")
    with log.open("a") as file:
        file.write('{"id": "torn')
    done = subprocess.run(
        [*words, "0"], env=environment(tmp_path), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["None", "True"]
    ids = [record["id"] for record in verdicts_of(out)]
    assert len(ids) == len(set(ids)) == 12
    assert kept <= set(ids)


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


def test_two_writers_of_one_judges_log_are_refused(tmp_path: Path, data: Path) -> None:
    done = run(tmp_path, data, [FakeJudge()])
    (one,) = asked_judges(tmp_path / "out")
    with VerdictLog(one.folder, append=True), pytest.raises(LogError, match="another process"):
        nb.rejudge(done, [FakeJudge()], settings=settings(tmp_path))


def test_a_damaged_line_of_the_verdicts_is_named(tmp_path: Path, data: Path) -> None:
    done = run(tmp_path, data, [FakeJudge()])
    (path,) = (tmp_path / "out" / "judges").glob("*/verdicts.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], "{}\n", *lines[1:]]))
    with pytest.raises(LogError, match=r"verdicts\.jsonl line 2 is damaged"):
        done.report(fresh=True)
