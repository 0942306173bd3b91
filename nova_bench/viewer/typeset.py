"""What was understood of an answer, and the truth, as JSON that a page can set by kind: boxes, diagnoses, text, or anything else."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nova_bench.boxes import Box, is_sound
from nova_bench.metrics.matching import box_iou
from nova_bench.parse import Diagnosis
from nova_bench.table import Ragged, Table
from nova_bench.text import normalise_diagnosis

OTHER_LIMIT = 20_000
"""Characters of a value that is of no kind known here."""
LISTED = 24
"""Values of a ragged column that are written out."""


def typeset(value: Any, truth: Any = None, *, boxes: bool = False) -> dict[str, Any]:
    """Return a value by its kind.

    Args:
        value: A prediction's value, or a target.
        truth: What it is compared with: a box then says how well it covers a true one, a diagnosis whether the wording is the same.
        boxes: Whether the task is about boxes, so that nothing in a tuple is no box.

    >>> typeset("No haemorrhage.")
    {'kind': 'text', 'text': 'No haemorrhage.'}
    >>> typeset((Box(0, 0, 4, 4, 0.5, "cyst"),), (Box(0, 0, 4, 2),))["boxes"]
    [[0, 0, 4, 4, 0.5, 'cyst', 0.5]]
    >>> typeset(Diagnosis("Glioma", ("Glioma", "Abscess")), "glioma")
    {'kind': 'diagnosis', 'candidates': ['Glioma', 'Abscess'], 'same': [True, False]}
    >>> typeset({(1, 2): "left"})
    {'kind': 'data', 'text': "{(1, 2): 'left'}"}
    """
    if value is None:
        return {"kind": "none"}
    if isinstance(value, str):
        return {"kind": "text", "text": value}
    if isinstance(value, Diagnosis):
        wanted = normalise_diagnosis(truth) if isinstance(truth, str) else None
        same = [wanted is not None and normalise_diagnosis(one) == wanted for one in value.candidates]
        return {"kind": "diagnosis", "candidates": list(value.candidates), "same": same}
    if _are_boxes(value) and (value or boxes):
        return {"kind": "boxes", "boxes": _boxes(value, truth if _are_boxes(truth) else ())}
    return {"kind": "data", "text": _written(value)[:OTHER_LIMIT]}


def _written(value: Any) -> str:
    try:
        return json.dumps(value, indent=1, ensure_ascii=False, default=repr)
    except (TypeError, ValueError, RecursionError):  # keys that are no texts, or a value that holds itself
        return repr(value)


def _are_boxes(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and all(isinstance(one, Box) for one in value)


def _boxes(boxes: Sequence[Box], truth: Sequence[Box]) -> list[list[Any]]:
    """Return ``[x0, y0, x1, y1, score, label, best IoU with a true box]`` of each box; None where a number is none."""
    true = np.array([_corners(box) for box in truth if is_sound(_corners(box))]).reshape(-1, 4)
    made = []
    for box in boxes:
        corners = _corners(box)
        overlap = None
        if len(true) and is_sound(corners):
            overlap = short(float(box_iou(np.array([corners]), true).max()))
        made.append([*(short(edge) for edge in corners), short(box.score), box.label, overlap])
    return made


def _corners(box: Box) -> tuple[float, float, float, float]:
    return box.x0, box.y0, box.x1, box.y1


def short(value: float) -> float | int | None:
    """Return a number with six significant digits, None where it is not finite.

    >>> short(1 / 3), short(2.0), short(float("nan"))
    (0.333333, 2, None)
    """
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def row_of(table: Table, line: int) -> dict[str, Any]:
    """Return a line's columns: numbers, and of ragged ones the first values; without those that say a judge's state.

    Args:
        table: Of a run.
        line: Its number.
    """
    made: dict[str, Any] = {}
    for name, column in table.columns.items():
        if name.startswith("verdict("):
            continue
        if isinstance(column, Ragged):
            entry = column[line]
            if entry.ndim == 1:
                shown = [_plain(value) for value in entry[:LISTED].tolist()]
                made[name] = shown if len(entry) <= LISTED else [*shown, f"and {len(entry) - LISTED} more"]
        elif not math.isnan(float(column[line])):
            made[name] = short(float(column[line]))
    return made


def _plain(value: Any) -> Any:
    return short(value) if isinstance(value, float) else value


def differs(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    """Return whether two values, as `typeset` gives them, say different things; overlaps, which follow from boxes, decide nothing."""
    if one["kind"] == two["kind"] == "boxes":
        return [box[:6] for box in one["boxes"]] != [box[:6] for box in two["boxes"]]
    return dict(one) != dict(two)
