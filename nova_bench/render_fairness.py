"""Fairness in the terminal: tables through rich, each with a sentence in plain words under it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from nova_bench import fairness_view as view
from nova_bench.fairness_words import SIGNIFICANT

Entry = Mapping[str, Any]

BAR = 24
"""Characters of the small bar beside an interval."""
BREAK = 6
"""Characters by which a column of intervals can shrink without a number in it being broken."""


def report(document: Entry, *, full: bool = False) -> RenderableType:
    """Return a fairness document as tables with sentences under them.

    Per task: one table over all attributes, then the groups of each attribute, both for the headline metric; the other metrics in a short
    table; two runs against each other where there are two; counterfactual runs where there are any. Narrow terminals get fewer columns.

    Args:
        document: What `nova-bench fairness --json` prints.
        full: All tables for all metrics.
    """
    made: list[RenderableType] = []
    for part in view.parts(document):
        made += _task(part, full=full)
    if not made:
        made.append(Text("nothing to compare: no task of these runs has demographics", style="yellow"))
    if document.get("counterfactual"):
        made += _counterfactual(list(view.swaps(document)))
    made.append(_settings(document["settings"]))
    made += [Text(caution, style="bold yellow") for caution in view.cautions(document)]
    return Group(*made)


def _task(part: view.Part, *, full: bool) -> Iterator[RenderableType]:
    shown = part.metrics if full else (part.headline,)
    for metric in shown:
        yield Text()
        yield Text(f"{view.safe(part.task)}  ·  {view.safe(metric)}, {_better(part, metric)}", style="bold")
        yield _overview(part, metric)
        yield _under(view.standing_out(part, metric))
        for attribute in part.attributes:
            yield from _groups(part, metric, attribute)
    if len(shown) < len(part.metrics):
        yield Text()
        yield _short(part, part.metrics[1:])
        for note in view.undefined(part, part.metrics[1:]):
            yield _under(note, style="dim")
    for metric in shown:
        for later, earlier, found in part.pairs(metric):
            yield from _paired(part, metric, later, earlier, found)


def _better(part: view.Part, metric: str) -> str:
    entry = next(entry for (_, name, _), entry in part.entries.items() if name == metric)
    return "higher is better" if entry.get("higher_is_better", True) else "lower is better"


class Sheet:
    """A table in two forms: with all columns, and with fewer for where these do not fit. A cut-off number would be a wrong number.

    Args:
        title: Above it.
        columns: Heading and kind of each: ``<`` names, ``>`` numbers, ``~`` intervals, which may be broken at their space; with a ``w``
            behind it, left out where it is narrow.
    """

    def __init__(self, title: str, columns: Sequence[tuple[str, str]]) -> None:
        self.spare = BREAK * sum(kind[0] == "~" for _, kind in columns)
        self.kept = [not kind.endswith("w") for _, kind in columns]
        self.wide, self.narrow = (
            Table(
                title=Text(title, style="bold") if title else None,
                title_justify="left",
                box=box.SIMPLE_HEAD,
                padding=(0, 1, 0, 0),
                show_edge=False,
                pad_edge=False,
            )
            for _ in range(2)
        )
        for (name, kind), kept in zip(columns, self.kept, strict=True):
            justify: Any = "left" if kind[0] == "<" else "right"
            self.wide.add_column(name, justify=justify, no_wrap=kind[0] == ">", overflow="fold")
            if kept:
                self.narrow.add_column(name, justify=justify, overflow="fold")

    def row(self, cells: Sequence[RenderableType], style: str = "") -> None:
        """Add a line, one cell a column."""
        self.wide.add_row(*cells, style=style)
        self.narrow.add_row(*itertools.compress(cells, self.kept), style=style)

    def section(self) -> None:
        """Draw a rule below the line before."""
        self.wide.add_section()
        self.narrow.add_section()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wanted = Measurement.get(console, options.update(max_width=10_000), self.wide).maximum
        yield self.wide if wanted - self.spare <= options.max_width else self.narrow


def _stacked(entry: Entry | None, places: int) -> Text:
    """Return a value with its interval on the line below, dim."""
    if not entry or entry.get("value") is None:
        return Text("-", style="dim")
    shown = Text(view.number(entry["value"], places))
    if limits := view.interval(entry, places):
        shown.append(f"\n{limits}", style="dim")
    return shown


def _overview(part: view.Part, metric: str) -> Sheet:
    many = len(part.runs) > 1
    columns = [("attribute", "<"), ("model", "<")] if many else [("attribute", "<")]
    columns += [("worst group", "~"), ("gap", "~"), ("floor", ">"), ("corrected", ">w"), ("ratio", "~w")]
    columns += [("FAP", "~"), ("ES", "~w"), ("Holm p", ">"), ("detectable", ">w")]
    table = Sheet("", columns)
    for attribute in part.attributes:
        for place, entry in enumerate(part.of(metric, attribute)):
            names = [view.safe(attribute, 16) if not place else ""]
            names += [view.safe(entry["run"], 16)] if many else []
            table.row([*(Text(name) for name in names), *_overview_cells(entry)])
        table.section()
    return table


def _overview_cells(entry: Entry) -> list[Text]:
    places = view.digits(entry)
    if view.reason(entry):
        return [Text("undefined", style="yellow"), *(Text("-", style="dim") for _ in range(8))]
    gap, worst = entry["gap"], Text(view.safe(entry["worst_group"], 12) + " ")
    worst.append_text(_stacked(entry["worst"], places))
    unlikely = entry["p_holm"] is not None and entry["p_holm"] <= SIGNIFICANT
    return [
        worst,
        _stacked(gap, places),
        Text(view.number(gap["floor"], places)),
        Text(view.number(gap["corrected"], places)),
        _stacked(entry["ratio"], 3),
        _stacked(entry["fap"], places),
        _stacked(entry["es"], max(places, 3)),  # from 0 to 1, whatever the metric's range
        Text(view.p_value(entry["p_holm"]), style="bold" if unlikely else ""),
        Text(view.number(entry["detectable"], places)),
    ]


def _under(text: str, style: str = "") -> Padding:
    return Padding(Text(text, style=style), (0, 0, 0, 2))


def _groups(part: view.Part, metric: str, attribute: str) -> Iterator[RenderableType]:
    entries = part.of(metric, attribute)
    if not entries:
        return
    many = len(entries) > 1
    named = view.states(entries)
    columns = [("model", "<"), ("group", "<")] if many else [("group", "<")]
    columns += [("value", ">"), ("95% interval", "~"), ("", ">w"), ("patients", ">"), ("n", ">w")]
    columns += [(state, ">" if state in ("failed", "refused") else ">w") for state in named]
    columns.append(("", "<"))
    scale = _Scale.of(entries)
    table = Sheet(f"{view.safe(metric)} by {view.safe(attribute)}", columns)
    for entry in entries:
        _group_lines(table, entry, many=many, named=named, scale=scale)
        table.section()
    yield Text()
    yield table
    for entry in entries:
        who = f"{view.safe(entry['run'], 24)}: " if many else ""
        yield _under(who + view.sentence(entry))
        for note in view.notes(entry):
            yield _under(who + note, style="dim")
    for note in view.group_notes(entries):
        yield _under(note, style="dim")


def _group_lines(table: Sheet, entry: Entry, *, many: bool, named: Sequence[str], scale: _Scale) -> None:
    places = view.digits(entry)
    rows: list[tuple[str, Entry, str]] = [*view.group_rows(entry), ("all", entry["overall"], "")]
    for place, (name, group, grey) in enumerate(rows):
        last = place == len(rows) - 1
        style = "dim" if grey else "italic" if last else ""
        row: list[RenderableType] = [Text(view.safe(entry["run"], 24) if not place else "")] if many else []
        row += [
            Text(view.safe(name, 28)),
            Text(view.number(group["value"], places)),
            Text(view.interval(group, places)),
            Bar(group, scale, mark=entry["overall"]["value"]),
            Text(str(group["patients"])),
            Text(str(group["n"])),
        ]
        found = view.shares(group)
        for state in named:
            failed = state == "failed" and bool(group["n_failed"])
            row.append(Text(view.share(found.get(state, 0.0)), style="yellow" if failed else ""))
        row.append(Text("greyed" if grey else ""))
        table.row(row, style)


class _Scale(tuple[float, float]):
    """The lowest and highest limit of some comparisons: the two ends of their bars."""

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> _Scale:
        limits = [
            float(group[key])
            for entry in entries
            for group in (*(g for _, g, _ in view.group_rows(entry)), entry["overall"])
            for key in ("low", "value", "high")
            if group.get(key) is not None
        ]
        low, high = (min(limits), max(limits)) if limits else (0.0, 1.0)
        return cls((low, high if high > low else low + 1.0))


class Bar:
    """A small picture of a value and its interval in one line of text, with a mark for the overall value.

    Args:
        entry: With ``value``, ``low`` and ``high``.
        scale: The values at the two ends.
        mark: Another value to show, where there is one.
        width: Characters.
    """

    def __init__(
        self, entry: Entry, scale: tuple[float, float], *, mark: float | None = None, width: int = BAR
    ) -> None:
        self.entry, self.scale, self.mark, self.width = entry, scale, mark, width

    def text(self, *, ascii_only: bool = False) -> str:
        """Return the line.

        >>> Bar({"value": 0.5, "low": 0.0, "high": 1.0}, (0.0, 1.0), width=9).text()
        '├───●───┤'
        """
        line, middle, left, right, mark = "-o[]|" if ascii_only else "─●├┤┊"
        cells = [" "] * self.width

        def at(value: float) -> int:
            low, high = self.scale
            return min(self.width - 1, max(0, round((value - low) / (high - low) * (self.width - 1))))

        if self.mark is not None:
            cells[at(self.mark)] = mark
        if self.entry.get("low") is not None and self.entry.get("high") is not None:
            first, last = at(self.entry["low"]), at(self.entry["high"])
            cells[first : last + 1] = line * (last - first + 1)
            cells[first], cells[last] = left, right
        if self.entry.get("value") is not None:
            cells[at(self.entry["value"])] = middle
        return "".join(cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the line, in ASCII where the terminal has no more."""
        self.width = min(self.width, options.max_width)
        yield Segment(self.text(ascii_only=options.ascii_only), Style())

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Return a fixed width."""
        return Measurement(min(9, self.width), self.width)


def _short(part: view.Part, metrics: Sequence[str]) -> Sheet:
    many = len(part.runs) > 1
    columns = [("metric", "<"), ("attribute", "<"), *([("model", "<")] if many else [])]
    columns += [("overall", "~w"), ("worst group", "<"), ("", "~w"), ("gap", "~"), ("Holm p", ">")]
    table = Sheet("other metrics", columns)
    for metric in (metric for metric in metrics if not view.blank(part, metric)):
        first = view.safe(metric)
        for attribute in part.attributes:
            for place, entry in enumerate(part.of(metric, attribute)):
                places = view.digits(entry)
                row = [first, view.safe(attribute, 16) if not place else ""]
                row += [view.safe(entry["run"], 16)] if many else []
                row += [view.bounded(entry["overall"], places), view.safe(entry["worst_group"] or "-", 14)]
                row += [view.bounded(entry["worst"], places), view.bounded(entry["gap"], places)]
                row += [view.p_value(entry["p_holm"])]
                table.row([Text(cell) for cell in row], "dim" if view.reason(entry) else "")
                first = ""
        table.section()
    return table


def _paired(
    part: view.Part,
    metric: str,
    later: str,
    earlier: str,
    found: Sequence[tuple[str, Entry]],
) -> Iterator[RenderableType]:
    title = f"{view.safe(metric)}: {view.safe(later, 30)} minus {view.safe(earlier, 30)}, same samples"
    columns = [("attribute", "<"), ("overall", "~"), ("by group: Holm p", ">")]
    columns += [("gap", "~"), ("worst group", "~w"), ("FAP", "~"), ("ES", "~w"), ("worst of each", "<")]
    table = Sheet(title, columns)
    for attribute, paired in found:
        places = view.digits(part.entries[later, metric, attribute])
        names = [paired["worst_group"], paired["other_worst_group"]]
        row = [Text(view.safe(attribute, 16)), _stacked(paired["overall"], places)]
        row += [Text(view.p_value(paired["interaction_p_holm"]))]
        row += [_stacked(paired[name], places) for name in ("gap", "worst", "fap")]
        row += [_stacked(paired["es"], max(places, 3))]
        table.row([*row, Text("\n".join(view.safe(name or "-", 14) for name in names))])
    yield Text()
    yield table
    for attribute, paired in found:
        yield _under(f"{view.safe(attribute)}: {view.sentence(paired)}")
        for note in view.notes(paired):
            yield _under(f"{view.safe(attribute)}: {note}", style="dim")


def _counterfactual(swaps: Sequence[tuple[Entry, str, Entry]]) -> Iterator[RenderableType]:
    columns = [("model", "<"), ("metric", "<w"), ("attribute", "<"), ("replaced by", "<"), ("patients", ">")]
    columns += [("n", ">w"), ("answers that change", "~"), ("stated", ">w"), ("swapped", ">w")]
    columns += [("score change", "~")]
    table = Sheet("demographics in the prompt replaced, all else the same", columns)
    for record, metric, change in swaps:
        names = [view.safe(record["run"], 16), view.safe(metric)]
        names += [view.safe(record["attribute"], 16), view.safe(record["value"], 16)]
        row = [Text(cell) for cell in (*names, str(record["patients"]), str(record["n"]))]
        row.append(_stacked(record["changed"], 3))
        row += [Text(view.number(change.get(key))) for key in ("stated", "swapped")]
        table.row([*row, _stacked(change, 3)])
    yield Text()
    yield table
    for record, _, _ in swaps:
        yield _under(f"{view.safe(record['run'], 24)}: {view.sentence(record)}")


def _settings(settings: Entry) -> Text:
    said = " ".join(f"{view.safe(key)}={view.safe(value)}" for key, value in settings.items())
    return Text(f"\nsettings: {said}", style="dim")
