"""How a fairness document is laid out for people: in the terminal, on the page and in the plots alike.

A document is what `nova-bench fairness --json` prints. Nothing here works out a number: values are only written with fewer digits.
Names of groups, models and attributes come from people's files, so all of them go through `safe` before they are shown.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nova_bench.fairness_words import SIGNIFICANT

Entry = Mapping[str, Any]

NAME_LIMIT = 60
SENTENCE_LIMIT = 600
ROUNDING = 1e-9
"""What is nearer to 0 than this is an error of floating-point arithmetic."""
COMPOSITES = ("wmean", "gap", "worst", "ratio", "std", "deviation", "fap", "es")

GLOSSARY: tuple[tuple[str, str], ...] = (
    (
        "worst group",
        "The group with the lowest score (highest, where lower is better). The 95% interval beside it is of the lowest true score, whichever "
        "group has it, so it can be shorter than that group's own interval.",
    ),
    (
        "gap",
        "Best group minus worst group. Chance alone makes it positive, so three numbers are given: the gap as measured; its noise floor, "
        "which is the gap to expect from groups of these sizes if all were equal; and the corrected gap, an estimate without that bias.",
    ),
    (
        "interval",
        "95% interval over patients, in brackets. Where the interval of a gap starts at 0, the gap cannot be told from chance.",
    ),
    ("ratio", "Worst group divided by best group."),
    (
        "FAP",
        "Fairness-aware performance: the mean over groups, less the spread between them (plus, where lower is better). Its form is in its name.",
    ),
    ("ES", "Equity-scaled score: the overall score divided by one plus the distances of all groups from it."),
    (
        "Holm p",
        "How often labels dealt out to patients by chance differ as much as these groups do, corrected for the number of tests made.",
    ),
    ("detectable", "The smallest gap that groups of these sizes show in 80 of 100 studies."),
    (
        "greyed",
        "Too few patients, unknown, or no value. Shown, and left out of gap, ratio, FAP, ES and the tests.",
    ),
    ("n", "Answers asked for; a patient can have several. Failed ones are not scored."),
)
"""What the columns mean, in plain words."""


def safe(text: object, limit: int | None = NAME_LIMIT) -> str:
    r"""Return a text that shows as it reads: control, direction and invisible characters written out, long ones cut in the middle.

    A right-to-left override in a group's name would otherwise turn the digits behind it around, and an escape sequence would reach the
    terminal.

    Args:
        text: Any text; None is an empty one.
        limit: The most characters to return; None for all.

    >>> safe("a\u202eb\x1b[0m"), safe("abcdefgh", 5)
    ('a⟨U+202E⟩b⟨U+001B⟩[0m', 'ab…gh')
    """
    raw = _shortened("" if text is None else str(text), limit)
    if raw.isascii() and raw.isprintable():
        return raw
    shown = "".join(
        f"⟨U+{ord(mark):04X}⟩" if unicodedata.category(mark) in ("Cc", "Cf", "Cs", "Zl", "Zp") else mark
        for mark in raw
    )
    return _shortened(shown, limit)


def _shortened(text: str, limit: int | None) -> str:
    if limit is None or len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return text[: limit - 1 - tail] + "…" + text[len(text) - tail :]


def sentence(entry: Entry) -> str:
    """Return an entry's plain-words sentence as the document has it, safe to show."""
    return safe(entry.get("sentence"), SENTENCE_LIMIT).strip()


def digits(entry: Entry) -> int:
    """Return how many decimals a comparison's scores are shown with: three on a scale of 1, more for small scores, fewer on wide scales.

    >>> digits({"range": [0, 1], "overall": {"value": 0.6}}), digits({"range": [0, 1], "overall": {"value": 0.01}})
    (3, 4)
    >>> digits({"range": None, "overall": {"value": 61.0}})
    1
    """
    value = abs(float((entry.get("overall") or {}).get("value") or 0.0))
    span = abs(float(entry["range"][1]) - float(entry["range"][0])) if entry.get("range") else value
    if span > 2:
        return 2 if span <= 20 else 1
    return 4 if 0 < value < 0.1 else 3


def number(value: float | None, decimals: int = 3) -> str:
    """Return a number with some decimals, a dash for None; what would round to zero keeps one digit, so that 0 is only written for 0.

    >>> number(0.12345), number(None), number(0.0), number(0.0004), number(-1e-17)
    ('0.123', '-', '0.000', '0.0004', '0.000')
    """
    if value is None:
        return "-"
    if abs(value) < ROUNDING:
        value = 0.0
    shown = f"{value:.{decimals}f}"
    return f"{value:.1g}" if value and not float(shown) else shown


def interval(entry: Entry | None, decimals: int = 3) -> str:
    """Return an interval in brackets; nothing where there is none.

    >>> interval({"low": 0.25, "high": 0.5})
    '[0.250, 0.500]'
    """
    if not entry or entry.get("low") is None or entry.get("high") is None:
        return ""
    return f"[{number(entry['low'], decimals)}, {number(entry['high'], decimals)}]"


def bounded(entry: Entry | None, decimals: int = 3) -> str:
    """Return a value with its interval behind it."""
    if not entry:
        return "-"
    return f"{number(entry.get('value'), decimals)} {interval(entry, decimals)}".rstrip()


def p_value(p: float | None) -> str:
    """Return a p-value with two significant digits.

    >>> p_value(0.0004987), p_value(0.0831), p_value(1.0), p_value(None)
    ('0.0005', '0.083', '1.0', '-')
    """
    if p is None:
        return "-"
    if p <= 0 or not math.isfinite(p):
        return str(p)
    # "0.00050" says no more than "0.0005", and narrow columns are dear.
    text = f"{p:.{max(1, 1 - math.floor(math.log10(p)))}f}"
    return text[:-1] if p < 0.01 and text.endswith("0") else text


def share(value: float | None) -> str:
    """Return a share as a percentage, none as "0".

    >>> share(0.0), share(0.0123), share(1.0)
    ('0', '1.2%', '100%')
    """
    if value is None:
        return "-"
    if value in (0, 1):
        return "0" if not value else "100%"
    return f"{100 * value:.1f}%"


def reason(entry: Entry) -> str:
    """Return why a comparison has no gap, in the document's own words; nothing where it has one."""
    gap = entry.get("gap") or {}
    if gap.get("value") is not None:
        return ""
    return safe(gap.get("note") or entry.get("note") or "undefined", SENTENCE_LIMIT)


def notes(entry: Entry) -> Iterator[str]:
    """Yield the notes of a comparison (or of a pair's) and of its numbers, each piece once, and none that is said beside them anyway.

    What is said anyway is the sentence, and which groups are left out and why (`group_notes`).
    """
    found = (entry.get("note"), *((entry.get(name) or {}).get("note") for name in COMPOSITES))
    said = sentence(entry)
    pieces: dict[str, None] = {}
    for note in found:
        for piece in safe(note, SENTENCE_LIMIT).split("; "):
            if piece and piece not in said and not piece.startswith("left out of composites"):
                pieces[piece] = None
    yield from pieces


def group_notes(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield why groups are greyed, and other notes on groups, each once where several runs have the same."""
    made = []
    for entry in entries:
        rows = group_rows(entry)
        greyed = "; ".join(f"{name} ({grey})" for name, _, grey in rows if grey)
        said = [f"greyed, left out of the comparison: {greyed}"] if greyed else []
        said += [
            f"{name}: {safe(group['note'], SENTENCE_LIMIT)}"
            for name, group, grey in [*rows, ("all", entry["overall"], "")]
            if group.get("note") and not grey
        ]
        made.append((safe(entry["run"], 24), said))
    if all(said == made[0][1] for _, said in made):
        yield from made[0][1]
        return
    for run, said in made:
        yield from (f"{run}: {note}" for note in said)


def swaps(document: Entry) -> Iterator[tuple[Entry, str, Entry]]:
    """Yield (record, metric, its change) for every value that was put in place of another, for the headline metric of its task."""
    headlines = {part.task.partition("@")[0]: part.headline for part in parts(document)}
    for record in document.get("counterfactual") or ():
        metrics = record.get("metrics") or {}
        wanted = headlines.get(str(record["task"]), "")
        name = wanted if wanted in metrics else next(iter(metrics), "")
        yield record, str(name), metrics.get(name, {})


def undefined(part: Part, metrics: Sequence[str]) -> Iterator[str]:
    """Yield why comparisons of some metrics have no gap, each reason once with what it is for."""
    found: dict[str, dict[str, None]] = {}
    for metric in metrics:
        for attribute in part.attributes:
            for entry in part.of(metric, attribute):
                if why := reason(entry):
                    found.setdefault(why, {})[safe(metric if blank(part, metric) else attribute)] = None
    for why, names in found.items():
        yield f"{', '.join(names)}: {why}"


def blank(part: Part, metric: str) -> str:
    """Return why a metric has no value anywhere, as where a package is missing; nothing where it has one."""
    entries = [entry for attribute in part.attributes for entry in part.of(metric, attribute)]
    if any(entry["overall"]["value"] is not None or not reason(entry) for entry in entries):
        return ""
    return "; ".join(dict.fromkeys(reason(entry) for entry in entries))


def standing_out(part: Part, metric: str) -> str:
    """Return in one sentence on which attributes groups differ more than chance explains, after correction over all tests."""
    tested = [
        entry
        for attribute in part.attributes
        for entry in part.of(metric, attribute)
        if entry["p_holm"] is not None
    ]
    if not tested:
        return "No attribute could be tested."
    named = [
        safe(entry["attribute"]) + (f" ({safe(entry['run'], 24)})" if len(part.runs) > 1 else "")
        for entry in tested
        if entry["p_holm"] <= SIGNIFICANT
    ]
    counted = f"Holm over {tested[0]['tests']} tests"
    if not named:
        return f"On no attribute can the differences between groups be told from chance ({counted}); see what these sizes could have shown."
    others = "" if len(named) == len(tested) else "; elsewhere it could be chance"
    return f"Unlikely to be chance: {', '.join(named)}{others} ({counted})."


def group_rows(entry: Entry) -> list[tuple[str, Entry, str]]:
    """Return a comparison's groups as (name, group, why it is greyed), the unknown ones after them, everybody last."""
    rows = [
        (
            safe(name),
            group,
            "" if group["included"] else safe(group["note"] or "left out", SENTENCE_LIMIT),
        )
        for name, group in entry["groups"].items()
    ]
    if entry.get("unknown"):
        rows.append(
            ("unknown", entry["unknown"], safe(entry["unknown"]["note"] or "not known", SENTENCE_LIMIT))
        )
    return rows


def states(entries: Sequence[Entry]) -> list[str]:
    """Return the states whose shares are worth a column: failed, refused and unparsed always, others where there are any."""
    groups = [group for entry in entries for _, group, _ in group_rows(entry)]
    return [
        state
        for state in ("failed", "refused", "unparsed", "truncated", "rejected", "unjudged")
        if state in ("failed", "refused", "unparsed") or any(g["counts"].get(state) for g in groups)
    ]


def shares(group: Entry) -> Mapping[str, float | None]:
    """Return the shares of a group's answers in each state, also where the document has counts only."""
    if group.get("shares"):
        return dict(group["shares"])
    return {state: count / group["n"] if group["n"] else None for state, count in group["counts"].items()}


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One task of a document.

    Attributes:
        task: Its name.
        runs: The labels of its runs, in the document's order.
        metrics: Its metrics, the headline metric first.
        headline: The metric that is shown large.
        attributes: The attributes of the headline metric.
        entries: Comparisons by (run, metric, attribute).
    """

    task: str
    runs: tuple[str, ...]
    metrics: tuple[str, ...]
    headline: str
    attributes: tuple[str, ...]
    entries: Mapping[tuple[str, str, str], Entry]

    def of(self, metric: str, attribute: str) -> list[Entry]:
        """Return the comparisons of one metric and attribute, one a run that has it."""
        found = (self.entries.get((run, metric, attribute)) for run in self.runs)
        return [entry for entry in found if entry is not None]

    def pairs(self, metric: str) -> Iterator[tuple[str, str, list[tuple[str, Entry]]]]:
        """Yield (run, earlier run, [(attribute, paired)]): each pair of runs once, as the later minus the earlier."""
        for place, later in enumerate(self.runs):
            for earlier in self.runs[:place]:
                found = [
                    (attribute, entry["paired"][earlier])
                    for attribute in self.attributes
                    if (entry := self.entries.get((later, metric, attribute)))
                    and earlier in (entry.get("paired") or {})
                ]
                if found:
                    yield later, earlier, found


def parts(document: Entry) -> list[Part]:
    """Return a document's tasks, in the order in which its comparisons name them."""
    by_task: dict[str, list[Entry]] = {}
    for entry in document["comparisons"]:
        by_task.setdefault(str(entry["task"]), []).append(entry)
    made = []
    for task, entries in by_task.items():
        headline = next((e["metric"] for e in entries if e.get("headline")), entries[0]["metric"])
        metrics = dict.fromkeys([headline, *(e["metric"] for e in entries)])
        made.append(
            Part(
                task=task,
                runs=tuple(dict.fromkeys(e["run"] for e in entries)),
                metrics=tuple(metrics),
                headline=headline,
                attributes=tuple(dict.fromkeys(e["attribute"] for e in entries)),
                entries={(e["run"], e["metric"], e["attribute"]): e for e in entries},
            )
        )
    return made


def cautions(document: Entry) -> list[str]:
    """Return what must be said about the data, once each; a synthetic run without words of its own gets some."""
    made = dict.fromkeys(
        safe(
            run.get("caution")
            or "This run's data are synthetic: its numbers are no measure of clinical skill.",
            SENTENCE_LIMIT,
        )
        for run in document["runs"]
        if run.get("caution") or run.get("synthetic")
    )
    return list(made)
