"""Metrics of diagnoses, and the ratios of sums that other metrics are made of, by hand and against SciPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from nova_bench.metrics.classification import (
    accuracy,
    case_mean_of,
    coverage,
    diagnosis_metrics,
    entropy_of,
    mean_of,
    ratio_of,
)
from nova_bench.scorers.diagnosis import candidates_of, diagnosis_match, diagnosis_scorers, label_code
from nova_bench.table import Ragged, Table, build_columns
from nova_bench.types import Item, Metric, Prediction, Sample

NAN = float("nan")


@dataclass(frozen=True)
class Answer:
    """What a diagnosis task's parser returns, as far as the scorer reads it."""

    most_likely: str
    candidates: tuple[str, ...] = ()


def table_with(columns: dict[str, np.ndarray | Ragged], clusters: Sequence[str]) -> Table:
    names = np.array([f"s{i}" for i in range(len(clusters))], dtype=object)
    return Table(
        names, np.array(clusters, dtype=object), np.zeros(len(names), dtype=int), names, names, {}, columns
    )


def scored(*answers: tuple[Answer | None, str | None], clusters: Sequence[str] | None = None) -> Table:
    """Return the table of (answer, true diagnosis) pairs."""
    scorer = diagnosis_match()
    items = [
        Item(
            Sample(f"s{i}", (), {}, truth, "c", {}),
            Prediction("unparsed" if answer is None else "ok", answer),
        )
        for i, (answer, truth) in enumerate(answers)
    ]
    return table_with(
        build_columns(scorer.rows(items), scorer.columns), clusters or [f"case{i}" for i in range(len(items))]
    )


def metric_named(name: str) -> Metric:
    return next(metric for metric in diagnosis_metrics() if metric.name == name)


def value_of(metric: Metric, table: Table) -> float:
    return float(metric.compute(table, table.ones())[0])


def test_top1_and_top5_by_hand() -> None:
    table = scored(
        (Answer("Glioblastoma", ("Lymphoma", "Abscess")), "glioblastoma."),
        (Answer("Lymphoma", ("Abscess", "Glioblastoma")), "Glioblastoma"),
        (Answer("Lymphoma", ("Abscess",)), "Glioblastoma"),
        (None, "Glioblastoma"),
    )
    assert value_of(metric_named("top1(normalised)"), table) == 1 / 4
    assert value_of(metric_named("top5(normalised)"), table) == 2 / 4


def test_top5_counts_five_candidates_with_the_most_likely_once() -> None:
    others = ("a1", "a2", "a3", "a4", "truth")
    assert scored((Answer("first", others), "truth"))["top5(normalised)"][0] == 0
    assert scored((Answer("first", ("First", *others[1:])), "truth"))["top5(normalised)"][0] == 1
    assert candidates_of(Answer("first", ("a1", "first", " "))) == ("first", "a1")
    assert candidates_of(Answer("", ("a1", "a2"))) == ("a1", "a2")


def test_an_answer_without_a_most_likely_one_has_no_top1() -> None:
    table = scored((Answer("", ("glioma",)), "glioma"))
    assert (table["top1(normalised)"][0], table["top5(normalised)"][0]) == (0, 1)
    assert np.isnan(table["predicted_label"][0])


def test_a_sample_without_diagnosis_counts_nowhere() -> None:
    table = scored((Answer("glioma"), "glioma"), (Answer("glioma"), ""), (Answer("glioma"), None))
    for metric in diagnosis_metrics()[:4]:
        assert value_of(metric, table) == 1
    assert math.isnan(value_of(metric_named("top1(normalised)"), table.take(np.array([1, 2]))))


def test_each_case_weighs_the_same_with_unit_case() -> None:
    right, wrong = (Answer("glioma"), "glioma"), (Answer("abscess"), "glioma")
    table = scored(right, right, right, wrong, wrong, clusters=["a", "a", "a", "a", "b"])
    assert value_of(metric_named("top1(normalised)"), table) == 3 / 5
    assert value_of(metric_named("top1(normalised,unit=case)"), table) == pytest.approx((3 / 4 + 0) / 2)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 1.0, NAN])), max_size=9),
    st.lists(st.integers(0, 3), min_size=3, max_size=3),
)
def test_case_mean_of_resampled_cases_is_their_plain_mean(
    lines: list[tuple[str, float]], times: list[int]
) -> None:
    drawn = dict(zip("abc", times, strict=True))
    table = table_with({"hit": np.array([hit for _, hit in lines])}, [case for case, _ in lines])
    weights = np.array([[drawn[case] for case, _ in lines]], dtype=float)
    shares = []
    for case in "abc":
        known = [hit for name, hit in lines if name == case and not math.isnan(hit)]
        shares += [sum(known) / len(known)] * drawn[case] if known else []
    expected = sum(shares) / len(shares) if shares else NAN
    metric = case_mean_of("hit", "share")
    assert metric.compute(table, weights)[0] == pytest.approx(expected, nan_ok=True)
    assert metric.sums is not None
    num, den = metric.sums(table)
    assert (weights @ num)[0] == pytest.approx(expected * (weights @ den)[0] if shares else 0)


def test_case_mean_takes_unequal_weights_within_a_case() -> None:
    table = table_with({"hit": np.array([1.0, 0.0, 0.0])}, ["a", "a", "b"])
    # Case a: 3 of 4 with weight 3; case b: 0 with weight 1.
    assert case_mean_of("hit", "share").compute(table, np.array([[3.0, 1.0, 1.0]]))[0] == pytest.approx(
        3 * 0.75 / 4
    )


def test_coverage_counts_different_labels_and_can_exceed_one() -> None:
    table = scored(
        (Answer("Glioma"), "glioma"),
        (Answer("abscess"), "glioma"),
        (Answer("the abscess"), "Glioma"),
        (None, "glioma"),
    )
    metric = metric_named("coverage(normalised)")
    assert value_of(metric, table) == 2
    # Only the third and the fourth line.
    assert metric.compute(table, np.array([[0.0, 0, 2, 1], [0, 0, 0, 1], [0, 0, 0, 0]]))[:2].tolist() == [
        1,
        0,
    ]
    assert np.isnan(metric.compute(table, np.zeros((1, 4)))[0])
    assert not metric.infer


def test_entropy_of_all_five_lower_cased_labels_by_hand() -> None:
    table = scored((Answer("Glioma", ("Abscess",)), "x"), (Answer("glioma", ("lymphoma",)), "x"), (None, "x"))
    metric = metric_named("entropy")
    assert value_of(metric, table) == pytest.approx(1.5)
    assert (
        metric.compute(table, np.array([[0.0, 0, 1]]))[0]
        != metric.compute(table, np.array([[1.0, 0, 0]]))[0]
        == 1
    )
    assert math.isnan(value_of(metric, table.take(np.array([2]))))
    assert not metric.infer


@given(st.lists(st.lists(st.integers(0, 4), max_size=5), min_size=1, max_size=6), st.data())
def test_entropy_equals_scipy(labels: list[list[int]], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(labels), max_size=len(labels)))
    columns: dict[str, np.ndarray | Ragged] = {
        "labels": Ragged.of([np.array(entry, dtype=np.int64) for entry in labels])
    }
    pooled = [label for entry, weight in zip(labels, weights, strict=True) for label in entry * weight]
    value = entropy_of("labels", "entropy").compute(
        table_with(columns, ["a"] * len(labels)), np.array([weights], dtype=float)
    )[0]
    expected = scipy.stats.entropy(np.unique(pooled, return_counts=True)[1], base=2) if pooled else NAN
    assert value == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_label_codes_are_stable_and_exact_as_floats() -> None:
    assert label_code("glioma") == 121619901688999
    assert int(float(label_code("glioma"))) == label_code("glioma")
    assert len({label_code(str(i)) for i in range(5000)}) == 5000
    assert label_code("\ud83d") == label_code("\ufffd")


def test_columns_of_answers_without_any_label_are_ragged_and_empty() -> None:
    table = scored((None, "glioma"))
    assert len(table.ragged("candidate_labels")[0]) == 0
    assert math.isnan(value_of(metric_named("entropy"), table))


def test_worst_and_best_answers() -> None:
    scorer = diagnosis_match()
    assert scorer.bounds is not None
    worst, best = scorer.bounds(Sample("a", (), {}, "Glioma", "c", {}))
    real = next(
        iter(scorer.rows([Item(Sample("a", (), {}, "Glioma", "c", {}), Prediction("ok", Answer("Glioma")))]))
    )
    assert (worst["top1(normalised)"], worst["top5(normalised)"]) == (0, 0)
    assert {name: np.asarray(value).tolist() for name, value in best.items()} == {
        name: np.asarray(value).tolist() for name, value in real.items()
    }


def test_diagnosis_metrics_of_a_judge_read_that_judges_columns() -> None:
    metrics = diagnosis_metrics("judge=acme")
    assert [metric.name for metric in metrics] == [
        "top1(judge=acme)",
        "top5(judge=acme)",
        "top1(judge=acme,unit=case)",
        "top5(judge=acme,unit=case)",
    ]
    assert {column for metric in metrics for column in metric.needs} == {
        "top1(judge=acme)",
        "top5(judge=acme)",
    }


def test_diagnosis_scorers_cover_every_metric() -> None:
    columns = {column for scorer in diagnosis_scorers() for column in scorer.columns}
    for metric in diagnosis_metrics():
        assert set(metric.needs) <= columns
        assert metric.about


def test_mean_and_ratio_leave_out_nan_and_zero_weights() -> None:
    table = table_with({"a": np.array([1.0, 0.0, NAN, 1.0]), "b": np.array([2.0, 2.0, 1.0, NAN])}, ["c"] * 4)
    weights = np.array([[1.0, 1, 1, 1], [3, 1, 0, 0], [0, 0, 1, 0]])
    np.testing.assert_allclose(mean_of("a", "mean").compute(table, weights), [2 / 3, 3 / 4, NAN])
    np.testing.assert_allclose(accuracy("a").compute(table, weights), [2 / 3, 3 / 4, NAN])
    np.testing.assert_allclose(ratio_of("a", "b", "ratio").compute(table, weights), [1 / 4, 3 / 8, NAN])


def test_metrics_of_an_empty_table_are_undefined() -> None:
    table = scored((Answer("glioma"), "glioma")).take(np.zeros(0, dtype=int))
    for metric in diagnosis_metrics():
        assert np.isnan(metric.compute(table, np.ones((2, 0)))).all()


def test_coverage_of_columns_without_truth_is_undefined() -> None:
    table = table_with({"p": np.array([1.0]), "t": np.array([NAN])}, ["c"])
    assert math.isnan(value_of(coverage("p", "t", "coverage"), table))
