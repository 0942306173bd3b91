"""Answers from a file: how results made elsewhere are scored here, and how a run is reproduced without the model."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from nova_bench.errors import AdapterError
from nova_bench.types import Request, Response


class Replay:
    """Answers each request with its line of a JSONL file: ``{"id": sample id, "text": answer, "repeat"?: n}``.

    A request without a line fails: it is asked again once the file has one.

    Args:
        path: The file.

    Raises:
        AdapterError: The file is missing, a line is no such record, or two lines answer one request.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._offsets: dict[str, int] = {}
        try:
            with self.path.open("rb") as file:
                offset = 0
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        key = self._key(line, number)
                        if key in self._offsets:
                            raise AdapterError(
                                f"{self.path} line {number} answers {key!r}, which an earlier line answers already; keep one"
                            )
                        self._offsets[key] = offset
                    offset += len(line)
        except OSError as error:
            raise AdapterError(
                f"cannot read the answers to replay: {error}. Give them with -o path=FILE"
            ) from error

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer from the file, in the order of the requests."""
        with self.path.open("rb") as file:
            for request in requests:
                offset = self._offsets.get(request.id)
                if offset is None:
                    repeat = f" repeat {request.repeat}" if request.repeat else ""
                    yield Response(
                        request.id,
                        finish="error",
                        error=f"{self.path} has no line for id {request.sample!r}{repeat}; complete the file and give the run another --out",
                    )
                    continue
                file.seek(offset)
                yield Response(request.id, json.loads(file.readline())["text"])

    def notes(self, requested: Collection[str]) -> Iterable[str]:
        """Report the lines that no request of the run used."""
        unused = [key for key in self._offsets if key not in requested]
        if unused:
            shown = ", ".join(repr(key) for key in unused[:3]) + (", ..." if len(unused) > 3 else "")
            lines = "1 line of" if len(unused) == 1 else f"{len(unused)} lines of"
            yield f"{lines} {self.path} answer ids that this run does not ask: {shown}"

    def _key(self, line: bytes, number: int) -> str:
        """Return the request id that a line answers."""
        expected = 'expected {"id": sample id, "text": answer} and, for repeats, "repeat": n'
        try:
            record = json.loads(line)
            sample, text, repeat = record["id"], record["text"], record.get("repeat", 0)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise AdapterError(
                f"{self.path} line {number} is not such a record ({type(error).__name__}: {error}); {expected}"
            ) from None
        if (
            not isinstance(sample, str)
            or not isinstance(text, str)
            or not isinstance(repeat, int)
            or isinstance(repeat, bool)
            or repeat < 0
        ):
            raise AdapterError(
                f"{self.path} line {number}: id and text are texts and repeat is a number from 0; {expected}"
            )
        return f"{sample}#{repeat}" if repeat else sample
