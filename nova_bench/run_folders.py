"""Which folders hold runs: those whose manifest says so. A judge's verdicts have a manifest too, wherever they lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nova_bench.errors import UsageError
from nova_bench.runlog import MANIFEST, read_manifest


def find_runs(folder: Path) -> list[Path]:
    """Return the folder itself where it holds a run, else all runs below it.

    Raises:
        UsageError: There is none, or it is a judge's folder.
        LogError: A manifest is damaged.
    """
    if (folder / MANIFEST).exists():
        check_run(folder, read_manifest(folder))
        return [folder]
    below = sorted(path.parent for path in folder.rglob(MANIFEST) if is_run(read_manifest(path.parent)))
    if not below:
        raise UsageError(
            f"no run in {folder}: it holds no {MANIFEST} of one. Give the folder that `nova-bench run ... --out` wrote"
        )
    return below


def is_run(manifest: Mapping[str, Any]) -> bool:
    """Return whether a manifest is a run's: it names what was asked of which model, and a judge's does not.

    >>> is_run({"identity": {"task": "nova_caption", "model": {}}}), is_run({"identity": {"adapter": "openai:x"}})
    (True, False)
    """
    identity = manifest.get("identity")
    return isinstance(identity, Mapping) and {"task", "model"} <= set(identity)


def check_run(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise where a folder that was given as a run's is another's.

    Args:
        folder: The folder.
        manifest: What it holds.

    Raises:
        UsageError: It is; the message has the run's where there is one above it.
    """
    if is_run(manifest):
        return
    above = [one for one in folder.resolve().parents if (one / MANIFEST).exists()]
    remedy = f"give the run's folder, {above[0]}" if above else "give the folder of a run"
    raise UsageError(f"{folder} holds a judge's verdicts; {remedy}")
