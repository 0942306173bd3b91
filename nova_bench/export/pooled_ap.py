"""Average precision from lists of boxes: what the ``evaluate`` module ``ap50`` computes with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nova_bench.boxes import Box
from nova_bench.errors import UsageError
from nova_bench.metrics.detection import average_precision
from nova_bench.scorers.detection import detection
from nova_bench.table import Table, build_columns
from nova_bench.types import Item, Prediction, Sample


class PooledAp(NamedTuple):
    """COCO's average precision, pooled over images; NaN without any true box.

    Attributes:
        ap50: At IoU 0.5.
        ap: The mean over IoU 0.50:0.05:0.95.
        n_images: Of how many images.
        n_true: How many true boxes they have.
    """

    ap50: float
    ap: float
    n_images: int
    n_true: int


def pooled_ap(predictions: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]]) -> PooledAp:
    """Return COCO's average precision, pooled over the images (`nova_bench.metrics.detection.average_precision`).

    Equal scores stand in the order of the images and of their boxes.

    Args:
        predictions: One an image: ``{"boxes": [[x0, y0, x1, y1], ...], "scores": [...]}``, px, right and bottom exclusive.
        references: One an image: ``{"boxes": [...]}``.

    Raises:
        UsageError: Lists of different lengths, or a box that is no box.

    >>> pooled_ap([{"boxes": [[0, 0, 10, 6]], "scores": [0.9]}], [{"boxes": [[0, 0, 10, 10]]}])
    PooledAp(ap50=1.0, ap=0.3, n_images=1, n_true=1)
    """
    if len(predictions) != len(references):
        raise UsageError(
            f"got {len(predictions)} predictions and {len(references)} references; expected one of each an image"
        )
    scorer, items = detection(), []
    for i, (said, true) in enumerate(zip(predictions, references, strict=True)):
        if len(said["boxes"]) != len(said["scores"]):
            raise UsageError(
                f"image {i} (counted from 0) has {len(said['boxes'])} boxes and {len(said['scores'])} scores"
            )
        answer = tuple(
            Box(*_four(box, i), score=float(score))
            for box, score in zip(said["boxes"], said["scores"], strict=True)
        )
        target = tuple(Box(*_four(box, i)) for box in true["boxes"])
        items.append(Item(Sample(str(i), (), {}, target, str(i), {}), Prediction("ok", answer)))
    n = len(items)
    names, ok, test = (
        np.array(texts, dtype=object) for texts in ([*map(str, range(n))], ["ok"] * n, ["test"] * n)
    )
    columns = build_columns(scorer.rows(items), scorer.columns)
    table = Table(names, names, np.zeros(n, dtype=np.int64), ok, test, {}, columns)
    at_half, mean = (float(average_precision(iou).compute(table, table.ones())[0]) for iou in (0.5, None))
    return PooledAp(at_half, mean, n, sum(len(true["boxes"]) for true in references))


def _four(box: Sequence[float], image: int) -> tuple[float, float, float, float]:
    if len(box) != 4:
        raise UsageError(
            f"image {image} (counted from 0) has a box of {len(box)} numbers; expected x0, y0, x1, y1"
        )
    x0, y0, x1, y1 = map(float, box)
    return x0, y0, x1, y1
