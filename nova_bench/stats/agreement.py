"""How far raters agree beyond chance: percent, Cohen's kappa, Krippendorff's alpha, each with an interval over clusters.

Ratings are numbers, one line a unit and one column a rater; NaN is a missing rating. Labels are numbered first (`codes_of`). Every
coefficient is a function of sums over units, so a resample of clusters is one matrix product. The resamples give a standard error only;
the interval is Wilson's with the effective size, on -1 to 1 for the chance-corrected ones (`nova_bench.stats.intervals`). Where no two
ratings differ no resample differs either: the lower limit is then the coefficient that the lower limit of the percentage would have.

Sources: Cohen 1960, Educ. Psychol. Meas. 20:37; Cohen 1968, Psychol. Bull. 70:213 (weights); Krippendorff 2011, Computing
Krippendorff's Alpha-Reliability.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from nova_bench.errors import UsageError
from nova_bench.stats.estimates import Estimate, undefined_note
from nova_bench.stats.intervals import MIN_CLUSTERS, interval
from nova_bench.stats.resampling import (
    RESAMPLES,
    bootstrap_standard_error,
    influence_standard_error,
    iterate_weights,
    ratio_influence,
)

LEVELS = ("nominal", "ordinal", "interval")
"""Levels of measurement: labels; ranks; numbers whose differences count."""
WEIGHTS = (None, "linear", "quadratic")
"""Of Cohen's kappa: every disagreement alike, by the distance of the categories, by its square."""
MAX_VALUES = 100
"""Different values that a nominal or ordinal coefficient takes; more are measurements, for ``interval``."""
RARE = 10
"""With fewer clusters that hold another than the commonest value a note warns of the interval."""

_CHUNK = 2**22  # numbers held at once, 32 MB


def codes_of(labels: Sequence[Hashable | None]) -> np.ndarray:
    """Return labels as numbers: 0, 1, ... in their sorted order (by type and text where they cannot be compared); None is NaN.

    >>> codes_of(["wrong", "right", None, "wrong"]).tolist()
    [1.0, 0.0, nan, 1.0]
    """
    known = sorted(
        {label for label in labels if label is not None}, key=lambda label: (str(type(label)), str(label))
    )
    place = {label: float(i) for i, label in enumerate(known)}
    return np.array([math.nan if label is None else place[label] for label in labels])


def percent_agreement(
    ratings: np.ndarray, *, clusters: np.ndarray | None = None, alpha: float = 0.05
) -> Estimate:
    """Return the share of pairs of raters that agree, averaged over the units with at least two ratings.

    Args:
        ratings: float array (n, raters); NaN is missing.
        clusters: (n,), whose units resemble each other; None: every unit is one.
        alpha: 1 - the coverage.

    >>> percent_agreement(np.array([[1.0, 1], [2, 2], [3, 3], [1, 2]])).value
    0.75
    """
    ratings, codes, n_clusters = _checked(ratings, clusters)
    if not len(ratings):
        return _NOTHING
    given = (~np.isnan(ratings)).sum(axis=1)
    same = np.zeros(len(ratings))
    for i in range(ratings.shape[1]):
        for j in range(i):
            same += ratings[:, i] == ratings[:, j]
    value, influence = ratio_influence(
        same / (given * (given - 1) / 2), np.ones(len(ratings)), codes, n_clusters
    )
    s = influence_standard_error(influence, n_clusters)
    low, high, note = interval(value, s, n_clusters, alpha=alpha)
    return Estimate(value, None if math.isnan(s) else s, low, high, n_clusters, note)


def cohen_kappa(
    one: np.ndarray,
    other: np.ndarray,
    *,
    weights: str | None = None,
    categories: Sequence[float] | None = None,
    clusters: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    alpha: float = 0.05,
) -> Estimate:
    """Return Cohen's kappa of two raters, over the units that both rated: 1 - observed / expected disagreement.

    The distance of two categories is that of their places among the categories. Undefined where both gave one and the same value
    throughout: chance alone explains that.

    Args:
        one: float array (n,); NaN is missing.
        other: float array (n,).
        weights: One of `WEIGHTS`.
        categories: All categories in their order; None takes those that occur. With weights say them: one that nobody gave still
            stands between two others.
        clusters: As for `percent_agreement`.
        resamples: Of the cluster bootstrap.
        seed: Of the cluster bootstrap.
        alpha: 1 - the coverage.

    Raises:
        UsageError: Weights that do not exist, a value outside the categories, or too many categories.

    >>> yes, no = 1.0, 0.0
    >>> one = np.repeat([yes, yes, no, no], [20, 5, 10, 15])
    >>> other = np.repeat([yes, no, yes, no], [20, 5, 10, 15])
    >>> round(cohen_kappa(one, other).value, 12)
    0.4
    """
    if weights not in WEIGHTS:
        raise UsageError(f"weights of kappa are {weights!r}; expected None, 'linear' or 'quadratic'")
    ratings, codes, n_clusters = _checked(np.column_stack([one, other]), clusters)
    if not len(ratings):
        return _NOTHING
    values = np.unique(ratings) if categories is None else np.asarray(categories, dtype=np.float64)
    _check_number(values)
    if strange := set(np.unique(ratings).tolist()) - set(values.tolist()):
        raise UsageError(f"rating {min(strange):g} is none of the {len(values)} categories")
    order = np.argsort(values)
    places = order[np.searchsorted(values[order], ratings)]
    k = len(values)
    sums = _counts(places[:, 0] * k + places[:, 1], np.ones(len(places)), codes, n_clusters, k * k)
    apart = np.abs(np.subtract.outer(np.arange(k), np.arange(k))).astype(np.float64)
    cost = (apart > 0).astype(np.float64) if weights is None else apart if weights == "linear" else apart**2

    def kappa(total: np.ndarray) -> np.ndarray:
        seen = total.reshape(-1, k, k)
        n = seen.sum(axis=(1, 2))
        expected = np.einsum("bi,bj,ij->b", seen.sum(axis=2), seen.sum(axis=1), cost) / n
        return _one_less((seen * cost).sum(axis=(1, 2)), expected)

    return _estimate(kappa, sums, ratings, codes, n_clusters, resamples, seed, ("kappa",), alpha)


def krippendorff_alpha(
    ratings: np.ndarray,
    *,
    level: str = "nominal",
    clusters: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    alpha: float = 0.05,
) -> Estimate:
    """Return Krippendorff's alpha: 1 - observed / expected disagreement, for any number of raters and with missing ratings.

    A unit with fewer than two ratings is left out. Undefined where all ratings are one value.

    Args:
        ratings: float array (n, raters); NaN is missing.
        level: One of `LEVELS`.
        clusters: As for `percent_agreement`.
        resamples: Of the cluster bootstrap.
        seed: Of the cluster bootstrap.
        alpha: 1 - the coverage.

    Raises:
        UsageError: A level that does not exist, or too many values for it.

    >>> x = math.nan
    >>> round(krippendorff_alpha(np.array([[1.0, 1], [2, 2], [3, x], [1, 2]])).value, 12)
    0.444444444444
    """
    if level not in LEVELS:
        raise UsageError(f"level of measurement {level!r} not found; there is: {', '.join(LEVELS)}")
    ratings, codes, n_clusters = _checked(ratings, clusters)
    if not len(ratings):
        return _NOTHING
    made = (
        _of_moments(ratings, codes, n_clusters)
        if level == "interval"
        else _of_pairs(ratings, codes, n_clusters, level)
    )
    return _estimate(*made, ratings, codes, n_clusters, resamples, seed, ("alpha", level), alpha)


_Coefficient = Callable[[np.ndarray], np.ndarray]
_NOTHING = Estimate(None, None, None, None, 0, "undefined: no unit has two ratings")


def _of_moments(ratings: np.ndarray, codes: np.ndarray, n_clusters: int) -> tuple[_Coefficient, np.ndarray]:
    """Return alpha for numbers as a function of four sums a unit: squared differences need no table of all pairs of values."""
    given = (~np.isnan(ratings)).sum(axis=1)
    centred = ratings - np.nanmean(ratings)  # moments of large numbers would cancel
    first, second = np.nansum(centred, axis=1), np.nansum(centred**2, axis=1)
    observed = 2 * (given * second - first**2) / (given - 1)
    units = np.stack([given, first, second, observed], axis=1).astype(np.float64)
    sums = np.stack([np.bincount(codes, column, n_clusters) for column in units.T], axis=1)

    def coefficient(total: np.ndarray) -> np.ndarray:
        n, one, two, seen = total.T
        with np.errstate(divide="ignore", invalid="ignore"):
            return _one_less(seen, 2 * (n * two - one**2) / (n - 1))

    return coefficient, sums


def _of_pairs(
    ratings: np.ndarray, codes: np.ndarray, n_clusters: int, level: str
) -> tuple[_Coefficient, np.ndarray]:
    """Return alpha for labels or ranks as a function of the coincidences of each pair of values."""
    values = np.unique(ratings[~np.isnan(ratings)])
    _check_number(values)
    k = len(values)
    places = np.searchsorted(values, ratings)
    given = (~np.isnan(ratings)).sum(axis=1)
    sums = np.zeros((n_clusters, k * k))
    for i in range(ratings.shape[1]):
        for j in range(ratings.shape[1]):
            both = np.flatnonzero(~np.isnan(ratings[:, i]) & ~np.isnan(ratings[:, j])) if i != j else ()
            if len(both):
                pair = places[both, i] * k + places[both, j]
                sums += _counts(pair, 1 / (given[both] - 1), codes[both], n_clusters, k * k)

    def coefficient(total: np.ndarray) -> np.ndarray:
        seen = total.reshape(-1, k, k)
        each = seen.sum(axis=2)
        n = each.sum(axis=1)
        if level == "nominal":
            cost = np.broadcast_to(1 - np.eye(k), seen.shape)
        else:
            middle = np.cumsum(each, axis=1) - each / 2
            cost = (middle[:, :, None] - middle[:, None, :]) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = np.einsum("bi,bj,bij->b", each, each, cost) / (n - 1)
        return _one_less((seen * cost).sum(axis=(1, 2)), expected)

    return coefficient, sums


def _checked(ratings: np.ndarray, clusters: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the units with at least two ratings, the cluster of each from 0, and the number of clusters."""
    ratings = np.asarray(ratings, dtype=np.float64)
    if ratings.ndim != 2 or ratings.shape[1] < 2:
        raise UsageError(
            f"ratings have shape {ratings.shape}; expected (units, raters) with two raters or more"
        )
    if np.isinf(ratings).any():
        raise UsageError("a rating is infinite; expected finite numbers, NaN where one is missing")
    kept = (~np.isnan(ratings)).sum(axis=1) >= 2
    if clusters is None:
        return ratings[kept], np.arange(int(kept.sum())), int(kept.sum())
    if len(clusters) != len(ratings):
        raise UsageError(f"{len(clusters)} clusters for {len(ratings)} units; expected one a unit")
    names, codes = np.unique(np.asarray(clusters)[kept].astype(str), return_inverse=True)
    return ratings[kept], codes, len(names)


def _check_number(values: np.ndarray) -> None:
    if len(values) > MAX_VALUES:
        raise UsageError(
            f"{len(values)} different values are too many for labels or ranks; use level='interval'"
        )


def _counts(
    cells: np.ndarray, amounts: np.ndarray, codes: np.ndarray, n_clusters: int, n_cells: int
) -> np.ndarray:
    """Return (clusters, cells) the amounts of each cluster that fall on each cell."""
    return np.bincount(codes * n_cells + cells, amounts, n_clusters * n_cells).reshape(n_clusters, n_cells)


def _one_less(observed: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return 1 - observed / expected disagreement; NaN where none is expected."""
    # What rounding leaves of an expected disagreement of 0 is no disagreement.
    known = expected > 1e-12 * np.maximum(observed, 1e-12)
    return np.asarray(1 - np.divide(observed, expected, out=np.full(observed.shape, math.nan), where=known))


def _estimate(
    coefficient: _Coefficient,
    sums: np.ndarray,
    ratings: np.ndarray,
    codes: np.ndarray,
    n_clusters: int,
    resamples: int,
    seed: int,
    key: tuple[str, ...],
    alpha: float,
) -> Estimate:
    value = float(coefficient(sums.sum(axis=0)[None])[0])
    if math.isnan(value):
        return Estimate(
            None, None, None, None, n_clusters, "undefined: all ratings are one and the same value"
        )
    if (np.nanmax(ratings, axis=1) == np.nanmin(ratings, axis=1)).all():
        return _where_all_agree(ratings, codes, n_clusters, alpha)
    s, undefined = math.nan, 0.0
    if n_clusters >= MIN_CLUSTERS:
        chunk = max(1, _CHUNK // max(sums.shape[1], n_clusters))
        drawn = iterate_weights(n_clusters, resamples=resamples, seed=seed, key=key, chunk=chunk)
        s, undefined = bootstrap_standard_error(
            np.concatenate([coefficient(weights @ sums) for weights in drawn]), n_clusters
        )
    low, high, note = interval(value, s, n_clusters, range=(-1.0, 1.0), alpha=alpha)
    note = note or _rareness(ratings, codes)
    return Estimate(
        value, None if math.isnan(s) else s, low, high, n_clusters, undefined_note(undefined) or note
    )


def _rareness(ratings: np.ndarray, codes: np.ndarray) -> str | None:
    """Return the warning that nearly all ratings are one value: such intervals cover .73 to .85 where others cover .91 and more."""
    values, counts = np.unique(ratings[~np.isnan(ratings)], return_counts=True)
    other = ~np.isnan(ratings) & (ratings != values[np.argmax(counts)])
    n = len(np.unique(codes[other.any(axis=1)]))
    if n >= RARE:
        return None
    return f"only {n} cluster{'' if n == 1 else 's'} with another than the commonest value: the interval is too short"


def _where_all_agree(ratings: np.ndarray, codes: np.ndarray, n_clusters: int, alpha: float) -> Estimate:
    """Return 1 with the lower limit that the percentage of agreement implies at these shares of the values."""
    low, _, note = interval(1.0, 0.0, n_clusters, alpha=alpha)
    if low is None:
        return Estimate(1.0, 0.0, None, None, n_clusters, note)
    _, counts = np.unique(ratings[~np.isnan(ratings)], return_counts=True)
    by_chance = float(((counts / counts.sum()) ** 2).sum())
    return Estimate(1.0, 0.0, max(-1.0, 1 - (1 - low) / (1 - by_chance)), 1.0, n_clusters)
