"""What can be chosen in a comparison of groups."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nova_bench.errors import UnknownNameError, UsageError
from nova_bench.stats.permutation import PERMUTATIONS
from nova_bench.stats.resampling import RESAMPLES
from nova_bench.stats.spreads import DEVIATIONS, WEIGHTS

MIN_PATIENTS = 20
"""Smaller groups are shown, but their intervals say little and the test errs with unequal clustering."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The choices, checked; `nova_bench.stats.compare_table` says what each means.

    Raises:
        UsageError: One has a value that makes no sense.
        UnknownNameError: No such deviation or weights.

    >>> Settings().fap_name
    'fap(lambda=1,dev=wstd,w=size)'
    """

    lam: float = 1.0
    deviation: str = "wstd"
    weights: str = "size"
    es_alpha: float = 1.0
    min_patients: int = MIN_PATIENTS
    resamples: int = RESAMPLES
    permutations: int = PERMUTATIONS
    seed: int = 0
    alpha: float = 0.05

    def __post_init__(self) -> None:
        for name, value in (("lambda", self.lam), ("es_alpha", self.es_alpha)):
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(
                    f"{name} is {value}, expected a finite number of at least 0: a negative one rewards unfairness"
                )
        if self.deviation not in DEVIATIONS:
            raise UnknownNameError("deviation", self.deviation, DEVIATIONS)
        if self.weights not in WEIGHTS:
            raise UnknownNameError("weights", self.weights, WEIGHTS)
        if self.min_patients < 2:
            raise UsageError(
                f"the minimum group size is {self.min_patients}, expected at least 2: one patient shows no variation"
            )
        if not 0 < self.alpha < 1:
            raise UsageError(f"alpha is {self.alpha}, expected a number between 0 and 1, such as 0.05")
        for name, number in (
            ("resamples", self.resamples),
            ("permutations", self.permutations),
            ("the seed", self.seed),
        ):
            if number < 0:
                raise UsageError(f"{name} is {number}, expected at least 0")

    @property
    def fap_name(self) -> str:
        """The member of the FAP family."""
        return f"fap(lambda={self.lam:g},dev={self.deviation},w={self.weights})"
