"""A fairness document as a page that needs nothing else: one HTML file with its style and pictures in it, and the pictures as files.

The page runs no script and asks for nothing over the network; a Content-Security-Policy says so to the browser, and allows the one style
sheet by its hash. All names are escaped by Jinja, and shown through `fairness_view.safe`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_bench import __version__
from nova_bench import fairness_view as view
from nova_bench.errors import UsageError
from nova_bench.fairness_words import SIGNIFICANT

if TYPE_CHECKING:
    from jinja2 import Environment

    from nova_bench.fairness_canvas import Picture

Entry = Mapping[str, Any]


def write(document: Entry, folder: Path) -> list[Path]:
    """Write a fairness document as ``index.html``, ``fairness.json`` and ``plots/*.svg`` and ``*.png``.

    The plots are one forest an attribute for the headline metric of each task, one of gaps, and for several models one of FAP against the
    overall score. Plots that an earlier call wrote there are removed. The same document gives the same bytes.

    Args:
        document: What `nova-bench fairness --json` prints.
        folder: Is made where it does not exist.

    Returns:
        What was written, the page first.

    Raises:
        UsageError: The folder cannot be written.
    """
    plots = folder / "plots"
    try:
        plots.mkdir(parents=True, exist_ok=True)
        for old in plots.iterdir():
            if re.fullmatch(r"(forest|gap|fap)-.*\.(svg|png)", old.name):
                old.unlink()
        html, pictures = _page(document)
        page, numbers = folder / "index.html", folder / "fairness.json"
        page.write_text(html, encoding="utf-8", errors="replace")
        numbers.write_text(
            json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n", encoding="utf-8"
        )
        written = [page, numbers]
        for stem, picture in pictures.items():
            for kind, made in (("svg", picture.svg()), ("png", picture.png())):
                path = plots / f"{stem}.{kind}"
                path.write_bytes(made)
                written.append(path)
    except OSError as error:
        raise UsageError(f"the page cannot be written to {folder}: {error}") from error
    return written


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """A picture on the page: its SVG, and the name of its file where it has one."""

    svg: Any
    stem: str


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    part: view.Part
    better: str
    gaps: _Drawn | None
    fap: _Drawn | None
    forests: Mapping[tuple[str, str], _Drawn | None]


def _page(document: Entry) -> tuple[str, dict[str, Picture]]:
    """Return the page, and the pictures that become files by the stems of their names."""
    from markupsafe import Markup

    files: dict[str, Picture] = {}
    drawn = 0

    def place(picture: Picture | None, *, as_file: bool) -> _Drawn | None:
        nonlocal drawn
        if picture is None:
            return None
        drawn += 1
        stem = slug(picture.kind, *picture.words) if as_file else ""
        if as_file:
            files[stem] = picture
        return _Drawn(Markup(picture.inline(f"p{drawn}-")), stem)

    pages = [_task(part, place) for part in view.parts(document)]
    environment = _environment()
    style = environment.loader.get_source(environment, "fairness.css")[0]  # type: ignore[union-attr]  # it has one
    html = environment.get_template("fairness.html").render(
        title=_title(document),
        style=Markup(style),
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        cautions=view.cautions(document),
        pages=pages,
        swaps=list(view.swaps(document)),
        glossary=view.GLOSSARY,
        unlikely=SIGNIFICANT,
        panel="\n".join(_panel(document)),
        version=__version__,
    )
    return html, files


def _task(part: view.Part, place: Any) -> _Task:
    from nova_bench import fairness_plots

    first = next(entry for (_, metric, _), entry in part.entries.items() if metric == part.headline)
    scale = f", from {first['range'][0]:g} to {first['range'][1]:g}" if first.get("range") else ""
    forests = {
        (metric, attribute): place(
            fairness_plots.forest(part, metric, attribute), as_file=metric == part.headline
        )
        for metric in part.metrics
        for attribute in part.attributes
    }
    return _Task(
        part=part,
        better=("higher is better" if first.get("higher_is_better", True) else "lower is better") + scale,
        gaps=place(fairness_plots.gaps(part, part.headline), as_file=True),
        fap=place(fairness_plots.against_overall(part, part.headline), as_file=True),
        forests=forests,
    )


def slug(*words: str) -> str:
    """Return words as a name for a file or an anchor; eight digits of a hash keep apart what would otherwise read the same.

    >>> slug("forest", "fmbench_vqa", "token_f1"), slug("gap", "a/../<b>")
    ('forest-fmbench_vqa-token_f1', 'gap-a-b-64ee3928')
    """
    made = [re.sub(r"[^a-z0-9_]+", "-", word.lower())[:40].strip("-") for word in words]
    name = "-".join(part for part in made if part)
    if not all(re.fullmatch(r"[a-z0-9_]{1,40}", word) for word in words):
        raw = "\0".join(words).encode("utf-8", "backslashreplace")
        name += f"-{hashlib.sha256(raw).hexdigest()[:8]}"
    return name


def _title(document: Entry) -> str:
    models = ", ".join(dict.fromkeys(view.safe(run["label"], 40) for run in document["runs"]))
    tasks = ", ".join(dict.fromkeys(view.safe(entry["task"], 40) for entry in document["comparisons"]))
    return f"{models} on {tasks}" if tasks else models


def _panel(document: Entry) -> Iterator[str]:
    """Yield the lines of what can be copied: version, settings, runs, and the signature of every comparison."""
    yield f"nova-bench {__version__}, fairness document, schema {document['schema_version']}"
    yield "settings: " + " ".join(
        f"{view.safe(key)}={view.safe(value)}" for key, value in document["settings"].items()
    )
    for run in document["runs"]:
        yield "run: " + " | ".join(view.safe(run[key], 300) for key in ("label", "model", "task", "folder"))
    for entry in document["comparisons"]:
        words = " | ".join(
            view.safe(text, 80) for text in (entry["run"], f"{entry['metric']} by {entry['attribute']}")
        )
        signature = entry.get("signature") or {}
        yield f"{view.safe(signature.get('id'))} | {words} | {view.safe(signature.get('text'), 1000)}"


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "safe_text": view.safe,
        "number": lambda value, places=3: _typeset(view.number(value, places)),
        "interval": lambda entry, places=3: _typeset(view.interval(entry, places)),
        "p_value": lambda value: _typeset(view.p_value(value)),
        "share": lambda value: _typeset(view.share(value)),
        "digits": view.digits,
        "reason": view.reason,
        "sentence": view.sentence,
        "notes": view.notes,
        "group_notes": view.group_notes,
        "states": view.states,
        "shares": view.shares,
        "rows": lambda entry: [*view.group_rows(entry), ("all", entry["overall"], "")],
        "blank": view.blank,
        "standing_out": view.standing_out,
        "series": lambda part, run: part.runs.index(run) % 6 + 1,
        "anchor": lambda part, *words: slug("to", part.task, *words),
    }
    return made


def _typeset(text: str) -> str:
    """Return a number with a true minus sign, and a long dash for none.

    >>> _typeset("[-0.010, 0.020]"), _typeset("-")
    ('[−0.010, 0.020]', '–')
    """
    return "–" if text == "-" else re.sub(r"-(?=[\d.])", "−", text)
