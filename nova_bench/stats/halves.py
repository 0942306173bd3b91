"""What one model brings to its differences from others: made from its rows alone, so that a difference needs no two tables at once.

The halves of models on the same lines give all their differences (`nova_bench.stats.models.differences_of`), whether they were made a moment
ago or read from a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nova_bench.stats.estimates import by_repeat, mean_of_ratios, resampled
from nova_bench.table import Ragged, Table

if TYPE_CHECKING:
    from nova_bench.types import Metric

_BITS = 30
"""Of a float's mantissa that a print sees, nine decimal digits: what another processor rounds otherwise is no difference."""


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """One model's half of its differences, on lines of c clusters in sorted order.

    Attributes:
        value: M, the metric on all lines; NaN where it is undefined.
        is_ratio: Whether the metric is a ratio of sums, with an exact standard error.
        numbers: Of a ratio of sums float array (c,), each cluster's influence on M; else float array (b,), M in each resample, NaN where
            it is undefined.
        is_silent: Boolean array (c,): the clusters without a share in numerator and denominator; of a metric that is no ratio all False.
        prints: uint32 array (c,), a hash of what the metric reads of each cluster: two models whose prints differ differ there. (Two that
            differ have the same print once in 4e9.)
    """

    value: float
    is_ratio: bool
    numbers: np.ndarray
    is_silent: np.ndarray
    prints: np.ndarray


def half_of(
    table: Table, metric: Metric, codes: np.ndarray, n_clusters: int, chunks: Sequence[np.ndarray]
) -> Half:
    """Return a model's half.

    Args:
        table: The lines that count, at least one, sorted by (id, repeat).
        metric: What is compared.
        codes: int array (n,), the cluster of each line, from 0, clusters in sorted order.
        n_clusters: c.
        chunks: Resampling weights (b, c); not read for a ratio of sums.
    """
    parts = list(by_repeat(table, codes))
    prints = _prints(table, metric, codes, n_clusters)
    if metric.sums is not None:
        value, influence, carried = mean_of_ratios(parts, metric, n_clusters)
        return Half(value, True, influence, ~carried, prints)
    value = float(np.mean([metric.compute(part, part.ones())[0] for part, _ in parts]))
    numbers = resampled(parts, metric, chunks)
    return Half(value, False, numbers, np.zeros(n_clusters, bool), prints)


def _prints(table: Table, metric: Metric, codes: np.ndarray, n_clusters: int) -> np.ndarray:
    """Return a uint32 array (c,) over what the metric reads of each cluster's lines."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(n_clusters + 1))
    read = metric.sums(table) if metric.sums is not None else [table.columns[name] for name in metric.needs]
    blocks = [block for column in read for block in _blocks(column, order, starts)]
    digests = (
        hashlib.blake2b(b"".join(data[at[k] : at[k + 1]] for data, at in blocks), digest_size=4).digest()
        for k in range(n_clusters)
    )
    return np.frombuffer(b"".join(digests), ">u4").astype(np.uint32)


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
    data = np.ascontiguousarray(_coarse(values)).astype("<f8").tobytes()
    yield data, at * (len(data) // max(len(values), 1))


def _coarse(values: np.ndarray) -> np.ndarray:
    """Return floats with `_BITS` bits of their mantissa, one NaN and one 0.

    Bits and not decimals: a count over a power of two lies between two decimals rather often, and then a rounding error would decide.
    """
    fraction, exponent = np.frexp(np.asarray(values, dtype=np.float64))
    coarse = np.ldexp(np.rint(np.ldexp(fraction, _BITS)), exponent - _BITS)
    return np.asarray(np.where(np.isnan(coarse), np.nan, coarse + 0.0))  # + 0: -0 is 0
