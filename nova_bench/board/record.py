"""A verification as a file beside the entries, for pages: what was found, when, with which nova_bench, of exactly which bundle and entry."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nova_bench import __version__
from nova_bench.board import layout
from nova_bench.board.zip_reader import read_regular
from nova_bench.errors import BundleError, UsageError
from nova_bench.runlog import write_json

VERIFICATIONS = "verifications"
RECORD_VERSION = 1


def record_path(entry: Path) -> Path:
    """Return where the verification of an entry lies: below ``verifications/`` as the entry below ``entries/``.

    One of made-up data lies below ``verifications/synthetic/``.

    Args:
        entry: The entry's file.

    Raises:
        UsageError: It lies below neither ``entries/`` nor ``synthetic/``, or a link leads elsewhere: a stranger's tree may have one.

    >>> record_path(Path("leaderboard/entries/prior/nova_caption.json")).as_posix()
    'leaderboard/verifications/prior/nova_caption.json'
    """
    if len(entry.parts) < 3 or entry.parts[-3] not in (layout.ENTRIES, layout.SYNTHETIC):
        raise UsageError(
            f"--record: {entry} lies in no leaderboard; expected .../{layout.ENTRIES}/MODEL/TASK.json, as `nova-bench submit` writes it"
        )
    root, below = entry.parents[2], entry.parts[-2:]
    inner = [layout.SYNTHETIC] if entry.parts[-3] == layout.SYNTHETIC else []
    path = root.joinpath(VERIFICATIONS, *inner, *below)
    if ".." in below or any(one.is_symlink() for one in (path, *path.parents[: len(inner) + 2])):
        raise UsageError(
            f"--record: {path} is or lies behind a link; expected a folder of the leaderboard's own"
        )
    return path


def write_record(entry: Path, result: Mapping[str, Any]) -> Path:
    """Write the verification of an entry, and return its file.

    Args:
        entry: The entry's file.
        result: One of `nova_bench.board.verify.verify`'s results.

    Raises:
        UsageError: The entry lies in no leaderboard.
    """
    path = record_path(entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = ("status", "reasons", "notes", "task", "model", "data", "with_data", "cells", "rerun")
    record = {
        "schema_version": RECORD_VERSION,
        "kind": "verification",
        "entry": "/".join(entry.parts[-3:]),
        "entry_sha256": _sha256(entry),
        "bundle": {"file": layout.bundle_of(entry).name, "sha256": result["sha256"]},
        **{key: result[key] for key in kept},
        "nova_bench": __version__,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    write_json(path, record)
    return path


def _sha256(entry: Path) -> str | None:
    """Return the hash of an entry's file, without which a verified bundle would vouch for whatever the entry says later."""
    try:
        return hashlib.sha256(read_regular(entry, layout.MAX_DOCUMENT_BYTES)).hexdigest()
    except BundleError:
        return None
