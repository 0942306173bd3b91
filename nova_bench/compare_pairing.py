"""The runs of a comparison and their common answers: the same samples and repeats, answered and judged in both."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nova_bench.errors import UsageError
from nova_bench.identity import versions
from nova_bench.judged_rows import JUDGE_FAILED, UNJUDGED, JudgedMetric, judged_column
from nova_bench.report import cell_signature
from nova_bench.run import Run
from nova_bench.score import Scored
from nova_bench.stats import Estimate, estimate
from nova_bench.table import Ragged, Table
from nova_bench.types import Metric

LEFT_OUT = ("failed", "unjudged", "judge_failed", "missing")
"""Why an answer takes no part: it failed in either run, stayed without a verdict or waits for one in either, or only one run was asked."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One run of a comparison.

    Attributes:
        label: What it is called in the document.
        run: The run.
        numbers: Metric's name to what is needed to compare it.
    """

    label: str
    run: Run
    numbers: Mapping[str, Number]


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    """One metric of one run.

    Attributes:
        metric: The metric, under its judge's name where it has one.
        written: Its name as the task writes it.
        judged: Its judge.
        signature: Of the run's cells.
        lacking: Why the run has no such number; None where it has.
    """

    metric: Metric
    written: str
    judged: JudgedMetric | None
    signature: Mapping[str, Any]
    lacking: str | None


def side_of(run: Run, label: str, *, resamples: int, seed: int) -> Side:
    """Return a run with all its numbers that take part in comparisons.

    Args:
        run: The run.
        label: What it is called.
        resamples: Of the bootstrap, for the signatures.
        seed: Of the bootstrap.
    """
    known = versions()
    judged = {one.metric.name: one for one in run.judged_metrics}
    # A judged metric is made from the task's own by giving it another name, in the task's order for each judge.
    written = [metric.name for metric in run.plan.task.judged_metrics]
    names = dict(zip(judged, written * max(len(run.scored.judges), 1), strict=False))
    numbers = {}
    for metric in (*run.plan.task.plain_metrics, *(one.metric for one in judged.values())):
        if not metric.infer:
            continue
        signature = cell_signature(
            run.plan,
            run.scored,
            metric,
            resamples=resamples,
            seed=seed,
            versions=known,
            remote_code=run.remote_code,
            judged=judged.get(metric.name),
        )
        numbers[metric.name] = Number(
            metric,
            names.get(metric.name, metric.name),
            judged.get(metric.name),
            signature,
            _lacking(run.scored, metric, is_judged=metric.name in judged),
        )
    return Side(label, run, numbers)


def _lacking(scored: Scored, metric: Metric, *, is_judged: bool) -> str | None:
    """Return why a run has no values of a metric."""
    remedy = next((scored.missing[column] for column in metric.needs if column in scored.missing), None)
    if remedy is not None:
        return remedy
    if not set(metric.needs) <= set(scored.table.columns):
        return "no answer was judged" if is_judged else "no answer was scored"
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """The answers on which one metric of two runs is compared.

    Attributes:
        a: The first run's, sorted by (id, repeat).
        b: The second run's, the same lines.
        kept: Boolean array (n,): those that take part.
        why: Object array (n,): the key of `LEFT_OUT` for the others, empty for those that take part.
        missing: Lines of each run that the other was not asked for.
    """

    a: Table
    b: Table
    kept: np.ndarray
    why: np.ndarray
    missing: tuple[Table, Table]

    def slice(self, attribute: str, value: str) -> Lines:
        """Return the lines whose sample has one value of an attribute, in the data of both runs where these differ by force."""
        mask = (self.a.groups[attribute] == value) & (self.b.groups[attribute] == value)
        a, b = (
            one.take(one.groups[attribute] == value)
            if attribute in one.groups
            else one.take(np.zeros(len(one), bool))
            for one in self.missing
        )
        return Lines(self.a.take(mask), self.b.take(mask), self.kept[mask], self.why[mask], (a, b))

    def tables(self) -> tuple[Table, Table]:
        """Return the lines of both that take part."""
        return (self.a, self.b) if self.kept.all() else (self.a.take(self.kept), self.b.take(self.kept))

    def left_out(self) -> dict[str, int]:
        """Return how many answers take no part, by reason."""
        counts = {key: int((self.why == key).sum()) for key in LEFT_OUT}
        return counts | {"missing": sum(map(len, self.missing))}


def paired_lines(one: Side, two: Side, a: Number, b: Number, *, forced: bool) -> Lines:
    """Return the answers of two runs that a metric is compared on.

    Args:
        one: The first run.
        two: The second.
        a: The first run's metric.
        b: The second's; a judged one may be of another judge, and its columns then stand under the first's names.
        forced: Whether samples and repeats that only one run was asked for are left out instead of being an error.

    Raises:
        UsageError: The runs are not about the same samples, or put them into different cases.
    """
    tables = one.run.scored.table, two.run.scored.table
    keys = [list(zip(table.id.tolist(), table.repeat.tolist(), strict=True)) for table in tables]
    common = set(keys[0]) & set(keys[1])
    shared = [np.array([key in common for key in known], dtype=bool) for known in keys]
    missing = tables[0].take(~shared[0]), tables[1].take(~shared[1])
    if (len(missing[0]) or len(missing[1])) and not forced:
        raise UsageError(
            f"{one.label} and {two.label} are not about the same samples: {len(missing[0])} answers are of samples that only the first has, "
            f"{len(missing[1])} of ones that only the second has; run both on the same data"
        )
    if not common:
        raise UsageError(f"{one.label} and {two.label} have no sample in common; run both on the same data")
    left, right = (table.take(mask) for table, mask in zip(tables, shared, strict=True))
    if not np.array_equal(left.cluster.astype(str), right.cluster.astype(str)):
        where = int(np.flatnonzero(left.cluster.astype(str) != right.cluster.astype(str))[0])
        raise UsageError(
            f"{one.label} and {two.label} put the same samples into different cases (sample {left.id[where]!r} into "
            f"{left.cluster[where]!r} and {right.cluster[where]!r}); they were made from different data. Run both on the same"
        )
    why = np.full(len(left), "", dtype=object)
    for key in reversed(LEFT_OUT[:3]):  # a failed answer has no verdict either, and is counted as failed
        for table, number in ((left, a), (right, b)):
            why[_is_left_out(table, number.judged, key)] = key
    if a.judged is not None and b.judged is not None and a.metric.name != b.metric.name:
        right = dataclasses.replace(right, columns=_renamed(right.columns, b.judged, a.judged))
    return Lines(left, right, why == "", why, missing)


def own_estimate(side: Side, number: Number, *, resamples: int, seed: int, alpha: float) -> Estimate:
    """Return a run's own number on all of its answers, as its report has it, whatever other runs answered.

    Args:
        side: The run.
        number: One of its metrics.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.
        alpha: 1 - the coverage.
    """
    table = side.run.scored.table
    out = np.any([_is_left_out(table, number.judged, why) for why in LEFT_OUT[:3]], axis=0)
    return estimate(table.take(~out), number.metric, resamples=resamples, seed=seed, alpha=alpha)


def _renamed(
    columns: Mapping[str, np.ndarray | Ragged], theirs: JudgedMetric, mine: JudgedMetric
) -> dict[str, np.ndarray | Ragged]:
    """Return a run's columns with those of one judge also under another judge's name."""
    suffix = judged_column("", theirs.asked.name)
    named = {
        judged_column(name.removesuffix(suffix), mine.asked.name): column
        for name, column in columns.items()
        if name.endswith(suffix)
    }
    return {**columns, **named}


def _is_left_out(table: Table, judged: JudgedMetric | None, why: str) -> np.ndarray:
    """Return a boolean array (n,): the lines that take no part for one reason."""
    failed = np.asarray(table.status == "failed")
    if why == "failed":
        return failed
    if judged is None:
        return np.zeros(len(table), bool)
    states = judged.states(table)
    if why == "unjudged":
        return np.asarray(states == UNJUDGED)
    return np.asarray(~failed & ((states == JUDGE_FAILED) | np.isnan(states)))


def check_kinds(sides: Sequence[tuple[str, Run]]) -> None:
    """Refuse synthetic data beside real data, which no option allows.

    Args:
        sides: Label and run.

    Raises:
        UsageError: Some runs are of the embedded synthetic sample and some are not.
    """
    synthetic = [label for label, run in sides if run.plan.data.is_synthetic]
    real = [label for label, run in sides if not run.plan.data.is_synthetic]
    if synthetic and real:
        raise UsageError(
            f"{synthetic[0]} was run on synthetic data and {real[0]} on real data; they are never compared, with --force neither. "
            "Compare runs on the same data"
        )
