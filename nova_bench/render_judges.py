"""What tables for people say of judges: who judged, how sure a judge is of itself, and how far judges agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from nova_bench.report import MOST_UNJUDGED


def judged(document: Mapping[str, Any]) -> Iterator[Text]:
    """Yield a line for each judge of a report: who, by which rubrics, how often, and how many answers are unjudged or wait."""
    for judge in document["judges"]:
        share = judge["unjudged_share"]
        said = f"judge {judge['name']}: rubrics {', '.join(judge['rubrics'])}; repeats {judge['repeats']}; "
        said += f"unjudged {judge['unjudged']} of {judge['lines']}" + (
            "" if share is None else f" ({100 * share:.1f}%)"
        )
        shown = Text(said + ("; it is the model under test" if judge["self"] else ""))
        if judge["unjudged"]:
            shown.append(
                "\nunjudged ones are final and in no value; in brackets the value if they and those that failed were worst .. best"
            )
        if judge["unjudged_verdicts"]:
            share = judge["unjudged_verdict_share"]
            shown.append(
                f"\nunjudged verdicts {judge['unjudged_verdicts']} of {judge['verdicts']} ({100 * share:.1f}%), each rubric and repeat counted"
            )
        if judge["too_many_unjudged"]:
            shown.append(
                f"\nmore than {100 * MOST_UNJUDGED:g}% are unjudged: too many for a submission",
                style="yellow",
            )
        if judge["dropped"]:
            names = ", ".join(f"{name} ({count} answers)" for name, count in judge["dropped"].items())
            shown.append(f"\nasked for, and not honoured by the judge's server: {names}", style="yellow")
        if judge["judge_failed"]:
            shown.append(
                f"\nincomplete: {judge['judge_failed']} answers wait for a verdict of {judge['name']} and are not scored in its columns. "
                f"Give the same command again to ask for them, or delete {judge['folder']} in the run's folder to take this judge out.",
                style="yellow",
            )
        yield shown


def repeats(records: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of judges that were asked several times: agreement, variance, and the judge's share in the interval.

    Args:
        records: Of `nova_bench.judge_agreement.repeat_records`.
    """
    rows = [
        (
            each["metric"],
            str(each["n"]),
            interval(each),
            ", ".join(number(value) for value in each["values"]),
            number(each["spread"], 4),
            number(each["judge_s"], 4),
            "" if each["share_of_interval"] is None else f"{100 * each['share_of_interval']:.1f}%",
            "; ".join(column(one) for one in each["agreement"]),
        )
        for each in records
    ]
    names = ("metric", "n", "value", "by repeat", "sd", "judge's s", "share of interval", "test-retest")
    return table("judges asked again", names, rows)


def people_note(cell: Mapping[str, Any], judges: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield how far the judge of a metric agrees with people on the metric's rubrics, where it was calibrated.

    Args:
        cell: Of a report.
        judges: Of the report.

    >>> said = {"rubric": "r/1/ab", "key": "score", "alpha": {"value": 0.8, "low": 0.7, "high": 0.9}}
    >>> judges = [{"name": "a:m", "calibration": [said]}]
    >>> protocol = {"judge": {"rubric": "q/1/cd+r/1/ab"}}
    >>> list(people_note({"metric": "f1(judge=a:m,corpus)", "signature": {"protocol": protocol}}, judges))
    ['people: alpha of score 0.800 [0.700, 0.900]']
    """
    for judge in judges:
        if not any(f"(judge={judge['name']}{after}" in cell["metric"] for after in ",)"):
            continue
        rubrics = cell["signature"]["protocol"]["judge"]["rubric"].split("+")
        known = [one for one in judge["calibration"] if one["rubric"] in rubrics]
        values = [one["alpha"]["value"] for one in known if one["alpha"]["value"] is not None]
        if len(known) == 1 or (known and not values):
            yield f"people: alpha of {known[0]['key']} {interval(known[0]['alpha'])}"
        elif known:
            yield f"people: alpha {min(values):.3f} to {max(values):.3f} on {len(known)} keys (see below)"


def people(judges: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """Yield a table for each judge of a report that was calibrated: its agreement with people.

    Args:
        judges: Of the report.
    """
    for judge in judges:
        if judge["calibration"]:
            rows = [(one["labels"], *_against_people(one)) for one in judge["calibration"]]
            yield table(f"{judge['name']} against people", ("labels", *_AGAINST_PEOPLE), rows)


_AGAINST_PEOPLE = ("rubric", "key", "n", "percent", "kappa", "alpha", "people's alpha", "test-retest alpha")


def _against_people(each: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        each["rubric"],
        each["key"],
        str(each["n"]),
        interval(each["percent"]),
        interval(each["kappa"]) + (f" ({each['kappa_weights']})" if each["kappa_weights"] else ""),
        f"{interval(each['alpha'])} ({each['alpha_level']})",
        interval(each["people"] and each["people"]["alpha"]),
        interval(each["test_retest"] and each["test_retest"]["alpha"]),
    )


def calibration(document: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield the tables of ``nova-bench judge calibrate``.

    Args:
        document: Of `nova_bench.judge_calibration.calibrate`.
    """
    for record in document["judges"]:
        rows = [_against_people(each) for each in record["agreement"]]
        yield table(f"{record['judge']} against people", _AGAINST_PEOPLE, rows)
        yield Text(
            f"{record['verdicts']} verdicts, {record['unjudged']} unjudged, {record['judge_failed']} failed; kept in {document['folder']}"
        )


def audit(document: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield the tables of ``nova-bench judge audit``.

    Args:
        document: Of `nova_bench.judge_audit.audit`.
    """
    names = ("attribute", "from", "to", "metric", "n", "moved", "from", "to", "change", "p", "p (Holm)")
    for record in document["judges"]:
        rows = [
            (
                each["attribute"],
                each["from"],
                each["to"],
                each["metric"],
                str(each["n"]),
                "" if each["moved"] is None else f"{100 * each['moved']:.1f}%",
                number(each["value_from"]),
                number(each["value_to"]),
                interval({"value": each["difference"], "low": each["low"], "high": each["high"]}),
                number(each["p"], 4),
                number(each["p_holm"], 4),
            )
            for each in record["contrasts"]
        ]
        title = f"{record['judge']} on {record['answers']} answers of {document['model']}, {document['task']}"
        yield table(title, names, rows)
        yield Text(record["sentence"])


def agreement(document: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield the tables of ``nova-bench judge agreement``.

    Args:
        document: Of `nova_bench.late_judging.agreement`.
    """
    yield Text(f"{document['task']}  ·  {document['model']}", style="bold")
    if document["repeats"]:
        yield repeats(document["repeats"])
    panel = document["panel"]
    if panel is not None:
        rows = [
            (
                each["metric"],
                str(each["n"]),
                str(each["left_out"]),
                interval(each),
                ", ".join(f"{name} {number(value)}" for name, value in each["judges"].items()),
                number(each["spread"]),
            )
            for each in panel["metrics"]
        ]
        title = f"panel of {', '.join(panel['judges'])} ({panel['how']})"
        yield table(title, ("metric", "n", "left out", "panel", "judges", "largest difference"), rows)
        yield Text("agreement between the judges: " + "; ".join(column(one) for one in panel["disagreement"]))
        if any(each["left_out"] for each in panel["metrics"]):
            yield Text("left out: answers that one of these judges has no verdict on", style="yellow")
    if document["caution"]:
        yield Text(document["caution"])


def table(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a plain table."""
    made = Table(title=Text(title), title_justify="left", title_style="bold")
    for name in names:
        made.add_column(name, overflow="fold")
    for row in rows:
        made.add_row(*(Text(entry) for entry in row))
    return made


def column(record: Mapping[str, Any]) -> str:
    """Return the agreement of raters on one column: percent, then Krippendorff's alpha."""
    return f"{record['column']} {interval(record['percent'])}, alpha {interval(record['alpha'])}"


def number(value: float | None, digits: int = 3) -> str:
    """Return a number; nothing for None.

    >>> number(0.12345), number(None), number(0.5, 4)
    ('0.123', '', '0.5000')
    """
    return "" if value is None else f"{value:.{digits}f}"


def interval(found: Mapping[str, Any] | None) -> str:
    """Return a value with its interval.

    >>> interval({"value": 0.5, "low": 0.25, "high": 0.75}), interval({"value": 0.5, "low": None, "high": None}), interval(None)
    ('0.500 [0.250, 0.750]', '0.500', '-')
    """
    if found is None or found["value"] is None:
        return "-"
    limits = "" if found["low"] is None else f" [{found['low']:.3f}, {found['high']:.3f}]"
    return f"{found['value']:.3f}{limits}"
