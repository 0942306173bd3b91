"""From a run's log to tables of rows: everything here runs again without the model."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nova_bench.budget import Ledger
from nova_bench.errors import DataError
from nova_bench.plan import Plan, Unusable
from nova_bench.runlog import RunLog
from nova_bench.signature import template
from nova_bench.table import Ragged, Table, build_columns, stack_columns
from nova_bench.types import Context, Item, Prediction, Response, Sample, Scorer

_CHUNK = 2048
"""Items handed to a scorer at once: enough for one that works in batches, little enough for flat memory."""


@dataclass(slots=True, eq=False)
class Scored:
    """A run's rows, and what must be said beside the numbers made from them."""

    table: Table
    """All lines, failed ones included; their dense columns are NaN and their ragged ones empty."""
    worst: Table | None
    """The same lines with each failed one scored as the worst answer; None where there is no failed one, or no bounds."""
    best: Table | None
    missing: Mapping[str, str]
    """Column to the command that would bring the resource it needs."""
    scorer_versions: Mapping[str, int]
    template_hash: str
    requests_hash: str
    """sha256 over the request hashes in the data set's order."""
    split: str
    warnings: Mapping[str, int]
    dropped: Mapping[str, int]
    models: Mapping[str, int]
    """Model names as the vendor gave them, with how many answers came from each."""
    reasons: Mapping[str, str]
    """Request id to why it failed."""
    ledger: Ledger
    """What all records of the log cost, those that count for nothing as well."""
    ignored: int

    @property
    def answered(self) -> np.ndarray:
        """Boolean array (n,): lines that are no failures."""
        return np.asarray(self.table.status != "failed")


@dataclass(slots=True, eq=False)
class _Line:
    id: str
    cluster: str
    repeat: int
    status: str
    split: str
    groups: Mapping[str, str | None]
    sample: Sample | None
    base: str | None = None


@dataclass(slots=True)
class _Tally:
    warnings: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    ledger: Ledger = field(default_factory=Ledger)
    reasons: dict[str, str] = field(default_factory=dict)
    requests: hashlib._Hash = field(default_factory=hashlib.sha256)
    first: Sample | None = None
    ignored: int = 0


def score(plan: Plan, log: RunLog) -> Scored:
    """Score every answer in the log that belongs to the plan.

    Args:
        plan: The plan of the run.
        log: Its log, open for reading.

    Raises:
        LogError: The log is damaged.
        DataError: The data set cannot be read.
    """
    scorers, missing = _available(plan.task.scorers)
    tally = _Tally()
    tables: list[Table] = []
    failed: list[_Line] = []
    for chunk in _chunks(_predictions(plan, log, tally)):
        failed += [line for line, item in chunk if item is None]
        tables.append(_chunk_table(scorers, chunk))
    plan.digests.save()
    whole = Table.stack(_with_columns(tables))
    order = np.lexsort((whole.repeat, whole.id.astype(str)))
    worst, best = _bounds(whole, failed, scorers)
    return Scored(
        table=whole.take(order),
        worst=None if worst is None else worst.take(order),
        best=None if best is None else best.take(order),
        missing=missing,
        scorer_versions={scorer.name: scorer.version for scorer in plan.task.scorers},
        template_hash=template(plan.task, tally.first) if tally.first else "",
        requests_hash=tally.requests.hexdigest(),
        split="+".join(sorted(set(whole.split))) or "test",
        warnings=dict(sorted(tally.warnings.items())),
        dropped=dict(sorted(tally.dropped.items())),
        models=dict(sorted(tally.models.items())),
        reasons=tally.reasons,
        ledger=tally.ledger,
        ignored=tally.ignored,
    )


def answered_items(plan: Plan, log: RunLog) -> Iterator[Item]:
    """Yield what scorers see of every answered request, in the data set's order."""
    for _, item in _predictions(plan, log, _Tally()):
        if item is not None:
            yield item


def _available(scorers: Sequence[Scorer]) -> tuple[list[Scorer], dict[str, str]]:
    """Return the scorers whose resources are there, and the remedy for each column of the others."""
    there: list[Scorer] = []
    missing: dict[str, str] = {}
    for scorer in scorers:
        remedy = scorer.missing() if scorer.missing is not None else None
        if remedy is None:
            there.append(scorer)
        else:
            missing.update(dict.fromkeys(scorer.columns, remedy))
    return there, missing


def _predictions(plan: Plan, log: RunLog, tally: _Tally) -> Iterator[tuple[_Line, Item | None]]:
    """Walk the plan and yield each line with what its scorers see; None where it failed."""
    index = log.index(tally.ledger.add)
    cluster = ""  # rows of one patient mostly follow each other: one text serves them all
    for sample in plan.samples():
        if isinstance(sample, Unusable):
            for repeat in range(plan.repeats):
                tally.reasons[f"{sample.id}#{repeat}" if repeat else sample.id] = sample.reason
                yield _Line(sample.id, sample.id, repeat, "failed", "test", {}, None), None
            continue
        if tally.first is None:
            tally.first = sample
        groups, unreadable = _groups(sample)
        cluster = sample.cluster if sample.cluster != cluster else cluster
        for request in plan.requests(sample):
            line = _Line(
                sample.id,
                cluster,
                request.repeat,
                "failed",
                sys.intern(sample.split),
                groups,
                sample,
                sample.base,
            )
            try:
                if unreadable is not None:
                    raise unreadable
                request_hash = plan.hash(request)
                tally.requests.update(request_hash)
                entry = index.find(request.id, request_hash)
                response = None if entry is None else log.read(entry)
                if response is None or response.finish == "error":
                    tally.ignored += entry is None and index.has(request.id)
                    tally.reasons[request.id] = (
                        (response.error or "failed") if response else "not answered yet"
                    )
                    yield line, None
                    continue
                prediction = plan.task.parse(response, _context(plan, sample, response))
            except DataError as error:
                tally.reasons[request.id] = str(error)
                yield line, None
                continue
            _count(tally, response, prediction)
            line.status, line.sample = prediction.status, None
            yield line, Item(sample, prediction, request.repeat)


def _groups(sample: Sample) -> tuple[Mapping[str, str | None], DataError | None]:
    """Return a sample's groups, and why they cannot be known: a damaged picture has no size to put a box in proportion to."""
    try:
        # A row's texts are its own; a million lines with a dozen different values need a dozen texts.
        return {name: value and sys.intern(value) for name, value in sample.groups.items()}, None
    except DataError as error:
        return {}, error


def _context(plan: Plan, sample: Sample, response: Response) -> Context:
    """Return what the parser may know; boxes are read relative to the picture that was sent, in the size of the sample's own."""
    stored = tuple(image.size for image in sample.images)
    sent = response.image_sizes or tuple(image.size for image in plan.shown_image(sample)) or stored
    return Context(plan.card.frame, plan.card.think, stored, sent)


def _count(tally: _Tally, response: Response, prediction: Prediction) -> None:
    tally.warnings.update(prediction.warnings)
    tally.dropped.update(response.dropped)
    if response.model:
        tally.models[response.model] += 1


def _chunks(stream: Iterator[tuple[_Line, Item | None]]) -> Iterator[list[tuple[_Line, Item | None]]]:
    chunk = []
    for entry in stream:
        chunk.append(entry)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    yield chunk


def _chunk_table(scorers: Sequence[Scorer], chunk: Sequence[tuple[_Line, Item | None]]) -> Table:
    """Return the table of a chunk of lines: one row an answered line, with the columns of all scorers."""
    items = [item for _, item in chunk if item is not None]
    columns = [column for scorer in scorers for column in scorer.columns]
    rows: list[dict[str, Any]] = [{} for _ in items]
    for scorer in scorers if items else ():
        for row, made in zip(rows, scorer.rows(items), strict=True):
            row.update(made)
    answered = np.array([item is not None for _, item in chunk], dtype=bool)
    built = build_columns(rows, columns) if rows else {}
    return _table([line for line, _ in chunk], _spread(built, answered))


def _with_columns(tables: Sequence[Table]) -> list[Table]:
    """Give chunks in which every line failed the columns of the others."""
    full = next((table for table in tables if table.columns), None)
    if full is None:
        return list(tables)
    none = np.zeros(0, dtype=np.int64)
    empty = full.take(none).columns
    return [
        table
        if table.columns
        else dataclasses.replace(table, columns=_spread(empty, np.zeros(len(table), dtype=bool)))
        for table in tables
    ]


def _spread(
    columns: Mapping[str, np.ndarray | Ragged], answered: np.ndarray
) -> dict[str, np.ndarray | Ragged]:
    """Return the columns of answered lines over all lines: NaN, or no values, where a line failed."""
    spread: dict[str, np.ndarray | Ragged] = {}
    for name, column in columns.items():
        if isinstance(column, Ragged):
            lengths = np.zeros(len(answered), dtype=np.int64)
            lengths[answered] = column.lengths
            spread[name] = Ragged(column.values, np.concatenate([[0], np.cumsum(lengths)]))
        else:
            full = np.full(len(answered), np.nan)
            full[answered] = column
            spread[name] = full
    return spread


def _bounds(
    whole: Table, failed: Sequence[_Line], scorers: Sequence[Scorer]
) -> tuple[Table | None, Table | None]:
    """Return the tables in which each failed line is the worst, and the best, possible answer.

    Scorers without bounds leave their columns out; a failed line without a known truth leaves no bounds at all.

    Args:
        whole: All lines.
        failed: The failed ones, in the same order.
        scorers: The scorers whose resources are there.
    """
    samples = [line.sample for line in failed if line.sample is not None]
    if not failed or len(samples) < len(failed):
        return None, None
    is_failed = whole.status == "failed"
    # Answered lines first, failed ones behind: where each line of the whole then lies.
    place = np.empty(len(whole), dtype=np.int64)
    place[~is_failed] = np.arange((~is_failed).sum())
    place[is_failed] = (~is_failed).sum() + np.arange(len(failed))
    answered = whole.take(~is_failed)
    tables: list[Table] = []
    for side in (0, 1):
        columns: dict[str, np.ndarray | Ragged] = {}
        for scorer in scorers:
            if scorer.bounds is None:
                continue
            extra = build_columns([scorer.bounds(sample)[side] for sample in samples], scorer.columns)
            for name, column in extra.items():
                known = answered.columns.get(name)
                both = column if known is None or not len(known) else stack_columns([known, column])
                columns[name] = both.take(place)
        tables.append(dataclasses.replace(whole, columns=columns))
    return tables[0], tables[1]


def _table(lines: Sequence[_Line], columns: Mapping[str, np.ndarray | Ragged]) -> Table:
    names = dict.fromkeys(name for line in lines for name in line.groups)
    ids = _objects(line.id for line in lines)
    has_copies = any(line.base is not None for line in lines)
    return Table(
        id=ids,
        cluster=_objects(line.cluster for line in lines),
        repeat=np.array([line.repeat for line in lines], dtype=np.int64),
        status=_objects(line.status for line in lines),
        split=_objects(line.split for line in lines),
        groups={name: _objects(line.groups.get(name) for line in lines) for name in names},
        columns=dict(columns),
        base=_objects(line.base or line.id for line in lines) if has_copies else ids,
    )


def _objects(values: Iterator[Any]) -> np.ndarray:
    listed = list(values)
    array = np.empty(len(listed), dtype=object)
    array[:] = listed
    return array
