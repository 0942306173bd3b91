"""The test of "no difference": against an exact test, chi-squared, itself under other settings, and Holm by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from grouped import MEAN, MEAN_BY_BOOTSTRAP, POOLED_F1, drawn_table, table_of
from hypothesis import given
from hypothesis import strategies as st

from nova_bench.stats import compare_groups, compare_table, holm
from nova_bench.stats import permutation as module
from nova_bench.stats.permutation import Terms, permutation_p_values
from nova_bench.table import Table


def statistic(num: np.ndarray, den: np.ndarray, labels: np.ndarray) -> float:
    """Return Welch's statistic with moderated errors, written out group by group."""
    values, variances, counts = [], [], []
    for g in sorted(set(labels.tolist())):
        n, d = num[labels == g], den[labels == g]
        value = n.sum() / d.sum()
        c = len(n)
        values.append(value)
        counts.append(c)
        variances.append(c / (c - 1) * ((n - value * d) ** 2).sum() / d.sum() ** 2)
    v = sum((c - 1) * c * s2 for c, s2 in zip(counts, variances, strict=True)) / sum(c - 1 for c in counts)
    s2 = [((c - 1) * s2 + 4 * v / c) / (c + 3) for c, s2 in zip(counts, variances, strict=True)]
    centre = sum(m / s for m, s in zip(values, s2, strict=True)) / sum(1 / s for s in s2)
    return float(sum((m - centre) ** 2 / s for m, s in zip(values, s2, strict=True)))


def exact_p(num: np.ndarray, den: np.ndarray, labels: np.ndarray) -> float:
    """Return the p-value over all ways of dealing two labels to the patients."""
    observed = statistic(num, den, labels)
    n, k = len(labels), int((labels == 1).sum())
    reached = []
    for chosen in itertools.combinations(range(n), k):
        dealt = np.zeros(n, int)
        dealt[list(chosen)] = 1
        reached.append(statistic(num, den, dealt) >= observed - 1e-9)
    return float(np.mean(reached))


@pytest.mark.parametrize("seed", range(6))
def test_p_value_is_that_of_the_exact_test(seed: int) -> None:
    rng = np.random.default_rng(seed)
    den = rng.integers(1, 4, 12).astype(float)
    num = rng.binomial(den.astype(int), np.repeat([0.8, 0.3], [8, 4])).astype(float)  # many ties
    labels = np.repeat([0, 1], [8, 4])
    exact = exact_p(num, den, labels)
    terms = Terms(np.stack([num, den], axis=1), np.ones(1))
    found = permutation_p_values([terms], labels, 2, np.random.default_rng(0), 9999)[0]
    assert found == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 9999) + 2e-4)


def test_p_value_is_scipys_permutation_test() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(0, 1, 9), rng.normal(1.2, 2, 6)
    theirs = scipy.stats.permutation_test(
        (a, b),
        lambda x, y: statistic(np.concatenate([x, y]), np.ones(15), np.repeat([0, 1], [9, 6])),
        alternative="greater",
        n_resamples=np.inf,
    ).pvalue
    table = table_of(["a"] * 9 + ["b"] * 6, [*a, *b])
    found = compare_groups(table, MEAN, "group", min_patients=2, permutations=19_999).p_value
    assert found == pytest.approx(theirs, abs=4 * math.sqrt(theirs * (1 - theirs) / 19_999))


def test_p_value_of_many_patients_is_that_of_chi_squared() -> None:
    for seed in range(4):
        table = drawn_table({"a": 500, "b": 300, "c": 200}, dict.fromkeys("abc", 0.6), seed=seed)
        found = compare_groups(table, MEAN, "group")
        codes = table.cluster_codes()[0]
        num, den = np.bincount(codes, table["score"]), np.bincount(codes).astype(float)
        names = {name: i for i, name in enumerate("abc")}
        labels = np.zeros(len(num), int)
        labels[codes] = [names[name] for name in table.groups["group"]]
        expected = scipy.stats.chi2.sf(statistic(num, den, labels), 2)
        assert found.p_value == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("metric", [MEAN, POOLED_F1])
def test_planted_gap_is_found_and_none_where_none_is(metric) -> None:  # type: ignore[no-untyped-def]
    sizes = {"a": 200, "b": 60}
    worse = compare_groups(drawn_table(sizes, {"a": 0.75, "b": 0.45}), metric, "group")
    assert worse.p_value == 0.0005
    assert worse.gap.low is not None
    assert worse.gap.low > 0
    assert worse.worst_group == "b"
    p_values = [
        compare_groups(drawn_table(sizes, {"a": 0.6, "b": 0.6}, seed=seed), metric, "group").p_value
        for seed in range(20)
    ]
    assert sum(float(p or 0) < 0.05 for p in p_values) <= 4  # 4 or fewer of 20 with probability .997
    assert scipy.stats.kstest(p_values, "uniform").pvalue > 0.001


def test_questions_of_a_patient_are_no_evidence_of_their_own() -> None:
    # each of 20 patients answers alike 30 times: 1,200 questions, but 40 patients whose mean differs by chance
    rng = np.random.default_rng(11)
    right = np.repeat(rng.random(40) < np.repeat([0.65, 0.45], 20), 30).astype(float)
    patient, group = np.repeat(np.arange(40), 30), np.repeat(["a", "b"], 600)
    clustered = compare_groups(table_of(list(group), list(right), patient=list(patient)), MEAN, "group")
    loose = compare_groups(table_of(list(group), list(right)), MEAN, "group")
    assert loose.p_value == 0.0005
    assert clustered.p_value is not None
    assert clustered.p_value > 0.01


@pytest.mark.parametrize("chunk", [1, 3000, 10**7])
def test_p_value_does_not_depend_on_the_chunk(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table = drawn_table({"a": 60, "b": 30, "c": 25}, {"a": 0.7, "b": 0.6, "c": 0.5})
    expected = compare_groups(table, MEAN, "group", permutations=199).p_value
    monkeypatch.setattr(module, "_CHUNK", chunk)
    assert compare_groups(table, MEAN, "group", permutations=199).p_value == expected


def test_repeats_are_permuted_with_their_patient() -> None:
    once = drawn_table({"a": 80, "b": 40}, {"a": 0.7, "b": 0.5})
    twice = Table.stack([once, once])
    twice.repeat[len(once) :] = 1
    one, other = (compare_groups(each, MEAN, "group") for each in (once, twice))
    assert one.p_value == other.p_value
    assert one.gap.value == pytest.approx(other.gap.value)
    assert [group.s for group in one.groups] == pytest.approx([group.s for group in other.groups])


def test_several_ratios_equal_one_where_they_are_one() -> None:
    rng = np.random.default_rng(0)
    den = rng.integers(1, 5, 90).astype(float)
    num = rng.binomial(den.astype(int), 0.6).astype(float)
    labels = rng.integers(0, 3, 90)
    single = Terms(np.stack([num, den], axis=1), np.ones(1))
    double = Terms(np.stack([num, num, den, den], axis=1), np.full(2, 0.5))
    both = permutation_p_values([single, double], labels, 3, np.random.default_rng(0), 499)
    assert both[0] == both[1]
    assert single.evaluate()[0] == pytest.approx(double.evaluate()[0])
    assert single.evaluate()[1] == pytest.approx(double.evaluate()[1])


def test_repeats_with_failures_are_tested() -> None:
    table = drawn_table({"a": 80, "b": 60}, {"a": 0.8, "b": 0.4}, repeats=3, failed=0.2)
    found = compare_groups(table, MEAN, "group")
    assert found.basis is not None
    assert found.basis.terms is not None
    assert len(found.basis.terms.coefficients) == 3  # the denominators differ by repeat
    assert found.p_value == 0.0005


def test_shifted_and_stretched_scores_have_the_same_p_value() -> None:
    table = drawn_table({"a": 60, "b": 40}, {"a": 0.7, "b": 0.55})
    expected = compare_groups(table, MEAN, "group").p_value
    table.columns["score"][:] = 1e6 + 1e-3 * table["score"]  # type: ignore[index]
    unbounded = compare_groups(table, MEAN, "group").p_value
    assert unbounded == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_one_score_for_all_has_p_one(value: float) -> None:
    table = table_of(["a", "b", "c"] * 30, [value] * 90, patient=[i // 2 for i in range(90)])
    table.groups["group"][:] = [["a", "b", "c"][int(each) % 3] for each in table.cluster]
    assert compare_groups(table, MEAN, "group", min_patients=5).p_value == 1


def test_no_permutations_no_test() -> None:
    found = compare_groups(
        drawn_table({"a": 30, "b": 30}, {"a": 0.7, "b": 0.5}), MEAN, "group", permutations=0
    )
    assert found.p_value is None
    assert "no test: no permutations asked for" in str(found.note)


def test_bootstrapped_metric_is_tested_by_its_gap() -> None:
    table = drawn_table({"a": 150, "b": 60}, {"a": 0.7, "b": 0.55})
    found = compare_groups(table, MEAN_BY_BOOTSTRAP, "group", resamples=400)
    p = found.p_value
    assert p is not None
    assert "gap's lower limit" in found.test
    for alpha, above in ((1.05 * p, True), (0.95 * p, False)):
        low = compare_groups(table, MEAN_BY_BOOTSTRAP, "group", resamples=400, alpha=alpha).gap.low
        assert low is not None
        assert (low > 0) == above
    assert p == pytest.approx(float(compare_groups(table, MEAN, "group").p_value or 0), abs=0.03)


def test_metrics_on_other_patients_get_other_permutations() -> None:
    table = drawn_table({"a": 60, "b": 40}, {"a": 0.7, "b": 0.5})
    table.columns["half"] = np.where(table.cluster_codes()[0] % 2, table["score"], np.nan)  # type: ignore[index]
    from nova_bench.metrics.classification import mean_of

    half = mean_of("half", "half")
    together = compare_table(table, (MEAN, half), ("group",), min_patients=10)
    alone = compare_groups(table, half, "group", min_patients=10)
    assert together[1].p_value == alone.p_value
    assert together[1].groups[0].patients < together[0].groups[0].patients


# Holm


def test_holm_by_hand() -> None:
    # smallest first: .005 x 4, .01 x 3, .03 x 2, .04 x 1 (kept at .06)
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []
    assert holm([None, None]) == [None, None]
    assert holm([None, 0.02]) == [None, 0.02]


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: list[float | None]) -> None:
    corrected = holm(p_values)
    made = sorted(p for p in p_values if p is not None)
    limit = -1.0
    for rank, p in enumerate(made):
        if p * (len(made) - rank) > 0.05:
            break
        limit = p
    for p, q in zip(p_values, corrected, strict=True):
        assert (p is None) == (q is None)
        if p is not None and q is not None:
            assert (q <= 0.05) == (p <= limit)
            assert q >= p
