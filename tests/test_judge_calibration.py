"""Calibration of judges against people's labels: what is read, what is asked, and what the agreement is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from judged_task import LIKENESS, judged
from running import settings
from sklearn.metrics import cohen_kappa_score

import nova_bench as nb
from nova_bench import judge_calibration
from nova_bench.errors import DataError, UsageError
from nova_bench.judge import texts_in
from nova_bench.judge_calibration import calibrate
from nova_bench.judge_labels import read_labels


class Reader:
    """A judge that gives the score that stands in the candidate; counts what it was asked."""

    def __init__(self, broken: int = 0, failing: int = 0) -> None:
        self.asked: list[str] = []
        self.seeds: list[int | None] = []
        self.broken, self.failing = broken, failing

    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        for request in requests:
            self.asked.append(request.id)
            self.seeds.append(request.params.seed)
            score = int(texts_in(request.parts)["candidate"].split()[-1])
            verdict = {"label": "CORRECT" if score > 5 else "INCORRECT", "score": score, "why": "SECRET"}
            if self.failing and request.id.startswith("t0|"):
                yield nb.Response(request.id, finish="error", error="overloaded")
            elif self.asked.count(request.id) <= self.broken:
                yield nb.Response(request.id, "it is CORRECT")
            else:
                yield nb.Response(request.id, json.dumps(verdict))


def line(i: int, score: int, told: int, rater: str = "", **more: Any) -> dict[str, Any]:
    """A label: the person says `told`, the judge will say `score`."""
    return {
        "id": f"t{i}",
        "rubric": "likeness",
        "texts": {"reference": "A lesion.", "candidate": f"A lesion, {score}"},
        "verdict": {"label": "CORRECT" if told > 5 else "INCORRECT", "score": told},
        "rater": rater,
        **more,
    }


def write(path: Path, lines: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return path


SCORES = [(i, (3 * i) % 11, (3 * i + (i % 4 == 0)) % 11) for i in range(40)]


def calibrated(home: Path, lines: Iterable[dict[str, Any]], judge: Any, **more: Any) -> dict[str, Any]:
    labels = write(home / "labels.jsonl", lines)
    given = {"task": judged(gated=True), "out": home / "out", "settings": settings(home), **more}
    return calibrate(labels, [judge], **given)


def by_key(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {record["key"]: record for record in document["judges"][0]["agreement"]}


def test_agreement_with_people(tmp_path: Path) -> None:
    judge = Reader()
    document = calibrated(tmp_path, [line(*each) for each in SCORES], judge)
    found = by_key(document)
    assert sorted(found) == ["label", "score"]  # no free text
    assert len(judge.asked) == 40
    ours, theirs = [score for _, score, _ in SCORES], [told for _, _, told in SCORES]
    assert found["score"]["kappa_weights"] == "quadratic"
    assert found["score"]["kappa"]["value"] == pytest.approx(
        cohen_kappa_score(theirs, ours, weights="quadratic", labels=range(11))
    )
    labels = [[score > 5 for score in each] for each in (ours, theirs)]
    assert found["label"]["kappa"]["value"] == pytest.approx(cohen_kappa_score(*labels))
    assert found["score"]["percent"]["value"] == pytest.approx(0.75)
    for record in found.values():
        assert record["n"] == 40
        for name in ("percent", "kappa", "alpha"):
            assert record[name]["low"] < record[name]["value"] < record[name]["high"]
        assert record["people"] is None
        assert record["test_retest"] is None
    assert json.loads((tmp_path / "out" / "calibration.json").read_text()) == json.loads(json.dumps(document))


def test_a_second_start_asks_nothing_and_failures_are_asked_again(tmp_path: Path) -> None:
    lines = [line(*each) for each in SCORES]
    first = calibrated(tmp_path, lines, Reader(failing=1))["judges"][0]
    assert (first["verdicts"], first["judge_failed"], first["unjudged"]) == (39, 1, 0)
    assert {record["without_verdict"] for record in first["agreement"]} == {1}
    again = Reader()
    second = calibrated(tmp_path, lines, again)
    assert again.asked == ["t0|likeness"]
    assert by_key(second)["score"]["n"] == 40
    third = Reader()
    assert by_key(calibrated(tmp_path, lines, third)) == by_key(second)
    assert third.asked == []


@pytest.mark.parametrize(("broken", "asked", "unjudged"), [(2, 120, 0), (3, 120, 40)])
def test_a_broken_verdict_has_three_tries(tmp_path: Path, broken: int, asked: int, unjudged: int) -> None:
    judge = Reader(broken=broken)
    record = calibrated(tmp_path, [line(*each) for each in SCORES], judge)["judges"][0]
    assert (len(judge.asked), record["unjudged"]) == (asked, unjudged)
    assert judge.seeds == [0] * 40 + [1] * 40 + [2] * 40
    if unjudged:
        assert record["agreement"][0]["n"] == 0
        assert record["agreement"][0]["alpha"]["value"] is None


def test_a_failure_is_not_asked_again_by_the_same_start(tmp_path: Path) -> None:
    judge = Reader(broken=1, failing=1)
    record = calibrated(tmp_path, [line(*each) for each in SCORES], judge)["judges"][0]
    assert judge.asked.count("t0|likeness") == 1
    assert (record["verdicts"], record["judge_failed"]) == (39, 1)


def test_several_people_and_several_verdicts(tmp_path: Path) -> None:
    lines = []
    for i, score, told in SCORES:
        lines += [line(i, score, told, "ann"), line(i, score, told, "bob")]
        if i % 2:
            lines.append(line(i, score, (told + 6) % 11, "cid"))
    document = calibrated(tmp_path, lines, Reader(), repeats=2)
    found = by_key(document)
    assert document["labels"] == {**document["labels"], "n": 100, "texts": 40}
    assert found["score"]["people"]["raters"] == 3
    assert 0 < found["score"]["people"]["alpha"]["value"] < 1
    assert found["score"]["test_retest"]["percent"]["value"] == 1.0
    assert found["label"]["percent"]["value"] > 0.8  # the majority of people, not the odd one out
    odd = [line(i, 5, told, rater) for i in range(8) for rater, told in (("ann", 2), ("bob", 5), ("cid", 9))]
    assert by_key(calibrated(tmp_path, odd, Reader(), out=tmp_path / "odd"))["score"]["percent"]["value"] == 1
    torn = [line(0, 3, 3, "ann"), line(0, 3, 9, "bob"), line(1, 4, 4), line(2, 8, 8)]
    assert by_key(calibrated(tmp_path, torn, Reader(), out=tmp_path / "torn"))["label"]["ties"] == 1


def test_free_text_goes_to_the_private_file_only(tmp_path: Path) -> None:
    calibrated(tmp_path, [line(*each) for each in SCORES], Reader())
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {path.name for path in files if b"SECRET" in path.read_bytes()} == {"private.jsonl"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": {"label": "RIGHT"}}, "line 1: label: none of the 2 allowed values"),
        ({"verdict": {"score": 11}}, "line 1: score: a number outside 0 to 10"),
        ({"verdict": {"scores": 1}}, "did you mean 'score'"),
        ({"verdict": {"why": "because"}}, "key of a verdict 'why' not found"),
        ({"verdict": {}}, "verdict has no key"),
        ({"rubric": "liknes"}, "did you mean 'likeness'"),
        ({"texts": {}}, "texts is an object"),
        ({"text": ""}, "key 'text' does not exist"),
        ({"id": ""}, "id is not empty"),
        ({"id": 3}, "are texts"),
        (
            {"texts": {"reference": "A lesion.", "candidate": " ... "}},
            "'candidate' has no letter and no digit",
        ),
    ],
)
def test_a_line_that_is_no_label_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = write(tmp_path / "labels.jsonl", [line(0, 1, 1) | change])
    with pytest.raises(DataError, match=r"labels\.jsonl, line 1") as caught:
        read_labels(path, {"likeness": LIKENESS})
    assert said in str(caught.value)
    assert "lesion" not in str(caught.value)


def test_labels_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    for lines, said in (
        ([line(0, 1, 1), line(0, 1, 2)], "line 2: id 't0' has a label by the same rater already"),
        ([line(0, 1, 1, "a"), line(0, 2, 2, "b")], "line 2: id 't0' stands above with other texts"),
        ([], "no label"),
    ):
        with pytest.raises(DataError, match=said):
            read_labels(write(tmp_path / "labels.jsonl", lines), {"likeness": LIKENESS})
    (tmp_path / "labels.jsonl").write_text("{")
    with pytest.raises(DataError, match="line 1: no JSON"):
        read_labels(tmp_path / "labels.jsonl", {"likeness": LIKENESS})
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_labels(tmp_path / "none.jsonl", {"likeness": LIKENESS})
    with pytest.raises(UsageError, match="needs a judge"):
        calibrate(tmp_path / "labels.jsonl", [])


def test_a_name_that_two_tasks_use_for_two_rubrics_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --task nobody would know which of them the labels are of; with it there is one."""
    one = judged()
    scorers = tuple(
        dataclasses.replace(scorer, judge=dataclasses.replace(LIKENESS, rubric="Another one."))
        if scorer.judge
        else scorer
        for scorer in one.scorers
    )
    tasks = {"first": one, "second": dataclasses.replace(one, name="second", scorers=scorers)}
    monkeypatch.setattr(
        judge_calibration, "find_all", lambda kind: [SimpleNamespace(name=name) for name in tasks]
    )
    monkeypatch.setattr(judge_calibration, "load_task", tasks.__getitem__)
    judge = Reader()
    with pytest.raises(UsageError, match=r"rubric likeness .*nova_caption.*second.*--task"):
        calibrated(tmp_path, [line(0, 1, 1)], judge, task=None)
    assert judge.asked == []
    assert calibrated(tmp_path, [line(0, 1, 1)], judge, task="second")["judges"][0]["verdicts"] == 1
    tasks["second"] = dataclasses.replace(one, name="second")
    same = calibrated(tmp_path, [line(0, 1, 1)], judge, task=None, out=tmp_path / "same")
    assert same["judges"][0]["verdicts"] == 1


def labelled(rubric: str, texts: dict[str, str], verdict: dict[str, Any], id: str = "t") -> dict[str, Any]:
    return {"id": id, "rubric": rubric, "texts": texts, "verdict": verdict}


def test_labelled_texts_are_shown_as_a_runs_are(tmp_path: Path) -> None:
    asked: list[nb.Request] = []

    def judge(request: nb.Request) -> str:
        asked.append(request)
        return json.dumps({"reason": "", "score": 10})

    texts = {
        "question": "Is it glaucoma?",
        "reference": "A 60-year-old woman with glaucoma",
        "candidate": "yes",
    }
    texts["candidate"] += " x" * 5_000
    lines = [labelled("llm_score_answer", texts, {"score": 10})]
    calibrated(tmp_path, lines, judge, task=None, allow_hosted=True)
    shown = texts_in(asked[0].parts)
    assert shown["reference"] == "A [age] [gender] with glaucoma"
    assert 7_990 < len(shown["candidate"]) <= 8_000


def test_texts_that_are_not_the_rubrics_cost_nothing(tmp_path: Path) -> None:
    def judge(request: nb.Request) -> str:
        raise AssertionError("was asked")

    lines = [labelled("nova_diagnosis", {"truth": "Glioma", "answer": "1. Glioma"}, {"top1": "correct"})]
    with pytest.raises(
        DataError, match="texts are truth, answer; rubric nova_diagnosis has reference, candidate"
    ):
        calibrated(tmp_path, lines, judge, task=None)


def test_keywords_that_all_differ_have_a_percentage_alone(tmp_path: Path) -> None:
    def side(i: int) -> dict[str, Any]:
        lists: dict[str, list[str]] = {key: [] for key in ("imaging", "disease", "negated", "sequence")}
        return {**lists, "anatomy": [f"region {i}"], "label": "abnormal"}

    def judge(request: nb.Request) -> str:
        place = int(texts_in(request.parts)["candidate"].split()[-1])
        return json.dumps({"reference": side(place), "candidate": side(place % 100)})

    lines = [
        labelled(
            "nova_description",
            {"reference": f"region {i}", "candidate": f"region {i}"},
            {"candidate": {"anatomy": [f"region {i}"]}},
            f"t{i}",
        )
        for i in range(120)
    ]
    found = by_key(calibrated(tmp_path, lines, judge, task=None))["candidate.anatomy"]
    assert found["percent"]["value"] == 100 / 120
    assert found["kappa"] is None
    assert found["alpha"]["value"] is None
    assert "only percent" in found["alpha"]["note"]
