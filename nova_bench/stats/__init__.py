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
from nova_bench.stats.estimates import Estimate, estimate, paired_difference
from nova_bench.stats.intervals import MIN_CLUSTERS, Interval, interval
from nova_bench.stats.paired import compare_models
from nova_bench.stats.resampling import (
    MAX_UNDEFINED,
    RESAMPLES,
    bootstrap_standard_error,
    iterate_weights,
    ratio_standard_error,
    resampling_weights,
)

__all__ = [
    "MAX_UNDEFINED",
    "MIN_CLUSTERS",
    "RESAMPLES",
    "Bounded",
    "Comparison",
    "Estimate",
    "GroupResult",
    "Imputed",
    "Interval",
    "Paired",
    "bootstrap_standard_error",
    "compare_groups",
    "compare_models",
    "compare_table",
    "estimate",
    "holm",
    "interval",
    "iterate_weights",
    "paired_difference",
    "ratio_standard_error",
    "resampling_weights",
]
