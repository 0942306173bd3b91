"""Cells: every number of a run, overall and per slice, with its interval, its failures and its signature."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nova_bench.calibration_file import calibrations
from nova_bench.judge import rubric_id
from nova_bench.judge_agreement import repeat_records
from nova_bench.judge_log import JUDGES
from nova_bench.judged_rows import JUDGE_FAILED, UNJUDGED, JudgedMetric, judged_metrics
from nova_bench.plan import Limit, Plan
from nova_bench.score import JudgeAccount, Scored
from nova_bench.signature import params_json, sign
from nova_bench.stats import RESAMPLES, estimate, resampling_weights
from nova_bench.task import Task
from nova_bench.types import STATUSES, Cell, Metric

if TYPE_CHECKING:
    from nova_bench.table import Table

SCHEMA_VERSION = 1
MOST_UNJUDGED = 0.01
"""Share of a judge's answers that may be unjudged in a submission."""


def cells(
    plan: Plan,
    scored: Scored,
    model: str,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    versions: Mapping[str, str] | None = None,
    remote_code: Mapping[str, str] | None = None,
) -> list[Cell]:
    """Return the cells of a run: each metric overall, then each on every value of the task's slices.

    Args:
        plan: The run's plan.
        scored: Its rows.
        model: ``ADAPTER[:MODEL]``.
        resamples: Of the cluster bootstrap, for metrics without an exact standard error.
        seed: Of the cluster bootstrap.
        versions: Packages that had a part in the numbers, for the provenance.
        remote_code: Whose own Python code ran as part of the model, if any did.
    """
    made: list[Cell] = []
    judged = judged_metrics(plan.task, [account.asked for account in scored.judges.values()])
    wanted: list[tuple[Metric, JudgedMetric | None]] = [
        *((metric, None) for metric in plan.task.plain_metrics),
        *((one.metric, one) for one in judged),
    ]
    signatures = {
        metric.name: cell_signature(
            plan,
            scored,
            metric,
            resamples=resamples,
            seed=seed,
            versions=versions or {},
            remote_code=remote_code,
            judged=one,
        )
        for metric, one in wanted
    }
    for name, key, mask in _slices(plan.task, scored.table):
        parts: dict[object, _Part] = {}
        for metric, one in wanted:
            # Metrics of one judge on the same rubrics see the same lines, and share the weights of their resamples.
            which = None if one is None else (one.asked.name, tuple(judge.name for judge in one.judges))
            if which not in parts:
                parts[which] = _Part(scored, mask, key, resamples, seed, one)
            made.append(parts[which].cell(plan, metric, model, name, signatures[metric.name]))
    return made


def _slices(task: Task, table: Table) -> Iterator[tuple[str, tuple[str, ...], np.ndarray]]:
    """Yield (slice's name, key of its random draws, boolean mask) for the whole table and every value of the slice attributes."""
    yield "all", (), np.ones(len(table), dtype=bool)
    for attribute in (*task.slices, *task.demographics):
        values = table.groups.get(attribute)
        if values is None:
            continue
        for value in sorted({value for value in values if value is not None}):
            yield f"{attribute}={value}", (attribute, value), np.asarray(values == value)


class _Part:
    """The lines of one slice (of one judge those that it judged), and the weights that all metrics on it share."""

    def __init__(
        self,
        scored: Scored,
        mask: np.ndarray,
        key: tuple[str, ...],
        resamples: int,
        seed: int,
        judged: JudgedMetric | None,
    ) -> None:
        whole = scored.table.take(mask)
        failed = np.asarray(whole.status == "failed")
        counts: dict[str, int] = {status: int((whole.status == status).sum()) for status in STATUSES}
        unjudged = np.zeros(len(whole), dtype=bool)
        if judged is not None:
            states = judged.states(whole)
            waiting = ~failed & ((states == JUDGE_FAILED) | np.isnan(states))
            unjudged = states == UNJUDGED
            counts |= {"unjudged": int(unjudged.sum()), "judge_failed": int(waiting.sum())}
            failed = failed | waiting
        self.missing, self.key, self.resamples, self.seed = scored.missing, key, resamples, seed
        self.table = whole.take(~failed & ~unjudged)
        self.n = len(set(whole.id))
        self.n_failed = len(set(whole.id[failed]))
        self.counts = counts
        worst, best = scored.worst, scored.best
        has_bounds = bool(self.n_failed or unjudged.any())
        self.worst = worst.take(mask) if has_bounds and worst is not None else None
        self.best = best.take(mask) if has_bounds and best is not None else None
        self.n_clusters = len(set(self.table.cluster))
        self._weights: np.ndarray | None = None

    def cell(self, plan: Plan, metric: Metric, model: str, name: str, signature: Mapping[str, Any]) -> Cell:
        value, low, high, note = self._estimate(metric)
        return Cell(
            task=plan.spelling,
            model=model,
            metric=metric.name,
            slice=name,
            value=value,
            low=low,
            high=high,
            n=self.n,
            n_failed=self.n_failed,
            clusters=self.n_clusters,
            counts=self.counts,
            signature=signature,
            bounds=self._bounds(metric),
            note=note,
        )

    def _estimate(self, metric: Metric) -> tuple[float | None, float | None, float | None, str | None]:
        absent = [column for column in metric.needs if column in self.missing]
        if absent:
            return None, None, None, self.missing[absent[0]]
        if not len(self.table):
            return None, None, None, self._nothing()
        if not set(metric.needs) <= set(self.table.columns):
            return None, None, None, "no answer was judged"
        if metric.infer and metric.sums is None and self._weights is None:
            # All metrics of a slice see the same resamples; drawing them once is most of the time saved.
            self._weights = resampling_weights(
                self.n_clusters, resamples=self.resamples, seed=self.seed, key=self.key
            )
        found = estimate(
            self.table, metric, resamples=self.resamples, seed=self.seed, key=self.key, weights=self._weights
        )
        return found.value, found.low, found.high, found.note

    def _nothing(self) -> str:
        """Return why a slice has no line to make a number of."""
        if not self.n:
            return "no samples"
        is_judges_fault = self.counts.get("unjudged") or self.counts.get("judge_failed")
        return "no answer was judged" if is_judges_fault else "no sample was answered"

    def _bounds(self, metric: Metric) -> tuple[float | None, float | None] | None:
        """Return the value if all failed and unjudged lines were the worst answers, and if all were the best."""
        if self.worst is None or self.best is None or not set(metric.needs) <= set(self.worst.columns):
            return None
        worst, best = (value_of(table, metric) for table in (self.worst, self.best))
        return worst, best


def value_of(table: Table, metric: Metric) -> float | None:
    """Return a metric's mean over the repeats of a table, without an interval."""
    values = [
        float(metric.compute(part, part.ones())[0])
        for part in (table.take(table.repeat == r) for r in np.unique(table.repeat))
    ]
    mean = float(np.mean(values))
    return None if math.isnan(mean) else mean


def cell_signature(
    plan: Plan,
    scored: Scored,
    metric: Metric,
    *,
    resamples: int,
    seed: int,
    versions: Mapping[str, str],
    remote_code: Mapping[str, str] | None,
    judged: JudgedMetric | None = None,
) -> dict[str, Any]:
    """Return the signature that all cells of one metric of a run share.

    Args:
        plan: The run's plan.
        scored: Its rows.
        metric: The metric.
        resamples: Of the cluster bootstrap.
        seed: Of the cluster bootstrap.
        versions: Packages that had a part in the numbers.
        remote_code: Whose own Python code ran as part of the model, if any did.
        judged: The metric with its judge, where it needs one.
    """
    method = "none" if not metric.infer else "exact" if metric.sums is not None else "bootstrap"
    provenance = {
        "requests": scored.requests_hash[:12],
        "frame": plan.card.frame.name,
        "params": params_json(plan.params),
        "repeats": plan.repeats,
        "dropped": dict(scored.dropped),
        "interval": {
            "error": method,
            "level": 0.95,
            "clusters": "resampled",
            "resamples": resamples,
            "seed": seed,
        },
        "data_kind": plan.data.kind,
        "versions": dict(versions),
        "remote_code": None if remote_code is None else dict(remote_code),
    }
    judge = None
    if judged is not None:
        judge = judged.signature()
        account = scored.judges[judged.asked.name]
        provenance["judge_models"] = dict(account.models)
        provenance["judge_dropped"] = dict(account.dropped)
    return sign(
        plan.task,
        plan.variant,
        metric,
        data_digest=plan.data.digest,
        split=scored.split,
        limit=_limit_json(plan.limit),
        template_hash=scored.template_hash,
        scorer_versions=scored.scorer_versions,
        provenance=provenance,
        judge=judge,
    )


def _limit_json(limit: Limit | None) -> dict[str, int] | None:
    return None if limit is None else {"n": limit.n, "seed": limit.seed}


def cell_json(cell: Cell) -> dict[str, Any]:
    """Return a cell as JSON values: floats to 12 significant digits, no NaN."""
    return {
        "task": cell.task,
        "model": cell.model,
        "metric": cell.metric,
        "slice": cell.slice,
        "value": rounded(cell.value),
        "low": rounded(cell.low),
        "high": rounded(cell.high),
        "n": cell.n,
        "n_failed": cell.n_failed,
        "incomplete": cell.n_failed > 0,
        "bounds": None if cell.bounds is None else [rounded(cell.bounds[0]), rounded(cell.bounds[1])],
        "clusters": cell.clusters,
        "counts": dict(cell.counts),
        "signature": dict(cell.signature),
        "note": cell.note,
    }


def report_json(
    plan: Plan,
    scored: Scored,
    made: Sequence[Cell],
    remote_code: Mapping[str, str] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Return a run's report: what ``report.json`` holds, the same byte for byte whenever it is made from the same answers.

    Args:
        plan: The run's plan.
        scored: Its rows.
        made: Its cells.
        remote_code: Whose own Python code ran as part of the model, if any did.
        resamples: Of the cluster bootstrap.
        seed: Of the cluster bootstrap.
    """
    task = plan.task
    return {
        "schema_version": SCHEMA_VERSION,
        "task": plan.spelling,
        "headline": task.headline,
        "data": data_json(plan),
        "caution": caution(plan, remote_code),
        "cells": [cell_json(cell) for cell in made],
        "warnings": dict(scored.warnings),
        "models": dict(scored.models),
        "judges": [
            _judge_json(account, int(scored.answered.sum()), task) for account in scored.judges.values()
        ],
        "judge_repeats": _rounded_all(repeat_records(task, scored, resamples=resamples, seed=seed)),
        "references": [
            {
                "model": reference.model,
                "metric": reference.metric,
                "value": reference.value,
                "evidence": reference.evidence,
                "sources": reference.sources,
                "source": reference.source,
                "label": "other prompts, other judge",
            }
            for reference in task.references
        ],
    }


def data_json(plan: Plan) -> dict[str, Any]:
    """Return which data a document's numbers are of."""
    data = plan.data
    return {
        "name": plan.task.data.name,
        "kind": data.kind,
        "digest": data.digest,
        "revision": data.revision,
    }


def _judge_json(account: JudgeAccount, lines: int, task: Task) -> dict[str, Any]:
    share = _share(account.unjudged, lines)
    share_of_verdicts = _share(account.unjudged_verdicts, account.verdicts)
    return {
        "name": account.asked.name,
        "folder": f"{JUDGES}/{account.asked.folder.name}",
        "repeats": account.asked.repeats,
        "self": account.asked.is_self,
        "models": dict(account.models),
        "dropped": dict(account.dropped),
        "lines": lines,
        "unjudged": account.unjudged,
        "unjudged_share": share,
        "verdicts": account.verdicts,
        "unjudged_verdicts": account.unjudged_verdicts,
        "unjudged_verdict_share": share_of_verdicts,
        "too_many_unjudged": too_many_unjudged(share, share_of_verdicts),
        "judge_failed": account.failed,
        "rubrics": [rubric_id(judge) for judge in task.judges],
        "calibration": _rounded_all(calibrations(account.asked, task.judges)),
    }


def _share(unjudged: int, whole: int) -> float | None:
    return rounded(unjudged / whole) if whole else None


def too_many_unjudged(lines: float | None, verdicts: float | None) -> bool:
    """Return whether more is unjudged than a submission may have: `MOST_UNJUDGED` of the lines, or of the verdicts.

    Args:
        lines: Share of the answered lines without any verdict for good; None where none was answered.
        verdicts: Share of the verdicts, those of each repeat, that are missing for good; None where none was due.
    """
    return max(lines or 0.0, verdicts or 0.0) > MOST_UNJUDGED


def caution(plan: Plan, remote_code: Mapping[str, str] | None = None) -> str | None:
    """Return what every table of this run must say about its data, and about code that came with the model."""
    said = []
    if plan.data.is_synthetic:
        said.append(
            f"{plan.task.data.name}-mini is synthetic: these numbers show that the harness works and are no measure of clinical skill."
        )
    if remote_code is not None:
        whose = ", ".join(f"{key} {value}" for key, value in remote_code.items())
        said.append(
            f"The model was run with trust_remote_code: Python code that came with it ({whose}) had a part in every number."
        )
    return " ".join(said) or None


def _rounded_all(value: Any) -> Any:
    """Return JSON values with every float at 12 significant digits."""
    if isinstance(value, dict):
        return {key: _rounded_all(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded_all(inner) for inner in value]
    return rounded(value) if isinstance(value, float) else value


def rounded(value: float | None) -> float | None:
    """Return a float at 12 significant digits, None for NaN.

    >>> rounded(1 / 3), rounded(float("nan"))
    (0.333333333333, None)
    """
    return None if value is None or not math.isfinite(value) else float(f"{value:.12g}")
