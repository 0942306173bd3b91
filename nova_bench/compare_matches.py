"""Which numbers of two runs may be compared: those of one protocol, and by force others, with what differs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nova_bench.compare_pairing import Lines, Number, Side, paired_lines
from nova_bench.errors import UsageError
from nova_bench.judged_rows import JudgedMetric
from nova_bench.source_file import printable


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
