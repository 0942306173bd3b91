"""A walk over one or two runs: for each sample and repeat all that a page shows of it, one after the other, so that memory stays flat."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nova_bench.errors import DataError
from nova_bench.images import Image
from nova_bench.log_index import Index
from nova_bench.plan import Unusable
from nova_bench.run import Run
from nova_bench.runlog import RunLog
from nova_bench.types import Request, Response, Sample, Usage
from nova_bench.viewer.pictures import Pictures
from nova_bench.viewer.typeset import differs, row_of, short, typeset
from nova_bench.viewer.verdicts import Jury, jury_of


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One sample and repeat.

    Attributes:
        key: (sample's id, repeat).
        cluster: The case or patient.
        groups: Attribute to value.
        states: One a run; None where a run has not asked it.
        rows: One a run: where its line stands in that run's table; None as above.
        is_other: Whether the two runs were understood to say different things; False of one run.
        detail: What the page loads when the line is looked at.
        words: What a search looks through.
    """

    key: tuple[str, int]
    cluster: str
    groups: Mapping[str, str | None]
    states: tuple[str | None, ...]
    rows: tuple[int | None, ...]
    is_other: bool
    detail: dict[str, Any]
    words: str


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """One run, open: its samples by id, its log, and where each line stands in its table."""

    run: Run
    samples: Mapping[str, Sample | Unusable]
    log: RunLog
    index: Index
    jury: Jury
    places: Mapping[tuple[str, int], int]
    boxes: bool

    def response(self, request: Request) -> Response | None:
        """Return the answer in the log that counts for a request; a failed one too."""
        entry = self.index.find(request.id, self.run.plan.hash(request))
        return None if entry is None else self.log.read(entry)


def lines_of(runs: Sequence[Run], pictures: Pictures) -> Iterator[Line]:
    """Yield the lines of runs in the data set's order.

    Args:
        runs: One or two of the same task and data set.
        pictures: Gives pictures their place.

    Raises:
        LogError: A log is damaged.
        DataError: The data set cannot be read.
    """
    with contextlib.ExitStack() as stack:
        sides = [_opened(run, stack) for run in runs]
        for id in dict.fromkeys(id for side in sides for id in side.samples):
            for repeat in range(max(side.run.plan.repeats for side in sides)):
                if any((id, repeat) in side.places for side in sides):
                    yield _line(sides, id, repeat, pictures)


def _opened(run: Run, stack: contextlib.ExitStack) -> _Side:
    table = run.scored.table
    log = stack.enter_context(RunLog(run.folder))
    return _Side(
        run,
        {sample.id: sample for sample in run.plan.samples()},
        log,
        log.index(),
        stack.enter_context(jury_of(run)),
        {key: i for i, key in enumerate(zip(table.id.tolist(), table.repeat.tolist(), strict=True))},
        "det_score" in table.columns,
    )


def _line(sides: Sequence[_Side], id: str, repeat: int, pictures: Pictures) -> Line:
    found = [side.samples.get(id) for side in sides]
    sample = next((one for one in found if isinstance(one, Sample)), None)
    shown: list[Image] = list(sample.images) if sample else []
    n_own = len(shown)
    answers: list[dict[str, Any] | None] = []
    places = [side.places.get((id, repeat)) for side in sides]
    for side, one, place in zip(sides, found, places, strict=True):
        answers.append(None if one is None or place is None else _answer(side, one, repeat, place, shown))
    boxes = any(side.boxes for side in sides)
    given = [answer for answer in answers if answer is not None]
    predictions = [answer["prediction"] for answer in given]
    groups = _groups(sample)
    detail: dict[str, Any] = {
        "id": id,
        "repeat": repeat,
        "cluster": sample.cluster if sample else id,
        "split": sample.split if sample else None,
        "base": sample.base if sample else None,
        "groups": groups,
        "images": [pictures.entry(image) | {"own": i < n_own} for i, image in enumerate(shown)],
        "given": {name: value for name, value in sample.text.items() if value} if sample else {},
        "truth": typeset(sample.target, boxes=boxes) if sample else {"kind": "none"},
        "runs": answers,
    }
    return Line(
        (id, repeat),
        detail["cluster"],
        groups,
        tuple(None if answer is None else answer["state"] for answer in answers),
        tuple(places),
        len(predictions) == 2 and differs(*predictions),
        detail,
        _words(detail),
    )


def _groups(sample: Sample | None) -> dict[str, str | None]:
    """Return a sample's groups; none where a damaged picture keeps them from being known."""
    try:
        return dict(sample.groups) if sample else {}
    except DataError:
        return {}


def _answer(
    side: _Side, sample: Sample | Unusable, repeat: int, place: int, shown: list[Image]
) -> dict[str, Any]:
    """Return what one run has on a line; pictures that the model was shown are added to `shown` where they are not there yet."""
    run, table = side.run, side.run.scored.table
    made: dict[str, Any] = {"state": str(table.status[place]), "prediction": {"kind": "none"}}
    if isinstance(sample, Unusable):
        return made | {"reason": sample.reason, "prompt": None}
    request = next(one for one in run.plan.requests(sample) if one.repeat == repeat)
    made["prompt"] = {"system": request.system, "parts": [_part(part, shown) for part in request.parts]}
    made["reason"] = run.scored.reasons.get(request.id)
    try:
        response = side.response(request)
    except DataError:  # a picture that cannot be read; the reason says so
        return made
    if response is None:
        return made
    made |= _said(response)
    if made["state"] == "failed":
        return made
    prediction = run.plan.predict(sample, response)
    return made | {
        "prediction": typeset(prediction.value, sample.target, boxes=side.boxes),
        "warnings": dict(prediction.warnings),
        "row": row_of(table, place),
        "verdicts": side.jury.verdicts(sample, prediction, request.id),
    }


def _part(part: str | Image, shown: list[Image]) -> str | int:
    """Return a part of a prompt: a text, or the number of a picture."""
    if isinstance(part, str):
        return part
    for place, image in enumerate(shown):
        if image is part or (image.path is not None and (image.path, image.part) == (part.path, part.part)):
            return place
    shown.append(part)
    return len(shown) - 1


def _said(response: Response) -> dict[str, Any]:
    usage = response.usage
    counts = {} if usage is None else {name: getattr(usage, name) for name in Usage.__slots__}
    return {
        "answer": response.text,
        "reasoning": response.reasoning,
        "finish": response.finish,
        "model": response.model,
        "seconds": None if response.seconds is None else short(response.seconds),
        "sent": [list(size) for size in response.image_sizes],
        "usage": {name: count for name, count in counts.items() if count is not None},
        "dropped": list(response.dropped),
    }


def _words(detail: Mapping[str, Any]) -> str:
    """Return what a search looks through: ids, the truth and the answers."""
    found = [detail["id"], detail["cluster"]]
    values = [detail["truth"], *(answer["prediction"] for answer in detail["runs"] if answer)]
    for value in values:
        if value["kind"] == "diagnosis":
            found += value["candidates"]
        elif value["kind"] == "boxes":
            found += [box[5] for box in value["boxes"]]
        else:
            found.append(value.get("text", ""))
    found += [answer.get("answer") or "" for answer in detail["runs"] if answer]
    return "\n".join(dict.fromkeys(word for word in found if word))
