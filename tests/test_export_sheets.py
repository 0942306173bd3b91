"""Cells and rows as CSV and Parquet: nothing is lost, no cell is a formula, and what is a gated data set's own stays out."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from fmbench_set import make_built
from judged_runs import run as judged_run
from judged_runs import small_set
from running import make_set, nova, settings

import nova_bench as nb
from nova_bench.errors import NovaBenchError, UsageError
from nova_bench.export.sheet import Column, Sheet, csv_text, parquet_table
from nova_bench.metrics.detection import average_precision


class Echo:
    """Answers with one box, and fails on some."""

    def __init__(self, fails: int = 0) -> None:
        self.fails = fails

    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        for i, request in enumerate(requests):
            if i < self.fails:
                yield nb.Response(request.id, finish="error", error="no route")
            else:
                yield nb.Response(request.id, 'ANSWER: [{"box": [100, 100, 500, 500], "score": 0.5}]')


@pytest.fixture(scope="module")
def located(tmp_path_factory: pytest.TempPathFactory) -> nb.Run:
    home = tmp_path_factory.mktemp("located")
    return nb.evaluate(
        "nova_localization", "symmetry", data="mini", out=home / "run", settings=settings(home)
    )


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> nb.Run:
    """A run on a set as FMBench is built, which is gated."""
    home = tmp_path_factory.mktemp("gated")
    folder = make_built(home / "set", patients=8)
    return nb.evaluate("fmbench_vqa", "prior", data=str(folder), out=home / "run", settings=settings(home))


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_cells_as_csv_are_those_of_the_report(located: nb.Run) -> None:
    made = lines(nb.export_run(located, "csv")["text"])
    report = located.report()
    assert len(made) == len(report["cells"]) > 100
    for line, cell in zip(made, report["cells"], strict=True):
        assert (line["metric"], line["slice"], line["model"]) == (cell["metric"], cell["slice"], "symmetry")
        for name in ("value", "low", "high"):
            assert (float(line[name]) if line[name] else None) == cell[name]
        assert [int(line[name]) for name in ("n", "n_failed", "clusters")] == [
            cell[name] for name in ("n", "n_failed", "clusters")
        ]
        assert line["signature"] == cell["signature"]["id"]
        assert line["synthetic"] == "true"


def test_parquet_has_types_and_whole_signatures(located: nb.Run, tmp_path: Path) -> None:
    nb.export_run(located, "parquet", out=tmp_path / "deep" / "cells.parquet")
    table = pq.read_table(tmp_path / "deep" / "cells.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    assert (types["value"], types["n"], types["incomplete"], types["metric"]) == (
        "double",
        "int64",
        "bool",
        "string",
    )
    about = json.loads(table.schema.metadata[b"nova_bench"])
    for cell, name in zip(located.report()["cells"], table["signature"].to_pylist(), strict=True):
        assert about["signatures"][name] == cell["signature"]


def test_rows_give_back_the_table_to_the_last_digit(located: nb.Run, tmp_path: Path) -> None:
    nb.export_run(located, "parquet", what="rows", out=tmp_path / "rows.parquet")
    table, rows = located.scored.table, pq.read_table(tmp_path / "rows.parquet").to_pylist()
    as_csv = lines(nb.export_run(located, "csv", what="rows")["text"])
    assert [row["id"] for row in rows] == table.id.tolist() == [line["id"] for line in as_csv]
    scores, hits = table.ragged("det_score"), table.ragged("det_hit")
    for i, (row, line) in enumerate(zip(rows, as_csv, strict=True)):
        assert row["best_iou"] == table["best_iou"][i] == float(line["best_iou"])
        assert row["det_score"] == scores[i].tolist() == json.loads(line["det_score"])
        assert row["det_hit"] == hits[i].tolist() == json.loads(line["det_hit"])
        assert row["group:flair"] == table.groups["flair"][i] == line["group:flair"]
    # A metric from the exported rows is the report's.
    (cell,) = (c for c in located.cells() if c.metric == "hit50" and c.slice == "all")
    assert np.mean([row["best_iou"] >= 0.5 for row in rows]) == pytest.approx(cell.value)


def test_failed_lines_have_no_values_and_are_marked(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "set", [1, 2, 1])
    run = nb.evaluate(
        "nova_localization",
        Echo(fails=2),
        data=str(folder),
        out=tmp_path / "run",
        settings=settings(tmp_path),
    )
    rows = lines(nb.export_run(run, "csv", what="rows")["text"])
    failed = [row for row in rows if row["status"] == "failed"]
    assert len(failed) == 2
    assert all(row["best_iou"] == "" and row["det_score"] == "[]" for row in failed)
    (cell,) = (
        c for c in lines(nb.export_run(run, "csv")["text"]) if (c["metric"], c["slice"]) == ("hit50", "all")
    )
    assert (cell["n_failed"], cell["incomplete"], cell["bound_low"] != "", cell["synthetic"]) == (
        "2",
        "true",
        True,
        "false",
    )


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "'", "\uff1d"])
def test_a_text_is_never_a_formula_and_comes_back(start: str) -> None:
    text = f'{start}cmd|"x",1'
    cell = lines(csv_text(Sheet({"a": Column("text", [text]), "b": Column("number", [-0.5])}, {})))[0]
    assert cell["a"] == "'" + text
    assert cell["b"] == "-0.5"


def test_a_hostile_name_of_a_model_is_guarded_and_printed_harmless(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "set", [1, 1])
    run = nb.evaluate(
        "nova_localization", Echo(), data=str(folder), out=tmp_path / "run", settings=settings(tmp_path)
    )
    manifest = json.loads((run.folder / "manifest.json").read_text())
    manifest["identity"]["model"]["name"] = '=HYPERLINK("http://x")\x1b[2J'
    (run.folder / "manifest.json").write_text(json.dumps(manifest))
    for words in (("--format", "csv"), ("--format", "model-card")):
        done = nova(tmp_path, "export", "run", *words)
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout
    done = nova(tmp_path, "export", "run", "--format", "csv", "--out", "cells.csv")
    assert done.returncode == 0, done.stderr
    made = lines((tmp_path / "cells.csv").read_text(encoding="utf-8"))
    assert {line["model"] for line in made} == {'\'=HYPERLINK("http://x")\x1b[2J'}
    assert nova(tmp_path, "export", "run", "--format", "parquet", "--out", "cells.parquet").returncode == 0


def test_rows_of_a_gated_set_have_no_groups_names_or_texts(gated: nb.Run, tmp_path: Path) -> None:
    document = nb.export_run(gated, "csv", what="rows")
    made = lines(document["text"])
    assert not any(name.startswith("group:") for name in made[0])
    clusters = set(gated.scored.table.cluster.tolist())
    assert len(clusters) == 8
    assert sorted({int(line["cluster"]) for line in made}) == list(range(8))
    own = clusters | set(gated.scored.table.id.tolist())
    assert not any(value in own for line in made for value in line.values())
    assert [int(line["id"]) for line in made] == list(range(len(made)))
    assert any("--with-groups" in note for note in document["notes"])

    said: list[str] = []
    open_rows = lines(nb.export_run(gated, "csv", what="rows", with_groups=True, say=said.append)["text"])
    assert {line["group:race"] for line in open_rows} == {"asian", "black", "white"}
    assert {line["cluster"] for line in open_rows} == clusters
    assert [line["id"] for line in open_rows] == gated.scored.table.id.tolist()
    assert len(said) == 1
    assert "race" in said[0]
    assert "CC BY-NC-ND 4.0" in said[0]


def test_cells_of_a_gated_set_are_written_as_they_are(gated: nb.Run) -> None:
    said: list[str] = []
    made = lines(nb.export_run(gated, "csv", say=said.append)["text"])
    assert any(line["slice"] == "race=white" for line in made)
    assert not said


@pytest.mark.parametrize("format", ["evaluate", "coco"])
def test_boxes_and_groups_of_a_gated_set_need_the_flag(format: str, gated: nb.Run, tmp_path: Path) -> None:
    run = gated
    if format == "coco":
        task = nb.load_task("nova_localization")
        task = dataclasses.replace(task, data=dataclasses.replace(task.data, gated=True))
        folder = make_set(tmp_path / "set", [1, 1])
        run = nb.evaluate(task, Echo(), data=str(folder), out=tmp_path / "run", settings=settings(tmp_path))
    with pytest.raises(UsageError, match="--with-groups"):
        nb.export_run(run, format, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    said: list[str] = []
    assert nb.export_run(run, format, out=tmp_path / "out", with_groups=True, say=said.append)["files"]
    assert len(said) == 1


def test_synthetic_and_real_numbers_never_share_a_table(
    located: nb.Run, gated: nb.Run, tmp_path: Path
) -> None:
    for format in ("csv", "parquet", "model-card"):
        with pytest.raises(UsageError, match="synthetic"):
            nb.export_run([located, gated], format, out=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_rows_of_two_tasks_are_refused_and_two_runs_are_numbered(located: nb.Run, tmp_path: Path) -> None:
    other = nb.evaluate(
        "nova_localization", "prior", data="mini", out=tmp_path / "prior", settings=settings(tmp_path)
    )
    both = lines(nb.export_run([located, other], "csv", what="rows")["text"])
    assert [(line["run"], line["model"]) for line in (both[0], both[-1])] == [
        ("1", "symmetry"),
        ("2", "prior"),
    ]
    assert len(both) == 2 * len(located.scored.table)
    caption = nb.evaluate(
        "nova_caption", "prior", data="mini", limit=3, out=tmp_path / "cap", settings=settings(tmp_path)
    )
    with pytest.raises(UsageError, match="one task at a time"):
        nb.export_run([located, caption], "csv", what="rows")


def test_judged_rows_and_cells_are_in_both(tmp_path: Path) -> None:
    run = judged_run(
        tmp_path,
        small_set(tmp_path),
        ["rule_based_judge"],
        task="nova_caption",
        data="mini",
        limit=3,
        model="prior",
    )
    made = lines(nb.export_run(run, "csv")["text"])
    judged = [line for line in made if "judge=rule-based stand-in" in line["metric"]]
    assert judged
    assert all(line["unjudged"] != "" for line in judged)
    assert all(line["unjudged"] == "" for line in made if "judge=" not in line["metric"])
    nb.export_run(run, "parquet", what="rows", out=tmp_path / "rows.parquet")
    names = pq.read_schema(tmp_path / "rows.parquet").names
    assert any(name.endswith("@rule-based stand-in") for name in names)


def test_lists_of_texts_and_nothing_at_all_are_typed() -> None:
    columns = {
        "t": Column("texts", [["=a"], []]),
        "e": Column("numbers", [[], []]),
        "n": Column("number", [None, None]),
    }
    types = [str(field.type).replace("item", "element") for field in parquet_table(Sheet(columns, {})).schema]
    assert types == ["list<element: string>", "list<element: double>", "double"]
    assert csv_text(Sheet(columns, {})).splitlines()[1] == '"[""=a""]",[],'


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("csv", {"what": "columns"}), "columns"),
        (("coco", {"what": "rows"}), "belongs to csv and parquet"),
        (("xlsx", {}), "xlsx"),
        (("parquet", {}), "--out FILE.parquet"),
        (("coco", {}), "--out FOLDER"),
    ],
)
def test_wrong_use_is_said(words: tuple[str, dict[str, Any]], message: str, located: nb.Run) -> None:
    with pytest.raises(UsageError, match=message):
        nb.export_run(located, words[0], **words[1])


def test_a_place_that_is_taken_is_refused(located: nb.Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(NovaBenchError, match="is a folder"):
        nb.export_run(located, "csv", out=tmp_path)
    with pytest.raises(NovaBenchError, match="is a file"):
        nb.export_run(located, "coco", out=tmp_path / "file")


def test_json_is_one_document_on_standard_output(located: nb.Run, tmp_path: Path) -> None:
    done = nova(tmp_path, "export", located.folder, "--format", "csv", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema_version"] == 1
    assert document["text"] == nb.export_run(located, "csv")["text"]
    assert document["runs"][0]["task"] == "nova_localization"
    assert nova(tmp_path, "export", located.folder, "--format", "parquet").returncode == 2


def test_averages_from_exported_rows_can_be_pooled_again(located: nb.Run) -> None:
    """AP from the CSV's lists alone, without our log: what a reader of the file can do."""
    from nova_bench.table import Ragged, Table, build_columns

    made = lines(nb.export_run(located, "csv", what="rows")["text"])
    columns: dict[str, Any] = build_columns([{"n_true": float(line["n_true"])} for line in made], ["n_true"])
    columns["det_score"] = Ragged.of([json.loads(line["det_score"]) for line in made])
    columns["det_hit"] = Ragged.of(
        [np.array(json.loads(line["det_hit"]), dtype=bool).reshape(-1, 11) for line in made]
    )
    ids = np.array([line["id"] for line in made], dtype=object)
    table = Table(ids, ids, np.zeros(len(ids), int), ids, ids, {}, columns)
    (cell,) = (c for c in located.cells() if c.metric == "ap50" and c.slice == "all")
    assert average_precision(0.5).compute(table, table.ones())[0] == pytest.approx(cell.value, abs=1e-12)
