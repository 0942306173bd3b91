"""A small judged task, and judges of every temper: what the tests of the judged stage share."""

from __future__ import annotations

import dataclasses
import json
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import nova_bench as nb
from nova_bench.judge import texts_in
from nova_bench.metrics.classification import mean_of

SCHEMA = {
    "type": "object",
    "properties": {
        "label": {"enum": ["CORRECT", "INCORRECT"]},
        "score": {"type": "integer", "minimum": 0, "maximum": 10},
        "why": {"type": "string", "maxLength": 400},
    },
    "required": ["label", "score", "why"],
    "additionalProperties": False,
}


def material(sample: nb.Sample, prediction: nb.Prediction) -> dict[str, str] | None:
    """Return what is judged; nothing of an empty answer."""
    if not prediction.value:
        return None
    return {"reference": sample.target, "candidate": prediction.value}


LIKENESS = nb.Judge(
    "likeness", 1, "Do the two captions say the same? Score 0 to 10.", SCHEMA, material, private=("why",)
)


def score_rows(items: Iterable[nb.Item]) -> Iterator[nb.Row]:
    for item in items:
        yield {"likeness": 0.0 if item.verdict is None else item.verdict["score"] / 10}


def label_rows(items: Iterable[nb.Item]) -> Iterator[nb.Row]:
    for item in items:
        good = item.verdict is not None and item.verdict["label"] == "CORRECT"
        yield {"correct": float(good), "words": [1, 2] if good else []}


def bounds(sample: nb.Sample) -> tuple[nb.Row, nb.Row]:
    return {"likeness": 0.0}, {"likeness": 1.0}


SCORERS = (
    nb.Scorer("likeness", ("likeness",), score_rows, bounds, judge=LIKENESS),
    nb.Scorer("correct", ("correct", "words"), label_rows, judge=LIKENESS),
)
METRICS = (
    mean_of("likeness", "likeness"),
    mean_of("correct", "correct"),
    # Skips no NaN: a line without a verdict that slips in is seen.
    nb.Metric(
        "bare(mean)", ("likeness",), lambda table, weights: weights @ table["likeness"] / weights.sum(axis=1)
    ),
)


def judged(gated: bool = False) -> nb.Task:
    """Return the caption task with two judged scorers that share a judge, beside what needs none."""
    task = nb.load_task("nova_caption")
    plain = tuple(scorer for scorer in task.scorers if scorer.name == "findings(lexicon)")
    columns = {column for scorer in plain for column in scorer.columns}
    return dataclasses.replace(
        task,
        data=dataclasses.replace(task.data, gated=gated),
        scorers=(*plain, *SCORERS),
        metrics=(*(metric for metric in task.metrics if set(metric.needs) <= columns), *METRICS),
    )


def write_task(folder: Path) -> str:
    """Write the same as a task's file, for runs that are opened again by their folder, and return its path."""
    path = folder / "nova_caption.py"
    path.write_text('"""A judged caption."""\nfrom judged_task import judged\n\nTASK = judged()\n')
    return str(path)


def verdict_on(request: nb.Request, why: str = "as it is") -> dict[str, Any]:
    """Return a verdict that depends on the texts alone: the share of the reference's words that the candidate has, doubled."""
    texts = texts_in(request.parts)
    reference, candidate = (set(texts[name].lower().split()) for name in ("reference", "candidate"))
    score = min(10, math.floor(20 * len(reference & candidate) / len(reference)))
    return {"label": "CORRECT" if score > 5 else "INCORRECT", "score": score, "why": why}


class FakeJudge:
    """A judge that answers with `verdict_on`, unless `spoil` says otherwise; counts what it was asked."""

    def __init__(
        self,
        spoil: Callable[[nb.Request, int], nb.Response | str | None] = lambda request, nth: None,
        batch: int = 1,
        why: str = "as it is",
    ) -> None:
        self.asked: list[nb.Request] = []
        self.spoil, self.batch, self.why = spoil, batch, why
        self.lock = threading.Lock()

    def answer(self, request: nb.Request) -> nb.Response:
        with self.lock:
            self.asked.append(request)
            nth = sum(other.id == request.id for other in self.asked)
        spoilt = self.spoil(request, nth)
        if isinstance(spoilt, nb.Response):
            return spoilt
        text = json.dumps(verdict_on(request, self.why)) if spoilt is None else spoilt
        return nb.Response(request.id, text, usage=nb.Usage(100, 10), seconds=0.01)

    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        waiting: list[nb.Request] = []
        for request in requests:
            waiting.append(request)
            if len(waiting) == self.batch:
                yield from map(self.answer, waiting)
                waiting = []
        yield from map(self.answer, waiting)
