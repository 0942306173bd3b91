"""What a bundle and an entry are called, where they lie, and how large they may be: what those who write and those who read them share."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath

BUNDLE_VERSION = 1
"""Of bundle.json and of what lies beside it; raised when a reader of the old form cannot read the new one."""
ENTRY_VERSION = 1
ROWS_VERSION = 1

BUNDLE = "bundle.json"
MANIFEST = "manifest.json"
REPORT = "report.json"
FAIRNESS = "fairness.json"
PAIRING = "pairing.json"
ROWS = "rows.jsonl"
RESPONSES = "responses.jsonl"
JUDGES = "judges"
VERDICTS = "verdicts.jsonl"

_JUDGE_MEMBER = re.compile(rf"{JUDGES}/[0-9a-f]{{12}}/(?:{re.escape(MANIFEST)}|{re.escape(VERDICTS)})")
_FIXED = (BUNDLE, MANIFEST, REPORT, FAIRNESS, PAIRING, ROWS, RESPONSES)
ALWAYS = (BUNDLE, MANIFEST, REPORT, ROWS)
"""Members that no bundle lacks."""

MAX_JUDGES = 16
MAX_MEMBERS = len(_FIXED) + 2 * MAX_JUDGES
MAX_BUNDLE_BYTES = 1 << 28
"""Of the zip file as it lies on the disk."""
MAX_TOTAL_BYTES = 1 << 30
"""Of all members together, inflated."""
MAX_DOCUMENT_BYTES = 1 << 26
"""Of one JSON document (everything that is not ``.jsonl``), and of an entry."""
MAX_LINE_BYTES = 1 << 24
"""Of one line of a ``.jsonl``: an answer may have a million characters, each up to 12 bytes as JSON."""
MAX_LINES = 2_000_000
MAX_VALUES = 30_000_000
"""Of all documents and lines together: an empty list takes two bytes of JSON, and fifty times as many of memory."""
MAX_DEPTH = 32
"""Of nested objects and arrays in any document or line."""

ENTRIES = "entries"
SYNTHETIC = "synthetic"
"""Entries of made-up data lie here, never in `ENTRIES`: the two are in no table together."""

_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:[.].*)?")
"""Names that Windows gives no file, whatever stands behind their first dot."""
_LOST = re.compile(r"[^a-z0-9._+=@,-]+")
_LONGEST = 80


def is_member(name: str) -> bool:
    """Return whether a bundle may hold a member of this name.

    >>> is_member("report.json"), is_member("judges/0123456789ab/verdicts.jsonl"), is_member("judges/0123456789ab/private.jsonl"), is_member("../x")
    (True, True, False, False)
    """
    return name in _FIXED or _JUDGE_MEMBER.fullmatch(name) is not None


def slug(name: str) -> str:
    """Return a name as a folder or file may be called: lower case, safe everywhere; two names never give the same one by accident.

    Where a character was lost, or the name is long, the first 8 hex digits of its sha256 stand at its end.

    >>> slug("acme_medvlm_8b"), slug("nova_diagnosis@inputs=history+image")
    ('acme_medvlm_8b', 'nova_diagnosis@inputs=history+image')
    >>> slug("openai:org/model:7b")
    'openai-org-model-7b-d622c946'
    """
    made = _LOST.sub("-", name.lower()).strip("-.")[:_LONGEST]
    if made == name and not _RESERVED.fullmatch(made):
        return made
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return (
        f"{made.replace('.', '-', 1)}-{mark}"
        if _RESERVED.fullmatch(made)
        else f"{made}-{mark}"
        if made
        else mark
    )


def entry_path(model: str, task: str, *, is_synthetic: bool) -> PurePosixPath:
    """Return where an entry lies below the leaderboard's folder: ``entries/<model>/<task>.json``.

    Args:
        model: ``ADAPTER[:MODEL]``.
        task: The task as users spell it, with its variant.
        is_synthetic: Whether its data are made up.

    >>> str(entry_path("prior", "nova_caption", is_synthetic=True))
    'synthetic/prior/nova_caption.json'
    """
    return PurePosixPath(SYNTHETIC if is_synthetic else ENTRIES, slug(model), f"{slug(task)}.json")


def bundle_of(entry: Path) -> Path:
    """Return where the bundle of an entry lies: beside it."""
    return entry.with_name(f"{entry.name.removesuffix('.json')}.zip")


def schema_path(name: str) -> Path:
    """Return the file of a JSON Schema: ``bundle``, ``entry``, ``pairing``, ``rows_header`` or ``row``."""
    return Path(__file__).parent / "schemas" / f"{name}.schema.json"
