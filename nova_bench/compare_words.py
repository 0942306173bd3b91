"""The difference of two runs in plain words: who does how much more, between which limits, and when nothing can be told.

No sentence says that two models are equal or as good as each other: a test that shows no difference has shown nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nova_bench.fairness_words import SIGNIFICANT, p_words

Entry = Mapping[str, Any]

BETTER, WORSE, NOT_TOLD, IDENTICAL, UNDEFINED = (
    "better",
    "worse",
    "no difference told",
    "identical",
    "undefined",
)
"""What a comparison can come to; better and worse are said of the second run."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What a metric's difference is counted in.

    Attributes:
        does: What a run does more or less of, with ``{}`` for "4 to 9 more".
        scale: What a difference of 1 is in these units; negative where the words count the opposite of the metric.
    """

    does: str
    scale: float


_UNITS: Mapping[str, Unit] = {
    **dict.fromkeys(("fnr30", "fnr50"), Unit("finds {} lesions per 100", -100)),
    **dict.fromkeys(
        ("hit30", "hit50", "acc30", "acc50"),
        Unit("finds a lesion on {} of 100 images", 100),
    ),
    "top1": Unit("is right on {} of 100 images", 100),
    "top5": Unit("has the right diagnosis among its candidates on {} of 100 images", 100),
    "binary_accuracy": Unit("calls {} of 100 images rightly normal or abnormal", 100),
    "exact_match": Unit("gives {} of 100 short answers in the reference's own words", 100),
    "accuracy": Unit("is right on {} of 100 answers", 100),
}
"""By a metric's name, or by the word before its options. All others are differences in the metric's own units."""
_OWN_UNITS = frozenset({"acc50(detection)"})
"""No share of images, though the word before the options means one elsewhere."""
_BY_CASE = "unit=case"


def unit_of(metric: str, range: Sequence[float] | None, *, higher_is_better: bool = True) -> Unit | None:
    """Return what a metric's difference is counted in; None for its own units.

    Args:
        metric: As the task writes it, without a judge's name.
        range: Its least and greatest value; None for an unbounded one.
        higher_is_better: Its direction.

    >>> unit_of("fnr50", (0, 1), higher_is_better=False).does, unit_of("top1(normalised)", (0, 1)).scale
    ('finds {} lesions per 100', 100)
    >>> unit_of("ap50", (0, 1)), unit_of("acc50(detection)", (0, 1)), unit_of("top1", None)
    (None, None, None)
    """
    found = None if metric in _OWN_UNITS else _UNITS.get(metric) or _UNITS.get(metric.partition("(")[0])
    # A task of somebody else may have given a name that is in the list to something else.
    if found is None or range is None or tuple(range) != (0, 1) or higher_is_better != (found.scale > 0):
        return None
    return Unit(f"{found.does}, each case weighing the same,", found.scale) if _BY_CASE in metric else found


def sentence(entry: Entry, unit: Unit | None, alpha: float = SIGNIFICANT) -> str:
    """Return what one comparison says.

    Args:
        entry: An entry of ``comparisons`` in the document, all but its sentence.
        unit: Of `unit_of`.
        alpha: The level of the tests.

    >>> entry = {"metric": "top1", "slice": "all", "a": "A", "b": "B", "outcome": "better", "difference": 0.055, "low": 0.031, "high": 0.079,
    ...     "p": 0.002, "p_holm": 0.004, "tests": 2, "detectable": 0.03, "forced": None, "left_out": {}, "note": None}
    >>> sentence(entry, unit_of("top1", (0, 1)))
    'B is right on 3 to 8 more of 100 images than A: top1, p=0.004 (Holm, 2 tests)'
    >>> sentence({**entry, "outcome": "no difference told", "low": -0.02, "p_holm": 0.3, "tests": 1}, None)
    'no difference can be told: top1 of B is 0.02 lower to 0.08 higher than that of A, p=0.3; this set could have shown 0.03'
    """
    said = _OUTCOMES[entry["outcome"]]({**entry, "alpha": alpha}, unit)
    if entry["slice"] != "all":
        said = f"{entry['slice']}: {said}"
    if entry["forced"]:
        said = f"forced, {forced_words(entry['forced'])}: {said}"
    return "; ".join([said, *left_out_words(entry["left_out"])])


def forced_words(keys: Sequence[str]) -> str:
    """Return what of the protocols differs.

    >>> forced_words(["data"]), forced_words(["data", "limit", "prompt"])
    ('data differs', 'data, limit and prompt differ')
    """
    return f"{keys[0]} differs" if len(keys) == 1 else f"{', '.join(keys[:-1])} and {keys[-1]} differ"


def left_out_words(left_out: Mapping[str, int]) -> list[str]:
    """Return which answers took no part, and why.

    >>> left_out_words({"failed": 2, "unjudged": 0, "judge_failed": 0, "missing": 0})
    ['without 2 answers that failed in either run']
    """
    reasons = {
        "failed": "failed in either run",
        "unjudged": "are unjudged in either run",
        "judge_failed": "wait for a verdict in either run",
        "missing": "only one of the runs was asked for",
    }
    return [
        f"without {_answers(left_out[key])} that {why}" for key, why in reasons.items() if left_out.get(key)
    ]


def _answers(count: int) -> str:
    return "1 answer" if count == 1 else f"{count} answers"


def _told(entry: Entry, unit: Unit | None) -> str:
    shown = _p(entry, "p_holm")
    if unit is not None:
        return f"{_does(entry, unit)}: {entry['metric']}, {shown}"
    return f"{_does(entry, unit)}{_direction(entry)}, {shown}"


def _not_told(entry: Entry, unit: Unit | None) -> str:
    if entry["low"] * entry["high"] > 0:
        # The interval is that of this one test; among many, one of them is off 0 by chance.
        said = f"{_does(entry, unit)}{_name(entry, unit)} taken alone, {_p(entry, 'p')}"
        return f"no difference can be told among {entry['tests']} tests: {said}, but {_p(entry, 'p_holm')}"
    said = f"no difference can be told: {_does(entry, unit)}{_name(entry, unit)}, {_p(entry, 'p_holm')}"
    if entry["detectable"] is None:
        said += "; no difference of any size could have been shown"
    else:
        shown = entry["detectable"] * (1.0 if unit is None else abs(unit.scale))
        said += f"; this set could have shown {rounded_pair([shown], places=_places(unit))[0]}"
        said += ", tested alone" if entry["tests"] > 1 else ""  # it is that of one test
    return f"{said}; {entry['note']}" if entry["note"] else said


def _identical(entry: Entry, unit: Unit | None) -> str:
    said = (
        "every answer that both gave scored the same"
        if any(entry["left_out"].values())
        else "every answer scored the same"
    )
    return f"no difference between {entry['a']} and {entry['b']}: {said}, {entry['metric']}"


def _undefined(entry: Entry, unit: Unit | None) -> str:
    reason = entry["note"] or "undefined"
    if entry["difference"] is None:
        return f"{entry['metric']} cannot be compared: {reason}"
    if not entry["difference"]:
        return f"{entry['metric']} of {entry['a']} and {entry['b']} does not differ here, and what that shows cannot be said: {reason}"
    pointwise = {**entry, "low": entry["difference"], "high": entry["difference"]}
    return (
        f"{_does(pointwise, unit)}{_name(entry, unit)}, and whether this is chance cannot be said: {reason}"
    )


_OUTCOMES = {
    BETTER: _told,
    WORSE: _told,
    NOT_TOLD: _not_told,
    IDENTICAL: _identical,
    UNDEFINED: _undefined,
}


def _p(entry: Entry, which: str) -> str:
    return p_words(entry[which], entry["tests"] if which == "p_holm" else 1, entry["alpha"])


def _name(entry: Entry, unit: Unit | None) -> str:
    return "" if unit is None else f" ({entry['metric']})"


def _direction(entry: Entry) -> str:
    """Return what has to be said where less is better, as a reader takes more for better."""
    return "" if entry.get("higher_is_better", True) else f", {entry['outcome']}, as lower is better"


def _places(unit: Unit | None) -> int:
    return 2 if unit is None else 0


def _does(entry: Entry, unit: Unit | None) -> str:
    """Return "B does 4 to 9 more than A" for an entry's interval."""
    a, b = entry["a"], entry["b"]
    if unit is None:
        amount = between(entry["low"], entry["high"], "higher", "lower", places=_places(unit))
        return f"{entry['metric']} of {b} is {amount} than that of {a}"
    limits = sorted((unit.scale * entry["low"], unit.scale * entry["high"]))
    amount = between(limits[0], limits[1], "more", "fewer", places=_places(unit))
    return f"{b} {unit.does.format(amount)} than {a}"


def between(low: float, high: float, more: str, fewer: str, *, places: int) -> str:
    """Return an interval in words.

    Args:
        low: Its lower limit.
        high: Its upper limit.
        more: The word for what is above 0.
        fewer: The word for what is below 0.
        places: The least number of decimals.

    >>> between(3.6, 9.2, "more", "fewer", places=0), between(-9.2, -3.6, "more", "fewer", places=0)
    ('4 to 9 more', '4 to 9 fewer')
    >>> between(-2, 5.4, "more", "fewer", places=0), between(0.2, 5.4, "more", "fewer", places=0)
    ('2 fewer to 5 more', '0.2 to 5.4 more')
    >>> between(0.0069, 0.0149, "higher", "lower", places=2), between(0.01, 0.01, "higher", "lower", places=2)
    ('0.007 to 0.015 higher', '0.01 higher')
    """
    if low < 0 < high:
        first, second = rounded_pair([-low, high], places=places)
        return f"{first} {fewer} to {second} {more}"
    word = more if high > 0 or low == high == 0 else fewer
    amounts = sorted([abs(low), abs(high)])
    tried = [rounded_pair(amounts, places=decimals) for decimals in range(places, places + 3)]
    first, second = next((pair for pair in tried if pair[0] != pair[1]), tried[0])
    return f"{first} {word}" if first == second else f"{first} to {second} {word}"


def rounded_pair(amounts: Sequence[float], *, places: int) -> list[str]:
    """Return amounts with so many decimals that none which is not 0 looks like 0.

    Args:
        amounts: At least 0.
        places: The least number of decimals; two more are the most.

    >>> rounded_pair([0.2, 5.4], places=0), rounded_pair([0.0, 5.4], places=0), rounded_pair([0.0001], places=0)
    (['0.2', '5.4'], ['0', '5'], ['under 0.01'])
    """
    for decimals in range(places, places + 3):
        shown = [f"{amount:.{decimals}f}" for amount in amounts]
        if all(float(text) or not amount for text, amount in zip(shown, amounts, strict=True)):
            return shown
    least = f"under {10**-decimals:.{decimals}f}"
    return [text if float(text) or not amount else least for text, amount in zip(shown, amounts, strict=True)]
