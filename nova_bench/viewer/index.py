"""What a viewer's page has of every sample at once: who it is, its states, its groups, and which numbers there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nova_bench import __version__
from nova_bench.data import Data
from nova_bench.report import caution
from nova_bench.run import Run
from nova_bench.types import STATUSES
from nova_bench.viewer.files import write_script
from nova_bench.viewer.lines import Line
from nova_bench.viewer.numbers import Number, value_at

SCHEMA_VERSION = 1
SEARCHED = 2_000
"""Characters of a sample's words that a search looks through."""


class Gathered:
    """Gathers what the index says of lines, which themselves are let go.

    Args:
        runs: Whose lines they are.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._n_runs = len(runs)
        self.ids: list[str] = []
        self.repeats: list[int] = []
        self.clusters: list[str] = []
        self.states: list[list[int]] = [[] for _ in runs]
        self.rows: list[list[int | None]] = [[] for _ in runs]
        self.others: list[int] = []
        self.words: list[str] = []
        self._groups: dict[str, tuple[dict[str, int], list[int]]] = {}

    def add(self, line: Line) -> None:
        """Take in the next line."""
        place = len(self.ids)
        self.ids.append(line.key[0])
        self.repeats.append(line.key[1])
        self.clusters.append(line.cluster)
        for states, state in zip(self.states, line.states, strict=True):
            states.append(-1 if state is None else STATUSES.index(state))  # type: ignore[arg-type]
        for rows, row in zip(self.rows, line.rows, strict=True):
            rows.append(row)
        if line.is_other:
            self.others.append(place)
        self.words.append(line.words[:SEARCHED])
        for name, value in line.groups.items():
            codes, column = self._groups.setdefault(name, ({}, []))
            column.extend([-1] * (place - len(column)))
            column.append(-1 if value is None else codes.setdefault(value, len(codes)))

    def groups(self) -> list[dict[str, Any]]:
        """Return each attribute with its values and, by line, which it is: -1 where it is not known."""
        made = []
        for name, (codes, column) in self._groups.items():
            filled = column + [-1] * (len(self.ids) - len(column))
            made.append({"name": name, "values": list(codes), "codes": filled})
        return made


def write_index(
    folder: Path,
    runs: Sequence[Run],
    gathered: Gathered,
    numbers: Sequence[tuple[Number, Sequence[Number | None]]],
    *,
    starts: Sequence[int],
    pictures: Mapping[str, Any],
) -> None:
    """Write ``data/index.js``, ``data/search.js`` and one ``data/numbers/*.js`` a number.

    Args:
        folder: The viewer's folder.
        runs: One or two.
        gathered: What was gathered of their lines.
        numbers: Of `nova_bench.viewer.numbers.shared`.
        starts: The first line of each chunk of details.
        pictures: What is to be said of pictures: counts, licence.
    """
    task = runs[0].plan.task
    for place, (_, found) in enumerate(numbers):
        values = [[value_at(of, row) for row in rows] for rows, of in zip(gathered.rows, found, strict=True)]
        write_script(folder, f"numbers/{place}", values)
    write_script(folder, "search", gathered.words)
    index = {
        "schema_version": SCHEMA_VERSION,
        "version": __version__,
        "task": {
            "name": task.name,
            "spelling": runs[0].plan.spelling,
            "version": task.version,
            "about": task.about,
            "headline": task.headline,
        },
        "data": _data_json(runs[0].plan.data) | {"pictures": dict(pictures)},
        "runs": [_run_json(run, label) for run, label in zip(runs, labels_of(runs), strict=True)],
        "rubrics": {judge.name: judge.rubric for judge in task.judges},
        "states": list(STATUSES),
        "searched": SEARCHED,
        "numbers": [_number_json(first) for first, _ in numbers],
        "chunks": list(starts),
        "lines": {
            "id": gathered.ids,
            "repeat": gathered.repeats,
            "cluster": gathered.clusters,
            "states": gathered.states,
            "other": gathered.others,
        },
        "groups": gathered.groups(),
    }
    write_script(folder, "index", index)


def labels_of(runs: Sequence[Run]) -> list[str]:
    """Return what the runs are called on the page: their models, with what differs where two have one name.

    Args:
        runs: One or two.
    """
    names = [run.model for run in runs]
    if len(set(names)) == len(names):
        return names
    spellings = [run.plan.spelling for run in runs]
    if len(set(spellings)) == len(spellings):
        return [f"{name}, {spelling}" for name, spelling in zip(names, spellings, strict=True)]
    return [
        f"{name}, {run.folder.resolve().parent.name}/{run.folder.name}"
        for name, run in zip(names, runs, strict=True)
    ]


def _number_json(number: Number) -> dict[str, Any]:
    return {
        "name": number.name,
        "about": number.about,
        "higher_is_better": number.higher_is_better,
        "also": list(number.also),
    }


def _data_json(data: Data) -> dict[str, Any]:
    source = data.source
    return {
        "name": source.name,
        "license": source.license,
        "license_url": source.license_url,
        "gated": data.is_gated,
        "synthetic": data.is_synthetic,
    }


def _run_json(run: Run, label: str) -> dict[str, Any]:
    return {
        "label": label,
        "model": run.model,
        "task": run.plan.spelling,
        "frame": run.plan.card.frame.name,
        "repeats": run.plan.repeats,
        "complete": run.is_complete,
        "caution": caution(run.plan, run.remote_code),
        "judges": list(run.scored.judges),
    }
