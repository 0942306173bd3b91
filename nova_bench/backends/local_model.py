"""Where a model of this machine comes from: a folder, or a hub repository that is downloaded at one commit.

The commit, or the digest of the folder's files, is part of a run's identity, so that answers of two checkpoints never end in one run. A
checkpoint's own Python code runs only with ``trust_remote_code``, which needs code that cannot change between two starts.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nova_bench.backends.checkpoint import check_checkpoint, foreign_code, needed_files
from nova_bench.backends.weights_digest import weights_digest
from nova_bench.errors import AdapterError, NovaBenchError, RemoteCodeWarning, UsageError
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

    With `trust_remote_code` a `RemoteCodeWarning` says, before anything of it runs, whose code will.

    Args:
        model: An existing folder, a text that begins with ``/``, ``.`` or ``~``, or ``owner/name`` of the hub.
        revision: Branch, tag or commit of the hub's repository; ``main`` by default.
        trust_remote_code: Whether the checkpoint's own Python code may run. It needs a commit as `revision`, or a folder.

    Raises:
        UsageError: The name or the revision does not fit.
        AdapterError: The folder holds no checkpoint, or the hub does not give it.
    """
    if not model:
        raise UsageError(
            "which model? a folder, or OWNER/NAME of the hub: ADAPTER:OWNER/NAME, or -o model=FOLDER"
        )
    folder = Path(model).expanduser()
    if folder.is_dir() or model.startswith(("/", ".", "~")):
        if not folder.is_dir():
            raise UsageError(f"model folder {model} does not exist; expected a folder with a config.json")
        if revision:
            raise UsageError(
                f"revision={revision!r}: {model} is a folder here, and only a model of the hub has revisions"
            )
        folder = folder.resolve()
        check_checkpoint(folder, model)
        found = LocalModel(model, folder, None, weights_digest(folder), trust_remote_code)
    else:
        found = _from_hub(model, revision, trust_remote_code)
    if trust_remote_code:
        _say_what_runs(found)
    return found


def _from_hub(model: str, revision: str, trust_remote_code: bool) -> LocalModel:
    if not _REPOSITORY.fullmatch(model):
        raise UsageError(
            f"model {model!r}: there is no such folder here, and a model of the hub is named OWNER/NAME"
        )
    if trust_remote_code and not _COMMIT.fullmatch(revision):
        raise UsageError(
            f"trust_remote_code=true runs the Python code of {model} on this machine, so it needs the commit whose code you have read: "
            f"-o revision=COMMIT, 40 digits (got {revision or 'none'}). A branch or tag can be moved to other code"
        )

    def is_complete(folder: Path) -> bool:
        try:
            check_checkpoint(folder, model)
        except NovaBenchError:
            return False
        return True

    path = fetch_model(
        model,
        revision or "main",
        choose=lambda names: needed_files(names, model),
        is_complete=is_complete,
        ways="A folder works too: --model ADAPTER:/PATH/TO/FOLDER.",
    )
    check_checkpoint(path, model)
    return LocalModel(model, path, path.name, None, trust_remote_code)


def _say_what_runs(model: LocalModel) -> None:
    """Warn of the code that runs, and refuse code that no revision pins."""
    foreign = foreign_code(model.path)
    if foreign:
        raise AdapterError(
            f"{model.name} takes Python code from another repository ({', '.join(foreign)}), and no revision pins what stands there. "
            "Put that code into a folder with the model, refer to it without '--' in auto_map, and give that folder"
        )
    pinned = f"commit {model.commit}" if model.commit else f"files' sha256 {model.weights}"
    own = sorted(str(path.relative_to(model.path)) for path in model.path.rglob("*.py"))
    code = ", ".join(own[:8]) + (", ..." if len(own) > 8 else "")
    warnings.warn(
        f"trust_remote_code=true: Python code that comes with {model.name} ({pinned}; {code or 'it has none'}) runs on this machine with "
        "your rights: it can read, change and send whatever you can. Allow it only for code that you have read. It is noted with every "
        "number of this run",
        RemoteCodeWarning,
        stacklevel=3,
    )
