"""Rows of runs as a sheet: one line a sample and repeat, with what every metric is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nova_bench.errors import UsageError
from nova_bench.export.sheet import Column, Sheet, column_of, joined
from nova_bench.run import Run
from nova_bench.table import Table

_GROUP = "group:"
"""Before the name of an attribute, which might else be that of a column."""


def rows_sheet(runs: Sequence[Run], *, with_groups: bool) -> Sheet:
    """Return the rows of runs of one task; a failed line has no values.

    Args:
        runs: In the order in which the column ``run`` numbers them, from 1.
        with_groups: Whether case names, groups and texts of the data set stand in it; without them a case is a number.

    Raises:
        UsageError: The runs are of several tasks, whose rows have nothing in common.
    """
    spellings = list(dict.fromkeys(run.plan.spelling for run in runs))
    if len(spellings) > 1:
        raise UsageError(
            f"the rows of {' and '.join(spellings)} have different columns; export one task at a time"
        )
    tables = [run.scored.table for run in runs]
    names = sorted({str(name) for table in tables for name in table.cluster})
    numbers = None if with_groups else {name: i for i, name in enumerate(names)}
    made = [_sheet(i, run.model, run.scored.table, numbers) for i, run in enumerate(runs, start=1)]
    signatures: dict[str, Mapping[str, Any]] = {}
    for run in runs:
        for cell in run.report()["cells"]:
            signatures.setdefault(cell["signature"]["id"], cell["signature"])
    about = {"schema_version": 1, "what": "rows", "task": spellings[0], "signatures": signatures}
    return joined(made, about)


def _sheet(number: int, model: str, table: Table, numbers: Mapping[str, int] | None) -> Sheet:
    n = len(table)
    columns: dict[str, Column] = {
        "run": Column("whole", [number] * n),
        "model": Column("text", [model] * n),
        "id": column_of(table.id),
        "repeat": column_of(table.repeat),
        "cluster": column_of(table.cluster)
        if numbers is None
        else Column("whole", [numbers[str(name)] for name in table.cluster]),
        "split": column_of(table.split),
        "status": column_of(table.status),
    }
    if numbers is None:
        columns |= {_GROUP + name: column_of(values) for name, values in table.groups.items()}
    for name, values in table.columns.items():
        column = column_of(values)
        if numbers is None or column.type not in ("text", "texts"):
            columns[name] = column
    return Sheet(columns, {})
