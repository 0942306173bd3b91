"""Tables with groups of patients, for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nova_bench.metrics.classification import mean_of, ratio_of
from nova_bench.table import Table
from nova_bench.types import Metric

MEAN = mean_of("score", "mean")
MEAN_BY_BOOTSTRAP = Metric("mean", ("score",), MEAN.compute)
POOLED_F1 = ratio_of("above", "below", "f1")


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
