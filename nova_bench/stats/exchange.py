"""A test of two forms of the same samples: exchanging the forms of whole clusters, for any metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nova_bench.stats.estimates import by_repeat, same_lines
from nova_bench.stats.resampling import keyed_generator
from nova_bench.table import Table

if TYPE_CHECKING:
    from nova_bench.types import Metric

_CHUNK = 2**21  # weights held at once, 16 MB
_TIE = 1e-9


def exchange_p_value(
    table_a: Table,
    table_b: Table,
    metric: Metric,
    *,
    permutations: int,
    seed: int = 0,
    key: tuple[str, ...] = (),
) -> float:
    """Return the p-value of "it makes no difference which of two forms a sample has": two-sided, exact for any number of clusters.

    Each permutation exchanges the two forms in a random half of the clusters, all lines of one together. The least value is that of the
    observed order among the permutations, ``1 / (1 + permutations)``, and with c clusters about ``2 / 2^c``.

    Args:
        table_a: The lines in one form.
        table_b: The same samples and repeats in the other.
        metric: Whose difference is the statistic.
        permutations: How many.
        seed: Of the permutations.
        key: What is compared.

    >>> from nova_bench.types import Metric
    >>> names, zeros = np.array(list("abcdefgh"), dtype=object), np.zeros(8, int)
    >>> a = Table(names, names, zeros, names, names, {}, {"score": np.linspace(0.4, 0.5, 8)})
    >>> b = Table(names, names, zeros, names, names, {}, {"score": np.linspace(0.5, 0.6, 8)})
    >>> mean = Metric("mean", ("score",), lambda t, w: w @ t["score"] / w.sum(1))
    >>> exchange_p_value(a, b, mean, permutations=1999) < 0.02, exchange_p_value(a, a, mean, permutations=1999)
    (True, 1.0)
    """
    table_a, table_b = same_lines(table_a, table_b)
    codes, n_clusters = table_a.cluster_codes()
    parts = []
    for part, whose in by_repeat(table_a, codes):
        other = table_b.take(np.asarray(table_b.repeat == part.repeat[0]))
        parts.append((_beside(part, other), whose))
    generator = keyed_generator(seed, key)
    chunk = max(16, _CHUNK // max(2 * len(table_a), n_clusters))
    observed = _statistic(parts, metric, np.zeros((1, n_clusters), dtype=bool))[0]
    extreme = 0
    for start in range(0, permutations, chunk):
        exchanged = generator.random((min(chunk, permutations - start), n_clusters)) < 0.5
        extreme += int((np.abs(_statistic(parts, metric, exchanged)) >= abs(observed) - _TIE).sum())
    return (1 + extreme) / (1 + permutations)


def _beside(one: Table, other: Table) -> Table:
    """Return both forms in one table, each a cluster of its own: a metric may rely on one weight a cluster."""
    both = Table.stack([one, other])
    names = np.empty(len(both), dtype=object)
    names[:] = [f"{name}\0{i >= len(one)}" for i, name in enumerate(both.cluster)]
    return Table(
        both.id, names, both.repeat, both.status, both.split, both.groups, both.columns, base=both.base
    )


def _statistic(parts: list[tuple[Table, np.ndarray]], metric: Metric, exchanged: np.ndarray) -> np.ndarray:
    """Return (b,) the second form's metric less the first's, with the forms exchanged where `exchanged` (b, clusters) says so."""
    total = np.zeros(len(exchanged))
    for both, whose in parts:
        lines = exchanged[:, whose].astype(np.float64)
        first = np.concatenate([1 - lines, lines], axis=1)
        second = np.concatenate([lines, 1 - lines], axis=1)
        total += (metric.compute(both, second) - metric.compute(both, first)) / len(parts)
    return total
