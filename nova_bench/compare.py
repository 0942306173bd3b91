"""Runs compared with each other: `compare` makes the document that the verb prints.

Every number is M_B - M_A over the answers that both runs gave; how its interval and its test are made is `nova_bench.stats.models`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nova_bench.compare_matches import Match, matches_of
from nova_bench.compare_pairing import Side, check_kinds, own_estimate, side_of
from nova_bench.compare_part import Choices, Part, outcome_of, signature_of
from nova_bench.compare_words import sentence, unit_of
from nova_bench.errors import UnknownNameError, UsageError
from nova_bench.fairness_document import listed as names_of
from nova_bench.fairness_json import plain_json
from nova_bench.fairness_pairs import correct
from nova_bench.fairness_report import labels_of
from nova_bench.prepare import Settings
from nova_bench.report import caution, data_json
from nova_bench.run import Run
from nova_bench.run_list import Runs, opened_runs
from nova_bench.source_file import printable
from nova_bench.stats import RESAMPLES
from nova_bench.stats.ranking import ranks

Entry = dict[str, Any]

SCHEMA_VERSION = 1
OVERALL = "all"
NO_SLICES = "none"


def compare(
    runs: Runs,
    *,
    metrics: str | Sequence[str] = (),
    by: str | Sequence[str] | None = None,
    force: bool = False,
    alpha: float = 0.05,
    resamples: int = RESAMPLES,
    seed: int = 0,
    data: str | None = None,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Return the document that compares runs of the same tasks with each other.

    Args:
        runs: Runs, or their folders, or folders with runs below them. Every two of one task are compared.
        metrics: Names of metrics (by default all that take part in comparisons); a judged one with its judge, or without for all judges.
        by: Attributes among the tasks' slices and demographics (by default the slices); ``"none"`` for the whole only.
        force: Whether to compare runs whose protocols differ all the same; every number is marked.
        alpha: 1 - the coverage of intervals, and the level of the tests.
        resamples: Of the cluster bootstrap, for metrics that are no ratio of sums.
        seed: Of the bootstrap.
        data: Where the data set is now, for runs that are given as folders.
        settings: Cache and configuration folders, for runs that are given as folders.

    Raises:
        UnknownNameError: A metric or attribute that none of the tasks has.
        UsageError: No task has two runs; a run stands twice; protocols differ, or samples; synthetic data beside real data.

    >>> compare([])
    Traceback (most recent call last):
    nova_bench.errors.UsageError: no run was given
    """
    chosen = Choices(
        tuple(names_of(metrics)),
        None if by is None else tuple(name for name in names_of(by) if name != NO_SLICES),
        force,
        alpha,
        resamples,
        seed,
    )
    opened = opened_runs(runs, data=data, settings=settings)
    check_kinds([(f"{run.model} ({run.folder})", run) for run in opened])
    groups, notes = _by_task(opened)
    _check_names(chosen, [run for group in groups for run in group])
    tasks = [made for group in groups if (made := _task(group, chosen, notes)) is not None]
    if not tasks:
        raise UsageError(f"nothing can be compared: {'; '.join(notes)}")
    return {
        "schema_version": SCHEMA_VERSION,
        "tasks": plain_json(tasks),
        "settings": {
            "alpha": alpha,
            "resamples": resamples,
            "seed": seed,
            "force": force,
            "by": None if chosen.by is None else list(chosen.by),
            "metrics": list(chosen.metrics),
        },
        "notes": notes,
    }


def _by_task(opened: Sequence[Run]) -> tuple[list[list[Run]], list[str]]:
    """Return the runs of each task that has several, and what is left out.

    Variants of a task are tasks of their own. Where that leaves nothing to compare, runs of one task in several variants stand together:
    comparing them is then refused with what differs, or forced.
    """
    for spelled in (True, False):
        groups: dict[str, list[Run]] = {}
        for run in opened:
            groups.setdefault(run.plan.spelling if spelled else run.plan.task.name, []).append(run)
        several = [group for group in groups.values() if len(group) > 1]
        if several:
            alone = [(task, group[0]) for task, group in groups.items() if len(group) == 1]
            return several, [f"left out: {task} has one run, {run.folder}" for task, run in alone]
    shown = ", ".join(f"{printable(run.plan.spelling)} by {printable(run.model)}" for run in opened[:5])
    raise UsageError(
        f"no task has two runs to compare: there is {shown}; give runs of two models on the same task"
    )


def _check_names(chosen: Choices, runs: Sequence[Run]) -> None:
    """Raise for a metric or an attribute that no run has."""
    tasks = {id(run.plan.task): run.plan.task for run in runs}.values()
    known = {metric.name: metric for task in tasks for metric in task.metrics}
    known |= {one.metric.name: one.metric for run in runs for one in run.judged_metrics}
    for name in chosen.metrics:
        if name not in known:
            raise UnknownNameError(
                "metric", name, [m.name for m in known.values() if m.infer], "the tasks of these runs"
            )
        if not known[name].infer:
            raise UsageError(
                f"metric {name!r} is not made for comparisons (infer=False); compare by another metric"
            )
    attributes = {name for task in tasks for name in (*task.slices, *task.demographics)}
    for name in chosen.by or ():
        if name not in attributes:
            raise UnknownNameError("attribute", name, attributes, "the tasks of these runs")


def _task(runs: Sequence[Run], chosen: Choices, notes: list[str]) -> Entry | None:
    """Return one task's section; None, and a note, where its runs share none of the metrics that were asked for."""
    first = runs[0].plan
    spellings = {run.plan.spelling for run in runs}
    task = first.spelling if len(spellings) == 1 else first.task.name
    labels = labels_of([(task, run.model, str(run.folder)) for run in runs])
    sides = [
        side_of(run, label, resamples=chosen.resamples, seed=chosen.seed)
        for run, label in zip(runs, labels, strict=True)
    ]
    matches, said = matches_of(sides, first.task.headline, wanted=chosen.metrics, force=chosen.force)
    if not matches:
        notes += [f"left out: {task}, of which the runs share none of the metrics", *said]
        return None
    signatures: dict[str, Mapping[str, Any]] = {}
    entries: list[Entry] = []
    for name, key in _slices(runs, chosen.by):
        part = Part(sides, matches, name, key, chosen)
        for match in matches:
            made = part.entry(match)
            if made is not None:
                signature = signature_of(match, name, chosen)
                signatures[signature["id"]] = signature
                entries.append({**made, "signature": signature["id"]})
    _test(entries, first.task.headline)
    for entry in entries:
        entry["outcome"] = outcome_of(entry, chosen.alpha)
        unit = unit_of(entry["written"], entry["range"], higher_is_better=entry["higher_is_better"])
        entry["sentence"] = sentence(entry, unit, chosen.alpha)
    cautions = dict.fromkeys(caution(run.plan, run.remote_code) for run in runs)
    return {
        "task": task,
        "data": data_json(first),
        "caution": " ".join(each for each in cautions if each) or None,
        "headline": first.task.headline,
        "runs": [_run_json(side) for side in sides],
        "comparisons": entries,
        "ranks": _ranks(entries, matches, sides, chosen),
        "signatures": signatures,
        "notes": said,
    }


def _slices(runs: Sequence[Run], by: tuple[str, ...] | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield (slice's name, key of its random draws), as in the runs' own reports; the whole first."""
    yield OVERALL, ()
    task = runs[0].plan.task
    for attribute in task.slices if by is None else by:
        values = {
            value for run in runs for value in run.scored.table.groups.get(attribute, ()) if value is not None
        }
        for value in sorted(values):
            yield f"{attribute}={value}", (attribute, value)


def _test(entries: Sequence[Entry], headline: str) -> None:
    """Correct p-values for how many tests there are, in each of four families apart.

    Which run is better is asked first, of the metric that the task is judged by, on the whole; then of other metrics; then where. Among the
    hundreds of tests of the later questions the answer to the first would be lost, though it was put before any run was seen.
    """
    families: dict[str, list[Entry]] = {}
    for entry in entries:
        what = "headline" if entry["metric"] == headline else "other metrics"
        entry["family"] = what if entry["slice"] == OVERALL else f"{what} by slice"
        families.setdefault(entry["family"], []).append(entry)
    for family in families.values():
        correct(family, "p", "p_holm")


def _run_json(side: Side) -> Entry:
    run = side.run
    return {
        "label": side.label,
        "model": run.model,
        "task": run.plan.spelling,
        "folder": str(run.folder),
        "complete": run.is_complete,
        "samples": len(set(run.scored.table.id)),
        "failed": len(set(run.scored.table.id[~run.scored.answered])),
        "clusters": len(set(run.scored.table.cluster[run.scored.answered])),
        "repeats": run.plan.repeats,
        "judges": [account.asked.name for account in run.scored.judges.values()],
        "data": data_json(run.plan),
    }


def _ranks(
    entries: Sequence[Entry], matches: Sequence[Match], sides: Sequence[Side], chosen: Choices
) -> list[Entry]:
    """Return each run's rank by each metric on the whole, with its own value; a run that no test compares with another has none.

    The value is that of the run's report: beside a rank, which is over several pairs, the values of one pair would not do.
    """
    labels = [side.label for side in sides]
    numbers = {
        (match.name, i): number for match in matches for i, number in ((match.i, match.a), (match.j, match.b))
    }
    made: list[Entry] = []
    for metric in dict.fromkeys(entry["metric"] for entry in entries):
        p = np.full((len(labels), len(labels)), np.nan)
        ahead = np.zeros_like(p)
        forced: dict[str, list[str]] = {label: [] for label in labels}
        for entry in entries:
            if entry["metric"] != metric or entry["slice"] != OVERALL or entry["p"] is None:
                continue
            i, j = labels.index(entry["a"]), labels.index(entry["b"])
            gain = entry["difference"] * (1 if entry["higher_is_better"] else -1)
            p[i, j] = p[j, i] = entry["p"]
            ahead[i, j], ahead[j, i] = gain, -gain
            for label in (entry["a"], entry["b"]):
                forced[label] += entry["forced"] or ()
        for i, (side, rank) in enumerate(zip(sides, ranks(p, ahead, chosen.alpha), strict=True)):
            if rank is None:
                continue
            own = own_estimate(
                side, numbers[metric, i], resamples=chosen.resamples, seed=chosen.seed, alpha=chosen.alpha
            )
            made.append(
                {
                    "metric": metric,
                    "model": side.label,
                    "rank": rank.rank,
                    "low": rank.low,
                    "high": rank.high,
                    "value": own.value,
                    "value_low": own.low,
                    "value_high": own.high,
                    "forced": list(dict.fromkeys(forced[side.label])) or None,
                }
            )
    return made
