"""The sha256 of a checkpoint folder, with what was hashed once remembered: 16 GB take ten seconds and more at each start otherwise."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nova_bench.backends.checkpoint import parts_of
from nova_bench.errors import AdapterError

_RACY_NS = 2_000_000_000  # a second change within the clock's grain would go unseen
_INDEX = "nova_bench_weights.json"


def weights_digest(folder: Path, index: Path | None = None) -> str:
    """Return the sha256 over names and contents of a checkpoint's files, hex.

    Left out is what cannot change an answer: documentation, pictures, hidden files, copies for other libraries, a training's state.

    Args:
        folder: The checkpoint.
        index: Where digests are remembered by path, size and times of change; beside the hub's cache by default. One that cannot be
            read or written costs time and nothing else.

    Raises:
        AdapterError: A file cannot be read.
    """
    if index is None:
        from huggingface_hub import constants

        index = Path(constants.HF_HOME) / _INDEX
    known = _read(index)
    paths = list(parts_of(folder))
    try:
        stats = [path.stat() for path in paths]
        # ctime too: of another checkpoint with the same shapes, unpacked with its time, size and mtime can be the same.
        stamps = [[stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for stat in stats]
        fresh = [i for i, path in enumerate(paths) if known.get(str(path), ())[:3] != stamps[i]]
        with ThreadPoolExecutor(4, thread_name_prefix="digest") as pool:
            hashed = dict(zip(fresh, pool.map(_sha256, [paths[i] for i in fresh]), strict=True))
    except OSError as error:
        raise AdapterError(f"{error.filename or folder} cannot be read: {error.strerror or error}") from error
    digests = [hashed[i] if i in hashed else str(known[str(path)][3]) for i, path in enumerate(paths)]
    old_enough = [i for i in fresh if time.time_ns() - stamps[i][1] > _RACY_NS]
    if old_enough:
        _write(index, {**known, **{str(paths[i]): [*stamps[i], hashed[i]] for i in old_enough}})
    whole = hashlib.sha256()
    for path, digest in zip(paths, digests, strict=True):
        whole.update(f"{path.relative_to(folder).as_posix()}\n{digest}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(index: Path) -> dict[str, list[int | str]]:
    with contextlib.suppress(OSError, ValueError):
        value = json.loads(index.read_bytes())
        if isinstance(value, dict):
            return {key: entry for key, entry in value.items() if isinstance(entry, list) and len(entry) == 4}
    return {}


def _write(index: Path, known: dict[str, list[int | str]]) -> None:
    with contextlib.suppress(OSError):
        index.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=index.parent, prefix=f".{index.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(known, file)
            os.replace(scratch, index)
        except BaseException:
            os.unlink(scratch)
            raise
