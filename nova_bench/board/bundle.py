"""A run as one zip file: what it is of, its rows, its answers and verdicts, and the checksum of each; the same bytes whenever it is made.

No pictures, no prompts, no private files of judges, no paths or addresses. Of gated data no groups and no ids in the rows; answers and
verdicts only where the submitter says so.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nova_bench.adapter import read_card
from nova_bench.board import layout
from nova_bench.board.entry import command_of
from nova_bench.board.published import (
    public_answers,
    public_judge_manifest,
    public_manifest,
    public_usage,
    public_verdicts,
)
from nova_bench.board.ready import is_stand_in
from nova_bench.board.rows_file import masked, write_rows
from nova_bench.catalog import Found
from nova_bench.errors import NovaBenchError
from nova_bench.run import Run
from nova_bench.stats import RESAMPLES
from nova_bench.types import STATUSES, Card

SEED = 0
_TIME = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16


class Forbidden:
    """Texts that may stand in no member, with what to call each.

    Args:
        keys: Name of an environment variable to its value; no member may hold one.
        places: What a place on this machine is, to its path; no member but the answers may hold one, as a model may write anything.
    """

    def __init__(self, keys: Mapping[str, str], places: Mapping[str, str]) -> None:
        self._keys = {name: _forms(value) for name, value in keys.items()}
        self._places = {name: _forms(value) for name, value in places.items()}

    def check(self, member: str, line: bytes) -> None:
        """Look at a line, or a whole document.

        Args:
            member: Whose it is.
            line: Its bytes.

        Raises:
            NovaBenchError: It holds one; the message does not.
        """
        is_free_text = member == layout.RESPONSES or member.endswith(layout.VERDICTS)
        searched = [self._keys] if is_free_text else [self._keys, self._places]
        for texts in searched:
            for name, forms in texts.items():
                if any(form in line for form in forms):
                    raise NovaBenchError(
                        f"{member} would hold {name}; nothing was written. Take it out of the run (of a model's answer: delete the record "
                        "and ask again), then submit again"
                    )


def _forms(text: str) -> tuple[bytes, ...]:
    """Return a text as it may stand in JSON."""
    return tuple(
        {json.dumps(text, ensure_ascii=is_ascii)[1:-1].encode() for is_ascii in (True, False)}
        | {text.encode()}
    )


def described(
    run: Run,
    manifest: Mapping[str, Any],
    report: Mapping[str, Any],
    found: Found,
    check: Mapping[str, Any],
    *,
    with_answers: bool,
) -> dict[str, Any]:
    """Return ``bundle.json`` without its checksums.

    Args:
        run: The run.
        manifest: Its manifest.
        report: Its report, by default resamples and seed.
        found: Its adapter.
        check: The document of the check that the adapter passed.
        with_answers: Whether answers and verdicts are in the bundle.
    """
    plan, scored, identity = run.plan, run.scored, manifest["identity"]
    table, starts = scored.table, manifest["starts"]
    return {
        "schema_version": layout.BUNDLE_VERSION,
        "kind": "bundle",
        "task": {
            "name": plan.task.name,
            "spelling": plan.spelling,
            "version": plan.task.version,
            "variant": dict(plan.variant),
            "headline": plan.task.headline,
        },
        "model": {
            "name": run.model,
            "source": identity["model"]["source"],
            "options": identity["model"]["options"],
            "params": identity["params"],
            "repeats": plan.repeats,
            "frame": identity["frame"],
            "think": identity["think"],
            "card": card_json(read_card(found.header(), found.name)),
            "answered_as": dict(scored.models),
            "remote_code": None if run.remote_code is None else dict(run.remote_code),
        },
        "data": {
            "name": plan.task.data.name,
            "kind": plan.data.kind,
            "digest": plan.data.digest,
            "revision": plan.data.revision,
            "gated": run.plan.data.is_gated,
            "synthetic": plan.data.is_synthetic,
        },
        "limit": starts[-1]["limit"],
        "counts": {
            "samples": len(set(table.id)),
            "lines": len(table),
            "clusters": len(set(table.cluster)),
            "states": {status: int((table.status == status).sum()) for status in STATUSES},
        },
        "scoring": {
            "template": scored.template_hash,
            "requests": scored.requests_hash,
            "split": scored.split,
            "scorers": dict(scored.scorer_versions),
            "missing": dict(scored.missing),
            "warnings": dict(scored.warnings),
            "dropped": dict(scored.dropped),
        },
        "resampling": {"resamples": RESAMPLES, "seed": SEED},
        "judges": _judges(run, report),
        "check": {
            "passed": check["passed"],
            "adapter": found.name,
            "source": check["source"],
            "options": check["options"],
        },
        "with_answers": with_answers,
        "masked": run.plan.data.is_gated,
        "usage": public_usage(run.usage()),
        "dates": {
            "first_start": starts[0]["time"],
            "last_start": starts[-1]["time"],
            "starts": len(starts),
            "commit": starts[-1].get("commit"),
            "dirty": starts[-1].get("dirty"),
        },
        "versions": starts[-1]["versions"],
        "reproduce": command_of(run, manifest, found),
    }


def card_json(card: Card) -> dict[str, Any]:
    """Return an adapter's card, without what is the run's (frame, reasoning tags) and what concerns one machine.

    Args:
        card: The card.
    """
    left_out = ("frame", "think", "transport", "stream", "only_judges")
    values = {field.name: getattr(card, field.name) for field in dataclasses.fields(card)}
    plain = json.dumps({key: value for key, value in values.items() if key not in left_out}, default=str)
    return dict(json.loads(plain))


def _judges(run: Run, report: Mapping[str, Any]) -> list[dict[str, Any]]:
    by_name = {judge["name"]: judge for judge in report["judges"]}
    said = []
    for account in run.scored.judges.values():
        known = by_name[account.asked.name]
        shared = ("name", "repeats", "self", "rubrics", "models", "dropped", "lines")
        counts = ("unjudged", "verdicts", "unjudged_verdicts", "calibration")
        said.append(
            {
                **{key: known[key] for key in shared},
                "folder": account.asked.folder.name,
                "identity": dict(account.asked.identity),
                "stand_in": is_stand_in(account.asked.identity),
                **{key: known[key] for key in counts},
            }
        )
    return said


def members(
    run: Run,
    manifest: Mapping[str, Any],
    report: Mapping[str, Any],
    fairness: Mapping[str, Any] | None,
    pairing: Mapping[str, Any] | None,
    *,
    with_answers: bool,
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield name and pieces of every member but ``bundle.json``.

    Args:
        run: The run.
        manifest: Its manifest.
        report: Its report.
        fairness: Its fairness document; None where the task has no demographics.
        pairing: Of `nova_bench.board.pairing.pairing_of_run`.
        with_answers: Whether answers and verdicts are among them.
    """
    yield layout.MANIFEST, iter([document_bytes(public_manifest(manifest))])
    yield layout.REPORT, iter([document_bytes(report)])
    if fairness is not None:
        yield layout.FAIRNESS, iter([document_bytes(fairness)])
    if pairing is not None:
        yield layout.PAIRING, iter([document_bytes(pairing)])
    yield layout.ROWS, (line.encode() + b"\n" for line in row_lines(run))
    judges = [account.asked.folder for account in run.scored.judges.values()]
    for folder in sorted(judges, key=lambda folder: folder.name):
        yield (
            f"{layout.JUDGES}/{folder.name}/{layout.MANIFEST}",
            iter([document_bytes(public_judge_manifest(folder))]),
        )
        if with_answers:
            yield f"{layout.JUDGES}/{folder.name}/{layout.VERDICTS}", _lines(public_verdicts(folder))
    if with_answers:
        yield layout.RESPONSES, _lines(public_answers(run.plan, run.folder))


def row_lines(run: Run) -> Iterator[str]:
    """Yield the lines of a run's ``rows.jsonl``, masked where its data are gated: a reader who has the data makes them too and compares.

    Args:
        run: The run.
    """
    scored, hides = run.scored, run.plan.data.is_gated
    table, worst, best = (
        masked(one) if one is not None and hides else one for one in (scored.table, scored.worst, scored.best)
    )
    assert table is not None  # only worst and best may be
    yield from write_rows(table, worst, best, is_masked=hides)


def _lines(records: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    for record in records:
        yield json.dumps(record, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def document_bytes(value: Any) -> bytes:
    """Return a JSON document as a bundle and an entry hold it."""
    return (
        json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")
        + b"\n"
    )


def write_bundle(
    path: Path,
    description: Mapping[str, Any],
    parts: Iterable[tuple[str, Iterator[bytes]]],
    forbidden: Forbidden,
) -> dict[str, Any]:
    """Write a bundle, and return its ``sha256``, its size in ``bytes`` and its ``files``.

    Args:
        path: The file; what stands there is overwritten.
        description: Of `described`.
        parts: Of `members`.
        forbidden: What no member may hold.

    Raises:
        NovaBenchError: A member holds what it must not, or is too large for a reader.
        OSError: The disk is full or fails.
    """
    files: dict[str, dict[str, Any]] = {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, pieces in parts:
            files[name] = _write_member(archive, name, pieces, forbidden)
        whole = {**description, "files": files}
        _write_member(archive, layout.BUNDLE, iter([document_bytes(whole)]), forbidden)
    size, total = path.stat().st_size, sum(file["bytes"] for file in files.values())
    if size > layout.MAX_BUNDLE_BYTES or total > layout.MAX_TOTAL_BYTES:
        raise NovaBenchError(
            f"the bundle has {size:,} bytes, {total:,} unpacked; nobody reads more than {layout.MAX_BUNDLE_BYTES:,} and "
            f"{layout.MAX_TOTAL_BYTES:,}"
        )
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": size, "files": files}


def _write_member(
    archive: zipfile.ZipFile, name: str, pieces: Iterator[bytes], forbidden: Forbidden
) -> dict[str, Any]:
    """Write one member and return its checksum and size."""
    info = zipfile.ZipInfo(name, _TIME)
    info.compress_type, info.external_attr, info.create_system = zipfile.ZIP_DEFLATED, _MODE, 3
    is_log = name.endswith(".jsonl")
    longest = layout.MAX_LINE_BYTES if is_log else layout.MAX_DOCUMENT_BYTES
    hasher, size, n_pieces = hashlib.sha256(), 0, 0
    with archive.open(info, "w") as member:
        for piece in pieces:
            n_pieces += 1
            if len(piece) > longest or n_pieces > layout.MAX_LINES:
                raise NovaBenchError(
                    f"{name} is larger than a reader takes: {len(piece):,} bytes in line {n_pieces:,}"
                )
            forbidden.check(name, piece)
            member.write(piece)
            hasher.update(piece)
            size += len(piece)
    return {"sha256": hasher.hexdigest(), "bytes": size}
