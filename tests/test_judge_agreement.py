"""Judges asked again, and panels: agreement, the judge's share in the interval, and the joined score."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judged_task import FakeJudge, judged, verdict_on, write_task
from running import environment, make_set, settings
from test_judge_audit import Model

import nova_bench as nb
from nova_bench import judge_agreement
from nova_bench.cli import main
from nova_bench.errors import UnknownNameError, UsageError
from nova_bench.judge_agreement import agreement_document, panel_record, repeat_records
from nova_bench.rubrics.nova_description import CATEGORIES


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("repeated") / "set", [1, 2] * 15)


class Dice(FakeJudge):
    """Adds noise that depends on answer and repeat; `broken` of its repeats never gives a verdict on some answers."""

    def __init__(self, noise: int, broken: int | None = None) -> None:
        super().__init__()
        self.noise, self.broken = noise, broken

    def answer(self, request: nb.Request) -> nb.Response:
        if request.repeat == self.broken and request.sample.endswith("001.png"):
            return nb.Response(request.id, "no verdict")
        score = verdict_on(request)["score"]
        seed = [*request.id.encode(), self.noise]
        score = int(np.clip(score + np.random.default_rng(seed).integers(-self.noise, self.noise + 1), 0, 10))
        return nb.Response(
            request.id,
            json.dumps({"label": "CORRECT" if score > 5 else "INCORRECT", "score": score, "why": ""}),
        )


class Twin(Dice):
    """The same under another name."""


class Third(Dice):
    """And again."""


def run(home: Path, where: Path, judges: list[Any], **more: Any) -> nb.Run:
    given = {"data": str(where), "out": home / "run", "settings": settings(home), **more}
    return nb.evaluate(given.pop("task", None) or judged(), Model(), judges=judges, **given)


def by_metric(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {record["metric"].partition("(")[0]: record for record in records}


def test_a_judge_that_never_wavers_has_no_share(tmp_path: Path, data: Path) -> None:
    made = run(tmp_path, data, [Dice(0)], judge_repeats=3)
    found = by_metric(repeat_records(made.plan.task, made.scored))
    assert set(found) == {"likeness", "correct", "bare"}
    for record in found.values():
        assert record["values"] == pytest.approx([record["value"]] * 3)
        assert record["judge_s"] == pytest.approx(0, abs=1e-12)
        assert record["share_of_interval"] == pytest.approx(0, abs=1e-12)
        assert [one["percent"]["value"] for one in record["agreement"]] == [1.0]
    assert found["likeness"]["agreement"][0]["alpha_level"] == "interval"
    assert found["correct"]["agreement"][0]["alpha_level"] == "nominal"


def test_noise_is_measured_and_the_two_ways_agree(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge_agreement, "DRAWS", 4000)
    made = run(tmp_path, data, [Dice(4)], judge_repeats=3)
    table = made.scored.table
    found = by_metric(repeat_records(made.plan.task, made.scored))
    per_repeat = np.stack([table[f"likeness@Dice#{repeat}"] for repeat in range(3)], axis=1)
    assert found["likeness"]["values"] == pytest.approx(per_repeat.mean(axis=0))
    assert found["likeness"]["spread"] == pytest.approx(per_repeat.mean(axis=0).std(ddof=1))
    exact = np.sqrt((per_repeat.var(axis=1, ddof=1) / 3).sum()) / len(table)
    assert found["likeness"]["judge_s"] == pytest.approx(exact)
    assert found["bare"]["judge_s"] == pytest.approx(exact, rel=0.05)  # no sums: by drawing
    assert 0.02 < found["likeness"]["share_of_interval"] < 1
    assert found["likeness"]["low"] < found["likeness"]["value"] < found["likeness"]["high"]
    (column,) = found["likeness"]["agreement"]
    assert 0 < column["alpha"]["low"] < column["alpha"]["value"] < column["alpha"]["high"] < 1
    assert column["percent"]["value"] < 1


def test_a_repeat_without_a_verdict_is_left_out_of_what_it_lacks(tmp_path: Path, data: Path) -> None:
    made = run(tmp_path, data, [Dice(0, broken=1)], judge_repeats=2)
    records = by_metric(repeat_records(made.plan.task, made.scored))
    found = records["likeness"]
    assert records["correct"]["agreement"][0]["percent"]["value"] == 1.0
    table = made.scored.table
    there = np.array([not name.endswith("001.png") for name in table.id])
    assert 0 < there.sum() < len(table) == found["n"]
    assert found["values"][0] == pytest.approx(found["value"])
    assert found["values"][1] == pytest.approx(table["likeness@Dice"][there].mean())
    assert found["agreement"][0]["percent"]["value"] == 1.0


def test_a_panel_joins_and_tells_its_disagreement(tmp_path: Path, data: Path) -> None:
    made = run(tmp_path, data, [Dice(1), Twin(6), Third(3)])
    table = made.scored.table
    names = ("Dice", "Third", "Twin")
    mean, majority = (panel_record(made.plan.task, made.scored, how=how) for how in ("mean", "majority"))
    assert mean["judges"] == list(names)
    likeness = np.stack([table[f"likeness@{name}"] for name in names], axis=1)
    correct = np.stack([table[f"correct@{name}"] for name in names], axis=1)
    found, voted = by_metric(mean["metrics"]), by_metric(majority["metrics"])
    assert found["likeness"]["metric"] == "likeness(judge=panel)"
    assert found["likeness"]["value"] == pytest.approx(likeness.mean())
    assert found["likeness"]["judges"] == pytest.approx(dict(zip(names, likeness.mean(axis=0), strict=True)))
    assert found["likeness"]["spread"] == pytest.approx(np.ptp(likeness.mean(axis=0)))
    assert found["correct"]["value"] == pytest.approx(correct.mean())
    assert voted["correct"]["value"] == pytest.approx((correct.sum(axis=1) >= 2).mean())
    assert voted["correct"]["value"] != found["correct"]["value"]
    assert voted["likeness"]["value"] == pytest.approx(likeness.mean())  # no majority of numbers
    columns = {record["column"]: record for record in mean["disagreement"]}
    pairs = [(correct[:, i] == correct[:, j]).mean() for i in range(3) for j in range(i)]
    assert columns["correct"]["percent"]["value"] == pytest.approx(np.mean(pairs))
    assert columns["likeness"]["alpha"]["value"] < 1
    two = panel_record(made.plan.task, made.scored, judges=["Dice", "Twin"], how="majority")
    torn = correct[:, [0, 2]].mean(axis=1)
    assert 0.5 in torn
    assert by_metric(two["metrics"])["correct"]["value"] == pytest.approx(torn.mean())


class Teller(FakeJudge):
    """Says what `tell` says of (sample, repeat): the verdict itself."""

    def __init__(self, tell: Callable[[str, int], dict[str, Any]]) -> None:
        super().__init__()
        self.tell = tell

    def answer(self, request: nb.Request) -> nb.Response:
        return nb.Response(request.id, json.dumps(self.tell(request.sample, request.repeat)))


class Other(Teller):
    """The same under another name."""


class Next(Teller):
    """And again."""


def is_odd(sample: str) -> bool:
    return bool(sum(sample.encode()) % 2)


def diagnosis(is_right: bool) -> dict[str, Any]:
    word = "correct" if is_right else "wrong"
    return {"reason": "", "top1": word, "top5": word}


class Doctor:
    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        said = {"most_likely_diagnosis": "Glioma", "other_possible_diagnoses": ["a", "b", "c", "d"]}
        for request in requests:
            yield nb.Response(request.id, json.dumps(said))


def diagnosed(home: Path, where: Path, judges: list[Any], **more: Any) -> nb.Run:
    return nb.evaluate(
        "nova_diagnosis",
        Doctor(),
        data=str(where),
        out=home / "run",
        settings=settings(home),
        judges=judges,
        **more,
    )


def test_an_even_number_of_repeats_is_no_and_of_them(tmp_path: Path, data: Path) -> None:
    wavering = Teller(lambda sample, repeat: diagnosis((is_odd(sample) + repeat) % 2 == 1))
    made = diagnosed(tmp_path, data, [wavering], judge_repeats=2)
    (found,) = (
        one for one in repeat_records(made.plan.task, made.scored) if one["metric"] == "top1(judge=Teller)"
    )
    assert min(found["values"]) < max(found["values"])
    assert found["value"] == pytest.approx(sum(found["values"]) / 2) == pytest.approx(0.5)


@pytest.mark.parametrize("how", ["mean", "majority"])
def test_a_panel_of_two_is_no_and_of_them(tmp_path: Path, data: Path, how: str) -> None:
    judges = [
        Teller(lambda sample, repeat: diagnosis(True)),
        Other(lambda sample, repeat: diagnosis(is_odd(sample))),
    ]
    made = diagnosed(tmp_path, data, judges)
    record = by_metric(panel_record(made.plan.task, made.scored, how=how)["metrics"])["top1"]
    assert min(record["judges"].values()) < 1
    assert record["value"] == pytest.approx(sum(record["judges"].values()) / 2)


def test_a_majority_of_judges_that_waver_is_of_judges_and_not_of_verdicts(tmp_path: Path, data: Path) -> None:
    judges = [
        Teller(lambda sample, repeat: diagnosis(repeat < 2)),
        Other(lambda sample, repeat: diagnosis(repeat < 2)),
        Next(lambda sample, repeat: diagnosis(False)),
    ]
    made = diagnosed(tmp_path, data, judges, judge_repeats=3)
    values = {
        how: by_metric(panel_record(made.plan.task, made.scored, how=how)["metrics"])["top1"]["value"]
        for how in ("mean", "majority")
    }
    assert values == pytest.approx({"mean": 4 / 9, "majority": 1.0})


def test_a_panel_votes_on_a_description_as_one_answer(tmp_path: Path, data: Path) -> None:
    pairs = {
        "Next": ("abnormal", "normal"),
        "Other": ("normal", "normal"),
        "Teller": ("abnormal", "abnormal"),
    }

    def say(name: str) -> Callable[[str, int], dict[str, Any]]:
        empty: dict[str, Any] = {kind: [] for kind in CATEGORIES}
        reference, candidate = (
            {**empty, "imaging": ["lesion"], "sequence": ["axial"], "label": label} for label in pairs[name]
        )
        return lambda sample, repeat: {"reference": reference, "candidate": candidate}

    judges = [kind(say(kind.__name__)) for kind in (Teller, Other, Next)]
    made = run(tmp_path, data, judges, task="nova_caption")
    for how in ("mean", "majority"):  # three answers of three judges: a tie is their mean
        found = by_metric(panel_record(made.plan.task, made.scored, how=how)["metrics"])
        assert found["prevalence"]["value"] == pytest.approx(2 / 3)
        assert found["binary_accuracy"]["value"] == pytest.approx(2 / 3)
        assert found["binary_f1"]["value"] == pytest.approx(2 * 1 / (2 + 1))
    two = panel_record(made.plan.task, made.scored, judges=["Teller", "Next"], how="majority")
    assert by_metric(two["metrics"])["binary_accuracy"]["value"] == pytest.approx(1 / 2)


def test_a_panel_leaves_out_what_one_did_not_judge(tmp_path: Path, data: Path) -> None:
    made = run(tmp_path, data, [Dice(0), Twin(0, broken=0)])
    record = by_metric(panel_record(made.plan.task, made.scored)["metrics"])["likeness"]
    assert record["left_out"] == sum(name.endswith("001.png") for name in made.scored.table.id) > 0
    assert record["n"] + record["left_out"] == len(made.scored.table)
    assert record["value"] == pytest.approx(record["judges"]["Dice"])


def test_wrong_use(tmp_path: Path, data: Path) -> None:
    made = run(tmp_path, data, [Dice(0)])
    with pytest.raises(UsageError, match="one judge was asked once"):
        agreement_document(made.plan.task, made.scored)
    with pytest.raises(UsageError, match="two judges or more"):
        panel_record(made.plan.task, made.scored, judges=["Dice"])
    with pytest.raises(UnknownNameError, match="did you mean 'Dice'"):
        panel_record(made.plan.task, made.scored, judges=["Dicee"])
    with pytest.raises(UnknownNameError, match="way of joining"):
        panel_record(made.plan.task, made.scored, how="median")


JUDGE = '''"""A judge for tests."""
# /// script
# [tool.nova-bench]
# name = "test judge"
# ///
import json
from collections.abc import Iterable, Iterator
import nova_bench as nb
from judged_task import verdict_on


class Test:
    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        for request in requests:
            yield nb.Response(request.id, json.dumps(verdict_on(request)))


def load() -> Test:
    return Test()
'''


def test_the_verbs(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for key, value in environment(tmp_path).items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(tmp_path)
    judge = tmp_path / "test_judge.py"
    judge.write_text(JUDGE)
    task = write_task(tmp_path)
    made = run(tmp_path, data, [Dice(2)], judge_repeats=2, task=task)
    assert made.progress.error is None

    assert main(["judge", "agreement", str(tmp_path / "run"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["panel"] is None
    assert len(document["repeats"]) == 3
    assert main(["judge", "agreement", str(tmp_path / "run")]) == 0
    assert "judges asked again" in capsys.readouterr().out

    words = [
        "judge",
        "audit",
        str(tmp_path / "run"),
        "--judge",
        str(judge),
        "--limit",
        "8",
        "--metric",
        "likeness",
    ]
    assert main([*words, "--permutations", "99", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["judges"][0]["judge"] == "test judge"
    assert "verdicts a judge" in said.err
    assert main([*words, "--permutations", "99"]) == 0
    assert "no verdict moved" in capsys.readouterr().out

    labels = tmp_path / "labels.jsonl"
    texts = {"reference": "a b c d", "candidate": "a b"}
    lines = [
        {"id": str(i), "rubric": "likeness", "texts": texts, "verdict": {"score": 9 + i % 2}}
        for i in range(8)
    ]
    labels.write_text("\n".join(map(json.dumps, lines)))
    words = ["judge", "calibrate", "--labels", str(labels), "--task", task, "--judge", str(judge)]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["judges"][0]["agreement"][0]
    assert (found["key"], found["percent"]["value"]) == ("score", 0.5)
    assert main(words) == 0
    assert "against people" in capsys.readouterr().out
    assert main(["judge", "calibrate", "--labels", "none", "--task", task, "--judge", str(judge)]) == 1
    assert main([*words, "-J", "speed=1"]) == 2
