"""What changes when the demographics in the prompt are swapped and all else stays: two runs, paired on the sample.

A run with ``demographics=swapped`` asks each sample once for every other value of an attribute: sample ``p0001-q2`` becomes
``p0001-q2+race=asian`` where race was something else. It is set against the run of the same model with ``demographics=stated``, whose
prompt states what is true. The same pictures and questions are behind both answers, so a change is the words' doing, or chance's where
a model does not answer alike twice. Patients are the clusters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nova_bench.errors import DataError, UsageError
from nova_bench.fairness_words import figure, span
from nova_bench.identity import versions
from nova_bench.judged_rows import JUDGED, UNJUDGED, JudgedMetric, judged_metrics
from nova_bench.metrics.classification import mean_of
from nova_bench.report import cell_signature
from nova_bench.signature import seal
from nova_bench.stats import Difference, Estimate, estimate, model_difference
from nova_bench.table import Table

if TYPE_CHECKING:
    from nova_bench.fairness_document import FairnessSettings
    from nova_bench.run import Run
    from nova_bench.task import Variant
    from nova_bench.types import Metric

STATED, SWAPPED = "stated", "swapped"
ANSWER = "answer_hash"
"""The column in which a scorer puts a number that is equal for equal answers."""
_CHANGED = mean_of(
    "changed", "changed", about="Share of answers that differ from the answer to the true demographics."
)


def demographics_of(variant: Variant) -> str | None:
    """Return what a variant does with demographics in the prompt: none, stated, swapped, or None where it has no such choice."""
    return variant.get("demographics")


def counterfactuals(
    runs: Sequence[Run],
    labels: Mapping[int, str],
    settings: FairnessSettings,
    *,
    attributes: Collection[str] = (),
    metrics: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Return one record for every value that was put in place of another, of every swapped run among the runs.

    Args:
        runs: All runs of the report.
        labels: The label of each run that is not swapped, by ``id(run)``.
        settings: Resamples and seed.
        attributes: Only values of these; of all that were swapped where empty.
        metrics: Only these; all that are means where empty.

    Raises:
        UsageError: A swapped run whose stated run is not among the runs, or that has two.
        DataError: A swapped sample without its stated one.
    """
    records: list[dict[str, Any]] = []
    for run in runs:
        if demographics_of(run.plan.variant) == SWAPPED:
            stated = _stated_run(run, runs)
            for value in _values(run, attributes):
                records.append(_record(run, stated, labels[id(stated)], value, metrics, settings))
    return records


def swapped_pairs(stated: Table, swapped: Table, value: str) -> tuple[Table, Table]:
    """Return the lines of both tables that belong together, in one order and under the ids of the swapped samples.

    Args:
        stated: All lines of the run that was told the truth.
        swapped: All lines of the run that was told something else; attribute ``swapped`` says what.
        value: What was put in place, such as ``race=asian``.

    Raises:
        DataError: A swapped sample has no stated one.
    """
    chosen = swapped.take(np.asarray(swapped.groups["swapped"] == value))
    place = {key: i for i, key in enumerate(zip(stated.id.tolist(), stated.repeat.tolist(), strict=True))}
    index = np.empty(len(chosen), dtype=np.int64)
    for i, (sample, repeat) in enumerate(zip(chosen.base.tolist(), chosen.repeat.tolist(), strict=True)):
        found = place.get((sample, repeat))
        if found is None:
            raise DataError(
                f"swapped sample {chosen.id[i]!r} (repeat {repeat}) has no sample {sample!r} in the stated run; "
                "run both on the same data, with the same --limit and --repeats"
            )
        index[i] = found
    return dataclasses.replace(stated.take(index), id=chosen.id), chosen


def _stated_run(run: Run, runs: Sequence[Run]) -> Run:
    wanted = {**run.plan.variant, "demographics": STATED}
    partners = [
        other
        for other in runs
        if other.model == run.model
        and other.plan.task.name == run.plan.task.name
        and other.plan.variant == wanted
        and other.plan.data.digest == run.plan.data.digest
    ]
    if len(partners) != 1:
        raise UsageError(
            f"{run.folder} has swapped demographics and is reported against the run of {run.model} with demographics=stated: expected one "
            f"such run beside it, got {len(partners)}; nova-bench run {run.plan.task.spell(wanted)} --model {run.model} makes it"
        )
    return partners[0]


def _values(run: Run, attributes: Collection[str]) -> list[str]:
    """Return what was put in place of something else, such as ``race=asian``."""
    values = {value for value in run.scored.table.groups.get("swapped", ()) if value is not None}
    return sorted(value for value in values if not attributes or value.partition("=")[0] in attributes)


def _record(
    run: Run, stated: Run, label: str, value: str, names: Collection[str], settings: FairnessSettings
) -> dict[str, Any]:
    before, after = swapped_pairs(stated.scored.table, run.scored.table, value)
    answered = np.asarray((before.status != "failed") & (after.status != "failed"))
    n, failed = len(set(after.id)), len(set(after.id[~answered]))
    before, after = before.take(answered), after.take(answered)

    def is_wanted(metric: Metric) -> bool:
        return metric.infer and metric.sums is not None and (not names or metric.name in names)

    metrics = {
        metric.name: _difference(metric, run, before, after, value, settings)
        for metric in run.plan.task.plain_metrics
        if is_wanted(metric)
    }
    partners = {one.metric.name: one for one in scored_metrics(stated)}
    for one in scored_metrics(run):
        if is_wanted(one.metric):
            metrics[one.metric.name] = _judged_difference(
                one, partners.get(one.metric.name), run, before, after, value, settings
            )
    attribute, _, word = value.partition("=")
    record = {
        "task": run.plan.task.name,
        "model": run.model,
        "run": label,
        "stated_folder": str(stated.folder),
        "swapped_folder": str(run.folder),
        "attribute": attribute,
        "value": word,
        "n": n,
        "n_failed": failed,
        "patients": len(set(after.cluster)),
        "changed": _changed(before, after, value, settings)
        | {"signature": _signature(run, _CHANGED, settings)},
        "metrics": metrics,
    }
    headline = run.plan.task.headline
    named = headline if headline in metrics else next(iter(metrics), headline)
    record["sentence"] = _sentence(record, named, metrics.get(named))
    return record


def _changed(before: Table, after: Table, value: str, settings: FairnessSettings) -> dict[str, Any]:
    if not len(after):
        return _number(Estimate(None, None, None, None, 0, "no pair was answered"))
    if ANSWER not in before.columns or ANSWER not in after.columns:
        return _number(Estimate(None, None, None, None, 0, f"the task's scorers make no column {ANSWER!r}"))
    one, two = before[ANSWER], after[ANSWER]
    same = (one == two) | (np.isnan(one) & np.isnan(two))
    table = dataclasses.replace(after, columns={"changed": (~same).astype(np.float64)})
    return _number(
        estimate(table, _CHANGED, resamples=settings.resamples, seed=settings.seed, key=("swapped", value))
    )


def scored_metrics(run: Run) -> list[JudgedMetric]:
    """Return the metrics of all judges whose verdicts are among a run's rows."""
    return judged_metrics(run.plan.task, [account.asked for account in run.scored.judges.values()])


def _judged_difference(
    one: JudgedMetric,
    partner: JudgedMetric | None,
    run: Run,
    before: Table,
    after: Table,
    value: str,
    settings: FairnessSettings,
) -> dict[str, Any]:
    """Return the difference of a judge's metric, on the pairs both of whose answers it judged; how many it did not is told."""
    judge = one.asked.name
    remedy = None
    if partner is None:
        remedy = f"{judge} did not judge the stated run; nova-bench score RUN --judge ... makes it"
    elif partner.signature() != one.signature():
        remedy = f"{judge} judged the two runs with other options, rubrics, parameters or repeats"
    states = np.stack([one.states(table) for table in (before, after)])
    there = (states == JUDGED).all(axis=0)
    left = (states == UNJUDGED).any(axis=0)
    before, after = before.take(there), after.take(there)
    if remedy is None and not set(one.metric.needs) <= set(before.columns) & set(after.columns):
        remedy = "no pair was judged"
    made = _difference(one.metric, run, before, after, value, settings, remedy=remedy, judged=one)
    if partner is not None and not there.any():
        made["note"] = remedy or "no pair was judged"
    return {**made, "unjudged": int(left.sum()), "judge_failed": int((~there & ~left).sum())}


def _difference(
    metric: Metric,
    run: Run,
    before: Table,
    after: Table,
    value: str,
    settings: FairnessSettings,
    *,
    remedy: str | None = None,
    judged: JudgedMetric | None = None,
) -> dict[str, Any]:
    """Return the metric with the swapped demographics less the metric with the true ones, on the same samples."""
    missing = run.scored.missing
    remedy = remedy or next((missing[name] for name in metric.needs if name in missing), None)
    if remedy is not None or not len(after):
        stated = swapped = Estimate(None, None, None, None, 0)
        found = Difference(None, None, None, None, None, None, 0, 0, remedy or "no pair was answered")
    else:
        key, seed = ("swapped", value), settings.seed
        found = model_difference(before, after, metric, resamples=settings.resamples, seed=seed, key=key)
        stated, swapped = (estimate(table, metric, key=key, seed=seed) for table in (before, after))
    return {
        **_number(found),
        "stated": stated.value,
        "swapped": swapped.value,
        "higher_is_better": metric.higher_is_better,
        "signature": _signature(run, metric, settings, judged),
    }


def _number(found: Estimate | Difference) -> dict[str, Any]:
    return {"value": found.value, "low": found.low, "high": found.high, "note": found.note}


def _signature(
    run: Run, metric: Metric, settings: FairnessSettings, judged: JudgedMetric | None = None
) -> dict[str, Any]:
    """Return the signature of a difference: that of the swapped run's cell, with what it is set against."""
    signature = cell_signature(
        run.plan,
        run.scored,
        metric,
        resamples=settings.resamples,
        seed=settings.seed,
        versions=versions(),
        remote_code=run.remote_code,
        judged=judged,
    )
    return seal({**signature["protocol"], "against": f"demographics={STATED}"}, signature["provenance"])


def _sentence(record: Mapping[str, Any], headline: str, number: Mapping[str, Any] | None) -> str:
    changed = record["changed"]
    said = f"{record['attribute']} replaced by {record['value']}: "
    if changed["value"] is None:
        said += f"what changes cannot be said ({changed['note']})"
    else:
        percent = {
            key: None if changed[key] is None else 100 * changed[key] for key in ("value", "low", "high")
        }
        said += f"{span(percent, 1)}% of the answers to {record['n'] - record['n_failed']} samples change"
    if number is not None and number["value"] is not None:
        said += f"; {headline} {figure(number['stated'], 3)} becomes {figure(number['swapped'], 3)}, a change of {span(number, 3, sign=True)}"
        if number["low"] is not None and number["low"] <= 0 <= number["high"]:
            said += ", not distinguishable from 0"
    if record["n_failed"]:
        said += f"; {record['n_failed']} of {record['n']} pairs failed and are not counted"
    return said
