"""The scale on which composites are made, and the way back to the metric's own."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from nova_bench.stats.results import Bounded
from nova_bench.types import Metric


class Scale(NamedTuple):
    """Maps a metric's values to [0, 1], 1 the best possible, and back; an unbounded metric's only by its sign.

    Attributes:
        bottom: The value that becomes 0 (1 where the lower is better).
        width: Of the range.
        flipped: Whether the lower value is the better one.
        bounded: Whether the metric has a range.
    """

    bottom: float
    width: float
    flipped: bool
    bounded: bool

    @classmethod
    def of(cls, metric: Metric) -> Scale:
        """Return a metric's scale.

        >>> Scale.of(Metric("error", (), lambda table, weights: weights, higher_is_better=False)).unit(np.array(0.25)).tolist()
        0.75
        """
        flipped = not metric.higher_is_better
        if metric.range is None or not all(math.isfinite(end) for end in metric.range):
            return cls(0.0, 1.0, flipped, False)
        return cls(metric.range[0], metric.range[1] - metric.range[0], flipped, True)

    @property
    def is_identity(self) -> bool:
        """Whether values stay what they are."""
        return self.bottom == 0 and self.width == 1 and not self.flipped

    def unit(self, values: np.ndarray) -> np.ndarray:
        """Return values on the common scale."""
        moved = (values - self.bottom) / self.width
        if not self.flipped:
            return np.asarray(moved)
        return np.asarray(1 - moved if self.bounded else -moved)

    def level(self, value: float | None) -> float | None:
        """Return a value of the common scale on the metric's own."""
        if value is None:
            return None
        if self.flipped:
            value = 1 - value if self.bounded else -value
        return float(self.bottom + self.width * value)

    def distance(self, value: float | None) -> float | None:
        """Return a distance of the common scale on the metric's own."""
        return None if value is None else float(self.width * value)


def level_back(bounded: Bounded, scale: Scale) -> Bounded:
    """Return a level of the common scale on the metric's own; where the lower is better the limits change places."""
    low, high = scale.level(bounded.low), scale.level(bounded.high)
    return Bounded(
        scale.level(bounded.value),
        scale.level(bounded.corrected),
        scale.level(bounded.floor),
        high if scale.flipped else low,
        low if scale.flipped else high,
        bounded.note,
    )


def distance_back(bounded: Bounded, scale: Scale) -> Bounded:
    """Return a distance of the common scale on the metric's own."""
    return Bounded(
        scale.distance(bounded.value),
        scale.distance(bounded.corrected),
        scale.distance(bounded.floor),
        scale.distance(bounded.low),
        scale.distance(bounded.high),
        bounded.note,
    )


def stay_on_scale(bounded: Bounded, scale: Scale) -> Bounded:
    """Return a number that stays on the common scale, with the word that it does where that is another than the metric's."""
    if scale.is_identity or bounded.value is None:
        return bounded
    said = "on the scale from 0, the worst possible value, to 1, the best"
    return replace(bounded, note=f"{said}; {bounded.note}" if bounded.note else said)
