"""Sentences on differences: units, direction, what is told and what is not, and no claim that two models are the same."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_bench.catalog import shipped_tasks
from nova_bench.compare_words import between, rounded_pair, sentence, unit_of

CLAIM = re.compile(
    r"\b(equal|equally|equivalent|as good|as well|same model|no better|no worse)\b", re.IGNORECASE
)


def entry(**more: Any) -> dict[str, Any]:
    """Return a comparison of which only what matters is given."""
    return {
        "metric": "ap50",
        "slice": "all",
        "a": "A",
        "b": "B",
        "outcome": "better",
        "difference": 0.05,
        "low": 0.02,
        "high": 0.09,
        "p": 0.001,
        "p_holm": 0.003,
        "tests": 3,
        "detectable": 0.06,
        "higher_is_better": True,
        "forced": None,
        "left_out": {},
        "note": None,
        **more,
    }


NO = {"outcome": "no difference told", "low": -0.02, "p": 0.3, "p_holm": 0.4}
TOP1, FNR = ("top1(normalised)", True), ("fnr50", False)


@pytest.mark.parametrize(
    ("metric", "more", "expected"),
    [
        (("ap50", True), {}, "ap50 of B is 0.02 to 0.09 higher than that of A, p=0.003 (Holm, 3 tests)"),
        (
            ("ap50", True),
            {"outcome": "worse", "low": -0.09, "high": -0.02, "tests": 1},
            "ap50 of B is 0.02 to 0.09 lower than that of A, p=0.003",
        ),
        (
            ("ap50", True),
            NO,
            "no difference can be told: ap50 of B is 0.02 lower to 0.09 higher than that of A, p=0.4 (Holm, 3 tests); "
            "this set could have shown 0.06, tested alone",
        ),
        (
            TOP1,
            {},
            "B is right on 2 to 9 more of 100 images than A: top1(normalised), p=0.003 (Holm, 3 tests)",
        ),
        (
            TOP1,
            NO,
            "no difference can be told: B is right on 2 fewer to 9 more of 100 images than A (top1(normalised)), p=0.4 (Holm, 3 tests); "
            "this set could have shown 6, tested alone",
        ),
        # Fewer missed lesions are more found ones, and the signs turn round.
        (
            FNR,
            {"low": -0.09, "high": -0.04},
            "B finds 4 to 9 more lesions per 100 than A: fnr50, p=0.003 (Holm, 3 tests)",
        ),
        (
            FNR,
            {"outcome": "worse", "low": 0.04, "high": 0.09},
            "B finds 4 to 9 fewer lesions per 100 than A: fnr50, p=0.003 (Holm, 3 tests)",
        ),
        (
            ("loss", False),
            {"low": -0.09, "high": -0.04},
            "loss of B is 0.04 to 0.09 lower than that of A, better, as lower is better, p=0.003 (Holm, 3 tests)",
        ),
        (
            ("loss", False),
            {"outcome": "worse", "low": 0.04},
            "loss of B is 0.04 to 0.09 higher than that of A, worse, as lower is better, p=0.003 (Holm, 3 tests)",
        ),
        (
            TOP1,
            NO | {"tests": 1, "p_holm": 0.3},
            "no difference can be told: B is right on 2 fewer to 9 more of 100 images than A (top1(normalised)), p=0.3; "
            "this set could have shown 6",
        ),
        (
            ("ap50", True),
            NO | {"detectable": None},
            "no difference can be told: ap50 of B is 0.02 lower to 0.09 higher than that of A, p=0.4 (Holm, 3 tests); "
            "no difference of any size could have been shown",
        ),
        # A p-value that rounding would put on alpha shows on which side it is.
        (
            ("ap50", True),
            {"p_holm": 0.04996},
            "ap50 of B is 0.02 to 0.09 higher than that of A, p=0.04996 (Holm, 3 tests)",
        ),
        (
            ("ap50", True),
            NO | {"tests": 1, "p": 0.0502, "p_holm": 0.0502},
            "no difference can be told: ap50 of B is 0.02 lower to 0.09 higher than that of A, p=0.0502; this set could have shown 0.06",
        ),
        # Significant alone, not among many.
        (
            TOP1,
            {"outcome": "no difference told", "p": 0.03, "p_holm": 0.4, "tests": 20},
            "no difference can be told among 20 tests: B is right on 2 to 9 more of 100 images than A (top1(normalised)) taken alone, "
            "p=0.03, but p=0.4 (Holm, 20 tests)",
        ),
        (
            ("ap50", True),
            {"outcome": "identical", "low": 0.0, "high": 0.0},
            "no difference between A and B: every answer scored the same, ap50",
        ),
        (
            ("ap50", True),
            {"outcome": "undefined", "difference": None, "note": "undefined on these samples"},
            "ap50 cannot be compared: undefined on these samples",
        ),
        (
            TOP1,
            {
                "outcome": "undefined",
                "low": None,
                "high": None,
                "note": "no interval: 3 clusters, fewer than 5",
            },
            "B is right on 5 more of 100 images than A (top1(normalised)), and whether this is chance cannot be said: no interval: 3 "
            "clusters, fewer than 5",
        ),
        (
            ("ap50", True),
            {
                "outcome": "undefined",
                "difference": 0.0,
                "low": None,
                "high": None,
                "note": "no interval: 3 clusters, fewer than 5",
            },
            "ap50 of A and B does not differ here, and what that shows cannot be said: no interval: 3 clusters, fewer than 5",
        ),
        (
            ("ap50", True),
            {"slice": "plane=axial", "forced": ["data"], "left_out": {"failed": 1, "missing": 3}},
            "forced, data differs: plane=axial: ap50 of B is 0.02 to 0.09 higher than that of A, p=0.003 (Holm, 3 tests); without 1 answer "
            "that failed in either run; without 3 answers that only one of the runs was asked for",
        ),
    ],
)
def test_sentences(metric: tuple[str, bool], more: dict[str, Any], expected: str) -> None:
    name, higher = metric
    made = entry(metric=name, higher_is_better=higher, **more)
    assert sentence(made, unit_of(name, (0, 1), higher_is_better=higher)) == expected


def test_answers_that_wait_or_failed_are_counted_in_one_answer() -> None:
    said = sentence(entry(left_out={"failed": 1, "judge_failed": 2}), None)
    assert (
        "without 1 answer that failed in either run; without 2 answers that wait for a verdict in either run"
        in said
    )


@given(
    st.sampled_from([("ap50", True), TOP1, FNR, ("loss", False)]),
    st.floats(-0.6, 0.6),
    st.floats(0.0001, 0.3),
    st.floats(0.0001, 1),
    st.sampled_from(["better", "worse", "no difference told", "identical", "undefined"]),
)
def test_no_sentence_claims_that_models_are_alike_and_none_says_0_for_what_is_not(
    metric: tuple[str, bool], value: float, half: float, p: float, outcome: str
) -> None:
    name, higher = metric
    low, high = value - half, value + half
    if low * high == 0 or (outcome in ("better", "worse") and low * high < 0):
        return
    made = entry(
        metric=name,
        higher_is_better=higher,
        outcome=outcome,
        difference=value,
        low=low,
        high=high,
        p=p,
        p_holm=p,
    )
    said = sentence(made, unit_of(name, (0, 1), higher_is_better=higher))
    assert not CLAIM.search(said)
    assert not re.search(r"(?<![\d.])0(\.0*)?\b (to|more|fewer|higher|lower)\b", said)
    if outcome == "no difference told":
        assert said.startswith("no difference can be told")
    if outcome in ("better", "worse"):
        word = {True: ("more", "higher"), False: ("fewer", "lower")}[(value > 0) == (name != "fnr50")]
        assert any(f" {each} " in said for each in word)


@given(st.floats(-50, 50), st.floats(0, 30))
def test_limits_keep_their_order_and_their_side(low: float, width: float) -> None:
    high = low + width
    said = between(low, high, "more", "fewer", places=0)
    numbers = [float(word) for word in re.findall(r"\d+(?:\.\d+)?", said)]
    if low < 0 < high:
        assert ("fewer to" in said, said.endswith(" more")) == (True, True)
    else:
        assert numbers == sorted(numbers)
        assert said.endswith((" more", " fewer"))
    for amount, number in zip(sorted((abs(low), abs(high))), sorted(numbers), strict=False):
        if len(numbers) == 2:
            assert number == pytest.approx(amount, abs=0.51)


def test_small_amounts_are_not_rounded_away() -> None:
    assert rounded_pair([0.004, 0.4], places=0) == ["under 0.01", "0.40"]
    assert rounded_pair([0.04, 4.0], places=0) == ["0.04", "4.00"]


def test_units_are_those_of_shipped_metrics_that_are_shares() -> None:
    counted = {}
    for task in shipped_tasks():
        for metric in task.metrics:
            unit = unit_of(metric.name, metric.range, higher_is_better=metric.higher_is_better)
            if unit is not None:
                counted[metric.name] = unit
                assert metric.sums is not None  # a share
                assert (unit.scale > 0) == metric.higher_is_better
    assert {name.partition("(")[0] for name in counted} == {
        *("fnr30", "fnr50", "hit30", "hit50", "acc50", "top1", "top5", "binary_accuracy", "exact_match")
    }
    assert "acc50(detection)" not in counted  # hits over hits and misses, not over images
    assert "each case weighing the same" in counted["top1(unit=case)"].does
    # A name that somebody else gave to another thing.
    assert unit_of("top1", (0, 100)) is None
    assert unit_of("top1", (0, 1), higher_is_better=False) is None
