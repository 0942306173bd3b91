"""Groups, their composites and intervals: against formulas written out by hand, the slice's own estimate, and each other."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats
from grouped import MEAN, MEAN_BY_BOOTSTRAP, POOLED_F1, drawn_table, table_of

from nova_bench.errors import DataError, UnknownNameError, UsageError
from nova_bench.metrics import fairness
from nova_bench.metrics.classification import case_mean_of, mean_of
from nova_bench.stats import Bounded, Comparison, compare_groups, compare_table, estimate
from nova_bench.stats.inversion import invert
from nova_bench.stats.moderation import combined_df, moderated
from nova_bench.stats.mover import Part, difference, penalised
from nova_bench.stats.power import detectable_gap, planned_error
from nova_bench.stats.spreads import deviation_of, gap_of, standard_deviation
from nova_bench.table import Table
from nova_bench.types import Metric

SIZES = {"white": 120, "black": 40, "asian": 25}
MEANS = {"white": 0.7, "black": 0.6, "asian": 0.45}
COMPOSITES = ("wmean", "gap", "worst", "ratio", "std", "deviation", "fap", "es")


def slice_of(table: Table, name: str | None) -> Table:
    mask = np.array([value == name for value in table.groups["group"]])
    return table.take(mask & (table.status != "failed"))


def included(found: Comparison) -> tuple[dict[str, float], dict[str, int]]:
    groups = [group for group in found.groups if group.included]
    assert all(group.value is not None for group in groups)
    return (
        {str(group.name): float(group.value or 0) for group in groups},
        {str(group.name): group.n - group.n_failed for group in groups},
    )


def numbers(bounded: Bounded) -> list[float]:
    listed = (bounded.value, bounded.corrected, bounded.floor, bounded.low, bounded.high)
    return [math.inf if each is None else each for each in listed]


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


def wilson(value: float, s: float, c: int, probability: float) -> tuple[float, float]:
    q, m = float(scipy.stats.t.ppf(probability, c - 1)), value * (1 - value) / s**2
    middle = value + q * q / (2 * m)
    half = q * math.sqrt(value * (1 - value) / m + q * q / (4 * m * m))
    return (middle - half) / (1 + q * q / m), (middle + half) / (1 + q * q / m)


@pytest.fixture(scope="module")
def three() -> tuple[Comparison, list[tuple[float, float, int, float]]]:
    """Three groups, and (value, s, patients, weight) of each."""
    table = drawn_table(SIZES, MEANS, seed=3)
    found = compare_groups(table, MEAN, "group", permutations=9)
    n = sum(group.n for group in found.groups)
    return found, [
        (float(group.value or 0), float(group.s or 0), group.patients, group.n / n) for group in found.groups
    ]


def test_gap_is_projected(three: tuple[Comparison, list[tuple[float, float, int, float]]]) -> None:
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


def test_worst_is_projected(three: tuple[Comparison, list[tuple[float, float, int, float]]]) -> None:
    found, groups = three
    low = min(wilson(m, s, c, 0.975)[0] for m, s, c, _ in groups)
    high = min(wilson(m, s, c, 0.95 ** (1 / 3))[1] for m, s, c, _ in groups)
    assert (found.worst.low, found.worst.high) == pytest.approx((low, high), rel=1e-9)


def test_ratio_is_projected_on_logarithms(
    three: tuple[Comparison, list[tuple[float, float, int, float]]],
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


def test_wmean_has_welchs_interval(three: tuple[Comparison, list[tuple[float, float, int, float]]]) -> None:
    found, groups = three
    parts = [(w * s) ** 2 for _, s, _, w in groups]
    df = sum(parts) ** 2 / sum(part**2 / (c - 1) for part, (_, _, c, _) in zip(parts, groups, strict=True))
    half = scipy.stats.t.ppf(0.975, df) * math.sqrt(sum(parts))
    mean = sum(w * m for m, _, _, w in groups)
    assert (found.wmean.value, found.wmean.low, found.wmean.high) == pytest.approx(
        (mean, mean - half, mean + half), rel=1e-9
    )


def moderated_by_hand(groups: list[tuple[float, float, int, float]]) -> list[float]:
    v = sum((c - 1) * c * s * s for _, s, c, _ in groups) / sum(c - 1 for _, _, c, _ in groups)
    return [((c - 1) * s * s + 4 * v / c) / (c + 3) for _, s, c, _ in groups]


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
    three: tuple[Comparison, list[tuple[float, float, int, float]]],
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


# What cannot be said


def test_small_group_is_shown_and_left_out() -> None:
    table = drawn_table({"white": 60, "black": 40, "asian": 19}, {"white": 0.7, "black": 0.6, "asian": 0.1})
    found = compare_groups(table, MEAN, "group", permutations=99)
    asian = found.groups[-1]
    assert asian.name == "asian"
    assert not asian.included
    assert asian.note == "fewer than 20 patients: left out of composites and tests"
    assert asian.low is not None
    assert found.worst_group == "black"
    assert found.note == "left out of composites and tests: asian (19 patients, fewer than 20)"
    without = table.take(table.groups["group"] != "asian")
    again = compare_groups(without, MEAN, "group", permutations=99)
    for name in ("wmean", "gap", "worst", "ratio", "std", "deviation", "fap"):
        assert dataclasses.astuple(getattr(found, name)) == dataclasses.astuple(getattr(again, name))
    assert found.p_value == again.p_value
    lower = compare_groups(table, MEAN, "group", min_patients=19, permutations=99)
    assert lower.worst_group == "asian"


def test_group_of_four_has_no_interval_and_one_of_one_no_error() -> None:
    table = drawn_table(
        {"a": 30, "b": 25, "four": 4, "one": 1}, {"a": 0.7, "b": 0.6, "four": 0.5, "one": 0.5}
    )
    groups = {group.name: group for group in compare_groups(table, MEAN, "group", permutations=9).groups}
    assert groups["four"].value is not None
    assert groups["four"].low is None
    assert "4 clusters, fewer than 5" in str(groups["four"].note)
    assert groups["one"].s is None
    assert not groups["one"].included


def test_composites_over_a_group_without_interval_have_none() -> None:
    table = drawn_table({"a": 30, "four": 4}, {"a": 0.7, "four": 0.5})
    found = compare_groups(table, MEAN, "group", min_patients=2, permutations=99)
    assert found.gap.value is not None
    assert found.gap.low is None
    assert found.gap.note == "no interval: group 'four' has 4 patients, fewer than 5"
    assert found.detectable is None
    assert found.p_value is not None


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ({"a": 30}, "1 of 1 groups can be compared, at least 2 are needed"),
        ({"a": 30, "b": 3}, "1 of 2 groups can be compared, at least 2 are needed"),
        ({"a": 3, "b": 3, "c": 1}, "0 of 3 groups can be compared, at least 2 are needed"),
        ({None: 30}, "'group' is unknown for every sample"),
    ],
)
def test_fewer_than_two_groups_are_null_with_the_reason(sizes: dict[str | None, int], reason: str) -> None:
    found = compare_groups(drawn_table(sizes, dict.fromkeys(sizes, 0.6)), MEAN, "group")
    for name in COMPOSITES:
        assert dataclasses.astuple(getattr(found, name)) == (None, None, None, None, None, reason)
    assert found.p_value is None
    assert found.detectable is None
    assert found.worst_group is None
    assert found.imputed_gap.low is None
    assert reason in str(found.note)


def test_all_failed_is_null() -> None:
    table = drawn_table({"a": 30, "b": 30}, {"a": 0.6, "b": 0.6}, failed=1.0)
    found = compare_groups(table, MEAN, "group")
    assert [group.value for group in found.groups] == [None, None]
    assert found.groups[0].note == "undefined: no sample was answered"
    assert found.groups[0].n_failed == found.groups[0].n
    assert found.overall.value is None
    assert found.gap.value is None
    assert "left out of composites and tests: " in str(found.note)
    resampled = compare_groups(table, MEAN_BY_BOOTSTRAP, "group")
    assert resampled.gap.value is None
    without_columns = dataclasses.replace(table, columns={})  # what scoring leaves where nothing was answered
    for metric in (MEAN, MEAN_BY_BOOTSTRAP):
        assert compare_groups(without_columns, metric, "group").gap.value is None


def test_empty_table_is_null() -> None:
    table = drawn_table({"a": 3}, {"a": 0.6}).take(np.zeros(0, np.int64))
    found = compare_groups(table, MEAN, "group")
    assert found.groups == ()
    assert found.gap.value is None


def test_metric_undefined_in_a_group_is_left_out_and_named() -> None:
    table = drawn_table(SIZES, MEANS)
    table["score"][table.groups["group"] == "black"] = np.nan
    found = compare_groups(table, MEAN, "group", permutations=99)
    black = next(group for group in found.groups if group.name == "black")
    assert (black.value, black.included, black.note) == (None, False, "undefined on these samples")
    assert found.note == "left out of composites and tests: black (undefined)"
    assert found.gap.value == pytest.approx(
        abs(next(g for g in found.groups if g.name == "white").value - found.groups[-1].value)  # type: ignore[operator]
    )


def test_nan_scores_do_not_count() -> None:
    table = drawn_table(SIZES, MEANS)
    score = table["score"]
    score[::7] = np.nan
    some = compare_groups(table, MEAN, "group", permutations=99)
    known = compare_groups(table.take(~np.isnan(score)), MEAN, "group", permutations=99)
    assert [group.value for group in some.groups] == [group.value for group in known.groups]
    assert some.gap.value == known.gap.value


def test_ratio_is_null_where_all_are_wrong() -> None:
    found = compare_groups(table_of(["a", "b"] * 30, [0.0] * 60), MEAN, "group", permutations=99)
    assert found.ratio.value is None
    assert found.ratio.note == "undefined: every group stands at the worst possible value"
    assert found.gap.value == 0
    assert found.gap.high is not None
    assert found.gap.high > 0.05  # thirty patients who are all wrong do not show that all would be
    assert found.es.value == 0
    assert found.p_value == 1
    assert found.detectable is None


def test_all_right_is_no_proof_of_equality() -> None:
    found = compare_groups(table_of(["a", "b"] * 30, [1.0] * 60), MEAN, "group", permutations=99)
    assert found.ratio.value == 1
    assert found.ratio.low < 0.95  # type: ignore[operator]
    assert found.wmean.low < 1  # type: ignore[operator]
    assert found.wmean.high == 1
    assert found.std.high == pytest.approx(found.gap.high / 2)  # type: ignore[operator]


def test_groups_that_only_differ_have_no_interval_of_their_spread() -> None:
    found = compare_groups(table_of(["a", "b"] * 30, [1.0, 0.0] * 30), MEAN, "group", permutations=999)
    assert found.gap.value == 1
    assert found.gap.low is not None
    assert found.p_value == 0.001
    assert found.std.value == 0.5
    assert found.std.low is None
    assert "no group shows any variation" in str(found.std.note)
    assert found.fap.low is None


# Scales


def test_lower_is_better_is_the_mirror() -> None:
    table = drawn_table(SIZES, MEANS)
    table.columns["error"] = 1 - table["score"]  # type: ignore[index]
    right = compare_groups(table, MEAN, "group", permutations=199)
    wrong = compare_groups(
        table, mean_of("error", "error", higher_is_better=False), "group", permutations=199
    )
    for name in ("wmean", "worst", "fap"):
        one, other = getattr(right, name), getattr(wrong, name)
        assert (other.value, other.low, other.high) == pytest.approx(
            (1 - one.value, 1 - one.high, 1 - one.low)
        )
    for name in ("gap", "std", "deviation", "ratio", "es"):
        one, other = getattr(right, name), getattr(wrong, name)
        assert (other.value, other.corrected, other.floor, other.low, other.high) == pytest.approx(
            (one.value, one.corrected, one.floor, one.low, one.high)
        )
    assert wrong.es.note == "on the scale from 0, the worst possible value, to 1, the best"
    assert wrong.gap.note is None
    assert (
        (wrong.worst_group, wrong.best_group) == (right.worst_group, right.best_group) == ("asian", "white")
    )
    assert wrong.p_value == right.p_value
    assert wrong.fap.value == pytest.approx(wrong.wmean.value + wrong.deviation.value)  # type: ignore[operator]


def test_other_range_is_carried_back() -> None:
    table = drawn_table(SIZES, MEANS)
    table.columns["points"] = 20 + 80 * table["score"]  # type: ignore[index]
    unit = compare_groups(table, MEAN, "group", permutations=199)
    points = compare_groups(table, mean_of("points", "points", range=(20, 100)), "group", permutations=199)
    for name in ("gap", "std", "deviation"):
        one, other = getattr(unit, name), getattr(points, name)
        assert (other.value, other.low, other.high) == pytest.approx(
            (80 * one.value, 80 * one.low, 80 * one.high)
        )
    for name in ("wmean", "worst", "fap"):
        one, other = getattr(unit, name), getattr(points, name)
        assert (other.value, other.low) == pytest.approx((20 + 80 * one.value, 20 + 80 * one.low))
    assert points.ratio.value == pytest.approx(unit.ratio.value)
    assert points.detectable == pytest.approx(80 * unit.detectable)  # type: ignore[operator]
    assert points.p_value == unit.p_value


@pytest.mark.parametrize("found_range", [None, (0.0, math.inf)])
def test_unbounded_metric_has_no_ratio_and_no_es(found_range: tuple[float, float] | None) -> None:
    table = drawn_table(SIZES, MEANS)
    table.columns["logit"] = 3 * table["score"] - 5  # type: ignore[index]
    found = compare_groups(table, mean_of("logit", "logit", range=found_range), "group", permutations=99)
    assert found.ratio.value is None
    assert found.es.value is None
    assert "no range" in str(found.ratio.note)
    a, b = (next(g for g in found.groups if g.name == name) for name in ("white", "asian"))
    assert found.gap.value == pytest.approx(a.value - b.value)  # type: ignore[operator]
    half = math.hypot(*(scipy.stats.t.ppf(0.975, each.patients - 1) * float(each.s or 0) for each in (a, b)))
    assert found.gap.high == pytest.approx(found.gap.value + half)  # type: ignore[operator]
    assert found.worst.low == pytest.approx(b.low)
    assert found.fap.low is not None


# Invariance


def test_order_of_lines_changes_nothing() -> None:
    table = drawn_table(SIZES, MEANS, failed=0.05)
    mixed = table.take(np.random.default_rng(5).permutation(len(table)))
    for metric in (MEAN, MEAN_BY_BOOTSTRAP):
        one, other = (
            compare_groups(each, metric, "group", resamples=100, permutations=199) for each in (table, mixed)
        )
        for name in COMPOSITES:
            assert numbers(getattr(one, name)) == pytest.approx(numbers(getattr(other, name)), rel=1e-9)
        assert one.p_value == other.p_value


def test_names_of_groups_change_no_interval() -> None:
    table = drawn_table(SIZES, MEANS)
    one = compare_groups(table, MEAN, "group", permutations=999)
    names = {"white": "3", "black": "1", "asian": "2"}
    table.groups["group"][:] = [names[name] for name in table.groups["group"]]
    other = compare_groups(table, MEAN, "group", permutations=999)
    for name in ("wmean", "gap", "worst", "ratio"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a.value, a.low, a.high) == (b.value, b.low, b.high)
    assert other.worst_group == "2"
    assert other.p_value == one.p_value


def test_many_at_once_are_each_alone() -> None:
    table = drawn_table(SIZES, MEANS, failed=0.05)
    table.groups["other"] = np.where(np.arange(len(table)) < 100, "x", "y").astype(object)  # type: ignore[index]
    table.groups["other"][table.cluster == table.cluster[100]] = "x"  # type: ignore[index]
    metrics = (MEAN, POOLED_F1, Metric("boot", ("score",), MEAN.compute))
    together = compare_table(table, metrics, ("group", "other"), resamples=100, permutations=199)
    alone = [
        compare_groups(table, metric, attribute, resamples=100, permutations=199)
        for metric in metrics
        for attribute in ("group", "other")
    ]
    assert [(each.metric, each.attribute) for each in together] == [
        (each.metric, each.attribute) for each in alone
    ]
    for one, other in zip(together, alone, strict=True):
        assert dataclasses.astuple(one.gap) == dataclasses.astuple(other.gap)
        assert dataclasses.astuple(one.es) == dataclasses.astuple(other.es)
        assert one.p_value == other.p_value


# Failures


def imputed(table: Table, value: float) -> Table:
    score = np.where(table.status == "failed", value, table["score"])
    return dataclasses.replace(table, columns={"score": score})


def test_imputed_gap_by_hand() -> None:
    table = drawn_table({"a": 60, "b": 40}, {"a": 0.8, "b": 0.5}, failed=0.1, seed=2)
    worst, best = imputed(table, 0.0), imputed(table, 1.0)
    found = compare_groups(table, MEAN, "group", permutations=9, worst=worst, best=best).imputed_gap
    ends = {
        name: [
            (float(g.value or 0), float(g.s or 0), g.patients)
            for g in compare_groups(
                dataclasses.replace(each, status=np.full(len(each), "ok", dtype=object)),
                MEAN,
                "group",
                permutations=0,
            ).groups
        ]
        for name, each in (("-", worst), ("+", best))
    }
    (a_low, b_low), (a_high, b_high) = ends["-"], ends["+"]
    assert found.low == pytest.approx(a_low[0] - b_high[0])
    assert found.high == pytest.approx(a_high[0] - b_low[0])
    below = math.hypot(a_low[0] - wilson(*a_low, 0.975)[0], wilson(*b_high, 0.975)[1] - b_high[0])
    above = math.hypot(a_high[0] - b_low[0] - found.high, 0) + math.hypot(
        wilson(*a_high, 0.975)[1] - a_high[0], b_low[0] - wilson(*b_low, 0.975)[0]
    )
    assert found.interval_low == pytest.approx(max(0, found.low - below))  # type: ignore[operator]
    assert found.interval_high == pytest.approx(found.high + above)  # type: ignore[operator]
    assert found.survives == (found.low - below > 0)  # type: ignore[operator]


def test_gap_that_failures_could_have_made_does_not_survive() -> None:
    # 40 patients a group with two questions; b fails on half of them, all of which could be right
    group, score, status, patient = [], [], [], []
    for name, right, failing in (("a", 0.9, 0), ("b", 0.5, 1)):
        for i in range(40):
            for question in range(2):
                is_failed = bool(failing and question)
                group.append(name)
                patient.append(f"{name}{i}")
                status.append("failed" if is_failed else "ok")
                score.append(np.nan if is_failed else float(i < 40 * right))
    table = table_of(group, score, patient=patient, status=status)
    found = compare_groups(table, MEAN, "group", worst=imputed(table, 0), best=imputed(table, 1))
    assert found.gap.low > 0  # type: ignore[operator]
    assert found.imputed_gap.survives is False
    assert found.imputed_gap.low == pytest.approx(0.9 - 0.75)
    assert found.imputed_gap.high == pytest.approx(0.9 - 0.25)


def test_nothing_failed_leaves_the_gap() -> None:
    found = compare_groups(drawn_table(SIZES, MEANS), MEAN, "group", permutations=9)
    gap, filled = found.gap, found.imputed_gap
    assert (filled.low, filled.high, filled.interval_low, filled.interval_high) == (
        gap.value,
        gap.value,
        gap.low,
        gap.high,
    )
    assert filled.survives == (gap.low > 0)  # type: ignore[operator]


def test_failures_without_bounds_are_said() -> None:
    table = drawn_table(SIZES, MEANS, failed=0.1)
    found = compare_groups(table, MEAN, "group", permutations=9)
    assert found.imputed_gap.low is None
    assert "the worst and the best answer to them are not known" in str(found.imputed_gap.note)
    lacking = dataclasses.replace(table, columns={})
    found = compare_groups(table, MEAN, "group", permutations=9, worst=lacking, best=lacking)
    assert found.imputed_gap.low is None


def test_group_of_which_everything_failed_can_be_anything() -> None:
    table = drawn_table({"a": 40, "b": 40, "c": 30}, {"a": 0.7, "b": 0.7, "c": 0.7})
    lost = table.groups["group"] == "c"
    table.status[lost] = "failed"
    table["score"][lost] = np.nan
    found = compare_groups(table, MEAN, "group", worst=imputed(table, 0), best=imputed(table, 1))
    assert not next(group for group in found.groups if group.name == "c").included
    assert found.imputed_gap.high is not None
    assert found.imputed_gap.high > 0.6  # c's worst is 0
    assert "over 3 groups" in str(found.imputed_gap.note)


# Power


def test_detectable_gap_by_hand(three: tuple[Comparison, list[tuple[float, float, int, float]]]) -> None:
    found, groups = three
    variances = moderated_by_hand(groups)
    quantile = scipy.stats.norm.ppf(1 - 0.05 / 6) + scipy.stats.norm.ppf(0.8)
    assert found.detectable == pytest.approx(quantile * math.sqrt(variances[0] + variances[-1]))
    assert detectable_gap(0.03, 0.04, 1) == pytest.approx(
        (scipy.stats.norm.ppf(0.975) + scipy.stats.norm.ppf(0.8)) * 0.05
    )


def test_planned_error_is_what_data_have() -> None:
    found = compare_groups(
        drawn_table({"a": 4000, "b": 400}, {"a": 0.6, "b": 0.6}), MEAN, "group", permutations=0
    )
    for group in found.groups:
        planned = planned_error(0.6, group.patients, np.arange(1, 6), 0.3)
        assert group.s == pytest.approx(planned, rel=0.1)


# Wrong use


def test_unknown_attribute_names_the_closest() -> None:
    table = drawn_table(SIZES, MEANS)
    with pytest.raises(
        UnknownNameError, match="attribute 'groop' not found in the table; did you mean 'group'"
    ):
        compare_groups(table, MEAN, "groop")


def test_patient_with_two_values_is_named() -> None:
    table = drawn_table(SIZES, MEANS)
    line = next(i for i in range(1, len(table)) if table.cluster[i] == table.cluster[i - 1])
    table.groups["group"][line] = "asian"
    with pytest.raises(DataError, match=f"patient '{table.cluster[line]}' has two values of 'group'"):
        compare_groups(table, MEAN, "group")


def test_patient_known_on_some_lines_counts_on_these() -> None:
    table = drawn_table(SIZES, MEANS, most=3)
    table.groups["group"][::2] = None
    found = compare_groups(table, case_mean_of("score", "case"), "group", permutations=99)
    for group in found.groups:
        key = ("group",) if group.name is None else ("group", group.name)
        value, s, *_ = estimate(slice_of(table, group.name), case_mean_of("score", "case"), key=key)
        assert (group.value, group.s) == pytest.approx((value, s))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"lam": -1}, "lambda is -1"),
        ({"lam": math.nan}, "lambda is nan"),
        ({"es_alpha": -0.1}, "es_alpha is -0.1"),
        ({"min_patients": 1}, "minimum group size is 1"),
        ({"alpha": 0}, "alpha is 0"),
        ({"permutations": -1}, "permutations is -1"),
        ({"deviation": "std"}, "did you mean 'wstd'"),
        ({"weights": "sise"}, "did you mean 'size'"),
    ],
)
def test_settings_without_sense_are_refused(setting: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        compare_groups(drawn_table({"a": 3}, {"a": 0.5}), MEAN, "group", **setting)  # type: ignore[arg-type]


def test_missing_column_is_named() -> None:
    with pytest.raises(
        UnknownNameError, match="column 'scores' not found in the table; metric 'mean' needs it"
    ):
        compare_groups(drawn_table({"a": 3}, {"a": 0.5}), mean_of("scores", "mean"), "group")


def test_metric_without_inference_is_refused() -> None:
    with pytest.raises(UsageError, match="not made for comparisons"):
        compare_groups(drawn_table({"a": 3}, {"a": 0.5}), mean_of("score", "count", infer=False), "group")
