"""rows.jsonl: every float comes back as it was, cells come out of it again, and what does not fit is refused with its line."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from running import settings
from submissions import Clerk

import nova_bench as nb
from nova_bench.board.layout import schema_path
from nova_bench.board.rows_file import Rows, masked, rows_of, write_rows
from nova_bench.errors import LogError
from nova_bench.report import cell_json, cells
from nova_bench.table import Ragged, Table


def objects(*values: Any) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def table(base: bool = False) -> Table:
    ids = objects("b", "b", "ä\n", "c")
    dice = np.random.default_rng(0)
    odd = np.array([0.1 + 0.2, -0.0, math.nan, 5e-324])
    huge = Ragged.of([[2**62, -1], [], [3], [0, 0, 7]])
    hits = Ragged.of(
        [dice.random((2, 3)) < 0.5, np.zeros((0, 3), bool), dice.random((1, 3)) < 0.5, np.ones((1, 3), bool)]
    )
    scores = Ragged.of([[math.inf, 1 / 3], [], [-math.inf], [math.nan]])
    short = np.array([1 / 3, 0.1, 2.0, math.nan], dtype=np.float32)
    return Table(
        id=ids,
        cluster=objects("k2", "k2", "k10", "k1"),
        repeat=np.array([0, 1, 0, 0]),
        status=objects("ok", "refused", "ok", "truncated"),
        split=objects("test", "test", "test", "val"),
        groups={"race": objects("white", "white", None, "black")},
        columns={"odd": odd, "huge": huge, "hits": hits, "scores": scores, "short": short},
        base=objects("b", "b", "b", "c") if base else None,
    )


def back(lines: list[str]) -> Rows:
    parsed = [json.loads(line) for line in lines]
    Draft202012Validator(json.loads(schema_path("rows_header").read_text())).validate(parsed[0])
    row = Draft202012Validator(json.loads(schema_path("row").read_text()))
    for line in parsed[1:]:
        row.validate(line)
    return rows_of(parsed[0], parsed[1:])


def same(one: Table, other: Table) -> None:
    for name in ("id", "cluster", "repeat", "status", "split", "base"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    assert {name: values.tolist() for name, values in one.groups.items()} == {
        name: values.tolist() for name, values in other.groups.items()
    }
    assert list(one.columns) == list(other.columns)
    for name, column in one.columns.items():
        again = other.columns[name]
        values, those = (one.values if isinstance(one, Ragged) else one for one in (column, again))
        assert values.dtype == those.dtype
        assert values.shape == those.shape
        assert values.tobytes() == those.tobytes(), name
        if isinstance(column, Ragged):
            assert column.offsets.tolist() == again.offsets.tolist()


@pytest.mark.parametrize("base", [False, True])
def test_a_table_comes_back_bit_for_bit(base: bool) -> None:
    made = table(base)
    read = back(list(write_rows(made, None, None, is_masked=False)))
    same(made, read.table)
    assert read.worst is read.best is None
    assert (read.table.base is read.table.id) is not base


def test_masked_names_keep_their_order_and_nothing_else() -> None:
    made = table(base=True)
    hidden = masked(made)
    assert hidden.groups == {}
    assert hidden.id.tolist() == ["s1", "s1", "s3", "s2"]
    assert hidden.base.tolist() == ["s1", "s1", "s1", "s2"]
    assert hidden.cluster.tolist() == ["c3", "c3", "c2", "c1"]
    assert hidden.cluster_codes()[0].tolist() == made.cluster_codes()[0].tolist()
    many = dataclasses.replace(
        made.take(np.zeros(12, int)), cluster=objects(*(f"k{i:02d}" for i in range(12)))
    )
    assert sorted(masked(many).cluster) == masked(many).cluster.tolist()


def test_bounds_of_unjudged_lines_come_out_of_the_rows(tmp_path: Path) -> None:
    run = nb.evaluate(
        "nova_diagnosis", "prior", data="mini", out=tmp_path, judges=[Clerk(9)], settings=settings(tmp_path)
    )
    scored = run.scored
    read = back(list(write_rows(scored.table, scored.worst, scored.best, is_masked=False)))
    again = dataclasses.replace(scored, table=read.table, worst=read.worst, best=read.best)
    wanted = [cell_json(cell) for cell in run.cells()]
    assert [cell_json(cell) for cell in cells(run.plan, again, run.model)] == [
        {
            **cell,
            "signature": {
                **cell["signature"],
                "provenance": {**cell["signature"]["provenance"], "versions": {}},
            },
        }
        for cell in wanted
    ]
    open_cells = [cell for cell in wanted if cell["bounds"] and cell["counts"].get("unjudged")]
    assert open_cells
    assert any(cell["bounds"][0] < cell["bounds"][1] for cell in open_cells)


def broken(number: int, key: str, change: Any) -> list[str]:
    lines = [json.loads(line) for line in write_rows(table(), None, None, is_masked=False)]
    lines[number][key] = change(lines[number][key]) if callable(change) else change
    return [json.dumps(line) for line in lines]


@pytest.mark.parametrize(
    ("number", "key", "change", "said"),
    [
        (0, "lines", 5, "4 lines, expected 5"),
        (2, "values", lambda values: values[1:], "line 3: 4 values"),
        (2, "groups", [], "line 3: .* 0 groups"),
        (1, "values", lambda values: ["x", *values[1:]], "column 'odd': str in the place of a number"),
        (1, "values", lambda values: [True, *values[1:]], "column 'odd': bool in the place"),
        (1, "values", lambda values: [[1.0], *values[1:]], "column 'odd'"),
        (
            1,
            "values",
            lambda values: [values[0], [1.5], *values[2:]],
            "column 'huge': a value that is no int",
        ),
        (1, "values", lambda values: [values[0], [2**70], *values[2:]], "column 'huge'"),
        (1, "values", lambda values: [values[0], 3, *values[2:]], "column 'huge'"),
        (1, "values", lambda values: [*values[:2], [[True, True]], *values[3:]], "column 'hits'"),
        (
            1,
            "values",
            lambda values: [*values[:2], [[1, 0, 1]], *values[3:]],
            "column 'hits': a value that is no bool",
        ),
    ],
)
def test_lines_that_do_not_fit_are_refused(number: int, key: str, change: Any, said: str) -> None:
    lines = [json.loads(line) for line in broken(number, key, change)]
    with pytest.raises(LogError, match=said):
        rows_of(lines[0], lines[1:])


def test_imputed_rows_and_bases_stand_where_the_header_says() -> None:
    header, *lines = (json.loads(line) for line in write_rows(table(), None, None, is_masked=False))
    with pytest.raises(LogError, match="line 2: imputed values, but"):
        rows_of(header, [{**lines[0], "imputed": [[], []]}, *lines[1:]])
    with pytest.raises(LogError, match="line 3: 'base'"):
        rows_of(header, [lines[0], {**lines[1], "base": "b"}, *lines[2:]])
    imputed = {**header, "imputed": {"odd": header["columns"]["odd"]}}
    with pytest.raises(LogError, match="line 2: expected two imputed rows of 1"):
        rows_of(imputed, [{**lines[0], "imputed": [[1.0], []]}, *lines[1:]])
    read = rows_of(imputed, [{**lines[0], "imputed": [[0.0], [1.0]]}, *lines[1:]])
    assert read.worst is not None
    assert read.best is not None
    assert [read.worst["odd"][0], read.best["odd"][0], read.table["odd"][0]] == [0.0, 1.0, 0.1 + 0.2]
    assert read.worst["odd"][3] == read.best["odd"][3] == 5e-324


def test_a_column_of_texts_is_not_written() -> None:
    made = dataclasses.replace(table(), columns={"words": objects("a", "b", "c", "d")})
    with pytest.raises(LogError, match="dtype object"):
        list(write_rows(made, None, None, is_masked=False))
