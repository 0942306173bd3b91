"""Detection metrics against pycocotools, against the definitions written out plainly, and by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nova_bench.boxes import Box
from nova_bench.errors import UsageError
from nova_bench.metrics import detection as metrics
from nova_bench.metrics.coco import coco_eval
from nova_bench.metrics.detection import average_precision, hit_rate, localization_metrics
from nova_bench.scorers.detection import detection
from nova_bench.table import Table, build_columns
from nova_bench.types import Item, Metric, Prediction, Sample

pytestmark = pytest.mark.real("pycocotools")

Corpus = tuple[list[list[Box]], list[list[Box]]]
BY_NAME = {metric.name: metric for metric in localization_metrics()}
POOLED = ["ap50", "ap", "ap30", "ap50(tie)", "ap(tie)", "ap30(tie)", "ap50(pooled11)", "ap30(pooled11)"]
MISS = Box(900, 900, 910, 910)
LESION = Box(0, 0, 10, 10)


def table_of(truth: list[list[Box]], predicted: list[list[Box]]) -> Table:
    scorer = detection()
    n = len(truth)
    samples = [Sample(f"s{i:05d}", (), {}, tuple(true), f"c{i // 2}", {}) for i, true in enumerate(truth)]
    items = (
        Item(sample, Prediction("ok", tuple(boxes))) for sample, boxes in zip(samples, predicted, strict=True)
    )
    texts = [
        np.array(values, dtype=object) for values in ([s.id for s in samples], [s.cluster for s in samples])
    ]
    ok, test = np.full(n, "ok", dtype=object), np.full(n, "test", dtype=object)
    return Table(
        *texts, np.zeros(n, dtype=int), ok, test, {}, build_columns(scorer.rows(items), scorer.columns)
    )


def value(metric: Metric | str, table: Table, weights: np.ndarray | None = None) -> float:
    metric = BY_NAME[metric] if isinstance(metric, str) else metric
    (result,) = metric.compute(
        table, table.ones() if weights is None else np.asarray(weights, dtype=float)[None]
    )
    return float(result)


def random_corpus(seed: int, scores: str | None = None, n: int | None = None) -> Corpus:
    """Images with 0-4 true and 0-5 predicted boxes; the seed's residues choose scores, grids, duplicates and floods."""
    rng = np.random.default_rng(seed)
    scores = scores or ("constant", "tied", "distinct")[seed % 3]
    coarse, duplicates, flood = seed % 2 == 0, seed % 5 == 0, seed % 40 == 7
    truth: list[list[Box]] = []
    predicted: list[list[Box]] = []
    for i in range(n or int(rng.integers(1, 25))):
        size = rng.uniform(10, 100, (4, 2))
        if coarse:  # sides and steps of 10: IoUs of exactly 0.3, 0.5, 0.6, ... and exact ties among them
            size = np.ceil(size / 10) * 10
        corner = rng.integers(0, 8, (4, 2)) * 10.0
        true = np.hstack([corner, corner + size])[: rng.integers(0, 5)]
        k = 130 if flood and i == 0 else int(rng.integers(0, 6))
        source = true[rng.integers(0, len(true), k)] if len(true) else np.tile([10.0, 10, 60, 60], (k, 1))
        jitter = rng.integers(-2, 3, (k, 4)) * 10.0 if coarse else rng.normal(0, 8, (k, 4))
        boxes = source + jitter * (rng.random((k, 1)) < 0.8)
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 5)
        if duplicates and k > 1:
            boxes[1] = boxes[0]
        if duplicates and len(true) > 1:
            true[1] = true[0]
        score = {"constant": np.ones(k), "tied": rng.integers(1, 4, k) / 4, "distinct": rng.random(k)}[scores]
        truth.append([Box(*row) for row in true.tolist()])
        predicted.append([Box(*row, score=float(s)) for row, s in zip(boxes.tolist(), score, strict=True)])
    return truth, predicted


def plain_curve_area(points: list[tuple[float, float]], recalls: list[float]) -> float:
    """Mean over recalls of the highest precision at that recall or more; points are (recall, precision)."""
    return sum(max((p for r, p in points if r >= recall - 1e-12), default=0.0) for recall in recalls) / len(
        recalls
    )


def plain_pooled(table: Table, t: int, *, points: int, together: bool) -> float:
    """The definition written out, without weights."""
    hits = table.ragged("det_hit_tie" if together else "det_hit")
    ranked = sorted(
        zip(table.ragged("det_score").values.tolist(), hits.values[:, t].tolist(), strict=True),
        key=lambda d: -d[0],
    )
    n_true, tp, curve = table["n_true"].sum(), 0, []
    for rank, (score, hit) in enumerate(ranked, start=1):
        tp += hit
        if not together or rank == len(ranked) or ranked[rank][0] != score:
            curve.append((tp / n_true, tp / rank))
    return plain_curve_area(curve, [i / (points - 1) for i in range(points)])


@pytest.mark.parametrize("block", range(8))
def test_ap_equals_pycocotools_on_random_corpora(block):
    for seed in range(block * 30, block * 30 + 30):
        truth, predicted = random_corpus(seed)
        table, reference = table_of(truth, predicted), coco_eval(truth, predicted)
        for name, expected in reference.items():
            assert value(name, table) == pytest.approx(expected, abs=1e-9, nan_ok=True), (seed, name)


@pytest.mark.parametrize("n", [7, 10, 20, 50, 100, 300])
def test_ap_equals_pycocotools_where_recall_falls_on_a_grid_point(n):
    for found in sorted({*range(0, n + 1, max(1, n // 20)), 29 * n // 100, 35 * n // 100, 57 * n // 100}):
        truth = [[LESION]] * n
        predicted = [[MISS if i % 3 == 0 else LESION] if i < found else [] for i in range(n)]
        table = table_of(truth, predicted)
        assert value("ap50", table) == pytest.approx(coco_eval(truth, predicted)["ap50"], abs=1e-9)


def test_ap_caps_an_image_at_100_boxes_but_the_tie_form_does_not():
    truth, predicted = [[LESION]], [[MISS] * 100 + [LESION]]
    table = table_of(truth, predicted)
    assert value("ap50", table) == coco_eval(truth, predicted)["ap50"] == 0
    assert value("ap50(tie)", table) == pytest.approx(1 / 101)
    assert value("ap50(pooled11)", table) == pytest.approx(1 / 101)


def test_ap_depends_on_the_order_of_equal_scores_and_the_tie_form_does_not():
    early, late = table_of([[LESION]] * 2, [[LESION], [MISS]]), table_of([[LESION]] * 2, [[MISS], [LESION]])
    assert value("ap50", early) == pytest.approx(51 / 101)
    assert value("ap50", late) == pytest.approx(51 / 101 / 2)
    assert value("ap50(tie)", early) == value("ap50(tie)", late) == pytest.approx(51 / 101 / 2)


def test_hand_computed_corpus():
    # one image each: found well, found at 0.4 only, missed, rightly empty, false alarm
    truth = [[LESION], [LESION], [LESION], [], []]
    predicted = [[LESION], [Box(0, 0, 10, 4)], [MISS, MISS], [], [MISS]]
    table = table_of(truth, predicted)
    expected = {
        "ap50": 34 / 101,  # recall 1/3 at precision 1: points 0.00..0.33
        "ap": 34 / 101,
        "ap30": 67 / 101,
        "ap50(tie)": 34 / 101 * 1 / 5,
        "ap30(tie)": 67 / 101 * 2 / 5,
        "ap50(pooled11)": 4 / 11,
        "ap30(pooled11)": 7 / 11,
        "ap50(image11)": 2 / 5,
        "ap30(image11)": 3 / 5,
        "hit50": 1 / 5,
        "hit30": 2 / 5,
        "acc50": 1 / 5,
        "acc50(detection)": 1 / (1 + 4 + 2),
        "tp30": 2,
        "fp30": 3,
        "fnr30": 1 / 3,
        "fnr50": 2 / 3,
    }
    assert {name: value(name, table) for name in expected} == pytest.approx(expected)


def test_perfect_answers_reach_the_best_value():
    truth = [[LESION, Box(20, 20, 30, 30)], [LESION], []]
    table = table_of(truth, truth)
    for name, metric in BY_NAME.items():
        best = {
            "tp30": 3,
            "fp30": 0,
            "fnr30": 0,
            "fnr50": 0,
            "hit50": 2 / 3,
            "hit30": 2 / 3,
            "acc50": 2 / 3,
        }.get(name, 1)
        assert value(metric, table) == pytest.approx(best), name


@pytest.mark.parametrize("weights", [None, [0, 1], [0, 0]])
def test_no_truth_with_weight_is_undefined_where_recall_is_needed(weights):
    table = table_of(
        [[], []] if weights is None else [[LESION], []], [[MISS], []] if weights is None else [[LESION], []]
    )
    for name in (*POOLED, "fnr30", "fnr50"):
        assert np.isnan(value(name, table, weights)), name
    assert value("tp30", table, weights) == 0
    if weights == [0, 0]:
        assert np.isnan(value("hit50", table, weights))
        assert np.isnan(value("ap50(image11)", table, weights))
    else:
        assert value("hit50", table, weights) == 0
        assert value("ap50(image11)", table, weights) == (0.5 if weights is None else 1.0)
    assert value("acc50(detection)", table, weights) == pytest.approx(
        0.0 if weights is None else np.nan, nan_ok=True
    )


def test_no_box_at_all_is_zero():
    table = table_of([[LESION], [LESION]], [[], []])
    for name in (*POOLED, "ap50(image11)", "hit50", "acc50(detection)", "tp30", "fp30"):
        assert value(name, table) == 0, name
    assert value("fnr30", table) == 1


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_other_curves_equal_their_definitions(seed):
    truth, predicted = random_corpus(seed, ("constant", "tied", "distinct")[seed // 3 % 3])
    table = table_of(truth, predicted)
    if not table["n_true"].sum():
        return
    for name, points, together in (("(tie)", 101, True), ("(pooled11)", 11, False)):
        for iou, t in ((30, 0), (50, 1)):
            assert value(f"ap{iou}{name}", table) == pytest.approx(
                plain_pooled(table, t, points=points, together=together)
            ), (
                name,
                iou,
            )
    both = average_precision(0.5, curve="pooled11", ties="together")
    assert both.name == "ap50(pooled11,tie)"
    assert value(both, table) == pytest.approx(plain_pooled(table, 1, points=11, together=True))


@pytest.mark.parametrize("seed", range(20))
def test_image11_equals_its_definition(seed):
    table = table_of(*random_corpus(seed))
    hits = table.ragged("det_hit")
    for iou, t in ((30, 0), (50, 1)):
        expected = []
        for i, n_true in enumerate(table["n_true"]):
            flags = hits[i][:, t]
            if n_true == 0:
                expected.append(float(len(flags) == 0))
                continue
            tp = np.cumsum(flags)
            curve = [(tp[j] / n_true, tp[j] / (j + 1)) for j in range(len(flags))]
            expected.append(plain_curve_area(curve, [i / 10 for i in range(11)]))
        assert table[f"image11_{iou}"] == pytest.approx(expected)
        assert value(f"ap{iou}(image11)", table) == pytest.approx(np.mean(expected))


def test_image11_reaches_a_point_at_exactly_its_recall():
    lesions = [Box(20 * i, 0, 20 * i + 10, 10) for i in range(10)]
    for found in range(11):
        table = table_of([lesions], [lesions[:found]])
        assert value("ap50(image11)", table) == pytest.approx((found + 1) / 11 if found else 0)
        assert value("ap50(pooled11)", table) == pytest.approx((found + 1) / 11 if found else 0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.data())
def test_integer_weights_equal_repeated_images(seed, data):
    """Under `order` the scores within an answer are distinct, so that a repeat's boxes stand side by side; images tie."""
    truth, predicted = random_corpus(seed, "tied", n=6)
    apart = [
        [Box(b.x0, b.y0, b.x1, b.y1, score=1 / (2 + rank)) for rank, b in enumerate(boxes)]
        for boxes in predicted
    ]
    times = data.draw(st.lists(st.integers(0, 3), min_size=6, max_size=6))
    for answers, names in (
        (predicted, [name for name in BY_NAME if name not in POOLED or "tie" in name]),
        (apart, list(BY_NAME)),
    ):
        weighted = table_of(truth, answers)
        repeated = table_of(
            *(
                list(itertools.chain(*([x] * k for x, k in zip(side, times, strict=True))))
                for side in (truth, answers)
            )
        )
        for name in names:
            if len(repeated):
                assert value(name, weighted, times) == pytest.approx(
                    value(name, repeated), abs=1e-12, nan_ok=True
                ), name
    if any(times):
        sides = [
            list(itertools.chain(*([x] * k for x, k in zip(side, times, strict=True))))
            for side in (truth, apart)
        ]
        reference = coco_eval(*sides)
        assert value("ap", table_of(truth, apart), times) == pytest.approx(
            reference["ap"], abs=1e-9, nan_ok=True
        )


@pytest.mark.parametrize("seed", range(10))
def test_zero_weight_equals_absence(seed):
    truth, predicted = random_corpus(seed, n=20)
    kept = np.random.default_rng(seed).random(20) < 0.5
    table = table_of(truth, predicted)
    for name, metric in BY_NAME.items():
        assert value(metric, table, kept) == pytest.approx(
            value(metric, table.take(kept)), abs=1e-12, nan_ok=True
        ), name


@pytest.mark.parametrize("name", [name for name, metric in BY_NAME.items() if metric.infer])
@pytest.mark.parametrize("factor", [0.1, 1 / 3, 7.0])
def test_scaling_all_weights_changes_nothing(name, factor):
    for seed, corpus in enumerate(
        [random_corpus(4, n=40), random_corpus(5, n=40), ([[LESION]] * 10, [[LESION]] * 7 + [[]] * 3)]
    ):
        table = table_of(*corpus)
        assert value(name, table, factor * np.ones(len(table))) == pytest.approx(
            value(name, table), abs=1e-9
        ), seed


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["constant", "tied"]), st.randoms(use_true_random=False))
def test_tie_form_does_not_depend_on_any_order(seed, scores, random):
    truth, predicted = random_corpus(seed, scores, n=8)
    order = random.sample(range(8), 8)
    shuffled = table_of(
        [truth[i] for i in order], [random.sample(predicted[i], len(predicted[i])) for i in order]
    )
    for name in ("ap50(tie)", "ap(tie)", "ap30(tie)"):
        assert value(name, table_of(truth, predicted)) == pytest.approx(
            value(name, shuffled), abs=1e-12, nan_ok=True
        )


@pytest.mark.parametrize("seed", range(2, 60, 3))
def test_all_forms_agree_where_scores_are_distinct(seed):
    table = table_of(*random_corpus(seed, "distinct", n=12))
    if max(table.ragged("det_score").lengths) <= 100:
        for name in ("ap50", "ap", "ap30"):
            assert value(f"{name}(tie)", table) == pytest.approx(value(name, table), abs=1e-12)


@pytest.mark.parametrize("name", list(BY_NAME))
def test_many_weights_at_once_equal_one_by_one(name, monkeypatch):
    table = table_of(*random_corpus(1, "tied", n=30))
    weights = np.random.default_rng(0).multinomial(30, np.full(30, 1 / 30), size=50).astype(float)
    weights[7] = 0
    singly = [value(name, table, line) for line in weights]
    assert BY_NAME[name].compute(table, weights) == pytest.approx(singly, nan_ok=True)
    monkeypatch.setattr(metrics, "_BYTES_A_CHUNK", 20_000)
    assert BY_NAME[name].compute(table, weights) == pytest.approx(singly, nan_ok=True)


@pytest.mark.parametrize("name", [name for name, metric in BY_NAME.items() if metric.sums is not None])
def test_sums_give_the_value(name):
    table = table_of(*random_corpus(3, n=30))
    sums = BY_NAME[name].sums
    assert sums is not None
    num, den = sums(table)
    assert num.sum() / den.sum() == pytest.approx(value(name, table))


def test_bootstrap_is_centred_on_the_value():
    table = table_of(*random_corpus(2, "distinct", n=300))
    weights = np.random.default_rng(0).multinomial(300, np.full(300, 1 / 300), size=400).astype(float)
    # not pooled11: its last recall point is won or lost as a whole, which moves the mean
    for name in ("ap50", "ap", "ap30(tie)", "hit50", "acc50(detection)", "fnr30"):
        replicates = BY_NAME[name].compute(table, weights)
        assert 0.005 < replicates.std() < 0.06, name
        assert abs(replicates.mean() - value(name, table)) < 0.5 * replicates.std(), name
    hits = (table["best_iou"] >= 0.5).mean()
    assert BY_NAME["hit50"].compute(table, weights).std() == pytest.approx(
        np.sqrt(hits * (1 - hits) / 300), rel=0.15
    )


def test_acc50_is_hit50_and_counts_take_no_part_in_inference():
    table = table_of(*random_corpus(8, n=40))
    assert value("acc50", table) == value("hit50", table) > 0
    assert [name for name, metric in BY_NAME.items() if not metric.infer] == ["tp30", "fp30"]
    assert [name for name, metric in BY_NAME.items() if not metric.higher_is_better] == [
        "fp30",
        "fnr30",
        "fnr50",
    ]
    assert next(iter(BY_NAME)) == "ap50"


def test_hit_rate_takes_any_iou():
    table = table_of([[LESION]] * 2, [[Box(0, 0, 10, 6)], [LESION]])
    assert value(hit_rate(0.6), table) == 1
    assert value(hit_rate(0.61), table) == 0.5
    assert value(hit_rate(1.0), table) == 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: average_precision(0.42), "0.42"),
        (lambda: average_precision(0.75, curve="image11"), "0.3 and 0.5 only"),
        (lambda: average_precision(None, curve="image11"), "0.3 and 0.5 only"),
        (lambda: average_precision(0.5, curve="image11", ties="together"), "pooled11"),
        (lambda: metrics.true_positives(0.75), "0.75"),
    ],
)
def test_a_metric_that_does_not_exist_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_weights_of_another_table_are_refused():
    with pytest.raises(ValueError, match=r"expected \(b, 1\)"):
        BY_NAME["ap50"].compute(table_of([[LESION]], [[LESION]]), np.ones((1, 2)))
