"""The numbers made of several groups: wmean, gap, worst, ratio, std, D, FAP and ES, each with its interval.

Everything here is on the common scale of `nova_bench.stats.groups.Scale`, higher being better; `nova_bench.stats.compare` carries it
back. Which interval belongs to which number, and how often it covers, is in ``docs/fairness_statistics.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nova_bench.stats.intervals import MIN_CLUSTERS, ZERO, limits, t_quantile
from nova_bench.stats.inversion import invert, standard_draws, t_noise
from nova_bench.stats.moderation import combined_df, moderated, moderated_df
from nova_bench.stats.mover import Part, penalised
from nova_bench.stats.projection import (
    FLOOR,
    Levels,
    gap_interval,
    max_deviation_interval,
    ratio_interval,
    worst_interval,
)
from nova_bench.stats.resampling import keyed_generator
from nova_bench.stats.results import Bounded
from nova_bench.stats.settings import Settings
from nova_bench.stats.spreads import (
    Spread,
    deviation_of,
    equity_scale,
    gap_of,
    standard_deviation,
    total_deviation,
    weighted_mean,
)


@dataclass(frozen=True, eq=False)
class Composites:
    """Composites of the groups that take part, at least two."""

    attribute: str
    names: tuple[str, ...]
    levels: Levels
    weights: np.ndarray
    """Float array (G,), w_g, adding up to 1 and fixed in all errors."""
    overall: Part
    """The score over everybody, groups that do not take part and unknown ones among them; limits NaN where there are none."""
    shares: np.ndarray
    """Float array (G,), what part of the pooled score each group is; up to 1."""
    rest: int
    """Patients behind the remainder."""
    settings: Settings

    @cached_property
    def reason(self) -> str | None:
        """Why there are no intervals, None if there are."""
        for name, s, clusters in zip(self.names, self.levels.s, self.levels.clusters, strict=True):
            if clusters < MIN_CLUSTERS:
                return f"no interval: group {name!r} has {clusters} patients, fewer than {MIN_CLUSTERS}"
            if math.isnan(s):
                return f"no interval: group {name!r} has no standard error"
        return None

    @cached_property
    def variance(self) -> np.ndarray:
        """Float array (G,), moderated."""
        return moderated(self.levels.s**2, self.levels.clusters)

    @cached_property
    def draws(self) -> np.ndarray:
        """What noise is made of, the same for all metrics and models."""
        return standard_draws(self.attribute, self.names, seed=self.settings.seed)

    @cached_property
    def noise(self) -> np.ndarray:
        """Float array (draws, G), E."""
        return t_noise(self.draws, self.variance, self.levels.clusters)

    @property
    def is_noiseless(self) -> bool:
        """Whether no group shows any variation."""
        return bool((self.variance <= ZERO**2).all())

    @cached_property
    def with_overall(self) -> tuple[np.ndarray, np.ndarray]:
        """Values (G + 1,) and noise (draws, G + 1) with the score over everybody as the last, whose noise is that of its parts."""
        noise = self.noise @ self.shares
        remainder = 1 - self.shares.sum()
        if remainder > ZERO and self.rest:
            weight = self.levels.clusters - 1
            pooled = (weight * self.levels.clusters * self.levels.s**2).sum() / weight.sum()
            generator = keyed_generator(self.settings.seed, ("noise", self.attribute))
            half = remainder * math.sqrt(pooled / self.rest) * generator.normal(size=len(noise) // 2)
            noise = noise + np.concatenate([half, -half])
        values = np.append(self.levels.values, self.overall.value)
        return values, np.concatenate([self.noise, noise[:, None]], axis=1)

    @property
    def wmean_value(self) -> float:
        """The weighted mean."""
        return float(weighted_mean(self.levels.values, self.weights))

    @cached_property
    def wmean(self) -> Bounded:
        """The weighted mean, +- t sqrt(sum w^2 s^2) with Welch's degrees of freedom."""
        value = self.wmean_value
        if self.reason:
            return Bounded(value, note=self.reason)
        parts = self.weights**2 * self.levels.s**2
        error = math.sqrt(parts.sum())
        if error <= ZERO:  # as for one group: Wilson's interval with the number of patients
            clusters = np.asarray(self.levels.clusters.sum())
            low, high = limits(
                np.asarray(value),
                np.asarray(0.0),
                clusters,
                1 - self.settings.alpha / 2,
                bounded=self.levels.bounded,
            )
            return Bounded(value, low=float(low), high=float(high))
        half = float(
            t_quantile(combined_df(parts, self.levels.clusters - 1), 1 - self.settings.alpha / 2) * error
        )
        if not self.levels.bounded:
            return Bounded(value, low=value - half, high=value + half)
        return Bounded(value, low=max(value - half, min(0.0, value)), high=min(value + half, max(1.0, value)))

    @cached_property
    def gap(self) -> Bounded:
        """Largest minus smallest value; interval by projection, correction and floor by inversion."""
        value = float(gap_of(self.levels.values))
        if self.reason:
            return Bounded(value, note=self.reason)
        low, high = gap_interval(self.levels, self.levels, self.settings.alpha)
        found = invert(gap_of, self.levels.values, 0.0, self.noise, self.settings.alpha)
        corrected = value if self.is_noiseless else found.corrected
        return Bounded(value, corrected, found.floor, low, self._at_most(high, value))

    @cached_property
    def worst(self) -> Bounded:
        """The smallest value; the floor is what it would be on average if all groups were equal."""
        value = float(self.levels.values.min())
        if self.reason:
            return Bounded(value, note=self.reason)
        low, high = worst_interval(self.levels, self.settings.alpha)
        floor = self.wmean_value + float(self.noise.min(axis=1).mean())
        return Bounded(value, None, floor, min(low, value), max(high, value))

    @cached_property
    def ratio(self) -> Bounded:
        """Smallest over largest value; floor as for the worst."""
        if not self.levels.bounded:
            return Bounded(None, note="undefined: the metric has no range, so no zero to take a ratio from")
        smallest, largest = float(self.levels.values.min()), float(self.levels.values.max())
        if largest <= 0:
            return Bounded(None, note="undefined: every group stands at the worst possible value")
        if smallest < 0:
            return Bounded(None, note="undefined: a value lies outside the metric's declared range")
        value = smallest / largest
        if self.reason:
            return Bounded(value, note=self.reason)
        low, high = ratio_interval(self.levels, self.settings.alpha)
        equal = np.clip(self.wmean_value + self.noise, FLOOR, 1.0)
        floor = float((equal.min(axis=1) / equal.max(axis=1)).mean())
        return Bounded(value, None, floor, min(low, value), max(high, value))

    @cached_property
    def std(self) -> Bounded:
        """The standard deviation over groups."""
        return self._inverted(standard_deviation, self.levels.values, self.noise, 0.5)

    @cached_property
    def deviation(self) -> Bounded:
        """D: by inversion; the largest deviation by its contrasts."""
        spread = deviation_of(self.settings.deviation, self.weights)
        largest = self.settings.deviation == "max"
        found = self._inverted(spread, self.levels.values, self.noise, 1.0 if largest else 0.5)
        if not largest or found.note:
            return found
        low, high = max_deviation_interval(
            self.levels.values,
            self.weights,
            self.variance,
            moderated_df(self.levels.clusters),
            self.settings.alpha,
        )
        assert found.value is not None  # the groups' values are finite
        return Bounded(found.value, found.corrected, found.floor, low, self._at_most(high, found.value))

    @cached_property
    def fap(self) -> Bounded:
        """FAP = wmean - lambda D: MOVER around the corrected D."""
        lam, d, mean = self.settings.lam, self.deviation, self.wmean
        assert mean.value is not None  # the groups' values are finite
        assert d.value is not None
        value = mean.value - lam * d.value
        parts = part_of(mean), part_of(d)
        if parts[0] is None or parts[1] is None:
            return Bounded(value, note=d.note or mean.note)
        low, high = penalised(parts[0], parts[1].times(lam))
        floor = None if d.floor is None else mean.value - lam * d.floor
        return Bounded(value, mean.value - lam * parts[1].value, floor, min(low, value), max(high, value))

    @cached_property
    def total(self) -> Bounded:
        """sum_g |M_g - M|, M the score over everybody."""
        if math.isnan(self.overall.value):
            return Bounded(None, note="undefined: so is the score over everybody")
        values, noise = self.with_overall if not self.reason else (self.overall_values, self.draws[0])
        return self._inverted(total_deviation, values, noise, float(len(self.names)))

    @property
    def overall_values(self) -> np.ndarray:
        """Float array (G + 1,), the groups' values and that over everybody."""
        return np.append(self.levels.values, self.overall.value)

    @cached_property
    def es(self) -> Bounded:
        """ES = M / (1 + alpha sum_g |M_g - M|): MOVER on log M - log(1 + alpha total)."""
        if not self.levels.bounded:
            return Bounded(None, note="undefined: the metric has no range, so the charge has no scale")
        total, alpha = self.total, self.settings.es_alpha
        if total.value is None:
            return Bounded(None, note=total.note)
        value = _es(self.overall.value, total.value, alpha)
        spread = part_of(total)
        if spread is None or math.isnan(self.overall.low):
            return Bounded(value, note=total.note or "no interval: the score over everybody has none")
        corrected = _es(self.overall.value, spread.value, alpha)
        floor = None if total.floor is None else _es(self.overall.value, total.floor, alpha)
        if self.overall.value <= ZERO:  # no logarithm; ES is at most M
            return Bounded(value, corrected, floor, min(0.0, value), self.overall.high)
        level = Part(*(math.log(max(each, ZERO)) for each in self.overall))
        charge = Part(*(math.log1p(alpha * each) for each in spread))
        low, high = (math.exp(end) for end in penalised(level, charge))
        return Bounded(value, corrected, floor, min(low, value), max(high, value))

    def _inverted(self, spread: Spread, values: np.ndarray, noise: np.ndarray, factor: float) -> Bounded:
        """Return a spread with its interval; where there is no pattern its upper limit is that of the gap times a factor."""
        value = float(spread(values))
        if self.reason:
            return Bounded(value, note=self.reason)
        found = invert(spread, values, 0.0, noise, self.settings.alpha)
        high = found.high
        if high is None:
            assert self.gap.high is not None  # there is no reason against intervals
            high = max(factor * self.gap.high, value)
        elif self.is_noiseless:
            return Bounded(
                value, value, 0.0, note="no interval: no group shows any variation between its patients"
            )
        return Bounded(value, found.corrected, found.floor, found.low, high)

    def _at_most(self, high: float, value: float) -> float:
        """Return an upper limit of a distance, no larger than the range and no smaller than the value."""
        return max(min(high, 1.0), value) if self.levels.bounded else high


def part_of(bounded: Bounded) -> Part | None:
    """Return the corrected value (the value itself where there is no correction) with its limits."""
    value = bounded.value if bounded.corrected is None else bounded.corrected
    if value is None or bounded.low is None or bounded.high is None:
        return None
    return Part(value, bounded.low, bounded.high)


def _es(overall: float, total: float, alpha: float) -> float:
    return float(equity_scale(np.asarray(overall), np.asarray(total), alpha))
