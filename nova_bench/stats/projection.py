"""Intervals of gap, worst, ratio and largest deviation, from the intervals of their parts.

A maximum over pairs is a kink: where groups are equal the bootstrap's percentiles cover the truth almost never (Andrews 2000; Fang &
Santos 2019). Here the end away from equality comes from the pointwise limits of the pairs, as only the true extreme pair has to be
covered, and the end near equality from limits that hold for all pairs at once (Sidak), as any of them may be the extreme one
(Chernozhukov, Lee & Rosen 2013). A pair's limits are put together by `math.hypot` of the distances to its two limits (MOVER; Newcombe
1998; Zou & Donner 2008).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nova_bench.stats.intervals import limits, t_quantile
from nova_bench.stats.moderation import combined_df

FLOOR = 1e-3
"""Values below are raised to it before a logarithm is taken."""
_SMALLEST = 1e-12  # p-values below are not told apart


class Levels(NamedTuple):
    """The groups' values with what their limits are made of.

    Attributes:
        values: float array (G,), higher is better.
        s: float array (G,).
        clusters: int array (G,).
        bounded: Whether the values lie in [0, 1].
    """

    values: np.ndarray
    s: np.ndarray
    clusters: np.ndarray
    bounded: bool

    def limits(self, probability: float) -> tuple[np.ndarray, np.ndarray]:
        """Return float arrays (G,), lower and upper limits, each one-sided at `probability`."""
        return limits(self.values, self.s, self.clusters, probability, bounded=self.bounded)


def sidak(alpha: float, comparisons: int) -> float:
    """Return the level at which each of several comparisons is made so that all hold at `alpha`: 1 - (1 - alpha)^(1/K).

    >>> round(sidak(0.05, 3), 5)
    0.01695
    """
    return -math.expm1(math.log1p(-alpha) / comparisons) if alpha < 1 else 1.0


def pairs(n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Return int arrays (G (G - 1),), first and second of all ordered pairs of groups.

    >>> first, second = pairs(3)
    >>> first.tolist(), second.tolist()
    ([0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1])
    """
    first, second = np.nonzero(~np.eye(n_groups, dtype=bool))
    return first, second


def gap_interval(lower: Levels, upper: Levels, alpha: float) -> tuple[float, float]:
    """Return the interval of the gap.

    Over ordered pairs, ``d = M_g - M_h``: high is ``max(d + hypot(u_g - M_g, M_h - l_h))`` with two-sided limits l, u at `alpha`,
    low is ``max(0, max(d - hypot(M_g - L_g, U_h - M_h)))`` with limits L, U at the Sidak level of G (G - 1) / 2 pairs.

    Args:
        lower: The groups at their worst and `upper` at their best, which are the same thing where nothing failed: low takes M_g
            from `lower` and M_h from `upper`, high the other way round (Imbens & Manski 2004).
        upper: See `lower`.
        alpha: 1 - the coverage.

    >>> groups = Levels(np.array([0.7, 0.5]), np.array([0.02, 0.04]), np.array([300, 90]), True)
    >>> [round(end, 3) for end in gap_interval(groups, groups, 0.05)]
    [0.112, 0.287]
    """
    first, second = pairs(len(lower.values))
    low, high = lower.limits(1 - alpha / 2)[0], upper.limits(1 - alpha / 2)[1]
    d = upper.values[first] - lower.values[second]
    end = (d + np.hypot((high - upper.values)[first], (lower.values - low)[second])).max()
    return max(0.0, _gap_low(lower, upper, alpha)), float(end)


def _gap_low(lower: Levels, upper: Levels, alpha: float) -> float:
    """Return the lower limit of the gap, below 0 where no pair differs."""
    first, second = pairs(len(lower.values))
    each = 1 - sidak(alpha, len(first) // 2) / 2
    low, high = lower.limits(each)[0], upper.limits(each)[1]
    d = lower.values[first] - upper.values[second]
    return float((d - np.hypot((lower.values - low)[first], (high - upper.values)[second])).max())


def gap_p_value(levels: Levels) -> float:
    """Return the smallest alpha at which the lower end of the gap's interval exceeds 0.

    >>> groups = Levels(np.array([0.7, 0.5]), np.array([0.02, 0.04]), np.array([300, 90]), True)
    >>> p = gap_p_value(groups)
    >>> gap_interval(groups, groups, 1.01 * p)[0] > 0, gap_interval(groups, groups, 0.99 * p)[0] > 0
    (True, False)
    """
    return smallest_alpha(lambda alpha: _gap_low(levels, levels, alpha) > 0)


def smallest_alpha(rejects: Callable[[float], bool]) -> float:
    """Return the smallest alpha for which ``rejects(alpha)``, which holds from some alpha on; 1 where it never holds."""
    low, high = math.log(_SMALLEST), 0.0
    if not rejects(1.0):
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if rejects(math.exp(middle)) else (middle, high)
    return math.exp(high)


def worst_interval(levels: Levels, alpha: float) -> tuple[float, float]:
    """Return the interval of the worst group's value: ``[min l, min U1]``, U1 one-sided at (1 - alpha)^(1/G).

    >>> groups = Levels(np.array([0.7, 0.5]), np.array([0.02, 0.04]), np.array([300, 90]), True)
    >>> [round(end, 3) for end in worst_interval(groups, 0.05)]
    [0.422, 0.578]
    """
    low = levels.limits(1 - alpha / 2)[0]
    high = levels.limits((1 - alpha) ** (1 / len(levels.values)))[1]
    return float(low.min()), float(high.min())


def ratio_interval(levels: Levels, alpha: float) -> tuple[float, float]:
    """Return the interval of min / max: `gap_interval`'s formula on logarithms, the minimum over ordered pairs, at most 1.

    >>> groups = Levels(np.array([0.7, 0.5]), np.array([0.02, 0.04]), np.array([300, 90]), True)
    >>> [round(end, 3) for end in ratio_interval(groups, 0.05)]
    [0.597, 0.836]
    """
    first, second = pairs(len(levels.values))

    def log(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.log(np.maximum(values, FLOOR)))

    value = log(levels.values)
    d = value[first] - value[second]
    low, high = (log(limit) for limit in levels.limits(1 - alpha / 2))
    lower = (d - np.hypot((value - low)[first], (high - value)[second])).min()
    low, high = (log(limit) for limit in levels.limits(1 - sidak(alpha, len(first) // 2) / 2))
    upper = (d + np.hypot((high - value)[first], (value - low)[second])).min()
    return math.exp(lower), min(1.0, math.exp(upper))


def max_deviation_interval(
    values: np.ndarray, weights: np.ndarray, variance: np.ndarray, df: np.ndarray, alpha: float
) -> tuple[float, float]:
    """Return the interval of max_g |M_g - wmean|: of the contrasts M_g - wmean, pointwise up and Sidak over G down.

    Args:
        values: float array (G,).
        weights: float array (G,), adding up to 1.
        variance: float array (G,), moderated.
        df: float array (G,), of `variance`.
        alpha: 1 - the coverage.

    >>> variance, df = np.array([0.02, 0.04]) ** 2, np.array([303, 93])
    >>> [round(end, 3) for end in max_deviation_interval(np.array([0.7, 0.5]), np.array([0.75, 0.25]), variance, df, 0.05)]
    [0.074, 0.216]
    """
    n_groups = len(values)
    contrasts = np.eye(n_groups) - weights  # line g: M_g - wmean
    distance = np.abs(contrasts @ values)
    parts = contrasts**2 * variance
    error, freedom = np.sqrt(parts.sum(axis=1)), combined_df(parts, df)
    high = (distance + t_quantile(freedom, 1 - alpha / 2) * error).max()
    low = (distance - t_quantile(freedom, 1 - sidak(alpha, n_groups) / 2) * error).max()
    return max(0.0, float(low)), float(high)
