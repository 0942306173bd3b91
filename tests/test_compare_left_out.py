"""Which answers take part: those that both runs gave and whose verdicts both have; the rest is counted and said."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import judged_runs
import numpy as np
import pytest
from judged_task import FakeJudge
from running import SIZE, make_set, nova, settings, truth

import nova_bench as nb
from nova_bench.compare import compare
from nova_bench.compare_pairing import paired_lines, side_of


class Detector:
    """Marks each picture's first true box, or a corner; some requests end in an error of the server."""

    def __init__(
        self, boxes: dict[str, list[list[float]]], hits: int, faults: frozenset[str] = frozenset()
    ) -> None:
        self.boxes, self.hits, self.faults = boxes, hits, faults

    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        for request in requests:
            if request.id in self.faults:
                yield nb.Response(request.id, "", finish="error", error="the server is down")
                continue
            is_right = sum(request.id.encode()) % 10 < self.hits
            box = self.boxes[request.id][0] if is_right else [40, 40, 47, 47]
            thousandths = [round(1000 * edge / SIZE) for edge in box]
            yield nb.Response(request.id, json.dumps([{"bbox_2d": thousandths, "label": "a"}]))


def check_own_values(document: dict[str, Any], runs: list[nb.Run]) -> None:
    """Beside a rank stands what the run's own report has, on all that it answered, whatever others lost."""
    (task,) = document["tasks"]
    for about, run in zip(task["runs"], runs, strict=True):
        cells = {cell.metric: cell for cell in run.cells() if cell.slice == "all"}
        ranked = [rank for rank in task["ranks"] if rank["model"] == about["label"]]
        assert ranked
        for rank in ranked:
            cell = cells[rank["metric"]]
            stated = [rank[name] for name in ("value", "value_low", "value_high")]
            assert stated == pytest.approx([cell.value, cell.low, cell.high], rel=1e-9)
            assert about["clusters"] >= cell.clusters


def test_answers_that_failed_in_either_run_are_left_out_and_counted(tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", [1, 2, 3] * 8)
    boxes = truth(data)
    names = sorted(boxes)
    lost = (frozenset(names[:5]), frozenset(names[3:10]))
    runs = [
        nb.evaluate(
            "nova_localization",
            Detector(boxes, hits, faults),
            data=str(data),
            out=tmp_path / f"hits{hits}",
            settings=settings(tmp_path),
            params={"max_tokens": 100},
        )
        for hits, faults in zip((3, 8), lost, strict=True)
    ]
    document = compare(runs, metrics=["hit50", "fnr50", "ap50"], by="none")
    both = [name for name in names if name not in lost[0] | lost[1]]
    right = [np.mean([sum(name.encode()) % 10 < hits for name in both]) for hits in (3, 8)]
    entries = {entry["metric"]: entry for entry in document["tasks"][0]["comparisons"]}
    for metric, expected in (("hit50", right), ("fnr50", [1 - value for value in right])):
        entry = entries[metric]
        assert [entry["value_a"], entry["value_b"]] == pytest.approx(expected)
        assert entry["difference"] == pytest.approx(expected[1] - expected[0])
        assert entry["n"] == len(both) == 38
        assert entry["left_out"] == {"failed": 10, "unjudged": 0, "judge_failed": 0, "missing": 0}
        assert entry["sentence"].endswith("; without 10 answers that failed in either run")
    assert entries["ap50"]["n"] == 38
    check_own_values(document, runs)
    assert [(run["complete"], run["failed"], run["samples"]) for run in document["tasks"][0]["runs"]] == [
        (False, 5, 48),
        (False, 7, 48),
    ]
    done = nova(tmp_path, "compare", "hits3", "hits8", "--metric", "hit50", "--by", "none")
    assert done.returncode == 1, done.stderr
    assert "incomplete: " in " ".join(done.stdout.split())
    assert "without 10 answers that failed in either run" in " ".join(done.stdout.split())


def test_a_slice_counts_its_own(tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", [2] * 16)
    boxes = truth(data)
    lost = frozenset(name for name in boxes if "case0001" in name)  # the pictures of one T2 case
    runs = [
        nb.evaluate(
            "nova_localization",
            Detector(boxes, hits, faults),
            data=str(data),
            out=tmp_path / f"{hits}",
            settings=settings(tmp_path),
        )
        for hits, faults in ((3, lost), (8, frozenset()))
    ]
    (task,) = compare(runs, metrics="hit50", by=["t2"])["tasks"]
    assert {e["slice"]: (e["n"], e["left_out"]["failed"]) for e in task["comparisons"]} == {
        "all": (30, 2),
        "t2=false": (16, 0),
        "t2=true": (14, 2),
    }


def test_nothing_answered_by_both_is_undefined_and_no_error(tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", [1] * 8)
    boxes = truth(data)
    half = frozenset(sorted(boxes)[:4])
    runs = [
        nb.evaluate(
            "nova_localization",
            Detector(boxes, 5, faults),
            data=str(data),
            out=tmp_path / f"{n}",
            settings=settings(tmp_path),
        )
        for n, faults in enumerate((half, frozenset(boxes) - half))
    ]
    (task,) = compare(runs, metrics="hit50", by="none")["tasks"]
    (entry,) = task["comparisons"]
    assert [entry[key] for key in ("value_a", "difference", "low", "p", "p_holm", "tests")] == [None] * 5 + [
        0
    ]
    assert entry["outcome"] == "undefined"
    assert entry["sentence"] == (
        "hit50 cannot be compared: no sample has an answer of both that can be compared; without 8 answers that failed in either run"
    )
    assert task["ranks"] == []


def test_a_slice_of_forced_runs_holds_what_both_data_sets_put_there(tmp_path: Path) -> None:
    """Otherwise which run comes first would decide which samples are in it."""
    data = make_set(tmp_path / "set", [1, 2] * 6)
    boxes = truth(data)
    runs = [
        nb.evaluate(
            "nova_localization",
            Detector(boxes, hits),
            data=str(data),
            out=tmp_path / f"{hits}",
            settings=settings(tmp_path),
        )
        for hits in (2, 9)
    ]
    one, two = (side_of(run, run.folder.name, resamples=10, seed=0) for run in runs)
    numbers = one.numbers["hit50"], two.numbers["hit50"]
    lines = paired_lines(one, two, *numbers, forced=True)
    groups = lines.b.groups["axial"].copy()
    groups[0] = "false" if groups[0] == "true" else "true"
    other = dataclasses.replace(lines, b=dataclasses.replace(lines.b, groups={"axial": groups}))
    turned = dataclasses.replace(other, a=other.b, b=other.a)
    for value in ("true", "false"):
        ids = other.slice("axial", value).a.id.tolist()
        assert ids == turned.slice("axial", value).a.id.tolist()
        assert lines.a.id[0] not in ids


def test_few_cases_give_a_difference_without_a_verdict_on_it(tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", [4, 4, 4])
    boxes = truth(data)
    runs = [
        nb.evaluate(
            "nova_localization",
            Detector(boxes, hits),
            data=str(data),
            out=tmp_path / f"{hits}",
            settings=settings(tmp_path),
        )
        for hits in (2, 9)
    ]
    (task,) = compare(runs, metrics="hit50", by="none")["tasks"]
    (entry,) = task["comparisons"]
    assert entry["difference"] > 0
    assert (entry["low"], entry["p"], entry["p_holm"], entry["outcome"]) == (None, None, None, "undefined")
    assert (
        "and whether this is chance cannot be said: no interval: 3 clusters, fewer than 5"
        in entry["sentence"]
    )


def test_answers_that_a_judge_left_without_a_verdict_leave_its_metrics_only(tmp_path: Path) -> None:
    where = judged_runs.small_set(tmp_path)
    first = judged_runs.run(tmp_path, where, [FakeJudge()], out=tmp_path / "first")
    ids = sorted(set(first.scored.table.id))
    lost = ids[:3]
    spoilt = FakeJudge(
        spoil=lambda request, nth: "no verdict" if any(name in request.id for name in lost) else None
    )
    second = judged_runs.run(tmp_path, where, [spoilt], out=tmp_path / "second")
    assert second.scored.judges["FakeJudge"].unjudged == 3
    document = compare([first, second], by="none")
    check_own_values(document, [first, second])
    (task,) = document["tasks"]
    entries = {entry["metric"]: entry for entry in task["comparisons"]}
    judged = entries[judged_runs.LIKENESS]
    assert (judged["n"], judged["left_out"]["unjudged"]) == (len(ids) - 3, 3)
    table = first.scored.table
    kept = ~np.isin(table.id.astype(str), lost)
    assert judged["value_a"] == pytest.approx(np.mean(table["likeness@FakeJudge"][kept]))
    # Both runs' judge gave the same verdicts on what is left.
    assert judged["outcome"] == "identical"
    assert judged["sentence"].endswith(
        f"every answer that both gave scored the same, {judged_runs.LIKENESS}; without 3 answers that are unjudged in either run"
    )
    plain = entries["binary_accuracy(lexicon)"]
    assert (plain["n"], plain["left_out"]["unjudged"]) == (len(ids), 0)


def test_runs_without_a_package_have_no_such_number_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [
        nb.evaluate(
            "nova_caption", "prior", data="mini", limit=6, out=tmp_path / name, settings=settings(tmp_path)
        )
        for name in ("a", "b")
    ]
    lacking = {name for run in runs for name in run.scored.missing}
    (task,) = compare(runs, by="none")["tasks"]
    names = {entry["metric"] for entry in task["comparisons"]}
    for metric in runs[0].plan.task.plain_metrics:
        if metric.infer and lacking & set(metric.needs):
            assert metric.name not in names
            assert any(note.startswith(f"{metric.name} is not compared: ") for note in task["notes"])
        elif metric.infer:
            assert metric.name in names
