"""The leaderboard's site: pages without a server, made of the entries in a leaderboard's folder."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from nova_bench import __version__
from nova_bench.board import layout, site_sheet
from nova_bench.board.site_files import DOWNLOAD, beside, compact, put_in_place, script, write
from nova_bench.board.site_pages import CAUTION, write_pages
from nova_bench.board.site_task import Job, Made
from nova_bench.board.site_workers import make_all
from nova_bench.catalog import suites
from nova_bench.errors import UsageError

SCHEMA_VERSION = 1


def build_leaderboard(board: str | Path = "leaderboard", *, out: str | Path | None = None) -> dict[str, Any]:
    """Make the pages of a leaderboard, and return what was made.

    Args:
        board: The leaderboard's folder, with ``entries/`` or ``synthetic/``.
        out: The site's folder; ``site`` in the leaderboard's where it is None.

    Returns:
        ``{"schema_version", "kind", "out", "index", "files", "boards": [{"synthetic", "n_entries", "n_models", "tasks", "left_out"}]}``.

    Raises:
        UsageError: There is no leaderboard, or the site cannot be written.
    """
    board = Path(board)
    out = board / "site" if out is None else Path(out)
    found = {is_synthetic: sorted(_entries(board, is_synthetic)) for is_synthetic in (False, True)}
    if not any(found.values()):
        raise UsageError(
            f"{board} holds no entries; expected {layout.ENTRIES}/MODEL/TASK.json or {layout.SYNTHETIC}/MODEL/TASK.json below it, "
            "as `nova-bench submit` writes them"
        )
    boards = []
    with beside(out) as scratch:
        for is_synthetic, paths in found.items():
            if paths:
                root = scratch / layout.SYNTHETIC if is_synthetic else scratch
                boards.append(_board(board, paths, root, _bundles(board, out, is_synthetic), is_synthetic))
        write_pages(scratch, has_real=bool(found[False]), has_synthetic=bool(found[True]))
        files = put_in_place(scratch, out)
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "leaderboard",
        "out": str(out),
        "index": str(out / "index.html"),
        "files": len(files),
        "boards": boards,
    }


def _entries(board: Path, is_synthetic: bool) -> Iterator[Path]:
    """Yield the files that are said to be entries, over no link."""
    top = board / (layout.SYNTHETIC if is_synthetic else layout.ENTRIES)
    if top.is_symlink() or not top.is_dir():
        return
    for model in os.scandir(top):
        if model.is_dir(follow_symlinks=False):
            yield from (Path(one.path) for one in os.scandir(model.path) if one.name.endswith(".json"))


def _bundles(board: Path, out: Path, is_synthetic: bool) -> str | None:
    """Return where bundles lie, as an address seen from a page; None where the pages may be published without them."""
    if not out.resolve().is_relative_to(board.resolve()):
        return None
    folder = layout.SYNTHETIC if is_synthetic else layout.ENTRIES
    start = out.resolve() / (layout.SYNTHETIC if is_synthetic else "")
    return Path(os.path.relpath(board.resolve() / folder, start)).as_posix() + "/"


def _board(
    board: Path, paths: list[Path], root: Path, bundles: str | None, is_synthetic: bool
) -> dict[str, Any]:
    data = root / "data"
    by_task: dict[str, list[Path]] = {}
    for path in paths:
        by_task.setdefault(path.stem, []).append(path)
    jobs = [Job(board, tuple(by_task[name]), data, is_synthetic) for name in _in_order(by_task)]
    made = make_all(jobs)
    claimed = list(_claimed(jobs, made))
    if claimed:
        shutil.rmtree(data)
        jobs = [replace(job, files=tuple(path for path in job.files if path not in claimed)) for job in jobs]
        made = make_all(jobs)
    whole = [one for one in made if one.about is not None]
    models, newest = _models(whole)
    left_out = [fault for one in made for fault in one.left_out]
    left_out += [
        {
            "entry": path.relative_to(board).as_posix(),
            "reason": "its model's name is not that of the other entries in this folder; rename the model, and submit it again",
        }
        for path in claimed
    ]
    about = {
        "schema_version": SCHEMA_VERSION,
        "version": __version__,
        "synthetic": is_synthetic,
        "caution": CAUTION if is_synthetic else None,
        "latest": newest,
        "n_entries": sum(one.about["n"] for one in whole if one.about),
    }
    board_document = {
        **about,
        "tasks": [one.about for one in whole],
        "suites": _suites(whole, data, is_synthetic),
        "models": models,
        "bundles": bundles,
        "left_out": left_out,
    }
    write(data / "board.js", script("board", compact(board_document)))
    tables = ",\n".join(one.table for one in whole)
    write(
        root / DOWNLOAD,
        f'{compact({**about, "kind": "leaderboard", "models": models})[:-1]},"tasks":[\n{tables}\n]}}\n',
    )
    write(root / "leaderboard.csv", site_sheet.head() + "".join(one.sheet for one in whole))
    return {
        "synthetic": is_synthetic,
        "n_entries": about["n_entries"],
        "n_models": len(models),
        "tasks": [one.about["spelling"] for one in whole if one.about],
        "left_out": left_out,
    }


def _in_order(tasks: Iterable[str]) -> list[str]:
    """Return slugs of tasks as the suites list them, the first being what a page opens with; those of no suite stand last, by name."""
    listed = [layout.slug(spelling) for suite in suites().values() for spelling in suite["tasks"]]
    place = {name: i for i, name in reversed([*enumerate(listed)])}
    return sorted(tasks, key=lambda name: (place.get(name, len(listed)), name))


def _claimed(jobs: list[Job], made: list[Made]) -> Iterator[Path]:
    """Yield entries whose model has not the name that owns its folder: it could be named so as to lie there.

    A folder that some name only gets with a hash at its end is not that of whoever is called like the folder.
    """
    names: dict[str, Counter[str]] = {}
    for one in made:
        for slug, (_, model) in one.models.items():
            names.setdefault(slug, Counter())[model["name"]] += 1
    owner = {
        slug: max(counts, key=lambda name: (name != slug, counts[name], name))
        for slug, counts in names.items()
    }
    for job, one in zip(jobs, made, strict=True):
        for path in job.files:
            slug = path.parent.name
            if slug in one.models and one.models[slug][1]["name"] != owner[slug]:
                yield path


def _models(made: list[Made]) -> tuple[dict[str, dict[str, Any]], str | None]:
    """Return the models by slug, each as its newest entry has it and with its tasks, and the newest entry's day."""
    models: dict[str, dict[str, Any]] = {}
    newest: dict[str, str] = {}
    for one in made:
        for slug, (date, model) in one.models.items():
            tasks = models[slug]["tasks"] if slug in models else []
            if slug not in models or date > newest[slug]:
                models[slug], newest[slug] = {**model, "tasks": tasks}, date
            tasks.append(one.about["slug"] if one.about else "")
    return dict(sorted(models.items())), max(newest.values(), default="") or None


def _suites(made: list[Made], data: Path, is_synthetic: bool) -> list[dict[str, Any]]:
    """Write a file for each suite that has entries, and return their list; one that is fixed to made-up data is of these alone."""
    by_spelling = {one.about["spelling"]: one for one in made if one.about}
    listed = []
    for name, suite in suites().items():
        tasks = [by_spelling[spelling] for spelling in suite["tasks"] if spelling in by_spelling]
        if not tasks or ("data" in suite and not is_synthetic):
            continue
        abouts = [one.about for one in tasks if one.about]
        slug = layout.slug(name)
        rows = sorted({model for one in tasks for model in one.headline})
        document = {
            "suite": name,
            "tasks": [
                {"slug": about["slug"], "headline": about["headline"], **one.direction}
                for about, one in zip(abouts, tasks, strict=True)
            ],
            "rows": [
                {
                    "model": model,
                    "cells": {
                        about["slug"]: one.headline[model]
                        for about, one in zip(abouts, tasks, strict=True)
                        if model in one.headline
                    },
                }
                for model in rows
            ],
        }
        write(data / "suites" / f"{slug}.js", script(f"suites/{slug}", compact(document)))
        listed.append({"slug": slug, "name": name, "tasks": [about["slug"] for about in abouts]})
    return listed
