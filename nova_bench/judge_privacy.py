"""What of a judge's answer about gated data may stand in its log; the rest goes to a file that nobody but the owner can read.

A server quotes what it was sent in its errors, in capitals or piece by piece, and could write anything into the other texts of an answer.
So nothing is searched for quotations: of an error the public record keeps the class or the HTTP status, of names those that have the form
of one, and numbers.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nova_bench.errors import LogError
from nova_bench.types import GenParams, Judge, Request

PRIVATE = "private.jsonl"

_LEFT_OUT = "the words stand in private.jsonl"
_NUMBERS = ("id", "request", "finish", "task", "usage", "seconds")
"""Keys of a record that hold what is the engine's own, or counts."""
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@+-]{0,99}")
_PARAMETERS = frozenset(
    {
        *(field.name for field in dataclasses.fields(GenParams)),
        *("json_schema.strict", "json_schema.constraints", "label_probs", "lone surrogates"),
    }
)
_STATUS = re.compile(r"HTTP [1-5]\d\d(?!\d)")
_CLASS = re.compile(r"[A-Za-z]{1,40}(?:Error|Exception|Timeout)(?=:|$)")


def error_kind(error: str) -> str:
    """Return what may be said of an error's words: the class or HTTP status that they begin with, and where they stand.

    >>> error_kind("HTTP 400: prompt names Jane Doe"), error_kind("KeyError: 'Jane Doe'"), error_kind("Jane Doe is unknown")
    ('HTTP 400: the words stand in private.jsonl', 'KeyError: the words stand in private.jsonl', 'the words stand in private.jsonl')
    """
    found = _STATUS.match(error) or _CLASS.match(error)
    return f"{found[0]}: {_LEFT_OUT}" if found else _LEFT_OUT


def split_record(
    record: Mapping[str, Any], judge: Judge, request: Request
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the part of a record that may be public, and what else it holds.

    Args:
        record: As it would stand in a log of open data.
        judge: What was asked.
        request: What was sent.
    """
    public = {key: record[key] for key in _NUMBERS if key in record}
    if "error" in record:
        public["error"] = error_kind(record["error"])
    if "fault" in record:
        public["fault"] = _LEFT_OUT
    if "model" in record and _is_model(record["model"], request):
        public["model"] = record["model"]
    if "dropped" in record:
        public["dropped"] = sorted(
            {name if name in _PARAMETERS else "another parameter" for name in record["dropped"]}
        )
    if "verdict" in record:
        public["verdict"] = {
            key: value for key, value in record["verdict"].items() if key not in judge.private
        }
    private = {key: value for key, value in record.items() if public.get(key) != value and key != "verdict"}
    return public, private


def _is_model(name: str, request: Request) -> bool:
    return _MODEL.fullmatch(name) is not None and name.casefold() not in request.text.casefold()


class PrivateFile:
    """The file beside a judge's log that nobody but the owner can read.

    Args:
        folder: The judge's.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / PRIVATE
        self._file = -1

    def write(self, record: Mapping[str, Any]) -> None:
        """Write one line; a line that a kill left torn stays a line of its own.

        Raises:
            LogError: The disk is full or fails.
        """
        line = json.dumps(record, default=str).encode("ascii") + b"\n"
        try:
            if self._file < 0:
                self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                size = os.fstat(self._file).st_size
                if size and os.pread(self._file, 1, size - 1) != b"\n":
                    line = b"\n" + line
            while line:
                line = line[os.write(self._file, line) :]
        except OSError as error:
            raise LogError(
                f"cannot write to {self.path}: {error.strerror or error}; make room, then give the same command again"
            ) from error

    def close(self) -> None:
        """Let the file go."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
