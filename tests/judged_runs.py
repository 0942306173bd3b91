"""Runs of the small judged task: what the tests of the judged stage share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from judged_task import judged
from running import make_set, settings

import nova_bench as nb


def small_set(home: Path) -> Path:
    """Return the folder of a small set: 8 cases, 12 images."""
    return make_set(home / "set", [1, 2] * 4)


class Model:
    """A model whose answer depends on the sample; counts what it was asked."""

    def __init__(self, empty: int = 0) -> None:
        self.asked: list[str] = []
        self.empty = empty

    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        for request in requests:
            self.asked.append(request.id)
            words = ["Axial", "T2", "image", "lesion."][: len(request.id) % 5 or 3 + hash_of(request.id)]
            text = "" if len(self.asked) <= self.empty else "ANSWER: " + " ".join(words)
            yield nb.Response(request.id, text, usage=nb.Usage(10, 5))


def hash_of(text: str) -> int:
    return sum(text.encode()) % 2


def run(home: Path, where: Path, judges: list[Any], model: Any = None, **more: Any) -> nb.Run:
    return nb.evaluate(
        more.pop("task", None) or judged(),
        model or Model(),
        **{"data": str(where), "out": home / "out", "settings": settings(home), "judges": judges, **more},
    )


def cells_of(run: nb.Run) -> dict[str, nb.Cell]:
    return {made.metric: made for made in run.cells() if made.slice == "all"}


def verdicts_of(folder: Path) -> list[dict[str, Any]]:
    (path,) = (folder / "judges").glob("*/verdicts.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


LIKENESS = "likeness(judge=FakeJudge)"
