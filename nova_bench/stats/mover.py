"""MOVER: the interval of a difference from the intervals of its two parts.

Sources: Newcombe 1998, Statist. Med. 17:873; Zou & Donner 2008, Statist. Med. 27:1693 (the name, and correlated parts).
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Part(NamedTuple):
    """A number with its interval."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Part:
        """Return the part times a factor of at least 0."""
        return Part(self.value * factor, self.low * factor, self.high * factor)


def difference(a: Part, b: Part, correlation: float = 0.0) -> tuple[float, float]:
    """Return the interval of A - B.

    ``low = A - B - sqrt((A - A_low)^2 + (B_high - B)^2 - 2 r (A - A_low) (B_high - B))``, high alike.

    Args:
        a: A.
        b: B.
        correlation: r, of the two estimates.

    >>> [round(end, 3) for end in difference(Part(0.6, 0.57, 0.63), Part(0.1, 0.06, 0.14))]
    [0.45, 0.55]
    """

    def together(x: float, y: float) -> float:
        return math.sqrt(max(x * x + y * y - 2 * correlation * x * y, 0.0))

    middle = a.value - b.value
    return middle - together(a.value - a.low, b.high - b.value), middle + together(
        a.high - a.value, b.value - b.low
    )


def penalised(a: Part, b: Part) -> tuple[float, float]:
    """Return the interval of A - B where B is a spread, which cannot be below 0.

    Where B's interval rests on 0 the upper end is A's own: quadrature is too short at the edge.

    >>> [round(end, 3) for end in penalised(Part(0.6, 0.57, 0.63), Part(0.02, 0.0, 0.06))]
    [0.53, 0.63]
    """
    low, high = difference(a, b)
    return low, (a.high if b.low <= 0 else high)
