"""Compares groups of patients, and two models over them.

The records are in `nova_bench.stats.results`; the formulas behind each number in the other modules of this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nova_bench.stats.estimates import RESAMPLES
from nova_bench.stats.results import Bounded, Comparison, GroupResult, Imputed, Paired

if TYPE_CHECKING:
    from nova_bench.table import Table
    from nova_bench.types import Metric

__all__ = [
    "PERMUTATIONS",
    "Bounded",
    "Comparison",
    "GroupResult",
    "Imputed",
    "Paired",
    "compare_groups",
    "compare_models",
    "compare_table",
    "holm",
]

PERMUTATIONS = 1999
MIN_PATIENTS = 20


def compare_table(
    table: Table,
    metrics: Sequence[Metric],
    attributes: Sequence[str],
    *,
    lam: float = 1.0,
    deviation: str = "wstd",
    weights: str = "size",
    es_alpha: float = 1.0,
    min_patients: int = MIN_PATIENTS,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    alpha: float = 0.05,
    worst: Table | None = None,
    best: Table | None = None,
) -> list[Comparison]:
    """Return `compare_groups` for every metric (outer) and attribute (inner), with resamples and permutations drawn once for all."""
    raise NotImplementedError


def compare_groups(
    table: Table,
    metric: Metric,
    attribute: str,
    *,
    lam: float = 1.0,
    deviation: str = "wstd",
    weights: str = "size",
    es_alpha: float = 1.0,
    min_patients: int = MIN_PATIENTS,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    alpha: float = 0.05,
    worst: Table | None = None,
    best: Table | None = None,
) -> Comparison:
    """Return one metric over the groups of one attribute; see `compare_table` for many at once."""
    raise NotImplementedError


def compare_models(a: Comparison, b: Comparison) -> Paired:
    """Return the second model minus the first, on the samples that both answered."""
    raise NotImplementedError


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected by Holm's procedure over those that are not None."""
    raise NotImplementedError
