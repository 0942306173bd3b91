"""Compares two models over the same patients: is the second one better, and is it fairer?

Lead with the test of whether the difference depends on the group: the interval of the difference of two gaps is honest and wide (a
power of .05 where the test's is .72). Models cannot be ranked by raw gap or FAP.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nova_bench.errors import UsageError
from nova_bench.stats.basis import Basis
from nova_bench.stats.compare import compare_groups
from nova_bench.stats.composites import Composites, part_of
from nova_bench.stats.estimates import same_lines
from nova_bench.stats.intervals import ZERO, t_quantile
from nova_bench.stats.inversion import chi_scale
from nova_bench.stats.models import model_difference
from nova_bench.stats.moderation import combined_df
from nova_bench.stats.mover import Part, difference
from nova_bench.stats.permutation import Terms, permutation_p_values
from nova_bench.stats.projection import Levels, gap_p_value, pairs
from nova_bench.stats.resampling import keyed_generator
from nova_bench.stats.results import Bounded, Comparison, Paired
from nova_bench.stats.scale import Scale, distance_back, stay_on_scale
from nova_bench.stats.spreads import deviation_of, equity_scale, total_deviation

BY_PERMUTATION = "group labels permuted over patients, on the paired difference"
BY_PROJECTION = "smallest alpha at which two groups' paired differences differ"


def compare_models(a: Comparison, b: Comparison) -> Paired:
    """Return the second model minus the first, on the samples that both answered.

    Differences are on the metric's own scale, b - a of the numbers of the two comparisons; where one model failed on samples that
    the other answered, of both on what is left, and a note says so.

    Args:
        a: The first model's comparison, of `compare_groups` or `compare_table`.
        b: The second's, of the same metric, attribute, settings and samples.

    Raises:
        UsageError: The two are not about the same metric, attribute, settings, samples, patients or groups.
    """
    if a.basis is None or b.basis is None:
        raise UsageError("a comparison without its basis cannot be paired; pair what compare_groups returned")
    _check_same(a, b)
    permutations = a.basis.settings.permutations
    a, b, common = _both_answered(a, b)
    first, second = a.basis, b.basis
    assert first is not None  # `_both_answered` returns what `compare_groups` made
    assert second is not None
    settings, metric = first.settings, first.metric
    one, other = (each.table.take(np.asarray(each.table.status != "failed")) for each in (first, second))
    found = model_difference(
        one,
        other,
        metric,
        resamples=settings.resamples,
        seed=settings.seed,
        alpha=settings.alpha,
    )
    overall = Bounded(found.value, low=found.low, high=found.high, note=found.note)
    reason = _reason(first.composites, second.composites)
    if reason is not None or first.composites is None or second.composites is None:
        none = Bounded(None, note=reason)
        return Paired(
            metric=a.metric,
            attribute=a.attribute,
            overall=overall,
            interaction_p=None,
            gap=none,
            worst=none,
            deviation=none,
            fap=none,
            es=none,
            worst_group_a=a.worst_group,
            worst_group_b=b.worst_group,
            note="; ".join(each for each in (reason, common) if each),
        )
    both = _Both(first, second, first.composites, second.composites)
    scale = first.scale
    gap, worst, deviation, fap, es = both.gap(), both.worst(), both.deviation(), both.fap(), both.es()
    return Paired(
        metric=a.metric,
        attribute=a.attribute,
        overall=overall,
        interaction_p=both.interaction(permutations),
        gap=distance_back(gap, scale),
        worst=_level_difference(worst, scale),
        deviation=distance_back(deviation, scale),
        fap=_level_difference(fap, scale),
        es=stay_on_scale(es, scale),
        worst_group_a=a.worst_group,
        worst_group_b=b.worst_group,
        test=BY_PROJECTION if first.terms is None else BY_PERMUTATION,
        note=common,
    )


def _check_same(a: Comparison, b: Comparison) -> None:
    """Raise where two comparisons are not about the same."""
    assert a.basis is not None  # the caller asked
    assert b.basis is not None
    for what, one, other in (
        ("metric", (a.metric, a.basis.metric.version), (b.metric, b.basis.metric.version)),
        ("attribute", a.attribute, b.attribute),
        ("settings", a.basis.settings, b.basis.settings),
    ):
        if one != other:
            raise UsageError(
                f"the two comparisons differ in {what}, {one} and {other}; make both with the same"
            )


def _both_answered(a: Comparison, b: Comparison) -> tuple[Comparison, Comparison, str | None]:
    """Return the comparisons over the lines that both answered, and the sentence that says so if some had to go."""
    assert a.basis is not None  # the caller asked
    assert b.basis is not None
    tables = same_lines(a.basis.table, b.basis.table)
    groups = [table.groups[a.attribute] for table in tables]
    if groups[0].tolist() != groups[1].tolist():
        raise UsageError(
            f"the two runs put the same samples into different groups of {a.attribute!r}; they were made from different data"
        )
    answered = [np.asarray(table.status != "failed") for table in tables]
    if np.array_equal(answered[0], answered[1]):
        return a, b, None
    common = answered[0] & answered[1]
    settings, metric = a.basis.settings, a.basis.metric
    again = [
        compare_groups(
            table.take(common),
            metric,
            a.attribute,
            lam=settings.lam,
            deviation=settings.deviation,
            weights=settings.weights,
            es_alpha=settings.es_alpha,
            min_patients=settings.min_patients,
            resamples=settings.resamples,
            permutations=settings.permutations,  # the test of the difference takes as many
            seed=settings.seed,
            alpha=settings.alpha,
        )
        for table in tables
    ]
    count = len(set(tables[0].id[common].tolist()))
    return (
        again[0],
        again[1],
        f"on the {count} of {len(set(tables[0].id.tolist()))} samples that both answered",
    )


def _reason(a: Composites | None, b: Composites | None) -> str | None:
    """Return why there are no differences of composites."""
    if a is None or b is None:
        return "fewer than 2 groups can be compared in both models"
    if a.names != b.names:
        return "not the same groups take part in both models"
    return a.reason or b.reason


@dataclass(frozen=True, eq=False)
class _Both:
    """Two models' values in the same groups, on the common scale, and how their errors go together."""

    first: Basis
    second: Basis
    a: Composites
    b: Composites

    @cached_property
    def correlation(self) -> np.ndarray:
        """Float array (G,), of the two models' errors within each group."""
        found = []
        for one, other in zip(self.first.errors, self.second.errors, strict=True):
            known = np.isfinite(one) & np.isfinite(other)
            one, other = one[known] - one[known].mean(), other[known] - other[known].mean()
            size = float(np.linalg.norm(one) * np.linalg.norm(other))
            found.append(float(one @ other) / size if size > 0 else 0.0)
        return np.asarray(np.clip(np.array(found), -1.0, 1.0))

    @cached_property
    def change(self) -> Levels:
        """The paired difference in each group."""
        s_a, s_b = self.a.levels.s, self.b.levels.s
        variance = np.maximum(s_a**2 + s_b**2 - 2 * self.correlation * s_a * s_b, 0.0)
        clusters = np.maximum(self.a.levels.clusters, self.b.levels.clusters)
        s = np.sqrt(variance)
        return Levels(
            self.b.levels.values - self.a.levels.values, np.where(s > ZERO, s, 0.0), clusters, False
        )

    @cached_property
    def noise(self) -> tuple[np.ndarray, np.ndarray]:
        """Two float arrays (draws, G): E of both models, t with the correlation within each group."""
        draws = self.a.draws
        second = self.correlation * draws[0] + np.sqrt(1 - self.correlation**2) * draws[1]
        return (
            draws[0] * np.sqrt(self.a.variance) / chi_scale(draws, self.a.levels.clusters),
            second * np.sqrt(self.b.variance) / chi_scale(draws, self.b.levels.clusters),
        )

    @property
    def _alpha(self) -> float:
        return self.first.settings.alpha

    def interaction(self, permutations: int) -> float | None:
        """Return the p-value of "the difference is the same in every group"; None without permutations."""
        settings = self.first.settings
        if self.first.terms is None or self.second.terms is None:
            return gap_p_value(self.change)
        if not permutations:
            return None
        terms = _difference_terms(self.first.terms, self.second.terms)
        carried = np.flatnonzero(terms.carried)
        return permutation_p_values(
            [terms.take(carried)],
            self.first.labels[carried],
            len(self.a.names),
            keyed_generator(settings.seed, ("permutation", self.a.attribute)),
            permutations,
        )[0]

    def gap(self) -> Bounded:
        """Return gap_B - gap_A."""
        first, second = pairs(len(self.a.names))
        eye = np.eye(len(self.a.names))
        low, high = self._largest(eye[first] - eye[second])
        value, corrected = _minus(self.b.gap, self.a.gap)
        return Bounded(value, corrected, None, low, high)

    def worst(self) -> Bounded:
        """Return worst_B - worst_A; the worst is the largest of the values with the sign turned."""
        low, high = self._largest(-np.eye(len(self.a.names)))
        value, _ = _minus(self.b.worst, self.a.worst)
        return Bounded(value, None, None, -high, -low)

    def _largest(self, contrasts: np.ndarray) -> tuple[float, float]:
        """Return the interval of max_p (C B)_p - max_r (C A)_r.

        With D_pr = (C B)_p - (C A)_r and S_pr its standard error: high is ``max_p min_r (D + c_p S)``, low is ``min_r max_p (D -
        c_r S)``, c the 1 - alpha / 2 quantile of the largest t over the inner index. Only for the true extreme p need all r hold
        at once.

        Args:
            contrasts: float array (P, G), C.
        """
        values = (contrasts @ self.b.levels.values)[:, None] - contrasts @ self.a.levels.values
        covariance = self.correlation * np.sqrt(self.a.variance * self.b.variance)
        error = np.sqrt(
            np.maximum(
                (contrasts**2 @ self.b.variance)[:, None]
                + contrasts**2 @ self.a.variance
                - 2 * (contrasts * covariance) @ contrasts.T,
                0.0,
            )
        )
        noise_a, noise_b = (each @ contrasts.T for each in self.noise)
        scale = np.where(error > ZERO, error, math.inf)  # two models that agree in a pair have no error there
        highs, lows = [], []
        for p in range(len(contrasts)):
            largest = ((noise_b[:, [p]] - noise_a) / scale[p]).max(axis=1)
            highs.append((values[p] + np.quantile(largest, 1 - self._alpha / 2) * error[p]).min())
            largest = ((noise_b - noise_a[:, [p]]) / scale[:, p]).max(axis=1)
            lows.append((values[:, p] - np.quantile(largest, 1 - self._alpha / 2) * error[:, p]).max())
        return float(min(lows)), float(max(highs))

    @cached_property
    def wmean(self) -> Part:
        """The difference of the weighted means, +- t sqrt(sum w^2 s^2) of the paired differences."""
        parts = self.a.weights**2 * self.change.s**2
        value = float(self.a.weights @ self.change.values)
        df = combined_df(parts, self.change.clusters - 1)
        half = float(t_quantile(df, 1 - self._alpha / 2) * math.sqrt(parts.sum()))
        return Part(value, value - half, value + half)

    def deviation(self) -> Bounded:
        """Return D_B - D_A: MOVER with the correlation of the two.

        The correlation is -1 where the deviations point in opposite directions, and an end that rests on a lower limit of 0 adds
        plainly, as quadrature is too short at an edge.
        """
        a, b = part_of(self.a.deviation), part_of(self.b.deviation)
        value, corrected = _minus(self.b.deviation, self.a.deviation)
        if a is None or b is None:
            return Bounded(value, corrected, note=self.a.deviation.note or self.b.deviation.note)
        spread = deviation_of(self.a.settings.deviation, self.a.weights)
        off = [each.levels.values - each.wmean_value for each in (self.a, self.b)]
        opposed = bool((self.a.weights * off[0] * off[1]).sum() < 0)
        drawn = [
            spread(each.levels.values + noise)
            for each, noise in zip((self.a, self.b), self.noise, strict=True)
        ]
        low, high = difference(b, a, -1.0 if opposed else _correlation(*drawn))
        low = b.low - a.high if b.low <= 0 else low
        high = b.high - a.low if a.low <= 0 else high
        return Bounded(value, corrected, None, low, high)

    def fap(self) -> Bounded:
        """Return FAP_B - FAP_A: MOVER of the difference of the weighted means with lambda times that of D."""
        value, corrected = _minus(self.b.fap, self.a.fap)
        d = part_of(self.deviation())
        if d is None:
            return Bounded(value, corrected, note=self.deviation().note)
        low, high = difference(self.wmean, d.times(self.a.settings.lam))
        return Bounded(value, corrected, None, low, high)

    def es(self) -> Bounded:
        """Return ES_B - ES_A: MOVER with the correlation of the two where it is negative.

        A positive one would narrow the interval, which then covers .90 where the models' gaps are opposite
        (``benchmarks/fairness_paired_coverage.py``): at the kink of a sum of distances the correlation of draws says too much.
        """
        if self.a.es.value is None or self.b.es.value is None:
            return Bounded(None, note=self.a.es.note or self.b.es.note)
        value, corrected = _minus(self.b.es, self.a.es)
        a, b = part_of(self.a.es), part_of(self.b.es)
        if a is None or b is None:
            return Bounded(value, corrected, note=self.a.es.note or self.b.es.note)
        drawn = []
        for each, noise in zip((self.a, self.b), self.noise, strict=True):
            moved = np.append(each.levels.values, each.overall.value) + np.column_stack(
                [noise, noise @ each.shares]
            )
            drawn.append(equity_scale(moved[:, -1], total_deviation(moved), each.settings.es_alpha))
        low, high = difference(b, a, min(_correlation(*drawn), 0.0))
        return Bounded(value, corrected, None, low, high)


def _minus(b: Bounded, a: Bounded) -> tuple[float | None, float | None]:
    """Return the differences of the values and of the corrected values."""
    value = None if b.value is None or a.value is None else b.value - a.value
    both = b.corrected is not None and a.corrected is not None
    return value, (b.corrected or 0.0) - (a.corrected or 0.0) if both else None


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one - one.mean(), other - other.mean()
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / size if size > 0 else 0.0


def _difference_terms(a: Terms, b: Terms) -> Terms:
    """Return the patients' terms of M_B - M_A; one ratio where both models have the same denominators."""
    t_a, t_b = len(a.coefficients), len(b.coefficients)
    if t_a == t_b == 1 and np.array_equal(a.z[:, 1], b.z[:, 1]):
        return Terms(np.stack([b.z[:, 0] - a.z[:, 0], a.z[:, 1]], axis=1), np.ones(1))
    return Terms(
        np.concatenate([b.z[:, :t_b], a.z[:, :t_a], b.z[:, t_b:], a.z[:, t_a:]], axis=1),
        np.concatenate([b.coefficients, -a.coefficients]),
    )


def _level_difference(bounded: Bounded, scale: Scale) -> Bounded:
    """Return a difference of two levels on the metric's own scale, where lower may be better."""
    if not scale.flipped:
        return distance_back(bounded, scale)
    value, corrected, low, high = (
        None if each is None else -each
        for each in (bounded.value, bounded.corrected, bounded.high, bounded.low)
    )
    return distance_back(Bounded(value, corrected, None, low, high, bounded.note), scale)
