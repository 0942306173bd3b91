"""Published numbers as a page shows them: beside which of our metrics they stand, and in what they differ from what was measured here.

The figures are the tasks' own `references`; ``tasks/published.toml`` says where they stand. They are of the real data: a page of made-up data
shows none.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nova_bench.catalog import content_root, load_task
from nova_bench.errors import NovaBenchError
from nova_bench.judged_rows import metric_name
from nova_bench.task import Reference, Task

FILE = "published.toml"
_TEXTS, _LISTS = ("task", "published", "url", "note"), ("beside", "people")


def references(
    spelling: str, judges: Sequence[str] = (), *, file: Path | None = None
) -> list[dict[str, Any]]:
    """Return the published numbers of a task, one for each of our metrics that it stands beside.

    Args:
        spelling: The task as users spell it, with its variant; a name that is none of ours has no references.
        judges: Names of judges: what stands beside a judged metric stands beside that of each. Without any, under the metric's own name.
        file: Of the form of ``tasks/published.toml``, which is the default.

    Returns:
        Records with ``metric`` (ours), ``label`` (whose number it is), ``kind`` (``paper`` for a model's, ``people``), ``v`` (value and
        interval, which is None, None: no source gives one), ``n`` (None: nor how many), ``published`` (what the source calls the metric),
        ``evidence`` (``primary source``, ``second-hand``, ``inferred``), ``source``, ``url`` and ``note``.

    Raises:
        NovaBenchError: The file cannot be read, or does not fit the tasks.

    >>> [(one["metric"], one["label"], one["v"][0]) for one in references("nova_diagnosis", ["judge-a", "judge-b"])]
    [('top1(judge=judge-a)', 'Gemini 2.0 Flash', 0.221), ('top1(judge=judge-b)', 'Gemini 2.0 Flash', 0.221)]
    """
    path = file or content_root() / "tasks" / FILE
    mine = [place for place in _places(path) if place["task"] == spelling]
    if not mine:
        return []  # before a task is loaded: the spelling may be a stranger's
    task = load_task(spelling.partition("@")[0])
    return [record for place in mine for record in _records(place, task, judges, path)]


def _places(path: Path) -> list[dict[str, Any]]:
    """Return the places of a file, each of the right form."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NovaBenchError(f"{path} cannot be read: {error}; expected TOML") from None
    places = document.get("place", [])
    if set(document) - {"place"} or not isinstance(places, list):
        raise NovaBenchError(f"{path} has {', '.join(document)}; expected [[place]] tables and nothing else")
    for number, place in enumerate(places, start=1):
        fault = _fault(place)
        if fault is not None:
            raise NovaBenchError(
                f"{path}, place {number}: {fault}; the comments at its top say what belongs there"
            )
    return places


def _fault(place: Any) -> str | None:
    """Return what is wrong with the form of a place; None where nothing is."""
    if not isinstance(place, dict):
        return "it is no table; expected [[place]]"
    if unknown := sorted(set(place) - {*_TEXTS, *_LISTS}):
        return f"unknown key {unknown[0]!r}"
    for key in _TEXTS:
        if not isinstance(place.get(key), str) or not place[key].strip():
            return f"{key} is {place.get(key)!r}, expected a text"
    for key in _LISTS:
        named = place.get(key, [] if key == "people" else None)
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            return f"{key} is {named!r}, expected a list of names"
    if not place["beside"]:
        return "beside names no metric"
    if not place["url"].startswith("https://"):
        return f"url is {place['url']!r}, expected https://"
    return None


def _records(
    place: Mapping[str, Any], task: Task, judges: Sequence[str], path: Path
) -> Iterator[dict[str, Any]]:
    """Yield what stands at a place, or raise where the task has no such figure or metric."""
    where = f"{path}: {place['published']!r} of {place['task']}"
    found = [one for one in task.references if one.metric == place["published"]]
    if not found:
        known = ", ".join(sorted({repr(one.metric) for one in task.references})) or "none"
        raise NovaBenchError(f"{where} is in none of the task's references; expected one of {known}")
    if odd := sorted(set(place.get("people", [])) - {one.model for one in found}):
        raise NovaBenchError(f"{where}: people names {odd[0]!r}, whose number it is not")
    judged = {metric.name for metric in task.judged_metrics}
    plain = {metric.name for metric in task.plain_metrics}
    for name in place["beside"]:
        if name not in judged | plain:
            raise NovaBenchError(f"{where}: beside names {name!r}, which is no metric of the task")
        shown = [metric_name(name, judge) for judge in judges] if name in judged and judges else [name]
        for metric in shown:
            yield from (_record(place, metric, one) for one in found)


def _record(place: Mapping[str, Any], metric: str, reference: Reference) -> dict[str, Any]:
    return {
        "metric": metric,
        "label": reference.model,
        "kind": "people" if reference.model in place.get("people", []) else "paper",
        "v": [reference.value, None, None],
        "n": None,
        "published": reference.metric,
        "evidence": reference.evidence,
        "source": reference.source
        + (f" ({reference.sources} of them agree)" if reference.sources > 1 else ""),
        "url": place["url"],
        "note": place["note"].strip(),
    }
