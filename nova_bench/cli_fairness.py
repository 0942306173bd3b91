"""The verb fairness: of runs, or of a table of scores that anybody made."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nova_bench.cli_options import DONE, INCOMPLETE, pairs, settings_of
from nova_bench.errors import UsageError

_ONLY_TABLE = ("id", "cluster", "lower_is_better", "range", "model_column", "repeat", "status", "unknown")


def add_verb(verbs: Any) -> None:
    """Enter fairness among the verbs of a parser.

    Args:
        verbs: What ``ArgumentParser.add_subparsers`` returned.
    """
    verb = verbs.add_parser(
        "fairness",
        help="is a model worse for some patients, how sure is that, and is another one fairer; for runs, or --table scores.csv",
        description="Compares demographic groups: of runs, or of any table of scores with --table. See docs/fairness.md.",
    )
    verb.add_argument(
        "runs", nargs="*", type=Path, metavar="RUN", help="a run's folder, or one with runs below it"
    )
    verb.add_argument(
        "--by",
        action="append",
        metavar="NAME[,NAME*NAME]",
        help="attributes, or intersections of them (default: the task's demographics)",
    )
    verb.add_argument(
        "--metric", action="append", metavar="NAME[,NAME]", help="only these metrics; columns, of a table"
    )
    verb.add_argument("--lambda", dest="lam", type=float, default=1.0, help="of FAP (default: 1)")
    verb.add_argument("--deviation", default="wstd", metavar="wstd|wmad|max", help="of FAP (default: wstd)")
    verb.add_argument(
        "--weights", default="size", metavar="size|uniform", help="of groups in means (default: size)"
    )
    verb.add_argument(
        "--min-n", type=int, default=20, metavar="N", help="patients that a group needs (default: 20)"
    )
    verb.add_argument("--resamples", type=int, default=1000, metavar="N")
    verb.add_argument("--permutations", type=int, default=1999, metavar="N", help="9999 for publication")
    verb.add_argument("--seed", type=int, default=0, metavar="N")
    verb.add_argument("--data", help="where the data set is now, if it moved")
    verb.add_argument("--out", type=Path, metavar="DIR", help="also write a page and plots there")
    verb.add_argument("--json", action="store_true", help="print one JSON document")
    table = verb.add_argument_group("a table of scores (see docs/fairness_table.md)")
    table.add_argument(
        "--table",
        action="append",
        type=Path,
        metavar="FILE",
        help="CSV or Parquet, one line an answer; several: one a model, on the same samples",
    )
    table.add_argument("--id", metavar="COLUMN", help="the sample")
    table.add_argument("--cluster", metavar="COLUMN", help="the patient")
    table.add_argument(
        "--lower-is-better", action="append", metavar="NAME[,NAME]", help="metrics of which less is better"
    )
    table.add_argument(
        "--range", action="append", metavar="NAME=LOW..HIGH", help="of a metric outside of 0..1; NAME=none"
    )
    table.add_argument("--model-column", metavar="COLUMN", help="the model, where one table holds several")
    table.add_argument("--repeat", metavar="COLUMN", help="repeats of a sample (default: repeat, if there)")
    table.add_argument("--status", metavar="COLUMN|none", help="the six states (default: status, if there)")
    table.add_argument(
        "--unknown",
        action="append",
        metavar="WORD[,WORD]",
        help="values that mean unknown, like an empty one",
    )
    verb.set_defaults(verb=_fairness)


def split_names(given: Sequence[str] | None) -> list[str]:
    """Return the names of a list of words, split at commas outside of brackets.

    >>> split_names(["top1(normalised,unit=case),top5", "race*gender"])
    ['top1(normalised,unit=case)', 'top5', 'race*gender']
    """
    names: list[str] = []
    for word in given or ():
        depth, name = 0, ""
        for letter in word:
            depth += (letter == "(") - (letter == ")")
            if letter == "," and depth <= 0:
                names.append(name)
                name = ""
            else:
                name += letter
        names.append(name)
    return [name.strip() for name in names if name.strip()]


def _fairness(parsed: argparse.Namespace) -> int:
    document = _of_tables(parsed) if parsed.table else _of_runs(parsed)
    if parsed.out is not None:
        from nova_bench.fairness_page import write

        write(document, parsed.out)
    if parsed.json:
        print(json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False))
    else:
        from nova_bench.render import console
        from nova_bench.render_fairness import report

        console().print(report(document))
        if parsed.out is not None:
            print(f"The page is {parsed.out / 'index.html'}")
    return INCOMPLETE if is_incomplete(document) else DONE


def is_incomplete(document: Mapping[str, Any]) -> bool:
    """Return whether a fairness document has answers that failed."""
    return any(entry["overall"]["n_failed"] for entry in document["comparisons"]) or any(
        record["n_failed"] for record in document["counterfactual"]
    )


def _choices(parsed: argparse.Namespace) -> Any:
    from nova_bench.fairness_document import FairnessSettings

    return FairnessSettings(
        lam=parsed.lam,
        deviation=parsed.deviation,
        weights=parsed.weights,
        min_n=parsed.min_n,
        resamples=parsed.resamples,
        permutations=parsed.permutations,
        seed=parsed.seed,
    )


def _of_runs(parsed: argparse.Namespace) -> dict[str, Any]:
    from nova_bench.fairness_report import fairness
    from nova_bench.run_list import opened_runs

    if not parsed.runs:
        raise UsageError("give a run's folder, or --table scores.csv")
    for name in _ONLY_TABLE:
        if getattr(parsed, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} belongs to --table; a run knows it")
    runs = opened_runs(parsed.runs, data=parsed.data, settings=settings_of(parsed))
    return fairness(
        runs, by=split_names(parsed.by), metrics=split_names(parsed.metric), settings=_choices(parsed)
    )


def _of_tables(parsed: argparse.Namespace) -> dict[str, Any]:
    from nova_bench.score_table import fairness_table

    if parsed.runs:
        raise UsageError("give runs or --table, not both")
    if parsed.data is not None:
        raise UsageError("--data belongs to runs; a table is all there is")
    for name, example in (("id", "id"), ("cluster", "patient"), ("by", "sex"), ("metric", "correct")):
        if not getattr(parsed, name):
            raise UsageError(f"--table needs --{name} COLUMN, as in --{name} {example}")
    return fairness_table(
        parsed.table,
        id=parsed.id,
        cluster=parsed.cluster,
        by=split_names(parsed.by),
        metric=split_names(parsed.metric),
        lower_is_better=split_names(parsed.lower_is_better),
        ranges={name: _limits(name, text) for name, text in pairs(parsed.range or (), "--range").items()},
        model=parsed.model_column,
        repeat=parsed.repeat,
        status="" if parsed.status == "none" else parsed.status,
        unknown=split_names(parsed.unknown),
        settings=_choices(parsed),
    )


def _limits(name: str, text: str) -> tuple[float, float] | None:
    if text == "none":
        return None
    low, dots, high = text.partition("..")
    try:
        if not dots:
            raise ValueError(text)
        return float(low), float(high)
    except ValueError:
        raise UsageError(f"--range {name}={text}: expected LOW..HIGH, as in {name}=0..100, or none") from None
