"""Reads the boxes that one JSON-like value holds, as numbers still in the model's frame.

Key names are synonyms and never change the frame, except names of single numbers (``x_min``, ``left``, ``width`` ...): these
state their own order, in the frame's unit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from nova_bench.loose_json import Keyed, Listed, as_number
from nova_bench.text import says_nothing_abnormal

_BOX_KEYS = frozenset(
    (
        *(
            "bbox2d",
            "box2d",
            "bbox",
            "box",
            "boxes",
            "bboxes",
            "boundingbox",
            "boundingboxes",
            "bndbox",
            "bboxlist",
        ),
        *("boxes2d", "bboxes2d", "detections", "coordinates", "coords"),
    )
)
_LABEL_KEYS = ("label", "name", "class", "finding", "category")
_SCORE_KEYS = ("score", "confidence", "probability", "conf", "confidencescore", "prob")
_FOUND_KEYS = frozenset(
    (
        "found",
        "abnormal",
        "abnormality",
        "abnormalityfound",
        "hasabnormality",
        "lesion",
        "present",
        "detected",
    )
)
# Lists of numbers under these are no boxes even where an object maps labels to boxes.
_SIZE_WORDS = ("size", "shape", "spacing", "resolution", "dimension", "width", "height")
_CORNERS = (
    ("xyxy", ("xmin", "ymin", "xmax", "ymax")),
    ("xyxy", ("minx", "miny", "maxx", "maxy")),
    ("xyxy", ("left", "top", "right", "bottom")),
    ("xyxy", ("x0", "y0", "x1", "y1")),
    ("xyxy", ("x1", "y1", "x2", "y2")),
    ("cxcywh", ("cx", "cy", "w", "h")),
    ("cxcywh", ("cx", "cy", "width", "height")),
    ("cxcywh", ("xcenter", "ycenter", "width", "height")),
    ("cxcywh", ("centerx", "centery", "width", "height")),
    ("xywh", ("x", "y", "width", "height")),
    ("xywh", ("x", "y", "w", "h")),
    ("xywh", ("left", "top", "width", "height")),
)


@dataclass(frozen=True, slots=True)
class WrittenBox:
    """Four numbers as the model wrote them.

    Attributes:
        numbers: In the frame's order, or in ``order``.
        order: ``xyxy``, ``xywh`` or ``cxcywh`` where names state it; None for the frame's own.
        score: Whatever stood under a score's name; None where nothing did.
        label: The model's word for it.
    """

    numbers: tuple[float, float, float, float]
    order: str | None = None
    score: Any = None
    label: str = ""


@dataclass(slots=True, eq=False)
class Part:
    """What one value of an answer says, or all its native tokens.

    Attributes:
        kind: A ``whole`` answer, a single ``finding`` of several, a list on a ``line`` of its own, or one within ``prose``.
        boxes: The boxes.
        not_four: Places that should hold a box and hold another count of numbers.
        none: Whether it says that there is no box.
        cut: Whether the text ended within it.
        fence: Its Markdown fence, from 1; 0 outside.
        block: Number of the block that it belongs to.
    """

    kind: Literal["whole", "finding", "line", "prose"] = "whole"
    boxes: list[WrittenBox] = field(default_factory=list)
    not_four: int = 0
    none: bool = False
    cut: bool = False
    fence: int = 0
    block: int = 0

    @property
    def answers(self) -> bool:
        """Whether it names boxes or says that there are none."""
        return bool(self.boxes) or self.none


def read_boxes(value: Listed | Keyed) -> Part:
    """Return the boxes of one value; its kind is ``finding`` or ``whole``, place and lines are the caller's.

    >>> from nova_bench.loose_json import scan
    >>> part = read_boxes(scan('{"label": "mass", "box": {"x": 1, "y": 2, "width": 3, "height": 4}}').roots[0].value)
    >>> part.kind, part.boxes
    ('finding', [WrittenBox(numbers=(1.0, 2.0, 3.0, 4.0), order='xywh', score=None, label='mass')])
    """
    return _Reader().read(value)


def plain(key: str) -> str:
    """Return a key without case, spaces and signs: ``Box 2D``, ``box_2d`` and ``box2d`` are one."""
    return "".join(char for char in key[:64].casefold() if char.isalnum())


def _number(value: Any) -> float | None:
    if isinstance(value, float):
        return value
    return as_number(value.strip()) if isinstance(value, str) else None


def fours(numbers: list[float]) -> Iterable[tuple[float, float, float, float]]:
    """Yield the numbers in groups of four; what is left over is not yielded."""
    for index in range(0, len(numbers) - 3, 4):
        a, b, c, d = numbers[index : index + 4]
        yield a, b, c, d


ONLY_NUMBERS = re.compile(r"[\s\d\[\]().,;+\-eE]*")
_NUMBERS = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")


def numbers_in(text: str) -> list[float]:
    """Return the numbers of a text that consists of numbers, brackets and commas; longer ones than any coordinate are infinite.

    >>> numbers_in("(12, 34), (5.6, 1e2)")
    [12.0, 34.0, 5.6, 100.0]
    """
    found = (as_number(word) for word in _NUMBERS.findall(text))
    return [math.inf if number is None else number for number in found]


class _Reader:
    """Collects the boxes of one value; recursion is bounded by the depth that `scan` admits."""

    def __init__(self) -> None:
        self.part = Part()
        self.by_label: list[tuple[Listed, str]] = []

    def read(self, value: Listed | Keyed) -> Part:
        """Read a value that stands in the text by itself."""
        self._value(value, None, "", boxes=isinstance(value, Listed))
        if isinstance(value, Keyed) and _is_finding(value):
            self.part.kind = "finding"
        if not self.part.answers and not self.part.not_four:
            # {"tumour": [1, 2, 3, 4], "oedema": [5, 6, 7, 8]}: labels as keys.
            for listed, label in self.by_label:
                self._list(listed, None, label)
            if self.part.not_four:
                self.part = Part()
        return self.part

    def _value(self, value: Any, score: Any, label: str, *, boxes: bool) -> None:
        """Read a value; ``boxes`` says that numbers in it are boxes."""
        if isinstance(value, Keyed):
            self._object(value, score, label, boxes=boxes)
        elif isinstance(value, Listed):
            if boxes:
                self._list(value, score, label)
            else:
                for item in value.items:
                    if isinstance(item, (Listed, Keyed)):
                        self._value(item, score, label, boxes=False)
        elif boxes:
            self._word(value, score, label)

    def _word(self, value: Any, score: Any, label: str) -> None:
        """Read what stands for a box and is neither list nor object."""
        if (
            value is None
            or value is False
            or (isinstance(value, str) and (not value.strip() or says_nothing_abnormal(value)))
        ):
            self.part.none = True
        elif isinstance(value, float):
            self.part.not_four += 1
        elif isinstance(value, str) and ONLY_NUMBERS.fullmatch(value):
            self._numbers(numbers_in(value), score, label)

    def _numbers(self, numbers: list[float], score: Any, label: str, order: str | None = None) -> None:
        if not numbers or len(numbers) % 4:
            self.part.not_four += 1
            return
        self.part.boxes.extend(WrittenBox(four, order, score, label) for four in fours(numbers))

    def _object(self, node: Keyed, score: Any, label: str, *, boxes: bool) -> None:
        before = (len(self.part.boxes), self.part.not_four, self.part.none)
        pairs = [(plain(key), key, child) for key, child in node.items]
        names = {name: child for name, _, child in pairs}
        score = next((names[key] for key in _SCORE_KEYS if key in names), score)
        label = next((names[key].strip() for key in _LABEL_KEYS if isinstance(names.get(key), str)), label)
        own = self._corners(names, score, label)
        for name, _, child in pairs:
            if name in _BOX_KEYS:
                own = True
                self._boxes(child, names, score, label)
            elif name in _FOUND_KEYS and child is False:
                self.part.none = True
        for name, key, child in pairs:
            if name in _BOX_KEYS or not isinstance(child, (Listed, Keyed)):
                continue
            if not (isinstance(child, Listed) and _holds_numbers(child)):
                self._value(child, score, label, boxes=False)
            elif not own and name not in _SCORE_KEYS and not any(word in name for word in _SIZE_WORDS):
                if boxes:
                    self._list(child, score, label or key)
                else:
                    self.by_label.append((child, key))
        if (
            boxes
            and node.closed
            and node.items
            and before == (len(self.part.boxes), self.part.not_four, self.part.none)
        ):
            if label and says_nothing_abnormal(label):
                self.part.none = True  # {"label": "no target"}
            else:
                self.part.not_four += 1

    def _corners(self, names: dict[str, Any], score: Any, label: str) -> bool:
        """Read four named numbers; x and y beside width and height are the top left corner."""
        for order, corners in _CORNERS:
            if all(corner in names for corner in corners):
                values = [_number(names[corner]) for corner in corners]
                self._numbers([value for value in values if value is not None], score, label, order)
                return True
        return False

    def _boxes(self, child: Any, names: dict[str, Any], score: Any, label: str) -> None:
        """Read what stands under a box's key; lists of scores and labels beside a list of boxes belong to it one to one."""
        scores = next(
            (
                names[key]
                for key in ("scores", "confidences", *_SCORE_KEYS)
                if isinstance(names.get(key), Listed)
            ),
            None,
        )
        labels = next(
            (names[key] for key in ("labels", "names", *_LABEL_KEYS) if isinstance(names.get(key), Listed)),
            None,
        )
        if not isinstance(child, Listed) or not any(
            isinstance(item, (Listed, Keyed)) for item in child.items
        ):
            self._value(child, score, label, boxes=True)
            return
        if scores is None and labels is None:
            self._list(child, score, label)
            return
        for index, item in enumerate(child.items):
            own_score = (
                scores.items[index] if scores is not None and len(scores.items) == len(child.items) else score
            )
            own_label = (
                labels.items[index] if labels is not None and len(labels.items) == len(child.items) else label
            )
            self._value(item, own_score, own_label if isinstance(own_label, str) else label, boxes=True)

    def _list(self, node: Listed, score: Any, label: str) -> None:
        inner = [item for item in node.items if isinstance(item, (Listed, Keyed))]
        if inner:
            points = [_point(item) for item in inner]
            if len(inner) == 2 and all(points):
                self._numbers(
                    [number for point in points for number in point], score, label
                )  # [[x0, y0], [x1, y1]]
                return
            for item in inner:
                self._value(item, score, label, boxes=True)
            return
        numbers = [number for number in map(_number, node.items) if number is not None]
        words = [item for item in node.items if isinstance(item, str) and _number(item) is None]
        if not numbers and words and all(ONLY_NUMBERS.fullmatch(word) for word in words):
            for word in words:  # ["[1, 2, 3, 4]", "[5, 6, 7, 8]"]
                self._word(word, score, label)
        elif not numbers:
            if node.closed and (
                all(item is None for item in node.items) or says_nothing_abnormal(" ".join(words))
            ):
                self.part.none = True
        elif not node.closed:
            # A cut list: groups of four are whole boxes, the rest never came.
            self.part.boxes.extend(WrittenBox(four, None, score, label) for four in fours(numbers))
        elif len(numbers) == len(node.items):
            self._numbers(numbers, score, label)
        elif len(numbers) == 4 and len(words) == len(node.items) - 4:
            self._numbers(numbers, score, label or " ".join(words))
        else:
            self.part.not_four += 1


def _is_finding(value: Keyed) -> bool:
    """Return whether an object is one finding rather than a whole answer: it has a label of its own, or one box directly."""
    names = {plain(key): child for key, child in value.items}
    if any(isinstance(names.get(key), str) for key in _LABEL_KEYS):
        return True
    if any(key in names for key in _FOUND_KEYS):
        return False
    if any(all(corner in names for corner in corners) for _, corners in _CORNERS):
        return True
    held = [child for key, child in names.items() if key in _BOX_KEYS]
    if not held:
        return any(isinstance(child, Listed) and _holds_numbers(child) for child in names.values())
    return all(
        isinstance(child, (Keyed, str)) or (isinstance(child, Listed) and _is_flat(child)) for child in held
    )


def _is_flat(value: Listed) -> bool:
    return bool(value.items) and not any(isinstance(item, (Listed, Keyed)) for item in value.items)


def _point(value: Listed | Keyed) -> list[float]:
    """Return a point's two numbers; empty for anything else."""
    if not isinstance(value, Listed) or len(value.items) != 2 or not value.closed:
        return []
    numbers = [number for number in map(_number, value.items) if number is not None]
    return numbers if len(numbers) == 2 else []


def _holds_numbers(value: Listed) -> bool:
    """Return whether a list begins with a number, or with a list that does."""
    first = value.items[0] if value.items else None
    if isinstance(first, Listed):
        first = first.items[0] if first.items else None
    return _number(first) is not None
