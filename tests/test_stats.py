"""Standard errors and intervals of one number, against formulas by hand, SciPy, published tables and simulation."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from nova_bench.errors import UsageError
from nova_bench.metrics.detection import average_precision
from nova_bench.stats import (
    bootstrap_standard_error,
    estimate,
    interval,
    iterate_weights,
    model_difference,
    ratio_standard_error,
    resampling_weights,
)
from nova_bench.table import Table
from nova_bench.types import Metric


def load_simulation() -> ModuleType:
    """Return benchmarks/coverage.py, whose simulated data the tests share."""
    path = Path(__file__).parents[1] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


simulation = load_simulation()
MEAN: Metric = simulation.mean_metric()
MEAN_BY_BOOTSTRAP = Metric("mean", ("score",), MEAN.compute)


def table_of(
    score: list[float], cluster: list[str], repeat: list[int] | None = None, ids: list[str] | None = None
) -> Table:
    n = len(score)
    return Table(
        id=np.array(ids or [f"s{i:03d}" for i in range(n)], dtype=object),
        cluster=np.array(cluster, dtype=object),
        repeat=np.array(repeat or [0] * n),
        status=np.full(n, "ok", dtype=object),
        split=np.full(n, "test", dtype=object),
        groups={},
        columns={"score": np.array(score, dtype=float)},
    )


# Weights


def test_weights_of_all_resamples_draw_as_many_clusters_as_there_are() -> None:
    weights = resampling_weights(40, resamples=5000)
    assert weights.shape == (5000, 40)
    assert np.issubdtype(weights.dtype, np.integer)
    assert (weights.sum(axis=1) == 40).all()
    # a multinomial count has mean 1 and variance 1 - 1/c; 200,000 of them
    assert weights.mean() == 1
    assert weights.var() == pytest.approx(1 - 1 / 40, rel=0.02)
    assert np.corrcoef(weights[:, 0], weights[:, 1])[0, 1] == pytest.approx(-1 / 39, abs=0.05)


def test_weights_are_the_same_for_the_same_key_and_differ_otherwise() -> None:
    weights = resampling_weights(30, resamples=20, seed=1, key=("plane", "axial"))
    assert np.array_equal(weights, resampling_weights(30, resamples=20, seed=1, key=("plane", "axial")))
    for other in ({"seed": 2, "key": ("plane", "axial")}, {"seed": 1, "key": ("planeaxial",)}, {"seed": 1}):
        assert not np.array_equal(weights, resampling_weights(30, resamples=20, **other))


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_weights_in_chunks_are_the_same_draws(chunk: int) -> None:
    chunks = list(iterate_weights(12, resamples=150, seed=3, key=("a",), chunk=chunk))
    assert max(len(weights) for weights in chunks) <= chunk
    assert np.array_equal(np.concatenate(chunks), resampling_weights(12, resamples=150, seed=3, key=("a",)))


def test_weights_without_clusters_are_empty() -> None:
    assert resampling_weights(0, resamples=5).shape == (0, 0)


# Standard errors


def test_ratio_error_with_single_lines_is_the_standard_error_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(3, 2, 57)
    mean, s = ratio_standard_error(values, np.ones(57), np.arange(57), 57)
    assert mean == pytest.approx(values.mean(), rel=1e-12)
    assert s == pytest.approx(scipy.stats.sem(values), rel=1e-12)


def test_ratio_error_with_clusters_is_the_survey_formula() -> None:
    # the linearised variance of survey packages: c / (c - 1) * sum (z_i - mean z)^2 with z_i = (num_i - M den_i) / sum den
    num, den = np.array([2.0, 1, 0, 4, 3]), np.array([3.0, 2, 2, 5, 3])
    codes = np.array([0, 0, 1, 2, 2])
    value = 10 / 15
    z = [(3 - value * 5) / 15, (0 - value * 2) / 15, (7 - value * 8) / 15]
    expected = math.sqrt(3 / 2 * sum((each - sum(z) / 3) ** 2 for each in z))
    assert ratio_standard_error(num, den, codes, 3) == pytest.approx((value, expected), rel=1e-12)


def test_ratio_error_without_denominator_is_nan() -> None:
    value, s = ratio_standard_error(np.zeros(3), np.zeros(3), np.arange(3), 3)
    assert math.isnan(value)
    assert math.isnan(s)


def test_ratio_error_with_one_cluster_is_nan() -> None:
    value, s = ratio_standard_error(np.array([1.0, 0.0]), np.ones(2), np.zeros(2, int), 1)
    assert value == 0.5
    assert math.isnan(s)


def test_bootstrap_error_of_a_mean_is_scipys() -> None:
    values = np.random.default_rng(1).gamma(2, size=40)
    ours, undefined = bootstrap_standard_error(resampling_weights(40, resamples=20_000) @ values / 40, 40)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    )
    assert undefined == 0
    assert ours == pytest.approx(theirs.standard_error * math.sqrt(40 / 39), rel=0.02)


@pytest.mark.parametrize("draw", ["binary_table", "pooled_f1_table"])
def test_bootstrap_and_exact_error_agree(draw: str) -> None:
    table = getattr(simulation, draw)(np.random.default_rng(4), 300, 0.7)
    metric = MEAN if draw == "binary_table" else simulation.pooled_f1()
    by_bootstrap = Metric(metric.name, metric.needs, metric.compute)
    exact, resampled = estimate(table, metric), estimate(table, by_bootstrap, resamples=8000)
    assert resampled.value == pytest.approx(exact.value, rel=1e-12)
    assert resampled.s == pytest.approx(exact.s, rel=0.03)


def test_bootstrap_error_of_average_precision_is_that_of_tables_put_together_by_hand() -> None:
    table, metric = simulation.detection_table(np.random.default_rng(5), 12, 0.6), average_precision(0.5)
    codes, c = table.cluster_codes()
    values = []
    for weights in resampling_weights(c, resamples=60, seed=7, key=("x", "y")):
        drawn = table.take(np.repeat(np.arange(len(table)), weights[codes]))
        values.append(metric.compute(drawn, drawn.ones())[0])
    expected = np.std(values, ddof=1) * math.sqrt(c / (c - 1))
    assert estimate(table, metric, resamples=60, seed=7, key=("x", "y")).s == pytest.approx(
        expected, rel=1e-9
    )


def test_bootstrap_error_drops_a_few_undefined_resamples_and_refuses_many() -> None:
    values = np.random.default_rng(6).normal(size=1000)
    few, many = values.copy(), values.copy()
    few[:50], many[:51] = np.nan, np.nan
    s, undefined = bootstrap_standard_error(few, 20)
    assert s == pytest.approx(values[50:].std(ddof=1) * math.sqrt(20 / 19), rel=1e-12)
    assert undefined == pytest.approx(0.05)
    assert math.isnan(bootstrap_standard_error(many, 20)[0])


# Intervals


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (1, 29, 0.0061, 0.1718)],
)
def test_interval_of_independent_binary_answers_is_wilsons_as_published(
    hits: int, n: int, low: float, high: float
) -> None:
    mean = hits / n
    # ten million clusters: t is normal; the error of n independent answers
    found = interval(mean, math.sqrt(mean * (1 - mean) / n), 10_000_000)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)
    wilson = scipy.stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), rel=1e-5)


def test_interval_uses_students_t_and_the_effective_size() -> None:
    mean, s, c = 0.7, 0.06, 18
    q, m = scipy.stats.t.ppf(0.95, c - 1), mean * (1 - mean) / s**2
    centre = (mean + q**2 / (2 * m)) / (1 + q**2 / m)
    half = q * math.sqrt(mean * (1 - mean) / m + q**2 / (4 * m**2)) / (1 + q**2 / m)
    found = interval(mean, s, c, alpha=0.1)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half), rel=1e-12)


@pytest.mark.parametrize(("mean", "s"), [(1.0, 0.0), (1 - 1e-16, 1e-17), (0.0, 0.0)])
def test_interval_at_an_end_of_the_range_takes_the_clusters_for_the_size(mean: float, s: float) -> None:
    q, c = scipy.stats.t.ppf(0.975, 24), 25
    far = q**2 / (c + q**2)
    found = interval(mean, s, c)
    expected = (1 - far, 1.0) if mean > 0.5 else (0.0, far)
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-12)


def test_interval_without_spread_inside_the_range_takes_the_clusters_for_the_size() -> None:
    assert interval(0.5, 0.0, 30) == pytest.approx(interval(0.5, math.sqrt(0.25 / 30), 30))


def test_interval_with_an_error_larger_than_the_range_allows_is_that_of_one_sample() -> None:
    assert interval(0.5, 3.0, 10) == pytest.approx(interval(0.5, 0.5, 10))


def test_interval_follows_the_declared_range() -> None:
    low, high, _ = interval(0.3, 0.05, 40)
    percent = interval(30, 5, 40, range=(0, 100))
    signed = interval(-0.4, 0.1, 40, range=(-1, 1))
    assert low is not None
    assert high is not None
    assert (percent.low, percent.high) == pytest.approx((100 * low, 100 * high))
    assert (signed.low, signed.high) == pytest.approx((2 * low - 1, 2 * high - 1))


def test_interval_of_an_unbounded_metric_is_students() -> None:
    expected = scipy.stats.t.interval(0.95, 11, loc=7.0, scale=0.5)
    assert interval(7.0, 0.5, 12, range=None)[:2] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("value", "s", "c", "reason"),
    [
        (0.5, 0.1, 4, "4 clusters, fewer than 5"),
        (0.5, math.nan, 9, "no standard error"),
        (math.nan, math.nan, 9, "undefined"),
    ],
)
def test_interval_that_cannot_be_given_says_why(value: float, s: float, c: int, reason: str) -> None:
    low, high, note = interval(value, s, c)
    assert low is None
    assert high is None
    assert reason in str(note)


@given(st.floats(0, 1), st.floats(0, 2), st.integers(5, 10**6))
def test_interval_stays_in_the_range_and_holds_the_value(mean: float, s: float, c: int) -> None:
    low, high, note = interval(mean, s, c)
    assert low is not None
    assert high is not None
    assert 0 <= low <= mean <= high <= 1
    assert note is None


# One metric on one table


def test_estimate_of_binary_answers_with_clusters() -> None:
    table = table_of([1, 1, 0, 1, 0, 1, 1], ["a", "a", "b", "c", "d", "e", "e"])
    value, s, low, high, n_clusters, note = estimate(table, MEAN)
    codes, c = table.cluster_codes()
    assert (value, s) == pytest.approx(ratio_standard_error(table["score"], np.ones(7), codes, c))
    assert value is not None
    assert s is not None
    assert (low, high) == interval(value, s, 5)[:2]
    assert (n_clusters, note) == (5, None)


def test_estimate_does_not_depend_on_the_order_of_lines() -> None:
    table = simulation.binary_table(np.random.default_rng(8), 20, 0.6)
    shuffled = table.take(np.random.default_rng(9).permutation(len(table)))
    for metric in (MEAN, MEAN_BY_BOOTSTRAP):
        assert estimate(shuffled, metric)[:5] == pytest.approx(estimate(table, metric)[:5], rel=1e-9)


def test_estimate_of_repeats_is_the_mean_over_repeats_of_the_metric() -> None:
    # repeat 1 lacks one sample, so that pooling the lines would give 4/7
    score, cluster = [1, 0, 1, 1, 1, 0, 0], ["a", "b", "b", "c", "a", "b", "c"]
    table = table_of(score, cluster, repeat=[0, 0, 0, 0, 1, 1, 1], ids=["p", "q", "r", "s", "p", "q", "s"])
    first, second = 3 / 4, 1 / 3
    influence = [
        ((1 - first) / 4 + (1 - second) / 3) / 2,
        ((1 - 2 * first) / 4 + (0 - second) / 3) / 2,
        ((1 - first) / 4 + (0 - second) / 3) / 2,
    ]
    value, s, *_ = estimate(table, MEAN)
    assert value == pytest.approx((first + second) / 2, rel=1e-12)
    assert s == pytest.approx(math.sqrt(3 / 2 * sum(each**2 for each in influence)), rel=1e-12)


def test_estimate_of_repeats_by_bootstrap_shares_the_patients_weights() -> None:
    one = simulation.binary_table(np.random.default_rng(10), 60, 0.6)
    n = len(one)
    twice = one.take(np.repeat(np.arange(n), 2))
    twice = Table(twice.id, twice.cluster, np.tile([0, 1], n), twice.status, twice.split, {}, twice.columns)
    # a model that answers alike each time: repeats add nothing, neither to the value nor to the certainty
    for metric in (MEAN, MEAN_BY_BOOTSTRAP):
        assert estimate(twice, metric)[:5] == pytest.approx(estimate(one, metric)[:5], rel=1e-9)


def test_estimate_counts_only_clusters_with_a_share_in_the_denominator() -> None:
    recall = Metric("recall", ("score",), MEAN.compute, sums=lambda table: (table["score"], table["score"]))
    # 40 patients, of whom 6 have a true box, all found: 6 patients say so, not 40
    table = table_of([1.0] * 6 + [0.0] * 34, [f"p{i:02d}" for i in range(40)])
    found = estimate(table, recall)
    assert found.n_clusters == 6
    assert found[:4] == (1.0, 0.0, *interval(1.0, 0.0, 6)[:2])


def test_estimate_without_inference_has_a_value_only() -> None:
    count = Metric("tp", ("score",), lambda table, weights: weights @ table["score"], range=None, infer=False)
    assert estimate(table_of([1, 1, 0], ["a", "b", "c"]), count) == (2.0, None, None, None, 3, None)


def test_estimate_of_nothing_is_undefined() -> None:
    empty = table_of([1.0], ["a"]).take(np.zeros(0, int))
    assert estimate(empty, MEAN) == (None, None, None, None, 0, "undefined: no samples")


@pytest.mark.parametrize("exact", [True, False])
def test_estimate_of_an_undefined_metric_is_none_with_a_note(exact: bool) -> None:
    def sums(table: Table) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(len(table)), np.zeros(len(table))

    undefined = Metric(
        "recall", (), lambda table, weights: np.full(len(weights), np.nan), sums=sums if exact else None
    )
    value, s, low, high, _, note = estimate(table_of([1.0] * 9, list("abcdefghi")), undefined)
    assert (value, s, low, high) == (None, None, None, None)
    assert "undefined" in str(note)


def test_estimate_undefined_in_many_resamples_has_a_value_but_no_interval() -> None:
    table = simulation.detection_table(np.random.default_rng(11), 12, 0.6)
    n_true = np.where(
        table.cluster == "0000003", table["n_true"], 0
    )  # true boxes in one patient only: drawn in 65% of resamples
    table = Table(
        table.id,
        table.cluster,
        table.repeat,
        table.status,
        table.split,
        {},
        {**table.columns, "n_true": n_true},
    )
    value, s, low, high, _, note = estimate(table, average_precision(0.5))
    assert value is not None
    assert (s, low, high) == (None, None, None)
    assert "undefined in 3" in str(note)


def test_estimate_of_few_clusters_has_a_value_and_the_reason() -> None:
    for metric in (MEAN, MEAN_BY_BOOTSTRAP):
        value, _, low, high, n_clusters, note = estimate(table_of([1, 0, 1, 1], ["a", "b", "c", "d"]), metric)
        assert (value, low, high, n_clusters) == (0.75, None, None, 4)
        assert note == "no interval: 4 clusters, fewer than 5"


def test_estimate_with_weights_drawn_once_is_the_same() -> None:
    table = simulation.binary_table(np.random.default_rng(12), 25, 0.6)
    weights = resampling_weights(25, resamples=300, seed=5, key=("plane", "axial"))
    drawn = estimate(table, MEAN_BY_BOOTSTRAP, resamples=300, seed=5, key=("plane", "axial"))
    assert estimate(table, MEAN_BY_BOOTSTRAP, weights=weights) == drawn
    assert estimate(table, MEAN_BY_BOOTSTRAP, resamples=300, seed=5, key=("plane", "coronal")).s != drawn.s
    with pytest.raises(ValueError, match="one column a cluster"):
        estimate(table, MEAN_BY_BOOTSTRAP, weights=weights[:, :-1])


def test_bootstrap_takes_resamples_in_chunks_on_a_large_table() -> None:
    largest = 0

    def compute(table: Table, weights: np.ndarray) -> np.ndarray:
        nonlocal largest
        largest = max(largest, weights.size)
        return weights.mean(axis=1)

    table = table_of([0.0] * 30_000, [f"p{i % 300:03d}" for i in range(30_000)])
    estimate(table, Metric("chunked", (), compute), resamples=200)
    assert 30_000 < largest <= 2**21  # all at once would be 6 million


# Two models on the same samples


def test_difference_of_models_of_binary_answers_by_hand() -> None:
    a = table_of([1, 0, 0, 1, 1, 0, 1, 1], list("stuvwxyz"))
    b = table_of([1, 1, 1, 1, 0, 0, 1, 1], list("stuvwxyz"))
    difference = np.array([0, 1, 1, 0, -1, 0, 0, 0])
    found, error = model_difference(a, b, MEAN), scipy.stats.sem(difference)
    assert found.value == pytest.approx(1 / 8)
    assert found.s == pytest.approx(error)
    q, f, squares = scipy.stats.t.ppf(0.975, 7), 8 / 7, 3 / 64  # each of the three is an eighth of a patient
    total, size = math.sqrt(3 * squares), (squares + 1 / 64) / (math.sqrt(3 * squares) + 1 / 8)

    def beyond(d: float) -> float:
        return q**2 * (error**2 + f * size * (abs(d) - total)) - (1 / 8 - d) ** 2

    assert found.low == pytest.approx(scipy.optimize.brentq(beyond, -total, -5))
    assert found.high == 1.0
    assert beyond(1.0) > 0  # more would fit, but the range ends there
    assert (found.n_clusters, found.n_differing) == (8, 3)
    assert found.note == "the answers differ in 3 of 8 clusters: too few to tell at alpha 0.05"


def test_difference_of_models_by_bootstrap_agrees_with_the_exact_one() -> None:
    a, b = simulation.paired_tables(np.random.default_rng(13), 200, 0.6)
    exact, resampled = (
        model_difference(a, b, MEAN),
        model_difference(a, b, MEAN_BY_BOOTSTRAP, resamples=8000),
    )
    assert resampled[:4] == pytest.approx(exact[:4], rel=0.04)
    alone = math.hypot(*(estimate(table, MEAN).s or 0 for table in (a, b)))
    assert exact.s is not None
    assert exact.s < 0.95 * alone  # what is hard for both cancels


def test_difference_of_models_joins_on_id_and_repeat() -> None:
    a, b = simulation.paired_tables(np.random.default_rng(14), 20, 0.6)
    shuffled = b.take(np.random.default_rng(15).permutation(len(b)))
    assert model_difference(a, shuffled, MEAN) == model_difference(a, b, MEAN)
    assert model_difference(b, a, MEAN).value == pytest.approx(-(model_difference(a, b, MEAN).value or 0))


def test_difference_of_models_stays_within_what_the_range_allows() -> None:
    a, b = table_of([0, 0, 0, 0, 0, 1], list("uvwxyz")), table_of([1, 1, 1, 1, 1, 0], list("uvwxyz"))
    found = model_difference(a, b, MEAN)
    assert found.high == 1.0


def test_difference_of_models_refuses_other_samples() -> None:
    a = table_of([1, 0, 1], ["u", "v", "w"], ids=["x1", "x2", "x3"])
    b = table_of([1, 0, 1], ["u", "v", "w"], ids=["x1", "x2", "x4"])
    with pytest.raises(
        UsageError, match=r"1 are in the first only and 1 in the second only, such as x3 \(repeat 0\)"
    ):
        model_difference(a, b, MEAN)
    with pytest.raises(UsageError, match="different clusters"):
        model_difference(a, table_of([1, 0, 1], ["u", "v", "v"], ids=["x1", "x2", "x3"]), MEAN)
    with pytest.raises(UsageError, match="infer=False"):
        model_difference(a, a, Metric("tp", (), MEAN.compute, infer=False))


# Coverage, short form; benchmarks/coverage.py is the long one


def within_error(coverage: float, data_sets: int) -> bool:
    """Whether a coverage is no lower than chance explains (three standard errors) if it is .95."""
    return coverage >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / data_sets)


@pytest.mark.parametrize("n_clusters", [20, 50, 200])
@pytest.mark.parametrize("mean", [0.6, 0.9])
def test_coverage_of_accuracy_with_clustered_questions(mean: float, n_clusters: int) -> None:
    found = simulation.coverage(
        simulation.binary_table, MEAN, mean, mean=mean, n_clusters=n_clusters, data_sets=1000, seed=1
    )
    assert within_error(found["coverage"], 1000)


def test_coverage_of_average_precision() -> None:
    metric = average_precision(0.5)
    truth = simulation.true_average_precision(metric, 0.5)
    found = simulation.coverage(
        simulation.detection_table, metric, truth, mean=0.5, n_clusters=30, data_sets=200, resamples=250
    )
    assert within_error(found["coverage"], 200)


@pytest.mark.parametrize("n_clusters", [20, 200])
def test_coverage_of_a_model_difference(n_clusters: int) -> None:
    found = simulation.paired_coverage(mean=0.6, n_clusters=n_clusters, data_sets=300)
    assert within_error(found["coverage"], 300)


def test_wilson_covers_where_the_percentile_bootstrap_does_not() -> None:
    found = simulation.coverage(
        simulation.binary_table, MEAN, 0.97, mean=0.97, n_clusters=20, data_sets=300, percentile=True
    )
    assert within_error(found["coverage"], 300)
    assert found["percentile"] < 0.85
