"""`export_run`: runs into files of one of five formats, and what may leave a gated data set with them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nova_bench.errors import NovaBenchError, UnknownNameError, UsageError
from nova_bench.export.cells_sheet import cells_sheet
from nova_bench.export.coco_files import coco_documents
from nova_bench.export.evaluate_files import evaluate_documents
from nova_bench.export.model_card import ENTRIES, README, card_text, entries_text
from nova_bench.export.rows_sheet import rows_sheet
from nova_bench.export.sheet import Sheet, csv_text, parquet_table
from nova_bench.run import Run

SCHEMA_VERSION = 1
FORMATS = ("csv", "parquet", "coco", "model-card", "evaluate")
WHAT = ("cells", "rows")


def export_run(
    run: Run | Sequence[Run],
    format: str,
    *,
    out: Path | str | None = None,
    what: str = "cells",
    with_groups: bool = False,
    say: Callable[[str], None] = lambda words: None,
) -> dict[str, Any]:
    """Write runs as files for other tools.

    Of a gated data set (not of its embedded, synthetic sample) what is the data set's own leaves only with `with_groups`: without it rows
    have no groups, no texts and numbers for samples and cases, and ``coco`` and ``evaluate``, which are made of true boxes and groups, are
    refused.

    Args:
        run: One run, or several.
        format: ``csv``, ``parquet``, ``coco``, ``model-card`` or ``evaluate``.
        out: A file for csv and parquet; a folder, or a file ``*.md``, for model-card; a folder for coco and evaluate, with one below it
            for each of several runs. Without it csv and model-card are returned as text.
        what: ``cells`` or ``rows``, of csv and parquet.
        with_groups: Whether what is a gated data set's own is written too.
        say: Called with what is about to be written of a gated data set, before it is.

    Returns:
        ``{"schema_version", "format", "what", "runs", "files": [{"path", "bytes"}], "text", "notes"}``.

    Raises:
        UsageError: A format, an `out` or a mixture of runs that does not fit.
        NovaBenchError: A run is incomplete and the format has no mark for it.

    >>> from nova_bench.run import evaluate
    >>> run = evaluate("nova_localization", "prior", data="mini", out=getfixture("tmp_path"), limit=3)
    >>> export_run(run, "csv")["text"].splitlines()[0][:27]
    'run,task,model,metric,slice'
    """
    runs = [run] if isinstance(run, Run) else list(run)
    _check(runs, format, what)
    for one in runs:
        _check_gated(one, format, what, with_groups, say)
    where = None if out is None else Path(out)
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "format": format,
        "what": what if format in ("csv", "parquet") else None,
        "runs": [
            {"run": i, "task": one.plan.spelling, "model": one.model, "folder": str(one.folder)}
            for i, one in enumerate(runs, start=1)
        ],
        "files": [],
        "text": None,
        "notes": list(dict.fromkeys(note for note in (one.report()["caution"] for one in runs) if note)),
    }
    if format in ("csv", "parquet"):
        _export_sheet(runs, format, what, where, with_groups, document)
    elif format == "model-card":
        _export_card(runs, where, document)
    else:
        _export_documents(runs, format, where, document)
    return document


def _check(runs: Sequence[Run], format: str, what: str) -> None:
    if format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    if what not in WHAT:
        raise UnknownNameError("--what", what, WHAT)
    if what != "cells" and format not in ("csv", "parquet"):
        raise UsageError(f"--what {what} belongs to csv and parquet; {format} has one content only")
    if not runs:
        raise UsageError("there is no run to export")
    kinds = {one.plan.data.is_synthetic for one in runs}
    if len(kinds) > 1 and format not in ("coco", "evaluate"):
        raise UsageError(
            "some of these runs are of synthetic data and some of real data, and no table holds both; export each kind by itself"
        )


def _check_gated(run: Run, format: str, what: str, with_groups: bool, say: Callable[[str], None]) -> None:
    if not run.plan.data.is_gated:
        return
    source = run.plan.task.data
    if format in ("coco", "evaluate") and not with_groups:
        part = "true boxes" if format == "coco" else "patients' groups"
        raise UsageError(
            f"{format} files hold {part} of {source.name}, which is gated; give --with-groups if they stay with those who have access to it"
        )
    if with_groups and (format in ("coco", "evaluate") or what == "rows"):
        table = run.scored.table
        named = ", ".join(table.groups) or "no groups"
        terms = ": ".join(filter(None, (source.license, source.license_url)))
        say(
            f"writing what is {source.name}'s own, of {len(set(table.id.tolist()))} samples: sample ids, case names, groups ({named})"
            f"{', true boxes' if format == 'coco' else ''}. Its licence holds for the files too ({terms}): give them to nobody without access"
        )


def _export_sheet(
    runs: Sequence[Run], format: str, what: str, out: Path | None, with_groups: bool, document: dict[str, Any]
) -> None:
    sheet = cells_sheet(runs) if what == "cells" else _rows(runs, with_groups, document["notes"])
    if format == "csv":
        text = csv_text(sheet)
        if out is None:
            document["text"] = text
        else:
            _write(out, text, document)
        return
    if out is None:
        raise UsageError("parquet is no text to print: say where it goes, --out FILE.parquet")
    import pyarrow.parquet as pq

    table = parquet_table(sheet)
    _put(out, lambda place: pq.write_table(table, place), document)


def _rows(runs: Sequence[Run], with_groups: bool, notes: list[str]) -> Sheet:
    private = [run for run in runs if run.plan.data.is_gated]
    if private and not with_groups:
        notes.append(
            f"{private[0].plan.task.data.name} is gated: groups and texts are left out, and samples and cases are numbers (--with-groups has them)"
        )
    return rows_sheet(runs, with_groups=with_groups or not private)


def _export_card(runs: Sequence[Run], out: Path | None, document: dict[str, Any]) -> None:
    if out is None:
        document["text"] = card_text(runs)
        return
    is_file = out.suffix.lower() == ".md"
    readme = out if is_file else out / README
    text = card_text(runs, readme if readme.exists() else None)
    _write(readme, text, document)
    if is_file:
        return
    entries, notes = entries_text(runs)
    document["notes"] += notes
    if entries is not None:
        _write(out / ENTRIES, entries, document)


def _export_documents(runs: Sequence[Run], format: str, out: Path | None, document: dict[str, Any]) -> None:
    if out is None:
        raise UsageError(f"{format} is more than one file: say where they go, --out FOLDER")
    folders = [out] if len(runs) == 1 else [out / _safe(run.model) / _safe(run.plan.spelling) for run in runs]
    for folder in folders:
        if folders.count(folder) > 1:
            raise UsageError(
                f"two of these runs are of one model and task, and would both be {folder}; export each by itself"
            )
    for run, folder in zip(runs, folders, strict=True):
        made, notes = (coco_documents(run), []) if format == "coco" else evaluate_documents(run)
        if format == "coco":
            notes = _coco_notes(made)
        document["notes"] += notes if len(runs) == 1 else [f"{run.plan.spelling}: {note}" for note in notes]
        for name, content in made.items():
            _write(folder / name, json.dumps(content, ensure_ascii=True, allow_nan=False) + "\n", document)


def _coco_notes(documents: dict[str, Any]) -> list[str]:
    notes = []
    for name, content in documents.items():
        if isinstance(content, list):
            if not content:
                notes.append(f"{name} has no box at all, which pycocotools' loadRes cannot read")
            continue
        if left_out := content["info"]["left_out"]:
            notes.append(
                f"incomplete: {len(left_out)} samples failed and are not in {name}, which names them under info.left_out"
            )
    return notes


def _safe(name: str) -> str:
    """Return a name that is one folder, wherever it came from."""
    return re.sub(r"[^A-Za-z0-9=+._-]+", "_", name).strip("._")[:120] or "_"


def _write(path: Path, text: str, document: dict[str, Any]) -> None:
    _put(path, lambda place: place.write_text(text, encoding="utf-8", newline=""), document)


def _put(path: Path, write: Callable[[Path], object], document: dict[str, Any]) -> None:
    """Write a file whole or not at all, so that a full disk costs nobody the card that was there; enter it in the document."""
    if path.is_dir():
        raise UsageError(f"--out {path} is a folder; expected the name of a file")
    for above in path.parents:
        if above.exists() and not above.is_dir():
            raise UsageError(f"--out: {above} is a file; expected a folder")
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(new)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
        document["files"].append({"path": str(path), "bytes": path.stat().st_size})
    except OSError as error:
        raise NovaBenchError(f"{path} cannot be written: {error.strerror or error}") from error
