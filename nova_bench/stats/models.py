"""Differences of models on the same samples: value, error, interval, test and what could have been shown, for all pairs at once.

The test, the interval and what is detectable are those of `nova_bench.stats.paired_test`. Each model's part is made alone
(`nova_bench.stats.halves`), so a difference can also be had of two parts that were kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nova_bench.errors import UsageError
from nova_bench.stats.estimates import same_lines, weight_chunks
from nova_bench.stats.halves import Half, half_of
from nova_bench.stats.intervals import MIN_CLUSTERS
from nova_bench.stats.paired_test import conclude, sign_test
from nova_bench.stats.resampling import MAX_UNDEFINED, RESAMPLES
from nova_bench.table import Table

if TYPE_CHECKING:
    from nova_bench.types import Metric

_ROUNDING = 1e-12  # of the variances that a variance of a difference is made from

IDENTICAL = "no difference: every answer scored the same"
"""The note where the two models' statistics agree on every line."""


class Difference(NamedTuple):
    """M_B - M_A of two models on the same samples, in the metric's own units.

    Attributes:
        value: None where it is undefined.
        s: Its standard error; None where there is none.
        low: Lower limit of the interval at 1 - alpha; None without one.
        high: Upper limit.
        p: Of the two-sided test of "no difference": below alpha exactly where 0 lies outside the interval.
        detectable: The smallest difference that a data set like this one shows at 80% power; None without an interval, and where none is
            large enough.
        n_clusters: Clusters that carry the number.
        n_differing: Clusters in which the two models' statistics differ on some line.
        note: Why something is missing, or what to know about it.
    """

    value: float | None
    s: float | None
    low: float | None
    high: float | None
    p: float | None
    detectable: float | None
    n_clusters: int
    n_differing: int
    note: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Differences:
    """The differences of all pairs of N models: entry [a, b] is M_b - M_a.

    Attributes:
        value: float array (N, N); NaN where undefined, as in all that follow.
        s: float array (N, N).
        low: float array (N, N).
        high: float array (N, N).
        p: float array (N, N); 1 on the diagonal.
        detectable: float array (N, N).
        n_clusters: int array (N, N).
        n_differing: int array (N, N).
        undefined: float array (N, N), the share of resamples in which the difference is undefined.
        alpha: 1 - the coverage.
    """

    value: np.ndarray
    s: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    detectable: np.ndarray
    n_clusters: np.ndarray
    n_differing: np.ndarray
    undefined: np.ndarray
    alpha: float

    def pair(self, a: int, b: int) -> Difference:
        """Return the difference of two of the models, M_b - M_a."""

        def number(values: np.ndarray) -> float | None:
            return float(values[a, b]) if math.isfinite(values[a, b]) else None

        clusters, differing = int(self.n_clusters[a, b]), int(self.n_differing[a, b])
        note = None
        if number(self.value) is None:
            note = "undefined on these samples" if clusters else "undefined: no samples that it counts"
        elif clusters < MIN_CLUSTERS:
            note = f"no interval: {clusters} cluster{'' if clusters == 1 else 's'}, fewer than {MIN_CLUSTERS}"
        elif self.undefined[a, b] > MAX_UNDEFINED:
            note = f"no interval: undefined in {self.undefined[a, b]:.0%} of the resamples"
        elif differing == 0:
            note = IDENTICAL
        elif sign_test(differing) >= self.alpha:
            note = f"the answers differ in {differing} of {clusters} clusters: too few to tell at alpha {self.alpha:g}"
        return Difference(
            number(self.value),
            number(self.s),
            number(self.low),
            number(self.high),
            number(self.p),
            number(self.detectable),
            clusters,
            differing,
            note,
        )


def model_difference(
    table_a: Table,
    table_b: Table,
    metric: Metric,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    key: tuple[str, ...] = (),
    alpha: float = 0.05,
    weights: np.ndarray | None = None,
) -> Difference:
    """Return M_B - M_A of two models on the same samples. For the arguments see `differences`."""
    found = differences(
        [table_a, table_b],
        metric,
        resamples=resamples,
        seed=seed,
        key=key,
        alpha=alpha,
        weights=weights,
    )
    return found.pair(0, 1)


def differences(
    tables: Sequence[Table],
    metric: Metric,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    key: tuple[str, ...] = (),
    alpha: float = 0.05,
    weights: np.ndarray | None = None,
) -> Differences:
    """Return the differences of all pairs of models on the same samples.

    Args:
        tables: The lines that all models answered, of the same samples and repeats; the order may differ.
        metric: What is compared.
        resamples: Of the bootstrap, for a metric that is no ratio of sums.
        seed: Of the bootstrap.
        key: What the tables are a slice of.
        alpha: 1 - the coverage.
        weights: As for `nova_bench.stats.estimate`.

    Raises:
        UsageError: The samples, repeats or clusters differ, or the metric takes no part in comparisons.
    """
    if not metric.infer:
        raise UsageError(
            f"metric {metric.name!r} is not made for comparisons (infer=False); compare by another metric"
        )
    ordered = _in_one_order(tables)
    if not len(ordered[0]):
        none, zero = (
            np.full((len(tables), len(tables)), np.nan),
            np.zeros((len(tables), len(tables)), np.int64),
        )
        return Differences(none, none, none, none, none, none, zero, zero, np.zeros_like(none), alpha)
    codes, c = ordered[0].cluster_codes()
    chunks = [] if metric.sums else list(weight_chunks(ordered[0], c, resamples, seed, key, weights))
    halves = [half_of(table, metric, codes, c, chunks) for table in ordered]
    return differences_of(halves, range=metric.range, alpha=alpha)


def differences_of(
    halves: Sequence[Half], *, range: tuple[float, float] | None, alpha: float = 0.05
) -> Differences:
    """Return the differences of all pairs of models from their halves.

    Args:
        halves: At least one, all of one metric on the same lines; of a metric that is no ratio of sums also on the same resamples.
        range: The metric's lowest and highest value; None for unbounded.
        alpha: 1 - the coverage.
    """
    prints = np.stack([half.prints for half in halves])
    n_differing = np.stack([(prints != one).sum(axis=1) for one in prints])
    undefined = np.zeros(n_differing.shape)
    if halves[0].is_ratio:
        values, variance, n_clusters = _of_ratios(halves)
    else:
        values, variance, undefined = _of_resamples(halves)
        n_clusters = np.full(n_differing.shape, prints.shape[1])
    value = np.where(n_differing == 0, 0.0, values - values[:, None])
    value[~np.isfinite(values - values[:, None])] = np.nan
    has_error = (n_clusters >= MIN_CLUSTERS) & (undefined <= MAX_UNDEFINED) & np.isfinite(value)
    scale = n_clusters / np.maximum(n_clusters - 1, 1)
    s = np.where(has_error, np.sqrt(scale * np.where(n_differing == 0, 0.0, variance)), np.nan)
    width = math.nan if range is None else range[1] - range[0]
    width = width if math.isfinite(width) else math.nan
    low, high, p, detectable = conclude(value, s, n_clusters, n_differing, width, alpha)
    return Differences(value, s, low, high, p, detectable, n_clusters, n_differing, undefined, alpha)


def _of_ratios(halves: Sequence[Half]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the models' values (N,), the sum over clusters of squared influences on each difference (N, N), and the clusters (N, N)."""
    influence = np.stack([half.numbers for half in halves])
    # As floats, which BLAS multiplies much faster than integers.
    silent = np.stack([half.is_silent for half in halves]).astype(np.float64)
    products = influence @ influence.T
    own = np.diag(products)[:, None] + np.diag(products)
    return (
        np.array([half.value for half in halves]),
        _without_rounding(own - 2 * products, own),
        influence.shape[1] - (silent @ silent.T).astype(np.int64),
    )


def _of_resamples(halves: Sequence[Half]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the models' values (N,), the variance of each difference over the resamples that define both (N, N), and the rest's share."""
    values = np.array([half.value for half in halves])
    star = np.stack([half.numbers for half in halves])
    known = np.isfinite(star)
    moved = np.where(known, star - values[:, None], 0.0)
    weight = known.astype(np.float64)
    count, total, square = weight @ weight.T, moved @ weight.T, moved**2 @ weight.T
    with np.errstate(divide="ignore", invalid="ignore"):
        own = square + square.T
        spread = (own - 2 * moved @ moved.T - (total - total.T) ** 2 / count) / (count - 1)
        spread = _without_rounding(spread, own / count)
    return values, spread, 1 - count / max(star.shape[1], 1)


def _without_rounding(variance: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return variances (N, N) with what subtracting numbers of a given size leaves of 0 set to 0."""
    return np.where(variance > _ROUNDING * size, variance, np.where(np.isnan(variance), np.nan, 0.0))


def _in_one_order(tables: Sequence[Table]) -> list[Table]:
    """Return the tables with their lines in one order; most have it already, and then nothing is sorted."""
    first = tables[0]

    def agrees(table: Table) -> bool:
        pairs = ((table.id, first.id), (table.repeat, first.repeat), (table.cluster, first.cluster))
        return all(np.array_equal(one, other) for one, other in pairs)

    if all(agrees(table) for table in tables):
        return list(tables)
    return [same_lines(first, table)[1] for table in tables]
