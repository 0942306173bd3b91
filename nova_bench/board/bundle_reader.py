"""A stranger's bundle in memory: its members, checked against their checksums and schemas, each read as what it has to be.

Nothing here knows a task or computes a number; what a bundle *says* is judged in `nova_bench.board.recompute` and `.answers`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from nova_bench.board import layout
from nova_bench.board.rows_file import Rows, rows_of
from nova_bench.board.strict_json import read_json, read_lines
from nova_bench.board.zip_reader import members_of, read_regular
from nova_bench.errors import BundleError, LogError

RECORD_KEYS = frozenset(
    {
        *("id", "request", "finish", "task", "text", "error", "reasoning", "model", "label_probs"),
        *("image_sizes", "dropped", "usage", "seconds", "from_cache", "verdict", "fault"),
    }
)
"""Of a log's record (`nova_bench.runlog.record_of`), and of a judge's."""


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """What a bundle holds.

    Attributes:
        path: The file.
        sha256: Of the file.
        size: Of the file, bytes.
        about: ``bundle.json``.
        manifest: The run's.
        report: ``report.json``, as it stands.
        fairness: ``fairness.json``; None where there is none.
        pairing: ``pairing.json``; None where there is none.
        rows: ``rows.jsonl`` as tables.
        responses: The records of ``responses.jsonl``; None where the answers were not sent along.
        verdicts: A judge's folder to the records of its log.
        judges: A judge's folder to its manifest.
    """

    path: Path
    sha256: str
    size: int
    about: Mapping[str, Any]
    manifest: Mapping[str, Any]
    report: Any
    fairness: Any
    pairing: Mapping[str, Any] | None
    rows: Rows
    responses: tuple[Mapping[str, Any], ...] | None
    judges: Mapping[str, Mapping[str, Any]]
    verdicts: Mapping[str, tuple[Mapping[str, Any], ...]]


def read_bundle(path: Path) -> Bundle:
    """Read a bundle.

    Args:
        path: The zip file, a regular one.

    Raises:
        BundleError: It cannot be read, lacks something, holds something else, or a checksum or a schema does not fit.
    """
    packed = read_regular(path, layout.MAX_BUNDLE_BYTES)
    members = members_of(packed, layout.is_member)
    n_values = sum(data.count(sign) for data in members.values() for sign in (b",", b"[", b"{"))
    if n_values > layout.MAX_VALUES:
        raise BundleError(f"it holds about {n_values:,} values; at most {layout.MAX_VALUES:,} are read")
    for name in layout.ALWAYS:
        if name not in members:
            raise BundleError(f"{name} is missing; make the bundle anew with `nova-bench submit`")
    documents = {
        name: read_json(_small(name, data), name)
        for name, data in members.items()
        if not name.endswith(".jsonl")
    }
    about = fitting(documents[layout.BUNDLE], "bundle", layout.BUNDLE)
    _check_files(about, members)
    manifest = documents[layout.MANIFEST]
    if not isinstance(manifest, dict) or not isinstance(manifest.get("identity"), dict):
        raise BundleError(f"{layout.MANIFEST} has no identity; expected the manifest of a run")
    if about["with_answers"] != (layout.RESPONSES in members):
        stated = "with_answers is true" if about["with_answers"] else "with_answers is false"
        raise BundleError(
            f"{stated}, but {layout.RESPONSES} is {'missing' if about['with_answers'] else 'there'}"
        )
    pairing = None
    if layout.PAIRING in members:
        pairing = fitting(documents[layout.PAIRING], "pairing", layout.PAIRING)
    responses = None
    if layout.RESPONSES in members:
        responses = tuple(_records(members[layout.RESPONSES], layout.RESPONSES))
    folders = {name.split("/")[1] for name in members if name.startswith(f"{layout.JUDGES}/")}
    judges, verdicts = {}, {}
    for folder in sorted(folders):
        manifest_of, log_of = (
            f"{layout.JUDGES}/{folder}/{name}" for name in (layout.MANIFEST, layout.VERDICTS)
        )
        if manifest_of not in members:
            raise BundleError(f"{manifest_of} is missing; a judge's verdicts do not say whose they are")
        if not isinstance(documents[manifest_of], dict):
            raise BundleError(f"{manifest_of} is no object; expected the manifest of a judge")
        judges[folder] = documents[manifest_of]
        if log_of in members:
            verdicts[folder] = tuple(_records(members[log_of], log_of))
    return Bundle(
        path=path,
        sha256=hashlib.sha256(packed).hexdigest(),
        size=len(packed),
        about=about,
        manifest=manifest,
        report=documents[layout.REPORT],
        fairness=documents.get(layout.FAIRNESS),
        pairing=pairing,
        rows=_rows(members[layout.ROWS]),
        responses=responses,
        judges=judges,
        verdicts=verdicts,
    )


def read_entry(path: Path) -> dict[str, Any]:
    """Return an entry.

    Args:
        path: Its file, a regular one.

    Raises:
        BundleError: It cannot be read, or does not fit its schema.
    """
    return fitting(read_json(read_regular(path, layout.MAX_DOCUMENT_BYTES), path.name), "entry", path.name)


def fitting(document: Any, schema: str, what: str) -> dict[str, Any]:
    """Return a document that fits a JSON Schema.

    Args:
        document: What was read.
        schema: ``bundle``, ``entry``, ``pairing``, ``rows_header`` or ``row``.
        what: Names the document in messages.

    Raises:
        BundleError: It does not; the message has the place of the first fault.
    """
    from jsonschema.exceptions import best_match

    validator = _validator(schema)
    if validator.is_valid(document):
        return dict(document)
    error = best_match(validator.iter_errors(document))
    place = "/".join(map(str, error.absolute_path)) or "the whole"
    # Its own words quote what stands there, however long.
    raise BundleError(
        f"{what}, {place[:200]}: {error.message[:300]}; expected what {schema}.schema.json says"
    )


@cache
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(read_json(layout.schema_path(schema).read_bytes(), schema))


def _small(name: str, data: bytes) -> bytes:
    if len(data) > layout.MAX_DOCUMENT_BYTES:
        raise BundleError(
            f"{name} has {len(data):,} bytes; at most {layout.MAX_DOCUMENT_BYTES:,} are read of a document"
        )
    return data


def _check_files(about: Mapping[str, Any], members: Mapping[str, bytes]) -> None:
    """Raise where a member is not the one whose checksum bundle.json has."""
    stated = about["files"]
    there = set(members) - {layout.BUNDLE}
    if there != set(stated):
        odd = ", ".join(sorted(there ^ set(stated))[:5])
        raise BundleError(f"{layout.BUNDLE} lists other files than the bundle holds ({odd})")
    for name in sorted(there):
        digest, size = hashlib.sha256(members[name]).hexdigest(), len(members[name])
        if (digest, size) != (stated[name]["sha256"], stated[name]["bytes"]):
            raise BundleError(
                f"{name} is not the file that {layout.BUNDLE} lists: sha256 {digest[:12]} and {size:,} bytes, expected "
                f"{stated[name]['sha256'][:12]} and {stated[name]['bytes']:,}. It was changed after the bundle was made"
            )


def _rows(data: bytes) -> Rows:
    lines = read_lines(data, layout.ROWS)
    header = fitting(next(lines, None), "rows_header", f"{layout.ROWS} line 1")
    is_row = _validator("row").is_valid

    def checked() -> Iterator[dict[str, Any]]:
        for number, line in enumerate(lines, start=2):
            yield line if is_row(line) else fitting(line, "row", f"{layout.ROWS} line {number}")

    try:
        return rows_of(header, checked())
    except (LogError, OverflowError) as error:
        raise BundleError(f"{layout.ROWS}: {error}") from None


def _records(data: bytes, what: str) -> Iterator[Mapping[str, Any]]:
    """Yield the records of a log, each of the form that `nova_bench.runlog` writes: nothing else is handed on."""
    for number, record in enumerate(read_lines(data, what), start=1):
        wrong = _record_fault(record)
        if wrong is not None:
            raise BundleError(f"{what} line {number}: {wrong}; expected a record of a run's log")
        yield record


def _record_fault(record: Any) -> str | None:
    """Return what is wrong with a log's record; None where nothing is."""
    if not isinstance(record, dict):
        return "no object"
    if unknown := sorted(set(record) - RECORD_KEYS):
        return f"unknown keys {', '.join(key[:40] for key in unknown[:5])}"
    texts = ("id", "request", "finish", "task", "text", "error", "reasoning", "model", "fault")
    if wrong := [key for key in texts if key in record and not isinstance(record[key], str)]:
        return f"{wrong[0]} is no text"
    if lacking := [key for key in ("id", "request", "finish") if key not in record]:
        return f"{lacking[0]} is missing"
    if re.fullmatch(r"[0-9a-f]{64}", record["request"]) is None:
        return "request is no sha256"
    if record["finish"] not in ("stop", "length", "filter", "rejected", "error"):
        return "finish is none of stop, length, filter, rejected, error"
    sizes = record.get("image_sizes", [])
    if not _is_list_of(sizes, lambda size: _is_list_of(size, _is_count, 2)):
        return "image_sizes is no list of two numbers each"
    if not _is_list_of(
        record.get("label_probs", []),
        lambda value: isinstance(value, float | int) and not isinstance(value, bool),
    ):
        return "label_probs is no list of numbers"
    if not _is_list_of(record.get("dropped", []), lambda name: isinstance(name, str)):
        return "dropped is no list of texts"
    usage = record.get("usage", {})
    if (
        not isinstance(usage, dict)
        or not set(usage) <= _usage_keys()
        or not all(map(_is_count, usage.values()))
    ):
        return "usage holds something else than counts of tokens"
    if "verdict" in record and not isinstance(record["verdict"], dict):
        return "verdict is no object"
    seconds = record.get("seconds", 0.0)
    if isinstance(seconds, bool) or not isinstance(seconds, float | int):
        return "seconds is no number"
    return None


def _is_list_of(value: Any, is_one: Callable[[Any], bool], length: int | None = None) -> bool:
    return isinstance(value, list) and length in (None, len(value)) and all(map(is_one, value))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 53


@cache
def _usage_keys() -> frozenset[str]:
    from nova_bench.types import Usage

    return frozenset(Usage.__slots__)
