"""Where a model of this machine comes from: a folder, or a hub repository that is downloaded at one commit.

The commit, or the digest of the folder's files, is part of a run's identity, so that answers of two checkpoints never end in one run. A
checkpoint's own Python code runs only with ``trust_remote_code``, which needs code that cannot change between two starts.
"""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nova_bench.errors import AdapterError, RemoteCodeWarning, UsageError
from nova_bench.hub import fetch_model

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A checkpoint that is complete on this machine."""

    name: str
    """As the user wrote it."""
    path: Path
    """A folder with config.json, weights, tokenizer and processor."""
    commit: str | None
    """Of the hub's repository; None for a folder."""
    weights: str | None
    """sha256 over a folder's files; None for a hub commit."""
    trust_remote_code: bool = False

    @property
    def shown(self) -> str:
        """What results call it: the repository, or the folder's own name without the way to it."""
        return self.name if self.commit is not None else self.path.name

    def identity(self) -> dict[str, Any]:
        """Return what decides whether a run may be continued, in place of the options ``model`` and ``revision``.

        A folder may be moved and a branch written as its commit; the content may not change.
        """
        return {
            "model": self.shown,
            "revision": self.commit,
            "weights": self.weights,
            "trust_remote_code": self.trust_remote_code,
        }


def find_model(model: str, *, revision: str = "", trust_remote_code: bool = False) -> LocalModel:
    """Return a checkpoint, downloaded if it is not here yet.

    Args:
        model: An existing folder, a text that begins with ``/``, ``.`` or ``~``, or ``owner/name`` of the hub.
        revision: Branch, tag or commit of the hub's repository; ``main`` by default.
        trust_remote_code: Whether the checkpoint's own Python code may run. It needs a commit as `revision`, or a folder.

    Raises:
        UsageError: The name or the revision does not fit.
        AdapterError: The folder holds no checkpoint, or the hub does not give it.
    """
    if not model:
        raise UsageError("which model? name a folder or a repository of the hub: --model ADAPTER:OWNER/NAME")
    folder = Path(model).expanduser()
    if folder.is_dir() or model.startswith(("/", ".", "~")):
        return _in_folder(model, folder, revision, trust_remote_code)
    if not _REPOSITORY.fullmatch(model):
        raise UsageError(
            f"model {model!r}: there is no such folder, and a model of the hub is named OWNER/NAME"
        )
    if trust_remote_code and not _COMMIT.fullmatch(revision):
        raise UsageError(
            f"trust_remote_code=true runs Python code of {model} on this machine, so it needs the commit whose code you have read: "
            f"-o revision=COMMIT with its 40 digits (got {revision or 'none'!r}); a branch or tag can be moved to other code"
        )
    path = fetch_model(model, revision or "main")
    _check(path, model)
    found = LocalModel(model, path, path.name, None, trust_remote_code)
    _warn(found)
    return found


def _in_folder(model: str, folder: Path, revision: str, trust_remote_code: bool) -> LocalModel:
    if not folder.is_dir():
        raise UsageError(f"model folder {model} does not exist; expected a folder with a config.json")
    if revision:
        raise UsageError(
            f"revision={revision!r}: {model} is a folder, and only a model of the hub has revisions"
        )
    folder = folder.resolve()
    _check(folder, model)
    found = LocalModel(model, folder, None, "", trust_remote_code)
    _warn(found)
    return found


def _check(folder: Path, model: str) -> None:
    if not (folder / "config.json").is_file():
        raise AdapterError(
            f"{model} holds no config.json, so it is no checkpoint that transformers or vLLM can load"
        )


def _warn(model: LocalModel) -> None:
    if model.trust_remote_code:
        warnings.warn(
            f"trust_remote_code=true: Python code that comes with {model.name} runs on this machine",
            RemoteCodeWarning,
            stacklevel=3,
        )
