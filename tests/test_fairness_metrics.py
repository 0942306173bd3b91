"""The point formulas of fairness: against fairlearn, FairCLIP's table, hand-made numbers, and the properties they must have."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nova_bench.errors import NovaBenchError, UnknownNameError, UsageError
from nova_bench.metrics.fairness import equity_scaled, fap, gap, ratio, worst

SCORES = {"asian": 0.5, "black": 0.6, "white": 0.8}
COUNTS = {"asian": 10, "black": 30, "white": 60}
MEMBERS = [(deviation, weights) for deviation in ("wstd", "wmad", "max") for weights in ("size", "uniform")]

finite = st.floats(0, 1, allow_nan=False)
tables = st.dictionaries(st.text(min_size=1, max_size=3), st.tuples(finite, st.integers(1, 500)), min_size=1)


def of(table: dict[str, tuple[float, int]]) -> tuple[dict[str, float], dict[str, int]]:
    return {name: score for name, (score, _) in table.items()}, {name: n for name, (_, n) in table.items()}


@pytest.mark.parametrize(
    ("deviation", "weights", "expected"),
    [
        # wmean .71: deviations -.21, -.11, .09 with weights .1, .3, .6
        ("wstd", "size", 0.71 - math.sqrt(0.1 * 0.0441 + 0.3 * 0.0121 + 0.6 * 0.0081)),
        ("wmad", "size", 0.71 - (0.021 + 0.033 + 0.054)),
        ("max", "size", 0.71 - 0.21),
        # mean .6333: deviations -.1333, -.0333, .1667
        ("wstd", "uniform", 0.63333333 - math.sqrt((0.0177777778 + 0.0011111111 + 0.0277777778) / 3)),
        ("wmad", "uniform", 0.63333333 - 0.33333333 / 3),
        ("max", "uniform", 0.63333333 - 0.16666667),
    ],
)
def test_fap_by_hand(deviation: str, weights: str, expected: float) -> None:
    assert fap(SCORES, COUNTS, deviation=deviation, weights=weights) == pytest.approx(expected, abs=1e-8)


def test_fap_takes_lambda_times_the_deviation() -> None:
    mean, once = fap(SCORES, COUNTS, lam=0), fap(SCORES, COUNTS)
    assert mean == pytest.approx(0.71)
    assert fap(SCORES, COUNTS, lam=2.5) == pytest.approx(mean - 2.5 * (mean - once))


@pytest.mark.parametrize(("deviation", "weights"), MEMBERS)
@given(table=tables, lam=st.floats(0, 10))
def test_fap_does_not_depend_on_the_order_of_groups(
    deviation: str, weights: str, table: dict[str, tuple[float, int]], lam: float
) -> None:
    scores, counts = of(table)
    turned = dict(reversed(list(scores.items())))
    one, other = (
        fap(each, counts, lam=lam, deviation=deviation, weights=weights) for each in (scores, turned)
    )
    assert one == other


@pytest.mark.parametrize(("deviation", "weights"), MEMBERS)
@given(score=finite, counts=st.lists(st.integers(1, 500), min_size=1, max_size=6), lam=st.floats(0, 10))
def test_fap_of_equal_groups_is_their_score(
    deviation: str, weights: str, score: float, counts: list[int], lam: float
) -> None:
    names = [f"g{i}" for i in range(len(counts))]
    found = fap(
        dict.fromkeys(names, score),
        dict(zip(names, counts, strict=True)),
        lam=lam,
        deviation=deviation,
        weights=weights,
    )
    assert found == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize(("deviation", "weights"), MEMBERS)
@given(table=tables, lam=st.floats(0, 10), stretch=st.floats(1, 3))
def test_fap_falls_or_stays_as_the_spread_grows_at_the_same_mean(
    deviation: str, weights: str, table: dict[str, tuple[float, int]], lam: float, stretch: float
) -> None:
    scores, counts = of(table)
    mean = fap(scores, counts, lam=0, weights=weights)
    wider = {name: mean + stretch * (score - mean) for name, score in scores.items()}
    assert fap(wider, counts, lam=0, weights=weights) == pytest.approx(mean, abs=1e-9)
    one, other = (
        fap(each, counts, lam=lam, deviation=deviation, weights=weights) for each in (scores, wider)
    )
    assert other <= one + 1e-9


@pytest.mark.parametrize(
    ("overall", "groups", "printed"),
    [(0.6902, (0.7242, 0.7078, 0.6741), 0.6464), (0.6902, (0.6628, 0.7253), 0.6495)],
)
def test_equity_scaled_gives_the_rows_of_fairclip(
    overall: float, groups: tuple[float, ...], printed: float
) -> None:
    scores = {f"g{i}": score for i, score in enumerate(groups)}
    assert equity_scaled(overall, scores) == pytest.approx(printed, abs=1.5e-4)


def test_equity_scaled_charges_alpha_times_the_sum() -> None:
    # |.5 - .7| + |.6 - .7| + |.8 - .7| = .4
    assert equity_scaled(0.7, SCORES) == pytest.approx(0.7 / 1.4)
    assert equity_scaled(0.7, SCORES, alpha=0.5) == pytest.approx(0.7 / 1.2)
    assert equity_scaled(0.7, SCORES, alpha=0) == 0.7
    assert equity_scaled(0.7, {"a": 0.7, "b": 0.7}) == 0.7


@given(
    answers=st.lists(
        st.tuples(st.sampled_from("abcd"), st.booleans(), st.booleans()), min_size=2, max_size=60
    )
)
@settings(deadline=None, max_examples=40)
def test_worst_gap_and_ratio_are_fairlearns(answers: list[tuple[str, bool, bool]]) -> None:
    from fairlearn.metrics import MetricFrame

    group, truth, predicted = (np.array(each) for each in zip(*answers, strict=True))
    frame = MetricFrame(
        metrics=lambda y_true, y_pred: float((y_true == y_pred).mean()),
        y_true=truth,
        y_pred=predicted,
        sensitive_features=group,
    )
    scores = {str(name): float((truth == predicted)[group == name].mean()) for name in np.unique(group)}
    assert worst(scores) == pytest.approx(frame.group_min())
    assert worst(scores, higher_is_better=False) == pytest.approx(frame.group_max())
    assert gap(scores) == pytest.approx(frame.difference(method="between_groups"))
    if frame.group_max() > 0:
        assert ratio(scores) == pytest.approx(frame.ratio(method="between_groups"))
    else:
        assert math.isnan(ratio(scores))


def test_uniform_max_deviation_is_fairlearns_difference_to_overall() -> None:
    from fairlearn.metrics import MetricFrame

    right = np.array([1, 0, 1, 1, 1, 0, 0, 1])
    group = np.array(list("aabbbbcc"))
    frame = MetricFrame(
        metrics=lambda y_true, y_pred: float(y_pred.mean()),
        y_true=right,
        y_pred=right,
        sensitive_features=group,
    )
    scores = {str(name): float(right[group == name].mean()) for name in np.unique(group)}
    counts = {name: int((group == name).sum()) for name in scores}
    charged = fap(scores, counts, lam=0) - fap(scores, counts, deviation="max")
    assert charged == pytest.approx(frame.difference(method="to_overall"))


def test_one_group_has_no_gap_and_its_own_score() -> None:
    assert gap({"a": 0.3}) == 0
    assert ratio({"a": 0.3}) == 1
    assert fap({"a": 0.3}, {"a": 1}) == 0.3


def test_group_without_samples_has_no_weight_by_size() -> None:
    without = fap({"a": 0.4, "b": 0.9}, {"a": 5, "b": 0})
    assert without == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fap({}, {}), "no groups"),
        (lambda: gap({}), "no groups"),
        (lambda: worst({}), "no groups"),
        (lambda: ratio({}), "no groups"),
        (lambda: equity_scaled(0.5, {}), "no groups"),
        (lambda: fap({"a": math.nan}, {"a": 1}), "'a' has the score nan"),
        (lambda: gap({"a": 0.1, "b": math.inf}), "'b' has the score inf"),
        (lambda: worst({"a": None}), "'a' has the score None"),  # type: ignore[dict-item]
        (lambda: ratio({"a": -0.1, "b": 0.5}), "'a' has the score -0.1"),
        (lambda: equity_scaled(math.nan, {"a": 0.5}), "overall score is nan"),
        (lambda: equity_scaled(0.5, {"a": 0.5}, alpha=-1), "alpha is -1"),
        (lambda: fap({"a": 0.5}, {"a": -1}), "'a' has the count -1"),
        (lambda: fap({"a": 0.5}, {"a": math.nan}), "'a' has the count nan"),
        (lambda: fap({"a": 0.5}, {"a": 0}), "all counts are 0"),
        (lambda: fap({"a": 0.5}, {"b": 1}), r"no count for \['a'\], no score for \['b'\]"),
        (lambda: fap({"a": 0.5}, {"a": 1}, lam=-0.5), "lambda is -0.5"),
        (lambda: fap({"a": 0.5}, {"a": 1}, lam=math.nan), "lambda is nan"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=message):
        call()


def test_unknown_members_are_refused_with_the_closest_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'wstd'"):
        fap(SCORES, COUNTS, deviation="std")
    with pytest.raises(NovaBenchError, match="did you mean 'uniform'"):
        fap(SCORES, COUNTS, weights="unifrom")
