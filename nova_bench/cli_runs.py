"""What the verbs share that run and report: several tasks with one model, and the reports of several runs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_bench import cli_judging, cli_limits
from nova_bench.cli_ending import told
from nova_bench.cli_options import DONE, INCOMPLETE, folder_of, pairs, settings_of
from nova_bench.source_file import harmless

if TYPE_CHECKING:
    from nova_bench.adapter import Model
    from nova_bench.budget import Budget
    from nova_bench.run import Run


def evaluate_all(
    parsed: argparse.Namespace,
    asked: Sequence[tuple[str, str]],
    model: str,
    options: Mapping[str, str],
    out: Path | None,
    budget: Budget | None = None,
    judges: cli_judging.Judges | None = None,
) -> list[Run]:
    """Run or continue each task in turn; stop at the first one that an interrupt or a fault of the adapter ended.

    The model is made ready once for all of them, unless an option depends on the task.
    """
    from nova_bench.catalog import load_model, load_task
    from nova_bench.task import split_spelling

    for name, _ in asked:  # a mistake in the last one is known before a model of gigabytes is read
        spelled, choices = split_spelling(name)
        task = load_task(spelled)
        task.variant(choices)
        if task.judges and judges is not None:
            judges.check_names(model, options)
    if any("{task}" in value for value in options.values()):
        return _evaluate_each(parsed, asked, model, options, out, budget, judges)
    ready = load_model(model, options)
    if judges is not None:
        judges.share(model, options, ready)
    try:
        return _evaluate_each(parsed, asked, ready, {}, out, budget, judges)
    finally:
        ready.close()


def _evaluate_each(
    parsed: argparse.Namespace,
    asked: Sequence[tuple[str, str]],
    model: str | Model,
    options: Mapping[str, str],
    out: Path | None,
    budget: Budget | None,
    judges: cli_judging.Judges | None,
) -> list[Run]:
    from nova_bench.run import evaluate
    from nova_bench.watch import Watch

    runs: list[Run] = []
    for name, data in asked:
        folder = folder_of(out, name, len(asked))
        with Watch(name) as watch:
            run = evaluate(
                name,
                model,
                options=options,
                data=data,
                out=folder,
                limit=getattr(parsed, "limit", None),
                repeats=getattr(parsed, "repeats", 1),
                params=pairs(getattr(parsed, "params", []), "-p"),
                settings=settings_of(parsed),
                watch=watch.show,
                allow_hosted=getattr(parsed, "allow_hosted", False),
                budget=budget,
                prices=getattr(parsed, "prices", None),
                cache=getattr(parsed, "cache", None),
                **({} if judges is None else judges.arguments(name)),
            )
        runs.append(run)
        if told(run):
            break
    return runs


def print_runs(
    parsed: argparse.Namespace,
    runs: Sequence[Run],
    *,
    fresh: bool,
    slices: bool,
    coco: bool = False,
    further: Mapping[str, Any] | None = None,
) -> int:
    """Print the reports of runs, as tables or as one JSON document; 1 if one of them is incomplete."""
    from nova_bench.report import SCHEMA_VERSION

    reports = [run.report(fresh=fresh) for run in runs]
    usages = [run.usage() for run in runs]
    for run, report, usage in zip(runs, reports, usages, strict=True):
        if run.progress is not None and (line := cli_limits.spent(usage)):
            print(f"{run.plan.spelling}: {line}", file=sys.stderr)
        for sentence in cli_judging.dropping(run, report):
            print(harmless(f"{run.plan.spelling}: {sentence}"), file=sys.stderr)
    references = [_coco(run) if coco else None for run in runs]
    if parsed.json:
        document = {
            "schema_version": SCHEMA_VERSION,
            "cells": [cell for report in reports for cell in report["cells"]],
            "runs": [
                {
                    "folder": str(run.folder),
                    **{key: value for key, value in report.items() if key not in ("cells", "schema_version")},
                    "coco": reference,
                    "usage": usage,
                }
                for run, report, reference, usage in zip(runs, reports, references, usages, strict=True)
            ],
        }
        document.update(further or {})
        print(json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False))
    else:
        from nova_bench import render

        console = render.console()
        for report, reference in zip(reports, references, strict=True):
            console.print(render.report(report, slices=slices))
            if reference is not None:
                rows = [
                    (name, f"{pair['ours']:.12f}", f"{pair['pycocotools']:.12f}")
                    for name, pair in reference.items()
                ]
                console.print(
                    render.listing("AP recomputed with pycocotools", ("metric", "ours", "pycocotools"), rows)
                )
            console.print()
    incomplete = any(cell["incomplete"] for report in reports for cell in report["cells"])
    stopped = any(run.progress is not None and run.progress.error is not None for run in runs)
    return INCOMPLETE if incomplete or stopped else DONE


def _coco(run: Run) -> dict[str, dict[str, float | None]] | None:
    """Return AP as pycocotools computes it beside ours; None for a task without boxes."""
    from nova_bench.run import recompute_coco

    return recompute_coco(run)
