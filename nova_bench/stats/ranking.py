"""Ranks of models that say how sure they are.

A model's rank is 1 + the number of models that are significantly better than it: paired differences on the same samples, with Holm's
correction over the pairs that involve that model. Two models that no test tells apart share a rank.

Source: Holm 1979, Scand. J. Statist. 6:65.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Rank:
    """Where a model stands among the N that it can be compared with, itself among them.

    Attributes:
        low: 1 + the number of models significantly better: the best place that the tests leave.
        high: N - the number significantly worse: the worst place that they leave.
    """

    low: int
    high: int

    @property
    def rank(self) -> int:
        """1 + the number of models significantly better."""
        return self.low


def ranks(p: np.ndarray, difference: np.ndarray, alpha: float = 0.05) -> list[Rank | None]:
    """Return the rank of each of N models; None for a model that no test compares with another.

    Args:
        p: float array (N, N), of the tests of "no difference"; NaN where there is none. The diagonal is not read.
        difference: float array (N, N), [a, b] above 0 where b is better than a: ``Differences.value``, times -1 where lower is better.
        alpha: The level of the family of tests that involve a model.

    >>> p = np.array([[1, 0.01, 0.001], [0.01, 1, 0.2], [0.001, 0.2, 1]])
    >>> difference = np.array([[0, -0.2, -0.3], [0.2, 0, -0.1], [0.3, 0.1, 0]])
    >>> [(each.low, each.high) for each in ranks(p, difference)]
    [(1, 1), (2, 3), (2, 3)]
    """
    n = len(p)
    if n == 1:
        return [Rank(1, 1)]
    others = np.where(np.eye(n, dtype=bool), np.nan, p)
    made = np.isfinite(others).sum(axis=1, keepdims=True)
    order = np.argsort(others, axis=1)  # NaN last
    steps = np.take_along_axis(others, order, axis=1) * np.maximum(made - np.arange(n), 1)
    corrected = np.empty_like(others)
    np.put_along_axis(corrected, order, np.maximum.accumulate(steps, axis=1), axis=1)
    is_told = corrected < alpha  # NaN is not
    better = (is_told & (difference > 0)).sum(axis=1)
    worse = (is_told & (difference < 0)).sum(axis=1)
    compared = made[:, 0].tolist()
    return [
        Rank(1 + int(better[i]), 1 + compared[i] - int(worse[i])) if compared[i] else None for i in range(n)
    ]
