"""The detection scorer: from true and predicted boxes to the columns that all localisation metrics read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from nova_bench.boxes import Box
from nova_bench.metrics.detection import image_average_precision
from nova_bench.metrics.matching import THRESHOLDS, check_boxes, match
from nova_bench.table import Ragged
from nova_bench.types import Item, Row, Sample, Scorer

COLUMNS = (
    "det_score",
    "det_hit",
    "det_hit_tie",
    "n_true",
    "best_iou",
    "image11_30",
    "image11_50",
    "tp30",
    "fp30",
    "fn30",
    "tp50",
    "fp50",
    "fn50",
)
_AT_30, _AT_50 = 0, 1  # in THRESHOLDS


def detection(batch: int = 2048) -> Scorer:
    """Return the scorer of boxes: ``sample.target`` is a sequence of `Box`, ``prediction.value`` another, or None for no box.

    Its columns, for an image with k predicted boxes and the T = 11 thresholds of `nova_bench.metrics.matching.THRESHOLDS`
    (0.30, 0.50:0.05:0.95):

        det_score     float (k,), highest first; equal ones in the order of the answer
        det_hit       bool (k, T), in that order: the box found a true box; matched as pycocotools does, without its cap of 100
        det_hit_tie   bool (k, T), the same where of equal scores the best fitting box chooses first, whatever the answer's order
        n_true        true boxes
        best_iou      the highest IoU of any predicted with any true box; 0 where either is missing
        image11_30    the image's own 11-point average precision at IoU 0.30; 1 where truth and prediction are both empty
        image11_50    the same at 0.50
        tp30 fp30 fn30 tp50 fp50 fn50    counts of ``det_hit`` at IoU 0.30 and 0.50

    The bounds that failed samples are given. Best: the true boxes (no box where there is no truth). Worst: no box where there is
    truth; one false box of score 1 where there is none, as an empty answer would be the right one. For metrics that count images
    or true boxes (hit, acc50, image11, fnr) nothing is worse. For pooled AP, ``acc50(detection)`` and ``fp30`` no answer is the
    worst, as every further false box costs more: there the bound means "finds nothing", and a model that floods
    images with boxes can fall below it.

    Args:
        batch: How many samples are matched in one call.

    >>> from nova_bench.types import Prediction
    >>> sample = Sample("a", (), {}, (Box(0, 0, 10, 10),), "case1", {})
    >>> row = next(iter(detection().rows([Item(sample, Prediction("ok", (Box(0, 0, 10, 6), Box(50, 50, 60, 60))))])))
    >>> row["best_iou"], row["tp50"], row["fp50"], row["fn50"]
    (0.6, 1.0, 1.0, 0.0)
    """

    def rows(items: Iterable[Item]) -> Iterator[Row]:
        stream = iter(items)
        while some := list(islice(stream, batch)):
            yield from _rows(
                [item.sample.id for item in some],
                [item.sample.target for item in some],
                [item.prediction.value or () for item in some],
            )

    return Scorer(name="detection", columns=COLUMNS, rows=rows, bounds=_bounds)


def _bounds(sample: Sample) -> tuple[Row, Row]:
    """Return the rows of the worst and the best answer (see `detection`)."""
    worst: Sequence[Box] = () if sample.target else (Box(0, 0, 1, 1, score=1.0),)
    best = [Box(box.x0, box.y0, box.x1, box.y1, score=1.0) for box in sample.target]
    first, second = _rows([sample.id] * 2, [sample.target] * 2, [worst, best])
    return first, second


def _rows(
    ids: Sequence[str], targets: Sequence[Sequence[Box]], answers: Sequence[Sequence[Box]]
) -> list[Row]:
    """Return one row a sample."""
    truth, _, truth_offsets = _arrays(ids, targets, "true")
    boxes, scores, box_offsets = _arrays(ids, answers, "predicted")
    found = match(boxes, scores, box_offsets, truth, truth_offsets)
    fair = match(boxes, scores, box_offsets, truth, truth_offsets, ties="iou")
    n_true = np.diff(truth_offsets)
    image11 = image_average_precision(Ragged(found.hit, box_offsets), n_true)
    scores = scores[found.order]
    so_far = np.concatenate([np.zeros((1, len(THRESHOLDS)), np.int64), np.cumsum(found.hit, axis=0)])
    tp = so_far[box_offsets[1:]] - so_far[box_offsets[:-1]]
    rows: list[Row] = []
    for i in range(len(ids)):
        mine = slice(box_offsets[i], box_offsets[i + 1])
        n_boxes = int(box_offsets[i + 1] - box_offsets[i])
        row = {
            "det_score": scores[mine],
            "det_hit": found.hit[mine],
            "det_hit_tie": fair.hit[mine],
            "n_true": float(n_true[i]),
            "best_iou": float(found.best_iou[i]),
        }
        for name, at in (("30", _AT_30), ("50", _AT_50)):
            row[f"image11_{name}"] = float(image11[i, at])
            row[f"tp{name}"] = float(tp[i, at])
            row[f"fp{name}"] = float(n_boxes - tp[i, at])
            row[f"fn{name}"] = float(n_true[i] - tp[i, at])
        rows.append(row)
    return rows


def _arrays(
    ids: Sequence[str], entries: Sequence[Sequence[Box]], whose: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes (m, 4), scores (m,) and offsets (n + 1,) of one sequence of boxes a sample."""
    offsets = np.concatenate([[0], np.cumsum([len(entry) for entry in entries])]).astype(np.int64)
    numbers = [(box.x0, box.y0, box.x1, box.y1, box.score) for entry in entries for box in entry]
    flat = np.array(numbers, dtype=np.float64).reshape(-1, 5)
    boxes, scores = flat[:, :4], flat[:, 4]
    check_boxes(boxes, scores, offsets, whose, ids)
    return boxes, scores, offsets
