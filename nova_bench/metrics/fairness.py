"""Fairness of a score over groups of patients: pure functions from group to number.

`scores` maps each group to its score, `counts` to its number of samples. These are the definitions; what noise does to them, and
the intervals, is in `nova_bench.stats` (``docs/fairness_statistics.md``), which computes with the same formulas.

FMBench (arXiv 2410.01089) reports *fairness-aware performance*: the weighted mean of the groups' scores less lambda times their
deviation from it. The paper states neither weights nor norm nor lambda, so this is a family, and a number carries its member's name:
``fap(lambda=1,dev=wstd,w=size)``. FairCLIP (Luo et al. 2024, arXiv 2403.19949) reports *equity-scaled* scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from nova_bench.errors import UnknownNameError, UsageError
from nova_bench.stats.spreads import (
    DEVIATIONS,
    WEIGHTS,
    deviation_of,
    equity_scale,
    gap_of,
    total_deviation,
    weighted_mean,
)

__all__ = ["equity_scaled", "fap", "gap", "ratio", "worst"]


def fap(
    scores: Mapping[str, float],
    counts: Mapping[str, float],
    *,
    lam: float = 1.0,
    deviation: str = "wstd",
    weights: str = "size",
) -> float:
    """Return fairness-aware performance, ``wmean - lam * D``.

    ``wmean = sum_g w_g M_g`` with ``w_g = n_g / n`` (``size``) or ``1 / G`` (``uniform``); D is ``wstd = sqrt(sum_g w_g (M_g -
    wmean)^2)``, ``wmad = sum_g w_g |M_g - wmean|`` or ``max = max_g |M_g - wmean|``. Equals the weighted mean where all groups
    score the same, where there is one group, and with ``lam=0``; on the scale of the scores, and below 0 where D is large. For
    scores of which the lower is better, charge the other way: ``-fap`` of the negated scores.

    Args:
        scores: Group to score M_g, higher is better.
        counts: Group to number of samples n_g; the same groups. A group without samples has no weight under ``size``.
        lam: lambda, at least 0.
        deviation: ``wstd``, ``wmad`` or ``max``.
        weights: ``size`` or ``uniform``.

    Raises:
        UsageError: No groups; other groups in `counts` than in `scores`; a score that is not finite; a count that is negative,
            not finite, or all of them 0; lambda negative or not finite.
        UnknownNameError: No such deviation or weights.

    Source: FMBench, arXiv 2410.01089 (two terms, deviation from the weighted mean, a coefficient lambda); the norms, the weights
    and ``lam=1`` are this project's.

    >>> round(fap({"asian": 0.5, "white": 0.7}, {"asian": 100, "white": 300}), 4)
    0.5634
    >>> round(fap({"asian": 0.5, "white": 0.7}, {"asian": 100, "white": 300}, deviation="max", weights="uniform"), 4)
    0.5
    """
    values = _values(scores)
    numbers = _counts(scores, counts)
    if not (math.isfinite(lam) and lam >= 0):
        raise UsageError(
            f"lambda is {lam}, expected a finite number of at least 0: a negative one rewards unfairness"
        )
    if deviation not in DEVIATIONS:
        raise UnknownNameError("deviation", deviation, DEVIATIONS)
    if weights not in WEIGHTS:
        raise UnknownNameError("weights", weights, WEIGHTS)
    shares = (
        numbers / numbers.sum() if weights == "size" else np.full(len(values), 1 / len(values), dtype=float)
    )
    return float(weighted_mean(values, shares) - lam * deviation_of(deviation, shares)(values))


def equity_scaled(overall: float, scores: Mapping[str, float], *, alpha: float = 1.0) -> float:
    """Return the equity-scaled score, ``M / (1 + alpha * sum_g |M_g - M|)``.

    The sum is not weighted: each group counts the same, and more groups charge more. Equals M where all groups score M.

    Args:
        overall: M, the score on all samples pooled (not the mean of the groups' scores).
        scores: Group to score M_g.
        alpha: At least 0.

    Raises:
        UsageError: No groups, a score that is not finite, `alpha` negative or not finite.

    Source: FairCLIP, Luo et al. 2024, arXiv 2403.19949, whose table has this example.

    >>> round(equity_scaled(0.6902, {"asian": 0.7242, "black": 0.7078, "white": 0.6741}), 4)
    0.6464
    """
    values = _values(scores)
    if not math.isfinite(overall):
        raise UsageError(f"the overall score is {overall}, expected a finite number")
    if not (math.isfinite(alpha) and alpha >= 0):
        raise UsageError(f"alpha is {alpha}, expected a finite number of at least 0")
    return float(equity_scale(np.asarray(overall), total_deviation(np.append(values, overall)), alpha))


def worst(scores: Mapping[str, float], *, higher_is_better: bool = True) -> float:
    """Return the score of the group that is worst off.

    Args:
        scores: Group to score.
        higher_is_better: Direction; False gives the largest score.

    Raises:
        UsageError: No groups, or a score that is not finite.

    >>> worst({"asian": 0.5, "white": 0.7}), worst({"asian": 0.5, "white": 0.7}, higher_is_better=False)
    (0.5, 0.7)
    """
    values = _values(scores)
    return float(values.min() if higher_is_better else values.max())


def gap(scores: Mapping[str, float]) -> float:
    """Return the largest score minus the smallest, at least 0, in the score's units; 0 with one group.

    Args:
        scores: Group to score.

    Raises:
        UsageError: No groups, or a score that is not finite.

    >>> round(gap({"asian": 0.5, "black": 0.6, "white": 0.7}), 4)
    0.2
    """
    return float(gap_of(_values(scores)))


def ratio(scores: Mapping[str, float]) -> float:
    """Return the smallest score over the largest, between 0 and 1; NaN where all scores are 0.

    Args:
        scores: Group to score, at least 0.

    Raises:
        UsageError: No groups, or a score that is negative or not finite.

    >>> ratio({"asian": 0.5, "white": 0.8}), ratio({"asian": 0.0, "white": 0.0})
    (0.625, nan)
    """
    values = _values(scores)
    for name, value in scores.items():
        if value < 0:
            raise UsageError(f"group {name!r} has the score {value}; a ratio needs scores of at least 0")
    return float(values.min() / values.max()) if values.max() > 0 else math.nan


def _values(scores: Mapping[str, float]) -> np.ndarray:
    """Return the scores as float array (G,)."""
    if not scores:
        raise UsageError("there are no groups: expected a mapping from each group to its score")
    for name, value in scores.items():
        if value is None or not math.isfinite(value):  # None is what reports print for undefined
            raise UsageError(
                f"group {name!r} has the score {value}, expected a finite number; leave groups without a score out"
            )
    return np.array([scores[name] for name in sorted(scores)], dtype=float)


def _counts(scores: Mapping[str, float], counts: Mapping[str, float]) -> np.ndarray:
    """Return the counts as float array (G,), in the order of `_values`."""
    if set(scores) != set(counts):
        without, over = sorted(set(scores) - set(counts)), sorted(set(counts) - set(scores))
        raise UsageError(
            f"scores and counts are not about the same groups: no count for {without}, no score for {over}; leave out of both "
            "what one lacks"
        )
    for name, count in counts.items():
        if not (math.isfinite(count) and count >= 0):
            raise UsageError(f"group {name!r} has the count {count}, expected a finite number of at least 0")
    if not any(counts.values()):
        raise UsageError("all counts are 0: groups without samples have no scores")
    return np.array([counts[name] for name in sorted(scores)], dtype=float)
