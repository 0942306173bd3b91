"""What may not be compared, what --force then marks, and what no option allows."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import judged_runs
import pyarrow.parquet as pq
import pytest
from judged_task import FakeJudge, judged
from rich.console import Console
from running import make_set, nova, settings

import nova_bench as nb
from nova_bench.compare import compare
from nova_bench.render_compare import report

FEW = 100


def box_at(x: int) -> Callable[[nb.Request], str]:
    """Return a model that always marks the same place."""
    return lambda request: json.dumps([{"bbox_2d": [x, 5, x + 16, 20], "label": "abnormality"}])


def localized(home: Path, data: Path | str, out: str, x: int = 8, **more: Any) -> nb.Run:
    task = more.pop("task", "nova_localization")
    return nb.evaluate(task, box_at(x), data=str(data), out=home / out, settings=settings(home), **more)


def forced(*runs: nb.Run, **more: Any) -> list[dict[str, Any]]:
    (task,) = compare(runs, force=True, by="none", resamples=FEW, **more)["tasks"]
    made: list[dict[str, Any]] = task["comparisons"]
    return made


def test_another_limit_is_refused_and_forced_on_the_common_samples(tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", [1, 2] * 6)
    small, whole = localized(tmp_path, data, "small", limit=8), localized(tmp_path, data, "whole", x=12)
    with pytest.raises(
        nb.UsageError,
        match=r"differ in limit \(n=8,seed=0 against none\).*or give --force, which marks every number",
    ):
        compare([small, whole])
    done = nova(tmp_path, "compare", "small", "whole")
    assert done.returncode == 2
    assert "limit (n=8,seed=0 against none)" in done.stderr
    n = len(set(small.scored.table.id))
    for entry in forced(small, whole):
        assert entry["forced"] == ["limit"]
        assert entry["sentence"].startswith("forced, limit differs: ")
        assert entry["n"] == n
        assert entry["left_out"]["missing"] == 18 - n
        assert f"without {18 - n} answers that only one of the runs was asked for" in entry["sentence"]
    (task,) = compare([small, whole], force=True, by="none", resamples=FEW)["tasks"]
    for entry in task["comparisons"]:
        protocol = task["signatures"][entry["signature"]]["protocol"]
        assert protocol["forced"] == {"limit": [{"n": 8, "seed": 0}, None]}
        assert "limit" not in protocol
    shown = nova(
        tmp_path, "compare", "small", "whole", "--force", "--by", "none", "--resamples", "100"
    ).stdout
    metrics = {entry["metric"] for entry in task["comparisons"]}
    assert shown.count("forced: limit") == len(metrics)
    assert "forced, limit differs: " in shown


def test_ranks_of_forced_pairs_are_marked_and_no_others(tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", [1, 2] * 6)
    runs = [
        localized(tmp_path, data, name, x=x, **more)
        for name, x, more in (("one", 8, {}), ("two", 12, {}), ("small", 16, {"limit": 8}))
    ]
    document = compare(runs, force=True, by="none", resamples=FEW)
    (task,) = document["tasks"]
    assert {tuple(rank["forced"] or ()) for rank in task["ranks"]} == {("limit",)}
    written = io.StringIO()
    Console(file=written, width=160).print(report(document))
    shown = written.getvalue()
    # Beside every rank, under every row of the pairs but the first, and under every other metric, whose first pair was not forced.
    metrics = {entry["metric"] for entry in task["comparisons"]}
    assert shown.count("forced: limit differs") == 3 + 2 + len(metrics) - 1
    plain = compare(runs[:2], force=True, by="none", resamples=FEW)["tasks"][0]
    assert {rank["forced"] for rank in plain["ranks"]} == {None}


def test_variants_are_tasks_of_their_own_and_are_only_compared_by_force(tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", [1] * 10)
    given = localized(tmp_path, data, "given")
    none = localized(tmp_path, data, "none", task="nova_localization@image=none")
    again = localized(tmp_path, data, "again", x=12)
    with pytest.raises(nb.UsageError, match=r"differ in variant\.image \(given against none\)"):
        compare([given, none])
    assert {tuple(entry["forced"]) for entry in forced(given, none)} == {("variant",)}
    document = compare([given, none, again], by="none", resamples=FEW)
    assert [task["task"] for task in document["tasks"]] == ["nova_localization"]
    assert document["notes"] == [f"left out: nova_localization@image=none has one run, {tmp_path / 'none'}"]


def test_other_repeats_are_refused_and_forced_on_the_common_ones(tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", [1] * 10)
    once, thrice = localized(tmp_path, data, "once"), localized(tmp_path, data, "thrice", x=12, repeats=3)
    with pytest.raises(nb.UsageError, match=r"differ in repeats \(1 against 3\)"):
        compare([once, thrice])
    entries = forced(once, thrice)
    assert {tuple(entry["forced"]) for entry in entries} == {("repeats",)}
    assert {(entry["n"], entry["left_out"]["missing"]) for entry in entries} == {(10, 20)}


def test_other_data_are_refused_and_forced_where_samples_and_cases_agree(tmp_path: Path) -> None:
    one, two = make_set(tmp_path / "one", [1] * 10, seed=0), make_set(tmp_path / "two", [1] * 10, seed=1)
    first, second = localized(tmp_path, one, "first"), localized(tmp_path, two, "second")
    with pytest.raises(nb.UsageError, match=r"differ in data \([0-9a-f]{12} against [0-9a-f]{12}\)"):
        compare([first, second])
    assert {tuple(entry["forced"]) for entry in forced(first, second)} == {("data",)}
    # The same pictures under other cases: no option makes them the same patients.
    table = pq.read_table(two / "data" / "nova-v1.parquet").to_pylist()
    for row in table:
        row["case_id"] = "case9999" if row["case_id"] == "case0003" else row["case_id"]
    moved = make_set(tmp_path / "moved", [1] * 10, seed=1)
    pq.write_table(
        pq.read_table(moved / "data" / "nova-v1.parquet").from_pylist(table),
        moved / "data" / "nova-v1.parquet",
    )
    third = localized(tmp_path, moved, "third")
    with pytest.raises(
        nb.UsageError, match=r"put the same samples into different cases .*case0003.*case9999"
    ):
        forced(second, third)
    # No sample in common.
    far = make_set(tmp_path / "far", [0] * 10 + [1] * 10)
    with pytest.raises(nb.UsageError, match="have no sample in common"):
        forced(first, localized(tmp_path, far, "fourth"))


def test_synthetic_data_never_stand_beside_real_data(tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", [1] * 8)
    real, synthetic = localized(tmp_path, data, "real"), localized(tmp_path, "mini", "synthetic")
    for force in (False, True):
        with pytest.raises(
            nb.UsageError,
            match=r"on synthetic data and .* on real data; they are never compared, with --force neither",
        ):
            compare([real, synthetic], force=force)
    # Nor in one document, whatever the tasks.
    other = nb.evaluate(
        "nova_diagnosis", "prior", data="mini", out=tmp_path / "other", settings=settings(tmp_path)
    )
    with pytest.raises(nb.UsageError, match="never compared"):
        compare([real, localized(tmp_path, data, "real2"), other])
    done = nova(tmp_path, "compare", "real", "synthetic", "--force")
    assert (done.returncode, "synthetic data" in done.stderr) == (2, True)


def test_other_judges_are_named_and_only_compared_by_force(tmp_path: Path) -> None:
    where = judged_runs.small_set(tmp_path)
    first = judged_runs.run(tmp_path, where, [FakeJudge()], out=tmp_path / "first")
    second = judged_runs.run(tmp_path, where, [FakeJudge()], out=tmp_path / "second")
    other = judged_runs.run(tmp_path, where, [OtherJudge()], out=tmp_path / "other")
    (task,) = compare([first, second], by="none")["tasks"]
    assert judged_runs.LIKENESS in {entry["metric"] for entry in task["comparisons"]}
    assert not task["notes"]
    (task,) = compare([first, other], by="none")["tasks"]
    assert not [e for e in task["comparisons"] if "judge=" in e["metric"]]
    assert (
        f"{judged_runs.LIKENESS} is not compared: only Model ({first.folder}) has it, as the judges differ "
        "(--force compares those of one judge each)"
    ) in task["notes"]
    with pytest.raises(nb.UsageError, match=r"nothing can be compared: .*as the judges differ"):
        compare([first, other], by="none", metrics="likeness")
    entries = {entry["metric"]: entry for entry in forced(first, other)}
    assert entries["likeness"]["forced"] == ["metric", "judge"]
    assert entries["likeness"]["value_a"] == pytest.approx(
        judged_runs.cells_of(first)[judged_runs.LIKENESS].value
    )
    assert entries["likeness"]["value_b"] == pytest.approx(
        judged_runs.cells_of(other)["likeness(judge=OtherJudge)"].value
    )
    assert entries["binary_accuracy(lexicon)"]["forced"] is None


class OtherJudge(FakeJudge):
    """The same judge under another name."""


def test_judged_metrics_are_found_by_the_name_that_the_task_gives_them(tmp_path: Path) -> None:
    where = judged_runs.small_set(tmp_path)
    runs = [
        judged_runs.run(tmp_path, where, [FakeJudge()], task=judged(), out=tmp_path / name)
        for name in ("first", "second")
    ]
    named = [
        {entry["metric"] for entry in compare(runs, by="none", metrics=name)["tasks"][0]["comparisons"]}
        for name in ("likeness", judged_runs.LIKENESS)
    ]
    assert named == [{judged_runs.LIKENESS}] * 2
