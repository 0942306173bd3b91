"""Rows of runs as a sheet: one line a sample and repeat, with what every metric is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

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
        with_groups: Whether ids, case names, groups and texts of the data set stand in it; without them samples and cases are numbers, the
            same in all of the runs.

    Raises:
        UsageError: The runs are of several tasks, whose rows have nothing in common.
    """
    spellings = list(dict.fromkeys(run.plan.spelling for run in runs))
    if len(spellings) > 1:
        raise UsageError(
            f"the rows of {', '.join(spellings)} have different columns; export one task at a time"
        )
    tables = [run.scored.table for run in runs]
    numbers = (
        None if with_groups else (_numbers([t.id for t in tables]), _numbers([t.cluster for t in tables]))
    )
    made = [_sheet(i, run.model, run.scored.table, numbers) for i, run in enumerate(runs, start=1)]
    signatures: dict[str, Mapping[str, Any]] = {}
    for run in runs:
        for cell in run.report()["cells"]:
            signatures.setdefault(cell["signature"]["id"], cell["signature"])
    about = {"schema_version": 1, "what": "rows", "task": spellings[0], "signatures": signatures}
    return joined(made, about)


def _numbers(names: Sequence[np.ndarray]) -> dict[str, int]:
    """Return a number for each name that stands in any of some arrays."""
    return {name: i for i, name in enumerate(sorted({name for some in names for name in some.tolist()}))}


def _sheet(
    number: int, model: str, table: Table, numbers: tuple[Mapping[str, int], Mapping[str, int]] | None
) -> Sheet:
    n = len(table)
    ids, clusters = column_of(table.id), column_of(table.cluster)
    if numbers is not None:
        ids, clusters = (
            Column("whole", [known[name] for name in column.values])
            for column, known in zip((ids, clusters), numbers, strict=True)
        )
    columns: dict[str, Column] = {
        "run": Column("whole", [number] * n),
        "model": Column("text", [model] * n),
        "id": ids,
        "repeat": column_of(table.repeat),
        "cluster": clusters,
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
