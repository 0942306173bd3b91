"""Compares the groups of an attribute: one metric's value, error and failures in each, and the numbers made of several.

The records are in `nova_bench.stats.results`; the formulas behind each number in the other modules of this package, and why these
in ``docs/fairness_statistics.md``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from nova_bench.errors import UnknownNameError, UsageError
from nova_bench.stats.assembly import comparison_of
from nova_bench.stats.basis import Basis, basis_of, measure_groups
from nova_bench.stats.groups import Grouping, Lines, Measured
from nova_bench.stats.imputation import measure_imputed
from nova_bench.stats.permutation import PERMUTATIONS, Terms, holm, permutation_p_values
from nova_bench.stats.resampling import RESAMPLES, keyed_generator
from nova_bench.stats.results import Bounded, Comparison, GroupResult, Imputed, Paired
from nova_bench.stats.settings import MIN_PATIENTS, Settings

if TYPE_CHECKING:
    from nova_bench.table import Table
    from nova_bench.types import Metric

__all__ = [
    "MIN_PATIENTS",
    "PERMUTATIONS",
    "Basis",
    "Bounded",
    "Comparison",
    "GroupResult",
    "Imputed",
    "Paired",
    "compare_groups",
    "compare_table",
    "holm",
]


def compare_table(
    table: Table,
    metrics: Sequence[Metric],
    attributes: Sequence[str],
    *,
    lam: float = 1.0,
    deviation: str = "wstd",
    weights: str = "size",
    es_alpha: float = 1.0,
    min_patients: int = MIN_PATIENTS,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    alpha: float = 0.05,
    worst: Table | None = None,
    best: Table | None = None,
) -> list[Comparison]:
    """Return `compare_groups` for every metric (outer) and attribute (inner), with resamples and permutations drawn once for all.

    A group takes part in composites and tests if the metric is defined on it and at least `min_patients` of its patients carry the
    metric; the others are shown, and named in `Comparison.note`. Weights are the numbers of answered lines, over the groups that
    take part. Each group's value is over its answered lines; with several repeats it is the mean over repeats.

    Composites are made on a scale on which 0 is the worst and 1 the best possible value (a metric without a range: its values, with
    the sign turned where the lower is better). Levels and distances are then carried back to the metric's own scale, so that a
    gap is in the metric's units, and worst is the worst in its direction; ratio and ES stay on the scale from 0 to 1, and FAP of
    a metric of which the lower is better is ``wmean + lambda D`` on its own.

    Args:
        table: All lines, failed ones too (status ``failed``); ``table.groups[attribute]`` is None where unknown.
        metrics: The metrics, with ``infer=True``.
        attributes: Attributes of the table.
        lam: lambda of FAP, at least 0.
        deviation: D of FAP: ``wstd``, ``wmad`` or ``max``.
        weights: ``size`` or ``uniform``.
        es_alpha: alpha of ES, at least 0.
        min_patients: Groups with fewer patients take no part, at least 2.
        resamples: Of the bootstrap, for metrics that are no ratio of sums.
        permutations: Of the test; 0 for none.
        seed: Of all draws.
        alpha: 1 - the coverage of intervals.
        worst: The same lines, failed ones scored as the worst answer; None where that is not known.
        best: The same with the best answer.

    Raises:
        UnknownNameError: An attribute, deviation or weights that do not exist, or a column that a metric needs.
        UsageError: Another setting makes no sense, or a metric is not made for comparisons.
        DataError: A patient has two values of an attribute.
    """
    settings = Settings(lam, deviation, weights, es_alpha, min_patients, resamples, permutations, seed, alpha)
    for metric in metrics:
        if not metric.infer:
            raise UsageError(
                f"metric {metric.name!r} is not made for comparisons (infer=False); compare groups by another metric"
            )
        for column in metric.needs:
            if column not in table.columns and (table.status != "failed").any():
                raise UnknownNameError(
                    "column", column, table.columns, f"the table; metric {metric.name!r} needs it"
                )
    patients, _ = table.cluster_codes() if len(table) else (np.zeros(0, np.int64), 0)
    groupings = [Grouping.of(table, attribute, patients) for attribute in attributes]
    is_answered = np.asarray(table.status != "failed")
    lines = Lines(table if is_answered.all() else table.take(is_answered))
    sides = None
    if worst is not None and best is not None and not is_answered.all():
        sides = Lines(worst), Lines(best)
    # Drawing resamples is most of the work, and NumPy does it without holding Python's lock.
    with ThreadPoolExecutor(min(len(attributes) + 1, os.cpu_count() or 1)) as pool:
        everybody = pool.submit(
            lines.measure,
            metrics,
            np.zeros(len(lines.table), np.int64),
            [()],
            resamples=resamples,
            seed=seed,
        )
        jobs = [
            pool.submit(_of_attribute, lines, metrics, grouping, settings, everybody, table, sides)
            for grouping in groupings
        ]
        made = [job.result() for job in jobs]
    return [of_attribute[m] for m in range(len(metrics)) for of_attribute in made]


def compare_groups(
    table: Table,
    metric: Metric,
    attribute: str,
    *,
    lam: float = 1.0,
    deviation: str = "wstd",
    weights: str = "size",
    es_alpha: float = 1.0,
    min_patients: int = MIN_PATIENTS,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    alpha: float = 0.05,
    worst: Table | None = None,
    best: Table | None = None,
) -> Comparison:
    """Return one metric over the groups of one attribute; `compare_table` says what the arguments are and does many at once.

    >>> from nova_bench.metrics.classification import accuracy
    >>> from nova_bench.table import Table
    >>> names = np.array([f"p{i:03d}" for i in range(200)], dtype=object)
    >>> sex = np.array(["female", "male"] * 100, dtype=object)
    >>> right = np.where(sex == "male", np.arange(200) % 8 < 6, np.arange(200) % 8 < 4).astype(float)
    >>> ok, test = np.full(200, "ok", dtype=object), np.full(200, "test", dtype=object)
    >>> table = Table(names, names, np.zeros(200, int), ok, test, {"sex": sex}, {"correct": right})
    >>> found = compare_groups(table, accuracy(), "sex")
    >>> found.worst_group, round(found.gap.value, 2), round(found.gap.low, 2), round(found.gap.high, 2), found.p_value
    ('female', 0.25, 0.11, 0.37, 0.001)
    """
    return compare_table(
        table,
        [metric],
        [attribute],
        lam=lam,
        deviation=deviation,
        weights=weights,
        es_alpha=es_alpha,
        min_patients=min_patients,
        resamples=resamples,
        permutations=permutations,
        seed=seed,
        alpha=alpha,
        worst=worst,
        best=best,
    )[0]


def _of_attribute(
    lines: Lines,
    metrics: Sequence[Metric],
    grouping: Grouping,
    settings: Settings,
    everybody: Future[list[list[Measured]]],
    table: Table,
    sides: tuple[Lines, Lines] | None,
) -> list[Comparison]:
    """Return the comparisons of all metrics over one attribute."""
    codes = grouping.codes if lines.table is table else grouping.codes[np.asarray(table.status != "failed")]
    measured = measure_groups(lines, metrics, grouping, codes, settings)
    overall = [groups[0] for groups in everybody.result()]
    bases = [
        basis_of(table, metric, grouping, groups, everyone, settings)
        for metric, groups, everyone in zip(metrics, measured, overall, strict=True)
    ]
    p_values = _permuted(bases, grouping.attribute, settings)
    imputed = _imputed(sides, metrics, grouping, settings)
    return [
        comparison_of(*each, grouping=grouping)
        for each in zip(bases, measured, overall, p_values, imputed, strict=True)
    ]


def _permuted(bases: Sequence[Basis], attribute: str, settings: Settings) -> list[float | None]:
    """Return each metric's p-value by permutation, None where there is none; metrics on the same patients share permutations."""
    found: list[float | None] = [None] * len(bases)
    together: dict[bytes, list[tuple[int, Terms, np.ndarray]]] = {}
    for i, basis in enumerate(bases):
        if basis.terms is None or basis.composites is None or not settings.permutations:
            continue
        carried = basis.terms.carried
        labels = basis.labels[carried]
        together.setdefault(labels.tobytes() + carried.tobytes(), []).append(
            (i, basis.terms.take(np.flatnonzero(carried)), labels)
        )
    for same in together.values():
        labels = same[0][2]
        p_values = permutation_p_values(
            [terms for _, terms, _ in same],
            labels,
            int(labels.max()) + 1,
            keyed_generator(settings.seed, ("permutation", attribute)),
            settings.permutations,
        )
        for (i, _, _), p in zip(same, p_values, strict=True):
            found[i] = p
    return found


def _imputed(
    sides: tuple[Lines, Lines] | None, metrics: Sequence[Metric], grouping: Grouping, settings: Settings
) -> list[tuple[list[Measured] | None, list[Measured] | None] | None]:
    """Return, for each metric, the groups with the failed samples scored as worst and as best; None where nothing failed."""
    if not any(grouping.failed):
        return [None] * len(metrics)
    if sides is None:
        return [(None, None)] * len(metrics)
    worst, best = (measure_imputed(side, metrics, grouping, settings) for side in sides)
    return list(zip(worst, best, strict=True))
