"""The verb that shows on made-up data what there is: the mini suite is run, judged, compared, submitted, verified and shown on pages."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_bench import cli_judging, cli_submit, cli_verify
from nova_bench.cli_options import INCOMPLETE, settings_of
from nova_bench.cli_runs import evaluate_all, print_runs

if TYPE_CHECKING:
    from nova_bench.run import Run

_MODELS = (("symmetry", "nova"), ("cup_disc", "fmbench"), ("prior", "nova"), ("prior", "fmbench"))
"""Which built-in baseline answers which suite's tasks: one that reads the pixels, one that guesses."""

_JUDGE = "rule_based_judge"
"""Who judges in the demo: word lists, so that it needs no model; nothing else chooses it."""


_LOOKED_AT = "nova_localization"
"""The task whose samples the demo's viewer shows: boxes say more at a glance than texts."""

_SHOWN = "race"
"""The attribute whose tables are printed; the page has all."""


def add_verb(verbs: Any) -> None:
    """Enter demo among the verbs of a parser.

    Args:
        verbs: What ``ArgumentParser.add_subparsers`` returned.
    """
    verb = verbs.add_parser(
        "demo",
        help="the mini suite with the built-in baselines and a rule-based judge: tables, comparisons, verified submissions, pages",
    )
    verb.add_argument("--out", type=Path, default=None, help="folder of the demo's runs (default: runs/demo)")
    verb.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    verb.set_defaults(verb=_demo)


def _demo(parsed: argparse.Namespace) -> int:
    from nova_bench.compare import compare
    from nova_bench.fairness_page import write
    from nova_bench.fairness_report import fairness

    out = parsed.out or Path("runs/demo")
    runs = _runs(parsed, out)
    board = out / "leaderboard"
    fair = fairness([run for run in runs if run.plan.task.demographics])
    page = write(fair, out / "fairness")[0]
    compared = compare(runs, metrics=sorted({run.plan.task.headline for run in runs}), by="none")
    submitted, verified = _on_the_board(parsed, runs, board)
    pages = _pages(runs, board if submitted["submitted"] else None, out / "view")
    further = {
        "fairness": fair,
        "comparison": compared,
        "submission": submitted,
        "verification": verified,
        "pages": pages,
    }
    code = print_runs(parsed, runs, fresh=False, slices=False, further=further)
    if not parsed.json:
        from nova_bench import render_compare, render_fairness
        from nova_bench.render import console

        by_race = [one for one in fair["comparisons"] if one["attribute"] == _SHOWN]
        console().print(render_fairness.report({**fair, "comparisons": by_race}))
        console().print(render_compare.report(compared))
        for line in (*cli_submit.refusals(submitted), *cli_verify.summary(verified)):
            print(line)
        print(
            f"The runs are in {out}. By slice: nova-bench report {out}/symmetry/nova_localization. Next: nova-bench show nova_localization"
        )
        print(f"Bundles and entries: {board}. Fairness by all attributes, as a page: {page}")
        print(f"Every sample of {_LOOKED_AT} by both baselines, in a browser: {pages['view']}")
        if pages["leaderboard"]:
            print(f"The leaderboard's pages: {pages['leaderboard']}")
    is_rejected = any(result["status"] == "rejected" for result in verified["results"])
    return INCOMPLETE if submitted["refused"] or is_rejected else code


def _runs(parsed: argparse.Namespace, out: Path) -> list[Run]:
    from nova_bench.catalog import expand
    from nova_bench.task import split_spelling

    mini, data = expand("mini")
    runs: list[Run] = []
    parsed.judges = [_JUDGE]
    with cli_judging.Judges(parsed) as judges:
        for model, suite in _MODELS:
            asked = [(name, data or "mini") for name in mini if split_spelling(name)[0] in expand(suite)[0]]
            runs += evaluate_all(parsed, asked, model, {}, out / model, judges=judges)
    return runs


def _on_the_board(
    parsed: argparse.Namespace, runs: Sequence[Run], board: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Submit the runs, verify what was submitted, and return both documents."""
    from nova_bench.board.submit import submit
    from nova_bench.board.verify import verify

    settings = settings_of(parsed)
    print("nova-bench: checks the adapters, submits the runs and verifies the bundles", file=sys.stderr)
    submitted = submit(runs, out=board, replace=True, settings=settings)
    bundles = [Path(record["bundle"]) for record in submitted["submitted"]]
    if not bundles:
        return submitted, {"schema_version": 1, "kind": "verification", "results": []}
    return submitted, verify(bundles, record=True, settings=settings)


def _pages(runs: Sequence[Run], board: Path | None, view_folder: Path) -> dict[str, str | None]:
    """Write the viewer of a task's runs and the pages of a leaderboard, where there is one, and return where they begin."""
    from nova_bench.board.layout import SYNTHETIC
    from nova_bench.board.site import build_leaderboard
    from nova_bench.viewer.view import view

    print("nova-bench: writes the pages", file=sys.stderr)
    looked_at = [run for run in runs if run.plan.spelling == _LOOKED_AT]
    seen = view(looked_at[0], looked_at[1], out=view_folder)
    if board is None:
        return {"view": seen["page"], "leaderboard": None}
    built = build_leaderboard(board)
    return {"view": seen["page"], "leaderboard": str(Path(built["out"]) / SYNTHETIC / "index.html")}
