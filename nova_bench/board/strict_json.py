"""JSON of a stranger: read with limits, and refused where two readers could see two things in it.

RFC 8259 leaves open what a key that stands twice means, and how long a number may be; ``json`` takes NaN and Infinity besides. Here each of
these is an error, so that what is checked is what everybody else reads.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from nova_bench.board.layout import MAX_DEPTH, MAX_LINE_BYTES, MAX_LINES
from nova_bench.errors import BundleError

MAX_DIGITS = 40
"""Characters of one number: a float has at most 24."""

_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


def read_json(data: bytes, what: str) -> Any:
    """Return what a document says.

    Args:
        data: The document, UTF-8 without a mark of byte order.
        what: Names it in messages.

    Raises:
        BundleError: It is no JSON, too deep, has a key twice, a number that is not finite or too long.

    >>> read_json(b'{"a": [1, 2.5]}', "it")
    {'a': [1, 2.5]}
    """
    _check_depth(data, what)
    try:
        return _DECODER.decode(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"{what} cannot be read: {_said(error)}. Make the bundle anew with `nova-bench submit`"
        ) from None


def read_lines(data: bytes, what: str, *, most: int = MAX_LINES) -> Iterator[Any]:
    r"""Yield what each line says, one at a time.

    Args:
        data: Lines, each a JSON value and a newline; nothing behind the last newline.
        what: Names the file in messages.
        most: Lines that are read at most.

    Raises:
        BundleError: As for `read_json`, with the line's number; a line too long, or too many.

    >>> list(read_lines(b'[1]\n[2]\n', "it"))
    [[1], [2]]
    """
    start, number = 0, 0
    while start < len(data):
        number += 1
        end = data.find(b"\n", start, start + MAX_LINE_BYTES + 1)
        if end < 0:
            is_torn = len(data) - start <= MAX_LINE_BYTES
            why = "has no newline at its end" if is_torn else f"has more than {MAX_LINE_BYTES:,} bytes"
            raise BundleError(f"{what} line {number} {why}; expected one JSON value and a newline")
        if number > most:
            raise BundleError(f"{what} has more than {most:,} lines; expected at most that many")
        yield read_json(data[start:end], f"{what} line {number}")
        start = end + 1


def _check_depth(data: bytes, what: str) -> None:
    """Raise where brackets stand too deep in each other: found before a parser goes down into them."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:  # nearly every line: no need to look closer
        return
    depth = 0
    for found in _BRACKETS.finditer(_STRINGS.sub(b"", data)):
        depth += 1 if found[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            raise BundleError(
                f"{what} is nested more than {MAX_DEPTH} deep; expected a document of `nova-bench submit`"
            )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1) if len(names) < 1000 else ""
        raise ValueError(f"key {twice[:40]!r} stands twice")
    return made


def _finite(word: str) -> float:
    number = float(_short(word))
    if not math.isfinite(number):
        raise ValueError(f"{word[:40]} is no finite number")
    return number


def _short(word: str) -> str:
    if len(word) > MAX_DIGITS:
        raise ValueError(f"a number of {len(word):,} characters; expected at most {MAX_DIGITS}")
    return word


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number in JSON")


def _whole(word: str) -> int:
    return int(_short(word))


_DECODER = json.JSONDecoder(
    object_pairs_hook=_once, parse_float=_finite, parse_int=_whole, parse_constant=_no_constant
)


def _said(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON ({error.msg} at character {error.pos})"
    if isinstance(error, UnicodeDecodeError):
        return "no UTF-8"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
