"""Which predicted box found which true box: COCO's greedy matching, for all images at once.

The shapes, in all of the detection code:

    n  images                     box_offsets (n + 1,): boxes[box_offsets[i]:box_offsets[i + 1]] belong to image i
    m  predicted boxes in all     truth_offsets (n + 1,): the same for the true boxes
    g  true boxes in all
    T  IoU thresholds             THRESHOLDS (11,): 0.30, then COCO's 0.50:0.05:0.95

The rules are those of ``COCOeval.evaluateImg`` (pycocotools) with one class, all areas and no crowd: the boxes of an image by
score, highest first (equal scores in the order of the answer); each takes the true box, of those still free, with which its
IoU is highest and at least the threshold; of true boxes with exactly the same IoU the later one. IoUs are computed from
(x, y, width, height) in the order of operations of pycocotools' C code, so that a box exactly at a threshold falls on the
same side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from nova_bench.errors import DataError

COCO_THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Float array (10,): 0.50:0.05:0.95 as pycocotools computes them; their last bits decide about boxes exactly at a threshold."""

THRESHOLDS = np.concatenate([[0.3], COCO_THRESHOLDS])
"""Float array (11,): the IoU thresholds at which boxes are matched. NOVA adds 0.30, as rare lesions have fuzzy borders."""

_PAIRS_A_CHUNK = 100_000
"""Pairs of a predicted and a true box that are held at once, to bound memory; the speed is the same from 10,000 to 300,000."""


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """The outcome of `match`.

    Attributes:
        order: int array (m,), the predicted boxes (positions in the input) image by image, each image's by score, highest first.
        hit: bool array (m, T), in that order: whether the box found a true box at each threshold.
        best_iou: float array (n,), the highest IoU of any predicted with any true box; 0 where an image lacks either.
    """

    order: np.ndarray
    hit: np.ndarray
    best_iou: np.ndarray


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the IoU of each box with each other box: float array (len(a), len(b)).

    Equal to ``pycocotools.mask.iou`` of the same boxes as (x, y, width, height). Boxes without area overlap with nothing: 0.

    Args:
        a: float array (p, 4), xyxy px.
        b: float array (q, 4), xyxy px.

    >>> box_iou(np.array([[0, 0, 4, 4]]), np.array([[0, 0, 4, 2], [2, 2, 6, 6], [8, 8, 9, 9]])).round(3).tolist()
    [[0.5, 0.143, 0.0]]
    """
    a, b = _as_boxes(a), _as_boxes(b)
    first, second = np.divmod(np.arange(len(a) * len(b)), max(len(b), 1))
    return _paired_iou(_edges(a), first, _edges(b), second).reshape(len(a), len(b))


def check_boxes(
    boxes: np.ndarray, scores: np.ndarray, offsets: np.ndarray, whose: str, names: Sequence[str] | None = None
) -> None:
    """Check that all boxes are finite, with x1 > x0 and y1 > y0, and have finite scores.

    A prediction should not get here with another box: the parser drops and counts it (`nova_bench.boxes.is_sound`).

    Args:
        boxes: float array (m, 4), xyxy px, image by image.
        scores: float array (m,).
        offsets: int array (n + 1,), where each image's boxes begin and end.
        whose: What they are, for the message ("predicted", "true").
        names: The images' names, for the message; None to number them.

    Raises:
        DataError: A box is not sound.

    >>> check_boxes(np.array([[5, 0, 4, 9.0]]), np.ones(1), np.array([0, 1]), "predicted", ["a"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    nova_bench.errors.DataError: image 'a': predicted box 0 is (5.0, 0.0, 4.0, 9.0), score 1.0; expected finite numbers, ...
    """
    sound = (
        np.isfinite(boxes).all(axis=1)
        & np.isfinite(scores)
        & (boxes[:, 2] > boxes[:, 0])
        & (boxes[:, 3] > boxes[:, 1])
    )
    if not sound.all():
        at = int(np.argmin(sound))
        image = int(np.searchsorted(offsets, at, side="right")) - 1
        name = image if names is None else names[image]
        raise DataError(
            f"image {name!r}: {whose} box {at - offsets[image]} is {tuple(boxes[at].tolist())}, score {scores[at]}; "
            "expected finite numbers, xyxy px with x1 > x0 and y1 > y0. Drop and count such boxes where they are read"
        )


def match(
    boxes: np.ndarray,
    scores: np.ndarray,
    box_offsets: np.ndarray,
    truth: np.ndarray,
    truth_offsets: np.ndarray,
    thresholds: np.ndarray = THRESHOLDS,
    *,
    ties: Literal["order", "iou"] = "order",
) -> Matches:
    """Match the predicted with the true boxes of n images as pycocotools does (see the module's text), without its cap.

    The hits of the first 100 boxes of an image do not depend on those that follow, so a cap can be applied to the outcome.

    Reference: Lin et al. 2014, Microsoft COCO (arXiv 1405.0312).

    Args:
        boxes: float array (m, 4), xyxy px, predicted, image by image.
        scores: float array (m,), the higher the surer.
        box_offsets: int array (n + 1,), where each image's boxes begin and end.
        truth: float array (g, 4), xyxy px, true boxes, image by image.
        truth_offsets: int array (n + 1,).
        thresholds: float array (T,), IoU from which on a box counts as found.
        ties: Who comes first of an image's boxes with equal scores: the earlier in the answer ("order", as pycocotools), or
            the one that fits best ("iou"; then by coordinates), which makes the outcome a function of the set of boxes.

    Raises:
        DataError: A box that is not sound, or a score that is not finite.
        ValueError: Arrays whose lengths do not belong together.

    >>> found = match(np.array([[0, 0, 9, 9], [0, 0, 10, 10]]), np.ones(2), np.array([0, 2]),
    ...               np.array([[0, 0, 10, 10]]), np.array([0, 1]), np.array([0.5, 0.9]))
    >>> found.hit.tolist(), found.best_iou.tolist()
    ([[True, False], [False, True]], [1.0])
    """
    boxes, truth = _as_boxes(boxes), _as_boxes(truth)
    scores = np.asarray(scores, dtype=np.float64)
    box_offsets, truth_offsets = (
        np.asarray(box_offsets, dtype=np.int64),
        np.asarray(truth_offsets, dtype=np.int64),
    )
    if len(scores) != len(boxes) or box_offsets[-1] != len(boxes) or truth_offsets[-1] != len(truth):
        raise ValueError(
            f"got {len(boxes)} boxes, {len(scores)} scores, offsets up to {box_offsets[-1]}; {len(truth)} true boxes, "
            f"offsets up to {truth_offsets[-1]}; expected one score a box and offsets that end at the number of boxes"
        )
    if len(box_offsets) != len(truth_offsets):
        raise ValueError(
            f"got offsets of {len(box_offsets) - 1} images for predicted and of {len(truth_offsets) - 1} for true boxes; "
            "expected the same images, with equal offsets where an image has no box"
        )
    check_boxes(boxes, scores, box_offsets, "predicted")
    check_boxes(truth, np.ones(len(truth)), truth_offsets, "true")

    order = np.empty(len(boxes), dtype=np.int64)
    hit = np.zeros((len(boxes), len(thresholds)), dtype=bool)
    best_iou = np.zeros(len(box_offsets) - 1)
    # as pycocotools: a box that is perfect but for rounding, in converting frames, counts at threshold 1
    limits = np.minimum(np.asarray(thresholds, dtype=np.float64), 1 - 1e-10)
    n_boxes, n_truth = np.diff(box_offsets), np.diff(truth_offsets)
    ends = np.cumsum(n_boxes * n_truth + n_boxes + n_truth)
    start = 0
    while start < len(best_iou):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _PAIRS_A_CHUNK, side="right")))
        mine, theirs = (
            slice(box_offsets[start], box_offsets[stop]),
            slice(truth_offsets[start], truth_offsets[stop]),
        )
        order[mine], hit[mine], best_iou[start:stop] = _match_chunk(
            boxes[mine], scores[mine], n_boxes[start:stop], truth[theirs], n_truth[start:stop], limits, ties
        )
        order[mine] += box_offsets[start]
        start = stop
    return Matches(order, hit, best_iou)


def _match_chunk(
    boxes: np.ndarray,
    scores: np.ndarray,
    n_boxes: np.ndarray,
    truth: np.ndarray,
    n_truth: np.ndarray,
    limits: np.ndarray,
    ties: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return order, hit and best_iou of a few images (see `Matches`)."""
    image = np.repeat(np.arange(len(n_boxes)), n_boxes)
    first_box, first_truth = np.cumsum(n_boxes) - n_boxes, np.cumsum(n_truth) - n_truth
    # every pair of a predicted and a true box of one image: box by box, true boxes in order
    pairs = n_truth[image]
    first_pair = np.cumsum(pairs) - pairs
    box = np.repeat(np.arange(len(boxes)), pairs)
    true = np.repeat(first_truth[image] - first_pair, pairs) + np.arange(len(box))
    iou = _paired_iou(_edges(boxes), box, _edges(truth), true)

    best_of_box = np.zeros(len(boxes))
    best_of_box[pairs > 0] = np.maximum.reduceat(iou, first_pair[pairs > 0]) if len(iou) else 0.0
    best_iou = np.zeros(len(n_boxes))
    best_iou[n_boxes > 0] = np.maximum.reduceat(best_of_box, first_box[n_boxes > 0]) if len(boxes) else 0.0

    if ties == "iou":
        order = np.lexsort((*boxes.T, -best_of_box, -scores, image))
    elif len(scores) and (scores == scores[0]).all():
        order = np.arange(len(scores))
    else:
        order = np.lexsort((-scores, image))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))

    near = np.flatnonzero(iou >= limits.min(initial=np.inf))
    line, true, iou = place[box[near]], true[near], iou[near]
    hit = np.zeros((len(boxes), len(limits)), dtype=bool)
    # most boxes are near one true box that no other box is near: nothing to decide
    alone = (np.bincount(line, minlength=len(boxes))[line] == 1) & (
        np.bincount(true, minlength=len(truth))[true] == 1
    )
    hit[line[alone]] = iou[alone, None] >= limits
    line, true, iou = line[~alone], true[~alone], iou[~alone]
    _resolve(line, true, iou, line - first_box[image[line]], len(truth), limits, hit)
    return order, hit, best_iou


def _resolve(
    line: np.ndarray,
    true: np.ndarray,
    iou: np.ndarray,
    rank: np.ndarray,
    n_true: int,
    limits: np.ndarray,
    hit: np.ndarray,
) -> None:
    """Write the hits of boxes that compete for true boxes, rank after rank; boxes of one rank belong to different images.

    Args:
        line: int array (p,), of each pair the predicted box, as its line in `hit`.
        true: int array (p,), and the true box.
        iou: float array (p,).
        rank: int array (p,), the predicted box's place by score within its image.
        n_true: How many true boxes there are.
        limits: float array (T,).
        hit: bool array (m, T), written to.
    """
    by_rank = np.lexsort((true, line, rank))
    line, true, iou, rank = line[by_rank], true[by_rank], iou[by_rank], rank[by_rank]
    taken = np.zeros((n_true, len(limits)), dtype=bool)
    edges = np.flatnonzero(np.diff(rank, prepend=-1, append=-1))
    for start, stop in pairwise(edges):
        now = slice(start, stop)
        free = (iou[now, None] >= limits) & ~taken[true[now]]
        first = np.flatnonzero(np.diff(line[now], prepend=-1))
        if len(first) < stop - start:
            reached = np.where(free, iou[now, None], -1.0)
            best = np.maximum.reduceat(reached, first, axis=0)
            best = np.repeat(best, np.diff(first, append=stop - start), axis=0)
            # of equal IoUs the last
            pair = np.where(free & (reached == best), np.arange(stop - start)[:, None], -1)
            chosen = np.maximum.reduceat(pair, first, axis=0)
            free = pair == np.repeat(chosen, np.diff(first, append=stop - start), axis=0)
            free &= pair >= 0
        which, at = np.nonzero(free)
        hit[line[now][which], at] = True
        taken[true[now][which], at] = True


def _as_boxes(boxes: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
    """Return a float array (m, 4), also of an empty list."""
    array = np.asarray(boxes, dtype=np.float64)
    if array.size == 0:
        return np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"got boxes of shape {array.shape}, expected (m, 4): xyxy px")
    return array


def _edges(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return left, top, right, bottom and area as pycocotools has them, which knows a box as (x, y, width, height)."""
    left, top = boxes[:, 0].copy(), boxes[:, 1].copy()
    width, height = boxes[:, 2] - left, boxes[:, 3] - top
    return left, top, width + left, height + top, width * height


def _paired_iou(
    a: tuple[np.ndarray, ...], first: np.ndarray, b: tuple[np.ndarray, ...], second: np.ndarray
) -> np.ndarray:
    """Return the IoU (p,) of the boxes a[first] with the boxes b[second], in pycocotools' order of operations."""
    width = np.minimum(a[2][first], b[2][second]) - np.maximum(a[0][first], b[0][second])
    height = np.minimum(a[3][first], b[3][second]) - np.maximum(a[1][first], b[1][second])
    overlap = np.where((width > 0) & (height > 0), width * height, 0.0)
    union = a[4][first] + b[4][second] - overlap
    return np.asarray(np.divide(overlap, union, out=np.zeros(len(overlap)), where=overlap > 0))
