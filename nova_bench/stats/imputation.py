"""The gap with failed samples filled in: could the failures have made it, or do they hide one?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nova_bench.stats.basis import Basis, levels_of, measure_groups, takes_part
from nova_bench.stats.groups import Grouping, Lines, Measured
from nova_bench.stats.intervals import MIN_CLUSTERS
from nova_bench.stats.projection import Levels, gap_interval, pairs
from nova_bench.stats.results import Bounded, Imputed
from nova_bench.stats.settings import Settings
from nova_bench.types import Metric


def measure_imputed(
    lines: Lines, metrics: Sequence[Metric], grouping: Grouping, settings: Settings
) -> list[list[Measured] | None]:
    """Return every metric in every known group of a table whose failed lines were filled in; None where it lacks the columns.

    Args:
        lines: All lines of the worst, or the best, table.
        metrics: The metrics.
        grouping: The groups of the same lines.
        settings: Of the resamples.
    """
    there = [metric for metric in metrics if set(metric.needs) <= set(lines.table.columns)]
    measured = dict(
        zip(
            (metric.name for metric in there),
            measure_groups(lines, there, grouping, grouping.codes, settings),
            strict=True,
        )
    )
    return [measured[metric.name][:-1] if metric.name in measured else None for metric in metrics]


def imputed_gap(
    basis: Basis,
    grouping: Grouping,
    gap: Bounded,
    sides: tuple[list[Measured] | None, list[Measured] | None] | None,
) -> Imputed:
    """Return the gaps that the failures leave possible, on the metric's own scale.

    With M-_g and M+_g the value if the group's failed samples were all worst and all best, the gap lies in ``[max(0, max(M-_g -
    M+_h)), max(M+_g - M-_h)]`` over ordered pairs (Imbens & Manski 2004); the interval is that of the gap with M-, L, l and M+, U, u
    in their places. Groups are those of at least the minimum size once the failed samples count, so that a group of which
    everything failed is among them.

    Args:
        basis: Of the answered samples.
        grouping: The groups.
        gap: Of the answered samples, which it is where nothing failed.
        sides: The groups measured with the worst and with the best answers; None inside where the metric has none, None as a
            whole where nothing failed.
    """
    settings, scale = basis.settings, basis.scale
    if sides is None:
        return Imputed(
            gap.value, gap.value, gap.low, gap.high, None if gap.low is None else gap.low > 0, gap.note
        )
    first, second = sides
    if first is None or second is None:
        return Imputed(
            None,
            None,
            note="unknown: samples failed, and the worst and the best answer to them are not known",
        )
    inside = [
        g
        for g in range(len(grouping.names))
        if all(takes_part(side[g], settings) for side in (first, second))
    ]
    if len(inside) < 2:
        return Imputed(
            None,
            None,
            note=f"{len(inside)} of {len(grouping.names)} groups can be compared with the failed samples filled in, at least 2 are needed",
        )
    a, b = (levels_of([side[g] for g in inside], scale) for side in (first, second))
    # A corpus score can fall with a better answer (BLEU of a long wrong text): the ends are put in order group by group.
    turned = a.values > b.values
    lower, upper = _chosen(turned, b, a), _chosen(turned, a, b)
    one, other = pairs(len(inside))
    low = max(0.0, float((lower.values[one] - upper.values[other]).max()))
    high = float((upper.values[one] - lower.values[other]).max())
    note = None
    if len(inside) != len(basis.errors):
        note = f"over {len(inside)} groups, as failed samples count here"
    if np.isnan(lower.s).any() or np.isnan(upper.s).any() or lower.clusters.min() < MIN_CLUSTERS:
        missing = "no interval: a group has no standard error"
        return Imputed(
            scale.distance(low), scale.distance(high), note=f"{note}; {missing}" if note else missing
        )
    interval_low, interval_high = gap_interval(lower, upper, settings.alpha)
    if scale.bounded:
        interval_high = max(min(interval_high, 1.0), high)
    return Imputed(
        scale.distance(low),
        scale.distance(high),
        scale.distance(interval_low),
        scale.distance(interval_high),
        interval_low > 0,
        note,
    )


def _chosen(where: np.ndarray, a: Levels, b: Levels) -> Levels:
    """Return `a` for groups where it says so, else `b`."""
    return Levels(
        np.where(where, a.values, b.values),
        np.where(where, a.s, b.s),
        np.where(where, a.clusters, b.clusters),
        a.bounded,
    )
