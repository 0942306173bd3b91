"""The command line: one function a verb, each a call to one public function."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_bench import (
    __version__,
    cli_build,
    cli_check,
    cli_compare,
    cli_fairness,
    cli_judge,
    cli_judging,
    cli_limits,
    cli_new,
    cli_show,
)
from nova_bench.cli_ending import told
from nova_bench.cli_options import (
    ALLOW_HOSTED,
    DONE,
    INCOMPLETE,
    WRONG_USE,
    folder_of,
    pairs,
    say_whose,
    settings_of,
)
from nova_bench.errors import NovaBenchError, RemoteCodeWarning, UsageError
from nova_bench.source_file import harmless

if TYPE_CHECKING:
    from nova_bench.adapter import Model
    from nova_bench.budget import Budget
    from nova_bench.run import Run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 incomplete or a check failed, 2 wrong use."""
    parsed = _parser().parse_args(arguments)
    parsed.words = list(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cluster's stop is a Ctrl-C
    gc.set_threshold(
        100_000, 20, 50
    )  # a run keeps what it reads; looking for garbage in it was a tenth of a resume
    try:
        with _said_plainly():
            code: int = parsed.verb(parsed)
        sys.stdout.flush()
        return code
    except UsageError as error:
        return _complain(error, WRONG_USE)
    except NovaBenchError as error:
        return _complain(error, INCOMPLETE)
    except KeyboardInterrupt:
        print("stopped; give the same command again to go on", file=sys.stderr)
        return INCOMPLETE
    except BrokenPipeError:
        # The reader (head, a closed pager) has what it wanted; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


@contextlib.contextmanager
def _said_plainly() -> Iterator[None]:
    """Print warnings of foreign code as sentences, whatever filters Python was started with: nobody is to overlook one."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", RemoteCodeWarning)
        show = warnings.showwarning

        def plainly(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            if issubclass(category, RemoteCodeWarning):
                print(f"nova-bench: {message}", file=sys.stderr)
            else:
                show(message, category, *rest, **more)

        warnings.showwarning = plainly
        yield


def _complain(error: NovaBenchError, code: int) -> int:
    print(f"nova-bench: {harmless(str(error))}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nova-bench", description="Measures vision-language models on medical images."
    )
    parser.add_argument("--version", action="version", version=f"nova-bench {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    demo = verbs.add_parser(
        "demo", help="the mini suite with the built-in baselines and a rule-based judge, then tables"
    )
    demo.add_argument("--out", type=Path, default=None, help="folder of the demo's runs (default: runs/demo)")
    demo.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    demo.set_defaults(verb=_demo)

    cli_show.add_verbs(verbs)
    cli_new.add_verb(verbs)
    cli_build.add_verbs(verbs)
    cli_check.add_verb(verbs)

    run = verbs.add_parser("run", help="ask a model, or go on where an earlier start ended, then score")
    run.add_argument(
        "tasks",
        nargs="+",
        metavar="SUITE|TASK[@key=value]",
        help="suites, tasks, or paths of task files with a slash",
    )
    run.add_argument(
        "--model",
        required=True,
        metavar="ADAPTER[:MODEL]",
        help="a name, or the path of an adapter file with a slash",
    )
    run.add_argument(
        "-o",
        dest="options",
        action="append",
        default=[],
        metavar="key=value",
        help="an option of the adapter",
    )
    run.add_argument(
        "-p",
        dest="params",
        action="append",
        default=[],
        metavar="key=value",
        help="temperature, max_tokens, seed or stop",
    )
    run.add_argument("--data", help="mini, full or the path of a folder in the hub's layout (default: full)")
    run.add_argument(
        "--limit", type=int, metavar="N", help="only N clusters (cases); a larger N later goes on from there"
    )
    run.add_argument("--repeats", type=int, default=1, metavar="N", help="ask each sample N times")
    run.add_argument(
        "--concurrency", type=int, metavar="N", help="requests in flight, for adapters that have it"
    )
    run.add_argument(
        "--accept-license",
        action="store_true",
        help="accept the data set's licence (see show TASK); remembered",
    )
    run.add_argument("--allow-hosted", action="store_true", help=ALLOW_HOSTED)
    run.add_argument(
        "--out", type=Path, help="the run's folder (with several tasks: the folder of their folders)"
    )
    cli_judging.add_options(run)
    cli_limits.add_options(run)
    run.add_argument("--json", action="store_true", help="print the report as one JSON document")
    run.set_defaults(verb=_run)

    score = verbs.add_parser(
        "score", help="rows and metrics again from the log, without the model; --judge: judge it"
    )
    report = verbs.add_parser("report", help="cells: overall and by slice")
    for verb in (score, report):
        verb.add_argument(
            "runs", nargs="+", type=Path, metavar="RUN", help="a run's folder, or one with runs below it"
        )
        verb.add_argument("--data", help="where the data set is now, if it moved")
        verb.add_argument("--json", action="store_true", help="print one JSON document")
    cli_judging.add_options(score)
    score.add_argument("--allow-hosted", action="store_true", help=ALLOW_HOSTED)
    cli_limits.add_limits(score)
    cli_limits.add_dry_run(score)
    score.set_defaults(verb=_report, fresh=True, coco=False, slices=False)
    report.add_argument(
        "--coco", action="store_true", help="also recompute AP with pycocotools and print both"
    )
    report.add_argument("--no-slices", dest="slices", action="store_false", help="only the overall numbers")
    report.set_defaults(verb=_report, fresh=False)

    cli_fairness.add_verb(verbs)
    cli_compare.add_verb(verbs)
    cli_judge.add_verb(verbs)

    return parser


def _run(parsed: argparse.Namespace) -> int:
    from nova_bench.catalog import expand, find, split_model
    from nova_bench.task import split_spelling

    asked: list[tuple[str, str]] = []
    for word in parsed.tasks:
        names, data = expand(word)
        asked += [(name, parsed.data or data or "full") for name in names]
    options = pairs(parsed.options, "-o")
    if parsed.concurrency is not None:
        if parsed.concurrency < 1:
            raise UsageError(f"--concurrency {parsed.concurrency}: expected 1 or more")
        options["concurrency"] = str(parsed.concurrency)
    budget = cli_limits.budget_of(parsed)
    wanted = [find("tasks", split_spelling(name)[0]) for name, _ in asked]
    with cli_judging.Judges(parsed) as judges:
        say_whose([*wanted, find("adapters", split_model(parsed.model)[0]), *judges.found()])
        if parsed.dry_run:
            return cli_limits.rehearse(parsed, asked, options, judges.arguments)
        runs = _evaluate(parsed, asked, parsed.model, options, parsed.out, budget, judges)
    return _print_runs(parsed, runs, fresh=False, slices=False)


def _evaluate(
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


def _report(parsed: argparse.Namespace) -> int:
    from nova_bench.run import open_run
    from nova_bench.run_folders import find_runs

    folders = [folder for given in parsed.runs for folder in find_runs(given)]
    runs = [open_run(folder, data=parsed.data, settings=settings_of(parsed)) for folder in folders]
    if parsed.fresh and parsed.dry_run:
        return cli_judging.rehearse(parsed, runs)
    if parsed.fresh:
        runs = cli_judging.judge_again(parsed, runs)
    return _print_runs(parsed, runs, fresh=parsed.fresh, slices=parsed.slices, coco=parsed.coco)


def _print_runs(
    parsed: argparse.Namespace,
    runs: Sequence[Run],
    *,
    fresh: bool,
    slices: bool,
    coco: bool = False,
    fairness: Mapping[str, Any] | None = None,
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
        if fairness is not None:
            document["fairness"] = fairness
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


_DEMO = (("symmetry", "nova"), ("cup_disc", "fmbench"), ("prior", "nova"), ("prior", "fmbench"))
"""Which built-in baseline answers which suite's tasks: one that reads the pixels, one that guesses."""

_DEMO_JUDGE = "rule_based_judge"
"""Who judges in the demo: word lists, so that it needs no model; nothing else chooses it."""


def _demo(parsed: argparse.Namespace) -> int:
    from nova_bench.catalog import expand
    from nova_bench.fairness_page import write
    from nova_bench.fairness_report import fairness
    from nova_bench.task import split_spelling

    mini, data = expand("mini")
    out = parsed.out or Path("runs/demo")
    runs: list[Run] = []
    parsed.judges = [_DEMO_JUDGE]
    with cli_judging.Judges(parsed) as judges:
        for model, suite in _DEMO:
            asked = [(name, data or "mini") for name in mini if split_spelling(name)[0] in expand(suite)[0]]
            runs += _evaluate(parsed, asked, model, {}, out / model, judges=judges)
    compared = fairness([run for run in runs if run.plan.task.demographics])
    page = write(compared, out / "fairness")[0]
    code = _print_runs(parsed, runs, fresh=False, slices=False, fairness=compared)
    if not parsed.json:
        from nova_bench.render import console
        from nova_bench.render_fairness import report

        console().print(report(compared))
        print(
            f"The runs are in {out}. By slice: nova-bench report {out}/symmetry/nova_localization. Next: nova-bench show nova_localization"
        )
        print(f"Fairness as a page: {page}")
    return code


if __name__ == "__main__":
    sys.exit(main())
