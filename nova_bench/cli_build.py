"""The verb that makes a data set: build."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_bench.cli_options import ALLOW_HOSTED, DONE, INCOMPLETE, pairs, settings_of
from nova_bench.errors import NovaBenchError

if TYPE_CHECKING:
    from nova_bench.ask import Progress
    from nova_bench.watch import Watch


def add_verbs(verbs: Any) -> None:
    """Enter build among the verbs of a parser.

    Args:
        verbs: What ``ArgumentParser.add_subparsers`` returned.
    """
    build = verbs.add_parser(
        "build", help="make a data set that could not be published, from its gated source"
    )
    build.add_argument(
        "what", choices=("fmbench",), help="fmbench: questions from the notes of Harvard-FairVLMed"
    )
    build.add_argument(
        "--source", required=True, help="the folder as its owners ship it, or full for the hub's copy"
    )
    build.add_argument(
        "--writer",
        required=True,
        metavar="ADAPTER[:MODEL]",
        help="the model that writes and checks the pairs",
    )
    build.add_argument(
        "-o",
        dest="options",
        action="append",
        default=[],
        metavar="key=value",
        help="an option of the adapter",
    )
    build.add_argument("--out", type=Path, required=True, help="the folder to build")
    build.add_argument(
        "--limit", type=int, metavar="N", help="only N patients; a larger N later goes on from there"
    )
    build.add_argument("--allow-hosted", action="store_true", help=ALLOW_HOSTED)
    build.add_argument(
        "--accept-license", action="store_true", help="accept the source's licence; remembered"
    )
    build.add_argument("--json", action="store_true", help="print the data card as one JSON document")
    build.set_defaults(verb=_build)


def _build(parsed: argparse.Namespace) -> int:
    from nova_bench.fmbench_build import build_fmbench

    with _Passes() as passes:
        made = build_fmbench(
            parsed.source,
            parsed.writer,
            parsed.out,
            options=pairs(parsed.options, "-o"),
            limit=parsed.limit,
            settings=settings_of(parsed),
            allow_hosted=parsed.allow_hosted,
            watch=passes.show,
        )
    for message in made.messages:
        print(f"build: {message}", file=sys.stderr)
    if made.error is not None:
        what = "stopped" if isinstance(made.error, KeyboardInterrupt) else str(made.error)
        if not isinstance(made.error, (KeyboardInterrupt, NovaBenchError)):
            what = f"{type(made.error).__name__}: {what}"
        print(f"nova-bench: build: {what}", file=sys.stderr)
    if not made.is_complete:
        return INCOMPLETE
    if parsed.json:
        print(json.dumps(made.card, indent=1, ensure_ascii=True, allow_nan=False))
        return DONE
    counts = made.card["slices"]["all"]
    print(
        f"{made.folder}: {counts['kept'] + counts['mended']} questions of {counts['patients']} patients ({counts['written']} written, "
        f"{counts['mended']} mended, {counts['dropped']} dropped, {counts['unchecked']} unchecked). See {made.folder / 'README.md'}. "
        f"Next: nova-bench run fmbench --data {made.folder} --model ADAPTER[:MODEL]"
    )
    return DONE


class _Passes:
    """Shows the progress of one pass after the other."""

    def __init__(self) -> None:
        self._name = ""
        self._watch: Watch | None = None

    def __enter__(self) -> _Passes:
        return self

    def __exit__(self, *error: object) -> None:
        if self._watch is not None:
            self._watch.__exit__(*error)

    def show(self, name: str, progress: Progress) -> None:
        """Show where a pass stands."""
        from nova_bench.watch import Watch

        if name != self._name:
            self.__exit__(None, None, None)
            self._name, self._watch = name, Watch(f"build: {name}").__enter__()
        assert self._watch is not None  # made with the name
        self._watch.show(progress)
