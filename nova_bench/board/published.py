"""What of a run's files may be published: its manifest and logs without paths, addresses, command lines, reasoning and words of errors.

What is left is all that scoring reads, so that a run that is put together from it gives the same rows. Only keys that are named here
are taken: what is added to a log or a manifest one day is not published until somebody says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from nova_bench.judge_log import VERDICTS
from nova_bench.plan import Plan, Unusable
from nova_bench.runlog import RunLog, read_manifest

_START = ("time", "limit", "versions", "commit", "dirty", "hardware")
_JUDGE_START = ("time", "repeats", "self", "rubrics", "versions")
_ANSWER = (
    "id",
    "request",
    "finish",
    "task",
    "text",
    "model",
    "label_probs",
    "image_sizes",
    "dropped",
    "usage",
    "seconds",
)
_VERDICT = (
    "id",
    "request",
    "finish",
    "task",
    "text",
    "model",
    "dropped",
    "usage",
    "seconds",
    "verdict",
    "fault",
)


def public_manifest(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's manifest without command lines, transport options and places on this machine; `open_run` reads it.

    Args:
        manifest: As ``manifest.json`` has it.
    """
    starts = [
        {
            **_kept(start, _START),
            "data": start["data"] if start["data"] in ("full", "mini") else "PATH",
            "price": public_price(start.get("price")),
        }
        for start in manifest["starts"]
    ]
    return {
        "schema_version": manifest["schema_version"],
        "identity": {**manifest["identity"], "task_file": None},
        "starts": starts,
    }


def public_judge_manifest(folder: Path) -> dict[str, Any]:
    """Return a judge's manifest in the same way.

    Args:
        folder: The judge's.
    """
    manifest = read_manifest(folder)
    starts = [
        {**_kept(start, _JUDGE_START), "price": public_price(start.get("price"))}
        for start in manifest["starts"]
    ]
    return {"schema_version": manifest["schema_version"], "identity": manifest["identity"], "starts": starts}


def public_price(price: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a price with the name of its file, not the file's place."""
    return None if price is None else {**price, "origin": PurePath(str(price["origin"])).name}


def public_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run has cost, by role, with public prices."""
    return {role: {**account, "price": public_price(account.get("price"))} for role, account in usage.items()}


def public_answers(plan: Plan, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a run's log that count, in the data set's order.

    Args:
        plan: The run's.
        folder: Its folder.
    """
    with RunLog(folder) as log:
        index = log.index()
        for sample in plan.samples():
            if isinstance(sample, Unusable):
                continue
            for request in plan.requests(sample):
                entry = index.find(request.id, plan.hash(request))
                if entry is not None and entry.is_final:
                    yield _kept(log.record(entry), _ANSWER)


def public_verdicts(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the verdicts and the broken answers of a judge, in the log's order; what failed counts for nothing and is left out.

    Args:
        folder: The judge's.
    """
    with RunLog(folder, name=VERDICTS) as log:
        for _, record in log.records():
            if "verdict" in record or "fault" in record:
                yield _kept(record, _VERDICT)


def _kept(record: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: record[key] for key in keys if key in record}
