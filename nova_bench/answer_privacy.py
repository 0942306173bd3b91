"""What of a model's answers about gated data may stand in the run's log, on the screen and in the response cache.

Answers are what a run is for, and stand in its log. What is said where there is no answer is not: a server may quote the prompt, which is a
patient's note, when it fails or refuses. Of that the class or the HTTP status is public; the words go to ``private.jsonl`` in the run's
folder, which nobody but the owner can read, and which no report, page or bundle takes.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nova_bench.errors import AdapterError, LogError
from nova_bench.private_file import PrivateFile, error_kind, public_model, public_parameters
from nova_bench.types import Request

_STATUS = re.compile(r"(?<!\S)HTTP [1-5]\d\d(?!\d)")


def split_answer(
    record: Mapping[str, Any], request: Request, model: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the part of an answer's record that may be public, and what else it holds.

    Args:
        record: As it would stand in a log of open data.
        request: What was sent.
        model: Whom it was sent to, ``ADAPTER[:MODEL]``.
    """
    public = dict(record)
    if "error" in record:
        public["error"] = error_kind(str(record["error"]))
    if record["finish"] in ("error", "rejected"):  # what came is no answer: nobody reads it as one
        public.pop("text", None)
        public.pop("reasoning", None)
    if "model" in record and not public_model(record["model"], request, model):
        del public["model"]
    if "dropped" in record:
        public["dropped"] = public_parameters(record["dropped"])
    return public, {key: value for key, value in record.items() if public.get(key) != value}


class AnswerPrivacy:
    """What one start of a run may say; of data that are not gated, everything.

    Args:
        folder: The run's.
        model: Who is asked, ``ADAPTER[:MODEL]``.
        is_gated: Whether the prompts hold what is given to approved accounts only.
    """

    def __init__(self, folder: Path, model: str, *, is_gated: bool) -> None:
        self.is_gated, self._model = is_gated, model
        self._file = PrivateFile(folder)
        self._own: BaseException | None = None
        self._is_written = False
        self._lock = threading.Lock()

    def public(self, record: dict[str, Any], request: Request | None) -> dict[str, Any]:
        """Return what of a record the log may hold; the rest is in the private file before this returns.

        Args:
            record: Of an answer.
            request: What was sent; needed of gated data.

        Raises:
            LogError: The disk is full or fails.
        """
        if not self.is_gated:
            return record
        assert request is not None  # of gated data it is kept for as long as it is in flight
        kept, private = split_answer(record, request, self._model)
        if private:
            self._write({"id": record["id"], "request": record["request"], **private})
        return kept

    def told(self, error: str) -> str:
        """Return what may be said of why a request failed."""
        return error_kind(error) if self.is_gated else error

    def names(self, ids: list[str]) -> str:
        """Return ids for a sentence; of gated data none, where an adapter may have made them up."""
        return "" if self.is_gated else f" ({', '.join(repr(key) for key in ids[:3])})"

    @contextlib.contextmanager
    def own_words(self) -> Iterator[None]:
        """Mark what is raised within as the engine's: it quotes no server, and may be said as it is."""
        try:
            yield
        except Exception as error:
            self._own = error
            raise

    def ended(self, error: BaseException) -> BaseException:
        """Return what may be said of what ended a run: of gated data not a word of what came out of the adapter."""
        if not self.is_gated or error is self._own:
            return error
        if isinstance(error, KeyboardInterrupt):
            return KeyboardInterrupt()
        words = f"{type(error).__name__}: {error}"
        status = _STATUS.search(words)
        try:
            self._write({"ended": words})
        except LogError as failed:
            return failed
        return AdapterError(
            f"model {self._model} failed{f' ({status[0]})' if status else ''}: {error_kind(words)}"
        )

    def notes(self) -> list[str]:
        """Return what the user should know after a run."""
        if not self._is_written:
            return []
        return [
            f"the data are gated, so what was said of failures stands in {self._file.path} alone, which only its owner can read"
        ]

    def close(self) -> None:
        """Let the private file go."""
        with self._lock:
            self._file.close()

    def _write(self, record: Mapping[str, Any]) -> None:
        with (
            self._lock
        ):  # an adapter may pull requests, of which the cache may know some, in a thread of its own
            self._file.write(record)
            self._is_written = True
