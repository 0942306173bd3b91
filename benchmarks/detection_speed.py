"""Average precision: our matching and curve against pycocotools' ``evaluate`` and ``accumulate``, same boxes, same number.

    python benchmarks/detection_speed.py            20,000 images with 1 to 4 boxes, and a table of 906 with 1,000 resamples
    python benchmarks/detection_speed.py --quick    2,000 images; some seconds

Both sides start from boxes in memory and end with AP at IoU 0.50:0.05:0.95, 0.50 and 0.30. Building pycocotools' index is not
counted, nor is turning objects into arrays. pycocotools is given one area range ("all") and one cap (100), which spares it
three quarters of its usual work. Runs alternate; the ratio is that of the fastest of each. The budget is a ratio of 20.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.metadata
import io
import os
import platform
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from nova_bench.boxes import Box
from nova_bench.metrics.coco import prepare
from nova_bench.metrics.detection import localization_metrics, pooled_average_precision
from nova_bench.metrics.matching import match
from nova_bench.scorers.detection import detection
from nova_bench.table import Ragged, Table, build_columns
from nova_bench.types import Item, Prediction, Sample

Corpus = tuple[list[list[Box]], list[list[Box]]]


def make_corpus(n: int, most: int, scores: str, seed: int = 0) -> Corpus:
    """Return true and predicted boxes of n images, 1 to `most` of each; predictions are shifted copies of true boxes."""
    rng = np.random.default_rng(seed)
    truth, predicted = [], []
    for _ in range(n):
        corner, size = rng.uniform(0, 380, (rng.integers(1, most + 1), 2)), rng.uniform(20, 100, 2)
        true = np.hstack([corner, corner + size])
        boxes = true[rng.integers(0, len(true), rng.integers(1, most + 1))]
        boxes = boxes + rng.normal(0, 8, boxes.shape)
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        score = np.ones(len(boxes)) if scores == "constant" else rng.random(len(boxes))
        truth.append([Box(*row) for row in true.tolist()])
        predicted.append([Box(*row, score=s) for row, s in zip(boxes.tolist(), score.tolist(), strict=True)])
    return truth, predicted


def as_arrays(boxes_by_image: list[list[Box]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes (m, 4), scores (m,) and offsets (n + 1,)."""
    flat = np.array(
        [(box.x0, box.y0, box.x1, box.y1, box.score) for boxes in boxes_by_image for box in boxes]
    )
    return flat[:, :4].copy(), flat[:, 4].copy(), np.cumsum([0] + [len(boxes) for boxes in boxes_by_image])


def compare(corpus: Corpus, rounds: int) -> tuple[float, float, float]:
    """Return our seconds, pycocotools' seconds (the fastest of each) and the largest difference of the three numbers."""
    truth, predicted = corpus
    boxes, scores, box_offsets = as_arrays(predicted)
    true, _, truth_offsets = as_arrays(truth)
    weights = np.ones((1, len(truth)))
    ours: list[float] = []
    theirs: list[float] = []
    difference = 0.0
    for _ in range(rounds):
        evaluation = prepare(truth, predicted)
        begin = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.evaluate()
            evaluation.accumulate()
        theirs.append(time.perf_counter() - begin)
        reference = evaluation.eval["precision"][:, :, 0, 0, 0].mean(axis=1)
        for _ in range(5):
            begin = time.perf_counter()
            found = match(boxes, scores, box_offsets, true, truth_offsets)
            hits, ranked = Ragged(found.hit, box_offsets), Ragged(scores[found.order], box_offsets)
            by_threshold = pooled_average_precision(ranked, hits, np.diff(truth_offsets), weights)[0]
            ours.append(time.perf_counter() - begin)
        pairs = (
            by_threshold[0] - reference[0],
            by_threshold[1] - reference[1],
            by_threshold[1:].mean() - reference[1:].mean(),
        )
        difference = max(difference, *(abs(float(pair)) for pair in pairs))
    return min(ours), min(theirs), difference


def make_table(corpus: Corpus) -> tuple[Table, float]:
    """Return the scorer's table of a corpus, and the seconds that the rows took."""
    scorer = detection()
    truth, predicted = corpus
    n = len(truth)
    items = [
        Item(Sample(f"{i:06d}", (), {}, tuple(true), f"{i // 3:06d}", {}), Prediction("ok", tuple(boxes)))
        for i, (true, boxes) in enumerate(zip(truth, predicted, strict=True))
    ]
    begin = time.perf_counter()
    columns = build_columns(scorer.rows(items), scorer.columns)
    seconds = time.perf_counter() - begin
    table = Table(
        id=np.array([item.sample.id for item in items], dtype=object),
        cluster=np.array([item.sample.cluster for item in items], dtype=object),
        repeat=np.zeros(n, np.int64),
        status=np.full(n, "ok", dtype=object),
        split=np.full(n, "test", dtype=object),
        groups={},
        columns=columns,
    )
    return table, seconds


def main() -> int:
    """Print the table; return 1 where the numbers differ by more than 1e-9 or the ratio is below 20."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2,000 images and one round")
    quick = parser.parse_args().quick
    n, rounds, resamples = (2_000, 1, 200) if quick else (20_000, 3, 1_000)

    packages = " ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "pycocotools"))
    today = datetime.datetime.now(datetime.UTC).date()
    print(f"{today}  Python {platform.python_version()}  {packages}  {os.cpu_count()} cores, one used")
    print(
        f"\n{n:,} images, 1 to 4 boxes\n{'scores':>10} {'ours s':>9} {'pycocotools s':>14} {'ratio':>7} {'difference':>11}"
    )
    good = True
    for scores in ("constant", "distinct"):
        ours, theirs, difference = compare(make_corpus(n, 4, scores), rounds)
        print(f"{scores:>10} {ours:9.4f} {theirs:14.3f} {theirs / ours:7.0f} {difference:11.1e}")
        good &= theirs / ours >= 20 and difference < 1e-9

    for scores in ("constant", "distinct"):
        table, seconds = make_table(make_corpus(906, 2, scores))
        clusters, n_clusters = table.cluster_codes()
        rng = np.random.default_rng(0)
        weights = rng.multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), size=resamples)[
            :, clusters
        ].astype(float)
        n_boxes = len(table.ragged("det_score").values)
        print(f"\n906 images, {n_boxes} boxes, {scores} scores, {resamples:,} resamples of clusters")
        print(f"{'rows':>20} {seconds:9.4f} s")
        total = 0.0
        for metric in localization_metrics():
            begin = time.perf_counter()
            metric.compute(table, weights)
            spent = time.perf_counter() - begin
            total += spent
            if metric.sums is None and metric.infer:
                print(f"{metric.name:>20} {spent:9.4f} s")
        print(f"{'all 18 metrics':>20} {total:9.4f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
