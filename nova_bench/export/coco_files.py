"""A run's boxes in COCO's form: ``ground_truth.json`` and ``results.json``, for pycocotools and what reads the same files.

The format is that of Lin et al. 2014 (arXiv 1405.0312): boxes are ``[x, y, width, height]`` in pixels of the original image, image ids are
integers. They number the samples in the order of their ids, which is the order in which our ``ap50`` takes equal scores, so that
pycocotools' AP from these files is ours. Our own id stands beside each, as ``sample``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nova_bench.boxes import Box
from nova_bench.errors import UsageError
from nova_bench.run import Run
from nova_bench.runlog import RunLog
from nova_bench.score import answered_items
from nova_bench.types import Item

GROUND_TRUTH, RESULTS = "ground_truth.json", "results.json"
CATEGORY = {"id": 1, "name": "target"}
"""The one class: what a task asks for."""


def coco_documents(run: Run) -> dict[str, Any]:
    """Return the documents of a run by their path: two, or two in a folder for each repeat (``repeat_0/``).

    Samples without an answer of ours, whose requests failed, are in neither file, so that no reader takes them for misses; the ground
    truth names them under ``info.left_out``, as cells count them in ``n_failed``.

    Args:
        run: A run of a task with boxes.

    Raises:
        UsageError: The task has none.
        DataError: A picture cannot be measured.
    """
    task = run.plan.task
    if not has_boxes(run):
        raise UsageError(
            f"{run.plan.spelling} has no boxes, so nothing to write in COCO's form; export it as csv or parquet"
        )
    with RunLog(run.folder) as log:
        items = sorted(answered_items(run.plan, log), key=lambda item: item.sample.id)
    table = run.scored.table
    documents: dict[str, Any] = {}
    for repeat in range(run.plan.repeats):
        below = f"repeat_{repeat}/" if run.plan.repeats > 1 else ""
        failed = table.id[(table.repeat == repeat) & (table.status == "failed")].tolist()
        about = {
            "description": f"{task.data.name}{' (synthetic)' if run.plan.data.is_synthetic else ''}, task {run.plan.spelling}",
            "data_digest": run.plan.data.digest,
            "revision": run.plan.data.revision,
            "license": task.data.license,
            "left_out": {name: _why(run, name, repeat) for name in failed},
        }
        made = [item for item in items if item.repeat == repeat]
        documents[below + GROUND_TRUTH] = _ground_truth(made, about, run.plan.data.folder)
        documents[below + RESULTS] = _results(made)
    return documents


def has_boxes(run: Run) -> bool:
    """Return whether a run's task asks for boxes."""
    return any("det_score" in scorer.columns for scorer in run.plan.task.scorers)


def _why(run: Run, sample: str, repeat: int) -> str:
    return run.scored.reasons.get(f"{sample}#{repeat}" if repeat else sample, "failed")


def _ground_truth(items: Sequence[Item], about: Mapping[str, Any], root: Path) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, item in enumerate(items, start=1):
        images.append({"id": number, "sample": item.sample.id, **_picture(item, root)})
        for box in item.sample.target:
            # Ids start from 1: COCOeval writes down the id of what was found, and reads 0 as nothing.
            found = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": CATEGORY["id"],
                **_corners(box),
            }
            annotations.append(found | {"area": found["bbox"][2] * found["bbox"][3], "iscrowd": 0})
    return {"info": about, "images": images, "annotations": annotations, "categories": [CATEGORY]}


def _picture(item: Item, root: Path) -> dict[str, Any]:
    """Return a picture's file name, relative to the data set's folder, and its size in px; nothing where the sample has no picture."""
    if not item.sample.images:
        return {"file_name": item.sample.id}
    image = item.sample.images[0]
    width, height = image.size
    name = image.name
    if image.path is not None and image.path.is_relative_to(root):
        name = image.path.relative_to(root).as_posix()
    return {"file_name": name, "width": width, "height": height}


def _results(items: Sequence[Item]) -> list[dict[str, Any]]:
    return [
        {"image_id": number, "category_id": CATEGORY["id"], **_corners(box), "score": box.score}
        for number, item in enumerate(items, start=1)
        for box in item.prediction.value or ()
    ]


def _corners(box: Box) -> dict[str, Any]:
    return {"bbox": [box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0]}
