"""The verbs on judges: judge calibrate, judge audit, judge agreement."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nova_bench import cli_judging
from nova_bench.cli_options import ALLOW_HOSTED, DONE, INCOMPLETE, say_whose, settings_of
from nova_bench.errors import UsageError


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
        cli_judging.add_options(kind)
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
    from nova_bench.judge_calibration import calibrate

    with cli_judging.Judges(parsed) as judges:
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
        )
    _print(parsed, document, _calibration_tables)
    return _outcome(document)


def _audit(parsed: argparse.Namespace) -> int:
    from nova_bench.judge_audit import audit
    from nova_bench.run import open_run

    settings = settings_of(parsed)
    run = open_run(parsed.run, data=parsed.data, settings=settings)
    with cli_judging.Judges(parsed) as judges:
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
        )
    _print(parsed, document, _audit_tables)
    return _outcome(document)


def _agreement(parsed: argparse.Namespace) -> int:
    from nova_bench.judge_agreement import agreement_document
    from nova_bench.run import open_run

    run = open_run(parsed.run, data=parsed.data, settings=settings_of(parsed))
    document = agreement_document(
        run.plan.task, run.scored, judges=parsed.judges, how=parsed.panel, seed=parsed.seed
    )
    _print(parsed, document, _agreement_tables)
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


def _print(parsed: argparse.Namespace, document: Mapping[str, Any], tables: Any) -> None:
    if parsed.json:
        print(json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False))
        return
    from nova_bench import render

    console = render.console()
    for title, columns, rows, sentence in tables(document):
        console.print(render.listing(title, columns, rows))
        if sentence:
            console.print(sentence, markup=False)


_Listing = tuple[str, Sequence[str], Sequence[Sequence[str]], str]


def _calibration_tables(document: Mapping[str, Any]) -> list[_Listing]:
    made: list[_Listing] = []
    for record in document["judges"]:
        rows: list[Sequence[str]] = [
            (
                each["rubric"],
                each["key"],
                str(each["n"]),
                _spread(each["percent"]),
                _spread(each["kappa"]) + (f" ({each['kappa_weights']})" if each["kappa_weights"] else ""),
                f"{_spread(each['alpha'])} ({each['alpha_level']})",
                _spread(each["people"] and each["people"]["alpha"]),
                _spread(each["test_retest"] and each["test_retest"]["alpha"]),
            )
            for each in record["agreement"]
        ]
        columns = ("rubric", "key", "n", "percent", "kappa", "alpha", "people's alpha", "test-retest alpha")
        said = (
            f"{record['verdicts']} verdicts, {record['unjudged']} unjudged, {record['judge_failed']} failed"
        )
        made.append((f"{record['judge']} against people", columns, rows, said))
    return made


def _audit_tables(document: Mapping[str, Any]) -> list[_Listing]:
    made: list[_Listing] = []
    columns = ("attribute", "from", "to", "metric", "n", "moved", "from", "to", "change", "p", "p (Holm)")
    for record in document["judges"]:
        rows: list[Sequence[str]] = [
            (
                each["attribute"],
                each["from"],
                each["to"],
                each["metric"],
                str(each["n"]),
                "" if each["moved"] is None else f"{100 * each['moved']:.1f}%",
                _number(each["value_from"]),
                _number(each["value_to"]),
                _spread({"value": each["difference"], "low": each["low"], "high": each["high"]}),
                _number(each["p"], 4),
                _number(each["p_holm"], 4),
            )
            for each in record["contrasts"]
        ]
        title = f"{record['judge']} on {record['answers']} answers of {document['model']}, {document['task']}"
        made.append((title, columns, rows, record["sentence"]))
    return made


def _agreement_tables(document: Mapping[str, Any]) -> list[_Listing]:
    made: list[_Listing] = []
    rows: list[Sequence[str]]
    if document["repeats"]:
        rows = [
            (
                each["metric"],
                str(each["n"]),
                _spread(each),
                ", ".join(_number(value) for value in each["values"]),
                _number(each["spread"], 4),
                _number(each["judge_s"], 4),
                "" if each["share_of_interval"] is None else f"{100 * each['share_of_interval']:.1f}%",
                "; ".join(_column(one) for one in each["agreement"]),
            )
            for each in document["repeats"]
        ]
        columns = ("metric", "n", "value", "by repeat", "sd", "judge's s", "share of interval", "test-retest")
        made.append(("judges asked again", columns, rows, ""))
    panel = document["panel"]
    if panel is not None:
        rows = [
            (
                each["metric"],
                str(each["n"]),
                _spread(each),
                ", ".join(f"{name} {_number(value)}" for name, value in each["judges"].items()),
                _number(each["spread"]),
            )
            for each in panel["metrics"]
        ]
        said = "agreement between the judges: " + "; ".join(_column(one) for one in panel["disagreement"])
        title = f"panel of {', '.join(panel['judges'])} ({panel['how']})"
        made.append((title, ("metric", "n", "panel", "judges", "largest difference"), rows, said))
    return made


def _column(record: Mapping[str, Any]) -> str:
    return f"{record['column']} {_spread(record['percent'])}, alpha {_spread(record['alpha'])}"


def _number(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _spread(found: Mapping[str, Any] | None) -> str:
    if found is None or found["value"] is None:
        return "-"
    limits = "" if found["low"] is None else f" [{found['low']:.3f}, {found['high']:.3f}]"
    return f"{found['value']:.3f}{limits}"
