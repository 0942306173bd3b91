"""Where two JSON documents differ: one that was stated, one that was computed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

TOLERANCE = 1e-9
"""Of two floats, relative; documents have 12 significant digits, and sums on another processor may differ in the last of 16."""
SMALL = 1e-12
"""Below this a difference is rounding whatever the relation: zero comes out as 1e-17 elsewhere."""


def same_number(stated: float, found: float) -> bool:
    """Return whether two numbers are the same up to rounding.

    >>> same_number(0.333333333333, 1 / 3), same_number(0.33333, 1 / 3), same_number(0.0, 1e-17)
    (True, False, True)
    """
    return stated == found or math.isclose(stated, found, rel_tol=TOLERANCE, abs_tol=SMALL)


def differences(stated: Any, found: Any, place: str = "") -> Iterator[str]:
    """Yield one sentence for each place in which a stated document is not the computed one.

    Args:
        stated: What was read.
        found: What it should be.
        place: Names the root.

    >>> list(differences({"a": [1, 2.0], "b": 1}, {"a": [1, 2.5]}, "report"))
    ['report/a/1 is 2.0, expected 2.5', 'report/b is 1, expected nothing']
    """
    if isinstance(stated, Mapping) and isinstance(found, Mapping):
        for key in dict.fromkeys([*stated, *found]):
            here = f"{place}/{_short(str(key), 60)}"
            if key not in found:
                yield f"{here} is {_said(stated[key])}, expected nothing"
            elif key not in stated:
                yield f"{here} is missing, expected {_said(found[key])}"
            else:
                yield from differences(stated[key], found[key], here)
    elif _is_list(stated) and _is_list(found):
        if len(stated) != len(found):
            yield f"{place} has {len(stated)} entries, expected {len(found)}"
            return
        for i, (one, other) in enumerate(zip(stated, found, strict=True)):
            yield from differences(one, other, f"{place}/{i}")
    elif not _is_same(stated, found):
        yield f"{place} is {_said(stated)}, expected {_said(found)}"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_same(stated: Any, found: Any) -> bool:
    if isinstance(stated, bool) or isinstance(found, bool) or stated is None or found is None:
        return stated is found
    if isinstance(stated, int | float) and isinstance(found, int | float):
        return same_number(stated, found)
    return bool(stated == found)


def _said(value: Any) -> str:
    return _short(repr(value), 80)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
