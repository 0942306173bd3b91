"""Rows that need a judge: from verdicts to columns ``COLUMN@NAME``, one set a judge, and the metrics on them.

An answer is *judged* where its row is made by rule or from at least one verdict, *unjudged* where every verdict stayed broken, and *judge
failed* where a verdict is still to come. Only judged lines have values. Verdicts that a judge gave again are averaged, column by column; of
labels, which are one answer together, the combination that was given most often counts, and of several such their mean; of a ragged column
the values that stand in more than half of the rows.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nova_bench.judge import judge_request
from nova_bench.judge_log import Asked, VerdictLog
from nova_bench.table import Ragged, Table, build_columns
from nova_bench.task import Task
from nova_bench.types import Item, Judge, Metric, Row, Scorer

JUDGED, UNJUDGED, JUDGE_FAILED = 1.0, 0.0, -1.0
"""Values of a state column; NaN where the model's own answer failed."""


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """One judge whose verdicts are scored."""

    asked: Asked
    log: VerdictLog
    verdicts: collections.Counter[bool] = field(default_factory=collections.Counter)
    """How many verdicts on the lines scored so far there are (True), and will never be (False): rows by rule have none."""

    @property
    def name(self) -> str:
        """What its columns are called."""
        return self.asked.name


def judged_column(column: str, name: str) -> str:
    """Return what a column is called of one judge: ``top1@openai:gpt-x``."""
    return f"{column}@{name}"


def state_column(judge: Judge, name: str) -> str:
    """Return the column that says which lines are judged: ``verdict(nova_diagnosis)@openai:gpt-x``."""
    return f"verdict({judge.name})@{name}"


def repeat_column(column: str, name: str, repeat: int) -> str:
    """Return a column as one judge repeat gives it, where there are several: ``top1@openai:gpt-x#0``."""
    return f"{column}@{name}#{repeat}"


def metric_name(metric: str, name: str) -> str:
    """Return what a metric is called of one judge.

    >>> metric_name("top1", "openai:gpt-x"), metric_name("clinical_f1(corpus)", "openai:gpt-x")
    ('top1(judge=openai:gpt-x)', 'clinical_f1(judge=openai:gpt-x,corpus)')
    """
    word, opening, options = metric.partition("(")
    return f"{word}(judge={name},{options}" if opening else f"{word}(judge={name})"


@dataclass(frozen=True, slots=True, eq=False)
class JudgedMetric:
    """A metric of one judge.

    Attributes:
        metric: Under the judge's name, on the judge's columns.
        asked: The judge.
        judges: The rubrics that it rests on.
    """

    metric: Metric
    asked: Asked
    judges: tuple[Judge, ...]

    def signature(self) -> dict[str, Any]:
        """Return what the metric's protocol says of its judge: one entry a judge, its rubrics joined by ``+``."""
        parts = [self.asked.signature(judge) for judge in self.judges]
        if len(parts) == 1:
            return parts[0]
        joined = "+".join(str(part["rubric"]) for part in parts)
        params = {judge.name: part["params"] for judge, part in zip(self.judges, parts, strict=True)}
        return {**parts[0], "rubric": joined, "params": params}

    def judged_lines(self, table: Table) -> Table:
        """Return the lines of a table that the metric may be computed on: answered and judged."""
        return table.take(self.states(table) == JUDGED)

    def is_unjudged(self, table: Table) -> np.ndarray:
        """Return a boolean array (n,): the lines without a verdict for good, which no number is made of."""
        return np.asarray(self.states(table) == UNJUDGED)

    def with_waiting_failed(self, table: Table) -> Table:
        """Return a table in which the lines that wait for a verdict are failed ones, like those that wait for the model."""
        states = self.states(table)
        is_waiting = (states == JUDGE_FAILED) | np.isnan(states)
        return dataclasses.replace(table, status=np.where(is_waiting, "failed", table.status).astype(object))

    def states(self, table: Table) -> np.ndarray:
        """Return one state a line: the least of those of its rubrics; NaN where the model's answer failed."""
        found = [table.columns.get(state_column(judge, self.asked.name)) for judge in self.judges]
        known = [column for column in found if isinstance(column, np.ndarray)]
        return np.min(known, axis=0) if known else np.full(len(table), math.nan)


def judged_metrics(task: Task, asked: Sequence[Asked]) -> list[JudgedMetric]:
    """Return the metrics of a task that need a judge, one of each for every judge that was asked."""
    made = []
    for one in asked:
        for metric in task.judged_metrics:
            needed = [
                scorer for scorer in task.scorers if scorer.judge and set(scorer.columns) & set(metric.needs)
            ]
            judges = {id(scorer.judge): scorer.judge for scorer in needed if scorer.judge}
            made.append(JudgedMetric(_on_judge(metric, task, one.name), one, tuple(judges.values())))
    return made


def _on_judge(metric: Metric, task: Task, name: str) -> Metric:
    """Return a metric that reads one judge's columns, under the judge's name."""
    judged = set(task.judged_columns)

    def seen(table: Table) -> Table:
        own = {
            column: table.columns[judged_column(column, name)]
            for column in judged
            if judged_column(column, name) in table.columns
        }
        return dataclasses.replace(table, columns={**table.columns, **own})

    sums = metric.sums
    return dataclasses.replace(
        metric,
        name=metric_name(metric.name, name),
        needs=tuple(judged_column(need, name) if need in judged else need for need in metric.needs),
        compute=lambda table, weights: metric.compute(seen(table), weights),
        sums=None if sums is None else lambda table: sums(seen(table)),
    )


def judged_columns(
    scorers: Sequence[Scorer], bench: Bench, items: Sequence[Item], ids: Sequence[str]
) -> dict[str, np.ndarray | Ragged]:
    """Return one judge's columns of answered lines: NaN, or no values, where a line is not judged; and each rubric's state column.

    A column of which no line is judged is left out.

    Args:
        scorers: The task's judged scorers.
        bench: The judge.
        items: The lines.
        ids: The id of each line's request.
    """
    columns: dict[str, np.ndarray | Ragged] = {}
    by_judge: dict[int, list[Scorer]] = collections.defaultdict(list)
    for scorer in scorers:
        by_judge[id(scorer.judge)].append(scorer)
    for sharing in by_judge.values():
        judge = sharing[0].judge
        assert judge is not None  # judged scorers only
        found = [_verdicts(bench, judge, item, id) for item, id in zip(items, ids, strict=True)]
        states = np.array([state for state, _ in found], dtype=np.float64)
        columns[state_column(judge, bench.name)] = states
        if bench.asked.repeats > 1:
            for repeat in range(bench.asked.repeats):
                given = [min(state, JUDGED if repeat in verdicts else UNJUDGED) for state, verdicts in found]
                columns[state_column(judge, f"{bench.name}#{repeat}")] = np.array(given, dtype=np.float64)
        judged = states == JUDGED
        lines = [
            (item, verdicts) for item, (state, verdicts) in zip(items, found, strict=True) if state == JUDGED
        ]
        for scorer in sharing if lines else ():
            for column, values in _columns_of(scorer, bench, lines).items():
                columns[column] = spread_column(values, judged)
    return columns


def _verdicts(
    bench: Bench, judge: Judge, item: Item, answer: str
) -> tuple[float, dict[int, Mapping[str, Any] | None]]:
    """Return a line's state, and its verdicts by judge repeat; a row by rule has one None of every repeat."""
    repeats = range(bench.asked.repeats)
    texts = judge.material(item.sample, item.prediction)
    if texts is None:
        return JUDGED, dict.fromkeys(repeats)
    verdicts: dict[int, Mapping[str, Any] | None] = {}
    is_waiting = False
    tuned = bench.asked.tuned(judge)
    for repeat in repeats:
        known, _ = bench.log.find(judge_request(tuned, texts, answer, item.sample.id, repeat=repeat))
        if known.entry is not None:
            verdicts[repeat] = bench.log.verdict(known.entry)
        is_waiting = is_waiting or not known.is_final
        if known.is_final:
            bench.verdicts[known.entry is not None] += 1
    if is_waiting:
        return JUDGE_FAILED, {}
    return (JUDGED, verdicts) if verdicts else (UNJUDGED, {})


def _columns_of(
    scorer: Scorer, bench: Bench, lines: Sequence[tuple[Item, Mapping[int, Mapping[str, Any] | None]]]
) -> dict[str, np.ndarray | Ragged]:
    """Return a scorer's columns over judged lines: of all judge repeats together and, where there are several, of each."""
    rows: list[dict[int, Row]] = [{} for _ in lines]
    for repeat in range(bench.asked.repeats):
        with_verdict = [
            (row, dataclasses.replace(item, verdict=verdicts[repeat]))
            for row, (item, verdicts) in zip(rows, lines, strict=True)
            if repeat in verdicts
        ]
        made = scorer.rows([item for _, item in with_verdict])
        for (row, _), values in zip(with_verdict, made, strict=True):
            row[repeat] = values
    whole = build_columns([joined_rows(scorer, list(row.values())) for row in rows], scorer.columns)
    columns = {judged_column(name, bench.name): column for name, column in whole.items()}
    if bench.asked.repeats > 1:
        for repeat in range(bench.asked.repeats):
            there = np.array([repeat in row for row in rows], dtype=bool)
            if not there.any():
                continue
            one = build_columns([row[repeat] for row in rows if repeat in row], scorer.columns)
            for name, column in one.items():
                columns[repeat_column(name, bench.name, repeat)] = spread_column(column, there)
    return columns


def joined_rows(scorer: Scorer, rows: Sequence[Row]) -> Row:
    """Return one row for those of a line's judge repeats.

    Args:
        scorer: Whose they are.
        rows: One a repeat, at least one.

    >>> scorer = Scorer("s", ("score", "label", "words"), lambda items: iter(()), labels=("label",))
    >>> rows = [{"score": 1, "label": 1, "words": [1, 2]}, {"score": 0, "label": 0, "words": [2]}, {"score": 0, "label": 1, "words": [2, 5]}]
    >>> {name: value.tolist() for name, value in joined_rows(scorer, rows).items()}
    {'score': 0.3333333333333333, 'label': 1.0, 'words': [2]}
    """
    if len(rows) == 1:
        return rows[0]
    labels = vote(np.array([[float(row[column]) for column in scorer.labels] for row in rows]))
    made: dict[str, Any] = {}
    for column in scorer.columns:
        values = [np.asarray(row[column]) for row in rows]
        if values[0].ndim:
            counts = collections.Counter(value for array in values for value in np.unique(array).tolist())
            kept = sorted(value for value, count in counts.items() if 2 * count > len(rows))
            made[column] = np.array(kept, dtype=values[0].dtype)
        elif column in scorer.labels:
            made[column] = labels[scorer.labels.index(column)]
        else:
            made[column] = np.float64(np.mean([float(value) for value in values]))
    return made


def vote(rows: np.ndarray) -> np.ndarray:
    """Return the combination of labels that most voters gave, float array (m,); of several the mean, so that no label has the advantage.

    A mean of whole combinations agrees with itself: what each of them says of two columns together holds of it as far as it counts.

    Args:
        rows: float array (voters, m), the labels that each voter gave; NaN is "none", a label like any other that of equals does not count.

    >>> vote(np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 0.0]])), vote(np.array([[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]])).round(2)
    (array([1., 0.]), array([0.67, 0.33]))
    """
    counts = collections.Counter(
        tuple(None if math.isnan(value) else value for value in row) for row in rows.tolist()
    )
    best = np.array([row for row, count in counts.items() if count == max(counts.values())], dtype=np.float64)
    known = best[~np.isnan(best).any(axis=1)]
    return np.asarray((known if len(known) else best[:1]).mean(axis=0))


def spread_column(column: np.ndarray | Ragged, there: np.ndarray) -> np.ndarray | Ragged:
    """Return a column of some lines over all lines: NaN, or no values, where there is none.

    Args:
        column: Of the lines that have values.
        there: Boolean array (n,): which these are.
    """
    if isinstance(column, Ragged):
        lengths = np.zeros(len(there), dtype=np.int64)
        lengths[there] = column.lengths
        return Ragged(column.values, np.concatenate([[0], np.cumsum(lengths)]))
    full = np.full(len(there), np.nan)
    full[there] = column
    return full
