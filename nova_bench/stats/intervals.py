"""Intervals of one number from its value, standard error and number of clusters.

Sources: Wilson 1927, J. Am. Statist. Assoc. 22:209; Korn & Graubard 1998, Survey Methodology 24:193 (effective size and t
quantiles).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

MIN_CLUSTERS = 5
"""With fewer clusters no interval is given."""
ZERO = 1e-12
"""What rounding leaves of a standard error, or of a distance to the end of the range, that is 0."""


class Interval(NamedTuple):
    """Two limits, or none and the reason why.

    Attributes:
        low: Lower limit; None without an interval.
        high: Upper limit.
        note: Why there is none.
    """

    low: float | None
    high: float | None
    note: str | None = None


def interval(
    value: float,
    s: float,
    n_clusters: int,
    *,
    range: tuple[float, float] | None = (0.0, 1.0),
    alpha: float = 0.05,
) -> Interval:
    """Return the two-sided interval of one number.

    In a range: Wilson's with the effective size m = M (1 - M) / s^2 (c where s is 0 or M stands at an end of the range; at least
    1) and the quantile of t with c - 1 degrees of freedom. Unbounded: M +- t s.

    Args:
        value: M.
        s: Its standard error; NaN for unknown.
        n_clusters: c.
        range: The metric's lowest and highest possible value; None for unbounded.
        alpha: 1 - the coverage.

    >>> low, high, note = interval(0.9, 0.03, 100)
    >>> round(low, 3), round(high, 3), note
    (0.825, 0.945, None)
    >>> interval(1.0, 0.0, 3)
    Interval(low=None, high=None, note='no interval: 3 clusters, fewer than 5')
    """
    if math.isnan(value):
        return Interval(None, None, "undefined")
    if n_clusters < MIN_CLUSTERS:
        return Interval(None, None, f"no interval: {_count(n_clusters)}, fewer than {MIN_CLUSTERS}")
    if math.isnan(s):
        return Interval(None, None, "no interval: no standard error")
    bottom, width = (0.0, 1.0) if range is None else (range[0], range[1] - range[0])
    low, high = limits(
        np.asarray((value - bottom) / width),
        np.asarray(s / width),
        np.asarray(n_clusters),
        1 - alpha / 2,
        bounded=range is not None,
    )
    return Interval(bottom + width * float(low), bottom + width * float(high))


def limits(
    values: np.ndarray, s: np.ndarray, clusters: np.ndarray, probability: float, *, bounded: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return a lower and an upper limit of each number, each of them one-sided at `probability`.

    Args:
        values: float array (...), M; bounded ones lie in [0, 1] (what lies outside is taken for the end).
        s: float array (...), their standard errors; NaN gives NaN.
        clusters: int array (...), c.
        probability: With which each limit alone covers; a two-sided interval at alpha has 1 - alpha / 2.
        bounded: Whether Wilson's interval with the effective size is right; else M -+ t s.

    >>> low, high = limits(np.array([0.9, 1.0]), np.array([0.03, 0.0]), np.array([100, 40]), 0.975)
    >>> low.round(3), high.round(3)
    (array([0.825, 0.907]), array([0.945, 1. ]))
    """
    q = t_quantile(clusters - 1, probability)
    if not bounded:
        return values - q * s, values + q * s
    mean = np.clip(values, 0.0, 1.0)
    spread = mean * (1 - mean)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        size = np.where(
            (s > ZERO) & (mean > ZERO) & (mean < 1 - ZERO), np.maximum(spread / s**2, 1.0), clusters
        )
    shrink = q * q / size
    half = q * np.sqrt(spread / size + shrink / (4 * size))
    low = np.clip((mean + shrink / 2 - half) / (1 + shrink), 0.0, mean)
    high = np.clip((mean + shrink / 2 + half) / (1 + shrink), mean, 1.0)
    known = ~np.isnan(s)
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def t_quantile(df: np.ndarray | float, probability: float) -> np.ndarray:
    """Return the quantile of Student's t at `probability`; df below 1 gives NaN.

    >>> t_quantile(np.array([4, 99]), 0.975).round(3)
    array([2.776, 1.984])
    """
    # 0.2 s, so only where a number gets an interval; scipy.stats would cost four times that
    import scipy.special  # type: ignore[import-untyped, unused-ignore]

    return np.asarray(scipy.special.stdtrit(df, probability))


def _count(n_clusters: int) -> str:
    """Return the number in words."""
    return f"{n_clusters} cluster" + ("" if n_clusters == 1 else "s")
