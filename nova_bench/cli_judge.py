"""The verbs on judges: judge calibrate, judge audit, judge agreement."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_bench import cli_judging, cli_limits
from nova_bench.cli_options import ALLOW_HOSTED, DONE, INCOMPLETE, say_whose, settings_of
from nova_bench.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType


def add_verb(verbs: Any) -> None:
    """Enter judge among the verbs of a parser.

    Args:
        verbs: What ``ArgumentParser.add_subparsers`` returned.
    """
    judge = verbs.add_parser(
        "judge",
        help="can a judge be trusted: against people's labels, across groups, with itself and other judges",
    )
    kinds = judge.add_subparsers(title="what to look at", metavar="WHAT", required=True)

    calibrate = kinds.add_parser(
        "calibrate",
        help="agreement with people's verdicts: percent, Cohen's kappa, Krippendorff's alpha",
        description="Has judges judge the texts of a file of labels (JSON lines with id, rubric, texts, verdict, and rater or cluster) and "
        "sets their verdicts against the labels.",
    )
    calibrate.add_argument("--labels", type=Path, required=True, metavar="FILE", help="JSON lines")
    calibrate.add_argument("--task", help="whose rubrics are meant (default: look in all tasks)")
    calibrate.add_argument("--out", type=Path, metavar="DIR", help="where verdicts and result are kept")
    calibrate.add_argument(
        "--run",
        dest="runs",
        action="append",
        type=Path,
        default=[],
        metavar="RUN",
        help="a run that these judges judged: its report then shows the agreement beside their columns",
    )
    calibrate.set_defaults(verb=_calibrate)

    audit = kinds.add_parser(
        "audit",
        help="does the verdict move with the patient's group at equal text",
        description="Has judges judge a run's answers with demographics blinded, stated and each other value swapped in. Nothing is asked of "
        "the run's model, and no verdict of the audit is scored.",
    )
    audit.add_argument("run", type=Path, metavar="RUN", help="a run's folder")
    audit.add_argument("--data", help="where the data set is now, if it moved")
    audit.add_argument("--metric", action="append", default=[], metavar="NAME", help="only these metrics")
    audit.add_argument("--limit", type=int, metavar="N", help="only N clusters (cases)")
    audit.add_argument("--permutations", type=int, default=9999, metavar="N", help="of the test")
    audit.add_argument("--seed", type=int, default=0, metavar="N")
    audit.set_defaults(verb=_audit)

    for kind in (calibrate, audit):
        cli_judging.add_options(kind, has_model=kind is audit)
        cli_limits.add_limits(kind)
        cli_limits.add_dry_run(kind)
        kind.add_argument("--allow-hosted", action="store_true", help=ALLOW_HOSTED)

    agreement = kinds.add_parser(
        "agreement",
        help="agreement of a judge with itself (--judge-repeats) and of several judges, and their panel's score",
    )
    agreement.add_argument("run", type=Path, metavar="RUN", help="a run's folder")
    agreement.add_argument("--data", help="where the data set is now, if it moved")
    agreement.add_argument("--panel", default="mean", metavar="mean|majority", help="how judges are joined")
    agreement.add_argument(
        "--judge",
        dest="judges",
        action="append",
        default=[],
        metavar="NAME",
        help="of the panel (default: all)",
    )
    agreement.add_argument("--seed", type=int, default=0, metavar="N")
    agreement.set_defaults(verb=_agreement)

    for kind in (calibrate, audit, agreement):
        kind.add_argument("--json", action="store_true", help="print one JSON document")


def _calibrate(parsed: argparse.Namespace) -> int:
    from nova_bench import render_judges
    from nova_bench.judge_calibration import calibrate
    from nova_bench.watch import Watch

    with cli_judging.Judges(parsed) as judges, Watch("calibrate") as watch:
        say_whose(judges.found())
        given = judges.arguments_of(judges.ready("calibration"))
        document = calibrate(
            parsed.labels,
            given["judges"],
            task=parsed.task,
            params=given["judge_params"],
            repeats=given["judge_repeats"],
            out=parsed.out,
            allow_hosted=parsed.allow_hosted,
            settings=settings_of(parsed),
            watch=watch.show,
            runs=parsed.runs,
            budget=cli_limits.budget_of(parsed),
            prices=parsed.prices,
            dry_run=parsed.dry_run,
        )
    if parsed.dry_run:
        about = document["labels"]
        return _rehearsed(
            parsed, document, f"{about['texts']} texts of {parsed.labels} ({about['n']} labels)"
        )
    _print(parsed, document, render_judges.calibration)
    return _outcome(document)


def _audit(parsed: argparse.Namespace) -> int:
    from nova_bench import render_judges
    from nova_bench.judge_audit import audit
    from nova_bench.run import open_run
    from nova_bench.watch import Watch

    settings = settings_of(parsed)
    run = open_run(parsed.run, data=parsed.data, settings=settings)
    with cli_judging.Judges(parsed) as judges, Watch("audit") as watch:
        say_whose(judges.found())
        given = judges.arguments_of(judges.ready(run.plan.spelling))
        if given["judge_repeats"] > 1:
            raise UsageError("an audit asks each judge once about each form; leave --judge-repeats out")
        document = audit(
            run,
            given["judges"],
            params=given["judge_params"],
            metrics=parsed.metric,
            limit=parsed.limit,
            permutations=parsed.permutations,
            seed=parsed.seed,
            allow_self_judge=given["allow_self_judge"],
            allow_hosted=parsed.allow_hosted,
            settings=settings,
            say=lambda sentence: print(sentence, file=sys.stderr),
            watch=watch.show,
            budget=cli_limits.budget_of(parsed),
            prices=parsed.prices,
            dry_run=parsed.dry_run,
        )
    if parsed.dry_run:
        said = f"audit of {document['task']} in {document['run']}, answers of {document['model']}"
        return _rehearsed(parsed, document, said)
    _print(parsed, document, render_judges.audit)
    return _outcome(document)


def _rehearsed(parsed: argparse.Namespace, document: Mapping[str, Any], what: str) -> int:
    """Say what would be asked."""
    if parsed.json:
        print(json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False))
    else:
        print(cli_limits.judges_told(document, what))
    return DONE


def _agreement(parsed: argparse.Namespace) -> int:
    from nova_bench import render_judges
    from nova_bench.late_judging import agreement
    from nova_bench.run import open_run

    run = open_run(parsed.run, data=parsed.data, settings=settings_of(parsed))
    document = agreement(run, judges=parsed.judges, how=parsed.panel, seed=parsed.seed)
    _print(parsed, document, render_judges.agreement)
    return DONE


def _outcome(document: Mapping[str, Any]) -> int:
    """Say what did not go well; 1 where verdicts are still to come."""
    for record in document["judges"]:
        for reason in record["reasons"]:
            print(f"{record['judge']}: {reason}", file=sys.stderr)
        if record["judge_failed"]:
            print(
                f"{record['judge']}: {record['judge_failed']} verdicts failed; give the same command again to ask them",
                file=sys.stderr,
            )
    return INCOMPLETE if any(record["judge_failed"] for record in document["judges"]) else DONE


def _print(
    parsed: argparse.Namespace,
    document: Mapping[str, Any],
    tables: Callable[[Mapping[str, Any]], Iterable[RenderableType]],
) -> None:
    if parsed.json:
        print(json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False))
        return
    from nova_bench import render

    console = render.console()
    for part in tables(document):
        console.print(part)
