"""Pictures of a fairness document: forest plots of groups, gaps by attribute, and FAP against the overall score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nova_bench import fairness_canvas as canvas
from nova_bench import fairness_view as view
from nova_bench.fairness_canvas import FAINT, INK, MUTED, PAPER, POINTS, Picture, Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Entry = Mapping[str, Any]


def forest(part: view.Part, metric: str, attribute: str) -> Picture | None:
    """Return the groups of one attribute, one line a model: value, interval, patients; None where nothing is to be drawn.

    Args:
        part: A task of the document.
        metric: One of its metrics.
        attribute: One of its attributes.
    """
    entries = part.of(metric, attribute)
    rows = [row for entry in entries for row in view.group_rows(entry)]
    names = list(dict.fromkeys(name for name, _, _ in rows))
    if not any(group["value"] is not None for _, group, _ in rows):
        return None
    with canvas.style():
        legend = canvas.models(part, [entry["run"] for entry in entries])
        if any(grey for entry in entries for _, _, grey in view.group_rows(entry)):
            legend.append(canvas.key("left out of the comparison"))
        sheet = Sheet(len(names) + 1, len(entries), legend=legend)
        for place, name in enumerate(names):
            for series, entry in enumerate(entries):
                found = {row: (group, grey) for row, group, grey in view.group_rows(entry)}
                if name in found:
                    _forest_line(sheet, place, series, part, entry, *found[name])
            first = next(g for e in entries for row, g, _ in view.group_rows(e) if row == name)
            grey = all(grey for e in entries for row, _, grey in view.group_rows(e) if row == name)
            sheet.label(place, view.safe(name, 16), str(first["patients"]), MUTED if grey else INK)
        last = len(names)
        for series, entry in enumerate(entries):
            _forest_line(sheet, last, series, part, entry, entry["overall"], "")
            if entry["overall"]["value"] is not None:
                colour, _ = canvas.look(part, entry["run"])
                sheet.axes.axvline(
                    entry["overall"]["value"], color=colour, lw=0.8, ls=(0, (2, 3)), alpha=0.8, zorder=0
                )
        sheet.label(last, "all", str(entries[0]["overall"]["patients"]), INK, weight="bold")
        sheet.rule(last)
        sheet.heading("patients")
        title = f"{view.safe(metric)} by {view.safe(attribute, 20)}"
        sheet.titled(title, view.safe(part.task, 60))
        sheet.finish(view.safe(metric), [v for e in entries for v in _limits(e)])
    alt = "; ".join(_forest_words(part, entry) for entry in entries)
    return Picture(
        "forest", (part.task, metric, attribute), f"{title}, {view.safe(part.task)}", alt, sheet.figure
    )


def _forest_line(
    sheet: Sheet, place: int, series: int, part: view.Part, entry: Entry, group: Entry, grey: str
) -> None:
    y = sheet.y(place, series)
    colour, marker = canvas.look(part, entry["run"])
    colour = MUTED if grey else colour
    if group["value"] is None:
        sheet.note(y, "undefined")
        return
    if group["low"] is not None:
        sheet.axes.plot([group["low"], group["high"]], [y, y], color=colour, lw=1.6, solid_capstyle="round")
    size = 3.5 + 5.0 * math.sqrt(group["patients"] / max(1, entry["overall"]["patients"]))
    sheet.axes.plot(
        [group["value"]],
        [y],
        marker=marker,
        ms=size,
        color=colour,
        mfc=PAPER if grey else colour,
        mew=1.2,
        ls="none",
    )


def _forest_words(part: view.Part, entry: Entry) -> str:
    places = view.digits(entry)
    who = f"{view.safe(entry['run'], 40)}: " if len(part.runs) > 1 else ""
    rows = [*view.group_rows(entry), ("all", entry["overall"], "")]
    return who + ", ".join(
        f"{name} {view.bounded(group, places)} with {group['patients']} patients{' (greyed)' if grey else ''}"
        for name, group, grey in rows
    )


def gaps(part: view.Part, metric: str) -> Picture | None:
    """Return the gap of every attribute, one line a model: value, interval, corrected value and noise floor.

    Args:
        part: A task of the document.
        metric: One of its metrics.
    """
    rows = [(attribute, part.of(metric, attribute)) for attribute in part.attributes]
    rows = [(attribute, entries) for attribute, entries in rows if entries]
    if not any(e["gap"]["value"] is not None for _, entries in rows for e in entries):
        return None
    limits = [0.0]
    with canvas.style():
        everyone = [entry for _, entries in rows for entry in entries]
        legend = canvas.models(part, [entry["run"] for entry in everyone])
        legend += [canvas.key("noise floor", marker="|", size=10.0), canvas.key("corrected")]
        sheet = Sheet(len(rows), max(len(e) for _, e in rows), legend=legend, right=18.0)
        for place, (attribute, entries) in enumerate(rows):
            sheet.label(place, view.safe(attribute, 16), "", INK)
            for series, entry in enumerate(entries):
                gap, y = entry["gap"], sheet.y(place, series)
                colour, marker = canvas.look(part, entry["run"])
                if gap["value"] is None:
                    sheet.note(y, "undefined")
                    continue
                if gap["low"] is not None:
                    sheet.axes.plot([gap["low"], gap["high"]], [y, y], color=colour, lw=1.6)
                if gap["floor"] is not None:
                    sheet.axes.plot([gap["floor"]], [y], marker="|", ms=11, mew=2.0, color=MUTED, ls="none")
                if gap["corrected"] is not None:
                    sheet.axes.plot(
                        [gap["corrected"]], [y], marker=marker, ms=6, mfc=PAPER, color=colour, ls="none"
                    )
                sheet.axes.plot([gap["value"]], [y], marker=marker, ms=6, color=colour, ls="none")
                limits += [v for v in (gap["low"], gap["high"], gap["value"], gap["floor"]) if v is not None]
        sheet.axes.axvline(0.0, color=MUTED, lw=0.8)
        title = f"gap in {view.safe(metric)} by attribute"
        sheet.titled(title, view.safe(part.task, 60))
        sheet.finish("best group minus worst group", limits)
    alt = "; ".join(
        f"{view.safe(attribute)}{', ' + view.safe(e['run'], 40) if len(part.runs) > 1 else ''}: "
        + (view.bounded(e["gap"], view.digits(e)) + _floor_words(e) if not view.reason(e) else "undefined")
        for attribute, entries in rows
        for e in entries
    )
    return Picture("gap", (part.task, metric), f"{title}, {view.safe(part.task)}", alt, sheet.figure)


def _floor_words(entry: Entry) -> str:
    gap, places = entry["gap"], view.digits(entry)
    return "".join(
        f", {name} {view.number(gap[name], places)}"
        for name in ("floor", "corrected")
        if gap[name] is not None
    )


def against_overall(part: view.Part, metric: str) -> Picture | None:
    """Return FAP against the overall score, one panel an attribute, one point a model; None for a single model.

    Args:
        part: A task of the document.
        metric: One of its metrics.
    """
    from matplotlib.figure import Figure

    rows = [
        (attribute, [e for e in part.of(metric, attribute) if e["fap"]["value"] is not None])
        for attribute in part.attributes
    ]
    rows = [(attribute, entries) for attribute, entries in rows if entries]
    if len(part.runs) < 2 or not rows:
        return None
    with canvas.style():
        everyone = [entry for _, entries in rows for entry in entries]
        lines = math.ceil(len(rows) / 2)
        legend = canvas.models(part, [entry["run"] for entry in everyone])
        head = 62.0 + canvas.legend_height(legend)
        height = head + 150.0 * lines + 34.0
        figure = Figure(figsize=(canvas.WIDTH, height / POINTS))
        grid = figure.subplots(lines, 2, squeeze=False, sharex=True, sharey=True)
        figure.subplots_adjust(
            left=0.135, right=0.975, top=1 - head / height, bottom=40.0 / height, hspace=0.28, wspace=0.1
        )
        low, high = _square(everyone)
        for axes, (attribute, entries) in zip(grid.flat, rows, strict=False):
            _panel(axes, part, attribute, entries, (low, high))
        for axes in list(grid.flat)[len(rows) :]:
            axes.set_axis_off()
        if len(rows) % 2 and lines > 1:
            grid[-2, 1].tick_params(labelbottom=True)
        figure.supxlabel(f"overall {view.safe(metric)}", fontsize=9, color=MUTED, y=8 / height)
        figure.supylabel("FAP", fontsize=9, color=MUTED, x=0.012)
        title = f"FAP against overall {view.safe(metric)}"
        canvas.titled(figure, title, view.safe(part.task, 60), legend)
    alt = "; ".join(
        f"{view.safe(attribute)}, {view.safe(e['run'], 40)}: overall {view.number(e['overall']['value'], view.digits(e))}, "
        f"FAP {view.bounded(e['fap'], view.digits(e))}"
        for attribute, entries in rows
        for e in entries
    )
    return Picture("fap", (part.task, metric), f"{title}, {view.safe(part.task)}", alt, figure)


def _panel(
    axes: Axes, part: view.Part, attribute: str, entries: Sequence[Entry], limits: tuple[float, float]
) -> None:
    axes.plot(limits, limits, color=FAINT, lw=1.0, zorder=0)
    for entry in entries:
        colour, marker = canvas.look(part, entry["run"])
        overall, fap = entry["overall"], entry["fap"]
        if overall["value"] is None:
            continue
        for one, x, y in ((fap, "x", "y"), (overall, "y", "x")):
            if one["low"] is None or one["high"] is None:
                continue
            line = {y: [one["low"], one["high"]], x: [(overall if one is fap else fap)["value"]] * 2}
            axes.plot(line["x"], line["y"], color=colour, lw=1.1, alpha=0.75)
        axes.plot([overall["value"]], [fap["value"]], marker=marker, ms=6, color=colour, ls="none")
    axes.set_title(view.safe(attribute, 24), fontsize=9.5, loc="left", pad=4)
    axes.set_xlim(limits)
    axes.set_ylim(limits)
    axes.locator_params(nbins=4)
    axes.tick_params(labelsize=8.5, length=0)
    axes.grid(color=FAINT, lw=0.5)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _square(entries: Sequence[Entry]) -> tuple[float, float]:
    found = [
        float(number[key])
        for entry in entries
        for number in (entry["overall"], entry["fap"])
        for key in ("low", "value", "high")
        if number[key] is not None
    ]
    low, high = min(found), max(found)
    pad = 0.06 * (high - low) or 0.05
    return low - pad, high + pad


def _limits(entry: Entry) -> list[float]:
    groups = [*(group for _, group, _ in view.group_rows(entry)), entry["overall"]]
    return [float(g[key]) for g in groups for key in ("low", "value", "high") if g[key] is not None]
