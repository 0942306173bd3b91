"""The verb that says whether an adapter is fit to be submitted: check."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nova_bench.cli_options import DONE, INCOMPLETE, pairs, say_whose
from nova_bench.errors import NovaBenchError, UsageError

if TYPE_CHECKING:
    from nova_bench.static_check import Finding


def add_verb(verbs: Any) -> None:
    """Enter check among the verbs of a parser.

    Args:
        verbs: What ``ArgumentParser.add_subparsers`` returned.
    """
    check = verbs.add_parser(
        "check",
        help="is this adapter fit to be submitted",
        description="Reads an adapter's file, then runs it in a process of its own and asks it about 30 small requests. With --no-run: "
        "reads adapter and task files and runs nothing.",
    )
    check.add_argument(
        "adapters",
        nargs="+",
        metavar="ADAPTER[:MODEL]",
        help="a name, or the path of an adapter file with a slash; with --no-run any files",
    )
    check.add_argument(
        "-o",
        dest="options",
        action="append",
        default=[],
        metavar="key=value",
        help="an option of the adapter",
    )
    check.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="how long loading, and each step, may take (default: 1200 and 120)",
    )
    check.add_argument("--no-run", action="store_true", help="only read the files")
    check.add_argument("--json", action="store_true", help="print one JSON document")
    check.set_defaults(verb=_check)


def _check(parsed: argparse.Namespace) -> int:
    if parsed.no_run:
        if parsed.options or parsed.timeout is not None:
            raise UsageError("--no-run runs nothing, so -o and --timeout have no meaning; leave them out")
        # What reads the files would take a third of the time of every --help.
        from nova_bench.cli_no_run import check_files

        return check_files(parsed.adapters, as_json=parsed.json)
    if len(parsed.adapters) != 1:
        raise UsageError(
            f"got {len(parsed.adapters)} adapters, expected one; only --no-run takes several files"
        )
    if parsed.timeout is not None and not 0 < parsed.timeout < 1e6:
        raise UsageError(f"--timeout {parsed.timeout:g}: expected seconds, above 0")
    from nova_bench.conformance import check

    name, options = parsed.adapters[0], pairs(parsed.options, "-o")
    _announce(name)
    verdict = check(name, options, timeout=parsed.timeout)
    if parsed.json:
        print(json.dumps(verdict.to_json(), indent=1))
        return DONE if verdict.passed else INCOMPLETE
    signs = {"pass": "pass", "fail": "FAIL", "not checked": "not checked"}
    for finding in _gathered(verdict.findings):
        print(f"{signs[finding.state]:<11}  {finding.step}: {finding.what}")
        if finding.state != "pass" and finding.remedy:
            print(f"{'':<11}  -> {finding.remedy}")
    document = verdict.to_json()
    counts = ", ".join(f"{n} {signs[state]}" for state, n in document["counts"].items() if n)
    failed = document["counts"]["fail"]
    end = (
        "fit to be submitted"
        if verdict.passed
        else "not fit yet, see above"
        if failed
        else "not all was checked, see above"
    )
    print(f"{counts}; {verdict.n_requests} requests. {end}")
    return DONE if verdict.passed else INCOMPLETE


def _gathered(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings with those that were not checked for one reason as one."""
    gathered: list[Finding] = []
    for finding in findings:
        last = gathered[-1] if gathered else finding
        if (
            finding.state == last.state == "not checked"
            and (finding.what, finding.remedy) == (last.what, last.remedy)
            and gathered
        ):
            gathered[-1] = replace(last, step=f"{last.step}, {finding.step}")
        else:
            gathered.append(finding)
    return gathered


def _announce(name: str) -> None:
    """Say, before anything runs, whose code it is, where what it is asked goes, and how much that is."""
    from nova_bench.catalog import find, split_model
    from nova_bench.conformance import N_REQUESTS
    from nova_bench.source_file import static_task
    from nova_bench.static_check import printable

    found = find("adapters", split_model(name)[0])
    states_task = False
    with contextlib.suppress(NovaBenchError):  # a file that does not parse is one of the check's findings
        states_task = found.door == "path" and static_task(found.source()) is not None
    if states_task:
        file = printable(name, 80)
        raise UsageError(
            f"{file} states a TASK and is no adapter; read it with nova-bench check --no-run {file}, run it with nova-bench run {file}"
        )
    say_whose([found])
    try:
        vendor = found.header().get("sends") == "vendor"
    except NovaBenchError:
        vendor = False
    paid = "; its header says that they go to a vendor, where they may cost money" if vendor else ""
    print(
        f"nova-bench: asks {printable(name, 80)} about {N_REQUESTS} small requests, pictures drawn here{paid}",
        file=sys.stderr,
    )
