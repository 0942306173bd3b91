"""Tables for people: what the command line prints, through rich."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from nova_bench.judge import rubric_id
from nova_bench.render_judges import judged, people, people_note, repeats
from nova_bench.source_file import printable


def number(value: float | None, digits: int = 3) -> str:
    """Return a number as tables show it; a dash for None, counts without decimals.

    >>> number(0.12345), number(None), number(17.0, 0)
    ('0.123', '-', '17')
    """
    return "-" if value is None else f"{value:.{digits}f}"


def spread(cell: Mapping[str, Any]) -> str:
    """Return a cell's interval."""
    return "" if cell["low"] is None else f"[{number(cell['low'])}, {number(cell['high'])}]"


def _is_count(cell: Mapping[str, Any]) -> bool:
    return cell["metric"][:2] in ("tp", "fp") and cell["metric"][2:].isdigit()


def _value(cell: Mapping[str, Any]) -> Text:
    digits = 0 if _is_count(cell) else 3
    shown = Text(number(cell["value"], digits), style="bold" if cell["value"] is not None else "dim")
    if cell["bounds"]:
        low, high = sorted(bound if bound is not None else float("nan") for bound in cell["bounds"])
        shown.append(f" ({number(low, digits)}..{number(high, digits)})", style="yellow")
    return shown


def report(document: Mapping[str, Any], *, slices: bool = True) -> RenderableType:
    """Return a run's report: its metrics, the headline on every slice, what must be said, and published numbers apart.

    Args:
        document: As `nova_bench.report.report_json` makes it.
        slices: Also the headline metric on every slice.
    """
    cells = document["cells"]
    overall = [cell for cell in cells if cell["slice"] == "all"]
    parts: list[RenderableType] = []
    if overall:
        first = overall[0]
        title = f"{document['task']}  ·  {printable(first['model'], 100)}  ·  {first['n']} samples, {first['clusters']} cases answered"
        parts.append(Text(title, style="bold"))  # a table's own title would be folded to the table's width
        parts.append(_metrics(overall, document["judges"]))
        parts.append(_states(first))
        parts += judged(document)
        if document["judge_repeats"]:
            parts.append(repeats(document["judge_repeats"]))
        parts += people(document["judges"])
    if document["warnings"]:
        parts.append(
            Text(
                "odd in the answers: "
                + ", ".join(f"{key} {count}" for key, count in document["warnings"].items()),
                style="dim",
            )
        )
    if overall and (dropped := overall[0]["signature"]["provenance"]["dropped"]):
        said = ", ".join(f"{name} ({count} answers)" for name, count in dropped.items())
        parts.append(Text(f"asked for, and not honoured by the model's server: {said}", style="yellow"))
    if slices:
        rows = [cell for cell in cells if cell["metric"] == document["headline"] and cell["slice"] != "all"]
        if rows:
            parts.append(_slices(document["headline"], rows))
    if document["references"]:
        parts.append(_references(document["references"]))
    if document["caution"]:
        parts.append(Text(document["caution"], style="bold yellow"))
    return Group(*parts)


def _metrics(cells: Sequence[Mapping[str, Any]], judges: Sequence[Mapping[str, Any]]) -> Table:
    table = Table()
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("95% interval")
    table.add_column("note", style="dim", overflow="fold")
    for cell in cells:
        table.add_row(Text(cell["metric"]), _value(cell), Text(spread(cell)), Text(_note(cell, judges)))
    return table


def _note(cell: Mapping[str, Any], judges: Sequence[Mapping[str, Any]]) -> str:
    """Return a cell's note, which of its answers have no verdict, and how far its judge agrees with people."""
    told = [
        f"{count} {word}"
        for key, word in (("unjudged", "unjudged"), ("judge_failed", "wait for a verdict"))
        if (count := cell["counts"].get(key))
    ]
    return "; ".join([*([cell["note"]] if cell["note"] else []), *told, *people_note(cell, judges)])


def _states(cell: Mapping[str, Any]) -> Text:
    shown = Text(
        "answers: " + ", ".join(f"{state} {count}" for state, count in cell["counts"].items() if count)
    )
    if cell["n_failed"]:
        shown.append(
            f"\nincomplete: {cell['n_failed']} of {cell['n']} samples failed and are not scored; in brackets the value "
            "if all of them were worst .. best. Give the same command again to ask them.",
            style="yellow",
        )
    return shown


def _slices(metric: str, cells: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title=f"{metric} by slice", title_justify="left", title_style="bold")
    for name, justify in (
        ("slice", "left"),
        ("value", "right"),
        ("95% interval", "left"),
        ("n", "right"),
        ("cases", "right"),
        ("failed", "right"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]  # rich names its own literals
    for cell in cells:
        table.add_row(
            Text(cell["slice"]),
            _value(cell),
            Text(spread(cell) or cell["note"] or ""),
            str(cell["n"]),
            str(cell["clusters"]),
            str(cell["n_failed"] or ""),
        )
    return table


def _references(references: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(
        title="published numbers: other prompts, other judge; not comparable cell by cell",
        title_justify="left",
        title_style="dim",
    )
    for name in ("model", "metric", "value", "evidence", "source"):
        table.add_column(name, style="dim")
    for reference in references:
        evidence = reference["evidence"] + (f" (x{reference['sources']})" if reference["sources"] > 1 else "")
        table.add_row(
            reference["model"],
            reference["metric"],
            number(reference["value"], 4),
            evidence,
            reference["source"],
        )
    return table


def listing(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a plain table."""
    table = Table(title=Text(title), title_justify="left", title_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(entry) for entry in row))
    return table


def task_page(task: Any) -> Iterator[RenderableType]:
    """Yield what `show TASK` says: data and licence, variants, metrics, doubts, published numbers."""
    source = task.data
    yield Text(f"{task.name}  (version {task.version})", style="bold")
    yield Text(task.about)
    variants = [f"{key}={'|'.join(values)}" for key, values in task.variants.items()] or ["none"]
    facts = (
        (
            "data",
            f"{source.name}: {source.size or 'size not stated'}; {f'{source.hub} on the hub' if source.hub else 'a folder: --data FOLDER'}"
            + (", embedded synthetic sample" if source.mini else ""),
        ),
        (
            "licence",
            source.license
            + (f" ({source.license_url})" if source.license_url else "")
            + (", gated" if source.gated else ""),
        ),
        ("variants", "; ".join(variants) + "; image=given|none|shuffled wherever an image is sent"),
        ("slices", ", ".join((*task.slices, *task.demographics))),
        ("headline", task.headline),
        ("source", task.citation),
    )
    yield listing("", ("", ""), facts)
    yield listing(
        "metrics",
        ("name", "better", "what it is"),
        [(m.name, "higher" if m.higher_is_better else "lower", m.about) for m in task.metrics],
    )
    for judge in task.judges:
        yield from rubric_page(task, judge)
    yield listing("known doubts", ("",), [(doubt,) for doubt in task.doubts])
    if task.references:
        yield _references(
            [
                {
                    "model": r.model,
                    "metric": r.metric,
                    "value": r.value,
                    "evidence": r.evidence,
                    "sources": r.sources,
                    "source": r.source,
                }
                for r in task.references
            ]
        )


def rubric_page(task: Any, judge: Any) -> Iterator[RenderableType]:
    """Yield what `show TASK` says of one judge: the rubric as it is sent, word by word, and the schema of its verdict."""
    columns = {column for scorer in task.scorers if scorer.judge is judge for column in scorer.columns}
    metrics = [metric.name for metric in task.metrics if columns & set(metric.needs)]
    yield Text(f"\nrubric {rubric_id(judge)}", style="bold")
    yield Text(
        f"for {', '.join(metrics)}; asked with temperature {judge.temperature:g} and max_tokens {judge.max_tokens:,}; only with --judge"
    )
    yield Text(judge.rubric)
    yield Text(f"verdict: {json.dumps(judge.schema, ensure_ascii=False)}")


def console(*, to_stderr: bool = False) -> Console:
    """Return a console; on a pipe it is wide, so that tables are not folded."""
    made = Console(stderr=to_stderr, soft_wrap=False)
    if not made.is_terminal:
        made = Console(stderr=to_stderr, width=140)
    return made
