"""How long a full report on 906 images takes: all NOVA localisation metrics, 4 slice attributes, 1,000 cluster resamples.

    python benchmarks/report_speed.py [--quick] [--profile]

The rows are NOVA's in number and shape (906 images of 281 cases, 0 to 4 true boxes each) with random answers. What is timed: matching
the boxes (rows), then every cell with its interval, overall and on each value of the slice attributes, and the report as JSON.
Beside it, in the same run, pycocotools' evaluation of the same boxes: one number without interval, on the whole set only.
"""

from __future__ import annotations

import argparse
import cProfile
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import pstats
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import nova_bench as nb
from nova_bench.metrics.coco import coco_eval
from nova_bench.runlog import RunLog
from nova_bench.score import answered_items

BUDGET = 4.0
IMAGES, CASES, SIDE = 906, 281, 480
SLICES = ("t1", "flair", "n_boxes", "box_area")
SEQUENCES = ("T1-weighted", "T2-weighted", "FLAIR", "DWI")
PLANES = ("Axial", "Coronal", "Sagittal")


def random_boxes(rng: np.random.Generator, n: int) -> list[tuple[float, float, float, float]]:
    """Return corners of boxes, px."""
    low = rng.uniform(0, 0.7 * SIDE, (n, 2))
    high = low + rng.uniform(0.05 * SIDE, 0.3 * SIDE, (n, 2))
    return [(float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in np.hstack([low, high])]


def write_data(folder: Path, rng: np.random.Generator, n: int) -> dict[str, str]:
    """Write a data set in NOVA's layout; return an answer for each image: moved true boxes and invented ones."""
    import PIL.Image
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "images").mkdir(parents=True)
    (folder / "data").mkdir()
    PIL.Image.new("L", (SIDE, SIDE)).save(folder / "images" / "one.png")
    rows, answers = [], {}
    for i in range(n):
        true = random_boxes(rng, int(rng.choice(5, p=(0.02, 0.6, 0.2, 0.1, 0.08))))
        name = f"image{i:04d}.png"
        gold = [
            {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "source": "gold"}
            for x0, y0, x1, y1 in true
        ]
        rows.append(
            {
                "filename": name,
                "image_path": "images/one.png",
                "case_id": f"case{i * CASES // IMAGES:03d}",
                "caption_text": f"{rng.choice(PLANES)} {rng.choice(SEQUENCES)} image shows a lesion.",
                "bboxes": gold,
            }
        )
        found = [
            tuple(np.array(box) + rng.normal(0, 6, 4)) for box in true if rng.random() < 0.7
        ] + random_boxes(rng, int(rng.integers(0, 3)))
        answers[name] = json.dumps(
            [
                {"box": [round(float(v), 1) for v in box], "score": round(float(rng.random()), 2)}
                for box in found
            ]
        )
    pq.write_table(pa.Table.from_pylist(rows), folder / "data" / "nova-v1.parquet")
    return answers


def median_seconds(call: Callable[[], object], rounds: int) -> float:
    """Return the median seconds of a call."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one round instead of five")
    parser.add_argument("--profile", action="store_true", help="also print where the time goes")
    args = parser.parse_args()
    rounds = 1 if args.quick else 5
    rng = np.random.default_rng(0)
    task = dataclasses.replace(nb.load_task("nova_localization"), slices=SLICES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        answers = write_data(folder / "set", rng, IMAGES)
        settings = nb.Settings(cache=folder / "cache", config=folder / "config")
        run = nb.evaluate(
            task,
            nb.each(lambda request: answers[request.sample]),
            options={"boxes": "xyxy/px"},
            data=str(folder / "set"),
            out=folder / "run",
            settings=settings,
        )

        def rows() -> object:
            run.__dict__.pop("scored", None)
            return run.scored

        rows()  # loads what scoring needs
        report_seconds = median_seconds(lambda: run.report(fresh=True), rounds)
        rows_seconds = median_seconds(rows, rounds)
        report = run.report()
        with RunLog(run.folder) as log:
            items = sorted(answered_items(run.plan, log), key=lambda item: item.sample.id)
        truth = [item.sample.target for item in items]
        predicted = [item.prediction.value or () for item in items]
        reference = coco_eval(truth, predicted)
        coco_seconds = median_seconds(lambda: coco_eval(truth, predicted), rounds)
        profile = cProfile.Profile()
        if args.profile:
            profile.runcall(run.report, fresh=True)
    whole = {cell["metric"]: cell["value"] for cell in report["cells"] if cell["slice"] == "all"}
    slices = sorted({cell["slice"] for cell in report["cells"]})
    versions = "  ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("nova-bench", "numpy", "pycocotools")
    )
    print(
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}  {os.cpu_count()} CPUs  python {platform.python_version()}  {versions}"
    )
    print(
        f"{IMAGES} images, {len(task.metrics)} metrics, {len(SLICES)} slice attributes with {len(slices) - 1} values, "
        f"{len(report['cells'])} cells, 1,000 resamples; median of {rounds}"
    )
    print(f"{'what':<36}{'measured':>10}{'budget':>9}{'of budget':>11}{'of pycocotools':>16}")
    for what, seconds, budget in (
        ("full report", report_seconds, BUDGET),
        ("  rows: log, parsing, matching", rows_seconds, None),
        ("  cells, intervals, JSON (the rest)", report_seconds - rows_seconds, None),
        ("pycocotools, one evaluation", coco_seconds, None),
    ):
        limit = f"{budget:>7.2f} s{seconds / budget:>11.2f}" if budget else " " * 20
        print(f"{what:<36}{seconds:>8.3f} s{limit}{seconds / coco_seconds:>15.2f}x")
    print("  ".join(f"{key}: {whole[key]:.9f} (pycocotools {reference[key]:.9f})" for key in ("ap", "ap50")))
    if args.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
