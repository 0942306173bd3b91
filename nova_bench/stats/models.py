"""Differences of models on the same samples: value, error, interval, test and what could have been shown, for all pairs at once.

With D = M_B - M_A, its paired standard error s over c clusters, m clusters in which the models differ at all, f = c / (c - 1), the range
of the metric's values W and q the quantile of t with c - 1 degrees of freedom:

**Test.** ``p = max(2 P(t > |D| / s), 2^(1 - m))``. The second is what m clusters that all lean one way have in a sign test: fewer than six
show nothing at .05, however small s is.

**Interval.** D +- q s, as far as the differing clusters go. Squares Q = s^2 / f + D^2 / c of the clusters' shares in D have a size u and a
sum T; a true difference beyond T needs clusters that this data set did not draw, each of which adds u to the variance for u of difference:

    (D - delta)^2 <= q^2 (s^2 + f u max(|delta| - T, 0)),  T = max(sqrt(m Q), |D|),  u = (Q + u0^2) / (T + u0),  u0 = W / c

At the far end this is Wilson's interval where all differing clusters lean one way, and with no difference at all it is +- q^2 f u0, near
Tango's interval. u0 is one cluster that goes from one end of the range to the other, added so that a handful of small differences does
not promise that others are small too. As 0 never lies beyond T, the test and the interval are one: p < alpha exactly where 0 is outside.

**Detectable**, at 80% power: the smallest d with ``d >= (q + z_.8) sqrt(s^2 + f u max(d - T, 0))``; (q + z_.8) s where m is not small.

Sources: Tango 1998, Statist. Med. 17:891, and Newcombe 1998, Statist. Med. 17:2635 (paired proportions; why +- t s is too short);
Wilson 1927. Chosen by measurement, ``benchmarks/compare_power.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nova_bench.errors import UsageError
from nova_bench.stats.estimates import by_repeat, mean_of_ratios, same_lines, weight_chunks
from nova_bench.stats.intervals import MIN_CLUSTERS, t_quantile
from nova_bench.stats.power import POWER
from nova_bench.stats.resampling import MAX_UNDEFINED, RESAMPLES
from nova_bench.table import Ragged, Table

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
        detectable: The smallest difference that a data set like this one shows at 80% power; None without an interval.
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

    def pair(self, a: int, b: int) -> Difference:
        """Return the difference of two of the models, M_b - M_a."""

        def number(values: np.ndarray) -> float | None:
            return float(values[a, b]) if math.isfinite(values[a, b]) else None

        clusters, differing = int(self.n_clusters[a, b]), int(self.n_differing[a, b])
        note = None
        if number(self.value) is None:
            note = "undefined on these samples" if clusters else "undefined: no samples"
        elif clusters < MIN_CLUSTERS:
            note = f"no interval: {clusters} cluster{'' if clusters == 1 else 's'}, fewer than {MIN_CLUSTERS}"
        elif self.undefined[a, b] > MAX_UNDEFINED:
            note = f"no interval: undefined in {self.undefined[a, b]:.0%} of the resamples"
        elif differing == 0:
            note = IDENTICAL
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
        return Differences(none, none, none, none, none, none, zero, zero, np.zeros_like(none))
    codes, c = ordered[0].cluster_codes()
    parts = [list(by_repeat(table, codes)) for table in ordered]
    n_differing = _differing(ordered, metric, codes, c)
    undefined = np.zeros(n_differing.shape)
    if metric.sums is not None:
        values, variance, n_clusters = _of_ratios(parts, metric, c)
    else:
        chunks = list(weight_chunks(ordered[0], c, resamples, seed, key, weights))
        values, variance, undefined = _of_resamples(parts, metric, chunks)
        n_clusters = np.full(n_differing.shape, c)
    value = np.where(n_differing == 0, 0.0, values - values[:, None])
    value[~np.isfinite(values - values[:, None])] = np.nan
    has_error = (n_clusters >= MIN_CLUSTERS) & (undefined <= MAX_UNDEFINED) & np.isfinite(value)
    scale = n_clusters / np.maximum(n_clusters - 1, 1)
    s = np.where(has_error, np.sqrt(scale * np.where(n_differing == 0, 0.0, variance)), np.nan)
    width = math.nan if metric.range is None else metric.range[1] - metric.range[0]
    low, high, p, detectable = _conclude(value, s, n_clusters, n_differing, width, alpha)
    return Differences(value, s, low, high, p, detectable, n_clusters, n_differing, undefined)


def detectable_difference(
    s: float,
    n_clusters: int,
    *,
    correlation: float = 0.0,
    range: tuple[float, float] | None = (0.0, 1.0),
    alpha: float = 0.05,
) -> float | None:
    """Return the smallest difference that a second run on these samples would show at 80% power, from one run alone.

    Its standard error is ``s sqrt(2 (1 - r))``, both models being equally noisy.

    Args:
        s: Standard error of the one run's value.
        n_clusters: c.
        correlation: r, of the errors of the two models' values; 0, the worst case, as long as there is no second run. What is hard for one
            model is hard for the other, so real ones are .3 to .9.
        range: The metric's lowest and highest value; None for unbounded.
        alpha: Of the test; with Holm's correction of K tests alpha / K is on the safe side.

    Returns:
        None with fewer than `nova_bench.stats.MIN_CLUSTERS` clusters.

    >>> round(detectable_difference(0.03, 200), 3), round(detectable_difference(0.03, 200, correlation=0.6), 3)
    (0.119, 0.075)
    """
    if n_clusters < MIN_CLUSTERS:
        return None
    width = math.nan if range is None else range[1] - range[0]
    both = np.full((1, 1), s * math.sqrt(2 * (1 - correlation)))
    c = np.full((1, 1), n_clusters)
    found = _conclude(np.zeros((1, 1)), both, c, c, width, alpha)[3]
    return float(found[0, 0])


def _conclude(
    value: np.ndarray, s: np.ndarray, c: np.ndarray, m: np.ndarray, width: float, alpha: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return low, high, p and detectable of differences; NaN where s is.

    Args:
        value: float array (...), D.
        s: float array (...), their standard errors.
        c: int array (...), clusters.
        m: int array (...), clusters that differ.
        width: W; NaN for an unbounded metric, of which nothing is known beyond what was seen.
        alpha: 1 - the coverage.
    """
    import scipy.special  # type: ignore[import-untyped, unused-ignore]

    c = np.maximum(c, 1)
    f = c / np.maximum(c - 1, 1)
    squares = s**2 / f + value**2 / c
    total = np.maximum(np.sqrt(squares * m), np.abs(value))
    one = 0.0 if math.isnan(width) else width / np.maximum(c, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = (squares + one**2) / (total + one)
        ratio = np.where(value == 0, 0.0, np.abs(value) / s)
    unit = np.where(total + one > 0, unit, 0.0)

    def reach(k: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Return the largest x with ``x^2 <= k^2 (s^2 + f u max(start + x - T, 0))``."""
        slope = k * k * f * unit
        beyond = slope**2 + 4 * k * k * (s**2 + f * unit * (start - total))
        root = (slope + np.sqrt(np.maximum(beyond, 0.0))) / 2
        return np.asarray(np.where((beyond >= 0) & (root >= total - start), np.maximum(root, k * s), k * s))

    q = t_quantile(c - 1, 1 - alpha / 2)
    p = np.maximum(2 * scipy.special.stdtr(c - 1, -ratio), np.minimum(1.0, 2.0 ** (1.0 - m)))
    p = np.where(np.isnan(s), np.nan, p)
    low, high = value - reach(q, -value), value + reach(q, value)
    is_open = p >= alpha  # 0 is inside: where the sign test decides, and where rounding would
    low, high = np.where(is_open, np.minimum(low, 0.0), low), np.where(is_open, np.maximum(high, 0.0), high)
    if not math.isnan(width):
        low, high = np.maximum(low, -width), np.minimum(high, width)
    return low, high, p, reach(q + float(scipy.special.ndtri(POWER)), np.zeros_like(value))


def _of_ratios(
    parts: Sequence[Sequence[tuple[Table, np.ndarray]]], metric: Metric, n_clusters: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the models' values (N,), the sum over clusters of squared influences on each difference (N, N), and the clusters (N, N)."""
    made = [mean_of_ratios(part, metric, n_clusters) for part in parts]
    influence, silent = np.stack([each[1] for each in made]), ~np.stack([each[2] for each in made])
    both_silent = silent.astype(np.int64) @ silent.T.astype(np.int64)
    products = influence @ influence.T
    own = np.diag(products)[:, None] + np.diag(products)
    return (
        np.array([each[0] for each in made]),
        _without_rounding(own - 2 * products, own),
        n_clusters - both_silent,
    )


def _of_resamples(
    parts: Sequence[Sequence[tuple[Table, np.ndarray]]], metric: Metric, chunks: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the models' values (N,), the variance of each difference over the resamples that define both (N, N), and the rest's share."""
    values = np.array([float(np.mean([metric.compute(t, t.ones())[0] for t, _ in part])) for part in parts])
    star = np.stack([_resampled(part, metric, chunks) for part in parts])
    known = np.isfinite(star)
    moved = np.where(known, star - values[:, None], 0.0)
    weight = known.astype(np.float64)
    count, total, square = weight @ weight.T, moved @ weight.T, moved**2 @ weight.T
    with np.errstate(divide="ignore", invalid="ignore"):
        own = square + square.T
        spread = (own - 2 * moved @ moved.T - (total - total.T) ** 2 / count) / (count - 1)
        spread = _without_rounding(spread, own / count)
    return values, spread, 1 - count / max(star.shape[1], 1)


def _resampled(
    part: Sequence[tuple[Table, np.ndarray]], metric: Metric, chunks: Sequence[np.ndarray]
) -> np.ndarray:
    """Return a model's value in each resample (B,)."""
    repeats = [
        np.concatenate([metric.compute(table, weights[:, codes].astype(np.float64)) for weights in chunks])
        for table, codes in part
    ]
    return np.asarray(np.mean(repeats, axis=0))


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


def _differing(tables: Sequence[Table], metric: Metric, codes: np.ndarray, n_clusters: int) -> np.ndarray:
    """Return an int array (N, N): in how many clusters what the metric reads differs between two models on some line."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(n_clusters + 1))
    labels = np.empty((len(tables), n_clusters), np.int64)
    seen: list[dict[bytes, int]] = [{} for _ in range(n_clusters)]
    for i, table in enumerate(tables):
        read = (
            metric.sums(table) if metric.sums is not None else [table.columns[name] for name in metric.needs]
        )
        blocks = [block for column in read for block in _blocks(column, order, starts)]
        for k, numbers in enumerate(seen):
            content = b"".join(data[at[k] : at[k + 1]] for data, at in blocks)
            labels[i, k] = numbers.setdefault(content, len(numbers))
    return np.stack([(labels != row).sum(axis=1) for row in labels])


def _blocks(
    column: np.ndarray | Ragged, order: np.ndarray, starts: np.ndarray
) -> Iterator[tuple[bytes, np.ndarray]]:
    """Yield a column as bytes, lines in `order`, and where in them each cluster begins."""
    if isinstance(column, Ragged):
        column = column.take(order)
        yield from _blocks(column.lengths, np.arange(len(order)), starts)
        values, at = column.values, column.offsets[starts]
    else:
        values, at = column[order], starts
    data = np.ascontiguousarray(values + 0).tobytes()  # + 0: -0 is 0
    yield data, at * (len(data) // max(len(values), 1))
