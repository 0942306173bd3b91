"""What the numbers of several groups are made from, put together once for each metric and attribute."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nova_bench.stats.composites import Composites
from nova_bench.stats.groups import Grouping, Lines, Measured
from nova_bench.stats.mover import Part
from nova_bench.stats.permutation import Terms
from nova_bench.stats.projection import Levels
from nova_bench.stats.scale import Scale
from nova_bench.stats.settings import Settings

if TYPE_CHECKING:
    from nova_bench.table import Table
    from nova_bench.types import Metric


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """What a comparison was made from, for `compare_models`."""

    table: Table
    metric: Metric
    settings: Settings
    scale: Scale
    composites: Composites | None
    """None with fewer than two groups."""
    errors: tuple[np.ndarray, ...]
    """Of each group that takes part, on the metric's own scale: influence of each patient, or the value in each resample."""
    terms: Terms | None
    """Of the patients of these groups, one group after the other; None for metrics that are no ratio of sums."""
    labels: np.ndarray
    """Int array, the group of each of these patients."""


def measure_groups(
    lines: Lines, metrics: Sequence[Metric], grouping: Grouping, codes: np.ndarray, settings: Settings
) -> list[list[Measured]]:
    """Return every metric in every known group and, last, on the lines of which the group is not known."""
    n_groups = len(grouping.names)
    keys = [*((grouping.attribute, name) for name in grouping.names), (grouping.attribute,)]
    return lines.measure(
        metrics,
        np.where(codes < 0, n_groups, codes),
        keys,
        resamples=settings.resamples,
        seed=settings.seed,
    )


def basis_of(
    table: Table,
    metric: Metric,
    grouping: Grouping,
    groups: Sequence[Measured],
    everyone: Measured,
    settings: Settings,
) -> Basis:
    """Put together what all numbers of several groups are made from."""
    scale = Scale.of(metric)
    inside = [g for g in range(len(grouping.names)) if takes_part(groups[g], settings)]
    members = [groups[g] for g in inside]
    composites = None
    if len(inside) > 1:
        sizes = np.array([each.lines for each in members], dtype=float)
        uniform = np.full(len(inside), 1 / len(inside))
        part = np.array([each.size for each in members]) / (everyone.size or math.nan)
        composites = Composites(
            grouping.attribute,
            tuple(grouping.names[g] for g in inside),
            levels_of(members, scale),
            sizes / sizes.sum() if settings.weights == "size" else uniform,
            _overall(everyone, scale, settings),
            part,
            sum(each.clusters for each in groups) - sum(each.clusters for each in members),
            settings,
        )
    terms, labels = [each.terms for each in members if each.terms is not None], np.zeros(0, np.int64)
    joined = None
    if terms and len({len(each.coefficients) for each in terms}) == 1:
        joined = Terms(np.concatenate([each.z for each in terms]), terms[0].coefficients)
        labels = np.repeat(np.arange(len(terms)), [len(each.z) for each in terms])
    return Basis(
        table, metric, settings, scale, composites, tuple(each.errors for each in members), joined, labels
    )


def levels_of(members: Sequence[Measured], scale: Scale) -> Levels:
    """Return groups on the common scale."""
    return Levels(
        scale.unit(np.array([each.value for each in members])),
        np.array([each.s for each in members]) / scale.width,
        np.array([each.clusters for each in members]),
        scale.bounded,
    )


def _overall(everyone: Measured, scale: Scale, settings: Settings) -> Part:
    """Return the score over everybody on the common scale."""
    level = levels_of([everyone], scale)
    low, high = level.limits(1 - settings.alpha / 2)
    return Part(float(level.values[0]), float(low[0]), float(high[0]))


def takes_part(measured: Measured, settings: Settings) -> bool:
    """Return whether a group is large enough for composites and tests, and its value defined."""
    return measured.clusters >= settings.min_patients and math.isfinite(measured.value)
