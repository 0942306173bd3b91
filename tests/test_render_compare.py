"""Comparisons in the terminal: every number is the document's, names are harmless, and no width cuts a number."""

from __future__ import annotations

import copy
import io
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from running import settings

import nova_bench as nb
from nova_bench.compare import compare
from nova_bench.render_compare import MOST_PAIRS, MOST_RUNS, report


def text(document: dict[str, Any], width: int = 140) -> str:
    written = io.StringIO()
    Console(file=written, width=width, force_terminal=False).print(report(document))
    return written.getvalue()


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """Documents of two and of three runs on one small part of the data."""
    home = tmp_path_factory.mktemp("render")
    runs = [
        nb.evaluate("nova_localization", model, data="mini", out=home / name, settings=settings(home))
        for model, name in (("prior", "a"), ("symmetry", "b"), ("symmetry", "c"))
    ]
    return {n: compare(runs[:n], by=["axial"], resamples=50) for n in (2, 3)}


def test_every_number_of_two_runs_stands_in_the_tables(documents: dict[int, dict[str, Any]]) -> None:
    shown = text(documents[2])
    (task,) = documents[2]["tasks"]
    lines = {re.split(r"\s{2,}", line.strip())[0]: line for line in shown.splitlines()}
    for entry in task["comparisons"]:
        if entry["slice"] != "all":
            continue
        line = lines[entry["metric"]]
        for name in ("value_a", "value_b", "low", "high", "detectable"):
            assert f"{abs(entry[name]):.3f}" in line, (entry["metric"], name)
        assert str(entry["clusters"]) in line
        assert line.rstrip().endswith(
            {"no difference told": "not told"}.get(entry["outcome"], entry["outcome"])
        )
    assert {"axial=true", "axial=false"} <= set(lines)
    assert "A = prior, B = symmetry" in shown
    said = " ".join(shown.split())
    assert task["comparisons"][0]["sentence"] in said
    counted = next(e for e in task["comparisons"] if e["metric"] == "fnr50" and e["slice"] == "all")
    assert counted["sentence"] in said
    assert "1 (headline), 15 (other metrics), 2 (headline by slice)" in said
    assert task["caution"] in said


def test_many_runs_get_ranks_and_a_column_each(documents: dict[int, dict[str, Any]]) -> None:
    shown = text(documents[3])
    assert re.search(r"^ +1-2 +symmetry .* 0\.180 +\[0\.\d{3}, 0\.\d{3}\] +68 +0 +33$", shown, re.MULTILINE)
    assert re.search(r"^ +3 +prior +0\.000 +\[0\.000, 0\.\d{3}\] +68 +0 +33$", shown, re.MULTILINE)
    assert re.search(r"^fnr50 +1\.000 \(3\) +0\.772 \(1-2\) +0\.772 \(1-2\)$", shown, re.MULTILINE)
    said = " ".join(shown.split())
    assert "A run's rank is corrected over this run's own pairs" in said
    assert "by slice, no difference is told in" in said
    many = copy.deepcopy(documents[3])
    (task,) = many["tasks"]
    labels = [f"model{i}" for i in range(9)]
    template = task["comparisons"][0]
    other = next(e for e in task["comparisons"] if e["metric"] == "fnr50" and e["slice"] == "all")
    pairs = list(itertools.combinations(labels, 2))
    task["runs"] = [{**task["runs"][0], "label": label} for label in labels]
    task["comparisons"] = [{**entry, "a": a, "b": b} for entry in (template, other) for a, b in pairs]
    task["ranks"] = [
        {
            **{"metric": metric, "model": label, "rank": i + 1, "low": i + 1, "high": 9, "forced": None},
            **{"value": 0.5, "value_low": 0.4, "value_high": 0.6},
        }
        for metric in ("ap50", "fnr50")
        for i, label in enumerate(labels)
    ]
    shown = text(many)
    assert f"and {len(pairs) - MOST_PAIRS} more pairs" in shown
    assert f"{len(labels) - MOST_RUNS} more runs in --json" in shown
    assert re.search(r"^ +9 +model8", shown, re.MULTILINE)


def test_names_cannot_steer_a_terminal(documents: dict[int, dict[str, Any]]) -> None:
    document = copy.deepcopy(documents[2])
    (task,) = document["tasks"]
    evil = "\x1b[2J\u202eevil\r\n"
    for entry in task["comparisons"]:
        for key in ("a", "b", "metric", "sentence"):
            entry[key] = evil + entry[key]
        entry["forced"] = ["data"]
    task["task"] = task["caution"] = evil
    task["notes"], document["notes"] = [evil], [evil]
    shown = text(document)
    assert not set("\x1b\u202e\r") & set(shown)
    assert "U+202E" in shown


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_no_width_cuts_a_number(documents: dict[int, dict[str, Any]], width: int) -> None:
    for document in documents.values():
        whole, narrow = (set(re.findall(r"[-+]?\d+\.\d+", text(document, w))) for w in (1000, width))
        assert narrow <= whole, narrow - whole
        shown = text(document, width)
        assert max(map(len, shown.splitlines())) <= width


def test_forced_and_incomplete_are_marked(documents: dict[int, dict[str, Any]]) -> None:
    document = copy.deepcopy(documents[2])
    (task,) = document["tasks"]
    for entry in task["comparisons"]:
        entry["forced"] = ["limit", "data"]
    task["runs"][1]["complete"] = False
    shown = text(document)
    whole = sum(entry["slice"] == "all" for entry in task["comparisons"])
    assert shown.count("forced: limit and data differ") == whole + 2
    assert "incomplete: symmetry; what is not answered" in shown


def test_a_document_without_the_headline_shows_the_first_metric(documents: dict[int, dict[str, Any]]) -> None:
    document = copy.deepcopy(documents[2])
    (task,) = document["tasks"]
    task["comparisons"] = [e for e in task["comparisons"] if e["metric"] == "hit50"]
    assert text(document).startswith(f"{task['task']}  ·  hit50, higher is better")


def test_home_of_runs_is_not_needed_to_render(documents: dict[int, dict[str, Any]]) -> None:
    document = copy.deepcopy(documents[2])
    for run in document["tasks"][0]["runs"]:
        run["folder"] = str(Path("nowhere"))
    assert text(document) == text(documents[2])


def test_a_difference_that_no_metric_can_have_is_not_shown_as_detectable(
    documents: dict[int, dict[str, Any]],
) -> None:
    document = copy.deepcopy(documents[2])
    document["tasks"][0]["comparisons"][0]["detectable"] = None
    shown = text(document)
    assert re.search(r"(?m)^ap50 .* none +33 ", shown)
