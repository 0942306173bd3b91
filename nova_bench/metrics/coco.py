"""Average precision by pycocotools itself: the recomputation that ``report --coco`` prints beside our own numbers."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from nova_bench.boxes import Box
from nova_bench.errors import NovaBenchError
from nova_bench.metrics.matching import THRESHOLDS


def coco_eval(truth: Sequence[Sequence[Box]], predicted: Sequence[Sequence[Box]]) -> dict[str, float]:
    """Return ``ap``, ``ap50`` and ``ap30`` as pycocotools' COCOeval computes them (Lin et al. 2014, arXiv 1405.0312).

    One class, all areas, at most 100 boxes an image, 101 recalls. Equal scores stand in the order of the images, then of the
    boxes: pass the images in the order of their samples' ids. NaN where there is no true box at all (pycocotools says -1).

    Args:
        truth: The true boxes, one sequence an image.
        predicted: The predicted boxes with their scores, one sequence an image.

    Raises:
        NovaBenchError: pycocotools is not installed.

    >>> {name: round(value, 9) for name, value in coco_eval([[Box(0, 0, 10, 10)]], [[Box(0, 0, 10, 4)]]).items()}
    {'ap': 0.0, 'ap50': 0.0, 'ap30': 1.0}
    """
    evaluation = prepare(truth, predicted)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, 0, 0, 0]  # (T, 101); -1 where undefined
    by_threshold = np.where((precision < 0).any(axis=1), np.nan, precision.mean(axis=1))
    return {
        "ap": float(by_threshold[1:].mean()),
        "ap50": float(by_threshold[1]),
        "ap30": float(by_threshold[0]),
    }


def prepare(truth: Sequence[Sequence[Box]], predicted: Sequence[Sequence[Box]]) -> Any:
    """Return a COCOeval over these boxes, not yet evaluated (see `coco_eval`).

    Raises:
        NovaBenchError: pycocotools is not installed.
    """
    try:
        from pycocotools.coco import COCO  # type: ignore[import-untyped, unused-ignore]
        from pycocotools.cocoeval import COCOeval  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise NovaBenchError(
            'pycocotools is not installed, and --coco needs it: pip install "nova-bench[coco]"'
        ) from None
    if len(truth) != len(predicted):
        raise ValueError(
            f"got true boxes of {len(truth)} images, predicted of {len(predicted)}; expected one sequence an image"
        )
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for boxes_by_image in (truth, predicted):
            side = COCO()
            side.dataset = {
                "images": [{"id": i + 1} for i in range(len(truth))],
                "categories": [{"id": 1, "name": "target"}],
                "annotations": _annotations(boxes_by_image),
            }
            side.createIndex()
            sides.append(side)
        evaluation = COCOeval(*sides, iouType="bbox")
    evaluation.params.iouThrs = THRESHOLDS.copy()
    evaluation.params.areaRng = [[0, np.inf]]
    evaluation.params.areaRngLbl = ["all"]
    evaluation.params.maxDets = [100]
    return evaluation


def _annotations(boxes_by_image: Sequence[Sequence[Box]]) -> list[dict[str, Any]]:
    """Return COCO's annotations. Their ids start from 1: COCOeval writes the matched id down and reads 0 as unmatched."""
    annotations: list[dict[str, Any]] = []
    for i, boxes in enumerate(boxes_by_image):
        for box in boxes:
            width, height = box.x1 - box.x0, box.y1 - box.y0
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": i + 1,
                    "category_id": 1,
                    "bbox": [box.x0, box.y0, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                    "score": box.score,
                }
            )
    return annotations
