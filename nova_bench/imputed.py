"""What a run's rows would be if every line that failed had the worst, or the best, possible answer: the bounds of cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from nova_bench.judged_rows import JUDGE_FAILED, JUDGED, UNJUDGED, Bench, judged_column, state_column
from nova_bench.table import Ragged, Table, build_columns, stack_columns
from nova_bench.types import Sample, Scorer


def imputed_tables(
    whole: Table,
    open_lines: Sequence[tuple[int, Sample | None]],
    plain: Sequence[Scorer],
    judged: Sequence[Scorer],
    benches: Sequence[Bench],
) -> tuple[Table | None, Table | None]:
    """Return the tables in which each line that failed is the worst, and the best, possible answer.

    In a judge's columns so is each without a verdict, be it to come or missing for good. Scorers without bounds leave their columns out; a
    failed line without a known truth leaves no bounds at all.

    Args:
        whole: All lines.
        open_lines: Place and sample of those that failed, or that some judge has no verdict on.
        plain: The scorers that need no judge, and whose resources are there.
        judged: Those that need one.
        benches: The judges.
    """
    if not open_lines or any(sample is None for _, sample in open_lines):
        return None, None
    samples = {place: sample for place, sample in open_lines if sample is not None}
    failed = np.asarray(whole.status == "failed")
    sides: tuple[dict[str, np.ndarray | Ragged], ...] = ({}, {})
    for side, columns in enumerate(sides):
        for scorer in plain:
            columns.update(_imputed(whole, scorer, failed, samples, side))
        for bench in benches:
            for scorer in judged:
                assert scorer.judge is not None
                states = whole.columns.get(state_column(scorer.judge, bench.name))
                if isinstance(states, np.ndarray):
                    is_open = failed | (states == JUDGE_FAILED) | (states == UNJUDGED)
                    columns.update(_imputed(whole, scorer, is_open, samples, side, bench.name))
                    columns[state_column(scorer.judge, bench.name)] = np.where(is_open, JUDGED, states)
    return tuple(dataclasses.replace(whole, columns=columns) for columns in sides)  # type: ignore[return-value]  # two


def _imputed(
    whole: Table,
    scorer: Scorer,
    is_open: np.ndarray,
    samples: Mapping[int, Sample],
    side: int,
    judge: str | None = None,
) -> dict[str, np.ndarray | Ragged]:
    """Return a scorer's columns with the lines in `is_open` scored as the worst (side 0) or the best (side 1) answer."""
    if scorer.bounds is None:
        return {}
    rows = [scorer.bounds(samples[int(i)])[side] for i in np.flatnonzero(is_open)]
    # Known lines first, open ones behind: where each line of the whole then lies.
    place = np.empty(len(whole), dtype=np.int64)
    place[~is_open] = np.arange((~is_open).sum())
    place[is_open] = (~is_open).sum() + np.arange(len(rows))
    columns: dict[str, np.ndarray | Ragged] = {}
    bounded = [column for column in scorer.columns if all(column in row for row in rows)]
    extra = build_columns(rows, bounded) if rows else {}
    for plain_name in bounded:
        name = plain_name if judge is None else judged_column(plain_name, judge)
        found = whole.columns.get(name)
        if not rows:
            if found is not None:
                columns[name] = found
            continue
        column = extra[plain_name]
        index = np.flatnonzero(~is_open)
        known = None if found is None else found.take(index) if isinstance(found, Ragged) else found[index]
        both = column if known is None or not len(known) else stack_columns([known, column])
        columns[name] = both.take(place)
    return columns
