"""The verb that makes the leaderboard's pages: leaderboard build."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from nova_bench.cli_options import DONE, INCOMPLETE
from nova_bench.source_file import harmless, printable


def add_verb(verbs: Any) -> None:
    """Enter leaderboard among the verbs of a parser.

    Args:
        verbs: What ``ArgumentParser.add_subparsers`` returned.
    """
    leaderboard = verbs.add_parser(
        "leaderboard",
        help="the leaderboard's pages, from its entries",
        description="Makes static pages of a folder of entries. They need no server and no network: open index.html. "
        "An entry that cannot be used is left out and named.",
    )
    leaderboard.add_argument("what", choices=("build",), help="build: write the pages")
    leaderboard.add_argument(
        "--board",
        type=Path,
        default=Path("leaderboard"),
        metavar="DIR",
        help="the leaderboard's folder, with entries/ or synthetic/ (default: leaderboard)",
    )
    leaderboard.add_argument(
        "--out", type=Path, metavar="DIR", help="the pages' folder (default: site/ in the leaderboard's)"
    )
    leaderboard.add_argument("--strict", action="store_true", help="exit code 1 where anything was left out")
    leaderboard.add_argument("--json", action="store_true", help="print one JSON document")
    leaderboard.set_defaults(verb=_leaderboard)


def _leaderboard(parsed: argparse.Namespace) -> int:
    from nova_bench.board.site import build_leaderboard

    made = build_leaderboard(parsed.board, out=parsed.out)
    left_out = [fault for board in made["boards"] for fault in board["left_out"]]
    if parsed.json:
        print(json.dumps(made, indent=1))
    else:
        for fault in left_out:
            said = f"left out: {printable(fault['entry'], 300)}: {printable(fault['reason'], 1000)}"
            print(harmless(said), file=sys.stderr)
        for board in made["boards"]:
            kind = "made-up" if board["synthetic"] else "real"
            print(
                f"{kind} data: {board['n_entries']} entries of {board['n_models']} models on {len(board['tasks'])} tasks"
            )
        print(harmless(f"written: {made['index']}"))
    return INCOMPLETE if parsed.strict and left_out else DONE
