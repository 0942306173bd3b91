"""Comparisons in the terminal: per task the ranks, the headline metric with its slices, the other metrics, and what it says in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from nova_bench.compare_words import BETTER, IDENTICAL, NOT_TOLD, UNDEFINED, WORSE, forced_words, unit_of
from nova_bench.fairness_view import SENTENCE_LIMIT, number, safe
from nova_bench.fairness_words import p_figure
from nova_bench.render_fairness import Sheet

Entry = Mapping[str, Any]

OVERALL = "all"
MOST_PAIRS = 10
"""Pairs of runs of which the headline metric is written out."""
MOST_LINES = 40
MOST_RUNS = 6
"""Runs that stand beside each other."""
_SHOWN = {
    BETTER: "better",
    WORSE: "worse",
    NOT_TOLD: "not told",
    IDENTICAL: "identical",
    UNDEFINED: "undefined",
}
_STYLES = {BETTER: "bold green", WORSE: "bold red", NOT_TOLD: "", IDENTICAL: "", UNDEFINED: "dim"}


def report(document: Entry) -> RenderableType:
    """Return a comparison as tables with sentences.

    Args:
        document: What `nova-bench compare --json` prints.
    """
    parts: list[RenderableType] = []
    for task in document["tasks"]:
        parts += _task(task, document["settings"])
    parts += [_line(note, "dim") for note in document["notes"]]
    return Group(*parts)


def _line(text: str, style: str = "") -> Text:
    return Text(safe(text, SENTENCE_LIMIT), style=style)


def _under(text: str, style: str = "") -> Padding:
    return Padding(_line(text, style), (0, 0, 0, 2))


def _task(task: Entry, settings: Entry) -> Iterator[RenderableType]:
    entries, headline, alpha = task["comparisons"], task["headline"], settings["alpha"]
    many = len(task["runs"]) > 2
    shown = headline if any(entry["metric"] == headline for entry in entries) else entries[0]["metric"]
    overall = [entry for entry in entries if entry["metric"] == shown and entry["slice"] == OVERALL]
    slices = [entry for entry in entries if entry["metric"] == shown and entry["slice"] != OVERALL]
    others = [entry for entry in entries if entry["metric"] != shown and entry["slice"] == OVERALL]
    better = "higher is better" if overall[0]["higher_is_better"] else "lower is better"
    yield Text(f"{safe(task['task'])}  ·  {safe(shown, None)}, {better}", style="bold")
    if many:
        yield _ranks(task, shown, _level(settings))
        yield Text()
    else:
        yield _line(f"A = {overall[0]['a']}, B = {overall[0]['b']}; B - A on the answers that both gave")
    yield _comparisons(overall[:MOST_PAIRS], "", alpha, many=many)
    for entry in overall[:MOST_PAIRS]:
        yield _under(entry["sentence"], "yellow" if entry["forced"] else "")
    if len(overall) > MOST_PAIRS:
        yield _under(f"and {len(overall) - MOST_PAIRS} more pairs; --json has all", "dim")
    yield from _slices(slices, alpha, many=many)
    if others:
        yield Text()
        if many:
            yield _by_run(task, others)
        else:
            yield _comparisons(others, "other metrics, all samples", alpha, many=False)
            for entry in _counted(others):
                yield _under(entry["sentence"], "yellow" if entry["forced"] else "")
    rest = [entry for entry in entries if entry["slice"] != OVERALL and entry["metric"] != shown]
    yield from _after(task, settings, rest)


def _counted(entries: Sequence[Entry]) -> list[Entry]:
    """Return the differences that were told and can be counted in images or lesions, the same one under two names once."""
    found: dict[object, Entry] = {}
    for entry in entries:
        unit = unit_of(entry["written"], entry["range"], higher_is_better=entry["higher_is_better"])
        if unit is not None and entry["outcome"] in (BETTER, WORSE):
            found.setdefault((unit, entry["low"], entry["high"]), entry)
    return list(found.values())


def _slices(entries: Sequence[Entry], alpha: float, *, many: bool) -> Iterator[RenderableType]:
    """Yield the headline metric on each slice; of many runs only where a difference was told, as pairs times slices fill pages.

    Of two runs, slices on which nothing differs or nothing could be tested are counted in one line.
    """
    shown = [
        entry
        for entry in entries
        if (entry["outcome"] in (BETTER, WORSE) if many else entry["outcome"] not in (IDENTICAL, UNDEFINED))
    ]
    if shown:
        yield Text()
        yield _comparisons(shown[:MOST_LINES], f"{shown[0]['metric']} by slice", alpha, many=many)
    if left := len(shown[MOST_LINES:]):
        yield _under(f"and {left} more; --json has all", "dim")
    if len(shown) < len(entries):
        untested = sum(entry["p"] is None for entry in entries)
        said = f"by slice, no difference is told in {len(entries) - len(shown)} of {len(entries)} comparisons"
        said += f", of which {untested} could not be tested" if untested else ""
        yield _under(f"{said}; they are left out here, --json has all", "dim")


def _by_run(task: Entry, entries: Sequence[Entry]) -> Table:
    """Return the other metrics of many runs, one column a run: its own value and, in brackets, its rank."""
    labels = [run["label"] for run in task["runs"]][:MOST_RUNS]
    left = len(task["runs"]) - len(labels)
    title = "other metrics, all samples: each run's own value (its interval: nova-bench report) and, in brackets, rank"
    title += f"; {left} more runs in --json" if left else ""
    table = _table(title)
    table.add_column("metric", overflow="fold")
    for label in labels:
        table.add_column(Text(safe(label, 40)), justify="right", overflow="fold")
    ranked = {(rank["metric"], rank["model"]): rank for rank in task["ranks"]}
    for metric in dict.fromkeys(entry["metric"] for entry in entries):
        of_metric = [entry for entry in entries if entry["metric"] == metric]
        places = places_of(of_metric[0])
        row = [_mark(_forced(of_metric), metric)]
        for label in labels:
            rank = ranked.get((metric, label))
            row.append(Text("-" if rank is None else f"{number(rank['value'], places)} ({_rank(rank)})"))
        table.add_row(*row)
    return table


def _rank(rank: Entry) -> str:
    return str(rank["low"]) if rank["low"] == rank["high"] else f"{rank['low']}-{rank['high']}"


def _table(title: str) -> Table:
    return Table(
        title=Text(safe(title, None), style="bold") if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        pad_edge=False,
    )


def _comparisons(entries: Sequence[Entry], title: str, alpha: float, *, many: bool) -> Sheet:
    """Return comparisons as a table; the first column is what tells them apart."""
    by_slice = any(entry["slice"] != OVERALL for entry in entries)
    columns = [("slice" if by_slice else "metric", "<"), *([("A", "<"), ("B", "<")] if many else [])]
    columns += [("of A", ">w"), ("of B", ">w"), ("B - A", ">"), ("interval", "~")]
    columns += [("p", ">w"), ("Holm p", ">"), ("detectable", ">w"), ("cases", ">w"), ("B is", "<")]
    table = Sheet(safe(title, None), columns)
    places = {entry["metric"]: 1 for entry in entries}
    for entry in entries:  # a column of one metric lines up
        places[entry["metric"]] = max(places[entry["metric"]], places_of(entry))
    for entry in entries:
        table.row(_cells(entry, places[entry["metric"]], alpha, by_slice=by_slice, many=many))
    return table


def _cells(entry: Entry, places: int, alpha: float, *, by_slice: bool, many: bool) -> list[Text]:
    limits = None if entry["low"] is None else (entry["low"], entry["high"])
    return [
        _mark(entry["forced"], entry["slice"] if by_slice else entry["metric"]),
        *([Text(safe(entry[side], 30)) for side in ("a", "b")] if many else []),
        Text(number(entry["value_a"], places)),
        Text(number(entry["value_b"], places)),
        Text(signed(entry["difference"], places)),
        Text("-" if limits is None else f"[{number(limits[0], places)}, {number(limits[1], places)}]"),
        Text(p_value(entry["p"], alpha)),
        Text(p_value(entry["p_holm"], alpha)),
        Text(
            "none"
            if entry["detectable"] is None and entry["p"] is not None
            else number(entry["detectable"], places)
        ),
        Text(str(entry["clusters"])),
        Text(_SHOWN[entry["outcome"]], style=_STYLES[entry["outcome"]]),
    ]


def _forced(entries: Sequence[Entry]) -> list[str]:
    """Return what differs in any of several comparisons that were forced."""
    return list(dict.fromkeys(key for entry in entries for key in entry["forced"] or ()))


def _mark(forced: Sequence[str] | None, name: str) -> Text:
    shown = Text(safe(name, None))
    if forced:
        shown.append(f"\nforced: {forced_words(forced)}", style="yellow")
    return shown


def places_of(entry: Entry) -> int:
    """Return how many decimals an entry's numbers are shown with.

    >>> places_of({"range": [0, 1], "value_a": 0.61, "value_b": 0.5}), places_of({"range": None, "value_a": 61.0, "value_b": 50.0})
    (3, 1)
    """
    largest = max(abs(entry["value_a"] or 0.0), abs(entry["value_b"] or 0.0))
    return 1 if largest >= 10 else 4 if 0 < largest < 0.05 else 3


def signed(value: float | None, places: int) -> str:
    """Return a number with its sign.

    >>> signed(0.05, 3), signed(-0.05, 3), signed(0.0, 3), signed(None, 3)
    ('+0.050', '-0.050', '0.000', '-')
    """
    shown = number(value, places)
    return f"+{shown}" if value is not None and value > 0 and float(shown) else shown


def p_value(p: float | None, alpha: float) -> str:
    """Return a p-value that does not look like alpha where it is not.

    >>> p_value(0.0123, 0.05), p_value(0.04996, 0.05), p_value(0.00001, 0.05), p_value(None, 0.05), p_value(1.0, 0.05)
    ('0.012', '0.04996', '<0.001', '-', '1')
    """
    return "-" if p is None else p_figure(p, alpha)


def _ranks(task: Entry, metric: str, level: str) -> Table:
    """Return each run's rank by one metric, the best first, with its own value on all of its answers."""
    entries = [e for e in task["comparisons"] if e["metric"] == metric and e["slice"] == OVERALL]
    places, runs = places_of(entries[0]), {run["label"]: run for run in task["runs"]}
    table = _table("")
    table.add_column("rank", justify="right")
    table.add_column("run", overflow="fold")
    for name in (safe(metric, None), f"{level}% interval", "samples", "failed", "cases"):
        table.add_column(Text(name), justify="right")
    sign = 1 if entries[0]["higher_is_better"] else -1
    ranked = [rank for rank in task["ranks"] if rank["metric"] == metric]
    for rank in sorted(ranked, key=lambda rank: (rank["low"], rank["high"], -sign * (rank["value"] or 0.0))):
        run = runs[rank["model"]]
        limits = [number(rank[end], places) for end in ("value_low", "value_high")]
        table.add_row(
            _rank(rank),
            _mark(rank["forced"], rank["model"]),
            number(rank["value"], places),
            "-" if rank["value_low"] is None else f"[{', '.join(limits)}]",
            *(str(run[name]) for name in ("samples", "failed", "clusters")),
        )
    return table


def _level(settings: Entry) -> str:
    return f"{100 * (1 - settings['alpha']):g}"


def _after(task: Entry, settings: Entry, rest: Sequence[Entry]) -> Iterator[RenderableType]:
    """Yield what has to be known to read the tables."""
    tests = {entry["family"]: entry["tests"] for entry in task["comparisons"]}
    said = f"{_level(settings)}% intervals, each for itself; B is better or worse where Holm p is below {settings['alpha']:g}. Holm over "
    said += ", ".join(f"{count} ({family})" for family, count in tests.items()) + " tests."
    if len(task["runs"]) > 2:
        said += " A run's rank is corrected over this run's own pairs by one metric, so it can tell what the table of all pairs does not."
    if rest:
        told = sum(entry["outcome"] in (BETTER, WORSE) for entry in rest)
        said += f" Not shown: {len(rest)} comparisons of other metrics by slice, {told} of them better or worse; --json has all."
    yield _line(said, "dim")
    incomplete = [run["label"] for run in task["runs"] if not run["complete"]]
    if incomplete:
        yield _line(
            f"incomplete: {', '.join(incomplete)}; what is not answered or judged in both runs takes no part",
            "yellow",
        )
    for note in task["notes"]:
        yield _line(note, "dim")
    if task["caution"]:
        yield _line(task["caution"], "bold yellow")
    yield Text()
