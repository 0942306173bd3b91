"""Differences of two and of many models, and ranks: against SciPy, by hand, and laws that must hold for any answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from nova_bench.errors import UsageError
from nova_bench.metrics.classification import mean_of, ratio_of
from nova_bench.metrics.detection import average_precision
from nova_bench.stats import (
    IDENTICAL,
    Difference,
    Rank,
    detectable_difference,
    differences,
    estimate,
    interval,
    model_difference,
    ranks,
)
from nova_bench.table import Ragged, Table
from nova_bench.types import Metric

ACCURACY = mean_of("right", "accuracy")
BY_BOOTSTRAP = Metric("accuracy", ("right",), ACCURACY.compute)
UNBOUNDED = replace(ACCURACY, range=None)


def table_of(
    right: list[float] | np.ndarray,
    patients: list[int] | np.ndarray | None = None,
    repeat: list[int] | None = None,
) -> Table:
    n = len(right)
    repeats = np.array(repeat or [0] * n)
    seen: dict[int, int] = {}
    names = []
    for r in repeats.tolist():
        names.append(f"s{seen.get(r, 0):04d}")
        seen[r] = seen.get(r, 0) + 1
    return Table(
        id=np.array(names, dtype=object),
        cluster=np.array([f"p{i:04d}" for i in (range(n) if patients is None else patients)], dtype=object),
        repeat=repeats,
        status=np.full(n, "ok", dtype=object),
        split=np.full(n, "test", dtype=object),
        groups={},
        columns={"right": np.asarray(right, dtype=float)},
    )


def ordered(n: int, ones: int, *, start: int = 0) -> np.ndarray:
    """Return n answers, `ones` of them right from `start` on."""
    right = np.zeros(n)
    right[start : start + ones] = 1
    return right


def plain(a: Table, b: Table, metric: Metric) -> tuple[float, float, float, float]:
    """Return value, error and limits of D +- t s of a ratio of sums, by hand; the lines stand in one order."""
    assert metric.sums is not None
    cases, repeats = np.unique(a.cluster.astype(str)), np.unique(a.repeat)
    value, d = 0.0, np.zeros(len(cases))
    for table, sign in ((a, -1), (b, 1)):
        num, den = metric.sums(table)
        for r in repeats:
            is_r = table.repeat == r
            ratio = num[is_r].sum() / den[is_r].sum()
            residual = np.where(is_r, (num - ratio * den) / den[is_r].sum(), 0.0)
            value += sign * ratio / len(repeats)
            d += sign * np.array([residual[table.cluster == case].sum() for case in cases]) / len(repeats)
    c = len(cases)
    s = float(np.sqrt(c / (c - 1) * (d**2).sum()))
    reach = scipy.stats.t.ppf(0.975, c - 1) * s
    return value, s, value - reach, value + reach


def test_one_question_a_patient_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(80), rng.random(80) + 0.1
    found = model_difference(table_of(a), table_of(b), UNBOUNDED)
    test = scipy.stats.ttest_rel(b, a)
    assert found[:3] == pytest.approx(
        (np.mean(b - a), scipy.stats.sem(b - a), test.confidence_interval().low)
    )
    assert (found.high, found.p) == pytest.approx((test.confidence_interval().high, test.pvalue))
    assert (found.n_clusters, found.n_differing, found.note) == (80, 80, None)
    assert found.detectable == pytest.approx(
        (scipy.stats.t.ppf(0.975, 79) + scipy.stats.norm.ppf(0.8)) * scipy.stats.sem(b - a)
    )


def test_value_and_error_are_those_by_hand() -> None:
    rng = np.random.default_rng(1)
    patients = np.sort(rng.integers(0, 60, 150))
    a, b = (table_of(rng.random(150) < 0.6, patients) for _ in range(2))
    for metric in (ACCURACY, BY_BOOTSTRAP):
        found = model_difference(a, b, metric, resamples=8000)
        error = 1e-9 if metric is ACCURACY else 0.03
        assert found.value == pytest.approx(plain(a, b, ACCURACY)[0])
        assert found.s == pytest.approx(plain(a, b, ACCURACY)[1], rel=error)
        assert found.n_clusters == len(set(patients.tolist()))
    exact, resampled = (model_difference(a, b, metric, resamples=8000) for metric in (ACCURACY, BY_BOOTSTRAP))
    assert resampled[:5] == pytest.approx(exact[:5], rel=0.04, abs=0.01)


def test_denominators_that_differ() -> None:
    rng = np.random.default_rng(2)
    f1 = ratio_of("above", "below", "f1")
    tables = []
    for _ in range(2):
        above = rng.integers(0, 5, 90)
        columns: dict[str, np.ndarray | Ragged] = {
            "above": 2.0 * above,
            "below": 1.0 * above + rng.integers(1, 6, 90),
        }
        tables.append(replace(table_of(np.zeros(90), np.arange(90) // 3), columns=columns))
    found = model_difference(*tables, replace(f1, range=None))
    assert found[:4] == pytest.approx(plain(*tables, f1))


@pytest.mark.parametrize("metric", [ACCURACY, BY_BOOTSTRAP])
def test_identical_answers(metric: Metric) -> None:
    a = table_of(ordered(100, 60))
    found = model_difference(a, a, metric)
    q = scipy.stats.t.ppf(0.975, 99)
    # Another hundred patients could have shown a difference in some: near the 3.7 of 100 of an exact 97.5% limit.
    reach = q**2 * 100 / 99 / 100
    assert found[:5] == pytest.approx((0, 0, -reach, reach, 1))
    assert 0.037 < reach < 0.041
    assert found.detectable == pytest.approx((q + scipy.stats.norm.ppf(0.8)) ** 2 * 100 / 99 / 100)
    assert (found.n_differing, found.note) == (0, IDENTICAL)


def test_a_range_without_an_end_is_none() -> None:
    a, b = table_of(ordered(30, 10)), table_of(ordered(30, 13))
    open_ended = replace(ACCURACY, range=(0.0, float("inf")))
    assert model_difference(a, b, open_ended) == model_difference(a, b, UNBOUNDED)


def test_answers_swapped_within_a_patient_are_not_identical() -> None:
    patients = np.arange(40) // 2
    a, b = table_of(np.tile([0, 1], 20), patients), table_of(np.tile([1, 0], 20), patients)
    found = model_difference(a, b, ACCURACY)
    assert (found.value, found.s, found.p, found.n_differing, found.note) == (0, 0, 1, 20, None)


@pytest.mark.parametrize(("differing", "is_told"), [(3, False), (5, False), (6, True), (9, True)])
def test_few_patients_all_one_way(differing: int, is_told: bool) -> None:
    a, b = table_of(ordered(400, 100)), table_of(ordered(400, 100 + differing))
    found = model_difference(a, b, ACCURACY)
    assert found.p is not None
    assert found.low is not None
    assert found.p >= scipy.stats.binomtest(0, differing).pvalue - 1e-12  # McNemar's exact test
    assert (found.p < 0.05, found.low > 0) == (is_told, is_told)
    assert (found.note is None) == is_told
    assert is_told or f"differ in {differing} of 400 clusters: too few to tell at alpha 0.05" in str(
        found.note
    )
    wilson = interval(differing / 400, found.s or 0, 400)
    assert found.high == pytest.approx(wilson.high, rel=0.02)
    assert found.high is not None
    assert found.high > plain(a, b, ACCURACY)[3]


def test_one_small_difference_promises_no_more_than_none() -> None:
    a = np.full(50, 0.5)
    b = a.copy()
    b[0] += 0.001
    found, none = (model_difference(table_of(a), table_of(other), ACCURACY) for other in (b, a))
    assert found.high == pytest.approx(none.high, rel=0.05)


def test_interval_is_the_plain_one_where_many_differ() -> None:
    rng = np.random.default_rng(3)
    a, b = (table_of(rng.random(200) < mean) for mean in (0.5, 0.6))
    assert model_difference(a, b, ACCURACY)[:4] == pytest.approx(plain(a, b, ACCURACY))


@pytest.mark.parametrize(("clusters", "size"), [(10, 0.001), (10, 0.01), (50, 0.0001), (200, 0.00001)])
def test_small_differences_all_one_way_are_told_by_test_and_interval_alike(
    clusters: int, size: float
) -> None:
    """All of them together are less than one cluster's whole range, which what was not drawn is taken for."""
    rng = np.random.default_rng(clusters)
    a = 0.5 * rng.random(clusters)
    b = a + size * (1 + 0.1 * rng.standard_normal(clusters))
    found, back = (
        model_difference(table_of(x), table_of(y), ACCURACY, alpha=0.05) for x, y in ((a, b), (b, a))
    )
    assert found.p is not None
    assert found.p < 0.05
    assert found.low == pytest.approx(scipy.stats.ttest_rel(b, a).confidence_interval().low)
    assert found.low is not None
    assert found.low > 0
    assert (back.value, back.low, back.high) == (-found.value, -found.high, -found.low)  # type: ignore[operator]
    assert found.value is not None
    assert found.detectable is not None
    assert (
        found.detectable < found.value
    )  # nearly ten standard errors were told; the set cannot be too small for that


@pytest.mark.parametrize("metric", [ACCURACY, UNBOUNDED])
@pytest.mark.parametrize(("clusters", "low"), [(6, 0.134), (10, 0.476), (20, 0.690), (100, 0.881)])
def test_the_same_difference_in_every_cluster_is_no_exact_knowledge(
    metric: Metric, clusters: int, low: float
) -> None:
    found = model_difference(table_of(np.zeros(clusters)), table_of(np.ones(clusters)), metric)
    assert (found.value, found.s, found.p) == (1, 0, 2.0 ** (1 - clusters))
    # Below an exact 97.5% limit, 0.54 to 0.96, and above 0 as the test says.
    assert found.low == pytest.approx(low, abs=0.001)
    assert found.low is not None
    assert found.low < 0.025 ** (1 / clusters)
    # What rounding leaves of a spread of 0 is none either.
    tenth = model_difference(table_of(np.zeros(clusters)), table_of(np.full(clusters, 0.1)), metric)
    assert tenth.low == pytest.approx(low / 10, abs=0.0001)


def test_where_no_difference_could_be_told_none_is_called_detectable() -> None:
    five = model_difference(table_of(np.zeros(5)), table_of(np.ones(5)), ACCURACY)
    assert (five.p, five.detectable) == (0.0625, None)  # five of five show nothing
    six = model_difference(table_of(np.zeros(6)), table_of(np.ones(6)), ACCURACY)
    assert (six.p, six.detectable) == (0.03125, 1)  # told, so that the largest difference can be
    few = model_difference(table_of(ordered(7, 3)), table_of(ordered(7, 3, start=3)), ACCURACY)
    assert (few.s is not None, few.low is not None, few.detectable) == (True, True, None)  # more than 1
    assert detectable_difference(0.3, 7) is detectable_difference(0.01, 5) is None
    assert detectable_difference(0.3, 7, range=None) is not None


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 12), st.sampled_from([0, 0.3, 0.301, 1.0]), st.sampled_from([0, 0.3, 0.301, 1.0])
        ),
        min_size=1,
        max_size=40,
    ),
    st.sampled_from([0.01, 0.05, 0.2]),
)
def test_laws(lines: list[tuple[int, float, float]], alpha: float) -> None:
    patients = [line[0] for line in lines]
    a, b = table_of([line[1] for line in lines], patients), table_of([line[2] for line in lines], patients)
    found, back = (model_difference(*pair, ACCURACY, alpha=alpha) for pair in ((a, b), (b, a)))
    assert found.value is not None
    assert found.n_clusters == len(set(patients))
    if found.n_clusters < 5:
        assert found.low is found.high is found.p is found.detectable is None
        assert "fewer than 5" in str(found.note)
        return
    assert found.low is not None
    assert found.high is not None
    assert found.p is not None
    assert back.low is not None
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert (found.p < alpha) == (not found.low <= 0 <= found.high)  # the test and the interval are one
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low))
    assert (back.p, back.detectable) == pytest.approx((found.p, found.detectable))
    assert found.p >= min(1, 2.0 ** (1 - found.n_differing))
    assert (found.note == IDENTICAL) == all(line[1] == line[2] for line in lines)


def test_repeats_are_averaged_and_order_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    patients = np.tile(np.arange(30) // 2, 3)
    repeat = np.repeat([0, 1, 2], 30).tolist()
    a, b = (table_of(rng.random(90) < 0.5, patients, repeat) for _ in range(2))
    for metric in (ACCURACY, BY_BOOTSTRAP):
        found = model_difference(a, b, metric)
        assert found.n_clusters == 15
        assert found.s == pytest.approx(plain(a, b, ACCURACY)[1], rel=1e-9 if metric is ACCURACY else 0.06)
        assert model_difference(a.take(rng.permutation(90)), b.take(rng.permutation(90)), metric) == found


@pytest.mark.parametrize("metric", [ACCURACY, BY_BOOTSTRAP])
def test_many_models_at_once_are_their_pairs(metric: Metric) -> None:
    rng = np.random.default_rng(5)
    patients = np.arange(60) // 2
    tables = [table_of(rng.random(60) < mean, patients) for mean in (0.2, 0.5, 0.5, 0.9)]
    tables.append(tables[1])
    found = differences(tables, metric)
    for i in range(5):
        for j in range(5):
            one, other = found.pair(i, j), model_difference(tables[i], tables[j], metric)
            assert one[:6] == pytest.approx(other[:6], abs=1e-12)
            assert one[6:] == other[6:]
    assert found.pair(1, 4).note == IDENTICAL


def boxes(score: list[float], hit: list[bool]) -> Table:
    """One true box and one found box an image."""
    n = len(score)
    columns: dict[str, np.ndarray | Ragged] = {
        "n_true": np.ones(n),
        "det_score": Ragged(np.array(score), np.arange(n + 1)),
        "det_hit": Ragged(np.repeat(np.array(hit)[:, None], 11, axis=1), np.arange(n + 1)),
    }
    return replace(table_of(np.zeros(n)), columns=columns)


def test_average_precision_counts_images_that_differ() -> None:
    score, hit = np.linspace(0.1, 0.9, 20).tolist(), [i % 2 == 0 for i in range(20)]
    found = model_difference(
        boxes(score, hit), boxes(score, [*hit[:-4], *[True] * 4]), average_precision(0.5)
    )
    assert found.n_differing == 2
    assert found.value is not None
    assert found.value > 0
    assert found.p == pytest.approx(0.5)  # two images that lean one way
    fewer = replace(boxes(score, hit), columns={**boxes(score, hit).columns, **_without_box(score, hit)})
    assert model_difference(boxes(score, hit), fewer, average_precision(0.5)).n_differing == 1


def _without_box(score: list[float], hit: list[bool]) -> dict[str, np.ndarray | Ragged]:
    """Return the columns of the same images, the first of them without its box."""
    offsets = np.concatenate([[0], np.arange(len(score))])
    return {
        "det_score": Ragged(np.array(score[1:]), offsets),
        "det_hit": Ragged(np.repeat(np.array(hit[1:])[:, None], 11, axis=1), offsets),
    }


def test_resamples_without_a_value_are_dropped_pair_by_pair() -> None:
    def half_defined(table: Table, weights: np.ndarray) -> np.ndarray:
        value = (weights @ table["right"]) / weights.sum(axis=1)
        return np.where(weights[:, 0] * table["right"][0] > 0, np.nan, value) if len(weights) > 1 else value

    metric = replace(BY_BOOTSTRAP, compute=half_defined)
    rng = np.random.default_rng(6)
    tables = [table_of(np.concatenate([[first], rng.random(30) < 0.5])) for first in (0.0, 0.0, 1.0)]
    found = differences(tables, metric)
    assert found.pair(0, 1).s == pytest.approx(model_difference(tables[0], tables[1], BY_BOOTSTRAP).s)
    lost = found.pair(0, 2)
    assert (lost.s, lost.low, lost.p, lost.detectable) == (None, None, None, None)
    assert lost.value is not None
    assert str(lost.note).startswith("no interval: undefined in 6")


def test_what_cannot_be_compared() -> None:
    empty = table_of([])
    for metric in (ACCURACY, BY_BOOTSTRAP):
        assert model_difference(empty, empty, metric) == Difference(
            None, None, None, None, None, None, 0, 0, "undefined: no samples that it counts"
        )
    undefined = ratio_of("right", "right", "share")
    zeros = table_of(np.zeros(10))
    assert model_difference(zeros, zeros, undefined)[0] is None
    a = table_of([1, 0, 1])
    with pytest.raises(UsageError, match="not about the same samples"):
        model_difference(a, table_of([1, 0]), ACCURACY)
    with pytest.raises(UsageError, match="different clusters"):
        model_difference(a, table_of([1, 0, 1], [0, 0, 1]), ACCURACY)
    with pytest.raises(UsageError, match="infer=False"):
        model_difference(a, a, replace(ACCURACY, infer=False))


def test_unbounded_metric_promises_nothing_beyond_what_was_seen() -> None:
    a = table_of(ordered(30, 10))
    assert model_difference(a, a, UNBOUNDED)[:5] == (0, 0, 0, 0, 1)


def test_what_a_set_could_show_before_there_is_a_second_run() -> None:
    rng = np.random.default_rng(7)
    a, b = (table_of(rng.random(300) < 0.6) for _ in range(2))
    alone, pair = estimate(a, ACCURACY), model_difference(a, b, ACCURACY)
    assert alone.s is not None
    assert detectable_difference(alone.s, 300) == pytest.approx(pair.detectable, rel=0.1)
    assert detectable_difference(alone.s, 300, correlation=0.75) == pytest.approx(
        0.5 * detectable_difference(alone.s, 300)  # type: ignore[operator]
    )
    assert detectable_difference(0.0, 300) == model_difference(a, a, ACCURACY).detectable
    assert detectable_difference(0.1, 4) is None


# Ranks


def test_ranks_correct_over_the_pairs_of_a_model() -> None:
    # Two tests of a model: the smaller of two p-values needs .025, then the other .05.
    p = np.array([[1, 0.03, 0.04], [0.03, 1, 0.02], [0.04, 0.02, 1]])
    difference = np.array([[0, 1, 1], [-1, 0, 1], [-1, -1, 0]])
    assert ranks(p, difference) == [Rank(1, 3), Rank(2, 2), Rank(1, 1)]
    assert [each.rank for each in ranks(p, difference) if each] == [1, 2, 1]
    assert ranks(p, -difference) == [Rank(1, 3), Rank(2, 2), Rank(3, 3)]
    assert ranks(p, difference, alpha=0.02) == [Rank(1, 3)] * 3  # below alpha, not at it


def test_ranks_of_two_of_one_and_of_a_model_without_a_number() -> None:
    two = np.array([[1, 0.01], [0.01, 1]])
    assert ranks(two, np.array([[0, 1], [-1, 0]])) == [Rank(2, 2), Rank(1, 1)]
    assert ranks(np.ones((2, 2)), np.zeros((2, 2))) == [Rank(1, 2)] * 2
    assert ranks(np.ones((1, 1)), np.zeros((1, 1))) == [Rank(1, 1)]
    gone = np.pad(two, (0, 1), constant_values=np.nan)
    difference = np.pad(np.array([[0.0, 1], [-1, 0]]), (0, 1), constant_values=np.nan)
    assert ranks(gone, difference) == [Rank(2, 2), Rank(1, 1), None]


def test_ranks_of_models_that_differ() -> None:
    rng = np.random.default_rng(8)
    tables = [table_of(rng.random(400) < mean) for mean in (0.2, 0.5, 0.5, 0.8)]
    found = differences(tables, ACCURACY)
    assert ranks(found.p, found.value) == [Rank(4, 4), Rank(2, 3), Rank(2, 3), Rank(1, 1)]
