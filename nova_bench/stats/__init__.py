"""Errors of numbers and comparisons of groups: weights for resampling, standard errors, intervals, tests, power."""

from nova_bench.stats.compare import (
    Bounded,
    Comparison,
    GroupResult,
    Imputed,
    Paired,
    compare_groups,
    compare_table,
    holm,
)
from nova_bench.stats.estimates import Estimate, estimate
from nova_bench.stats.halves import Half, half_of
from nova_bench.stats.intervals import MIN_CLUSTERS, Interval, interval
from nova_bench.stats.models import (
    IDENTICAL,
    Difference,
    Differences,
    differences,
    differences_of,
    model_difference,
)
from nova_bench.stats.paired import compare_models
from nova_bench.stats.paired_test import detectable_difference
from nova_bench.stats.ranking import Rank, ranks
from nova_bench.stats.resampling import (
    MAX_UNDEFINED,
    RESAMPLES,
    bootstrap_standard_error,
    iterate_weights,
    ratio_standard_error,
    resampling_weights,
)

__all__ = [
    "IDENTICAL",
    "MAX_UNDEFINED",
    "MIN_CLUSTERS",
    "RESAMPLES",
    "Bounded",
    "Comparison",
    "Difference",
    "Differences",
    "Estimate",
    "GroupResult",
    "Half",
    "Imputed",
    "Interval",
    "Paired",
    "Rank",
    "bootstrap_standard_error",
    "compare_groups",
    "compare_models",
    "compare_table",
    "detectable_difference",
    "differences",
    "differences_of",
    "estimate",
    "half_of",
    "holm",
    "interval",
    "iterate_weights",
    "model_difference",
    "ranks",
    "ratio_standard_error",
    "resampling_weights",
]
