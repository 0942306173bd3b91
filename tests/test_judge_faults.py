"""Judges that go wrong around a run: folders that are no runs, starts that are refused, words of gated texts, spending, mistyped names."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from judged_task import FakeJudge, judged, verdict_on, write_task
from running import make_set, nova, settings
from test_judge_stage import LIKENESS, cells_of, run, verdicts_of

import nova_bench as nb
from nova_bench.errors import AdapterError, IdentityError, LimitReachedError, LogError, UsageError
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
    told = f"judge Boom failed: {error.__name__}: the words stand in private.jsonl of its verdicts"
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


def test_an_audit_and_a_calibration_that_a_lock_refuses_change_nothing(tmp_path: Path, data: Path) -> None:
    run(tmp_path, data, [], task=write_task(tmp_path))
    labels = tmp_path / "labels.jsonl"
    label = {"id": "a", "rubric": "likeness", "texts": {"reference": "A lesion.", "candidate": "A mass."}}
    labels.write_text(json.dumps({**label, "verdict": {"score": 3}}) + "\n")

    def audit() -> None:
        nb.audit(tmp_path / "out", [FakeJudge()], settings=settings(tmp_path))

    def calibrate() -> None:
        nb.calibrate(labels, [FakeJudge()], task=judged(), out=tmp_path / "kept", settings=settings(tmp_path))

    for start, kept in ((audit, tmp_path / "out" / "judge_audit"), (calibrate, tmp_path / "kept")):
        start()
        before = manifests(kept)
        (folder,) = (kept / "judges").iterdir()
        with VerdictLog(folder, append=True), pytest.raises(LogError, match="another process"):
            start()
        assert manifests(kept) == before
        start()
        assert manifests(kept) != before  # a start that is not refused is entered


def test_a_start_that_the_runs_lock_refuses_changes_nothing(tmp_path: Path, data: Path) -> None:
    task = write_task(tmp_path)
    run(tmp_path, data, [FakeJudge()], task=task)
    before = manifests(tmp_path / "out")
    with RunLog(tmp_path / "out", append=True), pytest.raises(LogError, match="another process"):
        run(tmp_path, data, [FakeJudge()], task=task, judge_repeats=7, limit=2)
    assert manifests(tmp_path / "out") == before
    with (tmp_path / "out" / "responses.jsonl").open("a") as file:
        file.write('{"id": "torn')  # nor is the log of another run mended
    before = manifests(tmp_path / "out")
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


# What judges cost, whatever they were asked with.


def test_usage_counts_every_verdict_log(tmp_path: Path, data: Path) -> None:
    task = write_task(tmp_path)
    run(tmp_path, data, [FakeJudge()], task=task).report()
    made = run(tmp_path, data, [FakeJudge()], task=task, judge_params={"temperature": 0.5})
    made.report()
    assert made.usage()["judge FakeJudge"]["requests"] == 24
    assert made.usage()["judge FakeJudge"]["tokens"]["total"] == 24 * 110
    dead = FakeJudge(
        lambda request, nth: nb.Response(request.id, finish="error", error="x", usage=nb.Usage(7, 0))
    )
    costly = run(tmp_path, data, [dead], task=task, judge_params={"temperature": 0.9})
    costly.report()
    assert costly.usage()["judge FakeJudge"]["tokens"]["total"] == 24 * 110 + 12 * 7
    opened = nb.open_run(tmp_path / "out", settings=settings(tmp_path))
    opened.report()
    assert opened.usage() == costly.usage()
    run(tmp_path, data, [dead], task=task, judge_params={"temperature": 0.9})
    opened.report()  # its numbers are the same, and what it cost is not
    assert opened.usage()["judge FakeJudge"]["tokens"]["total"] == 24 * 110 + 24 * 7


def test_a_limit_counts_what_the_judge_spent_with_other_options(tmp_path: Path, data: Path) -> None:
    task, budget = write_task(tmp_path), 12 * 15 + 12 * 110 + 250
    first = run(tmp_path, data, [FakeJudge()], task=task, budget=nb.Budget(max_total_tokens=budget))
    assert first.progress.error is None
    judge = FakeJudge()
    second = run(
        tmp_path,
        data,
        [judge],
        task=task,
        budget=nb.Budget(max_total_tokens=budget),
        judge_params={"temperature": 0.5},
    )
    assert isinstance(second.progress.error, LimitReachedError)
    assert len(judge.asked) == 3  # 330 tokens: the first request that passes the limit is the last
    again = FakeJudge()
    third = nb.rejudge(
        tmp_path / "out",
        [again],
        budget=nb.Budget(max_total_tokens=15 * 110),  # the judges' alone
        judge_params={"temperature": 0.7},
        settings=settings(tmp_path),
    )
    assert isinstance(third.progress.error, LimitReachedError)
    assert again.asked == []


def test_a_judge_without_a_price_is_held_by_the_limit_on_tokens(tmp_path: Path, data: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text('[models."Model"]\ninput = 1.0\noutput = 1.0\ndate = 2026-01-01\n')
    judge = FakeJudge()
    budget = nb.Budget(max_cost=1000.0, max_total_tokens=12 * 15 + 250)
    made = run(tmp_path, data, [judge], budget=budget, prices=prices)
    assert isinstance(made.progress.error, LimitReachedError)
    assert "--max-total-tokens" in str(made.progress.error)
    assert 0 < len(judge.asked) < 12
    silent = FakeJudge(lambda request, nth: nb.Response(request.id, json.dumps(verdict_on(request))))
    blind = run(
        tmp_path / "b",
        data,
        [silent],
        budget=nb.Budget(max_cost=1000.0, max_total_tokens=10**6),
        prices=prices,
    )
    assert "--max-total-tokens cannot be kept" in str(blind.progress.error)
    free = run(tmp_path / "c", data, [silent], budget=nb.Budget(max_cost=1000.0), prices=prices)
    assert free.progress.error is None  # costs nothing here, so nothing has to be counted


def test_spending_of_an_earlier_judge_without_a_price_is_said(tmp_path: Path, data: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text('[models."Model"]\ninput = 1.0\noutput = 1.0\ndate = 2026-01-01\n')
    run(tmp_path, data, [FakeJudge()], judge_params={"temperature": 0.5})
    made = run(tmp_path, data, [], budget=nb.Budget(max_cost=1000.0), prices=prices)
    said = [message for message in made.progress.messages if "--max-cost" in message]
    assert said == [
        "judge FakeJudge was asked before and has no price, so --max-cost does not count what it spent"
    ]


# A judge that was mistyped.


class Mistyped:
    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        next(iter(requests))
        raise AdapterError("no such model")
        yield


def test_a_judge_that_never_answered_is_left_out_unless_it_is_asked(tmp_path: Path, data: Path) -> None:
    task = write_task(tmp_path)
    wrong = run(tmp_path, data, [Mistyped()], task=task)
    assert not wrong.is_complete
    assert cells_of(wrong)["likeness(judge=Mistyped)"].counts["judge_failed"] == 12
    assert [one["name"] for one in wrong.report()["judges"]] == ["Mistyped"]
    right = run(tmp_path, data, [FakeJudge()], task=task)
    assert right.is_complete
    opened = nb.open_run(tmp_path / "out", settings=settings(tmp_path))
    for made in (right, opened):
        assert not any("Mistyped" in name for name in cells_of(made))
        assert not any("Mistyped" in name for name in made.scored.table.columns)
        assert {one.asked.name for one in made.judged_metrics} == {"FakeJudge"}
        assert [one["name"] for one in made.report()["judges"]] == ["FakeJudge"]
        assert [one.name for one in made.idle_judges] == ["Mistyped"]
        assert set(made.usage()) == {"model", "judge FakeJudge"}
    assert opened.is_complete


def test_a_judge_that_was_only_unjudged_or_answered_once_counts(tmp_path: Path, data: Path) -> None:
    run(tmp_path / "a", data, [FakeJudge(lambda request, nth: "?")], task=write_task(tmp_path))
    opened = nb.open_run(tmp_path / "a" / "out", settings=settings(tmp_path))
    assert cells_of(opened)[LIKENESS].counts["unjudged"] == 12
    once = FakeJudge(
        lambda request, nth: (
            None if request.id.startswith("case0003") else nb.Response(request.id, finish="error", error="x")
        )
    )
    run(tmp_path / "b", data, [once], task=write_task(tmp_path))
    half = nb.open_run(tmp_path / "b" / "out", settings=settings(tmp_path))
    assert cells_of(half)[LIKENESS].counts["judge_failed"] > 0
    assert not half.is_complete


def test_options_that_never_gave_a_verdict_leave_the_earlier_ones(tmp_path: Path, data: Path) -> None:
    task = write_task(tmp_path)
    first = cells_of(run(tmp_path, data, [FakeJudge()], task=task))[LIKENESS]
    assert first.value is not None
    down = FakeJudge(lambda request, nth: nb.Response(request.id, finish="error", error="down"))
    second = run(tmp_path, data, [down], task=task, judge_params={"temperature": 0.5})
    assert cells_of(second)["likeness(judge=FakeJudge[temperature=0.5])"].counts["judge_failed"] == 12
    opened = nb.open_run(tmp_path / "out", settings=settings(tmp_path))
    assert cells_of(opened)[LIKENESS].signature == first.signature
    assert cells_of(opened)[LIKENESS].value == first.value


TYPO = '''"""A judge that is not there."""
import nova_bench as nb


class Judge:
    def generate(self, requests):
        for n, request in enumerate(requests):
            if n == {answers}:
                raise nb.AdapterError("no such model")
            yield nb.Response(request.id, '{{"reason": "", "top1": "correct", "top5": "correct"}}')


def load(*, model: str = ""):
    return Judge()
'''


@pytest.mark.parametrize("answers", [0, 2])
def test_the_command_line_says_how_to_drop_a_judge(tmp_path: Path, answers: int) -> None:
    (tmp_path / "typo.py").write_text(TYPO.format(answers=answers))
    words = ["run", "nova_diagnosis", "--model", "prior", "--data", "mini", "--limit", "6", "--out", "out"]
    wrong = nova(tmp_path, *words, "--judge", "./typo.py:gpt-4o-mnii")
    assert wrong.returncode == 1
    (folder,) = (tmp_path / "out" / "judges").iterdir()
    drop = f"delete out/judges/{folder.name}"
    right = nova(tmp_path, *words, "--judge", "rule_based_judge")
    score = nova(tmp_path, "score", "out")
    for made in (right, score):
        assert made.returncode == (1 if answers else 0), made.stderr
        assert ("mnii" in made.stdout) == bool(answers)
        assert drop in " ".join(made.stderr.split())
        assert "typo:gpt-4o-mnii" in made.stderr
    shutil.rmtree(folder)
    dropped = nova(tmp_path, "score", "out")
    assert dropped.returncode == 0
    assert "mnii" not in dropped.stdout + dropped.stderr


# A judge that is the model under another name.

NAMED = '''# /// script
# [tool.nova-bench]
# name = "Named"
# ///
"""Answers and judges, and says which model it was."""
import dataclasses
import json
import nova_bench as nb
from judged_task import verdict_on


def load(*, model: str = "", said: str = "", judge_said: str = ""):
    def answer(request):
        if "|" in request.id:
            return nb.Response(request.id, json.dumps(verdict_on(request)), model=judge_said or None)
        return nb.Response(request.id, "ANSWER: Axial T2", model=said or None)
    return nb.each(answer)
'''


def test_another_spelling_of_the_models_name_is_refused(tmp_path: Path, data: Path) -> None:
    (tmp_path / "v.py").write_text(NAMED)
    with pytest.raises(UsageError, match="--allow-self-judge"):
        run(tmp_path, data, [f"{tmp_path}/v.py:gpt-4o-2024-08-06"], f"{tmp_path}/v.py:gpt-4o")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("model_said", "judge_said", "is_self"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06", True),
        ("gpt-4o", "openai/GPT-4o-2024-11-20", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("", "", False),
    ],
)
def test_the_names_that_vendors_gave_show_a_self_judge(
    tmp_path: Path, data: Path, model_said: str, judge_said: str, is_self: bool
) -> None:
    (tmp_path / "v.py").write_text(NAMED)
    made = run(
        tmp_path,
        data,
        [f"{tmp_path}/v.py:house-alias"],
        f"{tmp_path}/v.py:under-test",
        task=write_task(tmp_path),
        options={"said": model_said},
        judge_options={"judge_said": judge_said},
    )
    name = "likeness(judge=v:house-alias)"
    for seen in (made, nb.open_run(tmp_path / "out", settings=settings(tmp_path))):
        assert cells_of(seen)[name].signature["protocol"]["judge"].get("self", False) is is_self
        (judge,) = seen.report()["judges"]
        assert judge["self"] is is_self
        assert {one.asked.is_self for one in seen.judged_metrics} == {is_self}
