"""What the verdicts of an audit say: every pair of forms compared within the answers, tested, and summed up in a sentence."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nova_bench.demographic_terms import LEXICON_VERSION
from nova_bench.demographics import ATTRIBUTES
from nova_bench.errors import UnknownNameError
from nova_bench.judge import rubric_id
from nova_bench.judge_forms import BLINDED, STATED, AuditedAnswer, form_id
from nova_bench.judge_texts import Judged
from nova_bench.stats import holm, model_difference
from nova_bench.stats.exchange import exchange_p_value
from nova_bench.stats.intervals import MIN_CLUSTERS
from nova_bench.table import Ragged, Table, build_columns
from nova_bench.task import Task
from nova_bench.types import Item, Judge, Metric, Sample

PERMUTATIONS = 9_999
SIGNIFICANT = 0.05


def audit_record(
    task: Task,
    answers: Sequence[AuditedAnswer],
    judged: Judged,
    *,
    judges: Sequence[Judge],
    metrics: Collection[str] = (),
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> dict[str, Any]:
    """Return what one judge's verdicts say: every comparison with its test, and one sentence.

    Args:
        task: The run's.
        answers: Of `audited_answers`.
        judged: The verdicts on `wanted_verdicts`.
        judges: The rubrics as they were asked.
        metrics: Only these judged metrics; all with an interval where empty.
        permutations: Of the test.
        seed: Of the test and the resamples.

    Raises:
        UnknownNameError: No such judged metric.
    """
    chosen = _metrics(task, metrics)
    tables = _tables(task, answers, judged, chosen)
    contrasts = [
        _contrast(attribute, one, other, lines, metric, permutations, seed)
        for attribute, one, other, lines in _pairs(answers, tables)
        for metric in chosen
    ]
    # From blinded to stated is a change of the text, so it is no test of groups.
    corrected = holm([record["p"] if record["attribute"] in ATTRIBUTES else None for record in contrasts])
    for record, p in zip(contrasts, corrected, strict=True):
        record["p_holm"] = p
    found = [
        record for record in contrasts if record["p_holm"] is not None and record["p_holm"] < SIGNIFICANT
    ]
    tests = sum(p is not None for p in corrected)
    return {
        "rubrics": [rubric_id(judge) for judge in judges],
        "lexicon_version": LEXICON_VERSION,
        "answers": len(answers),
        "clusters": len({answer.item.sample.cluster for answer in answers}),
        "verdicts": len(judged.verdicts),
        "unjudged": len(judged.unjudged),
        "judge_failed": len(judged.failed),
        "tests": tests,
        "permutations": permutations,
        "moves": bool(found),
        "contrasts": contrasts,
        "sentence": _sentence(contrasts, found, tests, permutations),
    }


def _metrics(task: Task, names: Collection[str]) -> list[Metric]:
    able = {metric.name: metric for metric in task.judged_metrics if metric.infer}
    for name in names:
        if name not in able:
            raise UnknownNameError("judged metric", name, able, f"task {task.name}")
    return [metric for name, metric in able.items() if not names or name in names]


def _tables(
    task: Task, answers: Sequence[AuditedAnswer], judged: Judged, metrics: Sequence[Metric]
) -> dict[str, tuple[np.ndarray, Table]]:
    """Return the rows of each form: int array (n,) of the answers that are judged in it, and their table."""
    needed = {column for metric in metrics for column in metric.needs}
    scorers = [scorer for scorer in task.scorers if needed & set(scorer.columns)]
    made = {}
    for form in dict.fromkeys(form for answer in answers for by in answer.texts.values() for form in by):
        index, verdicts = [], []
        for i, answer in enumerate(answers):
            found = {name: judged.verdicts.get((name, form_id(answer.id, form), 0)) for name in answer.texts}
            if all(verdict is not None for verdict in found.values()):
                index.append(i)
                verdicts.append(found)
        if not index:
            continue
        items = [answers[i].item for i in index]
        rows: list[dict[str, Any]] = [{} for _ in items]
        for scorer in scorers:
            name = None if scorer.judge is None else scorer.judge.name
            seen = [
                item if name is None else dataclasses.replace(item, verdict=verdict.get(name))
                for item, verdict in zip(items, verdicts, strict=True)
            ]
            for row, values in zip(rows, scorer.rows(seen), strict=True):
                row.update(values)
        columns = build_columns(rows, [column for scorer in scorers for column in scorer.columns])
        made[form] = (np.array(index), _table([item.sample for item in items], items, columns))
    return made


def _table(
    samples: Sequence[Sample], items: Sequence[Item], columns: Mapping[str, np.ndarray | Ragged]
) -> Table:
    def words(values: Sequence[str]) -> np.ndarray:
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array

    return Table(
        id=words([sample.id for sample in samples]),
        cluster=words([sample.cluster for sample in samples]),
        repeat=np.array([item.repeat for item in items], dtype=np.int64),
        status=words([item.prediction.status for item in items]),
        split=words([sample.split for sample in samples]),
        groups={},
        columns=dict(columns),
    )


def _pairs(
    answers: Sequence[AuditedAnswer], tables: Mapping[str, tuple[np.ndarray, Table]]
) -> Iterator[tuple[str, str, str, tuple[Table, Table]]]:
    """Yield (attribute, one, other, their tables on the answers that have both)."""
    if BLINDED in tables and STATED in tables:
        yield "", BLINDED, STATED, _both(tables[BLINDED], tables[STATED])
    for attribute, values in ATTRIBUTES.items():
        own = [answer.item.sample.groups.get(attribute) for answer in answers]
        sides = {value: _side(attribute, value, own, tables) for value in values}
        for i, one in enumerate(values):
            for other in values[i + 1 :]:
                left, right = sides[one], sides[other]
                if left is not None and right is not None:
                    yield attribute, one, other, _both(left, right)


def _side(
    attribute: str, value: str, own: Sequence[str | None], tables: Mapping[str, tuple[np.ndarray, Table]]
) -> tuple[np.ndarray, Table] | None:
    """Return the rows of answers as though all patients had one value: as stated where it is true, swapped elsewhere."""
    parts = []
    if STATED in tables:
        index, table = tables[STATED]
        true = np.array([own[i] == value for i in index], dtype=bool)
        parts.append((index[true], table.take(true)))
    if f"{attribute}={value}" in tables:
        parts.append(tables[f"{attribute}={value}"])
    parts = [part for part in parts if len(part[0])]
    if not parts:
        return None
    return np.concatenate([index for index, _ in parts]), Table.stack([table for _, table in parts])


def _both(one: tuple[np.ndarray, Table], other: tuple[np.ndarray, Table]) -> tuple[Table, Table]:
    _, left, right = np.intersect1d(one[0], other[0], return_indices=True)
    return one[1].take(left), other[1].take(right)


def _contrast(
    attribute: str,
    one: str,
    other: str,
    lines: tuple[Table, Table],
    metric: Metric,
    permutations: int,
    seed: int,
) -> dict[str, Any]:
    before, after = lines
    key = ("audit", attribute, one, other)
    n_clusters = len(set(before.cluster))
    found = model_difference(before, after, metric, seed=seed, key=key)
    p = None
    if found.value is not None and n_clusters >= MIN_CLUSTERS:
        p = exchange_p_value(before, after, metric, permutations=permutations, seed=seed, key=key)
    moved = _moved(before, after, metric.needs)
    return {
        "attribute": attribute,
        "from": one,
        "to": other,
        "metric": metric.name,
        "n": len(before),
        "clusters": n_clusters,
        "moved": float(moved.mean()) if len(moved) else None,
        "value_from": _value(before, metric),
        "value_to": _value(after, metric),
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "note": found.note if moved.any() or found.value is None else "no verdict moved",
        "detectable": found.detectable,
        "p": p,
    }


def _value(table: Table, metric: Metric) -> float | None:
    value = float(metric.compute(table, table.ones())[0]) if len(table) else float("nan")
    return None if np.isnan(value) else value


def _moved(before: Table, after: Table, columns: Sequence[str]) -> np.ndarray:
    """Return boolean array (n,): whether a line's numbers differ in one of the columns."""
    moved = np.zeros(len(before), dtype=bool)
    for name in columns:
        one, other = before.columns[name], after.columns[name]
        if isinstance(one, Ragged) and isinstance(other, Ragged):
            moved |= np.array([not np.array_equal(one[i], other[i]) for i in range(len(one))], dtype=bool)
        elif isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
            moved |= (one != other) & ~(np.isnan(one) & np.isnan(other))
    return moved


def _sentence(
    contrasts: Sequence[Mapping[str, Any]],
    found: Sequence[Mapping[str, Any]],
    tests: int,
    permutations: int,
) -> str:
    if not tests:
        return "nothing could be tested: fewer than 5 clusters have two forms that were both judged"
    if found:
        worst = max(found, key=lambda record: abs(record["difference"]))
        return (
            f"verdicts move with the patient's group at equal text in {len(found)} of {tests} tests (Holm); most {worst['metric']}: "
            f"{worst['from']} {worst['value_from']:.3f}, {worst['to']} {worst['value_to']:.3f} ({worst['attribute']})"
        )
    if not any(record["moved"] for record in contrasts):
        return f"no verdict moved in any form of any answer ({tests} tests)"
    clusters = max(record["clusters"] for record in contrasts)
    if tests * max(1 / (1 + permutations), 2 ** (1 - clusters)) >= SIGNIFICANT:
        return (
            f"verdicts move, and nothing can be said of groups: {tests} tests need more than {clusters} clusters and {permutations:,} "
            "permutations to show any difference; audit more answers, one metric, or with more --permutations"
        )
    able = [record["detectable"] for record in contrasts if record["detectable"] is not None]
    could = f"; the least certain comparison could have shown a difference of {max(able):.3f}" if able else ""
    return f"no difference between groups is distinguishable from chance at equal text ({tests} tests, Holm){could}"
