"""What cannot be said of groups, failed samples, and wrong use: each a null with its reason, or a message."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from grouped import (
    COMPOSITES,
    MEAN,
    MEAN_BY_BOOTSTRAP,
    MEANS,
    SIZES,
    drawn_table,
    slice_of,
    table_of,
    wilson,
)

from nova_bench.errors import DataError, UnknownNameError, UsageError
from nova_bench.metrics.classification import case_mean_of, mean_of
from nova_bench.stats import compare_groups, estimate
from nova_bench.table import Table

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


def test_group_of_which_a_whole_repeat_failed_says_so() -> None:
    group = ["a", "b"] * 40
    patients = [f"p{i:02d}" for i in range(80)]
    ids = [f"s{i:02d}" for i in range(80)]
    lost = ["failed" if name == "b" else "ok" for name in group]
    table = table_of(
        group * 2,
        [1.0, 0.0] * 40 + [1.0 if state == "ok" else math.nan for state in lost],
        patient=patients * 2,
        repeat=[0] * 80 + [1] * 80,
        ids=ids * 2,
        status=["ok"] * 80 + lost,
    )
    found = {each.name: each for each in compare_groups(table, MEAN, "group", permutations=0).groups}
    assert found["a"].value == 1.0
    assert found["b"].value is None
    assert "in one of the repeats no answer counts" in (found["b"].note or "")
