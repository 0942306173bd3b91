"""How far a judge agrees with itself and judges with each other, beside the scores that rest on them.

*Repeats* (``--judge-repeats``): test-retest agreement of every judged column, the metric as each repeat alone gives it, and how much of
the metric's interval is the judge's doing: the variance that another draw of the same verdicts would bring, as a share of the squared
standard error. Where the metric is a ratio of sums that variance is a formula; else verdicts of each answer are drawn anew a hundred times.

A *panel* joins several judges, line by line, by their mean; with ``how="majority"`` columns of 0 and 1 by majority, a tie being one half, and
the labels of a scorer as one vote (`nova_bench.judged_rows.vote`). Lines that one of the judges did not judge are left out.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nova_bench.errors import UnknownNameError, UsageError
from nova_bench.judge_log import Asked
from nova_bench.judged_rows import (
    JUDGED,
    JudgedMetric,
    judged_column,
    judged_metrics,
    repeat_column,
    state_column,
    vote,
)
from nova_bench.score import Scored
from nova_bench.stats import RESAMPLES, Estimate, estimate
from nova_bench.stats.agreement import MAX_VALUES, codes_of, krippendorff_alpha, percent_agreement
from nova_bench.stats.resampling import keyed_generator
from nova_bench.table import Ragged, Table
from nova_bench.task import Task
from nova_bench.types import Judge, Scorer

PANEL = "panel"
HOWS = ("mean", "majority")
DRAWS = 100


def repeat_records(
    task: Task, scored: Scored, *, resamples: int = RESAMPLES, seed: int = 0
) -> list[dict[str, Any]]:
    """Return one record for each judge that was asked several times, and each of its metrics: ``judge_repeats`` of a report.

    Args:
        task: The run's.
        scored: Its rows.
        resamples: Of the metric's interval.
        seed: Of the draws and resamples.
    """
    made = []
    for account in scored.judges.values():
        asked = account.asked
        if asked.repeats < 2:
            continue
        agreement: dict[tuple[str, ...], dict[str, Any]] = {}
        for plain, judged in zip(task.judged_metrics, judged_metrics(task, [asked]), strict=True):
            columns = [need for need in plain.needs if need in task.judged_columns]
            lines = judged.judged_lines(scored.table)
            if len(lines) and all(judged_column(column, asked.name) in lines.columns for column in columns):
                made.append(_repeat_record(task, asked, judged, columns, lines, resamples, seed, agreement))
    return made


def _repeat_record(
    task: Task,
    asked: Asked,
    judged: JudgedMetric,
    columns: Sequence[str],
    lines: Table,
    resamples: int,
    seed: int,
    agreement: dict[tuple[str, ...], dict[str, Any]],
) -> dict[str, Any]:
    """Return one metric's record; `agreement` keeps that of columns which several metrics on the same lines share."""
    metric, repeats = judged.metric, range(asked.repeats)
    there = np.stack([_is_there(judged.judges, asked, repeat, lines) for repeat in repeats], axis=1)
    tables = [_as_repeat(lines, columns, asked, repeat) for repeat in repeats]
    # Two resamples: of one repeat only the value counts.
    values = [
        estimate(table.take(kept), metric, resamples=2, seed=seed).value
        for table, kept in zip(tables, there.T, strict=True)
    ]
    known = [value for value in values if value is not None]
    whole = estimate(lines, metric, resamples=resamples, seed=seed)
    variance = _judge_variance(judged, tables, there, lines, seed)
    share = None
    if whole.s and not math.isnan(variance):
        share = min(1.0, variance / whole.s**2)
    shared = tuple(judge.name for judge in judged.judges)
    for column in columns:
        if (*shared, column) not in agreement:
            given = [table.columns[judged_column(column, asked.name)] for table in tables]
            agreement[*shared, column] = _column_record(task, column, given, there, lines)
    return {
        "judge": asked.name,
        "metric": metric.name,
        "repeats": asked.repeats,
        "n": len(lines),
        "value": whole.value,
        "low": whole.low,
        "high": whole.high,
        "values": values,
        "spread": float(np.std(known, ddof=1)) if len(known) > 1 else None,
        "judge_s": None if math.isnan(variance) else math.sqrt(variance),
        "share_of_interval": share,
        "agreement": [agreement[*shared, column] for column in columns],
    }


def _is_there(judges: Sequence[Judge], asked: Asked, repeat: int, lines: Table) -> np.ndarray:
    """Return boolean array (n,): whether a judge's repeat gave a verdict by every rubric (rows by rule have one)."""
    states = [lines[state_column(judge, f"{asked.name}#{repeat}")] for judge in judges]
    return np.asarray(np.min(states, axis=0) == JUDGED)


def _as_repeat(lines: Table, columns: Sequence[str], asked: Asked, repeat: int) -> Table:
    """Return the lines with one repeat's columns in the place of all repeats' together."""
    own = {
        judged_column(column, asked.name): lines.columns[repeat_column(column, asked.name, repeat)]
        for column in columns
        if repeat_column(column, asked.name, repeat) in lines.columns
    }
    return dataclasses.replace(lines, columns={**lines.columns, **own})


def _judge_variance(
    judged: JudgedMetric, tables: Sequence[Table], there: np.ndarray, lines: Table, seed: int
) -> float:
    """Return the variance of the metric over new verdicts on the same answers; NaN where no answer has two."""
    models_repeats = np.unique(lines.repeat)
    total = 0.0
    for which in models_repeats:
        mask = np.asarray(lines.repeat == which)
        parts, seen = [table.take(mask) for table in tables], there[mask]
        if judged.metric.sums is not None:
            total += _variance_of_sums(judged, parts, seen, lines.take(mask))
        else:
            total += _variance_of_draws(judged, parts, seen, seed)
    return total / len(models_repeats) ** 2


def _variance_of_sums(
    judged: JudgedMetric, tables: Sequence[Table], there: np.ndarray, lines: Table
) -> float:
    assert judged.metric.sums is not None  # the caller asked
    num, den = judged.metric.sums(lines)
    if not den.sum() or not (there.sum(axis=1) > 1).any():
        return math.nan
    value = num.sum() / den.sum()
    errors = np.stack(
        [one - value * two for one, two in (judged.metric.sums(table) for table in tables)], axis=1
    )
    errors = np.where(there, errors / den.sum(), 0.0)
    given = there.sum(axis=1)
    several = given > 1
    centred = np.where(there, errors - (errors.sum(axis=1) / np.maximum(given, 1))[:, None], 0.0)
    each = (centred**2).sum(axis=1)[several] / (given[several] - 1) / given[several]
    return float(
        each.sum() * len(lines) / several.sum()
    )  # lines with one verdict are taken to be like the others


def _variance_of_draws(judged: JudgedMetric, tables: Sequence[Table], there: np.ndarray, seed: int) -> float:
    n, repeats = there.shape
    if not (there.sum(axis=1) > 1).any():
        return math.nan
    generator = keyed_generator(seed, ("judge repeats", judged.metric.name))
    stacked = Table.stack(tables)
    values = []
    for _ in range(DRAWS):
        pick = np.argmax(np.where(there, generator.random((n, repeats)), -1.0), axis=1)
        drawn = stacked.take(pick * n + np.arange(n))
        values.append(float(judged.metric.compute(drawn, drawn.ones())[0]))
    # A draw among R verdicts varies (R - 1) / R as much as a new verdict, and the score rests on R of them.
    return float(np.var(values, ddof=1) / (repeats - 1))


def _column_record(
    task: Task, column: str, given: Sequence[np.ndarray | Ragged], there: np.ndarray, lines: Table
) -> dict[str, Any]:
    """Return the agreement of several raters on one column: columns of 0 and 1, labels and sets as labels, others as numbers."""
    owner = next(scorer for scorer in task.scorers if column in scorer.columns)
    arrays = [one for one in given if isinstance(one, np.ndarray)]
    is_label = len(arrays) < len(given) or column in owner.labels or _is_binary(arrays, there)
    if is_label:
        cells = [
            [_as_label(one, i) if there[i, r] else None for r, one in enumerate(given)]
            for i in range(len(lines))
        ]
        ratings = codes_of([cell for row in cells for cell in row]).reshape(len(lines), len(given))
    else:
        ratings = np.where(there, np.stack(arrays, axis=1), np.nan)
    is_small = not is_label or len(np.unique(ratings[~np.isnan(ratings)])) <= MAX_VALUES
    level = "interval" if not is_label else "nominal"
    return {
        "column": column,
        "percent": _json(percent_agreement(ratings, clusters=lines.cluster)),
        "alpha": _json(krippendorff_alpha(ratings, level=level, clusters=lines.cluster))
        if is_small
        else None,
        "alpha_level": level,
    }


def _is_binary(arrays: Sequence[np.ndarray], there: np.ndarray) -> bool:
    values = np.unique(np.stack(arrays, axis=1)[there])
    return bool(np.isin(values, (0.0, 1.0)).all())


def _as_label(column: np.ndarray | Ragged, i: int) -> str:
    if isinstance(column, Ragged):
        return repr(sorted(np.unique(column[i]).tolist()))
    return "none" if math.isnan(float(column[i])) else repr(float(column[i]))


def panel_record(
    task: Task, scored: Scored, *, judges: Sequence[str] = (), how: str = "mean", seed: int = 0
) -> dict[str, Any]:
    """Return the metrics of a panel of judges, and how far its members disagree.

    Args:
        task: The run's.
        scored: Its rows.
        judges: Names; all that were asked where empty.
        how: One of `HOWS`.
        seed: Of the resamples.

    Raises:
        UsageError: Fewer than two judges, or a way of joining them that does not exist.
    """
    if how not in HOWS:
        raise UnknownNameError("way of joining a panel", how, HOWS)
    for name in judges:
        if name not in scored.judges:
            raise UnknownNameError("judge", name, scored.judges, "this run")
    members = [scored.judges[name].asked for name in dict.fromkeys(judges or scored.judges)]
    if len(members) < 2:
        raise UsageError(
            f"a panel needs two judges or more; this run has {', '.join(one.name for one in members) or 'none'}. "
            "Add one: nova-bench score RUN --judge ADAPTER[:MODEL]"
        )
    as_one = dataclasses.replace(members[0], name=PANEL)
    table = _panel_table(task, scored.table, members, how)
    records, columns = [], {}
    each = zip(task.judged_metrics, *(judged_metrics(task, [one]) for one in (as_one, *members)), strict=True)
    for plain, whole, *own in each:
        lines = whole.judged_lines(table)
        if not len(lines) or not set(whole.metric.needs) <= set(lines.columns):
            continue
        found = estimate(lines, whole.metric, seed=seed)
        values = {
            one.name: estimate(lines, member.metric, seed=seed).value
            for one, member in zip(members, own, strict=True)
        }
        known = [value for value in values.values() if value is not None]
        records.append(
            {
                "metric": whole.metric.name,
                **_json(found),
                "n": len(lines),
                "left_out": int(scored.answered.sum()) - len(lines),
                "judges": values,
                "spread": max(known) - min(known) if known else None,
            }
        )
        for column in plain.needs:
            if column in task.judged_columns and column not in columns:
                given = [lines.columns[judged_column(column, one.name)] for one in members]
                there = np.ones((len(lines), len(members)), dtype=bool)
                columns[column] = _column_record(task, column, given, there, lines)
    names = [one.name for one in members]
    return {"judges": names, "how": how, "metrics": records, "disagreement": list(columns.values())}


def _panel_table(task: Task, table: Table, members: Sequence[Asked], how: str) -> Table:
    """Return the table with the panel's columns and states."""
    made: dict[str, np.ndarray | Ragged] = {}
    for judge in task.judges:
        states = [table.columns.get(state_column(judge, one.name)) for one in members]
        known = [state for state in states if isinstance(state, np.ndarray)]
        if len(known) == len(members):
            made[state_column(judge, PANEL)] = np.min(known, axis=0)
    for scorer in task.scorers if how == "majority" else ():
        made.update(_voted_labels(scorer, table, members))
    for scorer in task.scorers:
        for column in scorer.columns if scorer.judge is not None else ():
            given = [table.columns.get(judged_column(column, one.name)) for one in members]
            if judged_column(column, PANEL) not in made and all(one is not None for one in given):
                is_voted = how == "majority" and all(_is_yes_or_no(table, column, one) for one in members)
                made[judged_column(column, PANEL)] = _joined(given, is_voted=is_voted)
    return dataclasses.replace(table, columns={**table.columns, **made})


def _voted_labels(scorer: Scorer, table: Table, members: Sequence[Asked]) -> dict[str, np.ndarray]:
    """Return the panel's columns of a scorer's labels, voted as one; none where it has none, or some judge gave none."""
    names = [[judged_column(column, one.name) for column in scorer.labels] for one in members]
    if not scorer.labels or not {name for each in names for name in each} <= set(table.columns):
        return {}
    given = np.stack([np.stack([table[name] for name in each], axis=1) for each in names], axis=1)
    voted = np.stack([vote(line) for line in given]) if len(given) else given[:, 0]
    return {judged_column(column, PANEL): voted[:, i] for i, column in enumerate(scorer.labels)}


def _is_yes_or_no(table: Table, column: str, asked: Asked) -> bool:
    """Return whether a judge's column holds 0 and 1 alone, in each of its repeats where there are several."""
    names = [repeat_column(column, asked.name, repeat) for repeat in range(asked.repeats)]
    found = [table.columns[name] for name in names if name in table.columns]
    arrays = [
        one
        for one in found or [table.columns[judged_column(column, asked.name)]]
        if isinstance(one, np.ndarray)
    ]
    return all(bool(np.isin(one[~np.isnan(one)], (0.0, 1.0)).all()) for one in arrays)


def _joined(given: Sequence[Any], *, is_voted: bool) -> np.ndarray | Ragged:
    """Return one column for those of several judges."""
    if isinstance(given[0], Ragged):
        entries = []
        for i in range(len(given[0])):
            counts = collections.Counter(value for one in given for value in np.unique(one[i]).tolist())
            kept = sorted(value for value, count in counts.items() if 2 * count > len(given))
            entries.append(np.array(kept, dtype=given[0].values.dtype))
        return Ragged.of(entries)
    stacked = np.stack(given, axis=1)
    return np.asarray(_side(_side(stacked).mean(axis=1)) if is_voted else stacked.mean(axis=1))


def _side(shares: np.ndarray) -> np.ndarray:
    """Return 1 above one half, 0 below, one half for a tie; NaN stays.

    >>> _side(np.array([0.2, 0.5, 2 / 3]))
    array([0. , 0.5, 1. ])
    """
    return np.asarray((np.sign(shares - 0.5) + 1) / 2)


def _json(found: Estimate) -> dict[str, Any]:
    return {"value": found.value, "low": found.low, "high": found.high, "note": found.note}


def agreement_document(
    task: Task, scored: Scored, *, judges: Sequence[str] = (), how: str = "mean", seed: int = 0
) -> dict[str, Any]:
    """Return the repeats of each judge, and the panel where there are two judges or more.

    Args:
        task: The run's.
        scored: Its rows.
        judges: Of the panel; all that were asked where empty.
        how: One of `HOWS`.
        seed: Of draws and resamples.

    Raises:
        UsageError: The run has one judge that was asked once: there is nothing to compare.
    """
    repeats = repeat_records(task, scored, seed=seed)
    is_panel = len(scored.judges) > 1 or bool(judges)
    if not repeats and not is_panel:
        raise UsageError(
            f"{'one judge was asked once' if scored.judges else 'no judge was asked'}: there is no agreement to report. Use --judge-repeats, "
            "or a second --judge: nova-bench score RUN --judge ADAPTER[:MODEL]"
        )
    panel = panel_record(task, scored, judges=judges, how=how, seed=seed) if is_panel else None
    return {"schema_version": 1, "repeats": repeats, "panel": panel}
