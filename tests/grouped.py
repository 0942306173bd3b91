"""Tables with groups of patients, for tests."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy.stats

from nova_bench.metrics.classification import mean_of, ratio_of
from nova_bench.stats import Bounded, Comparison, compare_groups
from nova_bench.table import Table
from nova_bench.types import Metric

MEAN = mean_of("score", "mean")
MEAN_BY_BOOTSTRAP = Metric("mean", ("score",), MEAN.compute)
POOLED_F1 = ratio_of("above", "below", "f1")
SIZES = {"white": 120, "black": 40, "asian": 25}
MEANS = {"white": 0.7, "black": 0.6, "asian": 0.45}
COMPOSITES = ("wmean", "gap", "worst", "ratio", "std", "deviation", "fap", "es")
Measures = tuple[float, float, int, float]
"""Value, standard error, patients and weight of a group."""


def table_of(
    group: Sequence[str | None],
    score: Sequence[float],
    *,
    patient: Sequence[object] | None = None,
    repeat: Sequence[int] | None = None,
    ids: Sequence[str] | None = None,
    status: Sequence[str] | None = None,
    attribute: str = "group",
    **columns: Sequence[float],
) -> Table:
    """Return a table of one line a question; a line without a patient is a patient of its own."""
    n = len(score)
    patients = [f"p{i:04d}" for i in range(n)] if patient is None else [str(each) for each in patient]
    return Table(
        id=_objects(ids or [f"s{i:05d}" for i in range(n)]),
        cluster=_objects(patients),
        repeat=np.array(repeat or [0] * n),
        status=_objects(status or ["ok"] * n),
        split=np.full(n, "test", dtype=object),
        groups={attribute: _objects(group)},
        columns={
            "score": np.array(score, dtype=float),
            **{name: np.array(column, dtype=float) for name, column in columns.items()},
        },
    )


def drawn_table(
    sizes: dict[str | None, int],
    means: dict[str | None, float],
    *,
    seed: int = 0,
    most: int = 5,
    repeats: int = 1,
    failed: float = 0.0,
) -> Table:
    """Return patients with 1 to `most` questions, right with the patient's probability; counts of findings beside it."""
    rng = np.random.default_rng(seed)
    lines: dict[str, list[object]] = {
        name: [] for name in ("group", "score", "patient", "repeat", "ids", "status", "above", "below")
    }
    i = 0
    for group, size in sizes.items():
        for p in rng.beta(means[group] * 7 / 3, (1 - means[group]) * 7 / 3, size):
            for question in range(rng.integers(1, most + 1)):
                for repeat in range(repeats):
                    is_failed = rng.random() < failed
                    n_true = int(rng.integers(1, 7))
                    found, false = int(rng.binomial(n_true, p)), int(rng.binomial(n_true, 1 - p))
                    row = {
                        "group": group,
                        "score": np.nan if is_failed else float(rng.random() < p),
                        "patient": f"p{i:05d}",
                        "repeat": repeat,
                        "ids": f"p{i:05d}-q{question}",
                        "status": "failed" if is_failed else "ok",
                        "above": np.nan if is_failed else 2 * found,
                        "below": np.nan if is_failed else found + false + n_true,
                    }
                    for name, value in row.items():
                        lines[name].append(value)
            i += 1
    return table_of(**lines)  # type: ignore[arg-type]


def _objects(values: Sequence[object]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def slice_of(table: Table, name: str | None) -> Table:
    mask = np.array([value == name for value in table.groups["group"]])
    return table.take(mask & (table.status != "failed"))


def numbers(bounded: Bounded) -> list[float]:
    listed = (bounded.value, bounded.corrected, bounded.floor, bounded.low, bounded.high)
    return [math.inf if each is None else each for each in listed]


def wilson(value: float, s: float, c: int, probability: float) -> tuple[float, float]:
    q, m = float(scipy.stats.t.ppf(probability, c - 1)), value * (1 - value) / s**2
    middle = value + q * q / (2 * m)
    half = q * math.sqrt(value * (1 - value) / m + q * q / (4 * m * m))
    return (middle - half) / (1 + q * q / m), (middle + half) / (1 + q * q / m)


def moderated_by_hand(groups: list[Measures]) -> list[float]:
    v = sum((c - 1) * c * s * s for _, s, c, _ in groups) / sum(c - 1 for _, _, c, _ in groups)
    return [((c - 1) * s * s + 4 * v / c) / (c + 3) for _, s, c, _ in groups]


def three_groups(seed: int = 3) -> tuple[Comparison, list[Measures]]:
    """Return the comparison of three groups, and the measures that formulas by hand start from."""
    found = compare_groups(drawn_table(SIZES, MEANS, seed=seed), MEAN, "group", permutations=9)
    n = sum(group.n for group in found.groups)
    return found, [
        (float(group.value or 0), float(group.s or 0), group.patients, group.n / n) for group in found.groups
    ]
