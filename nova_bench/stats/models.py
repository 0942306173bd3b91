"""Differences of models on the same samples: value, error, interval, test and what could have been shown, for all pairs at once.

The interval and the test are one: p is the smallest alpha at which 0 lies outside the interval, so they never contradict.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nova_bench.errors import UsageError
from nova_bench.stats.estimates import _mean_of_ratios, by_repeat, same_lines, weight_chunks
from nova_bench.stats.intervals import MIN_CLUSTERS, t_quantile
from nova_bench.stats.power import POWER
from nova_bench.stats.resampling import MAX_UNDEFINED, RESAMPLES
from nova_bench.table import Ragged, Table

if TYPE_CHECKING:
    from nova_bench.types import Metric

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
    first = tables[0]
    ordered = [same_lines(first, table)[1] for table in tables]
    codes, c = ordered[0].cluster_codes()
    n = len(tables)
    parts = [list(by_repeat(table, codes)) for table in ordered]
    n_differing = _differing(ordered, metric, codes, c)
    undefined = np.zeros((n, n))
    if metric.sums is not None:
        made = [_mean_of_ratios(part, metric, c) for part in parts]
        m = np.array([each[0] for each in made])
        influence, carried = np.stack([each[1] for each in made]), np.stack([each[2] for each in made])
        n_clusters = c - (~carried).astype(np.int64) @ (~carried).astype(np.int64).T
        v = influence @ influence.T
        diag = np.diag(v)
        with np.errstate(divide="ignore", invalid="ignore"):
            s = np.sqrt(np.maximum(diag[:, None] + diag - 2 * v, 0) * n_clusters / (n_clusters - 1))
    else:
        m = np.array([float(np.mean([metric.compute(p, p.ones())[0] for p, _ in part])) for part in parts])
        n_clusters = np.full((n, n), c)
        chunks = list(weight_chunks(ordered[0], c, resamples, seed, key, weights))
        star = np.stack(
            [
                np.concatenate(
                    [
                        np.mean([metric.compute(p, w[:, k].astype(np.float64)) for p, k in part], axis=0)
                        for w in chunks
                    ]
                )
                for part in parts
            ]
        )
        known = np.isfinite(star).astype(np.float64)
        x = np.where(np.isfinite(star), star - m[:, None], 0.0)
        count, total, square = known @ known.T, x @ known.T, (x * x) @ known.T
        undefined = 1 - count / star.shape[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = square + square.T - 2 * x @ x.T - (total - total.T) ** 2 / count
            s = np.sqrt(np.maximum(spread, 0) / (count - 1) * c / (c - 1))
    value = m[None, :] - m[:, None]
    s = np.where((n_clusters >= MIN_CLUSTERS) & (undefined <= MAX_UNDEFINED) & np.isfinite(value), s, np.nan)
    import scipy.special  # type: ignore[import-untyped, unused-ignore]

    q = t_quantile(n_clusters - 1, 1 - alpha / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(value == 0, 0.0, np.abs(value) / s)
    p = np.where(np.isnan(s), np.nan, 2 * scipy.special.stdtr(n_clusters - 1, -ratio))
    detectable = (q + float(scipy.special.ndtri(POWER))) * s
    return Differences(
        value, s, value - q * s, value + q * s, p, detectable, n_clusters, n_differing, undefined
    )


def _differing(tables: Sequence[Table], metric: Metric, codes: np.ndarray, n_clusters: int) -> np.ndarray:
    """Return an int array (N, N): in how many clusters what the metric reads differs between two models."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(n_clusters + 1))
    labels = np.empty((len(tables), n_clusters), np.int64)
    seen: list[dict[bytes, int]] = [{} for _ in range(n_clusters)]
    for i, table in enumerate(tables):
        table = table.take(order)
        blocks: list[tuple[bytes, np.ndarray]] = []  # bytes, and where each cluster's begin
        columns = (
            metric.sums(table) if metric.sums is not None else [table.columns[name] for name in metric.needs]
        )
        for column in columns:
            values, offsets = (
                (column.values, column.offsets[starts]) if isinstance(column, Ragged) else (column, starts)
            )
            if isinstance(column, Ragged):
                blocks.append((column.lengths.tobytes(), starts * 8))
            values = np.ascontiguousarray(values) + 0  # -0 is 0
            blocks.append((values.tobytes(), offsets * (values.nbytes // max(len(values), 1))))
        for k in range(n_clusters):
            read = b"".join(data[at[k] : at[k + 1]] for data, at in blocks)
            labels[i, k] = seen[k].setdefault(read, len(seen[k]))
    return np.stack([(labels != row).sum(axis=1) for row in labels])
