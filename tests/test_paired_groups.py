"""Two models over the same groups: signs, correlation, what both answered, against formulas by hand and simulation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from grouped import MEAN, MEAN_BY_BOOTSTRAP, POOLED_F1, drawn_table, table_of

from nova_bench.errors import UsageError
from nova_bench.metrics.classification import mean_of
from nova_bench.stats import Bounded, Comparison, Paired, compare_groups, compare_models, model_difference
from nova_bench.table import Table
from nova_bench.types import Metric

SIZES = {"a": 150, "b": 60, "c": 40}
DIFFERENCES = ("gap", "worst", "deviation", "fap", "es")


def two_models(
    first: dict[str, float], second: dict[str, float], sizes: dict[str, int] = SIZES, seed: int = 0
) -> tuple[Table, Table]:
    """Return two models' answers to the same questions; what is hard for one is for the other."""
    rng = np.random.default_rng(seed)
    group = np.repeat(list(sizes), list(sizes.values()))
    patient = np.repeat(np.arange(len(group)), rng.integers(1, 5, len(group)))
    ease = rng.beta(0.5 * 7 / 3, 0.5 * 7 / 3, len(group))
    tables = []
    for means in (first, second):
        mean = np.array([means[str(name)] for name in group])
        # the quantile of each patient's ease under the group's own beta
        p = scipy.stats.beta.ppf(scipy.stats.beta.cdf(ease, 7 / 6, 7 / 6), mean * 7 / 3, (1 - mean) * 7 / 3)
        right = rng.random(len(patient)) < p[patient]
        tables.append(
            table_of(
                [str(name) for name in group[patient]], right.astype(float).tolist(), patient=patient.tolist()
            )
        )
    return tables[0], tables[1]


def pair(
    a: Table, b: Table, metric: Metric = MEAN, **settings: object
) -> tuple[Comparison, Comparison, Paired]:
    one, other = (compare_groups(each, metric, "group", **settings) for each in (a, b))  # type: ignore[arg-type]
    return one, other, compare_models(one, other)


FAIR = {"a": 0.7, "b": 0.7, "c": 0.7}
UNFAIR = {"a": 0.75, "b": 0.7, "c": 0.4}


@pytest.mark.parametrize("deviation", ["wstd", "wmad", "max"])
def test_differences_are_second_minus_first(deviation: str) -> None:
    one, other, found = pair(*two_models(FAIR, UNFAIR), deviation=deviation)
    for name in DIFFERENCES:
        each: Bounded = getattr(found, name)
        assert each.value == pytest.approx(getattr(other, name).value - getattr(one, name).value)
        assert each.low is not None
        assert each.high is not None
        assert each.low < each.value < each.high
    assert found.overall.value == pytest.approx(other.overall.value - one.overall.value)  # type: ignore[operator]
    assert found.gap.low is not None
    assert found.gap.low > 0
    assert found.interaction_p == 0.0005
    assert (found.worst_group_a, found.worst_group_b) == (one.worst_group, "c")
    assert found.note is None


@pytest.mark.parametrize("metric", [MEAN, MEAN_BY_BOOTSTRAP, POOLED_F1])
def test_changing_places_changes_signs(metric: Metric) -> None:
    if metric is POOLED_F1:
        tables = (
            drawn_table(SIZES, FAIR, seed=1),
            drawn_table(SIZES, FAIR, seed=1),
        )
        tables[1].columns["above"][tables[1].groups["group"] == "c"] /= 2  # type: ignore[operator]
    else:
        tables = two_models(FAIR, UNFAIR)
    one, other, there = pair(*tables, metric=metric, resamples=300)
    back = compare_models(other, one)
    for name in ("overall", *DIFFERENCES):
        a, b = getattr(there, name), getattr(back, name)
        assert (a.value, a.low, a.high) == pytest.approx((-b.value, -b.high, -b.low), abs=0.004), name
    assert there.interaction_p == pytest.approx(back.interaction_p, abs=1e-12)


def test_overall_is_the_model_difference() -> None:
    a, b = two_models(FAIR, UNFAIR)
    _, _, found = pair(a, b, permutations=9)
    value, _, low, high, *_ = model_difference(a, b, MEAN)
    assert (found.overall.value, found.overall.low, found.overall.high) == (value, low, high)


def test_model_against_itself_differs_in_nothing() -> None:
    a, _ = two_models(UNFAIR, FAIR)
    _, _, found = pair(a, a)
    for name in DIFFERENCES:
        assert getattr(found, name).value == 0
    assert found.interaction_p == 1
    assert (found.worst.low, found.worst.high) == pytest.approx((0, 0), abs=0.02)


def test_pairing_narrows_the_interval() -> None:
    a, b = two_models(UNFAIR, UNFAIR)
    shuffled = dataclasses.replace(b, columns={"score": b["score"].copy()})
    rng = np.random.default_rng(0)
    for name in SIZES:  # the same answers, given to other patients of the group
        lines = np.flatnonzero(b.groups["group"] == name)
        shuffled["score"][lines] = b["score"][rng.permutation(lines)]
    near, far = pair(a, b, permutations=9)[2], pair(a, shuffled, permutations=9)[2]
    assert near.gap.high - near.gap.low < far.gap.high - far.gap.low  # type: ignore[operator]
    assert near.fap.high - near.fap.low < far.fap.high - far.fap.low  # type: ignore[operator]


def test_gap_difference_of_two_groups_by_hand() -> None:
    # with two groups and clear gaps, both pairs are (a, b): a plain paired t interval of (a - b)_B - (a - b)_A
    sizes = {"a": 400, "b": 300}
    a, b = two_models({"a": 0.8, "b": 0.5}, {"a": 0.8, "b": 0.4}, sizes)
    one, other, found = pair(a, b, permutations=9)
    variance = 0.0
    for name in sizes:
        part_a, part_b = (table.take(table.groups["group"] == name) for table in (a, b))
        s = model_difference(part_a, part_b, MEAN).s
        assert s is not None
        variance += s * s
    assert found.gap.value == pytest.approx(other.gap.value - one.gap.value)  # type: ignore[operator]
    # each pair is held against both of the other model's, so the quantile is of the larger of two t: 2.24 at most
    for end in (found.gap.low, found.gap.high):
        assert 1.9 < abs(end - found.gap.value) / math.sqrt(variance) < 2.35  # type: ignore[operator]


def test_equal_gaps_that_hit_different_groups_are_an_interaction() -> None:
    one, other, found = pair(
        *two_models({"a": 0.75, "b": 0.45}, {"a": 0.45, "b": 0.75}, {"a": 200, "b": 200}, 1)
    )
    assert found.interaction_p == 0.0005
    assert (found.worst_group_a, found.worst_group_b) == ("b", "a")
    assert found.gap.low < 0 < found.gap.high  # type: ignore[operator]
    assert one.worst_group != other.worst_group


def test_interaction_is_seldom_seen_where_there_is_none() -> None:
    p_values = [
        pair(
            *two_models({"a": 0.7, "b": 0.7}, {"a": 0.6, "b": 0.6}, {"a": 80, "b": 40}, seed),
            permutations=199,
        )[2]
        for seed in range(20)
    ]
    assert sum(float(found.interaction_p or 0) < 0.05 for found in p_values) <= 4


def test_interaction_of_a_bootstrapped_metric_agrees() -> None:
    for second, most in ((UNFAIR, 0.01), (FAIR, 1.0)):
        a, b = two_models(FAIR, second, seed=3)
        exact, resampled = (pair(a, b, metric)[2] for metric in (MEAN, MEAN_BY_BOOTSTRAP))
        assert exact.interaction_p is not None
        assert resampled.interaction_p is not None
        assert (
            exact.interaction_p <= resampled.interaction_p + 0.05
        )  # the projection is the more cautious one
        assert resampled.interaction_p <= most
        assert "paired differences" in resampled.test


def test_only_what_both_answered_is_compared() -> None:
    a, b = two_models(FAIR, UNFAIR)
    for table, lines in ((a, slice(0, 40)), (b, slice(20, 70))):
        table.status[lines] = "failed"
        table["score"][lines] = np.nan
    _, _, found = pair(a, b)
    rest = np.arange(70, len(a))
    _, _, expected = pair(a.take(rest), b.take(rest))
    assert found.note == f"on the {len(rest)} of {len(a)} samples that both answered"
    for name in ("overall", *DIFFERENCES):
        one, other = getattr(found, name), getattr(expected, name)
        assert (one.value, one.low, one.high) == pytest.approx(
            (other.value, other.low, other.high), abs=0.003
        )
    assert found.interaction_p == expected.interaction_p


def test_order_of_lines_does_not_matter() -> None:
    a, b = two_models(FAIR, UNFAIR)
    expected = pair(a, b)[2]
    found = pair(a, b.take(np.random.default_rng(1).permutation(len(b))))[2]
    assert (found.gap.low, found.gap.high, found.interaction_p) == pytest.approx(
        (expected.gap.low, expected.gap.high, expected.interaction_p)
    )


def test_lower_is_better_keeps_the_sign_of_the_metric() -> None:
    a, b = two_models(FAIR, UNFAIR)
    for table in (a, b):
        table.columns["error"] = 1 - table["score"]  # type: ignore[index]
    right = pair(a, b)[2]
    wrong = pair(a, b, mean_of("error", "error", higher_is_better=False))[2]
    assert wrong.worst.value == pytest.approx(-right.worst.value)  # type: ignore[operator]
    assert (wrong.worst.low, wrong.worst.high) == pytest.approx((-right.worst.high, -right.worst.low))  # type: ignore[operator]
    assert wrong.gap.value == pytest.approx(right.gap.value)
    assert wrong.fap.value == pytest.approx(-right.fap.value)  # type: ignore[operator]
    assert wrong.interaction_p == right.interaction_p


def test_fewer_than_two_groups_leave_the_overall_difference() -> None:
    a, b = two_models({"a": 0.7, "b": 0.7}, {"a": 0.6, "b": 0.7}, {"a": 40, "b": 5})
    _, _, found = pair(a, b)
    assert found.overall.value is not None
    assert found.gap.value is None
    assert found.note == "fewer than 2 groups can be compared in both models"
    assert found.interaction_p is None


def test_unbounded_metric_has_no_es_difference() -> None:
    a, b = two_models(FAIR, UNFAIR)
    _, _, found = pair(a, b, mean_of("score", "mean", range=None))
    assert found.es.value is None
    assert found.gap.low is not None


def with_other_groups(a: Table, b: Table) -> tuple[Comparison, Comparison]:
    b.groups["group"][b.groups["group"] == "c"] = "d"
    return compare_groups(a, MEAN, "group"), compare_groups(b, MEAN, "group")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda a, b: (compare_groups(a, MEAN, "group"), compare_groups(b, POOLED_F1, "group")),
            "differ in metric",
        ),
        (
            lambda a, b: (compare_groups(a, MEAN, "group"), compare_groups(b, MEAN, "group", lam=2)),
            "differ in settings",
        ),
        (
            lambda a, b: (
                compare_groups(a, MEAN, "group"),
                compare_groups(b.take(np.arange(90)), MEAN, "group"),
            ),
            "not about the same samples",
        ),
        (with_other_groups, "different groups of 'group'"),
        (
            lambda a, b: (
                dataclasses.replace(compare_groups(a, MEAN, "group"), basis=None),
                compare_groups(b, MEAN, "group"),
            ),
            "without its basis",
        ),
    ],
)
def test_what_is_not_about_the_same_is_refused(
    make: Callable[[Table, Table], tuple[Comparison, Comparison]], message: str
) -> None:
    a, b = (drawn_table(SIZES, FAIR, seed=0) for _ in range(2))
    with pytest.raises(UsageError, match=message):
        compare_models(*make(a, b))
