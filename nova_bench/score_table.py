"""Fairness of scores that nova_bench did not make: a CSV or Parquet file with one line an answer, and who the patient was.

No task and no model is needed. A metric is the mean of a column. An empty value is an answer that failed: it is not scored, and the gap
is given as it would be if all of them had been worst, or best.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nova_bench.errors import DataError, UnknownNameError, UsageError
from nova_bench.fairness_document import FairnessSettings, Lines, Subject, document, listed, parts_of
from nova_bench.identity import versions
from nova_bench.metrics.classification import mean_of
from nova_bench.signature import canonical, seal
from nova_bench.table import Table
from nova_bench.table_file import Columns, read_columns
from nova_bench.table_notes import judged_status, left_unjudged, odd_values, verdict_states, without_score
from nova_bench.types import STATUSES, Metric

if TYPE_CHECKING:
    import pandas as pd

TASK = "table"
"""What the document calls the task of a table."""
REPEAT, STATUS = "repeat", "status"


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """The rows of one model: what they share, and the metrics' values."""

    label: str
    source: str
    place: np.ndarray
    """Int array (n,): their rows in the file."""
    columns: Columns
    id: list[str]
    cluster: list[str]
    repeat: list[int]
    status: list[str] | None
    groups: Mapping[str, list[str | None]]
    values: Mapping[str, list[float | None]]
    verdicts: Mapping[str, list[float | None]]
    """Of a judged column that was exported from a run: which lines are judged."""


def fairness_table(
    tables: Path | str | pd.DataFrame | Sequence[Path | str | pd.DataFrame],
    *,
    id: str,
    cluster: str,
    by: str | Sequence[str],
    metric: str | Sequence[str],
    lower_is_better: str | Sequence[str] = (),
    ranges: Mapping[str, tuple[float, float] | None] | None = None,
    model: str | None = None,
    repeat: str | None = None,
    status: str | None = None,
    unknown: str | Sequence[str] = (),
    settings: FairnessSettings | None = None,
) -> dict[str, Any]:
    """Return the fairness document of one or several tables of scores.

    Args:
        tables: Paths of CSV or Parquet files, or DataFrames; several hold the scores of one model each, on the same samples.
        id: The column that names the sample.
        cluster: The column that names the patient; where every line is a patient, the id's own.
        by: Columns of groups, or intersections of two: ``sex*age_band``. An empty value is unknown.
        metric: Columns of numbers; an empty value is an answer that failed (or, in a table with states, one that says nothing of it).
        lower_is_better: Metrics of which less is better.
        ranges: Metric to its lowest and highest possible value, None for unbounded; 0 to 1 where all values lie there.
        model: The column that names the model, where one table holds several.
        repeat: The column that counts repeats of a sample; by default ``repeat`` where there is one.
        status: The column of states; by default ``status`` where there is one. ``""`` for none.
        unknown: Values that also mean unknown.
        settings: Lambda, smallest group, resamples and the like.

    Raises:
        UnknownNameError: A column that does not exist.
        UsageError: No such file; a column in two roles; a metric without a range; a choice that makes no sense.
        DataError: An empty or damaged file; an id that stands twice; no number where one is expected, NaN, or a value outside of the range;
            a patient with two values of one attribute.

    >>> import pandas as pd
    >>> sexes = ["f", "m"] * 30
    >>> scores = pd.DataFrame({"id": range(60), "sex": sexes, "correct": [float(sex == "f") for sex in sexes]})
    >>> made = fairness_table(scores, id="id", cluster="id", by=["sex"], metric=["correct"])
    >>> made["comparisons"][0]["gap"]["value"], made["comparisons"][0]["worst_group"]
    (1.0, 'm')
    """
    given_tables: list[Any] = list(tables) if isinstance(tables, (list, tuple)) else [tables]
    by, metric, lower_is_better, unknown = map(listed, (by, metric, lower_is_better, unknown))
    if not given_tables:
        raise UsageError("no table was given")
    _check_roles(id, cluster, by, metric, model)
    attributes = list(dict.fromkeys(part for attribute in by for part in parts_of(attribute)))
    rows: list[_Rows] = []
    for number, given in enumerate(given_tables, start=1):
        columns = read_columns(given, "table" if len(given_tables) == 1 else f"table {number}")
        rows += _split(columns, id, cluster, attributes, metric, model, repeat, status, unknown)
    if model is not None and len(given_tables) > 1:
        raise UsageError("a column of models and several tables: give one or the other")
    _check_given_once(given_tables)
    labels = _labels(rows)
    made_metrics = _metrics(rows, metric, lower_is_better, ranges or {})
    subjects = [
        _subject(part, label, attributes, made_metrics) for part, label in zip(rows, labels, strict=True)
    ]
    return document(subjects, by=by, metrics=(), settings=settings or FairnessSettings())


def _check_roles(id: str, cluster: str, by: Sequence[str], metric: Sequence[str], model: str | None) -> None:
    for what, given in (("by", by), ("metric", metric)):
        if not given:
            raise UsageError(f"{what} names no column")
        for i, name in enumerate(given):
            if name in given[:i]:
                raise UsageError(f"column {name!r} is given twice as {what}")
    groups = {part for attribute in by for part in parts_of(attribute)}
    for name in metric:
        if name in groups:
            raise UsageError(f"column {name!r} cannot be a metric and a group at once")
        if name in (id, cluster, model):
            raise UsageError(f"column {name!r} names samples, patients or models and cannot be a metric")
    for name in sorted(groups & {id, cluster, model}):
        raise UsageError(f"column {name!r} names samples, patients or models and cannot be a group")


def _split(
    columns: Columns,
    id: str,
    cluster: str,
    attributes: Sequence[str],
    metrics: Sequence[str],
    model: str | None,
    repeat: str | None,
    status: str | None,
    unknown: Sequence[str],
) -> list[_Rows]:
    """Return the rows of a table, a part for each model in the order in which they come."""
    ids, clusters = columns.required(id, "an id"), columns.required(cluster, "a patient")
    blank = set(unknown)
    groups = {name: [None if word in blank else word for word in columns.words(name)] for name in attributes}
    values = {name: columns.numbers(name) for name in metrics}
    found = {name: verdict_states(name, columns) for name in metrics}
    verdicts = {name: states for name, states in found.items() if states is not None}
    repeats = [0] * columns.n
    if repeat is not None or REPEAT in columns.cells:
        repeats = columns.whole_numbers(repeat or REPEAT)
    states = _states(columns, status)
    models = [""] * columns.n if model is None else columns.required(model, "a model")
    _check_unique(columns, ids, repeats, models if model is not None else None)
    _check_patients(columns, clusters, groups)
    if states is not None:
        _check_failed(columns, states, values)
    places: dict[str, list[int]] = {}
    for i, name in enumerate(models):
        places.setdefault(name, []).append(i)
    return [
        _Rows(
            label=name or Path(columns.name).stem,
            source=columns.name,
            place=np.asarray(place),
            columns=columns,
            id=[ids[i] for i in place],
            cluster=[clusters[i] for i in place],
            repeat=[repeats[i] for i in place],
            status=None if states is None else [states[i] for i in place],
            groups={attribute: [words[i] for i in place] for attribute, words in groups.items()},
            values={metric: [numbers[i] for i in place] for metric, numbers in values.items()},
            verdicts={metric: [states[i] for i in place] for metric, states in verdicts.items()},
        )
        for name, place in places.items()
    ]


def _states(columns: Columns, status: str | None) -> list[str] | None:
    """Return the column of states, None where the table has none."""
    if status == "" or (status is None and STATUS not in columns.cells):
        return None
    name = status or STATUS
    words = columns.required(name, "a state")
    for i, word in enumerate(words):
        if word not in STATUSES:
            raise DataError(
                f"{columns.row(i)}: column {name!r} is {word!r}, expected one of {', '.join(STATUSES)}; if the column means something else, "
                "give --status none"
            )
    return words


def _check_unique(
    columns: Columns, ids: Sequence[str], repeats: Sequence[int], models: Sequence[str] | None
) -> None:
    seen: dict[tuple[str, int, str], int] = {}
    for i, (name, repeat) in enumerate(zip(ids, repeats, strict=True)):
        key = (name, repeat, models[i] if models else "")
        if key in seen:
            raise DataError(
                f"{columns.row(i)}: id {name!r} stands in row {seen[key] + columns.first_row} already; expected one row "
                + ("a sample and model" if models else "a sample")
                + " (repeats have a column of their own: --repeat; several models too: --model-column)"
            )
        seen[key] = i


def _check_patients(
    columns: Columns, clusters: Sequence[str], groups: Mapping[str, Sequence[str | None]]
) -> None:
    for attribute, words in groups.items():
        first: dict[str, int] = {}
        for i, (patient, word) in enumerate(zip(clusters, words, strict=True)):
            before = words[first.setdefault(patient, i)]
            if before != word:
                one, two = (repr(value) if value is not None else "unknown" for value in (before, word))
                raise DataError(
                    f"{columns.row(i)}: patient {patient!r} has two values of {attribute!r}: {two}, and {one} in row "
                    f"{first[patient] + columns.first_row}; a patient belongs to one group"
                )


def _check_failed(
    columns: Columns, states: Sequence[str], values: Mapping[str, Sequence[float | None]]
) -> None:
    for name, numbers in values.items():
        for i, (state, value) in enumerate(zip(states, numbers, strict=True)):
            if state == "failed" and value is not None:
                raise DataError(
                    f"{columns.row(i)}: the answer failed, and yet column {name!r} is {value:g}; leave it empty, or correct the state"
                )


def _labels(rows: Sequence[_Rows]) -> list[str]:
    names = [part.label for part in rows]
    return [part.label if names.count(part.label) == 1 else f"{part.label} ({part.source})" for part in rows]


def _check_given_once(tables: Sequence[Any]) -> None:
    """Raise where a file is given twice: it would be compared with itself, and its tests counted twice."""
    paths = [Path(given).resolve() if isinstance(given, (str, Path)) else None for given in tables]
    for i, path in enumerate(paths):
        if path is not None and path in paths[:i]:
            raise UsageError(f"table {tables[i]} is given twice")


def _metrics(
    rows: Sequence[_Rows],
    names: Sequence[str],
    lower_is_better: Sequence[str],
    ranges: Mapping[str, tuple[float, float] | None],
) -> list[Metric]:
    for what, given in (("metric", lower_is_better), ("metric", ranges)):
        for name in given:
            if name not in names:
                raise UnknownNameError(what, name, names, "the metrics given")
    made = []
    for name in names:
        limits: tuple[float, float] | None = (0.0, 1.0)
        if name in ranges:
            limits = ranges[name]
        for part in rows:
            _check_range(part, name, limits, given=name in ranges)
        made.append(
            mean_of(
                name,
                name,
                higher_is_better=name not in lower_is_better,
                range=limits,
                about=f"Mean of column {name!r}.",
            )
        )
    return made


def _check_range(part: _Rows, name: str, limits: tuple[float, float] | None, *, given: bool) -> None:
    if limits is None:
        return
    low, high = limits
    if not low < high:
        raise UsageError(f"range of {name!r} is {low:g}..{high:g}; expected the lowest value first")
    for i, value in zip(part.place, part.values[name], strict=True):
        if value is not None and not low <= value <= high:
            where = f"{part.columns.row(int(i))}: column {name!r} is {value:g}"
            if given:
                raise DataError(f"{where}, outside of its range {low:g}..{high:g}")
            raise UsageError(
                f"{where}, not between 0 and 1; say what its lowest and highest possible values are, "
                f"as in --range {name}=0..100 (or --range {name}=none, if there are none)"
            )


def _subject(part: _Rows, label: str, attributes: Sequence[str], metrics: Sequence[Metric]) -> Subject:
    order = np.lexsort((np.asarray(part.repeat), np.asarray(part.id)))
    samples = _digest(part, order)
    known = versions()
    lines = _lines(part, metrics, order)
    plain = {name: values for name, values in part.values.items() if name not in part.verdicts}
    without = [without_score(part.status, plain), left_unjudged(part.values, part.verdicts)]

    def signature(metric: Metric) -> Mapping[str, Any]:
        protocol = {
            "table": samples,
            "metric": metric.name,
            "metric_version": metric.version,
            "higher_is_better": metric.higher_is_better,
            "range": None if metric.range is None else list(metric.range),
        }
        return seal(protocol, {"source": part.source, "versions": known})

    return Subject(
        label=label,
        model=part.label,
        task=TASK,
        folder=part.source,
        caution=None,
        headline=metrics[0].name,
        metrics=tuple(metrics),
        attributes=tuple(attributes),
        lines=lambda metric: lines[metric.name],
        missing=lambda metric: None,
        signature=signature,
        notes={
            name: "; ".join(said)
            for name in attributes
            if (said := [each for each in (odd_values(name, part.groups[name]), *without) if each])
        },
    )


def _lines(part: _Rows, metrics: Sequence[Metric], order: np.ndarray) -> dict[str, Lines]:
    """Return the rows that each metric reads; metrics for which the same rows failed share one table, so that it is drawn from once."""
    states = {metric.name: _status_of(part, metric.name) for metric in metrics}
    shared: dict[tuple[str, ...], list[Metric]] = {}
    for metric in metrics:
        shared.setdefault(tuple(states[metric.name]), []).append(metric)
    made: dict[str, Lines] = {}
    for status, alike in shared.items():
        lines = _shared_lines(part, alike, status, order)
        made.update(dict.fromkeys((metric.name for metric in alike), lines))
    return made


def _status_of(part: _Rows, name: str) -> Sequence[str]:
    if name in part.verdicts:
        return judged_status(part.status, part.values[name], part.verdicts[name])
    return part.status or ["failed" if value is None else "ok" for value in part.values[name]]


def _shared_lines(part: _Rows, metrics: Sequence[Metric], states: Sequence[str], order: np.ndarray) -> Lines:
    """Return one table of several metrics, and the same with its failed rows as the worst and the best values."""
    failed = np.asarray([state == "failed" for state in states], dtype=bool)
    columns: tuple[dict[str, np.ndarray], ...] = ({}, {}, {})
    for metric in metrics:
        values = part.values[metric.name]
        numbers = np.asarray([np.nan if value is None else value for value in values], dtype=np.float64)
        columns[0][metric.name] = numbers
        if metric.range is not None:  # what has no end has no worst value
            low, high = metric.range if metric.higher_is_better else metric.range[::-1]
            columns[1][metric.name] = np.where(failed, low, numbers)
            columns[2][metric.name] = np.where(failed, high, numbers)
    table, worst, best = (
        Table(
            id=_objects(part.id),
            cluster=_objects(part.cluster),
            repeat=np.asarray(part.repeat, dtype=np.int64),
            status=_objects(states),
            split=_objects(["test"] * len(states)),
            groups={name: _objects(words) for name, words in part.groups.items()},
            columns=dict(made),
        ).take(order)
        for made in columns
    )
    return Lines(table, worst, best) if failed.any() else Lines(table, None, None)


def _digest(part: _Rows, order: np.ndarray) -> str:
    """Return a hash of who was asked what: samples, patients and groups, not the scores; two models on it compare."""
    hashed = hashlib.sha256(canonical(sorted(part.groups)))
    for i in order:
        groups = [part.groups[name][i] for name in sorted(part.groups)]
        hashed.update(canonical([part.id[i], part.cluster[i], part.repeat[i], groups]))
    return hashed.hexdigest()[:12]


def _objects(values: Sequence[Any]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
