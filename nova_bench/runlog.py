"""A run's folder: the manifest, and the append-only log of responses.

Only what cost money or GPU time is durable. Each record is one ``write`` of one line; the disk is synced at most once a second and at
the end. On opening for append the log is cut back to its last newline (what was cut is kept in ``torn/``), because appending after a torn
line would destroy the next record too. A bad line in the middle is an error that names it, never skipped.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_bench.errors import IdentityError, LogError
from nova_bench.log_index import Entry, Index
from nova_bench.types import Response, Usage

if TYPE_CHECKING:
    import numpy as np

RESPONSES = "responses.jsonl"
MANIFEST = "manifest.json"

_SYNC_SECONDS = 1.0


def record_of(task: str, request_id: str, request_hash: str, response: Response) -> dict[str, Any]:
    """Return the log record of a response: what decides whether it counts comes first, what it says after."""
    usage = response.usage
    record: dict[str, Any] = {
        "id": request_id,
        "request": request_hash,
        "finish": response.finish,
        "task": task,
    }
    optional = {
        "text": response.text,
        "error": response.error,
        "reasoning": response.reasoning,
        "model": response.model,
        # The one array that is small enough for a line; others have no place here yet.
        "label_probs": [float(value) for value in response.arrays.get("label_probs", ())] or None,
        "image_sizes": [list(size) for size in response.image_sizes] or None,
        "dropped": list(response.dropped) or None,
        "usage": {key: value for key in Usage.__slots__ if (value := getattr(usage, key)) is not None}
        if usage
        else None,
        "seconds": None if response.seconds is None else round(response.seconds, 4),
    }
    record.update({key: value for key, value in optional.items() if value is not None})
    return record


def response_of(record: Mapping[str, Any]) -> Response:
    """Return the response of a log record: the inverse of `record_of`."""
    usage = record.get("usage")
    arrays: dict[str, np.ndarray] = {}
    if "label_probs" in record:
        import numpy as np

        arrays["label_probs"] = np.array(record["label_probs"], dtype=np.float64)
    return Response(
        id=record["id"],
        text=record.get("text"),
        finish=record["finish"],
        error=record.get("error"),
        reasoning=record.get("reasoning"),
        arrays=arrays,
        model=record.get("model"),
        image_sizes=tuple((int(width), int(height)) for width, height in record.get("image_sizes", ())),
        dropped=tuple(record.get("dropped", ())),
        usage=None if usage is None else Usage(**usage),
        seconds=record.get("seconds"),
    )


class RunLog:
    """The log of one run; a context manager.

    Args:
        folder: The run's folder; made when opened for append.
        append: Take the lock, mend a torn end and allow `append`; otherwise only read what is whole.
        name: The file's; a judge's log has another.

    Raises:
        LogError: Another process is writing this run, or a line in the middle is damaged.
    """

    def __init__(self, folder: Path, *, append: bool = False, name: str = RESPONSES) -> None:
        self.folder = folder
        self.path = folder / name
        self._write = -1
        self._lock_file = -1
        self._lock = threading.Lock()
        self._synced = 0.0
        if append:
            folder.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            try:
                self._write = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                self._mend()
            except BaseException:
                self.close()
                raise
        self._read = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC) if self.path.exists() else -1

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Sync what was written, and let the lock go."""
        with self._lock:
            if self._write >= 0:
                os.fsync(self._write)
            for descriptor in (self._write, self._lock_file, getattr(self, "_read", -1)):
                if descriptor >= 0:
                    os.close(descriptor)
            self._write = self._lock_file = self._read = -1

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record as one line; when this returns, a kill of this process cannot lose it.

        Raises:
            LogError: The disk is full or fails; the log ends at its last whole line.
        """
        line = json.dumps(record, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
        with self._lock:
            if self._write < 0:
                raise LogError(f"{self.path} is not open for writing")
            start = os.lseek(self._write, 0, os.SEEK_END)
            try:
                written = os.write(self._write, line)
                while written < len(
                    line
                ):  # a full disk takes part of a line first, and fails on the next write
                    written += os.write(self._write, line[written:])
                if time.monotonic() - self._synced > _SYNC_SECONDS:
                    os.fsync(self._write)
                    self._synced = time.monotonic()
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._write, start)
                raise LogError(
                    f"cannot write to {self.path}: {error.strerror or error}. What was answered before is on disk: "
                    "make room, then give the same command again"
                ) from error

    def index(self, see: Callable[[Mapping[str, Any]], None] | None = None) -> Index:
        """Return where each record lies.

        Args:
            see: Is shown every record on the way, those that count for nothing as well.

        Raises:
            LogError: A line is damaged.
        """
        index = Index()
        for entry, record in self.records():
            index.add(record["id"], entry)
            if see is not None:
                see(record)
        return index

    def records(self) -> Iterator[tuple[Entry, dict[str, Any]]]:
        """Yield every record with its place, in the order of the log.

        Raises:
            LogError: A line is damaged.
        """
        decode = (
            json.JSONDecoder().raw_decode
        )  # json.loads guesses an encoding and looks for blanks, line by line
        for number, offset, line in self._lines():
            try:
                record, end = decode(line.decode("ascii"))
                if end != len(line) - 1:
                    raise ValueError(f"something stands behind the record, from character {end + 1} on")
                entry = Entry(
                    offset, len(line), bytes.fromhex(record["request"]), record["finish"] != "error"
                )
                if not isinstance(record["id"], str):
                    raise TypeError("its id is no text")
            except (ValueError, KeyError, TypeError) as error:
                raise LogError(
                    f"{self.path} line {number} is damaged ({type(error).__name__}: {error}). Every line is one JSON record; "
                    "restore the file from a copy, or delete that line to have its sample asked again"
                ) from None
            yield entry, record

    def read(self, entry: Entry) -> Response:
        """Return the response that an index entry points to."""
        return response_of(self.record(entry))

    def record(self, entry: Entry) -> dict[str, Any]:
        """Return the record that an index entry points to."""
        found: dict[str, Any] = json.loads(os.pread(self._read, entry.length, entry.offset))
        return found

    def _lines(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield (line number, offset, line) of all whole lines; a last line without a newline is being written, or torn."""
        if not self.path.exists():
            return
        offset = 0
        with self.path.open("rb", buffering=1 << 20) as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    yield number, offset, line
                offset += len(line)

    def _take_lock(self) -> None:
        self._lock_file = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock_file)
            self._lock_file = -1
            raise LogError(
                f"another process is writing {self.folder}; wait for it, or give this run another --out"
            ) from None

    def _mend(self) -> None:
        """Cut the log back to its last newline and keep what was cut."""
        size = os.fstat(self._write).st_size
        end, tail = size, b""
        while end > 0:
            step = min(1 << 16, end)
            block = os.pread(self._write, step, end - step)
            newline = block.rfind(b"\n")
            if newline >= 0:
                tail = block[newline + 1 :] + tail
                end = end - step + newline + 1
                break
            tail = block + tail
            end -= step
        if not tail:
            return
        torn = self.folder / "torn"
        torn.mkdir(exist_ok=True)
        (torn / f"{self.path.name}.{end}").write_bytes(tail)
        os.ftruncate(self._write, end)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file so that a reader sees the old one or the new one, never a part."""
    scratch = path.with_name(path.name + ".part")
    try:
        with scratch.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=1, ensure_ascii=False, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise LogError(
            f"cannot write {path}: {error.strerror or error}; make room, then give the same command again"
        ) from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a run's folder.

    Raises:
        LogError: There is none, or it is damaged.
    """
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LogError(
            f"{folder} is no run: it has no {MANIFEST}. Give the folder that `nova-bench run ... --out` wrote"
        ) from None
    except ValueError as error:
        raise LogError(f"{path} is damaged ({error}); restore it from a copy") from error
    return manifest


def join_identity(folder: Path, identity: Mapping[str, Any], start: Mapping[str, Any]) -> dict[str, Any]:
    """Enter one more start into a run's manifest, which is made where there is none.

    Args:
        folder: The run's folder.
        identity: What decides whether the run may be continued.
        start: Command, versions, hardware, transport options of this start; never a secret.

    Returns:
        The manifest as written.

    Raises:
        IdentityError: The folder holds a run with another identity; the message lists what differs.
    """
    manifest = check_identity(folder, identity)
    if manifest is None:
        manifest = {"schema_version": 1, "identity": json.loads(json.dumps(identity)), "starts": []}
    manifest["starts"].append(dict(start))
    write_json(folder / MANIFEST, manifest)
    return manifest


def check_identity(folder: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the manifest of the run that a folder holds; None where it holds none.

    Args:
        folder: The run's folder; it need not be there.
        identity: What decides whether the run may be continued.

    Raises:
        IdentityError: The folder holds a run with another identity; the message lists what differs.
    """
    if not (folder / MANIFEST).exists():
        if (folder / RESPONSES).exists() and (folder / RESPONSES).stat().st_size:
            raise IdentityError(
                f"{folder} holds responses but no {MANIFEST}, so it cannot be told whose they are. Choose another --out"
            )
        return None
    manifest = read_manifest(folder)
    plain: dict[str, Any] = json.loads(json.dumps(identity))
    if manifest["identity"] != plain:
        different = "; ".join(_differences(manifest["identity"], plain))
        raise IdentityError(
            f"{folder} holds another run ({different}). Choose another --out, or give the command that made it"
        )
    return manifest


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key in sorted({*old, *new}):
        was, now = old.get(key), new.get(key)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            yield from _differences(was, now, f"{prefix}{key}.")
        elif was != now and prefix + key == "model.source" and was and now:
            yield "the adapter's file has changed since"
        elif was != now:
            yield f"{prefix}{key} was {_short(was)}, now {_short(now)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
