"""From a run's log to tables of rows: everything here runs again without the model."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nova_bench.budget import Ledger
from nova_bench.errors import DataError
from nova_bench.imputed import imputed_tables
from nova_bench.judge_log import Asked, VerdictLog, asked_judges
from nova_bench.judged_rows import (
    JUDGE_FAILED,
    UNJUDGED,
    Bench,
    judged_columns,
    spread_column,
    state_column,
)
from nova_bench.model_names import is_any_same
from nova_bench.plan import Plan, Unusable
from nova_bench.private_file import error_kind
from nova_bench.runlog import RunLog
from nova_bench.signature import template
from nova_bench.table import Ragged, Table, build_columns
from nova_bench.types import Item, Judge, Prediction, Response, Sample, Scorer

_CHUNK = 2048
"""Items handed to a scorer at once: enough for one that works in batches, little enough for flat memory."""


@dataclass(slots=True, eq=False)
class Scored:
    """A run's rows, and what must be said beside the numbers made from them."""

    table: Table
    """All lines, failed ones included; their dense columns are NaN and their ragged ones empty."""
    worst: Table | None
    """The same lines with each failed one scored as the worst answer, in a judge's columns each unjudged one too; None where there is
    neither, or no bounds."""
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
    judges: Mapping[str, JudgeAccount]
    """Judge's name to what is known of its part."""

    @property
    def answered(self) -> np.ndarray:
        """Boolean array (n,): lines that are no failures."""
        return np.asarray(self.table.status != "failed")


@dataclass(frozen=True, slots=True, eq=False)
class JudgeAccount:
    """One judge's part in a run's rows."""

    asked: Asked
    ledger: Ledger
    """What all records of its log cost."""
    models: Mapping[str, int]
    """Model names as the vendor gave them, with how many verdicts came from each."""
    unjudged: int
    """Lines without a verdict for good, by some rubric."""
    failed: int
    """Lines that wait for a verdict."""
    verdicts: int
    """Verdicts on the lines, of every rubric and repeat, the missing ones included; those still to come are not."""
    unjudged_verdicts: int
    """Of these the ones that are missing for good."""
    dropped: Mapping[str, int]
    """Parameters that the judge's backend could not honour, with how many of its answers went without."""


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
    request: str = ""


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


def score(plan: Plan, log: RunLog, also: Collection[Path] = ()) -> Scored:
    """Score every answer in the log that belongs to the plan, with the verdicts of all judges that count.

    Args:
        plan: The plan of the run.
        log: Its log, open for reading; the judges' lie below its folder.
        also: As for `nova_bench.judge_log.asked_judges`.

    Raises:
        LogError: The log is damaged.
        DataError: The data set cannot be read.
    """
    scorers, missing = _available(plan.task.scorers)
    plain = [scorer for scorer in scorers if scorer.judge is None]
    judged = [scorer for scorer in scorers if scorer.judge is not None]
    tally = _Tally()
    tables: list[Table] = []
    open_lines: list[tuple[int, Sample | None]] = []
    with contextlib.ExitStack() as stack:
        asked = asked_judges(log.folder, also) if judged else []
        benches = [Bench(one, stack.enter_context(VerdictLog(one.folder))) for one in asked]
        start = 0
        for chunk in _chunks(_predictions(plan, log, tally)):
            made = _chunk_table(plain, judged, benches, chunk)
            is_open = np.asarray(made.status == "failed")
            for bench in benches:
                for judge in plan.task.judges:
                    states = made.columns.get(state_column(judge, bench.name))
                    if isinstance(states, np.ndarray):
                        is_open = is_open | (states == JUDGE_FAILED) | (states == UNJUDGED)
            open_lines += [(start + int(i), chunk[i][0].sample) for i in np.flatnonzero(is_open)]
            tables.append(made)
            start += len(chunk)
    plan.digests.save()
    whole = Table.stack(_with_columns(tables))
    order = np.lexsort((whole.repeat, whole.id.astype(str)))
    worst, best = imputed_tables(whole, open_lines, plain, judged, benches)
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
        judges={bench.name: _account(bench, plan.task.judges, whole, tally.models) for bench in benches},
    )


def _account(bench: Bench, judges: Sequence[Judge], whole: Table, models: Collection[str]) -> JudgeAccount:
    """Return what is known of a judge's part; it is the model under test too where vendors named one model for both."""
    columns = [whole.columns.get(state_column(judge, bench.name)) for judge in judges]
    states = [column for column in columns if isinstance(column, np.ndarray)]
    least = np.min(states, axis=0) if states else np.zeros(0)
    unjudged, failed = int((least == UNJUDGED).sum()), int((least == JUDGE_FAILED).sum())
    is_self = bench.asked.is_self or is_any_same(models, bench.log.models)
    return JudgeAccount(
        dataclasses.replace(bench.asked, is_self=is_self),
        bench.log.ledger,
        dict(sorted(bench.log.models.items())),
        unjudged,
        failed,
        bench.verdicts.total(),
        bench.verdicts[False],
        dict(sorted(bench.log.dropped.items())),
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
            line.request = request.id
            try:
                if unreadable is not None:
                    raise unreadable
                request_hash = plan.hash(request)
                tally.requests.update(request_hash)
                entry = index.find(request.id, request_hash)
                response = None if entry is None else log.read(entry)
                if response is None or response.finish == "error":
                    tally.ignored += entry is None and index.has(request.id)
                    tally.reasons[request.id] = _reason(plan, response)
                    yield line, None
                    continue
                prediction = plan.predict(sample, response)
            except DataError as error:
                tally.reasons[request.id] = str(error)
                yield line, None
                continue
            _count(tally, response, prediction)
            line.status = prediction.status
            yield line, Item(sample, prediction, request.repeat)


def _reason(plan: Plan, response: Response | None) -> str:
    """Return why a line has no answer; of gated data without a server's words, which logs of earlier versions hold."""
    if response is None:
        return "not answered yet"
    said = response.error or "failed"
    return error_kind(said) if plan.data.is_gated else said


def _groups(sample: Sample) -> tuple[Mapping[str, str | None], DataError | None]:
    """Return a sample's groups, and why they cannot be known: a damaged picture has no size to put a box in proportion to."""
    try:
        # A row's texts are its own; a million lines with a dozen different values need a dozen texts.
        return {name: value and sys.intern(value) for name, value in sample.groups.items()}, None
    except DataError as error:
        return {}, error


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


def _chunk_table(
    plain: Sequence[Scorer],
    judged: Sequence[Scorer],
    benches: Sequence[Bench],
    chunk: Sequence[tuple[_Line, Item | None]],
) -> Table:
    """Return the table of a chunk of lines: one row an answered line, with the columns of all scorers and judges."""
    items = [item for _, item in chunk if item is not None]
    columns = [column for scorer in plain for column in scorer.columns]
    rows: list[dict[str, Any]] = [{} for _ in items]
    for scorer in plain if items else ():
        for row, made in zip(rows, scorer.rows(items), strict=True):
            row.update(made)
    answered = np.array([item is not None for _, item in chunk], dtype=bool)
    built = build_columns(rows, columns) if rows else {}
    if items:
        requests = [line.request for line, item in chunk if item is not None]
        for bench in benches:
            built.update(judged_columns(judged, bench, items, requests))
    return _table([line for line, _ in chunk], _spread(built, answered))


def _with_columns(tables: Sequence[Table]) -> list[Table]:
    """Give chunks in which every line failed, or none was judged, the columns of the others."""
    none = np.zeros(0, dtype=np.int64)
    empty: dict[str, np.ndarray | Ragged] = {}
    for table in tables:
        for name, column in table.columns.items():
            if name not in empty:
                empty[name] = column.take(none) if isinstance(column, Ragged) else column[none]
    return [
        table
        if len(table.columns) == len(empty)
        else dataclasses.replace(
            table,
            columns={
                name: table.columns[name]
                if name in table.columns
                else spread_column(column, np.zeros(len(table), dtype=bool))
                for name, column in empty.items()
            },
        )
        for table in tables
    ]


def _spread(
    columns: Mapping[str, np.ndarray | Ragged], answered: np.ndarray
) -> dict[str, np.ndarray | Ragged]:
    """Return the columns of answered lines over all lines: NaN, or no values, where a line failed."""
    return {name: spread_column(column, answered) for name, column in columns.items()}


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
