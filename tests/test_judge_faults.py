"""Judges that go wrong around a run: folders that are no runs, starts that are refused, words of gated texts, spending, mistyped names."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from judged_task import FakeJudge, judged, write_task
from running import make_set, nova, settings
from test_judge_stage import LIKENESS, cells_of, run, verdicts_of

import nova_bench as nb
from nova_bench.errors import AdapterError, IdentityError, LogError, UsageError
from nova_bench.judge_audit import audit
from nova_bench.judge_log import VerdictLog, asked_judges
from nova_bench.runlog import RunLog


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set: 8 cases, 12 images."""
    return make_set(tmp_path_factory.mktemp("small") / "set", [1, 2] * 4)


# Folders that are no runs.


def test_an_audits_folder_is_no_run(tmp_path: Path, data: Path) -> None:
    run(tmp_path, data, [], task=write_task(tmp_path))
    audit(tmp_path / "out", [FakeJudge()], settings=settings(tmp_path), permutations=19)
    (judge,) = (tmp_path / "out" / "judge_audit" / "judges").iterdir()
    assert (judge / "manifest.json").exists()
    assert nb.find_runs(tmp_path) == [tmp_path / "out"]
    for take in (nb.find_runs, nb.open_run):
        with pytest.raises(
            UsageError, match=f"holds a judge's verdicts; give the run's folder, {tmp_path}/out"
        ):
            take(judge)
    with pytest.raises(UsageError, match="no run in"):
        nb.find_runs(judge.parent)


def test_score_takes_only_runs_below_a_folder_with_a_calibration(tmp_path: Path) -> None:
    words = (
        "run",
        "nova_diagnosis",
        "--model",
        "prior",
        "--data",
        "mini",
        "--limit",
        "3",
        "--out",
        "runs/a",
    )
    assert nova(tmp_path, *words).returncode == 0
    label = {
        "rubric": "nova_diagnosis",
        "texts": {"reference": "Glioma", "candidate": "1. Glioma"},
        "verdict": {"top1": "correct"},
    }
    (tmp_path / "labels.jsonl").write_text("\n".join(json.dumps({"id": f"p{i}", **label}) for i in range(6)))
    made = nova(tmp_path, "judge", "calibrate", "--labels", "labels.jsonl", "--judge", "rule_based_judge")
    assert made.returncode == 0, made.stderr
    assert list((tmp_path / "runs").rglob("judges/*/manifest.json"))
    again = nova(tmp_path, "score", "runs")
    assert again.returncode == 0, again.stderr


# Reading a verdict.


@pytest.mark.parametrize("error", [ValueError, KeyError, OverflowError, RecursionError])
def test_a_rubrics_check_that_raises_makes_a_broken_verdict(
    tmp_path: Path, data: Path, error: type[Exception]
) -> None:
    def check(verdict: Any, texts: Any) -> str | None:
        raise error("sang at dawn")

    task = judged()
    odd = dataclasses.replace(task.judges[0], check=check)
    scorers = tuple(dataclasses.replace(one, judge=odd) if one.judge else one for one in task.scorers)
    judge = FakeJudge()
    made = run(tmp_path, data, [judge], task=dataclasses.replace(task, scorers=scorers))
    assert made.progress.error is None
    assert len(judge.asked) == 36
    assert cells_of(made)[LIKENESS].counts["unjudged"] == 12
    assert {record["fault"] for record in verdicts_of(tmp_path / "out")} == {
        f"{error.__name__} while the verdict was read"
    }


# Words of gated texts.

SECRET = "Jane Doe, MRN 88123"


def holding(folder: Path, what: str) -> list[str]:
    return [
        path.name for path in folder.rglob("*") if path.is_file() and what in path.read_text(errors="replace")
    ]


@pytest.mark.parametrize("finish", ["error", "rejected", "filter"])
@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (lambda request: f"refused: {SECRET}", ""),
        (lambda request: f"HTTP 400: {SECRET} " + request.parts[1].upper(), "HTTP 400: "),
        (lambda request: f"KeyError: '{SECRET}'", "KeyError: "),
        (lambda request: f"{SECRET} KeyError: HTTP 400", ""),
    ],
)
def test_of_gated_data_a_judges_errors_are_private(
    tmp_path: Path, data: Path, words: Callable[[nb.Request], str], kind: str, finish: Any
) -> None:
    judge = FakeJudge(lambda request, nth: nb.Response(request.id, finish=finish, error=words(request)))
    made = run(tmp_path, data, [judge], task=judged(gated=True))
    made.report()
    assert holding(tmp_path / "out", SECRET) == ["private.jsonl"]
    assert holding(tmp_path / "out", "HYPERINTENSE") in ([], ["private.jsonl"])
    assert not any(SECRET in said for said in made.progress.messages)
    records = verdicts_of(tmp_path / "out")
    assert {record["error"] for record in records} == {f"{kind}the words stand in private.jsonl"}
    assert {record["finish"] for record in records} == {finish}


def test_of_gated_data_names_have_the_form_of_names(tmp_path: Path, data: Path) -> None:
    class Chatty(FakeJudge):
        model = "m " + SECRET

        def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
            for response in super().generate(requests):
                yield dataclasses.replace(response, model=self.model, dropped=(SECRET, "seed"))

    run(tmp_path, data, [Chatty()], task=judged(gated=True)).report()
    assert holding(tmp_path / "out", SECRET) == ["private.jsonl"]
    records = verdicts_of(tmp_path / "out")
    assert not any("model" in record for record in records)
    assert [record["dropped"] for record in records] == [["another parameter", "seed"]] * 12
    named = Chatty()
    named.model = "openai/judge-2031:x"
    run(tmp_path / "b", data, [named], task=judged(gated=True))
    assert {record["model"] for record in verdicts_of(tmp_path / "b" / "out")} == {"openai/judge-2031:x"}
    quoting = Chatty()
    quoting.model = "HYPERINTENSE"
    run(tmp_path / "c", data, [quoting], task=judged(gated=True))
    assert holding(tmp_path / "c" / "out", "HYPERINTENSE") == ["private.jsonl"]


def test_of_gated_data_a_fault_of_the_rubrics_check_is_private(tmp_path: Path, data: Path) -> None:
    task = judged(gated=True)
    odd = dataclasses.replace(task.judges[0], check=lambda verdict, texts: f"{SECRET} is no finding")
    scorers = tuple(dataclasses.replace(one, judge=odd) if one.judge else one for one in task.scorers)
    made = run(tmp_path, data, [FakeJudge()], task=dataclasses.replace(task, scorers=scorers))
    assert cells_of(made)[LIKENESS].counts["unjudged"] == 12
    assert holding(tmp_path / "out", SECRET) == ["private.jsonl"]
    assert not any(SECRET in said for said in made.progress.messages)


@pytest.mark.parametrize("error", [RuntimeError, AdapterError])
def test_of_gated_data_what_ends_a_judge_is_told_without_its_words(
    tmp_path: Path, data: Path, error: type[Exception]
) -> None:
    class Boom:
        def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
            for _ in requests:
                raise error(f"server said: {SECRET}")
                yield

    made = run(tmp_path, data, [Boom()], task=judged(gated=True))
    told = f"judge Boom ended early: {error.__name__}: the words stand in private.jsonl of its verdicts"
    assert str(made.progress.error) == told
    assert made.progress.error.__cause__ is None
    assert made.progress.error.__suppress_context__
    assert holding(tmp_path / "out", SECRET) == ["private.jsonl"]
    opened = run(tmp_path / "open", data, [Boom()])
    assert SECRET in str(opened.progress.error)


def test_of_gated_data_an_audit_tells_no_words(tmp_path: Path, data: Path) -> None:
    path = tmp_path / "nova_caption.py"
    path.write_text('"""Gated."""\nfrom judged_task import judged\n\nTASK = judged(gated=True)\n')
    run(tmp_path, data, [], task=str(path))
    busy = FakeJudge(lambda request, nth: nb.Response(request.id, finish="error", error=SECRET))
    document = audit(tmp_path / "out", [busy], settings=settings(tmp_path), permutations=19)
    assert SECRET not in json.dumps(document)
    assert document["judges"][0]["reasons"]
    assert holding(tmp_path / "out", SECRET) == ["private.jsonl"]

    def boom(request: nb.Request, nth: int) -> None:
        raise RuntimeError(SECRET)

    with pytest.raises(AdapterError, match=r"RuntimeError: the words stand in private\.jsonl") as caught:
        audit(tmp_path / "out", [FakeJudge(boom)], settings=settings(tmp_path), permutations=19)
    assert SECRET not in str(caught.value)


# Starts that are refused.


def manifests(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_a_start_that_a_judges_lock_refuses_changes_nothing(tmp_path: Path, data: Path) -> None:
    def strict(request: nb.Request) -> str:
        return json.dumps({"label": "INCORRECT", "score": 0, "why": ""})

    task, both = write_task(tmp_path), [FakeJudge(), strict]
    first = run(tmp_path, data, both, task=task)
    before, numbers = manifests(tmp_path / "out"), cells_of(first)[LIKENESS].signature
    for held in asked_judges(
        tmp_path / "out"
    ):  # whichever of the two is refused, the other is left alone too
        with VerdictLog(held.folder, append=True):
            with pytest.raises(LogError, match="another process"):
                nb.rejudge(tmp_path / "out", both, judge_repeats=7, settings=settings(tmp_path))
            with pytest.raises(LogError, match="another process"):
                run(tmp_path, data, both, task=task, judge_repeats=7, limit=2)
        assert manifests(tmp_path / "out") == before
    again = nb.open_run(tmp_path / "out", settings=settings(tmp_path))
    assert cells_of(again)[LIKENESS].signature == numbers
    free = run(tmp_path, data, both, task=task)  # no lock was left behind
    assert free.progress.error is None


def test_a_start_that_the_runs_lock_refuses_changes_nothing(tmp_path: Path, data: Path) -> None:
    task = write_task(tmp_path)
    run(tmp_path, data, [FakeJudge()], task=task)
    before = manifests(tmp_path / "out")
    with RunLog(tmp_path / "out", append=True), pytest.raises(LogError, match="another process"):
        run(tmp_path, data, [FakeJudge()], task=task, judge_repeats=7, limit=2)
    assert manifests(tmp_path / "out") == before
    with pytest.raises(IdentityError):
        run(tmp_path, data, [FakeJudge()], task=task, judge_repeats=7, repeats=3)
    assert manifests(tmp_path / "out") == before


def test_a_judge_whose_turn_never_came_gives_its_lock_back(tmp_path: Path, data: Path) -> None:
    class Both(FakeJudge):
        def answer(self, request: nb.Request) -> nb.Response:
            raise KeyboardInterrupt

    both = Both()
    made = run(tmp_path, data, [both], both, allow_self_judge=True)
    assert isinstance(made.progress.error, KeyboardInterrupt)
    folder = next((tmp_path / "out" / "judges").iterdir())
    with VerdictLog(folder, append=True):
        pass
