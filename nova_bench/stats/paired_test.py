"""Test, interval and detectable size of a paired difference, from its value, error and how many clusters differ.

With D = M_B - M_A, its paired standard error s over c clusters, m clusters in which the models differ at all, f = c / (c - 1), the range
of the metric's values W and q the quantile of t with c - 1 degrees of freedom:

**Test.** ``p = max(2 P(t > |D| / s), 2^(1 - m))``. The second is the smallest p that exchanging the models' answers cluster by cluster can
give: fewer than six differing clusters show nothing at .05, however small s is.

**Interval.** D +- q s, as far as the differing clusters go. Squares Q = s^2 / f + D^2 / c of the clusters' shares in D have a size u and a
sum T; a true difference beyond T needs clusters that this data set did not draw, each of which adds u to the variance for u of difference:

    (D - delta)^2 <= q^2 (s^2 + f u max(|delta| - T, 0)),  T = max(sqrt(m Q), |D|),  u = (Q + u0^2) / (T + u0),  u0 = W / c

At the far end this is Wilson's interval where all differing clusters lean one way, and with no difference at all it is +- q^2 f u0, near
Tango's interval. u0 is one cluster that goes from one end of the range to the other, added so that a handful of small differences does
not promise that others are small too. As 0 never lies beyond T, the test and the interval are one: p < alpha exactly where 0 is outside. Where what
is beyond T on the other side of 0 fits the formula though 0 does not (a total smaller than u0), the interval stays on D's side.

**No spread.** Where all clusters differ by the same amount, s is 0 and says nothing. In its place stands the s with which the t-test would
give the p above: D of 1 in 20 of 20 clusters is known to 0.3, not exactly.

**Detectable**, at 80% power: the d from which on ``d >= (q + z_.8) sqrt(s^2 + f u max(d - T, 0))``; (q + z_.8) s where m is not small. Where
D was told, the smallest such d: what has been shown can be shown.
There is none where that is more than W, or where c clusters, all leaning one way, would not be told either.

Sources: Tango 1998, Statist. Med. 17:891, and Newcombe 1998, Statist. Med. 17:2635 (paired proportions; why +- t s is too short);
Wilson 1927. Chosen by measurement, ``benchmarks/compare_power.py``.
"""

from __future__ import annotations

import math

import numpy as np

from nova_bench.stats.intervals import MIN_CLUSTERS, ZERO, t_quantile
from nova_bench.stats.power import POWER

_LEAST = float(np.finfo(float).tiny)
"""Where rounding would put the limit of a difference that was told on 0."""


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
            model is hard for the other, so a real one is larger.
        range: The metric's lowest and highest value; None for unbounded.
        alpha: Of the test; with Holm's correction of K tests alpha / K is on the safe side.

    Returns:
        None with fewer than `nova_bench.stats.MIN_CLUSTERS` clusters, or where no difference, however large, would be shown.

    >>> round(detectable_difference(0.03, 200), 3), round(detectable_difference(0.03, 200, correlation=0.6), 3)
    (0.119, 0.075)
    """
    if n_clusters < MIN_CLUSTERS:
        return None
    width = math.nan if range is None else range[1] - range[0]
    both = np.full((1, 1), s * math.sqrt(2 * (1 - correlation)))
    c = np.full((1, 1), n_clusters)
    found = float(conclude(np.zeros((1, 1)), both, c, c, width, alpha)[3][0, 0])
    return None if math.isnan(found) else found


def conclude(
    value: np.ndarray, s: np.ndarray, c: np.ndarray, m: np.ndarray, width: float, alpha: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return low, high, p and detectable of differences; NaN where s is, and detectable where no difference could be shown.

    Args:
        value: float array (...), D.
        s: float array (...), their standard errors.
        c: int array (...), clusters.
        m: int array (...), clusters that differ.
        width: W; NaN for an unbounded metric, of which nothing is known beyond what was seen.
        alpha: 1 - the coverage.
    """
    import scipy.special

    c = np.maximum(c, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        has_none = s <= ZERO * np.abs(value)  # rounding leaves a little of a spread of 0
        p = np.maximum(
            2 * scipy.special.stdtr(c - 1, np.where(value == 0, 0.0, -np.abs(value) / s)), sign_test(m)
        )
        # p of 1: two clusters or fewer, about which nothing is said
        s = np.where(
            has_none & (value != 0),
            -np.abs(value) / scipy.special.stdtrit(c - 1, np.minimum(p, 0.999) / 2),
            s,
        )
    p = np.where(np.isnan(s), np.nan, p)
    f = c / np.maximum(c - 1, 1)
    squares = s**2 / f + value**2 / c
    total = np.maximum(np.sqrt(squares * m), np.abs(value))
    one = 0.0 if math.isnan(width) else width / c
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = (squares + one**2) / (total + one)
    unit = np.where(total + one > 0, unit, 0.0)

    def reach(k: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Return the largest x with ``x^2 <= k^2 (s^2 + f u max(start + x - T, 0))``."""
        slope = k * k * f * unit
        beyond = slope**2 + 4 * k * k * (s**2 + f * unit * (start - total))
        root = (slope + np.sqrt(np.maximum(beyond, 0.0))) / 2
        return np.asarray(np.where((beyond >= 0) & (root >= total - start), np.maximum(root, k * s), k * s))

    q = t_quantile(c - 1, 1 - alpha / 2)
    low, high = value - reach(q, -value), value + reach(q, value)
    is_open = p >= alpha  # 0 is inside: where the sign test decides, and where rounding would
    low, high = np.where(is_open, np.minimum(low, 0.0), low), np.where(is_open, np.maximum(high, 0.0), high)
    near = np.sign(value) * np.maximum(np.abs(value) - q * s, _LEAST)
    low = np.where(~is_open & (value > 0) & (low <= 0), near, low)
    high = np.where(~is_open & (value < 0) & (high >= 0), near, high)
    if not math.isnan(width):
        low, high = np.maximum(low, -width), np.minimum(high, width)
    k = q + float(scipy.special.ndtri(POWER))
    detectable = np.where(~is_open & (k * s <= total), k * s, reach(k, np.zeros_like(value)))
    if not math.isnan(width):  # what was told cannot be out of reach
        detectable = np.where(~is_open, np.minimum(detectable, width), detectable)
    is_none = (sign_test(c) >= alpha) | (
        detectable > width
    )  # an unbounded metric's width is NaN, which nothing exceeds
    return low, high, p, np.where(is_none, np.nan, detectable)


def sign_test(m: np.ndarray | int) -> np.ndarray:
    """Return the two-sided p-value of m clusters that all lean one way, the smallest that m clusters can have."""
    return np.minimum(1.0, 2.0 ** (1.0 - np.asarray(m)))
