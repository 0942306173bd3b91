"""What pictures of a fairness document are drawn with: colours and markers, a sheet of labelled lines, and SVG that says what it shows.

Everything goes through matplotlib's Agg and SVG canvases, without pyplot and so without state that a caller could see. The same document
gives the same bytes: ids are hashed with a fixed salt, and no date is written. Text stays text, so that it can be searched and read aloud.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from nova_bench import fairness_view as view

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, FAINT, PAPER = "#1b1f24", "#6b7280", "#d9dde3", "#ffffff"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Of Okabe and Ito (2008, "Color Universal Design"): told apart by people who see few colours."""
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
"""One a model, so that a picture can be read in grey."""

WIDTH = 4.8
"""Inches; at 72 points each, the width of a phone's screen in CSS pixels, so that text keeps its size there."""
DPI = 150
POINTS = 72.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 100.0, 54.0, 50.0, 38.0
_SVG, _LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_THEME = {INK: "var(--ink)", MUTED: "var(--muted)", FAINT: "var(--line)", PAPER: "var(--paper)"} | {
    colour: f"var(--s{place})" for place, colour in enumerate(SERIES, 1)
}

ElementTree.register_namespace("", _SVG)
ElementTree.register_namespace("xlink", _LINK)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A figure with the words that stand for it.

    Attributes:
        kind: forest, gap or fap.
        words: What it is about: task, metric and, for a forest, the attribute.
        title: One line.
        alt: All that it shows, as text.
        figure: The matplotlib figure.
    """

    kind: str
    words: tuple[str, ...]
    title: str
    alt: str
    figure: Figure

    def svg(self) -> bytes:
        """Return the picture as a file of its own, on white."""
        written: bytes = ElementTree.tostring(self._tree(""), encoding="utf-8", xml_declaration=True)
        return written

    def inline(self, prefix: str) -> str:
        """Return the picture as SVG for a page: in the page's colours and font, without style attributes, sized by the page.

        Args:
            prefix: In front of all ids, which have to be unique on a page.
        """
        root = self._tree(prefix)
        for name in ("width", "height"):
            del root.attrib[name]
        for element in root.iter():
            for name, value in _properties(element.attrib.pop("style", "")):
                element.set(name, _THEME.get(value.lower(), value))
        return ElementTree.tostring(root, encoding="unicode")

    def _tree(self, prefix: str) -> ElementTree.Element:
        root = ElementTree.fromstring(self._written("svg", metadata={"Date": None, "Creator": None}))
        for parent in list(root.iter()):
            for child in list(parent):
                if child.tag.rpartition("}")[2] in ("metadata", "style"):
                    parent.remove(child)
        for element in root.iter():
            for name, value in list(element.attrib.items()):
                if name == "id":
                    element.set(name, prefix + value)
                elif name == f"{{{_LINK}}}href":
                    element.set(name, value.replace("#", f"#{prefix}", 1))
                elif "url(#" in value:
                    element.set(name, value.replace("url(#", f"url(#{prefix}"))
        for place, (tag, text) in enumerate((("title", self.title), ("desc", self.alt))):
            made = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"{prefix}{tag}"})
            made.text = text
            root.insert(place, made)
        root.set("role", "img")
        root.set("aria-labelledby", f"{prefix}title {prefix}desc")
        root.set("stroke-linejoin", "round")
        return root

    def png(self) -> bytes:
        """Return the picture as PNG."""
        return self._written("png", dpi=DPI, metadata={"Software": None, "Title": self.title})

    def _written(self, kind: str, **options: Any) -> bytes:
        written = io.BytesIO()
        with style():
            self.figure.savefig(written, format=kind, **options)
        return written.getvalue()


def _properties(style: str) -> Iterator[tuple[str, str]]:
    """Yield a style's properties that an SVG attribute can hold; the font's family is the page's own."""
    for part in re.split(r";\s*(?![^']*'(?:[^']*'[^']*')*[^']*$)", style):
        name, colon, value = (piece.strip() for piece in part.partition(":"))
        if name == "font":
            if weight := re.match(r"(bold|\d{3})\s", value):
                yield "font-weight", weight[1]
            if size := re.search(r"([\d.]+)px", value):
                yield "font-size", size[1]
        elif colon and name != "font-family":
            yield name, value


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw with this module's settings over matplotlib's own, whatever the user's are."""
    import matplotlib

    plain = {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")}
    ours: dict[Any, Any] = {
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
        "font.size": 9.5,
        "text.parse_math": False,  # a group named "$x$" is not a formula
        "text.color": INK,
        "axes.edgecolor": FAINT,
        "axes.labelcolor": MUTED,
        "axes.titlecolor": INK,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "figure.facecolor": PAPER,
        "axes.facecolor": "none",
        "svg.fonttype": "none",
        "svg.hashsalt": "nova-bench",
        "axes.unicode_minus": True,
    }
    with matplotlib.rc_context({**plain, **ours}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # drawn as a box, text in the SVG
        yield


class Sheet:
    """A figure of labelled lines: rows from top to bottom, one line a model in each.

    Args:
        rows: How many rows.
        lines: How many lines a row.
        legend: Entries of the legend.
        right: Points to the right of the plot.
    """

    def __init__(self, rows: int, lines: int, *, legend: Sequence[Any], right: float = _RIGHT) -> None:
        from matplotlib.figure import Figure

        self.lines, self.step, self.legend = lines, 13.0 * lines + 11.0, legend
        body = self.step * rows
        head = _TOP + legend_height(legend)
        height, width = head + body + _BOTTOM, WIDTH * POINTS
        self.figure = Figure(figsize=(WIDTH, height / POINTS))
        box = (_LEFT / width, _BOTTOM / height, (width - _LEFT - right) / width, body / height)
        self.axes = self.figure.add_axes(box)
        self.axes.set_ylim(body, 0)
        self.axes.set_yticks([])

    def y(self, place: int, series: int) -> float:
        """Return where a line lies, in points from the top."""
        return self.step * place + 12.0 + 13.0 * series

    def middle(self, place: int) -> float:
        """Return the middle of a row."""
        return self.step * place + 12.0 + 6.5 * (self.lines - 1)

    def label(self, place: int, left: str, right: str, colour: str, **more: Any) -> None:
        """Write a row's name, and what stands at its right end."""
        where = self.axes.get_yaxis_transform()
        y = self.middle(place)
        self.axes.text(-0.04, y, left, transform=where, ha="right", va="center", color=colour, **more)
        self.axes.text(1.24, y, right, transform=where, ha="right", va="center", color=colour, fontsize=9)

    def heading(self, right: str) -> None:
        """Write over the numbers at the right end."""
        where = self.axes.get_yaxis_transform()
        self.axes.text(1.24, -6, right, transform=where, ha="right", va="bottom", color=MUTED, fontsize=8.5)

    def note(self, y: float, text: str) -> None:
        """Write into a line that has no value."""
        where = self.axes.get_yaxis_transform()
        self.axes.text(0.07, y, text, transform=where, ha="left", va="center", color=MUTED, fontsize=8.5)

    def rule(self, place: int) -> None:
        """Draw a line above a row."""
        self.axes.axhline(self.step * place, color=FAINT, lw=0.8)

    def titled(self, title: str, below: str) -> None:
        """Write title, subtitle and legend."""
        titled(self.figure, title, below, self.legend)

    def finish(self, label: str, limits: Sequence[float]) -> None:
        """Set the scale and draw the frame."""
        low, high = (min(limits), max(limits)) if limits else (0.0, 1.0)
        pad = 0.05 * (high - low) or 0.05
        self.axes.set_xlim(low - pad, high + pad)
        self.axes.locator_params(axis="x", nbins=5)
        self.axes.set_xlabel(label, fontsize=9)
        self.axes.tick_params(labelsize=8.5, length=0)
        self.axes.grid(axis="x", color=FAINT, lw=0.5)
        self.axes.set_axisbelow(True)
        for side in ("left", "right", "top"):
            self.axes.spines[side].set_visible(False)


def legend_height(legend: Sequence[Any]) -> float:
    """Return how many points a legend takes, in two columns."""
    return 13.5 * math.ceil(len(legend) / 2)


def titled(figure: Figure, title: str, below: str, legend: Sequence[Any]) -> None:
    """Write a figure's title, subtitle and legend at its upper edge."""
    height = figure.get_size_inches()[1] * POINTS
    # A judge's name belongs to its metric's and is never cut out of it; the letters of a long title are smaller instead.
    room = 0.96 * figure.get_size_inches()[0] * POINTS / (0.66 * max(1, len(title)))
    figure.text(
        0.02, 1 - 8 / height, title, ha="left", va="top", fontsize=min(11.5, max(6.0, room)), weight="bold"
    )
    figure.text(0.02, 1 - 24 / height, below, ha="left", va="top", fontsize=8.5, color=MUTED)
    if legend:
        figure.legend(
            handles=list(legend),
            loc="upper left",
            bbox_to_anchor=(0.005, 1 - 34 / height),
            ncols=2,
            frameon=False,
            fontsize=9,
            handlelength=1.2,
            handletextpad=0.5,
            columnspacing=1.5,
            labelspacing=0.35,
        )


def models(part: view.Part, shown: Sequence[str]) -> list[Any]:
    """Return the legend's entries for the runs that are shown; none where a task has one run only."""
    from matplotlib.lines import Line2D

    if len(part.runs) < 2:
        return []
    made = []
    for run in part.runs:
        if run in shown:
            colour, marker = look(part, run)
            made.append(
                Line2D([], [], color=colour, marker=marker, ms=6, ls="none", label=view.safe(run, 26))
            )
    return made


def key(label: str, *, marker: str = "o", size: float = 6.0) -> Any:
    """Return a legend's entry for a grey mark."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=MUTED, marker=marker, ms=size, mew=1.6, mfc=PAPER, ls="none", label=label)


def look(part: view.Part, run: str) -> tuple[str, str]:
    """Return colour and marker of a run."""
    place = part.runs.index(run)
    return SERIES[place % len(SERIES)], MARKERS[place % len(MARKERS)]
