"""Boxes, and the frames in which models write them.

A frame is declared (in the adapter's card or with ``-o boxes=``), stated in the prompt and used by the parser. It is
never guessed from the numbers, and never chosen by what fits the truth best.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from nova_bench.errors import UsageError

_ORDERS = {
    "xyxy": "[x_min, y_min, x_max, y_max]",
    "yxyx": "[y_min, x_min, y_max, x_max]",
    "xywh": "[x_min, y_min, width, height]",
    "cxcywh": "[x_center, y_center, width, height]",
}
_UNITS = {
    "px": "pixels of the image as you receive it",
    "1": "fractions of the image's width and height, from 0 to 1",
    "1000": "thousandths of the image's width and height, from 0 to 1000",
    "1024": "1024ths of the image's width and height, from 0 to 1024",
}
_GRAMMAR = re.compile(r"(xyxy|yxyx|xywh|cxcywh)/(px|1|1000|1024)|loc/1000")


@dataclass(frozen=True, slots=True)
class Box:
    """A box: float pixels of the *original* image, corners xyxy, right and bottom exclusive.

    Every box in nova_bench after parsing, true or predicted, is in this form.

    Attributes:
        x0: Left edge, px.
        y0: Top edge, px.
        x1: Right edge, px, exclusive: a box one pixel wide has ``x1 == x0 + 1``.
        y1: Bottom edge, px, exclusive.
        score: The model's confidence; 1.0 where it gave none. Only the order of scores matters.
        label: The model's word for what the box holds; no metric of NOVA reads it.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    score: float = 1.0
    label: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """How a model writes four numbers that mean a box: their order and their unit.

    The grammar is closed: ``(xyxy|yxyx|xywh|cxcywh)/(px|1|1000|1024)`` or ``loc/1000``, the form of models with location tokens
    (``<loc_12><loc_34><loc_56><loc_78>``: xyxy in thousandths).

    Attributes:
        name: The frame as text, e.g. ``"xyxy/1000"``.

    Raises:
        UsageError: The text is not in the grammar.

    >>> Frame("yxyx/1000").to_pixels((250, 500, 750, 1000), (480, 240))
    (240.0, 60.0, 480.0, 180.0)
    """

    name: str

    def __post_init__(self) -> None:
        if not _GRAMMAR.fullmatch(self.name):
            raise UsageError(
                f"box frame {self.name!r} is not in the grammar (xyxy|yxyx|xywh|cxcywh)/(px|1|1000|1024) or loc/1000; for example boxes=xyxy/1000"
            )

    @property
    def order(self) -> str:
        """The order of the four numbers: ``xyxy``, ``yxyx``, ``xywh`` or ``cxcywh``."""
        return "xyxy" if self.name == "loc/1000" else self.name.split("/")[0]

    @property
    def unit(self) -> str:
        """``px`` (of the image as sent), ``1``, ``1000`` or ``1024``."""
        return self.name.split("/")[1]

    def words(self) -> str:
        """Return the frame in words, as prompts state it."""
        return f"{_ORDERS[self.order]} in {_UNITS[self.unit]}"

    def fits(self, numbers: Sequence[float], sent: tuple[int, int]) -> bool:
        """Return whether all four numbers can belong to this frame at all.

        Args:
            numbers: Four numbers as the model wrote them.
            sent: (width, height) of the image as it was sent, px.
        """
        width, height = (float(sent[0]), float(sent[1])) if self.unit == "px" else (float(self.unit),) * 2
        limits = (height, width, height, width) if self.order == "yxyx" else (width, height, width, height)
        return all(0 <= number <= limit for number, limit in zip(numbers, limits, strict=True))

    def to_pixels(
        self, numbers: Sequence[float], original: tuple[int, int], sent: tuple[int, int] | None = None
    ) -> tuple[float, float, float, float]:
        """Return the corners (x0, y0, x1, y1) in px of the original image; nothing is clipped or re-ordered.

        Args:
            numbers: Four numbers in this frame.
            original: (width, height) of the stored image, px.
            sent: (width, height) of the image as it was sent, px; the original's where it was not resized. Only ``px`` frames need it.
        """
        a, b, c, d = (float(number) for number in numbers)
        if self.order == "yxyx":
            a, b, c, d = b, a, d, c
        elif self.order == "xywh":
            c, d = a + c, b + d
        elif self.order == "cxcywh":
            a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
        if self.unit == "px":
            width, height = sent or original
        else:
            width = height = int(self.unit)
        across, down = original[0] / width, original[1] / height
        return a * across, b * down, c * across, d * down

    def from_pixels(
        self, box: Sequence[float], original: tuple[int, int], sent: tuple[int, int] | None = None
    ) -> tuple[float, float, float, float]:
        """Return the four numbers of this frame for corners in px of the original image: the inverse of `to_pixels`."""
        if self.unit == "px":
            width, height = sent or original
        else:
            width = height = int(self.unit)
        across, down = width / original[0], height / original[1]
        x0, y0, x1, y1 = box[0] * across, box[1] * down, box[2] * across, box[3] * down
        if self.order == "yxyx":
            return y0, x0, y1, x1
        if self.order == "xywh":
            return x0, y0, x1 - x0, y1 - y0
        if self.order == "cxcywh":
            return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
        return x0, y0, x1, y1


def is_sound(box: Sequence[float]) -> bool:
    """Return whether corners (x0, y0, x1, y1) are finite and span an area: ``x1 > x0`` and ``y1 > y0``."""
    return all(math.isfinite(edge) for edge in box) and box[2] > box[0] and box[3] > box[1]
