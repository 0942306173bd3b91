"""The command line: one function a verb, each a call to one public function."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nova_bench import (
    __version__,
    cli_build,
    cli_check,
    cli_compare,
    cli_demo,
    cli_export,
    cli_fairness,
    cli_judge,
    cli_judging,
    cli_leaderboard,
    cli_limits,
    cli_new,
    cli_show,
    cli_submit,
    cli_verify,
    cli_view,
)
from nova_bench.cli_options import (
    ALLOW_HOSTED,
    DONE,
    INCOMPLETE,
    WRONG_USE,
    pairs,
    say_whose,
    settings_of,
)
from nova_bench.cli_runs import evaluate_all, print_runs
from nova_bench.errors import NovaBenchError, RemoteCodeWarning, UsageError
from nova_bench.source_file import harmless


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

    cli_demo.add_verb(verbs)
    cli_show.add_verbs(verbs)
    cli_new.add_verb(verbs)
    cli_build.add_verbs(verbs)
    cli_check.add_verb(verbs)
    cli_submit.add_verb(verbs)
    cli_verify.add_verb(verbs)
    cli_leaderboard.add_verb(verbs)
    cli_view.add_verb(verbs)

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
    cli_export.add_verb(verbs)
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
        runs = evaluate_all(parsed, asked, parsed.model, options, parsed.out, budget, judges)
    return print_runs(parsed, runs, fresh=False, slices=False)


def _report(parsed: argparse.Namespace) -> int:
    from nova_bench.run import open_run
    from nova_bench.run_folders import find_runs

    folders = [folder for given in parsed.runs for folder in find_runs(given)]
    runs = [open_run(folder, data=parsed.data, settings=settings_of(parsed)) for folder in folders]
    if parsed.fresh and parsed.dry_run:
        return cli_judging.rehearse(parsed, runs)
    if parsed.fresh:
        runs = cli_judging.judge_again(parsed, runs)
    return print_runs(parsed, runs, fresh=parsed.fresh, slices=parsed.slices, coco=parsed.coco)


if __name__ == "__main__":
    sys.exit(main())
