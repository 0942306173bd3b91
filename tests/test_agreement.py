"""Agreement of raters: against scikit-learn, published worked examples, formulas of the standard error, and coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from nova_bench.errors import UsageError
from nova_bench.stats.agreement import codes_of, cohen_kappa, krippendorff_alpha, percent_agreement

X = math.nan
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, X, X, X],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, X, 3],
        [X, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, X],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, X],
    ]
).T
"""Krippendorff 2011, part C: four observers, twelve units, missing values."""


@pytest.mark.parametrize(("level", "expected"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_krippendorffs_example(level: str, expected: float) -> None:
    assert krippendorff_alpha(KRIPPENDORFF, level=level).value == pytest.approx(expected, abs=5e-4)


def test_alpha_of_krippendorffs_examples_with_two_observers() -> None:
    binary = np.array([[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]], dtype=float).T
    assert krippendorff_alpha(binary).value == pytest.approx(0.095, abs=5e-4)
    letters = np.stack([codes_of("aabbdcccedda"), codes_of("babbbcccedda")], axis=1)
    letters[-1] = [0, 3]
    assert krippendorff_alpha(letters).value == pytest.approx(0.692, abs=5e-4)


def alpha_by_definition(ratings: np.ndarray, level: str) -> float:
    """The double sum over all pairs of values, as it is written."""
    units = [row[~np.isnan(row)] for row in ratings if (~np.isnan(row)).sum() > 1]
    values = np.concatenate(units)

    def distance(a: float, b: float) -> float:
        if level == "nominal":
            return float(a != b)
        if level == "interval":
            return (a - b) ** 2
        low, high = min(a, b), max(a, b)
        between = ((values >= low) & (values <= high)).sum()
        return float(between - ((values == low).sum() + (values == high).sum()) / 2) ** 2 if a != b else 0.0

    n = len(values)
    observed = sum(distance(a, b) / (len(u) - 1) for u in units for a in u for b in u) / n
    expected = sum(distance(a, b) for a in values for b in values) / (n * (n - 1))
    return float(1 - observed / expected)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("seed", range(4))
def test_alpha_is_the_double_sum(level: str, seed: int) -> None:
    dice = np.random.default_rng(seed)
    ratings = dice.choice([0.0, 1.0, 4.0, 10.0, 1e4 if level != "interval" else 11.0], size=(15, 4))
    ratings[dice.random(ratings.shape) < 0.3] = np.nan
    found = krippendorff_alpha(ratings, level=level)
    assert found.value == pytest.approx(alpha_by_definition(ratings, level), abs=1e-12)


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
@pytest.mark.parametrize("seed", range(5))
def test_kappa_is_scikit_learns(weights: str | None, seed: int) -> None:
    dice = np.random.default_rng(seed)
    one = dice.integers(0, 5, 60)
    other = np.where(dice.random(60) < 0.5, one, dice.integers(0, 5, 60))
    found = cohen_kappa(one, other, weights=weights, categories=range(6))
    expected = cohen_kappa_score(one, other, weights=weights, labels=list(range(6)))
    assert found.value == pytest.approx(expected, abs=1e-12)
    swapped = cohen_kappa(other, one, weights=weights, categories=range(6))
    assert swapped.value == pytest.approx(expected, abs=1e-12)


def test_kappa_counts_a_category_that_nobody_gave() -> None:
    one, other = np.array([0.0, 0, 3, 1, 3]), np.array([0.0, 1, 3, 3, 3])
    assert cohen_kappa(one, other, weights="linear", categories=[0, 1, 2, 3]).value == pytest.approx(
        cohen_kappa_score(one, other, weights="linear", labels=[0, 1, 2, 3])
    )
    assert cohen_kappa(one, other, weights="linear").value != pytest.approx(
        cohen_kappa_score(one, other, weights="linear", labels=[0, 1, 2, 3])
    )


@pytest.mark.parametrize(
    ("cells", "expected"), [((20, 5, 10, 15), 0.4), ((45, 15, 25, 15), 0.1304), ((25, 35, 5, 35), 0.2593)]
)
def test_kappa_of_textbook_tables(cells: tuple[int, ...], expected: float) -> None:
    one, other = np.repeat([1.0, 1, 0, 0], cells), np.repeat([1.0, 0, 1, 0], cells)
    assert cohen_kappa(one, other).value == pytest.approx(expected, abs=5e-5)


def test_the_error_of_kappa_is_that_of_fleiss_cohen_and_everitt() -> None:
    one, other = np.repeat([1.0, 1, 0, 0], (80, 20, 40, 60)), np.repeat([1.0, 0, 1, 0], (80, 20, 40, 60))
    table = np.array([[60, 40], [20, 80]]) / 200
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    po, pe = np.trace(table), rows @ columns
    kappa = (po - pe) / (1 - pe)
    inner = sum(table[i, i] * (1 - (rows[i] + columns[i]) * (1 - kappa)) ** 2 for i in range(2))
    outer = (1 - kappa) ** 2 * sum(
        table[i, j] * (columns[i] + rows[j]) ** 2 for i in range(2) for j in range(2) if i != j
    )
    exact = math.sqrt((inner + outer - (kappa - pe * (1 - kappa)) ** 2) / 200) / (1 - pe)
    found = cohen_kappa(one, other, resamples=4000)
    assert found.s == pytest.approx(exact, rel=0.05)
    assert found.low < found.value < found.high


@pytest.mark.parametrize("copies", [2, 5])
def test_copies_within_a_cluster_add_nothing(copies: int) -> None:
    dice = np.random.default_rng(1)
    one = dice.integers(0, 3, 40).astype(float)
    other = np.where(dice.random(40) < 0.6, one, 0.0)
    both = np.column_stack([one, other])
    names = np.arange(40)
    many, whose = np.repeat(both, copies, axis=0), np.repeat(names, copies)
    for found, copied in (
        (percent_agreement(both, clusters=names), percent_agreement(many, clusters=whose)),
        (
            cohen_kappa(*both.T, weights="linear", clusters=names),
            cohen_kappa(*many.T, weights="linear", clusters=whose),
        ),
    ):
        assert copied[:5] == pytest.approx(found[:5])
    alone = percent_agreement(many)
    assert alone.high - alone.low < found.high - found.low


def test_missing_ratings_leave_units_out() -> None:
    full = np.array([[1.0, 1], [2, 2], [1, 2], [2, 2], [1, 1], [2, 1]])
    holes = np.vstack([full, [[1, X], [X, 2], [X, X]]])
    assert cohen_kappa(*holes.T) == cohen_kappa(*full.T)
    assert krippendorff_alpha(holes) == krippendorff_alpha(full)
    assert percent_agreement(holes) == percent_agreement(full)


def test_undefined_and_perfect_agreement() -> None:
    same = np.ones((8, 2))
    for found in (cohen_kappa(*same.T), krippendorff_alpha(same), krippendorff_alpha(same, level="interval")):
        assert found.value is None
        assert "one and the same value" in (found.note or "")
    assert percent_agreement(same).value == 1.0
    perfect = np.repeat([[0.0, 0], [1, 1]], [30, 10], axis=0)
    rare = np.repeat([[0.0, 0], [1, 1]], [38, 2], axis=0)
    limits = [krippendorff_alpha(ratings).low for ratings in (perfect, rare)]
    assert limits[1] < limits[0] < 1  # a rare category was hardly tested
    assert cohen_kappa(*perfect.T).low == pytest.approx(limits[0])
    assert krippendorff_alpha(np.full((3, 2), X)).value is None
    assert krippendorff_alpha(perfect[28:32]).low is None  # too few clusters


def test_a_rare_value_is_warned_of() -> None:
    ratings = np.repeat([[0.0, 0], [1, 1], [1, 0]], [60, 3, 2], axis=0)
    assert "only 5 clusters with another" in (krippendorff_alpha(ratings).note or "")
    assert "only 5 clusters" in (cohen_kappa(*ratings.T).note or "")
    assert krippendorff_alpha(np.repeat([[0.0, 0], [1, 1], [1, 0]], [60, 8, 2], axis=0)).note is None


def test_wrong_use_says_so() -> None:
    with pytest.raises(UsageError, match="two raters or more"):
        krippendorff_alpha(np.ones((3, 1)))
    with pytest.raises(UsageError, match="level of measurement 'ratio'"):
        krippendorff_alpha(KRIPPENDORFF, level="ratio")
    with pytest.raises(UsageError, match="weights of kappa are 'cubic'"):
        cohen_kappa(np.ones(3), np.ones(3), weights="cubic")
    with pytest.raises(UsageError, match="rating 7 is none of the 2 categories"):
        cohen_kappa(np.array([0.0, 7]), np.array([0.0, 1]), categories=[0, 1])
    with pytest.raises(UsageError, match="infinite"):
        percent_agreement(np.array([[math.inf, 1.0]]))
    with pytest.raises(UsageError, match="150 different values"):
        krippendorff_alpha(np.arange(150.0).reshape(-1, 2))
    with pytest.raises(UsageError, match="2 clusters for 12 units"):
        krippendorff_alpha(KRIPPENDORFF, clusters=np.array([1, 2]))


def test_intervals_cover() -> None:
    """60 clusters of one to three units that share their truth; a second rater who errs in 15% of units."""
    dice = np.random.default_rng(5)

    def draw(clusters: int) -> tuple[np.ndarray, np.ndarray]:
        whose = np.repeat(np.arange(clusters), dice.integers(1, 4, clusters))
        truth = dice.choice(3, clusters, p=[0.6, 0.3, 0.1])[whose].astype(float)
        slips = dice.random(len(whose)) < 0.3 * dice.integers(0, 2, clusters)[whose]
        return np.column_stack([truth, np.where(slips, dice.integers(0, 3, len(whose)), truth)]), whose

    large, _ = draw(100_000)
    kappa, alpha = cohen_kappa(*large.T, resamples=2).value, krippendorff_alpha(large, resamples=2).value
    covered = np.zeros(2)
    for _ in range(200):
        ratings, whose = draw(60)
        for i, (true, found) in enumerate(
            (
                (kappa, cohen_kappa(*ratings.T, clusters=whose, resamples=300)),
                (alpha, krippendorff_alpha(ratings, clusters=whose, resamples=300)),
            )
        ):
            covered[i] += found.low <= true <= found.high
    assert (covered / 200 >= 0.91).all()
    assert (covered / 200 <= 0.99).all()
