"""How far groups lie apart, and what of a score is left when that is charged: formulas over the last axis of an array.

Everything here is vectorised, so that a value, two thousand draws of it and a grid of either are one call. The same formulas on
mappings of names are the public functions of `nova_bench.metrics.fairness`.

    wmean   sum_g w_g M_g
    wstd    sqrt(sum_g w_g (M_g - wmean)^2)
    wmad    sum_g w_g |M_g - wmean|
    max     max_g |M_g - wmean|
    std     sqrt(mean_g (M_g - mean M)^2)
    gap     max_g M_g - min_g M_g
    total   sum_g |M_g - M|, M the score over everybody

Sources: `std` to `total` FairCLIP (Luo et al. 2024, arXiv 2403.19949); the deviations are this project's members of FMBench's
family (arXiv 2410.01089), whose norm the paper does not state.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

DEVIATIONS: tuple[str, ...] = ("wstd", "wmad", "max")
"""The norms that D of the FAP family can have."""
WEIGHTS: tuple[str, ...] = ("size", "uniform")
"""The weights that groups can have: by their number of samples, or all the same."""

Spread = Callable[[np.ndarray], np.ndarray]
"""From values (..., G) to a number each (...); adding a constant to all G changes nothing, a factor is a factor."""


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return wmean.

    Args:
        values: float array (..., G).
        weights: float array (G,), adding up to 1.

    >>> float(weighted_mean(np.array([0.5, 1.0]), np.array([0.75, 0.25])))
    0.625
    """
    return np.asarray((values * weights).sum(axis=-1))


def deviation_of(name: str, weights: np.ndarray) -> Spread:
    """Return D, one of `DEVIATIONS`, for groups with these weights.

    Args:
        name: ``wstd``, ``wmad`` or ``max``.
        weights: float array (G,), adding up to 1.

    >>> [round(float(deviation_of(name, np.array([0.75, 0.25]))(np.array([0.5, 1.0]))), 4) for name in DEVIATIONS]
    [0.2165, 0.1875, 0.375]
    """

    def off(values: np.ndarray) -> np.ndarray:
        return np.asarray(values - weighted_mean(values, weights)[..., None])

    if name == "wstd":
        return lambda values: np.sqrt(weighted_mean(off(values) ** 2, weights))
    if name == "wmad":
        return lambda values: weighted_mean(np.abs(off(values)), weights)
    if name == "max":
        return lambda values: np.asarray(np.abs(off(values)).max(axis=-1))
    raise ValueError(f"deviation {name!r}, expected one of {', '.join(DEVIATIONS)}")


def gap_of(values: np.ndarray) -> np.ndarray:
    """Return the largest minus the smallest value, of float array (..., G)."""
    return np.asarray(values.max(axis=-1) - values.min(axis=-1))


def standard_deviation(values: np.ndarray) -> np.ndarray:
    """Return the standard deviation over groups, each counting the same, of float array (..., G); divided by G, not G - 1."""
    return np.asarray(values.std(axis=-1))


def total_deviation(values: np.ndarray) -> np.ndarray:
    """Return sum_g |M_g - M| of float array (..., G + 1) whose last entry is M, the score over everybody."""
    return np.asarray(np.abs(values[..., :-1] - values[..., -1:]).sum(axis=-1))


def equity_scale(overall: np.ndarray, total: np.ndarray, alpha: float) -> np.ndarray:
    """Return ES = M / (1 + alpha * sum_g |M_g - M|), from M and `total_deviation`."""
    return np.asarray(overall / (1 + alpha * total))
