"""Answers without a verdict, by group: a judge that breaks off more often for some patients leaves more of them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from nova_bench.table import Table


def count_unjudged(record: dict[str, Any], table: Table, unjudged: Table) -> str | None:
    """Enter the count ``unjudged`` everybody and in each group of a comparison, and return what must be said; None where there are none.

    ``n`` counts those samples too, as in a report; the value is over the others.

    Args:
        record: As `nova_bench.fairness_json.comparison_json` makes it; changed in place.
        table: The lines that were compared, failed ones included.
        unjudged: Those that were left out.
    """
    attribute = record["attribute"]
    values, left = table.groups[attribute], unjudged.groups[attribute]
    everybody = np.ones(len(table), dtype=bool), np.ones(len(unjudged), dtype=bool)
    _enter(record["overall"], table, unjudged, *everybody)
    for name, group in record["groups"].items():
        _enter(group, table, unjudged, np.asarray(values == name), np.asarray(left == name))
    if record["unknown"] is not None:
        none = (np.array([value is None for value in column], dtype=bool) for column in (values, left))
        _enter(record["unknown"], table, unjudged, *none)
    if not len(unjudged):
        return None
    known = sorted({value for value in left if value is not None})
    told = [f"{int((left == value).sum())} of {attribute}={value}" for value in known]
    if others := sum(value is None for value in left):
        told.append(f"{others} of unknown {attribute}")
    said = f"{len(unjudged)} answers are unjudged and left out: {', '.join(told)}"
    if gone := [value for value in known if value not in record["groups"]]:
        said += f"; no answer of {', '.join(gone)} was judged"
    return said


def _enter(group: dict[str, Any], table: Table, unjudged: Table, here: np.ndarray, left: np.ndarray) -> None:
    counts = {**group["counts"], "unjudged": int(left.sum())}
    lines = sum(counts.values())
    group["counts"] = counts
    group["shares"] = {state: count / lines if lines else None for state, count in counts.items()}
    group["n"] = len({*table.id[here].tolist(), *unjudged.id[left].tolist()})
