"""Who judges: several judges, repeats, options, parameters, money, the model as its own judge, and judging a finished run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from judged_runs import LIKENESS, Model, cells_of, run, small_set
from judged_task import FakeJudge, judged, write_task
from running import cell, final_ids, settings

import nova_bench as nb
from nova_bench.errors import LimitReachedError, UsageError
from nova_bench.judge_log import asked_judges


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_set(tmp_path_factory.mktemp("small"))


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


def test_parameters_of_the_judge_are_asked_signed_and_identity(tmp_path: Path, data: Path) -> None:
    run(tmp_path, data, [FakeJudge()])
    judge = FakeJudge()
    made = run(tmp_path, data, [judge], judge_params={"max_tokens": "4000", "temperature": 0.5})
    assert {(request.params.max_tokens, request.params.temperature) for request in judge.asked} == {
        (4000, 0.5)
    }
    found = cells_of(made)
    assert "likeness(judge=FakeJudge)" in found  # the first judge's column stays
    cell = found["likeness(judge=FakeJudge[max_tokens=4000;temperature=0.5])"]
    said = cell.signature["protocol"]["judge"]
    assert said["model"] == "FakeJudge"
    assert said["params"] == {"temperature": 0.5, "max_tokens": 4000}
    assert cell.n_failed == 0
    assert len(list((tmp_path / "out" / "judges").iterdir())) == 2
    with pytest.raises(UsageError, match="'top_p' does not exist"):
        run(tmp_path, data, [FakeJudge()], judge_params={"top_p": 1})


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
