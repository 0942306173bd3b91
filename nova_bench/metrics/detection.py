"""Detection metrics: average precision in the forms in circulation, hit rate, and counts at an IoU.

The definitions differ by a factor of fifty on real answers (no scores, several true boxes an image), so each has its name:

    ap50            COCO: detections pooled over the corpus, at most 100 an image, precision read at 101 recalls (Lin et al.
                    2014, arXiv 1405.0312). Equals pycocotools. Equal scores stand in the order of the table's lines (sample
                    ids), then of the answer.
    ap50(tie)       the same curve, but all equal scores enter it together: no order of images or boxes reaches the number. No
                    cap of 100 either, as a cap among equals needs an order.
    ap50(pooled11)  pooled, precision read at 11 recalls (PASCAL VOC 2007; Everingham et al. 2010), order as ap50, no cap.
    ap50(image11)   mean over images of each one's own 11-point AP; an image without truth counts 1 without a box, else 0.
    hit50           share of images where some box reaches IoU 0.5 with some true box; images without truth stay in the
                    denominator, as 0.

``ap`` is the mean over IoU 0.50:0.05:0.95. What NOVA (arXiv 2505.14064) calls ACC50, TP30, FP30 and FNR is here ``acc50``,
``tp30``, ``fp30`` and ``fnr30``. Boxes are matched by `nova_bench.metrics.matching`; all metrics read the columns of
`nova_bench.scorers.detection`. Undefined is NaN: pooled AP and fnr where the (weighted) table holds no true box,
``acc50(detection)`` where it holds no box at all, the other shares where nothing has weight. Counts are 0 there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from nova_bench.errors import UsageError
from nova_bench.metrics.matching import THRESHOLDS
from nova_bench.table import Ragged, Table
from nova_bench.types import Metric

MAX_DETECTIONS = 100
"""COCO's cap on the boxes of an image."""

_BYTES_A_CHUNK = 64 << 20
"""Bound on the working memory of one `compute`: resamples are taken in chunks."""


def average_precision(
    iou: float | None = 0.5,
    *,
    curve: Literal["coco", "pooled11", "image11"] = "coco",
    ties: Literal["order", "together"] = "order",
) -> Metric:
    """Return average precision at one IoU, or over COCO's ten: ``ap50``, ``ap30``, ``ap``, ``ap50(tie)``, ``ap50(pooled11)``, ...

    On an empty prediction the recall of the image is lost; on an image without truth every box is a false positive. Without
    any true box in the (weighted) table the pooled forms are NaN.

    Args:
        iou: 0.3, 0.5, 0.55, ... 0.95; None for the mean over 0.50:0.05:0.95.
        curve: "coco" (101 recalls, pooled), "pooled11" (11 recalls, pooled) or "image11" (mean of the images' own; IoU 0.3
            and 0.5 only).
        ties: Whether equal scores enter the curve one by one, in the order of the table and of the answer, or together.

    Raises:
        UsageError: A combination that does not exist.

    >>> [average_precision(0.5).name, average_precision(None).name, average_precision(0.3, ties="together").name]
    ['ap50', 'ap', 'ap30(tie)']
    """
    name = "ap" if iou is None else f"ap{_percent(iou)}"
    if curve == "image11":
        if ties != "order":
            raise UsageError(
                f"{name}(image11) has no form with ties={ties!r}; that is for curve='coco' and 'pooled11'"
            )
        return _image11(iou, name)
    notes = (["pooled11"] if curve == "pooled11" else []) + (["tie"] if ties == "together" else [])
    which = np.arange(1, len(THRESHOLDS)) if iou is None else np.array([_threshold(iou)])
    points = 11 if curve == "pooled11" else 101
    cap = MAX_DETECTIONS if curve == "coco" and ties == "order" else None

    def compute(table: Table, weights: np.ndarray) -> np.ndarray:
        hits = table.ragged("det_hit" if ties == "order" else "det_hit_tie")
        hits = Ragged(hits.values[:, which], hits.offsets)
        pooled = pooled_average_precision(
            table.ragged("det_score"), hits, table["n_true"], weights, points=points, ties=ties, cap=cap
        )
        return np.asarray(pooled.mean(axis=1))

    where = "mean over IoU 0.50:0.05:0.95" if iou is None else f"at IoU {iou:.2f}"
    how = (
        "all equal scores together"
        if ties == "together"
        else "equal scores in the order of sample id and answer"
    )
    source = "COCO, Lin et al. 2014" if curve == "coco" else "PASCAL VOC 2007, Everingham et al. 2010"
    return Metric(
        name=name + (f"({','.join(notes)})" if notes else ""),
        needs=("det_score", "det_hit" if ties == "order" else "det_hit_tie", "n_true"),
        compute=compute,
        about=f"Average precision pooled over the corpus, {where}, {points} recalls, {how} ({source})",
    )


def hit_rate(iou: float = 0.5) -> Metric:
    """Return ``hit50`` or another IoU's: the share of images where some box reaches this IoU with some true box.

    Images without truth, and images without a box, stay in the denominator and count 0. Ties do not matter.

    >>> hit_rate(0.3).name
    'hit30'
    """
    return _hit_rate(f"hit{_percent(iou)}", iou)


def accuracy_50() -> Metric:
    """Return ``acc50``, NOVA's ACC50: the same number as ``hit50`` under the paper's name.

    >>> accuracy_50().name
    'acc50'
    """
    return _hit_rate("acc50", 0.5)


def detection_accuracy() -> Metric:
    """Return ``acc50(detection)``: TP / (TP + FP + FN) over the corpus at IoU 0.5, as in other re-implementations of NOVA.

    NaN where there is neither a true nor a predicted box. Matching by score, ties in the order of the answer, no cap.

    >>> detection_accuracy().name
    'acc50(detection)'
    """

    def sums(table: Table) -> tuple[np.ndarray, np.ndarray]:
        return table["tp50"], table["tp50"] + table["fp50"] + table["fn50"]

    about = "TP / (TP + FP + FN) at IoU 0.5 over the corpus (NOVA's ACC50 in other codes)"
    return _ratio("acc50(detection)", ("tp50", "fp50", "fn50"), sums, about)


def false_negative_rate(iou: float = 0.3) -> Metric:
    """Return ``fnr30`` or ``fnr50``: 1 - recall of true boxes over the corpus; lower is better, NaN without a true box.

    >>> false_negative_rate().name, false_negative_rate().higher_is_better
    ('fnr30', False)
    """
    column = f"fn{_counted(iou)}"

    def sums(table: Table) -> tuple[np.ndarray, np.ndarray]:
        return table[column], table["n_true"]

    about = f"Share of true boxes that no predicted box finds at IoU {iou:.2f} (NOVA's FNR)"
    return _ratio(f"fnr{_percent(iou)}", (column, "n_true"), sums, about, higher_is_better=False)


def true_positives(iou: float = 0.3) -> Metric:
    """Return ``tp30`` or ``tp50``: how many predicted boxes find a true box, over the corpus.

    >>> true_positives().name, true_positives().infer
    ('tp30', False)
    """
    return _count(
        f"tp{_counted(iou)}", f"Predicted boxes that find a true box at IoU {iou:.2f}", higher_is_better=True
    )


def false_positives(iou: float = 0.3) -> Metric:
    """Return ``fp30`` or ``fp50``: how many predicted boxes find none, over the corpus; lower is better.

    >>> false_positives().name, false_positives().higher_is_better
    ('fp30', False)
    """
    return _count(
        f"fp{_counted(iou)}",
        f"Predicted boxes that find no true box at IoU {iou:.2f}",
        higher_is_better=False,
    )


def localization_metrics() -> tuple[Metric, ...]:
    """Return all localisation metrics of NOVA, the headline ``ap50`` first.

    >>> " ".join(metric.name for metric in localization_metrics()[:10])
    'ap50 ap ap30 ap50(tie) ap(tie) ap30(tie) ap50(pooled11) ap30(pooled11) ap50(image11) ap30(image11)'
    >>> " ".join(metric.name for metric in localization_metrics()[10:])
    'hit50 hit30 acc50 acc50(detection) tp30 fp30 fnr30 fnr50'
    """
    return (
        average_precision(0.5),
        average_precision(None),
        average_precision(0.3),
        average_precision(0.5, ties="together"),
        average_precision(None, ties="together"),
        average_precision(0.3, ties="together"),
        average_precision(0.5, curve="pooled11"),
        average_precision(0.3, curve="pooled11"),
        average_precision(0.5, curve="image11"),
        average_precision(0.3, curve="image11"),
        hit_rate(0.5),
        hit_rate(0.3),
        accuracy_50(),
        detection_accuracy(),
        true_positives(0.3),
        false_positives(0.3),
        false_negative_rate(0.3),
        false_negative_rate(0.5),
    )


def pooled_average_precision(
    scores: Ragged,
    hits: Ragged,
    n_true: np.ndarray,
    weights: np.ndarray,
    *,
    points: int = 101,
    ties: Literal["order", "together"] = "order",
    cap: int | None = MAX_DETECTIONS,
) -> np.ndarray:
    """Return average precision pooled over images, for many weightings of the images at once: float array (b, T).

    With weights of 1, the number of pycocotools to rounding. A weight counts each detection of its image that often, in its
    place: the same as repeating the image beside itself, but for equal scores within one answer under "order" (a repeated
    answer a, b with equal scores stands as a, b, a, b; a weighted one as a, a, b, b). Precision is made non-increasing from
    the right; recall rises at true positives only, so the curve is looked at there and nowhere else.

    Args:
        scores: Ragged, n entries (k,), each sorted, highest first.
        hits: Ragged, n entries bool (k, T), in the same order.
        n_true: float array (n,), true boxes an image.
        weights: float array (b, n), >= 0; 0 leaves an image out.
        points: How many recalls, evenly from 0 to 1, the precision is read at.
        ties: "order": equal scores stay in the order of the arrays; "together": they enter the curve at one point.
        cap: The most boxes an image may bring; None for no limit.

    >>> scores = Ragged.of([[0.9, 0.3], [0.6]])
    >>> hits = Ragged.of([np.array([[True], [False]]), np.array([[True]])])
    >>> pooled_average_precision(scores, hits, np.array([1, 2]), np.array([[1, 1], [1, 0]])).round(4).tolist()
    [[0.6634], [1.0]]
    """
    weights = np.asarray(weights, dtype=np.float64)
    if weights.ndim != 2 or weights.shape[1] != len(scores):
        raise ValueError(
            f"got weights of shape {weights.shape}, expected (b, {len(scores)}): one a line of the table"
        )
    score, hit, row = scores.values, hits.values, scores.row
    if cap is not None and len(score) and scores.lengths.max() > cap:
        kept = np.flatnonzero(np.arange(len(score)) - scores.offsets[:-1][row] < cap)
        score, hit, row = score[kept], hit[kept], row[kept]
    order = np.argsort(-score, kind="stable")
    score, hit, row = score[order], hit[order], row[order]
    # where the curve stands once a detection has entered: at itself, or at the last of its equals
    enters = np.arange(len(score))
    if ties == "together":
        last = np.flatnonzero(np.append(score[1:] != score[:-1], True)) if len(score) else enters
        enters = last[np.searchsorted(last, enters)]
    found = [np.flatnonzero(hit[:, t]) for t in range(hit.shape[1])]

    needles = _recalls(points)
    result = np.full((len(weights), len(found)), np.nan)
    widest = max((len(positions) for positions in found), default=0)
    step = max(1, _BYTES_A_CHUNK // (8 * (2 * len(score) + 6 * widest + 4 * len(needles))))
    for start in range(0, len(weights), step):
        some = weights[start : start + step]
        total = some @ n_true
        defined = np.flatnonzero(total > 0)
        some, total = some[defined], total[defined]
        entered = np.cumsum(np.take(some, row, axis=1), axis=1)
        for t, positions in enumerate(found):
            right = np.cumsum(np.take(some, row[positions], axis=1), axis=1)
            at = enters[positions]
            if ties == "together":
                ends = np.flatnonzero(np.append(at[1:] != at[:-1], True)) if len(at) else at
                right, at = right[:, ends], at[ends]
            result[start + defined, t] = _area(right, np.take(entered, at, axis=1), total, needles)
    return result


def image_average_precision(hits: Ragged, n_true: np.ndarray) -> np.ndarray:
    """Return each image's own 11-point average precision: float array (n, T).

    An image without truth counts 1 without a box, else 0; an image with truth and no box counts 0. Equal scores rank in the
    order given.

    Args:
        hits: Ragged, n entries bool (k, T), sorted by score, highest first.
        n_true: int array (n,), true boxes an image.

    >>> hits = Ragged.of([np.array([[False], [True]]), np.zeros((0, 1), bool)])
    >>> image_average_precision(hits, np.array([1, 0])).tolist()
    [[0.5], [1.0]]
    """
    n_true = np.asarray(n_true, dtype=np.float64)
    empty = np.where((n_true == 0) & (hits.lengths == 0), 1.0, 0.0)
    result = np.repeat(empty[:, None], hits.values.shape[1], axis=1)
    row = hits.row
    rank = np.arange(len(row)) - hits.offsets[:-1][row]
    needles = _recalls(11)
    for t in range(hits.values.shape[1]):
        positions = np.flatnonzero(hits.values[:, t])
        if not len(positions):
            continue
        # one line an image that has true positives, one column a true positive; absent ones add neither precision nor recall
        images, line, n_found = np.unique(row[positions], return_inverse=True, return_counts=True)
        nth = np.arange(len(positions)) - (np.cumsum(n_found) - n_found)[line]
        shape = (len(images), int(n_found.max()))
        precision = np.zeros(shape)
        precision[line, nth] = (nth + 1) / (rank[positions] + 1)
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = np.minimum(np.arange(1, shape[1] + 1), n_found[:, None]) / n_true[images, None]
        covered = np.searchsorted(needles, recall, side="right")
        result[images, t] = (precision * np.diff(covered, axis=1, prepend=0)).sum(axis=1) / len(needles)
    return result


def _area(right: np.ndarray, entered: np.ndarray, total: np.ndarray, needles: np.ndarray) -> np.ndarray:
    """Return the mean of the interpolated precision at the recalls `needles`: float array (b,).

    Args:
        right: float array (b, p), weight of true positives so far, at the points of the curve where it rises.
        entered: float array (b, p), weight of all detections so far.
        total: float array (b,), weight of true boxes, > 0.
        needles: float array (r,), see `_recalls`.
    """
    precision = np.divide(right, entered, out=np.zeros_like(right), where=entered > 0)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = right / total[:, None]
    covered = np.empty((len(right), len(needles)), dtype=np.int64)
    for i, curve in enumerate(recall):
        covered[i] = np.searchsorted(curve, needles)
    reached = covered < right.shape[1]
    if not right.shape[1]:
        return np.zeros(len(right))
    read = np.take_along_axis(precision, np.minimum(covered, right.shape[1] - 1), axis=1)
    # fractional weights can round to a hair above 1
    return np.asarray(np.minimum(np.where(reached, read, 0.0).mean(axis=1), 1.0))


def _recalls(points: int) -> np.ndarray:
    """Return the recalls at which precision is read, moved by 1e-11 so that rounding decides nothing.

    A recall of exactly k/100 should reach the k-th point. With 101 points pycocotools compares ``tp / n`` with
    ``np.linspace(0, 1, 101)``, some of which lie a bit above k/100 (0.35000000000000003) and are then missed; we miss the
    same, as the number is to be the same. Fractional weights carry rounding errors, and a recall that is not k/100 lies at least
    1 / (100 n) from it, so 1e-11 to the proper side settles it. With 11 points there is no reference whose last bits matter:
    recalls of exactly k/10 always reach the point.
    """
    exact = np.arange(points) / (points - 1)
    missed = np.linspace(0, 1, points) > exact if points == 101 else np.zeros(points, dtype=bool)
    return exact + np.where(missed, 1e-11, -1e-11)


def _image11(iou: float | None, name: str) -> Metric:
    """Return ``ap50(image11)`` or ``ap30(image11)``."""
    if iou is None or _percent(iou) not in (30, 50):
        raise UsageError(
            f"{name}(image11) is kept at IoU 0.3 and 0.5 only: average_precision(0.3, curve='image11') or 0.5"
        )
    column = f"image11_{_percent(iou)}"

    def sums(table: Table) -> tuple[np.ndarray, np.ndarray]:
        return table[column], np.ones(len(table))

    about = f"Mean over images of the image's own 11-point average precision at IoU {iou:.2f}"
    return _ratio(f"{name}(image11)", (column,), sums, about)


def _hit_rate(name: str, iou: float) -> Metric:
    """Return the share of images whose best IoU reaches `iou`, under a name."""
    limit = min(iou, 1 - 1e-10)  # as in matching, so that an image is a hit where it has a true positive

    def sums(table: Table) -> tuple[np.ndarray, np.ndarray]:
        return (table["best_iou"] >= limit).astype(np.float64), np.ones(len(table))

    about = f"Share of images where a predicted box reaches IoU {iou:.2f} with a true box; images without truth count 0"
    return _ratio(name, ("best_iou",), sums, about)


def _ratio(
    name: str,
    needs: tuple[str, ...],
    sums: Callable[[Table], tuple[np.ndarray, np.ndarray]],
    about: str,
    *,
    higher_is_better: bool = True,
) -> Metric:
    """Return the metric ``sum num / sum den``; NaN where the denominator is 0."""

    def compute(table: Table, weights: np.ndarray) -> np.ndarray:
        num, den = sums(table)
        above, below = weights @ num, weights @ den
        return np.asarray(np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0))

    return Metric(
        name=name, needs=needs, compute=compute, sums=sums, higher_is_better=higher_is_better, about=about
    )


def _count(name: str, about: str, *, higher_is_better: bool) -> Metric:
    """Return the metric that adds up a column; it grows with the corpus, so it has no interval and no part in comparisons."""

    def compute(table: Table, weights: np.ndarray) -> np.ndarray:
        return np.asarray(weights @ table[name], dtype=np.float64)

    return Metric(
        name, (name,), compute, higher_is_better=higher_is_better, range=None, infer=False, about=about
    )


def _percent(iou: float) -> int:
    return round(100 * iou)


def _counted(iou: float) -> int:
    """Return 30 or 50, the IoUs at which the scorer counts."""
    if _percent(iou) not in (30, 50):
        raise UsageError(f"boxes are counted at IoU 0.3 and 0.5, got {iou}")
    return _percent(iou)


def _threshold(iou: float) -> int:
    """Return where `iou` stands in `THRESHOLDS`."""
    near = np.flatnonzero(np.abs(THRESHOLDS - iou) < 1e-9)
    if not len(near):
        raise UsageError(f"boxes are matched at IoU 0.3 and 0.5, 0.55, ... 0.95, got {iou}")
    return int(near[0])
