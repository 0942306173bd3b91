"""The fairness document of runs: every metric over the groups of every demographic attribute of a task.

`fairness` makes it from runs, `nova_bench.score_table.fairness_table` from a user's own table; both go through
`nova_bench.fairness_document`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nova_bench.counterfactual import SWAPPED, counterfactuals, demographics_of, scored_metrics
from nova_bench.fairness_document import FairnessSettings, Lines, Subject, document, listed, parts_of
from nova_bench.fairness_json import plain_json
from nova_bench.identity import versions
from nova_bench.judged_rows import JudgedMetric
from nova_bench.report import caution, cell_signature
from nova_bench.run import Run
from nova_bench.run_list import Runs, opened_runs
from nova_bench.score import Scored
from nova_bench.table import Table
from nova_bench.types import Metric


def fairness(
    runs: Runs,
    *,
    by: str | Sequence[str] = (),
    metrics: str | Sequence[str] = (),
    settings: FairnessSettings | None = None,
    data: str | None = None,
) -> dict[str, Any]:
    """Return the fairness document of runs.

    Args:
        runs: Runs, or their folders, or folders with runs below them. Several of one task, on the same samples, are also compared with
            each other. A run with ``demographics=swapped`` is reported against the one of the same model with ``demographics=stated``.
        by: Attributes among the tasks' demographics (all of them by default), or intersections: ``race*gender``.
        metrics: Names of metrics (by default all that take part in comparisons).
        settings: Lambda, smallest group, resamples and the like.
        data: Where the data set is now, for runs that are given as folders.

    Raises:
        UnknownNameError: An attribute or metric that none of the tasks has.
        UsageError: A run stands twice; no task has demographics; a swapped run without its stated one.

    >>> fairness([])
    Traceback (most recent call last):
    nova_bench.errors.UsageError: no run was given
    """
    chosen, by, metrics = settings or FairnessSettings(), listed(by), listed(metrics)
    opened = opened_runs(runs, data=data)
    plain = [run for run in opened if demographics_of(run.plan.variant) != SWAPPED]
    labels = labels_of([(run.plan.spelling, run.model, str(run.folder)) for run in plain])
    subjects = [_subject(run, label, chosen) for run, label in zip(plain, labels, strict=True)]
    made = document(subjects, by=by, metrics=metrics, settings=chosen)
    made["counterfactual"] = plain_json(
        counterfactuals(
            opened,
            dict(zip(map(id, plain), labels, strict=True)),
            chosen,
            attributes={part for attribute in by for part in parts_of(attribute)},
            metrics=metrics,
        )
    )
    return made


def labels_of(runs: Sequence[tuple[str, str, str]]) -> list[str]:
    """Return a name for each (task, model, folder): the model, with the folder where a task has several runs of it."""
    keys = [(task, model) for task, model, _ in runs]
    return [
        model if keys.count((task, model)) == 1 else f"{model} ({folder})" for task, model, folder in runs
    ]


def _subject(run: Run, label: str, settings: FairnessSettings) -> Subject:
    task, scored = run.plan.task, run.scored
    plain = _lines(scored.table, scored.worst, scored.best)
    judged = {one.metric.name: one for one in scored_metrics(run)}
    of_judges: dict[tuple[str, ...], Lines] = {}
    known = versions()

    def lines(metric: Metric) -> Lines:
        one = judged.get(metric.name)
        if one is None:
            return plain
        key = (one.asked.name, *(judge.name for judge in one.judges))
        if key not in of_judges:
            of_judges[key] = _judged_lines(one, scored)
        return of_judges[key]

    def missing(metric: Metric) -> str | None:
        if metric.name in judged and not set(metric.needs) <= set(scored.table.columns):
            return "no answer was judged"
        return next((scored.missing[column] for column in metric.needs if column in scored.missing), None)

    def signature(metric: Metric) -> Mapping[str, Any]:
        return cell_signature(
            run.plan,
            scored,
            metric,
            resamples=settings.resamples,
            seed=settings.seed,
            versions=known,
            remote_code=run.remote_code,
            judged=judged.get(metric.name),
        )

    return Subject(
        label=label,
        model=run.model,
        task=run.plan.spelling,
        folder=str(run.folder),
        caution=caution(run.plan, run.remote_code),
        headline=task.headline,
        metrics=(*task.plain_metrics, *(one.metric for one in judged.values())),
        attributes=task.demographics,
        lines=lines,
        missing=missing,
        signature=signature,
        notes={},
        is_synthetic=run.plan.data.is_synthetic,
    )


def _judged_lines(one: JudgedMetric, scored: Scored) -> Lines:
    """Return the lines that a judge's metrics read: those that wait for a verdict are failed, those that have none for good left out."""
    left = one.is_unjudged(scored.table)
    worst, best = (None if table is None else table.take(~left) for table in (scored.worst, scored.best))
    table = one.with_waiting_failed(scored.table)
    return _lines(table.take(~left), worst, best, scored.table.take(left))


def _lines(table: Table, worst: Table | None, best: Table | None, unjudged: Table | None = None) -> Lines:
    """Return rows, without those that are filled in where nothing of them failed: the run's are for others of its metrics."""
    has_failed = bool((table.status == "failed").any())
    return Lines(table, worst if has_failed else None, best if has_failed else None, unjudged)
