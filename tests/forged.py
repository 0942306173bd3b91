"""Bundles as a forger makes them: a member changed, all checksums made anew and, where he takes the trouble, all numbers too."""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nova_bench.board.bundle import document_bytes
from nova_bench.board.bundle_reader import read_bundle
from nova_bench.board.contradictions import identity_stated
from nova_bench.board.pairing import pairing_of_run
from nova_bench.board.stated import shipped_task, stated_run
from nova_bench.fairness_report import fairness
from nova_bench.report import cells, report_json

Parts = dict[str, Any]
"""A bundle's members by name: documents parsed, logs and rows as lists of parsed lines."""


def parts_of(bundle: Path) -> Parts:
    """Return what a bundle holds."""
    with zipfile.ZipFile(bundle) as archive:
        content = {name: archive.read(name).decode() for name in archive.namelist()}
    return {
        name: [json.loads(line) for line in text.splitlines()]
        if name.endswith(".jsonl")
        else json.loads(text)
        for name, text in content.items()
    }


def write(parts: Parts, path: Path) -> Path:
    """Write a bundle with checksums that fit."""
    content = {
        name: b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in value)
        if name.endswith(".jsonl")
        else document_bytes(value)
        for name, value in parts.items()
        if name != "bundle.json"
    }
    files = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in content.items()
    }
    content["bundle.json"] = document_bytes({**parts["bundle.json"], "files": files})
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    return path


def forge(bundle: Path, out: Path, change: Callable[[Parts], Any], *, coherent: bool = False) -> Path:
    """Write a changed bundle.

    Args:
        bundle: An honest one.
        out: The new file.
        change: Changes the parts where they stand.
        coherent: Make counts, manifest, report, fairness and pairing anew from the changed rows and statements, as a forger can.
    """
    parts = parts_of(bundle)
    change(parts)
    if coherent:
        _mend(parts)
    return write(parts, out)


def _mend(parts: Parts) -> None:
    about, (header, *lines) = parts["bundle.json"], parts["rows.jsonl"]
    header["lines"] = len(lines)
    states = {state: sum(line["status"] == state for line in lines) for state in about["counts"]["states"]}
    samples, clusters = ({line[key] for line in lines} for key in ("id", "cluster"))
    about["counts"] = {
        "samples": len(samples),
        "lines": len(lines),
        "clusters": len(clusters),
        "states": states,
    }
    hashes = b"".join(bytes.fromhex(record["request"]) for record in parts["responses.jsonl"])
    about["scoring"]["requests"] = hashlib.sha256(hashes).hexdigest()
    for judge in about["judges"]:
        judge["lines"] = len(lines)
    parts["manifest.json"]["identity"] = identity_stated(about)
    with tempfile.TemporaryDirectory() as folder:
        scratch = write(parts, Path(folder) / "x.zip")
        read = read_bundle(scratch)
        run = stated_run(read, shipped_task(read.about), Path(folder))
        versions = parts["report.json"]["cells"][0]["signature"]["provenance"]["versions"]
        made = cells(
            run.plan,
            run.scored,
            run.model,
            **about["resampling"],
            versions=versions,
            remote_code=run.remote_code,
        )
        parts["report.json"] = report_json(run.plan, run.scored, made, run.remote_code, **about["resampling"])
        if "fairness.json" in parts:
            parts["fairness.json"] = fairness([run])
    pair_again(parts)


def pair_again(parts: Parts) -> None:
    """Make the pairing anew from the rows."""
    parts.pop("pairing.json", None)
    with tempfile.TemporaryDirectory() as folder:
        read = read_bundle(write(parts, Path(folder) / "x.zip"))
        run = stated_run(read, shipped_task(read.about), Path(folder))
        pairing = pairing_of_run(run, **read.about["resampling"])
    if pairing is not None:
        parts["pairing.json"] = pairing
