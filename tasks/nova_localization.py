"""NOVA localisation: boxes around the anomalies of a rare brain-MRI slice, from the image alone.

NOVA (arXiv 2505.14064, NeurIPS 2025 Datasets and Benchmarks): 906 slices of 281 cases, each with a rare pathology; zero-shot.
The true boxes are the consensus (``source == "gold"``); single raters' boxes are never scored against.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import nova_bench as nb
from nova_bench.metrics.detection import localization_metrics
from nova_bench.metrics.radiology_lexicon import sequences_and_planes
from nova_bench.parse import PARSER_VERSION, parse_boxes
from nova_bench.scorers.detection import detection

SOURCE = nb.Source(
    name="NOVA",
    hub="c-i-ber/Nova",
    revision="main",
    table="data/nova-v1.parquet",
    key="filename",
    images="image_path",
    required=("filename", "case_id", "image_path", "caption_text", "bboxes"),
    license="CC-BY-NC-SA-4.0",
    license_url="https://creativecommons.org/licenses/by-nc-sa/4.0/",
    mini="nova_mini",
    size="906 images, 281 cases",
)

SEQUENCES_AND_PLANES = (
    "t1",
    "t1c",
    "t2",
    "flair",
    "dwi",
    "adc",
    "swi",
    "mra",
    "axial",
    "coronal",
    "sagittal",
)
ASK = {"kind": "ground", "phrases": ["abnormal area"]}
AREA_BINS = ((0.01, "<1%"), (0.05, "1-5%"), (0.15, "5-15%"), (float("inf"), ">=15%"))
"""Upper ends of the bins of the largest true box, as a share of the image."""


def sample(row: Mapping[str, Any], variant: Mapping[str, str]) -> Iterable[nb.Sample]:
    """Return a row's one sample; gold boxes are px, top-left and size, and become corners."""
    gold = [box for box in row["bboxes"] or () if box["source"] == "gold"]
    boxes = tuple(
        nb.Box(box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]) for box in gold
    )
    image, caption = row["image"], row["caption_text"]

    def groups() -> dict[str, str | None]:
        width, height = image.size
        largest = max(
            ((box.x1 - box.x0) * (box.y1 - box.y0) / (width * height) for box in boxes), default=None
        )
        named = sequences_and_planes(caption) if caption else {}
        found: dict[str, str | None] = {
            name: str(named[name]).lower() if named else None for name in SEQUENCES_AND_PLANES
        }
        found["n_boxes"] = str(len(boxes)) if len(boxes) < 3 else "3+"
        found["box_area"] = (
            None if largest is None else next(name for end, name in AREA_BINS if largest < end)
        )
        return found

    yield nb.Sample(row["filename"], (image,), {}, boxes, row["case_id"], nb.Lazy(groups))


def prompt(sample: nb.Sample, card: nb.Card) -> nb.Prompt:
    """Ask for boxes in the model's own frame."""
    text = f"""This is one slice of a brain MRI. Mark every abnormal area with a box that encloses it tightly.

Write each box as {card.frame.words()}.
Answer with JSON only: a list of objects, one for each abnormal area, each with the keys "box" (four numbers), "label" (what it
is, in a few words) and, if you can judge it, "score" (your confidence from 0 to 1).
If nothing is abnormal, answer with an empty list: []"""
    return nb.Prompt((*sample.images, text), ask=ASK)


TASK = nb.Task(
    name="nova_localization",
    version=1,
    data=SOURCE,
    sample=sample,
    prompt=prompt,
    parse=parse_boxes,
    parser_version=PARSER_VERSION,
    scorers=(detection(),),
    metrics=localization_metrics(),
    headline="ap50",
    params=nb.GenParams(max_tokens=2048, temperature=0.0, seed=0),
    variants={},
    slices=(*SEQUENCES_AND_PLANES, "n_boxes", "box_area"),
    about="Boxes around anomalies, from the image alone; one class, labels are ignored.",
    doubts=(
        "The paper's own form of mAP is not known: the pooled COCO form is the headline here, the other forms in circulation stand beside it "
        "under names of their own, and the printed mAP30 look like an image-level form (hit or image11).",
        "With scores that are all 1.0 the pooled forms depend on the order of detections: sample id, then order in the answer; ap50(tie) does not.",
        "An image without gold boxes stays in: its boxes are false positives, and hit and acc50 count it as 0.",
        "fnr is 1 - box recall at IoU 0.3; one re-implementation uses 0.5, which is fnr50 here.",
    ),
    references=(
        nb.Reference(
            "Gemini 2.0 Flash",
            "mAP30",
            0.2016,
            "second-hand",
            "arXiv 2505.14064, as transcribed by others",
            3,
        ),
        nb.Reference(
            "Qwen2-VL-72B", "mAP30", 0.2502, "second-hand", "arXiv 2505.14064, as transcribed by others"
        ),
        nb.Reference(
            "Qwen2.5-VL-72B", "mAP30", 0.3766, "second-hand", "arXiv 2505.14064, as transcribed by others"
        ),
    ),
    citation="NOVA, arXiv 2505.14064",
)
