"""One task of a leaderboard: its entries are read one after another, and all data files that are of this task alone are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nova_bench.board import layout, site_cells, site_entry, site_pairs, site_sheet
from nova_bench.board.references import references
from nova_bench.board.site_files import compact, script, write
from nova_bench.errors import BundleError

_DIFFERS_LIMIT = 300
_RANKED = "Verified entries are ranked. Others are shown, and are ranked once their numbers have been computed again against the data set."
_TRUST = {"verified": site_pairs.VERIFIED, "consistent": 1, None: 0, "rejected": -1}
"""How much an entry's verification weighs where entries disagree on what a task is."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done for one task.

    Attributes:
        board: The leaderboard's folder.
        files: The task's entries, in order.
        data: The folder for data files.
        is_synthetic: Whether the data are made up.
    """

    board: Path
    files: tuple[Path, ...]
    data: Path
    is_synthetic: bool


@dataclass(frozen=True, slots=True)
class Made:
    """What is known of a task when its files are written.

    Attributes:
        about: The task as ``board.js`` lists it; None where no entry could be used.
        caution: Of the data.
        models: Model slug to what ``board.js`` says of it, and the day of the entry that says it.
        headline: Model slug to the headline's value, signature, rank and failures.
        direction: The headline's ``higher_is_better``, ``range`` and main protocol.
        table: The table's JSON, for ``leaderboard.json``.
        sheet: Lines of ``leaderboard.csv``.
        left_out: What could not be used: ``entry`` and ``reason``.
    """

    about: dict[str, Any] | None
    caution: str | None
    models: dict[str, tuple[str, dict[str, Any]]]
    headline: dict[str, dict[str, Any]]
    direction: dict[str, Any]
    table: str
    sheet: str
    left_out: list[dict[str, str]]


@dataclass(slots=True)
class _Read:
    """What is kept of a task's entries: there may be thousands."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    packed: list[dict[str, list[Any]]] = field(default_factory=list)
    heads: list[dict[str, Any]] = field(default_factory=list)
    models: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    paired: list[site_pairs.Paired] = field(default_factory=list)
    fairness: dict[str, list[str]] = field(default_factory=dict)
    attributes: dict[str, None] = field(default_factory=dict)
    protocols: dict[str, Any] = field(default_factory=dict)
    quoted: dict[str, tuple[Any, str]] = field(default_factory=dict)
    left_out: list[dict[str, str]] = field(default_factory=list)


def make_task(job: Job) -> Made:
    """Read a task's entries and write its data files.

    Args:
        job: What is to be done.

    Returns:
        What the board as a whole needs of it.
    """
    read = _Read()
    for path in job.files:
        place = path.relative_to(job.board).as_posix()
        try:
            _take(job, path, read)
        except (
            BundleError,
            ValueError,
            ArithmeticError,
            RecursionError,
        ) as error:  # the last: numbers, nesting
            read.left_out.append({"entry": place, "reason": str(error)[:1000]})
    if not read.rows:
        return Made(None, None, {}, {}, {}, "", "", read.left_out)
    return _written(job, read)


def _take(job: Job, path: Path, read: _Read) -> None:
    """Read one entry, write its own file, and keep what the table shows of it."""
    found = site_entry.read_entry(path, is_synthetic=job.is_synthetic, protocols=read.protocols)
    entry = found.entry
    record = None
    try:
        record = site_entry.read_record(job.board, path, found, is_synthetic=job.is_synthetic)
    except BundleError as error:
        read.left_out.append(
            {"entry": path.relative_to(job.board).as_posix(), "reason": f"its verification: {error}"}
        )
    slug, task = layout.slug(entry["model"]["name"]), path.stem
    headline = site_entry.headline_of(entry)
    row = site_cells.row_of(entry, record, slug)
    cell = next(one for one in entry["cells"] if (one["metric"], one["slice"]) == (headline, "all"))
    pairing = site_pairs.checked(entry.get("pairing"), cell)
    document = site_cells.cells_text(entry, record, pairs=pairing is not None, quoted=read.quoted)
    compared = [] if entry["fairness"] is None else entry["fairness"]["comparisons"]
    is_rejected = row["status"] == "rejected"
    lines = [
        (each["metric"], compact(site_cells.fairness_row(each, slug, is_rejected=is_rejected)))
        for each in compared
    ]
    settings = None if entry["fairness"] is None else entry["fairness"]["settings"]
    head = {
        "task": {**entry["task"], "headline": headline},
        **{key: entry[key] for key in ("data", "caution")},
        "metrics": site_cells.metrics_of(entry),
        "settings": settings,
    }
    if read.heads and head == read.heads[-1]:
        head = read.heads[-1]
    else:
        compact(head)
    text = compact(row)
    packed = site_cells.packed(row["cells"])
    # Nothing was kept or written before it was known that all of it can be.
    write(job.data / "entries" / slug / f"{task}.js", script(f"entries/{slug}/{task}", document))
    read.rows.append(row)
    read.texts.append(text)
    read.packed.append(packed)
    if pairing is not None:
        read.paired.append(site_pairs.Paired(slug, pairing, not is_rejected, _TRUST[row["status"]]))
    read.heads.append(head)
    read.models[slug] = row["date"] or "", site_cells.model_of(entry)
    read.attributes.update(dict.fromkeys(each["attribute"] for each in compared))
    for metric, line in lines:
        read.fairness.setdefault(metric, []).append(line)


def _written(job: Job, read: _Read) -> Made:
    rows, heads = read.rows, read.heads

    def voters(among: Sequence[int]) -> list[int]:
        """Return who has a say in what a task or a metric is: checked entries, else those that nobody checked, else rejected ones."""
        best = max(min(_TRUST[rows[i]["status"]], 1) for i in among)
        return [i for i in among if min(_TRUST[rows[i]["status"]], 1) == best]

    def by_most(value: Callable[[int], Any]) -> Any:
        return _most([(value(i), rows[i]["date"] or "") for i in voters(range(len(rows)))])

    task = by_most(lambda i: heads[i]["task"])
    task["slug"] = slug = layout.slug(task["spelling"])
    names = [task["headline"], *dict.fromkeys(name for head in heads for name in head["metrics"])]
    metrics: dict[str, dict[str, Any]] = {}
    protocols: list[dict[str, Any]] = []
    main: dict[str, str] = {}
    for name in dict.fromkeys(names):
        has = [i for i, row in enumerate(rows) if name in row["cells"]]
        if not has:
            continue
        counted = [i for i in has if rows[i]["status"] != "rejected"] or has
        used = [
            (rows[i]["cells"][name]["id"], rows[i]["date"] or "", _TRUST[rows[i]["status"]] > 0)
            for i in counted
        ]
        listed = _protocols(name, used, read)
        rest = {row["cells"][name]["id"] for row in rows if name in row["cells"]} - {
            one["id"] for one in listed
        }
        main[name] = listed[0]["id"]
        protocols += listed
        protocols += [{**_protocol(name, one, main[name], read), "n": 0} for one in sorted(rest)]
        about = _most([(heads[i]["metrics"][name], rows[i]["date"] or "") for i in voters(has)])
        judge = read.protocols[main[name]][0].get("judge")
        metrics[name] = {
            "name": name,
            **about,
            "judge": judge.get("model") if isinstance(judge, dict) else None,
        }
    table = {
        "task": task,
        "data": by_most(lambda i: heads[i]["data"]),
        "caution": by_most(lambda i: heads[i]["caution"]),
        "metrics": list(metrics.values()),
        "protocols": protocols,
        "references": _references(job, task["spelling"], metrics),
        "rank_note": None,
    }
    headline = task["headline"]
    found = site_pairs.pair(
        [one for one in read.paired if one.pairing["metric"] == headline],
        slug,
        job.data,
        **{key: metrics[headline][key] for key in ("higher_is_better", "range")},
    )
    for row in rows:
        row["rank"] = found.get(row["model"])
    if any(row["rank"] and row["status"] == "verified" for row in rows):
        table["rank_note"] = _RANKED
    start = compact(table)[:-1]
    whole = ",\n".join(
        f'{text[:-1]},"rank":{compact(row["rank"])}}}' for row, text in zip(rows, read.texts, strict=True)
    )
    short = [
        {**row, "cells": [cells.get(name) for name in metrics]}
        for row, cells in zip(rows, read.packed, strict=True)
    ]
    shown = f'{start},"rows":{compact(short)}}}'
    write(job.data / "tasks" / f"{slug}.js", script(f"tasks/{slug}", shown))
    fairness = _fairness_files(job, read, slug, metrics, by_most(lambda i: heads[i]["settings"]))
    return Made(
        about={
            "slug": slug,
            "spelling": task["spelling"],
            "headline": headline,
            **{key: metrics[headline][key] for key in ("higher_is_better", "range")},
            "n": len(rows),
            "attributes": list(read.attributes),
            "fairness_metrics": fairness,
        },
        caution=table["caution"],
        models=read.models,
        headline={
            row["model"]: {
                **{key: row["cells"][headline][key] for key in ("v", "id", "n_failed")},
                "rank": row["rank"],
                "status": row["status"],
            }
            for row in rows
            if headline in row["cells"]
        },
        direction={
            **{key: metrics[headline][key] for key in ("higher_is_better", "range")},
            "id": main[headline],
        },
        table=f'{start},"rows":[\n{whole}\n]}}',
        sheet=site_sheet.lines(
            {**table, "rows": rows}, {slug: model for slug, (_, model) in read.models.items()}
        ),
        left_out=read.left_out,
    )


def _references(job: Job, spelling: str, metrics: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what others published of a task and its metrics; nothing of that is of made-up data."""
    if job.is_synthetic:
        return []
    judges = list(dict.fromkeys(one["judge"] for one in metrics.values() if isinstance(one["judge"], str)))
    return [one for one in references(spelling, judges) if one["metric"] in metrics]


def _fairness_files(
    job: Job, read: _Read, slug: str, metrics: Mapping[str, Mapping[str, Any]], settings: Any
) -> list[dict[str, str]]:
    """Write a file for each metric that was compared over groups, and return their names and what their files are called."""
    made: dict[str, str] = {}
    for name in (one for one in metrics if one in read.fairness):
        file = layout.slug(name)
        while file in made.values():
            file += "-"
        made[name] = file
        about = compact(
            {
                "task": slug,
                "metric": name,
                **{key: metrics[name][key] for key in ("higher_is_better", "range")},
                "settings": settings,
                "attributes": list(read.attributes),
            }
        )
        text = f'{about[:-1]},"rows":[{",".join(read.fairness[name])}]}}'
        write(job.data / "fairness" / slug / f"{file}.js", script(f"fairness/{slug}/{file}", text))
    return [{"name": name, "slug": file} for name, file in made.items()]


def _most(values: Iterable[tuple[Any, str]]) -> Any:
    """Return the value that most entries have; of those that as many have, the one with the newest date.

    >>> _most([({"a": 1}, "2026-01-01"), ({"a": 2}, "2026-01-02"), ({"a": 1}, "")]), _most([(1, ""), (2, "2026-01-01")])
    ({'a': 1}, 2)
    """
    found: list[list[Any]] = []  # value, how many, newest date
    for value, date in values:
        own = next((one for one in found if one[0] is value or one[0] == value), None)
        if own is None:
            found.append([value, 1, date])
        else:
            own[1:] = own[1] + 1, max(own[2], date)
    return max(found, key=lambda one: (one[1], one[2]))[0]


def _protocols(name: str, used: list[tuple[str, str, bool]], read: _Read) -> list[dict[str, Any]]:
    """Return a metric's protocols, each with how many rows have it and what differs from the main one.

    The main one, that of the most checked entries and then of the most, is first: entries that nobody checked could be any number.
    """
    counts = Counter(one for one, _, _ in used)
    checked = Counter(one for one, _, is_checked in used if is_checked)
    newest = {one: max(date for other, date, _ in used if other == one) for one in counts}
    order = sorted(counts, key=lambda one: (checked[one], counts[one], newest[one], one), reverse=True)
    return [{**_protocol(name, one, order[0], read), "n": counts[one]} for one in order]


def _protocol(name: str, one: str, main: str, read: _Read) -> dict[str, Any]:
    protocol, text = read.protocols[one]
    mine, its = _flat(protocol), _flat(read.protocols[main][0])
    return {
        "metric": name,
        "id": one,
        "text": text,
        "differs": {
            key: [mine.get(key), its.get(key)]
            for key in dict.fromkeys((*its, *mine))
            if mine.get(key) != its.get(key)
        },
    }


def _flat(protocol: Mapping[str, Any]) -> dict[str, str]:
    """Return a protocol with one text a value, and one key a part of what has parts; what is null is left out."""
    made: dict[str, str] = {}
    for key, value in protocol.items():
        parts = (
            {f"{key}.{part}": one for part, one in value.items()} if isinstance(value, dict) else {key: value}
        )
        made |= {
            part: (one if isinstance(one, str) else compact(one))[:_DIFFERS_LIMIT]
            for part, one in parts.items()
            if one is not None
        }
    return made
