"""From the measured groups and composites to the record that is printed: own scale, names, and the reasons for what is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nova_bench.stats.basis import Basis, takes_part
from nova_bench.stats.composites import Composites
from nova_bench.stats.groups import Grouping, Measured
from nova_bench.stats.imputation import imputed_gap
from nova_bench.stats.intervals import interval
from nova_bench.stats.power import detectable_gap
from nova_bench.stats.projection import gap_p_value
from nova_bench.stats.resampling import MAX_UNDEFINED
from nova_bench.stats.results import Bounded, Comparison, GroupResult
from nova_bench.stats.scale import Scale, distance_back, level_back, stay_on_scale
from nova_bench.stats.settings import Settings
from nova_bench.types import Metric

BY_PERMUTATION = "group labels permuted over patients, moderated standard errors"
BY_PROJECTION = "smallest alpha at which the gap's lower limit exceeds 0"


def comparison_of(
    basis: Basis,
    groups: Sequence[Measured],
    everyone: Measured,
    p_value: float | None,
    imputed: tuple[list[Measured] | None, list[Measured] | None] | None,
    *,
    grouping: Grouping,
) -> Comparison:
    """Carry everything back to the metric's own scale, with the reasons for what is missing."""
    metric, settings, scale, made = basis.metric, basis.settings, basis.scale, basis.composites
    results = [
        _group_result(name, groups[g], grouping, g, metric, settings)
        for g, name in enumerate([*grouping.names, None])
        if name is not None or grouping.samples[g]
    ]
    overall = GroupResult(
        "all",
        *_estimated(everyone, metric, settings)[:4],
        patients=everyone.clusters,
        n=sum(grouping.samples),
        n_failed=sum(grouping.failed),
        counts={state: sum(counts[state] for counts in grouping.counts) for state in grouping.counts[0]},
        included=True,
        note=_estimated(everyone, metric, settings)[4],
    )
    notes = [_left_out(results, settings)]
    nothing = Bounded(None)
    test, detectable = "", None
    if made is None:
        known = [result for result in results if result.included]
        reason = (
            f"{len(known)} of {len(grouping.names)} groups can be compared, at least 2 are needed"
            if grouping.names
            else f"{grouping.attribute!r} is unknown for every sample"
        )
        notes.insert(0, reason)
        nothing = Bounded(None, note=reason)
    else:
        test = BY_PERMUTATION if basis.terms is not None else BY_PROJECTION
        if basis.terms is None and not made.reason:
            p_value = gap_p_value(made.levels)
        if p_value is None:
            notes.append(
                "no test: " + (made.reason or "no permutations asked for").removeprefix("no interval: ")
            )
        detectable = _detectable(made, settings)
        if detectable is None and not made.reason:
            notes.append("no detectable gap: no group shows any variation between its patients")
    levels = dict.fromkeys(("wmean", "worst", "fap"), nothing)
    distances = dict.fromkeys(("gap", "std", "deviation"), nothing)
    pure = dict.fromkeys(("ratio", "es"), nothing)
    worst_group = best_group = None
    if made is not None:
        levels = {name: level_back(getattr(made, name), scale) for name in levels}
        distances = {name: distance_back(getattr(made, name), scale) for name in distances}
        pure = {name: stay_on_scale(getattr(made, name), scale) for name in pure}
        ordered = sorted(zip(made.levels.values.tolist(), made.names, strict=True))
        worst_group = ordered[0][1]
        best_group = min(name for value, name in ordered if value == ordered[-1][0])
    return Comparison(
        metric=metric.name,
        attribute=grouping.attribute,
        groups=tuple(results),
        overall=overall,
        **levels,
        **distances,
        **pure,
        fap_name=settings.fap_name,
        worst_group=worst_group,
        best_group=best_group,
        p_value=p_value,
        test=test,
        detectable=scale.distance(detectable),
        imputed_gap=imputed_gap(basis, grouping, distances["gap"], imputed),
        note="; ".join(note for note in notes if note) or None,
        basis=basis,
    )


def _estimated(
    measured: Measured, metric: Metric, settings: Settings
) -> tuple[float | None, float | None, float | None, float | None, str | None]:
    """Return value, low, high, s and note of one group."""
    if not math.isfinite(measured.value):
        reason = "undefined on these samples" if measured.lines else "undefined: no sample was answered"
        if measured.terms is not None and measured.terms.lacks_part:
            reason = "undefined: in one of the repeats no answer counts (did they fail? ask them again)"
        return None, None, None, None, reason
    found_range = metric.range if Scale.of(metric).bounded else None
    low, high, note = interval(
        measured.value, measured.s, measured.clusters, range=found_range, alpha=settings.alpha
    )
    if measured.undefined > MAX_UNDEFINED:
        note = f"no interval: undefined in {measured.undefined:.0%} of the resamples"
    return measured.value, low, high, None if math.isnan(measured.s) else measured.s, note


def _group_result(
    name: str | None, measured: Measured, grouping: Grouping, g: int, metric: Metric, settings: Settings
) -> GroupResult:
    value, low, high, s, note = _estimated(measured, metric, settings)
    included = name is not None and takes_part(measured, settings)
    why = None
    if name is None:
        why = f"{grouping.attribute} unknown: no group of a composite"
    elif value is not None and not included:
        why = f"fewer than {settings.min_patients} patients: left out of composites and tests"
    return GroupResult(
        name,
        value,
        low,
        high,
        s,
        measured.clusters,
        grouping.samples[g],
        grouping.failed[g],
        grouping.counts[g],
        included,
        "; ".join(each for each in (why, note) if each) or None,
    )


def _left_out(results: Sequence[GroupResult], settings: Settings) -> str | None:
    """Return the sentence that names the groups without a part in the composites."""
    named = [
        f"{result.name} ("
        + (
            "undefined"
            if result.value is None
            else f"{result.patients} patient{'s' * (result.patients != 1)}, fewer than {settings.min_patients}"
        )
        + ")"
        for result in results
        if result.name is not None and not result.included
    ]
    return "left out of composites and tests: " + ", ".join(named) if named else None


def _detectable(made: Composites, settings: Settings) -> float | None:
    """Return the gap between the largest and the smallest group that these sizes show at 80% power."""
    if made.reason or made.is_noiseless:
        return None
    n_groups = len(made.names)
    order = np.argsort(-made.levels.clusters, kind="stable")
    s = np.sqrt(made.variance[order[[0, -1]]])
    return detectable_gap(float(s[0]), float(s[1]), n_groups * (n_groups - 1) // 2, alpha=settings.alpha)
