"""Verification of bundles: rejected, consistent with themselves, or verified against the data set.

A bundle is a stranger's. It is read in memory by `nova_bench.board.zip_reader`; tasks and metrics are those installed here; nothing that it
names is run or opened.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nova_bench.board import layout
from nova_bench.board.answers import check_answers, unpack
from nova_bench.board.badge import Status, badge
from nova_bench.board.bundle_reader import Bundle, read_bundle, read_entry
from nova_bench.board.entry_check import entry_faults
from nova_bench.board.recompute import Findings, check_rows
from nova_bench.board.record import VERIFICATIONS, record_path, write_record
from nova_bench.board.rerun import Rerun, ask_again
from nova_bench.board.site_files import DOWNLOAD, LIST
from nova_bench.errors import BundleError, NovaBenchError, UsageError
from nova_bench.prepare import Settings
from nova_bench.run import Run, open_run

SCHEMA_VERSION = 1


class Target(NamedTuple):
    """What is verified together.

    Attributes:
        bundle: The zip file.
        entry: The entry beside it; None where there is none.
    """

    bundle: Path
    entry: Path | None


def verify(
    paths: str | Path | Sequence[str | Path],
    *,
    data: str | None = None,
    rerun: Rerun | None = None,
    record: bool = False,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Verify bundles, entries, or all that lie in folders.

    Args:
        paths: Zip files, entries (each with its bundle beside it), or folders.
        data: Where the data set is: ``full`` or a path. Without it a bundle of real data is at most consistent. Made-up data are always
            those embedded here.
        rerun: Requests to ask again, of one bundle whose data set is at hand. It changes no status.
        record: Write what was found beside the entries.
        settings: Cache and configuration folders.

    Returns:
        ``{"schema_version", "kind", "results": [{"bundle", "entry", "sha256", "status", "label", "meaning", "reasons", "notes", "task",
        "model", "data", "with_data", "cells", "rerun", "record"}]}``.

    Raises:
        UsageError: A path leads to nothing that can be verified, or a rerun is not possible.
        DataError: The data set cannot be opened.
    """
    settings = settings or Settings()
    targets = find_targets(paths)
    if data not in (None, "full", "mini") and not Path(str(data)).is_dir():
        raise UsageError(f"--data {data}: there is no such folder; expected full, or the data set's folder")
    if rerun is not None and len(targets) != 1:
        raise UsageError(f"--rerun asks about one bundle, and {len(targets)} were given")
    if record:
        for target in targets:
            if target.entry is None:
                raise UsageError(
                    f"--record: {target.bundle} has no entry beside it, so its verification has no place"
                )
            record_path(target.entry.absolute())
    results = []
    for target in targets:
        result = _verified(target, data, rerun, settings)
        if record and target.entry is not None:
            result["record"] = str(write_record(target.entry.absolute(), result))
        results.append(result)
    return {"schema_version": SCHEMA_VERSION, "kind": "verification", "results": results}


def find_targets(paths: str | Path | Sequence[str | Path]) -> list[Target]:
    """Return what is to be verified, each once.

    Args:
        paths: As `verify` takes them.

    Raises:
        UsageError: A path leads to nothing that can be verified.
    """
    found: dict[Path, Target] = {}
    for given in [paths] if isinstance(paths, (str, Path)) else paths:
        path = Path(given)
        listed = list(_targets(path))
        if not listed:
            raise UsageError(
                f"{path} holds no bundle and no entry; give a .zip or an entry that `nova-bench submit` wrote, or their folder"
            )
        for target in listed:
            found.setdefault(target.bundle.absolute(), target)
    if not found:
        raise UsageError("nothing was given to verify")
    return list(found.values())


def _targets(path: Path) -> Iterator[Target]:
    if path.is_dir() and not path.is_symlink():
        files = sorted(
            one
            for one in path.rglob("*")
            if one.suffix in (".json", ".zip") and VERIFICATIONS not in one.parts and not _is_of_site(one)
        )
        for bundle in dict.fromkeys(one.with_suffix(".zip") for one in files):
            yield from _targets(bundle if bundle.exists() else bundle.with_suffix(".json"))
    elif path.suffix == ".json":
        yield Target(layout.bundle_of(path), path)
    elif path.suffix == ".zip":
        entry = path.with_suffix(".json")
        yield Target(path, entry if entry.exists() or entry.is_symlink() else None)
    else:
        raise UsageError(f"{path} is no .zip, no .json and no folder; give what `nova-bench submit` wrote")
    if not path.exists() and not path.is_symlink():
        raise UsageError(f"{path} does not exist; give what `nova-bench submit` wrote")


def _is_of_site(path: Path) -> bool:
    """Return whether a file is what the pages of a leaderboard have for download: it may lie in the same folder, and is no entry."""
    return path.name == DOWNLOAD and any((folder / LIST).is_file() for folder in path.parents[:2])


def _verified(target: Target, data: str | None, rerun: Rerun | None, settings: Settings) -> dict[str, Any]:
    result: dict[str, Any] = {
        "bundle": str(target.bundle),
        "entry": None if target.entry is None else str(target.entry),
        "sha256": None,
        "task": None,
        "model": None,
        "data": None,
        "rerun": None,
        "record": None,
    }
    try:
        bundle = read_bundle(target.bundle)
    except BundleError as error:
        return _ended(result, Findings(reasons=[str(error)]), is_whole=False)
    about = bundle.about
    result |= {
        "sha256": bundle.sha256,
        "task": about["task"]["spelling"],
        "model": about["model"]["name"],
        "data": {key: about["data"][key] for key in ("name", "digest", "revision", "synthetic")},
    }
    is_synthetic = about["data"]["synthetic"]
    where = "mini" if is_synthetic else data
    # With answers and data the rows are compared with those that the answers give, and the numbers with those of these.
    found, stated = check_rows(bundle, with_numbers=where is None or bundle.responses is None)
    of_entry = [] if target.entry is None else _entry_reasons(target.entry, bundle, stated)
    if where == "mini" and not is_synthetic:
        raise UsageError(
            f"{target.bundle} is of real data; give --data full or --data PATH, or leave --data out"
        )
    if found.reasons or where is None:
        found.reasons += of_entry
        if rerun is not None:
            raise UsageError(
                "--rerun needs a bundle that is not rejected, and its data set: give --data" + _first(found)
            )
        return _ended(result, found, is_whole=False)
    with tempfile.TemporaryDirectory(prefix="nova_bench_") as scratch:
        folder = Path(scratch) / "run"
        folder.mkdir()
        more, run = check_answers(bundle, where, folder, settings)
        more.reasons += of_entry
        if rerun is not None and not more.reasons:
            opened = run or _opened(bundle, where, Path(scratch) / "blank", settings)
            result["rerun"] = ask_again(bundle, opened, rerun, Path(scratch) / "again", settings)
        if run is None and not more.reasons:  # no answers in it: what the rows told stands
            more.recomputed = max(more.recomputed, found.recomputed)
        if is_synthetic and data not in (None, "mini"):
            more.notes.append(
                "its data are made up: it was verified against those that come with nova-bench, not against --data"
            )
    return _ended(result, more, is_whole=run is not None)


def _first(found: Findings) -> str:
    return f" ({found.reasons[0]})" if found.reasons else ""


def _entry_reasons(path: Path, bundle: Bundle, stated: Run | None) -> list[str]:
    if stated is None:
        return []  # what its rows make is not known, so neither is what its entry has to be; the bundle is rejected for that
    told = Findings()
    try:
        told.add(entry_faults(read_entry(path), path, bundle, stated))
    except NovaBenchError as error:
        return [str(error)]
    except Exception as error:  # documents of a rejected bundle may have any form
        return [f"its entry cannot be made from it ({type(error).__name__})"]
    return told.reasons


def _opened(bundle: Bundle, data: str, folder: Path, settings: Settings) -> Run:
    """Return a run on the data set for a bundle without answers."""
    folder.mkdir()
    unpack(bundle, data, folder)
    return open_run(folder, settings=settings)


def _ended(result: dict[str, Any], found: Findings, *, is_whole: bool) -> dict[str, Any]:
    """Return a result with its status.

    Args:
        result: What is known of the bundle.
        found: What was found.
        is_whole: Whether the answers were there, and the data set.
    """
    is_verified = is_whole and found.recomputed == found.stated and not found.open
    status: Status = "rejected" if found.reasons else "verified" if is_verified else "consistent"
    shown = badge(status)
    result |= {
        "status": status,
        "label": shown.label,
        "meaning": shown.tooltip,
        "reasons": found.reasons,
        "notes": found.notes,
        "with_data": is_whole,
        "cells": {"stated": found.stated, "recomputed": found.recomputed},
    }
    return result
