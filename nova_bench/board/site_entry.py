"""A stranger's entry, read for the site: nothing of it is believed before it fits its schema, its place and its own statements."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, MutableMapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import orjson

from nova_bench.board import layout
from nova_bench.board.contradictions import embedded_digests
from nova_bench.board.entry_check import command_faults, other_run
from nova_bench.board.record import VERIFICATIONS
from nova_bench.board.zip_reader import read_regular
from nova_bench.errors import BundleError
from nova_bench.judged_rows import metric_name
from nova_bench.signature import seal

MAX_ENTRY_BYTES = 1 << 24
"""Of one entry: sixty times what a task with twenty metrics, twenty slices and five attributes takes."""
MAX_RECORD_BYTES = 1 << 20
MAX_METRICS = 300
"""Of one entry; each becomes a column."""

_LARGEST = 1e15
"""Of any number that is shown: sums and axes of larger ones overflow."""
_SLACK = 1e-9
"""How far a number may lie outside its metric's range, as a part of that: rounding."""

_SIZE = re.compile(
    r"(?<![0-9a-z.,])(\d{1,5}(?:\.\d{1,3})?)[ -]?(b|bn|billion|m|million)(?![a-z0-9])", re.IGNORECASE
)
_ADDRESS = re.compile(
    r"https?://[a-z0-9][a-z0-9.-]*(?::\d{1,5})?(?:[/?#][\w!#$%&()*+,./:;=?@~-]*)?", re.IGNORECASE | re.ASCII
)

Entry = dict[str, Any]
Protocols = MutableMapping[str, Any]


class Read(NamedTuple):
    """An entry as it was read.

    Attributes:
        entry: What it says.
        sha256: Of its file.
    """

    entry: Entry
    sha256: str


def read_entry(path: Path, *, is_synthetic: bool, protocols: Protocols) -> Read:
    """Return an entry that fits its schema and lies where it says that it belongs.

    Args:
        path: Its file: ``.../MODEL/TASK.json``.
        is_synthetic: Whether it lies among those of made-up data.
        protocols: Signature ids that were seen to be those of their protocols; is added to.

    Raises:
        BundleError: It cannot be read, is too large, or contradicts its schema, its place or itself.
    """
    data = read_regular(path, MAX_ENTRY_BYTES)
    entry = _fitting(_document(data), "entry")
    for fault in _faults(entry, path, is_synthetic, protocols):
        raise BundleError(fault)
    return Read(entry, hashlib.sha256(data).hexdigest())


def read_record(board: Path, path: Path, read: Read, *, is_synthetic: bool) -> dict[str, Any] | None:
    """Return what `nova-bench verify --record` found of an entry's bundle; None where there is no record.

    Args:
        board: The leaderboard's folder.
        path: The entry's file.
        read: The entry.
        is_synthetic: Whether it lies among those of made-up data.

    Raises:
        BundleError: The record cannot be read, or is of another bundle or another entry.
    """
    place = "/".join(path.parts[-3:])
    file = board.joinpath(VERIFICATIONS, *([layout.SYNTHETIC] if is_synthetic else []), *path.parts[-2:])
    try:
        file.lstat()
    except OSError:
        return None
    if _is_linked(board, file.parent):
        raise BundleError(f"{file.name} lies behind a link; expected a file of the leaderboard's own")
    record = _fitting(_document(read_regular(file, MAX_RECORD_BYTES)), "verification")
    if record["entry"] != place or record["bundle"]["sha256"] != read.entry["bundle"]["sha256"]:
        raise BundleError(
            "the record is of another bundle; verify the entry again with `nova-bench verify --record`"
        )
    # A bundle that was rejected is not cleared by another text of its entry.
    is_same = record["status"] == "rejected" or record["entry_sha256"] == read.sha256
    if not is_same:
        raise BundleError(
            "the entry is not the one that was verified; verify it again with `nova-bench verify --record`"
        )
    return record


@lru_cache(maxsize=4096)
def _is_linked(board: Path, folder: Path) -> bool:
    """Return whether a folder below a leaderboard is a link, or lies behind one."""
    below = folder.relative_to(board).parts
    return any(board.joinpath(*below[:n]).is_symlink() for n in range(1, len(below) + 1))


def _document(data: bytes) -> Any:
    try:
        return orjson.loads(data)  # refuses what is not finite, and halves of surrogate pairs
    except ValueError as error:
        raise BundleError(f"no JSON ({str(error)[:200]}); expected what `nova-bench submit` wrote") from None


def _fitting(document: Any, schema: str) -> dict[str, Any]:
    validator = _validator(schema)
    try:
        fault = None if validator.is_valid(document) else next(validator.iter_errors(document))
    except ValueError as error:  # nested deeper than it goes
        raise BundleError(f"cannot be checked: {str(error)[:200]}") from None
    if fault is None:
        return cast("dict[str, Any]", document)
    place = "/".join(map(str, fault.instance_path)) or "the whole"
    raise BundleError(f"{place[:200]}: {fault.message[:300]}; expected what {schema}.schema.json says")


@cache
def _validator(schema: str) -> Any:
    import jsonschema_rs

    return jsonschema_rs.Draft202012Validator(json.loads(layout.schema_path(schema).read_text("utf-8")))


def _faults(entry: Entry, path: Path, is_synthetic: bool, protocols: Protocols) -> Iterator[str]:
    """Yield where an entry contradicts its place or itself; the first is enough to leave it out."""
    task, data, metrics = entry["task"], entry["data"], entry["metrics"]
    place = layout.entry_path(entry["model"]["name"], task["spelling"], is_synthetic=data["synthetic"])
    if data["synthetic"] != is_synthetic or path.parts[-3:] != place.parts:
        yield f"lies at {'/'.join(path.parts[-3:])}, and says that it belongs at {place}"
    if (data["kind"] == "mini") != data["synthetic"]:
        yield f"data kind {data['kind']!r} with synthetic {data['synthetic']}: made-up data are `mini`, others are not"
    if not is_synthetic and data["digest"] in embedded_digests():
        yield "its data are the made-up set that comes with nova-bench, and it calls them real"
    if len(metrics) > MAX_METRICS:
        yield f"{len(metrics):,} metrics; at most {MAX_METRICS} are shown"
    compared = [] if entry["fairness"] is None else entry["fairness"]["comparisons"]
    numbers = [*entry["cells"], *compared]
    unknown = next((each["metric"] for each in numbers if each["metric"] not in metrics), None)
    if unknown is not None:
        yield f"a number of metric {unknown[:100]!r}, which is not among its metrics"
    signatures = entry["signatures"]
    for number in numbers:
        signature = signatures.get(number["signature"])
        if signature is None or signature["protocol"].get("metric") != number["metric"]:
            yield f"signature {number['signature']!r} of a number of {number['metric'][:100]!r} is missing, or of another metric"
    seen: set[tuple[str, str]] = set()
    for cell in entry["cells"]:
        key = cell["metric"], cell["slice"]
        if key in seen:
            yield f"two cells of {cell['metric'][:100]!r} on {cell['slice'][:100]!r}"
        seen.add(key)
    if (headline_of(entry), "all") not in seen:
        yield f"no cell of its headline {task['headline'][:100]!r} on all samples"
    counts = entry["counts"]
    if sum(counts["states"].values()) != counts["lines"]:
        yield f"{sum(counts['states'].values())} states of {counts['lines']} answers"
    yield from _range_faults(entry)
    for name, signature in signatures.items():
        yield from _signature_faults(name, signature, task, data, protocols)
    yield from command_faults(entry["reproduce"], task["spelling"])
    try:
        yield from other_run(entry["reproduce"], entry)
    except (AttributeError, KeyError, TypeError):  # no schema says what a judge's identity consists of
        yield "the identity of a judge has another form than runs have"


def _range_faults(entry: Entry) -> Iterator[str]:
    """Yield numbers that lie outside their metric's range: they would stand first, and no bar could show the others beside them."""
    bounds = {}
    for name, metric in entry["metrics"].items():
        if metric["range"] is not None:
            low, high = metric["range"]
            if not -_LARGEST < low < high < _LARGEST:
                yield f"the range of {name[:100]!r} is [{low:g}, {high:g}]"
            slack = _SLACK * (high - low)
            bounds[name] = low - slack, high + slack
    groups = [] if entry["fairness"] is None else entry["fairness"]["comparisons"]
    numbers = [(cell["metric"], cell) for cell in entry["cells"]]
    numbers += [(one["metric"], part) for one in groups for part in (one["overall"], *one["groups"].values())]
    for name, part in numbers:
        low, high = bounds.get(name, (-_LARGEST, _LARGEST))
        for key in ("value", "low", "high"):
            if part[key] is not None and not low <= part[key] <= high:
                yield f"a number of {name[:100]!r} is {part[key]:g}, outside the metric's range"
                return


def _signature_faults(
    name: str,
    signature: Mapping[str, Any],
    task: Mapping[str, Any],
    data: Mapping[str, Any],
    protocols: Protocols,
) -> Iterator[str]:
    """Yield where a signature is not what its id says: ids decide which numbers stand in one column."""
    protocol, text = signature["protocol"], signature["text"]
    if protocols.get(name) != (protocol, text):
        sealed = seal(protocol, {})
        if not sealed["id"] == name == signature["id"] or sealed["text"] != text:
            yield f"signature {name} is not that of its protocol"
        protocols[name] = protocol, text
    if protocol.get("task") != task["name"] or protocol.get("data") != data["digest"][:12]:
        yield f"signature {name} is of another task or other data than the entry"


def headline_of(entry: Entry) -> str:
    """Return the metric that ranks an entry: its task's headline, under the first judge's name where it needs one.

    Args:
        entry: The entry.
    """
    name = str(entry["task"]["headline"])
    judged = (metric_name(name, judge["name"]) for judge in entry["judges"])
    return next((one for one in (name, *judged) if one in entry["metrics"]), name)


def date_of(entry: Entry) -> str | None:
    """Return the day of a run's last start, ``YYYY-MM-DD``; None where the entry's is no date."""
    try:
        moment = datetime.datetime.fromisoformat(entry["dates"]["last_start"])
    except ValueError:
        return None
    return moment.date().isoformat()


def size_b(card: Mapping[str, Any], name: str) -> float | None:
    """Return a model's size in billions of parameters, from its card or else its name; None where neither says it.

    >>> size_b({"parameters": "8.3B"}, "x"), size_b({}, "acme_medvlm_450m"), size_b({}, "openai:gpt-4o")
    (8.3, 0.45, None)
    """
    for text in (card.get("parameters"), name, card.get("name")):
        found = _SIZE.search(text.replace("_", " ")) if isinstance(text, str) else None
        if found:
            size = float(found[1]) / (1 if found[2].lower().startswith("b") else 1000)
            return round(size, 6)
    return None


def has_seen(card: Mapping[str, Any], data_name: str) -> bool | None:
    """Return whether a model was trained on a data set, as its card has it; None where the card does not say on what it was trained.

    >>> has_seen({"trained_on": ["NOVA (all)"]}, "NOVA"), has_seen({"trained_on": ["Novartis"]}, "NOVA"), has_seen({}, "NOVA")
    (True, False, None)
    """
    if card.get("weights") == "none":
        return False
    listed = texts(card.get("trained_on"))
    wanted = re.findall(r"[a-z0-9]+", data_name.lower())
    words = [re.findall(r"[a-z0-9]+", one.lower()) for one in listed]
    n = len(wanted)
    if any(one[i : i + n] == wanted for one in words for i in range(len(one) - n + 1)):
        return True
    return False if listed else None


def texts(value: Any) -> list[str]:
    """Return the texts in a list of a card; cards may hold anything."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def text_of(value: Any) -> str:
    """Return a text of a card; empty where it is none."""
    return value if isinstance(value, str) else ""


def address_of(card: Mapping[str, Any]) -> str | None:
    """Return a model's address on the web, where the card has one that a page may link to.

    >>> address_of({"url": "https://example.org/m"}), address_of({"url": "javascript:alert(1)"})
    ('https://example.org/m', None)
    """
    url = text_of(card.get("url"))
    return url if len(url) <= 500 and _ADDRESS.fullmatch(url) else None
