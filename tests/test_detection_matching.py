"""Matching of predicted with true boxes, and the scorer that turns it into rows."""

from __future__ import annotations

import contextlib
import io
import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask

from nova_bench.boxes import Box
from nova_bench.errors import DataError, NovaBenchError
from nova_bench.metrics import matching
from nova_bench.metrics.coco import coco_eval, prepare
from nova_bench.metrics.matching import COCO_THRESHOLDS, THRESHOLDS, box_iou, match
from nova_bench.scorers.detection import COLUMNS, detection
from nova_bench.types import Item, Prediction, Sample

SMALL = st.integers(0, 6)
BOXES = st.lists(
    st.tuples(SMALL, SMALL, st.integers(1, 6), st.integers(1, 6), st.sampled_from([0.25, 0.5, 1.0])).map(
        lambda b: Box(b[0], b[1], b[0] + b[2], b[1] + b[3], score=b[4])
    ),
    max_size=7,
)
IMAGES = st.lists(st.tuples(BOXES, BOXES), min_size=1, max_size=6)


def arrays(boxes_by_image: list[list[Box]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    flat = np.array(
        [(b.x0, b.y0, b.x1, b.y1, b.score) for boxes in boxes_by_image for b in boxes], dtype=float
    ).reshape(-1, 5)
    return flat[:, :4], flat[:, 4], np.cumsum([0] + [len(boxes) for boxes in boxes_by_image])


def matched(truth: list[list[Box]], predicted: list[list[Box]], ties: str = "order") -> matching.Matches:
    boxes, scores, box_offsets = arrays(predicted)
    true, _, truth_offsets = arrays(truth)
    return match(boxes, scores, box_offsets, true, truth_offsets, ties=ties)


def matched_by_coco(truth: list[list[Box]], predicted: list[list[Box]]) -> np.ndarray:
    """pycocotools' matches: bool (m, T), image by image, by score."""
    evaluation = prepare(truth, predicted)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
    found = [image["dtMatches"].T > 0 for image in evaluation.evalImgs if image is not None]
    return np.concatenate([np.zeros((0, len(THRESHOLDS)), bool), *found])


def rows_of(truth: list[list[Box]], answers: list[list[Box] | None], batch: int = 2048) -> list[dict]:
    items = [
        Item(
            Sample(f"s{i:04d}", (), {}, tuple(true), f"c{i}", {}),
            Prediction("unparsed" if answer is None else "ok", answer),
        )
        for i, (true, answer) in enumerate(zip(truth, answers, strict=True))
    ]
    return list(detection(batch).rows(iter(items)))


def test_thresholds_are_the_floats_of_pycocotools():
    from pycocotools.cocoeval import Params

    assert COCO_THRESHOLDS.tolist() == Params("bbox").iouThrs.tolist()
    assert THRESHOLDS[0] == 0.3


def test_iou_equals_pycocotools_to_the_last_bit():
    rng = np.random.default_rng(0)
    for scale in (1.0, 480.0, 1e-3):
        # models also write corners outside the image; there x + (x1 - x) is often not x1
        boxes = np.sort(rng.uniform(-scale / 2, scale, (200, 2, 2)), axis=1).reshape(200, 4)
        assert ((boxes[:, 2] - boxes[:, 0]) + boxes[:, 0] != boxes[:, 2]).any()
        whole = np.concatenate(
            [np.floor(boxes[:30, :2]), np.floor(boxes[:30, :2]) + rng.integers(1, 9, (30, 2))], axis=1
        )
        boxes = np.concatenate([boxes, whole, boxes[:5]])
        xywh = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
        assert (box_iou(boxes, boxes) == mask.iou(xywh, xywh, [0] * len(xywh))).all()


def test_iou_of_nothing_has_no_entries():
    assert box_iou(np.zeros((0, 4)), np.ones((3, 4))).shape == (0, 3)
    assert box_iou(np.ones((3, 4)), np.zeros((0, 4))).shape == (3, 0)


@pytest.mark.parametrize("tenths", [3, 5, 6, 7, 8, 9, 10])
def test_match_at_exactly_the_threshold_is_a_hit(tenths):
    found = matched([[Box(0, 0, 10, 10)]], [[Box(0, 0, 10, tenths)]])
    reference = matched_by_coco([[Box(0, 0, 10, 10)]], [[Box(0, 0, 10, tenths)]])
    assert (found.hit == reference).all()
    assert found.hit[0, 0]
    assert found.best_iou.tolist() == [tenths / 10]


def test_match_gives_a_true_box_to_one_prediction_only():
    found = matched([[Box(0, 0, 10, 10)]], [[Box(0, 0, 10, 10), Box(0, 0, 10, 10)]])
    assert found.hit.all(axis=1).tolist() == [True, False]


def test_match_serves_the_higher_score_first_even_if_it_fits_worse():
    found = matched([[Box(0, 0, 10, 10)]], [[Box(0, 0, 10, 10, score=0.2), Box(0, 0, 10, 6, score=0.9)]])
    assert found.order.tolist() == [1, 0]
    assert found.hit[:, 1].tolist() == [True, False]  # at 0.50 the better box comes too late
    assert found.hit[:, -1].tolist() == [False, True]  # at 0.95 only it is near enough


def test_match_takes_the_later_of_equally_near_true_boxes():
    # the first prediction lies evenly on both true boxes and takes the right one; the second is near the right one only
    truth, predicted = [[Box(0, 0, 4, 4), Box(2, 0, 6, 4)]], [[Box(1, 0, 5, 4), Box(3, 0, 7, 4)]]
    assert (matched(truth, predicted).hit == matched_by_coco(truth, predicted)).all()
    assert matched(truth, predicted).hit[:, 1].tolist() == [True, False]
    assert matched([truth[0][::-1]], predicted).hit[:, 1].tolist() == [True, True]


@settings(max_examples=150, deadline=None)
@given(IMAGES)
def test_match_equals_pycocotools(images):
    truth, predicted = [a for a, _ in images], [b for _, b in images]
    assert (matched(truth, predicted).hit == matched_by_coco(truth, predicted)).all()


@settings(max_examples=50, deadline=None)
@given(IMAGES, st.integers(1, 40))
def test_match_does_not_depend_on_the_chunks(images, pairs):
    truth, predicted = [a for a, _ in images], [b for _, b in images]
    whole = matched(truth, predicted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "_PAIRS_A_CHUNK", pairs)
        parts = matched(truth, predicted)
    assert (whole.order == parts.order).all()
    assert (whole.hit == parts.hit).all()
    assert (whole.best_iou == parts.best_iou).all()


@settings(max_examples=100, deadline=None)
@given(BOXES, BOXES, st.randoms(use_true_random=False))
def test_match_by_fit_does_not_depend_on_the_answers_order(truth, predicted, random):
    shuffled = random.sample(predicted, len(predicted))
    first, second = matched([truth], [predicted], "iou"), matched([truth], [shuffled], "iou")
    assert (first.hit == second.hit).all()
    assert first.best_iou == second.best_iou


def test_match_by_fit_lets_the_best_fitting_of_equals_choose_first():
    truth = [Box(0, 0, 10, 10), Box(0, 4, 10, 14)]
    upper, between = Box(0, 0, 10, 6), Box(0, 1, 10, 11)  # IoU with the true boxes: 0.6, 0.14 and 0.82, 0.54
    for answer, greedy in (([upper, between], 2), ([between, upper], 1)):
        assert matched([truth], [answer]).hit[:, 1].sum() == greedy
        assert matched([truth], [answer], "iou").hit[:, 1].sum() == 1
        (row,) = rows_of([truth], [answer])
        assert row["det_hit"][:, 1].sum() == greedy
        assert row["det_hit_tie"][:, 1].sum() == 1


def test_match_at_threshold_one_forgives_rounding():
    true, rounded, off = [0.0, 0, 10, 10], [0.0, 0, 10, 10 - 1e-12], [0.0, 0, 10, 10 - 1e-6]
    found = match([rounded, off], np.ones(2), [0, 1, 2], [true, true], [0, 1, 2], np.array([1.0]))
    assert found.best_iou.max() < 1
    assert found.hit.tolist() == [[True], [False]]


def test_match_of_no_images_is_empty():
    found = matched([], [])
    assert found.hit.shape == (0, len(THRESHOLDS))
    assert found.best_iou.shape == (0,)


@pytest.mark.parametrize(
    "bad",
    [
        Box(0, 0, math.nan, 5),
        Box(0, 0, math.inf, 5),
        Box(5, 0, 4, 5),
        Box(0, 3, 4, 3),
        Box(0, 0, 4, 5, score=math.nan),
    ],
)
def test_match_refuses_a_box_that_is_not_sound(bad):
    with pytest.raises(DataError, match="image 1: predicted box 0 is"):
        matched([[], []], [[Box(0, 0, 1, 1)], [bad]])


def test_match_refuses_lengths_that_do_not_belong_together():
    boxes = np.array([[0.0, 0, 1, 1]])
    with pytest.raises(ValueError, match="expected one score a box"):
        match(boxes, np.ones(2), np.array([0, 1]), boxes, np.array([0, 1]))
    with pytest.raises(ValueError, match="expected the same images"):
        match(boxes, np.ones(1), np.array([0, 1]), boxes, np.array([0, 1, 1]))
    with pytest.raises(ValueError, match=r"expected \(m, 4\)"):
        match(np.ones((1, 5)), np.ones(1), np.array([0, 1]), boxes, np.array([0, 1]))


def test_scorer_counts_boxes_by_hand():
    truth = [Box(0, 0, 10, 10), Box(20, 0, 30, 10), Box(40, 0, 50, 10)]
    answer = [Box(60, 0, 70, 10, score=0.1), Box(0, 0, 10, 6, score=0.9), Box(20, 0, 30, 4, score=0.5)]
    (row,) = rows_of([truth], [answer])
    assert set(row) == set(COLUMNS)
    assert row["det_score"].tolist() == [0.9, 0.5, 0.1]
    assert row["det_hit"][:, :2].tolist() == [[True, True], [True, False], [False, False]]
    assert [row[name] for name in ("tp30", "fp30", "fn30", "tp50", "fp50", "fn50")] == [2, 1, 1, 1, 2, 2]
    assert (row["n_true"], row["best_iou"]) == (3, 0.6)
    # recall 1/3 and 2/3 at precision 1 cover the points 0..0.6; recall 1/3 alone covers 0..0.3
    assert row["image11_30"] == pytest.approx(7 / 11)
    assert row["image11_50"] == pytest.approx(4 / 11)


@pytest.mark.parametrize(
    ("truth", "answer", "expected"),
    [([], None, 1.0), ([], [], 1.0), ([], [Box(0, 0, 1, 1)], 0.0), ([Box(0, 0, 1, 1)], None, 0.0)],
)
def test_scorer_on_empty_truth_or_answer(truth, answer, expected):
    (row,) = rows_of([truth], [answer])
    n_boxes = len(answer or [])
    assert (row["image11_30"], row["image11_50"], row["best_iou"]) == (expected, expected, 0.0)
    assert (row["tp50"], row["fp50"], row["fn50"]) == (0, n_boxes, len(truth))
    assert row["det_score"].shape == (n_boxes,)
    assert row["det_hit"].shape == (n_boxes, len(THRESHOLDS))


@settings(max_examples=30, deadline=None)
@given(IMAGES, st.integers(1, 4))
def test_scorer_rows_do_not_depend_on_the_batch(images, batch):
    truth, predicted = [a for a, _ in images], [b for _, b in images]
    for one, other in zip(rows_of(truth, predicted), rows_of(truth, predicted, batch), strict=True):
        for name in COLUMNS:
            assert np.array_equal(one[name], other[name])


def test_scorer_counts_beyond_the_cap_of_coco():
    miss = [Box(50, 50, 60, 60)] * 120
    (row,) = rows_of([[Box(0, 0, 10, 10)]], [[*miss, Box(0, 0, 10, 10)]])
    assert (row["tp50"], row["fp50"], row["best_iou"]) == (1, 120, 1.0)
    assert row["image11_50"] == pytest.approx(1 / 121)


def test_scorer_names_the_sample_of_a_box_that_is_not_sound():
    with pytest.raises(DataError, match="image 's0001': predicted box 1 is"):
        rows_of([[], []], [[], [Box(0, 0, 1, 1), Box(2, 0, 1, 1)]])
    with pytest.raises(DataError, match="image 's0000': true box 0 is"):
        rows_of([[Box(0, 0, 0, 1)]], [None])


def test_bounds_are_the_true_boxes_and_nothing_found():
    bounds = detection().bounds
    assert bounds is not None
    truth = (Box(0, 0, 10, 10, score=0.2), Box(5, 5, 9, 9))
    worst, best = bounds(Sample("a", (), {}, truth, "c", {}))
    assert (best["tp50"], best["fp50"], best["fn50"], best["image11_50"], best["best_iou"]) == (2, 0, 0, 1, 1)
    assert best["det_hit"].all()
    assert (worst["tp50"], worst["fp50"], worst["fn50"], worst["image11_50"], worst["best_iou"]) == (
        0,
        0,
        2,
        0,
        0,
    )
    worst, best = bounds(Sample("b", (), {}, (), "c", {}))
    assert (best["fp50"], best["image11_50"]) == (0, 1)
    assert (worst["fp50"], worst["image11_50"]) == (1, 0)


def test_coco_eval_without_pycocotools_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(NovaBenchError, match=r'pip install "nova-bench\[coco\]"'):
        coco_eval([[]], [[]])


def test_coco_eval_prints_nothing_and_is_nan_without_truth(capsys):
    assert all(math.isnan(value) for value in coco_eval([[], []], [[Box(0, 0, 1, 1)], []]).values())
    assert coco_eval([[Box(0, 0, 1, 1)]], [[]]) == {"ap": 0.0, "ap50": 0.0, "ap30": 0.0}
    assert capsys.readouterr().out == ""


def test_coco_eval_counts_boxes_of_any_size():
    huge = Box(0, 0, 1e6, 1e6)
    assert coco_eval([[huge]], [[huge]])["ap"] == pytest.approx(1.0)


def test_coco_eval_refuses_sides_of_different_length():
    with pytest.raises(ValueError, match="one sequence an image"):
        coco_eval([[]], [[], []])
