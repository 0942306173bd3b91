"""Groups, their composites and intervals: against formulas written out by hand and the slice's own estimate."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from grouped import (
    COMPOSITES,
    MEAN,
    MEAN_BY_BOOTSTRAP,
    MEANS,
    POOLED_F1,
    SIZES,
    Measures,
    drawn_table,
    moderated_by_hand,
    slice_of,
    table_of,
    three_groups,
    wilson,
)

from nova_bench.metrics import fairness
from nova_bench.metrics.classification import case_mean_of
from nova_bench.stats import Bounded, Comparison, compare_groups, estimate
from nova_bench.stats.inversion import invert
from nova_bench.stats.moderation import combined_df, moderated
from nova_bench.stats.mover import Part, difference, penalised
from nova_bench.stats.spreads import deviation_of, gap_of, standard_deviation
from nova_bench.types import Metric


def included(found: Comparison) -> tuple[dict[str, float], dict[str, int]]:
    groups = [group for group in found.groups if group.included]
    assert all(group.value is not None for group in groups)
    return (
        {str(group.name): float(group.value or 0) for group in groups},
        {str(group.name): group.n - group.n_failed for group in groups},
    )


@pytest.fixture(scope="module")
def three() -> tuple[Comparison, list[Measures]]:
    """Three groups, and (value, s, patients, weight) of each."""
    return three_groups()


# A group's own number


@pytest.mark.parametrize("metric", [MEAN, POOLED_F1, MEAN_BY_BOOTSTRAP, case_mean_of("score", "case_mean")])
@pytest.mark.parametrize(("repeats", "failed"), [(1, 0.0), (1, 0.1), (3, 0.0), (3, 0.1)])
def test_group_is_the_slice_of_the_report(metric: Metric, repeats: int, failed: float) -> None:
    sizes: dict[str | None, int] = {**SIZES, None: 12}
    table = drawn_table(sizes, {**MEANS, None: 0.5}, repeats=repeats, failed=failed)
    found = compare_groups(table, metric, "group", resamples=200, permutations=9)
    assert [group.name for group in found.groups] == ["white", "black", "asian", None]
    for group in found.groups:
        part = slice_of(table, group.name)
        key = ("group",) if group.name is None else ("group", group.name)
        value, s, low, high, clusters, _ = estimate(part, metric, resamples=200, key=key)
        assert (group.value, group.s, group.low, group.high) == pytest.approx((value, s, low, high), rel=1e-9)
        assert group.patients == clusters
        lines = table.take(np.array([value == group.name for value in table.groups["group"]]))
        assert group.n == len(set(lines.id))
        assert group.n_failed == len(set(lines.id[lines.status == "failed"]))
        assert group.counts["ok"] == len(part)
        assert sum(group.counts.values()) == len(lines)
    value, s, low, high, _, _ = estimate(table.take(table.status != "failed"), metric, resamples=200)
    overall = found.overall
    assert (overall.value, overall.s, overall.low, overall.high) == pytest.approx(
        (value, s, low, high), rel=1e-9
    )


def test_exact_error_is_what_resamples_show() -> None:
    table = drawn_table({"a": 300, "b": 60}, {"a": 0.7, "b": 0.5})
    exact = compare_groups(table, MEAN, "group", permutations=0)
    resampled = compare_groups(table, MEAN_BY_BOOTSTRAP, "group", resamples=4000, permutations=0)
    for one, other in zip(exact.groups, resampled.groups, strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-12)
        assert one.s == pytest.approx(other.s, rel=0.05)
    for name in COMPOSITES:
        one, other = getattr(exact, name), getattr(resampled, name)
        assert one.value == pytest.approx(other.value, rel=1e-9)
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=0.01)


def test_resamples_of_a_group_depend_on_nothing_but_the_group() -> None:
    table = drawn_table(SIZES, MEANS)
    alone = table.take(table.groups["group"] != "black")
    with_all, without = (
        {
            group.name: group.s
            for group in compare_groups(each, MEAN_BY_BOOTSTRAP, "group", resamples=50).groups
        }
        for each in (table, alone)
    )
    assert with_all["white"] == without["white"]
    assert with_all["asian"] == without["asian"]
    one, other = (
        compare_groups(table, MEAN_BY_BOOTSTRAP, "group", resamples=50, seed=seed).groups[0].s
        for seed in (0, 1)
    )
    assert one != other


# Composites by definition


@pytest.mark.parametrize("deviation", ["wstd", "wmad", "max"])
@pytest.mark.parametrize("weights", ["size", "uniform"])
def test_raw_composites_are_the_public_formulas(deviation: str, weights: str) -> None:
    table = drawn_table({**SIZES, "few": 8}, {**MEANS, "few": 0.1}, failed=0.05)
    found = compare_groups(
        table, MEAN, "group", lam=1.5, deviation=deviation, weights=weights, es_alpha=0.7, permutations=9
    )
    scores, counts = included(found)
    assert set(scores) == set(SIZES)
    assert found.gap.value == pytest.approx(fairness.gap(scores))
    assert found.worst.value == pytest.approx(fairness.worst(scores))
    assert found.ratio.value == pytest.approx(fairness.ratio(scores))
    assert found.std.value == pytest.approx(np.std(list(scores.values())))
    mean = fairness.fap(scores, counts, lam=0, weights=weights)
    assert found.wmean.value == pytest.approx(mean)
    once = fairness.fap(scores, counts, deviation=deviation, weights=weights)
    assert found.deviation.value == pytest.approx(mean - once)
    assert found.fap.value == pytest.approx(
        fairness.fap(scores, counts, lam=1.5, deviation=deviation, weights=weights)
    )
    assert found.overall.value is not None
    assert found.es.value == pytest.approx(fairness.equity_scaled(found.overall.value, scores, alpha=0.7))
    assert found.fap_name == f"fap(lambda=1.5,dev={deviation},w={weights})"
    assert (found.worst_group, found.best_group) == ("asian", "white")


@pytest.mark.parametrize("metric", [MEAN, POOLED_F1, MEAN_BY_BOOTSTRAP])
@pytest.mark.parametrize("deviation", ["wstd", "wmad", "max"])
def test_intervals_hold_the_raw_value_and_lie_in_the_range(metric: Metric, deviation: str) -> None:
    for seed in range(15):
        rng = np.random.default_rng(seed)
        sizes = {f"g{i}": int(rng.integers(20, 80)) for i in range(rng.integers(2, 5))}
        means = {name: float(rng.uniform(0.02, 0.98)) for name in sizes}
        found = compare_groups(
            drawn_table(sizes, means, seed=seed),
            metric,
            "group",
            deviation=deviation,
            resamples=100,
            permutations=0,
        )
        for name in COMPOSITES:
            each: Bounded = getattr(found, name)
            assert each.value is not None, name
            assert each.low is not None, name
            assert each.high is not None, name
            assert each.low - 1e-12 <= each.value <= each.high + 1e-12, (name, each)
            if name != "fap":
                assert each.low >= -1e-12, (name, each)
            if name not in ("fap", "std", "deviation"):
                assert each.high <= 1 + 1e-12, (name, each)
        for name in ("gap", "std", "deviation"):
            each = getattr(found, name)
            assert 0 <= each.corrected <= each.value + 1e-12, (name, each)
            assert each.floor > 0


# Intervals by hand


def test_gap_is_projected(three: tuple[Comparison, list[Measures]]) -> None:
    found, groups = three
    each = 1 - (1 - 0.95 ** (1 / 3)) / 2
    lows, highs = [], []
    for a, s_a, c_a, _ in groups:
        for b, s_b, c_b, _ in groups:
            if (a, s_a) != (b, s_b):
                wide, narrow = 0.975, each
                highs.append(
                    a - b + math.hypot(wilson(a, s_a, c_a, wide)[1] - a, b - wilson(b, s_b, c_b, wide)[0])
                )
                lows.append(
                    a - b - math.hypot(a - wilson(a, s_a, c_a, narrow)[0], wilson(b, s_b, c_b, narrow)[1] - b)
                )
    assert (found.gap.low, found.gap.high) == pytest.approx((max(0, *lows), max(highs)), rel=1e-9)


def test_worst_is_projected(three: tuple[Comparison, list[Measures]]) -> None:
    found, groups = three
    low = min(wilson(m, s, c, 0.975)[0] for m, s, c, _ in groups)
    high = min(wilson(m, s, c, 0.95 ** (1 / 3))[1] for m, s, c, _ in groups)
    assert (found.worst.low, found.worst.high) == pytest.approx((low, high), rel=1e-9)


def test_ratio_is_projected_on_logarithms(
    three: tuple[Comparison, list[Measures]],
) -> None:
    found, groups = three
    each = 1 - (1 - 0.95 ** (1 / 3)) / 2
    lows, highs = [], []
    for a, s_a, c_a, _ in groups:
        for b, s_b, c_b, _ in groups:
            if (a, s_a) != (b, s_b):
                (l_a, _), (_, u_b) = wilson(a, s_a, c_a, 0.975), wilson(b, s_b, c_b, 0.975)
                lows.append(a / b * math.exp(-math.hypot(math.log(a / l_a), math.log(u_b / b))))
                (_, u_a), (l_b, _) = wilson(a, s_a, c_a, each), wilson(b, s_b, c_b, each)
                highs.append(a / b * math.exp(math.hypot(math.log(u_a / a), math.log(b / l_b))))
    assert (found.ratio.low, found.ratio.high) == pytest.approx((min(lows), min(1, *highs)), rel=1e-9)


def test_wmean_has_welchs_interval(three: tuple[Comparison, list[Measures]]) -> None:
    found, groups = three
    parts = [(w * s) ** 2 for _, s, _, w in groups]
    df = sum(parts) ** 2 / sum(part**2 / (c - 1) for part, (_, _, c, _) in zip(parts, groups, strict=True))
    half = scipy.stats.t.ppf(0.975, df) * math.sqrt(sum(parts))
    mean = sum(w * m for m, _, _, w in groups)
    assert (found.wmean.value, found.wmean.low, found.wmean.high) == pytest.approx(
        (mean, mean - half, mean + half), rel=1e-9
    )


def test_largest_deviation_is_projected_from_its_contrasts() -> None:
    table = drawn_table(SIZES, MEANS, seed=3)
    found = compare_groups(table, MEAN, "group", deviation="max", permutations=9)
    n = sum(group.n for group in found.groups)
    groups = [(float(g.value or 0), float(g.s or 0), g.patients, g.n / n) for g in found.groups]
    variances = moderated_by_hand(groups)
    mean = sum(w * m for m, _, _, w in groups)
    lows, highs = [], []
    for g, (m, _, _, _) in enumerate(groups):
        parts = [((1.0 if h == g else 0.0) - w) ** 2 * variances[h] for h, (_, _, _, w) in enumerate(groups)]
        df = sum(parts) ** 2 / sum(
            part**2 / (c + 3) for part, (_, _, c, _) in zip(parts, groups, strict=True)
        )
        error = math.sqrt(sum(parts))
        highs.append(abs(m - mean) + scipy.stats.t.ppf(0.975, df) * error)
        lows.append(abs(m - mean) - scipy.stats.t.ppf(1 - (1 - 0.95 ** (1 / 3)) / 2, df) * error)
    assert (found.deviation.low, found.deviation.high) == pytest.approx((max(0, *lows), max(highs)), rel=1e-9)


def test_moderation_by_hand() -> None:
    groups = [(0.7, 0.03, 120, 0.5), (0.6, 0.05, 40, 0.3), (1.0, 0.0, 25, 0.2)]
    s, c = np.array([s for _, s, _, _ in groups]), np.array([c for _, _, c, _ in groups])
    assert moderated(s**2, c) == pytest.approx(moderated_by_hand(groups), rel=1e-12)
    assert moderated(np.stack([s**2, 4 * s**2]), c)[1] == pytest.approx(4 * moderated(s**2, c))


def test_welch_df_lies_between_the_parts_and_their_sum() -> None:
    assert combined_df(np.array([1.0, 0.0]), np.array([7, 9])) == pytest.approx(7)
    assert combined_df(np.array([1.0, 1.0]), np.array([7, 9])) == pytest.approx(4 / (1 / 7 + 1 / 9))
    assert combined_df(np.array([0.0, 0.0]), np.array([7, 9])) == 7


def test_mover_by_hand() -> None:
    a, b = Part(0.6, 0.5, 0.65), Part(0.2, 0.17, 0.26)
    assert difference(a, b) == pytest.approx((0.4 - math.hypot(0.1, 0.06), 0.4 + math.hypot(0.05, 0.03)))
    assert difference(a, b, -1.0) == pytest.approx((0.4 - 0.16, 0.4 + 0.08))
    assert difference(a, a, 1.0) == pytest.approx((-math.hypot(0.1, 0.05) + 0.0, 0.0), abs=0.2)
    assert penalised(a, Part(0.02, 0.0, 0.05))[1] == 0.65
    assert penalised(a, Part(0.02, 0.01, 0.05))[1] == pytest.approx(0.58 + math.hypot(0.05, 0.01))


def test_fap_is_the_mean_less_the_corrected_deviation(
    three: tuple[Comparison, list[Measures]],
) -> None:
    found, _ = three
    mean, d = found.wmean, found.deviation
    assert found.fap.corrected == pytest.approx(mean.value - d.corrected)  # type: ignore[operator]
    low = found.fap.corrected - math.hypot(mean.value - mean.low, d.high - d.corrected)  # type: ignore[operator]
    assert found.fap.low == pytest.approx(low)
    assert d.low is not None
    expected = (
        mean.high
        if d.low <= 0
        else found.fap.corrected + math.hypot(mean.high - mean.value, d.corrected - d.low)  # type: ignore[operator]
    )
    assert found.fap.high == pytest.approx(expected)


# Inversion


@pytest.mark.parametrize(
    "spread", [gap_of, standard_deviation, deviation_of("wmad", np.array([0.6, 0.3, 0.1]))]
)
def test_inversion_is_what_a_search_over_spreads_finds(spread) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    values, noise = np.array([0.62, 0.60, 0.47]), rng.normal(0, (0.01, 0.03, 0.05), (4000, 3))
    found = invert(spread, values, 0.6, noise)
    observed = spread(values)

    def share(theta: float) -> float:
        stretched = values * (theta / observed)
        return float(np.mean(spread(stretched + noise) >= observed))

    thetas = np.linspace(0, 3 * observed, 3001)
    shares = np.array([share(theta) for theta in thetas])
    kept = thetas[(shares >= 0.025) & (shares <= 0.975)]
    assert found.low == pytest.approx(kept[0], abs=0.003)
    assert found.high == pytest.approx(kept[-1], abs=0.003)
    assert share(found.corrected) == pytest.approx(0.5, abs=0.01)
    assert found.floor == pytest.approx(spread(noise).mean())


def test_inversion_of_a_spread_below_the_noise_reaches_zero() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, (4000, 3))
    found = invert(gap_of, np.array([0.6, 0.61, 0.605]), 0.6, noise)
    assert (found.low, found.corrected) == (0, 0)
    assert found.high is None  # .01 is less than noise leaves in 97.5% of cases: the caller has another limit
    assert found.floor == pytest.approx(0.05 * 1.693, rel=0.03)  # range of three normal draws


def test_inversion_without_noise_is_the_value() -> None:
    found = invert(gap_of, np.array([0.6, 0.5]), 0.6, np.zeros((100, 2)))
    assert found.floor == 0
    assert (found.low, found.corrected, found.high) == pytest.approx((0.1, 0.1, 0.1), abs=0.01)


def test_equal_groups_have_no_direction_and_take_the_gaps_limit() -> None:
    score = [1.0, 0.0, 1.0, 1.0] * 20
    found = compare_groups(table_of(["a", "b"] * 40, score + score[:0]), MEAN, "group", permutations=99)
    same = compare_groups(
        table_of(["a"] * 40 + ["b"] * 40, [1.0, 0.0, 1.0, 1.0] * 20), MEAN, "group", permutations=99
    )
    assert found.gap.value != 0
    assert same.gap.value == 0
    assert same.std.value == same.deviation.value == 0
    assert same.std.low == 0
    assert same.std.high == pytest.approx(same.gap.high / 2)  # type: ignore[operator]
    assert same.p_value == 1
