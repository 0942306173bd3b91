"""How far judges agree with people: the texts of a labelled file are judged, and verdicts are set against the labels, key by key.

The file is JSON lines, one a label::

    {"id": "p1", "rubric": "nova_diagnosis", "texts": {"reference": "...", "candidate": "..."}, "verdict": {"score": 3}}

``verdict`` has any of the rubric's keys, as the rubric's schema spells them. ``rater`` tells people apart where several labelled the same
id, and ``cluster`` (a patient) which ids belong together. Labels and numbers are compared, lists as sets; free text is not.

Of several people's labels the one given most often counts (a tie leaves the text out), of numbers the lower median. Cohen's kappa is
unweighted for labels and quadratic for whole numbers between two limits; Krippendorff's alpha is nominal for labels, interval for
numbers.
"""

from __future__ import annotations

import collections
import functools
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nova_bench.adapter import Model
from nova_bench.budget import Budget
from nova_bench.calibration_file import check_judged, keep
from nova_bench.catalog import find_all, load_task
from nova_bench.dry_run import input_tokens
from nova_bench.dry_run_judges import text_requests
from nova_bench.errors import NovaBenchError, UsageError
from nova_bench.hosted import check_hosted
from nova_bench.identity import judge_start
from nova_bench.judge import check_judge, rubric_id
from nova_bench.judge_labels import Label, flattened, leaves_of, read_labels
from nova_bench.judge_log import Asked, join_judge, planned_judge
from nova_bench.judge_names import judge_identity
from nova_bench.judge_texts import Judged, Wanted, judge_texts
from nova_bench.judging import Judging, judge_price, told_apart
from nova_bench.prepare import Answerer, Settings, ready_judge
from nova_bench.progress import JudgeProgress, Progress
from nova_bench.runlog import write_json
from nova_bench.signature import canonical, digest
from nova_bench.stats import Estimate
from nova_bench.stats.agreement import (
    MAX_VALUES,
    codes_of,
    cohen_kappa,
    krippendorff_alpha,
    percent_agreement,
)
from nova_bench.task import Task
from nova_bench.types import Judge

SCHEMA_VERSION = 1


def calibrate(
    labels: Path,
    judges: Sequence[Answerer],
    *,
    task: str | Task | None = None,
    options: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
    repeats: int = 1,
    out: Path | None = None,
    allow_hosted: bool = False,
    settings: Settings | None = None,
    watch: Callable[[Progress], None] | None = None,
    runs: Sequence[Path] = (),
    budget: Budget | None = None,
    prices: Path | str | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Have judges judge labelled texts, and return how far they agree with the people.

    Args:
        labels: A file of labels.
        judges: As `nova_bench.evaluate` takes them.
        task: Whose rubrics are meant; None looks in all tasks that have a name.
        options: Of the judges' adapters.
        params: ``max_tokens`` and ``temperature`` over the rubrics' own.
        repeats: How often each judge is asked; the most frequent label and the lower median count.
        out: Where verdicts and result are kept; by default in ``runs/judge_calibration``, named by the labels.
        allow_hosted: Whether texts of a gated data set may be sent to a vendor.
        settings: Cache and configuration folders.
        watch: Called with the progress whenever an answer came.
        runs: Folders of runs that these judges judged: the agreement is kept there too, and their reports show it beside the judge's columns.
        budget: Limits of the judges.
        prices: A price file.
        dry_run: Ask nothing and write nothing; return what would be asked of whom, and about what it costs.

    Raises:
        UsageError: No judge, or one may not be asked, or a run was not judged by it.
        LimitReachedError: A limit was reached; the same call with a higher one goes on.
        DataError: The file has a line that is no label.
    """
    if not judges:
        raise UsageError("a calibration needs a judge: give --judge ADAPTER[:MODEL]")
    settings = settings or Settings()
    owners = _owners(task)
    read = read_labels(labels, {name: judge for name, (judge, _) in owners.items()})
    named = sorted({label.rubric for label in read})
    rubrics = [owners[name][0] for name in named]
    for judge in rubrics:
        check_judge(judge)
    hashed = digest([[x.id, x.rubric, dict(x.texts), dict(x.verdict), x.rater, x.cluster] for x in read])
    folder = out or Path("runs") / "judge_calibration" / f"{labels.stem}-{hashed[:12]}"
    params = Judging([], params=params, repeats=repeats, settings=settings).params
    texts = {(label.rubric, label.id): label.texts for label in read}
    by_name = {judge.name: judge for judge in rubrics}

    def wanted() -> Iterator[Wanted]:
        for (rubric, id), shown in texts.items():
            yield Wanted(by_name[rubric], shown, id, id)

    about = {"digest": hashed, "n": len(read), "texts": len(texts)}
    document = {"schema_version": SCHEMA_VERSION, "labels": about, "folder": str(folder)}
    progress = Progress()
    models: list[Model] = []
    try:
        for given in judges:
            models.append(ready_judge(given, options if isinstance(given, str) else None, "calibration"))
        names = told_apart(models, params)
        ids = [digest(judge_identity(model, params))[:12] for model in models]
        for run in runs:
            check_judged(run, dict(zip(ids, names, strict=True)))
        priced = [judge_price(model, None if dry_run else budget, settings, prices) for model in models]
        notes = [
            note
            for name in named
            for model in models
            if (note := _hosted(owners[name][1], model, is_allowed=allow_hosted)) is not None
        ]
        planned = [
            planned_judge(folder, model, name, params=params, repeats=repeats, is_self=False, price=price)
            for name, model, price in zip(names, models, priced, strict=True)
        ]
        if dry_run:
            told = [
                text_requests(model, asked, wanted(), input_tokens)
                for model, asked in zip(models, planned, strict=True)
            ]
            return {**document, "dry_run": True, "judges": told, "notes": notes}
        if notes:
            raise UsageError(notes[0])
        records: list[dict[str, Any]] = []
        for model, asked in zip(models, planned, strict=True):
            start = judge_start(model, settings.command)
            progress.judges.append(JudgeProgress(asked.name, repeats=repeats))
            judged = judge_texts(
                model,
                asked,
                "calibration",
                wanted,
                join=functools.partial(join_judge, asked, rubrics, start),
                is_gated=any(owners[name][1].data.gated for name in named),
                budget=budget,
                progress=progress.judges[-1],
                show=None if watch is None else lambda: watch(progress),
            )
            records.append(_record(asked, read, [asked.tuned(judge) for judge in rubrics], judged))
    finally:
        for given, model in zip(judges, models, strict=False):
            if isinstance(given, str):
                model.close()
    document["judges"] = records
    write_json(folder / "calibration.json", document)
    for id, record in zip(ids, records, strict=True):
        for run in runs if not record["judge_failed"] else ():
            keep(run, id, about, record)
    return document


def _hosted(task: Task, model: Model, *, is_allowed: bool) -> str | None:
    """Return why a judge may not be asked about a task's texts; None where it may."""
    try:
        check_hosted(task.data, model, is_allowed=is_allowed)
    except UsageError as error:
        return str(error)
    return None


def _record(
    asked: Asked, labels: Sequence[Label], rubrics: Sequence[Judge], judged: Judged
) -> dict[str, Any]:
    return {
        "judge": asked.name,
        "options": dict(asked.options),
        "params": dict(asked.params),
        "repeats": asked.repeats,
        "rubrics": [rubric_id(judge) for judge in rubrics],
        "asked": judged.asked,
        "verdicts": len(judged.verdicts),
        "unjudged": len(judged.unjudged),
        "judge_failed": len(judged.failed),
        "reasons": judged.reasons,
        "agreement": [
            record for judge in rubrics for record in agreement_records(judge, labels, judged, asked.repeats)
        ],
    }


def _owners(task: str | Task | None) -> dict[str, tuple[Judge, Task]]:
    """Return the rubrics that can be meant, each with a task that has it; of several a gated one, which binds most.

    Raises:
        UsageError: One name is two rubrics: a label of it could be of either.
    """
    tasks = [task if isinstance(task, Task) else load_task(task)] if task is not None else []
    for found in find_all("tasks") if task is None else ():
        try:
            tasks.append(load_task(found.name))
        except NovaBenchError:  # somebody's entry point that does not load has no rubric for us
            continue
    owners: dict[str, tuple[Judge, Task]] = {}
    for one in tasks:
        for judge in one.judges:
            other = owners.get(judge.name)
            if other is not None and rubric_id(other[0]) != rubric_id(judge):
                raise UsageError(
                    f"rubric {judge.name} is one thing in {other[1].name} ({rubric_id(other[0])}) and another in {one.name} "
                    f"({rubric_id(judge)}): say with --task whose is meant"
                )
            if other is None or (one.data.gated and not other[1].data.gated):
                owners[judge.name] = (judge, one)
    return owners


def agreement_records(
    judge: Judge, labels: Sequence[Label], judged: Judged, repeats: int
) -> list[dict[str, Any]]:
    """Return the agreement of one judge with people on one rubric: one record a key that somebody labelled.

    Args:
        judge: The rubric.
        labels: All labels.
        judged: The judge's verdicts on the labelled texts.
        repeats: How often it was asked.
    """
    own = [label for label in labels if label.rubric == judge.name]
    ids = sorted({label.id for label in own})
    cluster = {label.id: label.cluster for label in own}
    raters = sorted({label.rater for label in own})
    by_rater = {(label.rater, label.id): label.verdict for label in own}
    verdicts = [
        [dict(flattened(judged.verdicts.get((judge.name, id, repeat), {}))) for repeat in range(repeats)]
        for id in ids
    ]
    made = []
    for key, schema in leaves_of(judge).items():
        people = [[_comparable(by_rater.get((rater, id), {}), key) for rater in raters] for id in ids]
        if all(value is None for row in people for value in row):
            continue
        given = [[_comparable(verdict, key) for verdict in row] for row in verdicts]
        made.append(_key_record(judge, key, schema, people, given, [cluster[id] for id in ids]))
    return made


def _comparable(verdict: Mapping[str, Any], key: str) -> Any:
    """Return a value that can be looked up: a list is the set of what is in it; None only where the key is not there."""
    if key not in verdict:
        return None
    value = verdict[key]
    if isinstance(value, list):
        return tuple(sorted({canonical(item) for item in value}))
    return ("null",) if value is None else value


def _key_record(
    judge: Judge,
    key: str,
    schema: Mapping[str, Any],
    people: Sequence[Sequence[Any]],
    given: Sequence[Sequence[Any]],
    clusters: Sequence[str],
) -> dict[str, Any]:
    is_number = "enum" not in schema and schema.get("type") in ("integer", "number")
    pick = _lower_median if is_number else _most_frequent
    truth, verdict = [pick(row) for row in people], [pick(row) for row in given]
    rows = [[*one, *two, a, b] for one, two, a, b in zip(people, given, truth, verdict, strict=True)]
    table = _numbers(rows, is_number)
    h, r = len(people[0]), len(given[0])
    where = np.array(clusters)
    level: str | None = "interval" if is_number else "nominal"
    both = table[:, -2:]
    if not is_number and len(np.unique(table[~np.isnan(table)])) > MAX_VALUES:
        level = None  # lists of free keywords: nearly each is its own value, which no coefficient of labels is made for
    categories, weights = _scale(schema), "quadratic" if is_number else None
    kappa = None
    if level is not None and (not is_number or categories is not None):
        kappa = _json(
            cohen_kappa(both[:, 0], both[:, 1], weights=weights, categories=categories, clusters=where)
        )
    return {
        "rubric": judge.name,
        "key": key,
        "n": int((~np.isnan(both)).all(axis=1).sum()),
        "without_verdict": int((~np.isnan(both[:, 0]) & np.isnan(both[:, 1])).sum()),
        "ties": sum(
            value is None and any(v is not None for v in row)
            for value, row in zip(truth, people, strict=True)
        ),
        "percent": _json(percent_agreement(both, clusters=where)),
        "kappa": kappa,
        "kappa_weights": weights,
        "alpha": _alpha(both, level, where),
        "alpha_level": level,
        "people": _among(table[:, :h], level, where),
        "test_retest": _among(table[:, h : h + r], level, where),
    }


def _alpha(ratings: np.ndarray, level: str | None, clusters: np.ndarray) -> dict[str, Any]:
    if level is None:
        note = f"over {MAX_VALUES} different values: only percent says something of free keywords"
        return {"value": None, "low": None, "high": None, "note": note}
    return _json(krippendorff_alpha(ratings, level=level, clusters=clusters))


def _among(ratings: np.ndarray, level: str | None, clusters: np.ndarray) -> dict[str, Any] | None:
    """Return the agreement of several raters among themselves; None where there is one."""
    if ratings.shape[1] < 2:
        return None
    return {
        "raters": ratings.shape[1],
        "percent": _json(percent_agreement(ratings, clusters=clusters)),
        "alpha": _alpha(ratings, level, clusters),
    }


def _scale(schema: Mapping[str, Any]) -> list[float] | None:
    """Return the whole numbers that a schema allows, where it names both limits."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if schema.get("type") != "integer" or low is None or high is None or high - low >= MAX_VALUES:
        return None
    return [float(value) for value in range(int(low), int(high) + 1)]


def _numbers(rows: Sequence[Sequence[Any]], is_number: bool) -> np.ndarray:
    if is_number:
        return np.array([[math.nan if value is None else float(value) for value in row] for row in rows])
    flat = codes_of([None if value is None else repr(value) for row in rows for value in row])
    return flat.reshape(len(rows), -1)


def _most_frequent(values: Sequence[Any]) -> Any:
    counts = collections.Counter(repr(value) for value in values if value is not None).most_common(2)
    if not counts or (len(counts) == 2 and counts[0][1] == counts[1][1]):
        return None
    return next(value for value in values if repr(value) == counts[0][0])


def _lower_median(values: Sequence[Any]) -> Any:
    known = [value for value in values if value is not None]
    return statistics.median_low(known) if known else None


def _json(found: Estimate) -> dict[str, Any]:
    return {"value": found.value, "low": found.low, "high": found.high, "note": found.note}
