"""Submitting: a run becomes a bundle and an entry below the leaderboard's folder, or a list of all that it lacks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nova_bench.board import layout
from nova_bench.board.adapter_check import Checks, Gap, check_gaps, find_adapter, read_check
from nova_bench.board.bundle import Forbidden, described, document_bytes, members, write_bundle
from nova_bench.board.bundle_reader import read_bundle
from nova_bench.board.entry import entry_of
from nova_bench.board.entry_check import command_faults, other_run
from nova_bench.board.pairing import pairing_of_run
from nova_bench.board.ready import gaps, warnings
from nova_bench.board.recompute import check_rows
from nova_bench.catalog import Found
from nova_bench.conformance import key_variables
from nova_bench.counterfactual import SWAPPED, demographics_of
from nova_bench.errors import BundleError, NovaBenchError, UsageError
from nova_bench.fairness_report import fairness
from nova_bench.prepare import Settings
from nova_bench.run import Run
from nova_bench.run_list import Runs, opened_runs
from nova_bench.runlog import read_manifest
from nova_bench.source_file import printable

SCHEMA_VERSION = 1
_SAME = ("name", "options", "params", "repeats", "frame", "think")
"""What of two entries' models has to be the same for one to take the other's place."""


def submit(
    runs: Runs,
    *,
    out: Path | str = "leaderboard",
    with_answers: bool = False,
    check: Path | str | None = None,
    options: Mapping[str, str] | None = None,
    adapter: Path | str | None = None,
    replace: bool = False,
    dry_run: bool = False,
    data: str | None = None,
    settings: Settings | None = None,
    watch: Callable[[str], None] = lambda sentence: None,
) -> dict[str, Any]:
    """Write a bundle and an entry of each run that is fit, and say of the others all that they lack.

    Args:
        runs: Runs, or their folders, or folders with runs below them.
        out: The leaderboard's folder; entries of made-up data go below ``synthetic``, others below ``entries``.
        with_answers: Of gated data: whether the model's answers and judges' verdicts are published. Of other data they always are.
        check: What ``nova-bench check ADAPTER --json`` printed, for the runs' adapter as it is; by default each adapter is checked now.
        options: Options for that check which a manifest does not have: a file's path, a server's address.
        adapter: The adapter's file, for a run from Python whose model was given by its path: the manifest has no command then.
        replace: Whether an entry of the same name with other options may be replaced.
        dry_run: Write nothing and run no adapter; only say what is missing.
        data: Where the data set is now, for runs that are given as folders.
        settings: Cache and configuration folders.
        watch: Called with sentences on how far it is.

    Returns:
        A document: ``submitted`` and ``refused``, one record a run; of the refused ones ``missing``, each with ``what`` and ``remedy``.

    Raises:
        UsageError: There is no run, one stands twice, or two would be one entry.
        NovaBenchError: A run cannot be read, or what is written would hold a key or a place on this machine.

    >>> submit([])
    Traceback (most recent call last):
    nova_bench.errors.UsageError: no run was given
    """
    opened = opened_runs(runs, data=data, settings=settings)
    root = Path(out)
    checks = Checks(
        saved=None if check is None else read_check(Path(check)),
        options=options or {},
        is_dry=dry_run,
        adapter=None if adapter is None else Path(adapter),
        watch=watch,
    )
    _check_places(opened)
    submitted, refused = [], []
    for run in opened:
        about = {"task": run.plan.spelling, "model": run.model, "folder": str(run.folder)}
        watch(f"{run.plan.spelling}, {run.model}: reading")
        manifest, report = read_manifest(run.folder), run.report()
        entry = root / layout.entry_path(
            run.model, run.plan.spelling, is_synthetic=run.plan.data.is_synthetic
        )
        missing = [*gaps(run, manifest, report), *_in_the_way(entry, run, manifest, may_replace=replace)]
        found = find_adapter(manifest, checks.adapter)
        missing += [found] if isinstance(found, Gap) else check_gaps(found, manifest, checks)
        if missing or isinstance(found, Gap):
            said = [{"what": gap.what, "remedy": gap.remedy} for gap in missing]
            refused.append({**about, "missing": said})
            continue
        has_answers = with_answers or not run.plan.data.is_gated
        record = {
            **about,
            "entry": str(entry),
            "bundle": str(layout.bundle_of(entry)),
            "synthetic": run.plan.data.is_synthetic,
            "with_answers": has_answers,
            "warnings": warnings(run, manifest),
        }
        if not dry_run:
            watch(f"{run.plan.spelling}, {run.model}: writing {entry}")
            document = checks.saved or checks.last
            record |= _write(run, manifest, report, found, document, entry, with_answers=has_answers)
        submitted.append(record)
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "submission",
        "dry_run": dry_run,
        "submitted": submitted,
        "refused": refused,
    }


def _check_places(runs: Sequence[Run]) -> None:
    """Refuse two runs that would be one entry."""
    places: dict[str, Run] = {}
    for run in runs:
        place = str(layout.entry_path(run.model, run.plan.spelling, is_synthetic=run.plan.data.is_synthetic))
        if place in places:
            raise UsageError(
                f"{places[place].folder} and {run.folder} are both {run.model} on {run.plan.spelling}, which is one entry; submit one of them"
            )
        places[place] = run


def _in_the_way(entry: Path, run: Run, manifest: Mapping[str, Any], *, may_replace: bool) -> list[Gap]:
    """Return what is wrong with an entry that is there already: it is another model's, or the same one's with other options."""
    if not entry.exists():
        return []
    try:
        known = json.loads(entry.read_text(encoding="utf-8"))["model"]
        there = {key: known[key] for key in _SAME}
    except (OSError, ValueError, KeyError, TypeError):
        return [Gap(f"{entry} is there and is no entry", "move it away, or give another --out")]
    identity = manifest["identity"]
    mine = {
        **{key: identity[key] for key in ("params", "repeats", "frame", "think")},
        "name": run.model,
        "options": identity["model"]["options"],
    }
    if there["name"] != run.model:
        return [Gap(f"{entry} is the entry of {printable(str(there['name']), 100)}", "give another --out")]
    if there != mine and not may_replace:
        differing = ", ".join(key for key in _SAME if there[key] != mine[key])
        return [
            Gap(
                f"{entry} is an entry of the same model with other {differing}",
                "give --replace, or write the other setting as an adapter file of its own, with these as its defaults",
            )
        ]
    return []


def _write(
    run: Run,
    manifest: Mapping[str, Any],
    report: Mapping[str, Any],
    found: Found,
    check: Mapping[str, Any],
    entry: Path,
    *,
    with_answers: bool,
) -> dict[str, Any]:
    """Write a bundle and its entry; what stood in their places stays until both are whole."""
    fair = _fairness(run)
    description = described(run, manifest, report, found, check, with_answers=with_answers)
    pairing = pairing_of_run(run, **description["resampling"])
    forbidden = Forbidden(
        {f"the value of {name}": os.environ[name].strip() for name in key_variables(_key_env(manifest))},
        _places(run),
    )
    bundle = layout.bundle_of(entry)
    metrics = [*run.plan.task.plain_metrics, *(one.metric for one in run.judged_metrics)]
    scratch = {path: path.with_name(path.name + ".part") for path in (bundle, entry)}
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        parts = members(run, manifest, report, fair, pairing, with_answers=with_answers)
        written = write_bundle(scratch[bundle], description, parts, forbidden)
        made = entry_of(
            description, report, fair, pairing, metrics=metrics, bundle={"file": bundle.name, **written}
        )
        content = document_bytes(made)
        forbidden.check(entry.name, content)
        scratch[entry].write_bytes(content)
        _check_as_a_reader(scratch[bundle], str(made["reproduce"]))
        for path, whole in scratch.items():
            whole.replace(path)
    except OSError as error:
        raise NovaBenchError(f"cannot write {entry.parent}: {error.strerror or error}") from error
    finally:
        for path in scratch.values():
            path.unlink(missing_ok=True)
    return {
        "sha256": written["sha256"],
        "bytes": written["bytes"],
        "cells": len(report["cells"]),
        "members": [*written["files"], layout.BUNDLE],
    }


def _check_as_a_reader(bundle: Path, command: str) -> None:
    """Read what was written as whoever verifies it will, so that a bundle which would be rejected is never handed out.

    Its numbers are made from its rows too: a metric that reads what is in none of its columns is found by its author, not by a verifier.

    Args:
        bundle: The bundle.
        command: The entry's, which makes the run again.

    Raises:
        NovaBenchError: It would be rejected; the message says why.
    """
    try:
        read = read_bundle(bundle)
        reasons = check_rows(read)[0].reasons
        reasons += command_faults(command, read.about["task"]["spelling"])
        reasons += other_run(command, read.about) if not reasons else ()
    except BundleError as error:
        reasons = [str(error)]
    if reasons:
        raise NovaBenchError(
            f"nothing was written: `nova-bench verify` would reject it ({'; '.join(reasons[:5])}). Mend the run where that is its setting; "
            "otherwise tell nova-bench's authors"
        )


def _fairness(run: Run) -> dict[str, Any] | None:
    """Return a run's fairness document without its folder; None where its task has no demographics, or it is half of a comparison."""
    if not run.plan.task.demographics or demographics_of(run.plan.variant) == SWAPPED:
        return None
    made = fairness(run)
    return {**made, "runs": [{**about, "folder": ""} for about in made["runs"]]}


def _key_env(manifest: Mapping[str, Any]) -> str:
    """Return the name of the variable that the adapter's key was read from, where an option gives it."""
    known = {**(manifest["starts"][-1].get("transport") or {}), **manifest["identity"]["model"]["options"]}
    return str(known.get("key_env") or "")


def _places(run: Run) -> dict[str, str]:
    """Return the places on this machine that no document may name."""
    named = {
        "the run's folder": run.folder.resolve(),
        "the folder that the command was given in": Path.cwd(),
        "the user's home": Path.home(),
        "the data set's folder": run.plan.data.folder.resolve(),
    }
    return {name: str(path) for name, path in named.items() if len(path.parts) > 1}
