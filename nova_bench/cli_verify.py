"""The verb that says whether a submission's numbers follow from what is in its bundle: verify."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_bench.cli_options import ALLOW_HOSTED, DONE, INCOMPLETE, pairs, say_whose, settings_of
from nova_bench.errors import UsageError
from nova_bench.source_file import harmless, printable

if TYPE_CHECKING:
    from nova_bench.board.rerun import Rerun


def add_verb(verbs: Any) -> None:
    """Enter verify among the verbs of a parser.

    Args:
        verbs: What ``ArgumentParser.add_subparsers`` returned.
    """
    verify = verbs.add_parser(
        "verify",
        help="do a submission's numbers follow from its answers",
        description="Reads bundles of strangers without running anything of them, and computes their numbers anew: against the data set where "
        "it is there (verified), else from the rows alone (consistent, self-reported). Nothing of it says that the model gave the answers; "
        "--rerun asks it some of them again.",
    )
    verify.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="BUNDLE|ENTRY|FOLDER",
        help="a .zip, an entry's .json with its .zip beside it, or a folder of them",
    )
    verify.add_argument(
        "--data",
        metavar="full|PATH",
        help="where the data set is; made-up data are always those that come with nova-bench",
    )
    verify.add_argument(
        "--rerun", type=int, metavar="N", help="ask N random requests again; changes no status"
    )
    verify.add_argument("--model", metavar="ADAPTER[:MODEL]", help="whom, with --rerun")
    verify.add_argument(
        "-o",
        dest="options",
        action="append",
        default=[],
        metavar="key=value",
        help="an option of the adapter",
    )
    verify.add_argument("--seed", type=int, help="of the choice of requests (default: drawn, and printed)")
    verify.add_argument("--allow-hosted", action="store_true", help=ALLOW_HOSTED)
    verify.add_argument(
        "--accept-license", action="store_true", help="accept the data set's licence, with --data full"
    )
    verify.add_argument(
        "--record", action="store_true", help="write what was found to verifications/, beside entries/"
    )
    verify.add_argument("--json", action="store_true", help="print one JSON document")
    verify.set_defaults(verb=_verify)


def _verify(parsed: argparse.Namespace) -> int:
    rerun = _rerun(parsed)
    from nova_bench.board.verify import verify

    document = verify(
        parsed.paths, data=parsed.data, rerun=rerun, record=parsed.record, settings=settings_of(parsed)
    )
    results = document["results"]
    if parsed.json:
        print(json.dumps(document, indent=1))
    else:
        for line in lines(document):
            print(line)
    return INCOMPLETE if any(result["status"] == "rejected" for result in results) else DONE


def _rerun(parsed: argparse.Namespace) -> Rerun | None:
    """Return what is to be asked again, after saying whose code that runs."""
    if parsed.rerun is None:
        if parsed.model or parsed.options or parsed.seed is not None or parsed.allow_hosted:
            raise UsageError(
                "--model, -o, --seed and --allow-hosted belong to --rerun N: without it nothing is asked"
            )
        return None
    if not parsed.model:
        raise UsageError(
            "--rerun asks a model: add --model ADAPTER[:MODEL]. The one that a bundle names is never run by itself"
        )
    from nova_bench.board.rerun import Rerun
    from nova_bench.catalog import find, split_model

    say_whose([find("adapters", split_model(parsed.model)[0])])
    return Rerun(parsed.rerun, parsed.model, pairs(parsed.options, "-o"), parsed.seed, parsed.allow_hosted)


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is said of a verification, harmless for a terminal.

    Args:
        document: Of `nova_bench.board.verify.verify`.
    """
    for result in document["results"]:
        for line in _told(result):
            yield harmless(line)
    for label, meaning in {result["label"]: result["meaning"] for result in document["results"]}.items():
        yield f"{label}: {meaning}"
    for rerun in (result["rerun"] for result in document["results"] if result["rerun"] is not None):
        again, model = rerun["same_row"], printable(rerun["model"])
        yield harmless(f"rerun: {model} gave {again['same']} of {again['of']} answers that score the same")


def summary(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield how many bundles came out how, with what that means, and all about those that were rejected.

    Args:
        document: Of `nova_bench.board.verify.verify`.
    """
    results = document["results"]
    for result in results:
        if result["status"] == "rejected":
            for line in _told(result):
                yield harmless(line)
    for label, meaning in {result["label"]: result["meaning"] for result in results}.items():
        n = sum(result["label"] == label for result in results)
        yield f"{n} of {len(results)} submissions {label}. {meaning}"


def _told(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines about one bundle."""
    label = "FAIL" if result["status"] == "rejected" else result["status"]
    subject = f"{printable(result['task'])}, {printable(result['model'])}" if result["task"] else "unreadable"
    cells = result["cells"]
    counted = f": {cells['recomputed']} of {cells['stated']} cells computed again" if cells["stated"] else ""
    yield f"{label:<11} {printable(result['bundle'], 500)} ({subject}){counted}"
    for reason in result["reasons"]:
        yield f"{'':<11} -> {printable(reason, 1000)}"
    for note in result["notes"]:
        yield f"{'':<11} note: {printable(note, 1000)}"
    if result["rerun"] is not None:
        yield from _told_rerun(result["rerun"])
    if result["record"]:
        yield f"{'':<11} written: {printable(result['record'], 500)}"


def _told_rerun(rerun: Mapping[str, Any]) -> Iterator[str]:
    indent = f"{'':<11} rerun:"
    yield (
        f"{indent} {rerun['answered']} of {rerun['asked']} random requests answered by {printable(rerun['model'])}, seed {rerun['seed']}"
        + (f"; {printable(rerun['ended'], 300)}" if rerun["ended"] else "")
    )
    for difference in rerun["identity"]:
        yield f"{indent} the bundle's {printable(difference, 300)} in the model that was asked"
    if not rerun["identity"]:
        yield f"{indent} same adapter file and options as the bundle states"
    for key, words in (
        ("same_text", "the same text"),
        ("same_prediction", "the same prediction"),
        ("same_row", "the same row of numbers"),
    ):
        share = rerun[key]
        if share is not None and share["share"] is not None:
            yield f"{indent} {words}: {share['same']} of {share['of']} ({share['share']:.0%}, 95% interval {share['low']:.0%} to {share['high']:.0%})"
    same = []
    for metric in rerun["metrics"]:
        name = printable(metric["metric"])
        before, after = (_number(metric[key]) for key in ("stated", "again"))
        if before == after:
            same.append(f"{name} {before}")
        else:
            yield f"{indent} {name} on these: {before} before, {after} now"
    if same:
        yield f"{indent} on these before and now: {', '.join(same)}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"
