"""The verb compare: which of two or more runs is better, by how much, and how sure that is."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from nova_bench.cli_options import DONE, INCOMPLETE, settings_of
from nova_bench.errors import UsageError


def add_verb(verbs: Any) -> None:
    """Enter compare among the verbs of a parser.

    Args:
        verbs: What ``ArgumentParser.add_subparsers`` returned.
    """
    verb = verbs.add_parser(
        "compare",
        help="runs of the same tasks against each other: differences, ranks, and what the data set could have shown",
        description="Compares every two runs of a task on the answers that both gave. See docs/compare.md.",
    )
    verb.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="a run's folder, or one with runs below it"
    )
    verb.add_argument(
        "--metric",
        action="append",
        metavar="NAME[,NAME]",
        help="only these metrics (default: all that have an interval)",
    )
    verb.add_argument(
        "--by",
        action="append",
        metavar="NAME[,NAME]|none",
        help="attributes whose values are compared apart (default: the task's slices, no demographics)",
    )
    verb.add_argument(
        "--force",
        action="store_true",
        help="compare runs of different protocols all the same, and mark every number",
    )
    verb.add_argument(
        "--alpha", type=float, default=0.05, metavar="SHARE", help="level of the tests (default: 0.05)"
    )
    verb.add_argument("--resamples", type=int, default=1000, metavar="N")
    verb.add_argument("--seed", type=int, default=0, metavar="N")
    verb.add_argument("--data", help="where the data set is now, if it moved")
    verb.add_argument("--out", type=Path, metavar="FILE", help="also write the JSON document there")
    verb.add_argument("--json", action="store_true", help="print one JSON document")
    verb.set_defaults(verb=_compare)


def _compare(parsed: argparse.Namespace) -> int:
    from nova_bench.cli_fairness import split_names
    from nova_bench.compare import compare
    from nova_bench.runlog import write_json

    document = compare(
        parsed.runs,
        metrics=split_names(parsed.metric),
        by=None if parsed.by is None else split_names(parsed.by),
        force=parsed.force,
        alpha=parsed.alpha,
        resamples=parsed.resamples,
        seed=parsed.seed,
        data=parsed.data,
        settings=settings_of(parsed),
    )
    if parsed.out is not None:
        try:
            parsed.out.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"--out {parsed.out}: its folder cannot be made: {error.strerror or error}"
            ) from error
        write_json(parsed.out, document)
    if parsed.json:
        print(json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False))
    else:
        from nova_bench.render import console
        from nova_bench.render_compare import report

        console().print(report(document))
    is_complete = all(run["complete"] for task in document["tasks"] for run in task["runs"])
    return DONE if is_complete else INCOMPLETE
