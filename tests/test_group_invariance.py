"""What must not change the comparison of groups: scale, direction, order, names, company; and the detectable gap."""

from __future__ import annotations

import dataclasses
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
    numbers,
    three_groups,
)

from nova_bench.metrics.classification import mean_of
from nova_bench.stats import Comparison, compare_groups, compare_table
from nova_bench.stats.power import detectable_gap, planned_error
from nova_bench.types import Metric


@pytest.fixture(scope="module")
def three() -> tuple[Comparison, list[Measures]]:
    """Three groups, and (value, s, patients, weight) of each."""
    return three_groups()


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


# Power


def test_detectable_gap_by_hand(three: tuple[Comparison, list[Measures]]) -> None:
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
