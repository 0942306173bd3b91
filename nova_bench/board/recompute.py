"""What can be told of a bundle without its data set: whether its numbers follow from its rows, and its statements from each other.

The rows are the submitter's own. So this finds a number that was altered, a cell left out or added, a statement that contradicts another;
it does not find rows that are altered together with the numbers. For that the data set is needed (`nova_bench.board.answers`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nova_bench.board import layout
from nova_bench.board.bundle_reader import Bundle
from nova_bench.board.contradictions import check_sizes, contradictions
from nova_bench.board.differences import differences
from nova_bench.board.pairing import pairing_of_run
from nova_bench.board.stated import shipped_task, stated_run
from nova_bench.counterfactual import SWAPPED, demographics_of
from nova_bench.errors import BundleError, NovaBenchError
from nova_bench.fairness_report import fairness
from nova_bench.report import cells, report_json
from nova_bench.run import Run
from nova_bench.task import Task

MOST_LEFT_OUT = 1000
"""Cells that may be left out for a report to be compared cell by cell, to say which."""
MOST_SAID = 20
"""Differences that are told one by one; of more only how many there are."""


@dataclass(slots=True)
class Findings:
    """What a look at a bundle brought."""

    reasons: list[str] = field(default_factory=list)
    """Each is enough to reject it."""
    notes: list[str] = field(default_factory=list)
    """What could not be looked at, and why."""
    stated: int = 0
    """Cells of the report."""
    recomputed: int = 0
    """Of these the ones that were computed anew and came out the same."""
    open: bool = False
    """Whether something of the report could not be computed anew here, so that it is not verified whole."""

    def add(self, found: Iterator[str]) -> None:
        """Take in reasons, of many only the first."""
        listed = list(found)
        self.reasons += listed[:MOST_SAID]
        if len(listed) > MOST_SAID:
            self.reasons.append(f"and {len(listed) - MOST_SAID} more differences of this kind")


def check_rows(bundle: Bundle, *, with_numbers: bool = True) -> tuple[Findings, Run | None]:
    """Return what can be told of a bundle from itself, and the run that its rows make; None where they make none.

    Args:
        bundle: As it was read.
        with_numbers: Whether to compute its cells from its rows too; needless where they are computed from its answers.
    """
    found, run = Findings(), None
    with tempfile.TemporaryDirectory(prefix="nova_bench_") as folder:
        try:
            task = shipped_task(bundle.about)
            check_sizes(bundle.about, len(bundle.rows.table))
            found.add(contradictions(bundle, task))
            run = stated_run(bundle, task, Path(folder))
            with np.errstate(all="ignore"):
                if with_numbers:
                    compare_numbers(bundle, run, found)
                found.add(_pairing_faults(bundle, run))
        except NovaBenchError as error:
            found.reasons.append(str(error))
        except Exception as error:  # rows that no scorer makes can make any line of a metric fail
            found.reasons.append(
                f"its numbers cannot be computed from its rows ({type(error).__name__}: {str(error)[:200]}); no scorer makes such rows"
            )
    return found, run


def compare_numbers(bundle: Bundle, run: Run, found: Findings) -> None:
    """Compute all numbers of a run, and note where a bundle states others.

    Args:
        bundle: What states them.
        run: Made from the bundle's rows, or from its answers.
        found: Takes reasons, notes and counts.
    """
    about = bundle.about
    resampling = about["resampling"]
    stated = bundle.report
    if not isinstance(stated, dict) or not isinstance(stated.get("cells"), list):
        raise BundleError(f"{layout.REPORT} has no cells; expected a run's report")
    n_cells = _count(run)
    if (
        n_cells > len(stated["cells"]) + MOST_LEFT_OUT
    ):  # groups without number would keep the reader busy for days
        raise BundleError(
            f"{layout.REPORT} has {len(stated['cells'])} cells, and its task and rows give {n_cells}"
        )
    made = cells(
        run.plan,
        run.scored,
        run.model,
        **resampling,
        versions=_versions(bundle.report),
        remote_code=run.remote_code,
    )
    report = report_json(run.plan, run.scored, made, run.remote_code, **resampling)
    found.stated = len(stated["cells"])
    is_blind = bundle.rows.is_masked and not run.scored.table.groups
    here, odd = _by_name(stated["cells"])
    if is_blind:
        aside = [name for name in here if name[1] != "all"]
        found.add(_impossible_slices(here, run.plan.task))
        for name in aside:
            del here[name]
        if aside:
            found.notes.append(
                f"{len(aside)} cells of groups and slices were not computed anew: the rows of gated data say of no patient in which group "
                "he is. With the data set (--data) they are"
            )
    expected, _ = _by_name(report["cells"])
    for name in dict.fromkeys([*here, *expected]):
        metric, part = name
        where = f"cell {metric} ({part})"
        if name not in here:
            found.reasons.append(f"{where} is left out; a report has all cells of its task")
        elif name not in expected:
            found.reasons.append(f"{where} is no cell of this task on these rows")
        else:
            told = list(differences(here[name], expected[name], where))
            found.recomputed += not told
            found.add(iter(told))
    found.add(differences(_rest(stated), _rest(report), layout.REPORT))
    kept = ("name", "repeats", "self", "rubrics", "models", "dropped", "lines", "unjudged", "verdicts")
    judges, expected_judges = (
        [{key: judge[key] for key in kept} for judge in listed]
        for listed in (about["judges"], report["judges"])
    )
    found.add(differences(judges, expected_judges, f"{layout.BUNDLE}/judges"))
    _compare_fairness(bundle, run, found, is_blind=is_blind)
    if odd:
        found.reasons.append(f"{odd} cells stand twice or have no name")


def _pairing_faults(bundle: Bundle, run: Run) -> Iterator[str]:
    """Yield where the pairing is not the one that the bundle's rows give; the rows are compared with the answers elsewhere."""
    made = pairing_of_run(run, **bundle.about["resampling"])
    if (made is None) != (bundle.pairing is None):
        is_there = "is there, and its rows give none" if made is None else "is missing, and its rows give one"
        yield f"{layout.PAIRING} {is_there}"
    elif made is not None:
        yield from differences(bundle.pairing, made, layout.PAIRING)


def _count(run: Run) -> int:
    """Return how many cells a run has: each metric overall, and on each value of each slice."""
    task, groups = run.plan.task, run.scored.table.groups
    slices = sum(
        len({*groups[name].tolist()} - {None})
        for name in (*task.slices, *task.demographics)
        if name in groups
    )
    return (1 + slices) * (len(task.plain_metrics) + len(run.judged_metrics))


def _compare_fairness(bundle: Bundle, run: Run, found: Findings, *, is_blind: bool) -> None:
    """Compute the fairness document anew, where there are groups to make it from."""
    # A run with swapped demographics is half of a comparison, and has no document of its own.
    has_groups = bool(run.plan.task.demographics) and demographics_of(run.plan.variant) != SWAPPED
    if has_groups != (bundle.fairness is not None):
        what = (
            "is missing, and the task has demographics"
            if has_groups
            else "is there, and the task has no demographics"
        )
        found.reasons.append(f"{layout.FAIRNESS} {what}")
    elif has_groups and is_blind:
        found.notes.append("the fairness numbers were not computed anew, for the same reason")
    elif has_groups:
        found.add(differences(_comparable(bundle.fairness), _comparable(fairness([run])), layout.FAIRNESS))


def _comparable(document: Any) -> Any:
    """Return a fairness document without what depends on where and with which packages it was made."""
    if isinstance(document, Mapping):
        return {
            key: _comparable(value)
            for key, value in document.items()
            if key not in ("folder", "versions", "run", "label")
        }
    return [_comparable(value) for value in document] if isinstance(document, list) else document


def _versions(report: Any) -> Mapping[str, str]:
    """Return the packages that the stated cells say they were made with: shown, and the same in all of them."""
    try:
        stated = dict(report["cells"][0]["signature"]["provenance"]["versions"])
        return stated if all(isinstance(one, str) and len(one) <= 200 for one in stated.values()) else {}
    except (TypeError, KeyError, IndexError, ValueError):
        return {}


def _by_name(listed: Any) -> tuple[dict[tuple[str, str], Any], int]:
    """Return cells by metric and slice, and how many have no name or one that stood before."""
    named: dict[tuple[str, str], Any] = {}
    odd = 0
    for cell in listed:
        metric, part = (cell.get("metric"), cell.get("slice")) if isinstance(cell, dict) else (None, None)
        if not isinstance(metric, str) or not isinstance(part, str) or (metric, part) in named:
            odd += 1
        else:
            named[metric, part] = cell
    return named, odd


def _impossible_slices(named: Mapping[tuple[str, str], Any], task: Task) -> Iterator[str]:
    """Yield what cannot be of cells whose rows say of no line in which slice it is: other attributes, more samples than there are."""
    known = {*task.slices, *task.demographics}
    whole = {metric: cell for (metric, part), cell in named.items() if part == "all"}
    sizes: dict[tuple[str, str], int] = {}
    for (metric, part), cell in named.items():
        if part == "all":
            continue
        attribute, equals, _ = part.partition("=")
        n, most = (one.get("n") if isinstance(one, dict) else None for one in (cell, whole.get(metric)))
        if not equals or attribute not in known or type(n) is not int or type(most) is not int:
            yield f"cell {metric} ({part}) is of no slice of this task"
            continue
        sizes[metric, attribute] = sizes.get((metric, attribute), 0) + n
        if sizes[metric, attribute] > most:
            yield f"the cells of {metric} by {attribute} have {sizes[metric, attribute]} samples together, more than the {most} that there are"
        if cell.get("n_failed") != 0 or cell.get("incomplete") is not False:
            yield f"cell {metric} ({part}) is incomplete"


def _rest(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report without its cells, and without the calibrations of judges, whose files stay where the judge was calibrated."""
    rest = {key: value for key, value in report.items() if key != "cells"}
    judges = rest.get("judges")
    if isinstance(judges, list):
        rest["judges"] = [
            {key: value for key, value in judge.items() if key != "calibration"}
            if isinstance(judge, dict)
            else judge
            for judge in judges
        ]
    return rest
