"""The records of the fairness document, as JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nova_bench.report import rounded
from nova_bench.stats import Bounded, Comparison, GroupResult, Paired
from nova_bench.types import Metric

COMPOSITES = ("wmean", "gap", "worst", "ratio", "std", "deviation", "fap", "es")
_PAIRED = ("overall", "gap", "worst", "fap", "es", "deviation")
_IMPUTED = ("low", "high", "interval_low", "interval_high", "survives", "note")


def comparison_json(metric: Metric, comparison: Comparison, remedy: str | None) -> dict[str, Any]:
    """Return the numbers of a comparison; what is known of the whole report only (corrected p-values, pairs, sentence) is left open.

    Args:
        metric: What was compared.
        comparison: How it came out.
        remedy: Where a resource is missing, the command that brings it: the note of every number.
    """
    known = [group for group in comparison.groups if group.name is not None]
    unknown = next((group for group in comparison.groups if group.name is None), None)
    return {
        "metric": metric.name,
        "attribute": comparison.attribute,
        "higher_is_better": metric.higher_is_better,
        "range": None if metric.range is None else list(metric.range),
        "overall": _group_json(comparison.overall, remedy),
        "groups": {str(group.name): _group_json(group, remedy) for group in known},
        "unknown": None if unknown is None else _group_json(unknown, remedy),
        **{name: _composite_json(getattr(comparison, name), remedy) for name in COMPOSITES},
        "fap_name": comparison.fap_name,
        "worst_group": comparison.worst_group,
        "best_group": comparison.best_group,
        "p_value": comparison.p_value,
        "p_holm": None,
        "tests": 0,
        "test": comparison.test,
        "detectable": comparison.detectable,
        "imputed_gap": {name: getattr(comparison.imputed_gap, name) for name in _IMPUTED},
        "sentence": "",
        "paired": {},
    }


def _group_json(group: GroupResult, remedy: str | None) -> dict[str, Any]:
    lines = sum(group.counts.values())
    return {
        "value": group.value,
        "low": group.low,
        "high": group.high,
        "patients": group.patients,
        "n": group.n,
        "n_failed": group.n_failed,
        "counts": dict(group.counts),
        "shares": {state: count / lines if lines else None for state, count in group.counts.items()},
        "included": group.included,
        "note": remedy or group.note,
    }


def _composite_json(number: Bounded, remedy: str | None) -> dict[str, Any]:
    return {
        "value": number.value,
        "corrected": number.corrected,
        "floor": number.floor,
        "low": number.low,
        "high": number.high,
        "note": remedy or number.note,
    }


def paired_json(paired: Paired, sign: float) -> dict[str, Any]:
    """Return a comparison of two models, second minus first; with sign -1 the other way round."""
    made: dict[str, Any] = {}
    for name in _PAIRED:
        number = getattr(paired, name)
        low, high = (number.low, number.high) if sign > 0 else (number.high, number.low)
        made[name] = {
            "value": _times(sign, number.value),
            "low": _times(sign, low),
            "high": _times(sign, high),
            "note": number.note,
        }
    worst = (paired.worst_group_b, paired.worst_group_a)
    mine, theirs = worst if sign > 0 else worst[::-1]
    return {
        **made,
        "interaction_p": paired.interaction_p,
        "interaction_p_holm": None,
        "tests": 0,
        "test": paired.test,
        "worst_group": mine,
        "other_worst_group": theirs,
        "sentence": "",
        "note": paired.note,
    }


def _times(sign: float, value: float | None) -> float | None:
    return None if value is None else sign * value + 0.0  # no minus zero


def plain_json(value: Any) -> Any:
    """Return a value as JSON has it: floats to 12 significant digits, None for NaN and infinities.

    >>> plain_json({"a": [np.float64(1 / 3), float("nan")], "b": True})
    {'a': [0.333333333333, None], 'b': True}
    """
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return rounded(float(value))
    return value
