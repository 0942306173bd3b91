"""The verb that makes bundles and entries of runs: submit."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nova_bench.cli_options import DONE, INCOMPLETE, pairs, settings_of
from nova_bench.source_file import harmless, printable


def add_verb(verbs: Any) -> None:
    """Enter submit among the verbs of a parser.

    Args:
        verbs: What ``ArgumentParser.add_subparsers`` returned.
    """
    verb = verbs.add_parser(
        "submit",
        help="make a bundle and a leaderboard entry of finished runs, or say all that they lack",
        description="Checks that a run is complete and its adapter fit, then writes OUT/entries/MODEL/TASK.json and the bundle TASK.zip beside "
        "it, which `nova-bench verify` reads. Runs on synthetic data go to OUT/synthetic. Nothing is sent. See docs/submissions.md.",
    )
    verb.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="a run's folder, or one with runs below it"
    )
    verb.add_argument(
        "--out",
        type=Path,
        default=Path("leaderboard"),
        metavar="DIR",
        help="the leaderboard's folder (default: leaderboard)",
    )
    verb.add_argument(
        "--with-answers",
        action="store_true",
        help="of gated data: publish the model's answers and the judges' verdicts too, so that people with the data can verify every cell; "
        "your access to the data must allow that",
    )
    verb.add_argument(
        "--check",
        type=Path,
        metavar="FILE",
        help="what `nova-bench check ADAPTER --json` printed, for this file and these options; default: check each adapter now",
    )
    verb.add_argument(
        "-o",
        dest="options",
        action="append",
        default=[],
        metavar="key=value",
        help="an option for that check which the run's manifest does not have: a file's path, a server's address",
    )
    verb.add_argument(
        "--adapter",
        type=Path,
        metavar="FILE",
        help="the adapter's file, where the run's manifest does not say it",
    )
    verb.add_argument(
        "--replace", action="store_true", help="replace an entry of the same model with other options"
    )
    verb.add_argument(
        "--dry-run", action="store_true", help="write nothing and run no adapter; only say what is missing"
    )
    verb.add_argument("--data", help="where the data set is now, if it moved")
    verb.add_argument("--json", action="store_true", help="print one JSON document")
    verb.set_defaults(verb=_submit)


def _submit(parsed: argparse.Namespace) -> int:
    from nova_bench.board.submit import submit

    document = submit(
        parsed.runs,
        out=parsed.out,
        with_answers=parsed.with_answers,
        check=parsed.check,
        options=pairs(parsed.options, "-o"),
        adapter=parsed.adapter,
        replace=parsed.replace,
        dry_run=parsed.dry_run,
        data=parsed.data,
        settings=settings_of(parsed),
        watch=lambda sentence: print(f"nova-bench: {harmless(sentence)}", file=sys.stderr),
    )
    if parsed.json:
        print(json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False))
    else:
        for line in _lines(document):
            print(line)
    return INCOMPLETE if document["refused"] else DONE


def _lines(document: Mapping[str, Any]) -> list[str]:
    """Return what is said of a submission, one line each."""
    said = []
    for record in document["submitted"]:
        said.append(f"{_name(record)}: {'nothing is missing' if document['dry_run'] else 'submitted'}")
        if document["dry_run"]:
            said.append(
                f"  would write {printable(record['entry'], 300)} and {printable(record['bundle'], 300)}"
            )
        else:
            size = f"{record['bytes']:,} bytes, sha256 {record['sha256'][:12]}, {record['cells']} cells"
            said += [
                f"  entry   {printable(record['entry'], 300)}",
                f"  bundle  {printable(record['bundle'], 300)} ({size})",
            ]
        if not record["with_answers"]:
            said.append(
                "  without answers, as the data are gated: others can check the cells against the rows only. --with-answers publishes them"
            )
        said += [f"  note    {warning}" for warning in record["warnings"]]
    said += refusals(document)
    if document["dry_run"] and document["submitted"]:
        said.append("The adapters were not run: submit checks them, or takes --check FILE.")
    elif document["submitted"]:
        place = os.path.commonpath([record["bundle"] for record in document["submitted"]])
        said.append(f"Check as others will: nova-bench verify {printable(shlex.quote(place), 300)}")
    return said


def refusals(document: Mapping[str, Any]) -> list[str]:
    """Return what is said of the runs that were refused, one line each.

    Args:
        document: Of `nova_bench.board.submit.submit`.
    """
    said = []
    for record in document["refused"]:
        n = len(record["missing"])
        said.append(f"{_name(record)}: not submitted, {n} thing{'s' * (n != 1)} missing")
        for gap in record["missing"]:
            said += [f"  - {harmless(gap['what'])}", f"    -> {harmless(gap['remedy'])}"]
    return said


def _name(record: Mapping[str, Any]) -> str:
    return f"{printable(record['task'], 200)}, {printable(record['model'], 200)}"
