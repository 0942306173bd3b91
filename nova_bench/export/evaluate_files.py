"""A run as inputs of the ``evaluate`` modules: predictions, references and groups of every metric that is a sum over a sum."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nova_bench.boxes import Box
from nova_bench.export.coco_files import has_boxes
from nova_bench.export.sheet import readable
from nova_bench.run import Run
from nova_bench.runlog import RunLog
from nova_bench.score import answered_items
from nova_bench.signature import digest
from nova_bench.table import Table
from nova_bench.types import Metric

SCHEMA_VERSION = 1
UNKNOWN = ""
"""A group that is not known: evaluate takes no None as the first of its texts."""


def evaluate_documents(run: Run) -> tuple[dict[str, Any], list[str]]:
    """Return the documents of a run by their path, and what was left out, in words.

    Each metric that is a sum of numerators over a sum of denominators has one, for the modules ``fap`` and ``equity_scaled`` in their form
    ``sums``; a task with boxes has ``boxes.json`` for ``ap50``. Lines are in the order of ids. Failed lines and those without a judge's
    verdict are left out. Repeats stand in folders of their own, ``repeat_0/``.

    Args:
        run: The run.
    """
    cells = {cell["metric"]: cell for cell in run.report()["cells"] if cell["slice"] == "all"}
    judged = {one.metric.name: one for one in run.judged_metrics}
    documents: dict[str, Any] = {}
    taken = {"boxes.json"}
    left_out, apart = [], []
    for metric in (*run.plan.task.plain_metrics, *(one.metric for one in judged.values())):
        if metric.sums is None or not metric.infer or not set(metric.needs) <= set(run.scored.table.columns):
            left_out.append(metric.name)
            continue
        about = {
            "schema_version": SCHEMA_VERSION,
            "modules": ["fap", "equity_scaled"],
            "config": "sums",
            "metric": metric.name,
            "higher_is_better": metric.higher_is_better,
            **_about(run, cells[metric.name]),
        }
        name = file_name(metric.name)
        if name in taken:  # two judges' names may differ in what a file's name cannot have
            name = f"{name.removesuffix('.json')}-{digest(metric.name)[:6]}.json"
        taken.add(name)
        for repeat, below in enumerate(_folders(run)):
            table = run.scored.table
            table = table.take((table.repeat == repeat) & (table.status != "failed"))
            if metric.name in judged:
                table = judged[metric.name].judged_lines(table)
            documents[below + name], cut = _sums(table, metric, about)
            apart += [f"{metric.name} by {attribute}" for attribute in cut]
    if has_boxes(run):
        documents |= _boxes(run, cells.get("ap50"))
    notes = []
    if left_out:
        notes.append(
            f"left out: {', '.join(left_out)} (no sum over a sum, without a part in comparisons, or without its columns)"
        )
    if apart:
        notes.append(
            f"left out: {', '.join(dict.fromkeys(apart))}, where a case lies in several groups and would count differently in each"
        )
    return documents, notes


def _folders(run: Run) -> list[str]:
    return [""] if run.plan.repeats == 1 else [f"repeat_{repeat}/" for repeat in range(run.plan.repeats)]


def _about(run: Run, cell: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "task": run.plan.spelling,
        "model": readable(run.model),
        "synthetic": run.plan.data.is_synthetic,
        "signature": None if cell is None else cell["signature"],
    }


def file_name(metric: str) -> str:
    """Return the name of a metric's file: a metric's name has brackets, and a judge's name may have anything.

    >>> file_name("top1(judge=openai:gpt/4)")
    'top1_judge=openai_gpt_4.json'
    """
    return (re.sub(r"[^A-Za-z0-9=.,-]+", "_", metric).strip("_.")[:120] or "metric") + ".json"


def _sums(table: Table, metric: Metric, about: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a metric's document, and the attributes whose groups would not have the metric's value in this form."""
    assert metric.sums is not None
    num, den = (np.asarray(part, dtype=float) for part in metric.sums(table))
    groups = {}
    cut = []
    for name, values in table.groups.items():
        if all(
            _is_same(table, metric, np.asarray(values == value), num, den)
            for value in {*values.tolist()} - {None}
        ):
            groups[name] = [UNKNOWN if value is None else readable(str(value)) for value in values.tolist()]
        else:
            cut.append(name)
    made = {
        "ids": [readable(str(name)) for name in table.id],
        "predictions": num.tolist(),
        "references": den.tolist(),
        "groups": groups,
    }
    return {**about, **made}, cut


def _is_same(table: Table, metric: Metric, mask: np.ndarray, num: np.ndarray, den: np.ndarray) -> bool:
    """Return whether a group's lines have the same sums within the whole as by themselves: a mean over cases weighs lines by the case."""
    assert metric.sums is not None
    alone = metric.sums(table.take(mask))
    return all(
        np.allclose(part, whole[mask], rtol=1e-12, atol=0)
        for part, whole in zip(alone, (num, den), strict=True)
    )


def _boxes(run: Run, cell: Mapping[str, Any] | None) -> dict[str, Any]:
    with RunLog(run.folder) as log:
        items = sorted(answered_items(run.plan, log), key=lambda item: item.sample.id)
    documents = {}
    for repeat, below in enumerate(_folders(run)):
        made = [item for item in items if item.repeat == repeat]
        documents[f"{below}boxes.json"] = {
            "schema_version": SCHEMA_VERSION,
            "modules": ["ap50"],
            "config": "default",
            "metric": "ap50",
            "higher_is_better": True,
            **_about(run, cell),
            "ids": [readable(item.sample.id) for item in made],
            "predictions": [_shapes(item.prediction.value or (), scored=True) for item in made],
            "references": [_shapes(item.sample.target, scored=False) for item in made],
        }
    return documents


def _shapes(boxes: Sequence[Box], *, scored: bool) -> dict[str, Any]:
    shapes: dict[str, Any] = {"boxes": [[box.x0, box.y0, box.x1, box.y1] for box in boxes]}
    return shapes | ({"scores": [box.score for box in boxes]} if scored else {})
