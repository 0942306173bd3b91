"""A response cache across runs: what one run paid for, another with the same request to the same model need not ask again.

One file an answer, ``DIR/ab/abcdef....json``, written beside its place and renamed: several runs, also on several machines with one
network file system, share a folder without locks, and a kill leaves a whole file or none. A file carries a digest of what it holds; one
that is damaged is ignored, said once, and written anew.

Only final outcomes are in it, never a failure; no picture and no prompt, only their sha256; no server's error that quotes the prompt; of
gated data no word of an error, no answer that quotes a long piece of its prompt, and no reasoning. Keys are in no answer (backends cut
them out) and in no identity (they come from the environment).
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path

from nova_bench.adapter import ENGINE_OPTIONS, Model
from nova_bench.answer_privacy import split_answer
from nova_bench.discreet import without_quotes
from nova_bench.errors import UsageError
from nova_bench.runlog import record_of, response_of
from nova_bench.signature import digest
from nova_bench.types import Request, Response

_FORMAT = 1
_QUOTE_IN_ANSWER = 200
_QUOTE_IN_ERROR = 24
"""Characters in a row of a gated prompt: as in `nova_bench.discreet`, where the reasons stand."""


class ResponseCache:
    """Answers of earlier runs, by what was asked and whom.

    What is a key: the request's hash (texts, pictures, system, parameters), its repeat, and the adapter: its source, the model, and every
    option that the adapter does not declare as transport. Box frame and think tags are not: the first stands in the prompt, the second is
    about reading. An address is transport, so two servers that give different models one name need two folders.

    Args:
        folder: The cache's folder; made where it is not there.
        model: Whose answers.
        is_gated: Whether the prompts hold what is given to approved accounts only.
        is_written: False where it is only looked into.

    Raises:
        UsageError: The folder cannot be written.
    """

    def __init__(self, folder: Path, model: Model, *, is_gated: bool, is_written: bool = True) -> None:
        self.folder = folder
        self._is_gated, self._model = is_gated, model.name
        self._adapter = {
            "model": model.name,
            "source": model.source,
            "options": {
                key: value for key, value in sorted(model.identity.items()) if key not in ENGINE_OPTIONS
            },
        }
        self.damaged = 0
        """Entries that could not be read."""
        self.unwritten: str | None = None
        """Why an answer could not be kept, if one could not."""
        if not is_written:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise UsageError(
                f"--cache {folder} cannot be written: {error.strerror or error}; give another folder"
            ) from None

    def key(self, request: Request, request_hash: bytes) -> str:
        """Return the key of a request: 64 hex digits."""
        return digest(
            {
                "format": _FORMAT,
                "request": request_hash.hex(),
                "repeat": request.repeat,
                "adapter": self._adapter,
            }
        )

    def find(self, request: Request, request_hash: bytes) -> Response | None:
        """Return the answer to a request, with this request's id; None where there is none that can be trusted."""
        key = self.key(request, request_hash)
        try:
            entry = json.loads(self._path(key).read_bytes())
            record = entry["record"]
            if entry["key"] != key or entry["sha256"] != digest(record) or record["finish"] == "error":
                raise ValueError("not what was written")
            return response_of({**record, "id": request.id})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.damaged += 1
            return None

    def put(self, request: Request, request_hash: bytes, response: Response) -> None:
        """Keep an answer, if it is final; a disk that fails costs the entry, never the run."""
        if response.finish == "error" or response.arrays:
            return
        record = record_of("", request.id, request_hash.hex(), response)
        if self._is_gated:
            if _quotes(response.text or "", request, _QUOTE_IN_ANSWER):
                return
            record, _ = split_answer(record, request, self._model)
            record.pop("reasoning", None)
        elif response.error:
            record["error"] = _without_prompt(response.error, request)
        for name in ("id", "task"):  # another task or sample that asks the same may have the answer
            del record[name]
        key = self.key(request, request_hash)
        entry = {"key": key, "sha256": digest(record), "record": record}
        path = self._path(key)
        scratch = path.with_name(f".{key}.{os.getpid()}.part")
        try:
            path.parent.mkdir(exist_ok=True)
            scratch.write_text(json.dumps(entry, separators=(",", ":"), allow_nan=False), encoding="ascii")
            scratch.replace(path)
        except OSError as error:
            self.unwritten = self.unwritten or f"{error.strerror or error}"
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)

    def notes(self) -> list[str]:
        """Return what the user should know after a run."""
        told = []
        if self.damaged:
            told.append(
                f"{self.damaged} damaged entries of the response cache {self.folder} were ignored and asked again"
            )
        if self.unwritten is not None:
            told.append(
                f"answers could not be kept in the response cache {self.folder}: {self.unwritten}; they are in the run's log"
            )
        return told

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def _texts(request: Request) -> list[str]:
    return [text for text in (request.system or "", request.text) if text]


def _quotes(text: str, request: Request, shortest: int) -> bool:
    return any(
        text[at : at + shortest] in asked
        for asked in _texts(request)
        for at in range(max(0, len(text) - shortest + 1))
    )


def _without_prompt(text: str, request: Request) -> str:
    for asked in _texts(request):
        text = without_quotes(text, asked, _QUOTE_IN_ERROR)
    return text


def check_cacheable(model: object) -> None:
    """Refuse a response cache for an adapter that is an object or a function: what it was made with cannot be seen.

    Raises:
        UsageError: The model is neither a name nor one that `nova_bench.load_model` made.
    """
    if not isinstance(model, (str, Model)):
        raise UsageError(
            f"a response cache needs a model that is given by name or path, got a {type(model).__name__}: what an object was made with, or a "
            "function refers to, cannot be told apart. Put it into an adapter file"
        )
