"""Which numbers of two runs may be compared, and on which answers: the same samples and repeats, answered and judged in both."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nova_bench.errors import UsageError
from nova_bench.identity import versions
from nova_bench.judged_rows import JUDGE_FAILED, UNJUDGED, JudgedMetric, judged_column
from nova_bench.report import cell_signature
from nova_bench.run import Run
from nova_bench.score import Scored
from nova_bench.source_file import printable
from nova_bench.table import Ragged, Table
from nova_bench.types import Metric

LEFT_OUT = ("failed", "unjudged", "judge_failed", "missing")
"""Why an answer takes no part: it failed in either run, stayed without a verdict or waits for one in either, or only one run was asked."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One run of a comparison.

    Attributes:
        label: What it is called in the document.
        run: The run.
        numbers: Metric's name to what is needed to compare it.
    """

    label: str
    run: Run
    numbers: Mapping[str, Number]


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    """One metric of one run.

    Attributes:
        metric: The metric, under its judge's name where it has one.
        written: Its name as the task writes it.
        judged: Its judge.
        signature: Of the run's cells.
        lacking: Why the run has no such number; None where it has.
    """

    metric: Metric
    written: str
    judged: JudgedMetric | None
    signature: Mapping[str, Any]
    lacking: str | None


def side_of(run: Run, label: str, *, resamples: int, seed: int) -> Side:
    """Return a run with all its numbers that take part in comparisons.

    Args:
        run: The run.
        label: What it is called.
        resamples: Of the bootstrap, for the signatures.
        seed: Of the bootstrap.
    """
    known = versions()
    judged = {one.metric.name: one for one in run.judged_metrics}
    # A judged metric is made from the task's own by giving it another name, in the task's order for each judge.
    written = [metric.name for metric in run.plan.task.judged_metrics]
    names = dict(zip(judged, written * max(len(run.scored.judges), 1), strict=False))
    numbers = {}
    for metric in (*run.plan.task.plain_metrics, *(one.metric for one in judged.values())):
        if not metric.infer:
            continue
        signature = cell_signature(
            run.plan,
            run.scored,
            metric,
            resamples=resamples,
            seed=seed,
            versions=known,
            remote_code=run.remote_code,
            judged=judged.get(metric.name),
        )
        numbers[metric.name] = Number(
            metric,
            names.get(metric.name, metric.name),
            judged.get(metric.name),
            signature,
            _lacking(run.scored, metric, is_judged=metric.name in judged),
        )
    return Side(label, run, numbers)


def _lacking(scored: Scored, metric: Metric, *, is_judged: bool) -> str | None:
    """Return why a run has no values of a metric."""
    remedy = next((scored.missing[column] for column in metric.needs if column in scored.missing), None)
    if remedy is not None:
        return remedy
    if not set(metric.needs) <= set(scored.table.columns):
        return "no answer was judged" if is_judged else "no answer was scored"
    return None


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what of two signatures keeps their numbers from being compared: key to both values.

    Repeats are part of a number's provenance, but more of them make it less noisy: they have to be the same as well.

    Args:
        a: A cell's signature.
        b: Another's.

    >>> a = {"protocol": {"metric": "top1", "data": "0123"}, "provenance": {"repeats": 1}}
    >>> differing(a, {"protocol": {"metric": "top1", "data": "4567"}, "provenance": {"repeats": 3}})
    {'data': ('0123', '4567'), 'repeats': (1, 3)}
    """
    first, second = ({**one["protocol"], "repeats": one["provenance"].get("repeats")} for one in (a, b))
    keys = dict.fromkeys([*first, *second])
    return {key: (first.get(key), second.get(key)) for key in keys if first.get(key) != second.get(key)}


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """The answers on which one metric of two runs is compared.

    Attributes:
        a: The first run's, sorted by (id, repeat).
        b: The second run's, the same lines.
        kept: Boolean array (n,): those that take part.
        why: Object array (n,): the key of `LEFT_OUT` for the others, empty for those that take part.
        missing: Lines of each run that the other was not asked for.
    """

    a: Table
    b: Table
    kept: np.ndarray
    why: np.ndarray
    missing: tuple[Table, Table]

    def slice(self, attribute: str, value: str) -> Lines:
        """Return the lines whose sample has one value of an attribute."""
        mask = self.a.groups[attribute] == value
        a, b = (
            one.take(one.groups[attribute] == value)
            if attribute in one.groups
            else one.take(np.zeros(len(one), bool))
            for one in self.missing
        )
        return Lines(self.a.take(mask), self.b.take(mask), self.kept[mask], self.why[mask], (a, b))

    def tables(self) -> tuple[Table, Table]:
        """Return the lines of both that take part."""
        return (self.a, self.b) if self.kept.all() else (self.a.take(self.kept), self.b.take(self.kept))

    def left_out(self) -> dict[str, int]:
        """Return how many answers take no part, by reason."""
        counts = {key: int((self.why == key).sum()) for key in LEFT_OUT}
        return counts | {"missing": sum(map(len, self.missing))}


def paired_lines(one: Side, two: Side, a: Number, b: Number, *, forced: bool) -> Lines:
    """Return the answers of two runs that a metric is compared on.

    Args:
        one: The first run.
        two: The second.
        a: The first run's metric.
        b: The second's; a judged one may be of another judge, and its columns then stand under the first's names.
        forced: Whether samples and repeats that only one run was asked for are left out instead of being an error.

    Raises:
        UsageError: The runs are not about the same samples, or put them into different cases.
    """
    tables = one.run.scored.table, two.run.scored.table
    keys = [list(zip(table.id.tolist(), table.repeat.tolist(), strict=True)) for table in tables]
    common = set(keys[0]) & set(keys[1])
    shared = [np.array([key in common for key in known], dtype=bool) for known in keys]
    missing = tables[0].take(~shared[0]), tables[1].take(~shared[1])
    if (len(missing[0]) or len(missing[1])) and not forced:
        raise UsageError(
            f"{one.label} and {two.label} are not about the same samples: {len(missing[0])} answers are of samples that only the first has, "
            f"{len(missing[1])} of ones that only the second has; run both on the same data"
        )
    if not common:
        raise UsageError(f"{one.label} and {two.label} have no sample in common; run both on the same data")
    left, right = (table.take(mask) for table, mask in zip(tables, shared, strict=True))
    if not np.array_equal(left.cluster.astype(str), right.cluster.astype(str)):
        where = int(np.flatnonzero(left.cluster.astype(str) != right.cluster.astype(str))[0])
        raise UsageError(
            f"{one.label} and {two.label} put the same samples into different cases (sample {left.id[where]!r} into "
            f"{left.cluster[where]!r} and {right.cluster[where]!r}); they were made from different data. Run both on the same"
        )
    why = np.full(len(left), "", dtype=object)
    for key in reversed(LEFT_OUT[:3]):  # a failed answer has no verdict either, and is counted as failed
        for table, number in ((left, a), (right, b)):
            why[_is_left_out(table, number.judged, key)] = key
    if a.judged is not None and b.judged is not None and a.metric.name != b.metric.name:
        right = dataclasses.replace(right, columns=_renamed(right.columns, b.judged, a.judged))
    return Lines(left, right, why == "", why, missing)


def _renamed(
    columns: Mapping[str, np.ndarray | Ragged], theirs: JudgedMetric, mine: JudgedMetric
) -> dict[str, np.ndarray | Ragged]:
    """Return a run's columns with those of one judge also under another judge's name."""
    suffix = judged_column("", theirs.asked.name)
    named = {
        judged_column(name.removesuffix(suffix), mine.asked.name): column
        for name, column in columns.items()
        if name.endswith(suffix)
    }
    return {**columns, **named}


def _is_left_out(table: Table, judged: JudgedMetric | None, why: str) -> np.ndarray:
    """Return a boolean array (n,): the lines that take no part for one reason."""
    failed = np.asarray(table.status == "failed")
    if why == "failed":
        return failed
    if judged is None:
        return np.zeros(len(table), bool)
    states = judged.states(table)
    if why == "unjudged":
        return np.asarray(states == UNJUDGED)
    return np.asarray(~failed & ((states == JUDGE_FAILED) | np.isnan(states)))


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """One metric of two runs that is compared.

    Attributes:
        name: What it is called in the document.
        i: The first run's place.
        j: The second's.
        a: The first run's metric.
        b: The second's.
        forced: What differs all the same, with both values; empty where nothing does.
        lines: The answers.
    """

    name: str
    i: int
    j: int
    a: Number
    b: Number
    forced: Mapping[str, tuple[Any, Any]]
    lines: Lines


def matches_of(
    sides: Sequence[Side], headline: str, *, wanted: Sequence[str], force: bool
) -> tuple[list[Match], list[str]]:
    """Return what can be compared of every two runs, and what has to be said of the rest.

    Args:
        sides: The runs of one task.
        headline: Its headline metric, which comes first.
        wanted: Names of metrics; none for all.
        force: Whether metrics are compared whose protocols differ.

    Returns:
        The matches, metric by metric, and notes.

    Raises:
        UsageError: Nothing of two runs, or not all that was named, can be compared because protocols differ; the samples do.
    """
    found: list[Match] = []
    notes: list[str] = []
    refused: list[str] = []
    for (i, one), (j, two) in itertools.combinations(enumerate(sides), 2):
        lines: dict[object, Lines] = {}
        made, different = 0, {}
        for name, a, b in _both(one, two, wanted, force=force):
            if (lacking := a.lacking or b.lacking) is not None:
                who = one.label if a.lacking else two.label
                notes.append(f"{name} is not compared: {who} has none ({lacking})")
                continue
            differ = differing(a.signature, b.signature)
            if differ and not force:
                different[name] = differ
                continue
            which = (
                None if a.judged is None or b.judged is None else (_judge_of(a.judged), _judge_of(b.judged))
            )
            if which not in lines:
                lines[which] = paired_lines(one, two, a, b, forced=bool(differ))
            found.append(Match(name, i, j, a, b, differ, lines[which]))
            made += 1
        notes += _unmatched(one, two, wanted, force=force)
        if different and (wanted or not made):
            refused.append(_refusal(one, two, different))
        else:
            notes += [
                f"{name} is not compared: {_refusal(one, two, {name: differ})}"
                for name, differ in different.items()
            ]
    if refused:
        raise UsageError(
            "; ".join(refused) + ". Compare runs of one protocol, or give --force, which marks every number"
        )
    order = [headline, *dict.fromkeys(match.name for match in found)]
    return sorted(found, key=lambda match: order.index(match.name)), list(dict.fromkeys(notes))


def _both(
    one: Side, two: Side, wanted: Sequence[str], *, force: bool
) -> Iterator[tuple[str, Number, Number]]:
    """Yield the metrics that both runs have; by force also those that the one judge of each made under its own name."""
    for name, a in one.numbers.items():
        if name in two.numbers and _is_wanted(a, wanted):
            yield name, a, two.numbers[name]
    if not force:
        return
    mine, theirs = _judged_once(one), _judged_once(two)
    for written in mine:
        if (
            written in theirs
            and mine[written].metric.name not in two.numbers
            and _is_wanted(mine[written], wanted)
        ):
            yield written, mine[written], theirs[written]


def _is_wanted(number: Number, wanted: Sequence[str]) -> bool:
    return not wanted or number.metric.name in wanted or number.written in wanted


def _judged_once(side: Side) -> dict[str, Number]:
    """Return the judged metrics of a run with one judge, as the task writes them."""
    judged = [number for number in side.numbers.values() if number.judged is not None]
    one_judge = len({number.judged.asked.name for number in judged if number.judged is not None}) == 1
    return {number.written: number for number in judged} if one_judge else {}


def _judge_of(judged: JudgedMetric) -> tuple[str, ...]:
    return (judged.asked.name, *(judge.name for judge in judged.judges))


def _unmatched(one: Side, two: Side, wanted: Sequence[str], *, force: bool) -> list[str]:
    """Return a note on metrics that one run has and the other lacks: of other judges, as all else is the task's."""
    known = {number.metric.name for _, *pair in _both(one, two, (), force=force) for number in pair}
    alone = [
        (side.label, name)
        for side in (one, two)
        for name, number in side.numbers.items()
        if name not in known and _is_wanted(number, wanted)
    ]
    return [
        f"{name} is not compared: only {label} has it, as the judges differ (--force compares those of one judge each)"
        for label, name in alone
    ]


def _refusal(one: Side, two: Side, different: Mapping[str, Mapping[str, tuple[Any, Any]]]) -> str:
    """Return that two runs cannot be compared, with what differs in all of their metrics, or in any where nothing does in all."""
    every = [set(differ) for differ in different.values()]
    keys = set.intersection(*every) or set.union(*every)
    first = {key: values for differ in different.values() for key, values in differ.items() if key in keys}
    shown = ", ".join(part for key, values in first.items() for part in _shown(key, *values))
    return f"{one.label} and {two.label} differ in {shown}"


def _shown(key: str, a: Any, b: Any) -> list[str]:
    """Return what differs under one key of a protocol, with both values.

    >>> _shown("limit", None, {"n": 3}), _shown("variant", {"inputs": "image", "image": "given"}, {"inputs": "image", "image": "none"})
    (['limit (none against n=3)'], ['variant.image (given against none)'])
    """
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        inner = dict.fromkeys([*a, *b])
        return [
            part
            for each in inner
            if a.get(each) != b.get(each)
            for part in _shown(f"{key}.{each}", a.get(each), b.get(each))
        ]
    return [f"{key} ({_value(a)} against {_value(b)})"]


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{key}={_value(inner)}" for key, inner in value.items())
    return "none" if value is None else printable(str(value), 60)


def check_kinds(sides: Sequence[tuple[str, Run]]) -> None:
    """Refuse synthetic data beside real data, which no option allows.

    Args:
        sides: Label and run.

    Raises:
        UsageError: Some runs are of the embedded synthetic sample and some are not.
    """
    synthetic = [label for label, run in sides if run.plan.data.is_synthetic]
    real = [label for label, run in sides if not run.plan.data.is_synthetic]
    if synthetic and real:
        raise UsageError(
            f"{synthetic[0]} was run on synthetic data and {real[0]} on real data; they are never compared, with --force neither. "
            "Compare runs on the same data"
        )
