"""A metric's value over a table, with standard error and interval; what differences of models are made from too."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nova_bench.errors import UsageError
from nova_bench.stats.intervals import MIN_CLUSTERS, interval
from nova_bench.stats.resampling import (
    MAX_UNDEFINED,
    RESAMPLES,
    bootstrap_standard_error,
    influence_standard_error,
    iterate_weights,
    ratio_influence,
)
from nova_bench.table import Ragged, Table

if TYPE_CHECKING:
    from nova_bench.types import Metric

_CHUNK = 2**21  # weights held at once, 16 MB
_LEAST = (
    16  # resamples at once: what a metric does once a call (BLEU stacks its columns) is spread over these
)


class Estimate(NamedTuple):
    """A metric's value with its error.

    Attributes:
        value: None where it is undefined.
        s: Its standard error; None where there is none.
        low: Lower limit of the interval; None without one.
        high: Upper limit.
        n_clusters: The clusters that carry the number: those of the table, less those without a share in a sum's denominator.
        note: Why value or interval is missing, or what to know about it.
    """

    value: float | None
    s: float | None
    low: float | None
    high: float | None
    n_clusters: int
    note: str | None = None


def estimate(
    table: Table,
    metric: Metric,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    key: tuple[str, ...] = (),
    alpha: float = 0.05,
    weights: np.ndarray | None = None,
) -> Estimate:
    """Return a metric's value over a table, with its standard error and interval.

    Every line counts once, so the caller passes the answered lines of one slice. With several repeats the value is the mean over
    repeats of the metric on each repeat's lines, and all repeats share the patients' weights. The error is exact where the metric
    is a ratio of sums (`Metric.sums`) and comes from a cluster bootstrap otherwise.

    Args:
        table: The lines.
        metric: What is computed; with ``infer=False`` it gets no interval.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.
        key: What the table is a slice of, such as ``("plane", "axial")``.
        alpha: 1 - the coverage.
        weights: `resampling_weights` of the table's clusters in sorted order, drawn once for many metrics; None draws them.

    >>> from nova_bench.types import Metric
    >>> names, zeros = np.array(list("abcdef"), dtype=object), np.zeros(6, int)
    >>> table = Table(names, names, zeros, names, names, {}, {"right": np.array([1, 1, 0, 1, 0, 1.0])})
    >>> accuracy = Metric("accuracy", ("right",), lambda t, w: w @ t["right"] / w.sum(1), lambda t: (t["right"], np.ones(len(t))))
    >>> [round(number, 3) for number in estimate(table, accuracy)[:4]]
    [0.667, 0.211, 0.204, 0.94]
    """
    if len(table) == 0:
        return Estimate(None, None, None, None, 0, "undefined: no samples")
    codes, n_clusters = table.cluster_codes()
    parts = list(by_repeat(table, codes))
    if metric.sums is not None:
        value, influence, carried = mean_of_ratios(parts, metric, n_clusters)
        n_clusters = int(carried.sum())
        s, undefined = influence_standard_error(influence, n_clusters), 0.0
    else:
        value = float(np.mean([metric.compute(part, part.ones())[0] for part, _ in parts]))
        s, undefined = math.nan, 0.0
        if metric.infer and n_clusters >= MIN_CLUSTERS and math.isfinite(value):
            chunks = weight_chunks(table, n_clusters, resamples, seed, key, weights)
            s, undefined = bootstrap_standard_error(resampled(parts, metric, chunks), n_clusters)
    if not math.isfinite(value):
        return Estimate(None, None, None, None, n_clusters, "undefined on these samples")
    if not metric.infer:
        return Estimate(value, None, None, None, n_clusters)
    low, high, note = interval(value, s, n_clusters, range=metric.range, alpha=alpha)
    return Estimate(
        value, None if math.isnan(s) else s, low, high, n_clusters, undefined_note(undefined) or note
    )


def mean_of_ratios(
    parts: Sequence[tuple[Table, np.ndarray]], metric: Metric, n_clusters: int
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the mean over repeats of a ratio of sums, each cluster's influence on it, and which clusters have a share in it.

    Clusters with nothing in numerator and denominator (no true box, for a recall) carry no information: counting them would
    narrow the interval of a value at an end of its range, where their number stands in for the effective size.
    """
    assert metric.sums is not None  # the callers asked
    values, influences = [], []
    carried = np.zeros(n_clusters, bool)
    for part, codes in parts:
        num, den = metric.sums(part)
        value, influence = ratio_influence(num, den, codes, n_clusters)
        values.append(value)
        influences.append(influence)
        carried[codes[(num != 0) | (den != 0)]] = True
    return float(np.mean(values)), np.mean(influences, axis=0), carried


def by_repeat(table: Table, codes: np.ndarray) -> Iterator[tuple[Table, np.ndarray]]:
    """Yield each repeat's lines with the codes of their clusters."""
    repeats = np.unique(table.repeat)
    if len(repeats) <= 1:
        yield table, codes
        return
    for repeat in repeats:
        index = np.flatnonzero(table.repeat == repeat)
        yield table.take(index), codes[index]


def weight_chunks(
    table: Table, n_clusters: int, resamples: int, seed: int, key: tuple[str, ...], weights: np.ndarray | None
) -> Iterator[np.ndarray]:
    """Yield resampling weights (b, c), with b such that (b, lines) and (b, values of a ragged column) stay small."""
    ragged = [len(column.values) for column in table.columns.values() if isinstance(column, Ragged)]
    chunk = max(_LEAST, _CHUNK // max(len(table), n_clusters, *ragged, 1))
    if weights is None:
        yield from iterate_weights(n_clusters, resamples=resamples, seed=seed, key=key, chunk=chunk)
        return
    if weights.ndim != 2 or weights.shape[1] != n_clusters:
        raise ValueError(
            f"weights have shape {weights.shape}, expected (resamples, {n_clusters}): one column a cluster"
        )
    for start in range(0, len(weights), chunk):
        yield weights[start : start + chunk]


def resampled(
    parts: Sequence[tuple[Table, np.ndarray]], metric: Metric, chunks: Iterable[np.ndarray]
) -> np.ndarray:
    """Return (b,) a metric's mean over repeats under each line of weights.

    Args:
        parts: Each repeat's lines with the codes of their clusters, of `by_repeat`.
        metric: What is computed.
        chunks: Weights (b, c), a column a cluster.
    """
    values = []
    for weights in chunks:
        of_repeats = [metric.compute(part, weights[:, codes].astype(np.float64)) for part, codes in parts]
        values.append(np.mean(of_repeats, axis=0))
    return np.concatenate(values)


def same_lines(table_a: Table, table_b: Table) -> tuple[Table, Table]:
    """Return both tables in one order of (id, repeat).

    Raises:
        UsageError: They are not about the same samples, repeats and clusters.
    """
    ordered = []
    for table in (table_a, table_b):
        ids = table.id.astype(str)
        order = np.lexsort((table.repeat, ids))
        ordered.append(
            (table.take(order), list(zip(ids[order].tolist(), table.repeat[order].tolist(), strict=True)))
        )
    (table_a, keys_a), (table_b, keys_b) = ordered
    if keys_a != keys_b:
        only_a, only_b = sorted(set(keys_a) - set(keys_b)), sorted(set(keys_b) - set(keys_a))
        named = ", ".join(f"{name} (repeat {repeat})" for name, repeat in (only_a + only_b)[:3])
        raise UsageError(
            f"the two runs are not about the same samples: {len(only_a)} are in the first only and {len(only_b)} in the second "
            f"only{', such as ' + named if named else ', and some stand twice'}; compare what both have answered"
        )
    if not np.array_equal(table_a.cluster.astype(str), table_b.cluster.astype(str)):
        raise UsageError(
            "the two runs put the same samples into different clusters; they were made from different data"
        )
    return table_a, table_b


def undefined_note(undefined: float) -> str | None:
    """Return the note on a bootstrap with too many undefined resamples."""
    if undefined > MAX_UNDEFINED:
        return f"no interval: undefined in {undefined:.0%} of the resamples"
    return None
