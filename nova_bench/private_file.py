"""What may be said in public of words about gated data, and the file that nobody but the owner can read, which holds the rest.

A server quotes what it was sent in its errors, in capitals or piece by piece, and could write anything into the other texts of an answer.
So nothing is searched for quotations: of an error the public record keeps the class or the HTTP status, of names those that have the form
of one, and numbers.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nova_bench.errors import LogError
from nova_bench.types import GenParams, Request

PRIVATE = "private.jsonl"

LEFT_OUT = f"the words stand in {PRIVATE}"
"""In the place of an error's words."""

_MODEL = re.compile(r"/?[A-Za-z0-9][A-Za-z0-9_.:/@+-]{0,99}")
"""A server that was given weights by their path calls its model by it."""
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
    return f"{found[0]}: {LEFT_OUT}" if found else LEFT_OUT


def public_model(name: str, request: Request, known: str = "") -> bool:
    """Return whether a model's name, as the server gave it, may be public: it is known, or has the form of one and is not in the request.

    Args:
        name: What the server said.
        request: What was sent.
        known: The ``ADAPTER:MODEL`` that was asked for. A short name stands by chance in many a text.
    """
    if name == known.partition(":")[2]:
        return True
    return _MODEL.fullmatch(name) is not None and name.casefold() not in request.text.casefold()


def public_parameters(names: Iterable[str]) -> list[str]:
    """Return names of parameters that a backend could not honour, without those that the engine does not know.

    >>> public_parameters(["seed", "Jane Doe", "John Doe"])
    ['another parameter', 'seed']
    """
    return sorted({name if name in _PARAMETERS else "another parameter" for name in names})


class PrivateFile:
    """The file beside a log that nobody but the owner can read; made with its first line.

    Args:
        folder: The log's.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / PRIVATE
        self._file = -1

    def write(self, record: Mapping[str, Any]) -> None:
        """Write one line; a line that a kill left torn stays a line of its own.

        Raises:
            LogError: The disk is full or fails, or the file belongs to somebody else.
        """
        line = json.dumps(record, default=str).encode("ascii") + b"\n"
        try:
            if self._file < 0:
                self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                found = os.fstat(self._file)
                if found.st_mode & 0o077:  # a copy of a run's folder may have lost what was set
                    os.fchmod(self._file, 0o600)
                size = found.st_size
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
