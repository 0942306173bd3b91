"""What a comparison of groups says, in plain words: one sentence under each table.

A sentence is made from an entry of the fairness document, so that it can say nothing that the numbers beside it do not. Where a gap's
interval reaches 0 the set could not tell; it is never said that there is no gap, because no set of patients can show that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

SIGNIFICANT = 0.05
"""From here down, corrected for the number of tests, chance is called an unlikely reason."""

_ROUNDING = 1e-9  # what is nearer to 0 is 0


def figure(value: float | None, digits: int = 2) -> str:
    """Return a number with so many decimals; a dash for None.

    >>> figure(0.4129), figure(None), figure(-0.0001)
    ('0.41', '-', '0.00')
    """
    if value is None:
        return "-"
    shown = f"{value:.{digits}f}"
    return shown[1:] if shown.startswith("-") and not float(shown) else shown


def span(number: Mapping[str, Any], digits: int = 2, *, sign: bool = False) -> str:
    """Return a number with its interval; without one that is a point, which would claim to know the number exactly.

    >>> span({"value": 0.41, "low": 0.29, "high": 0.55}), span({"value": 0.41, "low": None, "high": None})
    ('0.41 [0.29, 0.55]', '0.41')
    """
    value = figure(number["value"], digits)
    if sign and number["value"] is not None and float(value) > 0:
        value = f"+{value}"
    if number["low"] is None or number["high"] is None or number["low"] == number["high"]:
        return value
    return f"{value} [{figure(number['low'], digits)}, {figure(number['high'], digits)}]"


def p_figure(p: float, alpha: float = SIGNIFICANT) -> str:
    """Return a p-value with as many digits as show on which side of alpha it is, two at least.

    >>> p_figure(0.0812), p_figure(0.0496), p_figure(0.0503), p_figure(0.05), p_figure(0.0099996, 0.01), p_figure(0.0002), p_figure(1.0)
    ('0.081', '0.0496', '0.0503', '0.05', '0.0099996', '<0.001', '1')
    """
    least = min(0.001, alpha)
    if p < least:
        return f"<{least:g}"
    for digits in range(2, 9):
        shown = f"{p:.{digits}g}"
        if (float(shown) < alpha, float(shown) == alpha) == (p < alpha, p == alpha):
            return shown
    return repr(p)


def p_words(p: float, tests: int, alpha: float = SIGNIFICANT) -> str:
    """Return a p-value, and for how many tests it is corrected.

    >>> p_words(0.0812, 1), p_words(0.0005, 12), p_words(1.0, 12)
    ('p=0.081', 'p<0.001 (Holm, 12 tests)', 'p=1 (Holm, 12 tests)')
    """
    shown = p_figure(p, alpha)
    shown = f"p{shown}" if shown.startswith("<") else f"p={shown}"
    return shown if tests <= 1 else f"{shown} (Holm, {tests} tests)"


def decimals(entry: Mapping[str, Any]) -> int:
    """Return how many decimals the numbers of an entry need: two on a scale of 0 to 1, more where all are small.

    >>> decimals({"overall": {"value": 0.6}}), decimals({"overall": {"value": 0.03}}), decimals({"overall": {"value": 61.0}})
    (2, 3, 1)
    """
    value = abs(entry["overall"]["value"] or 1.0)
    return 1 if value >= 10 else 2 if value >= 0.1 else 3 if value >= 0.01 else 4


def sentence(entry: Mapping[str, Any], permutations: int) -> str:
    """Return what one (metric, attribute) says: worst group, chance, gap, failures. Who was left out is in the entry's note.

    Args:
        entry: An entry of ``comparisons`` in the fairness document, all but its sentence.
        permutations: How many there were; few of them, corrected for many tests, cannot show a small p-value.
    """
    return "; ".join(part for part in (_worst(entry, permutations), _gap(entry), _failures(entry)) if part)


def chance(p: float, corrected: float, tests: int, permutations: int) -> str:
    """Return in words whether a difference could be chance.

    Args:
        p: Of the one test.
        corrected: Corrected for the number of tests.
        tests: How many.
        permutations: What `p` comes from; the smallest that they can give is ``1 / (permutations + 1)``.

    >>> chance(0.01, 0.08, 8, 1999), chance(0.0005, 0.004, 8, 1999)
    ('this could be chance, p=0.08 (Holm, 8 tests)', 'this is unlikely to be chance, p=0.004 (Holm, 8 tests)')
    >>> chance(0.0005, 0.06, 120, 1999)
    'p=0.06 (Holm, 120 tests) is the smallest that 1999 permutations can show for so many tests: take more, --permutations 23999'
    >>> chance(0.00045, 0.054, 120, 1999)
    'this could be chance, p=0.054 (Holm, 120 tests)'
    """
    shown = p_words(corrected, tests)
    if corrected <= SIGNIFICANT:
        return f"this is unlikely to be chance, {shown}"
    if tests > 1 and math.isclose(
        p, 1 / (permutations + 1), rel_tol=1e-9
    ):  # a smaller one is of no permutation
        enough = math.ceil(10 * tests / SIGNIFICANT) - 1
        return f"{shown} is the smallest that {permutations} permutations can show for so many tests: take more, --permutations {enough}"
    return f"this could be chance, {shown}"


def _worst(entry: Mapping[str, Any], permutations: int) -> str:
    attribute, digits = entry["attribute"], decimals(entry)
    if entry["gap"]["value"] is None or entry["worst_group"] is None:
        reason = entry["gap"]["note"] or entry["note"] or "undefined"
        return f"{attribute}: groups cannot be compared: {reason}"
    overall = figure(entry["overall"]["value"], digits)
    if entry["gap"]["value"] <= _ROUNDING:
        said = f"{attribute}: the groups that take part all have {figure(entry['worst']['value'], digits)}, {overall} overall"
    else:
        worst = entry["groups"][entry["worst_group"]]
        of = "" if worst["patients"] == worst["n"] else f" of {worst['patients']} patients"
        said = f"worst group: {attribute}={entry['worst_group']}, n={worst['n']}{of}, {span(worst, digits)} against {overall} overall"
    if entry["p_holm"] is None:
        return f"{said}; whether this is chance was not tested"
    return f"{said}; {chance(entry['p_value'], entry['p_holm'], entry['tests'], permutations)}"


def _gap(entry: Mapping[str, Any]) -> str:
    gap, digits = entry["gap"], decimals(entry)
    if gap["value"] is None:
        return ""
    said = f"gap {span(gap, digits)}"
    if gap["low"] is None:
        return said + (f" ({gap['note']})" if gap["note"] else "")
    more = []
    if gap["low"] <= _ROUNDING:
        said += ", not distinguishable from 0"
    elif gap["corrected"] is not None:
        more.append(f"corrected {figure(gap['corrected'], digits)}")
    if gap["floor"] is not None:
        more.append(f"noise floor {figure(gap['floor'], digits)}")
    if gap["low"] <= _ROUNDING and entry["detectable"] is not None:
        more.append(f"this set could have shown {figure(entry['detectable'], digits)}")
    return said + (": " + ", ".join(more) if more else "")


def _failures(entry: Mapping[str, Any]) -> str:
    failed, n = entry["overall"]["n_failed"], entry["overall"]["n"]
    imputed, digits = entry["imputed_gap"], decimals(entry)
    if not failed:
        return ""
    said = f"{failed} of {n} samples failed and are not scored"
    if entry["gap"]["value"] is None or imputed["low"] is None or imputed["high"] is None:
        return said
    said += f": were they answered, the gap could be {figure(imputed['low'], digits)} to {figure(imputed['high'], digits)}"
    if imputed["survives"]:
        return f"{said}, and a gap remains whatever the answers are"
    if imputed["survives"] is False and (entry["gap"]["low"] or 0) > _ROUNDING:
        return f"{said}, and at its smallest is not distinguishable from 0"
    return said


def paired_sentence(entry: Mapping[str, Any], other: str, pair: Mapping[str, Any], permutations: int) -> str:
    """Return what the comparison of two runs on one (metric, attribute) says: overall, by group, and whose gap is larger.

    Args:
        entry: The entry of this run.
        other: The other run's label.
        pair: The paired numbers, this run minus the other, all but the sentence.
        permutations: How many there were.
    """
    digits, attribute = decimals(entry), entry["attribute"]
    who = f"{entry['run']} minus {other}"
    if pair["overall"]["value"] is None:
        return f"{who}: undefined" + (f" ({pair['note']})" if pair["note"] else "")
    said = [f"{who}: {span(pair['overall'], digits, sign=True)} overall"]
    gap = pair["gap"]
    if gap["value"] is None:
        return f"{said[0]}; gaps cannot be compared: {gap['note'] or pair['note'] or 'undefined'}"
    p = pair["interaction_p_holm"]
    if p is None:
        said.append(f"whether the difference depends on {attribute} was not tested")
    else:
        words = chance(pair["interaction_p"], p, pair["tests"], permutations)
        said.append(f"does the difference depend on {attribute}? {words}")
    shown = f"gap {span(gap, digits, sign=True)}"
    if gap["low"] is None or gap["high"] is None:
        said.append(shown)
    elif gap["low"] > _ROUNDING:
        said.append(f"{shown}: {entry['run']} has the larger gap")
    elif gap["high"] < -_ROUNDING:
        said.append(f"{shown}: {other} has the larger gap")
    else:
        said.append(f"{shown}: whose gap is larger cannot be told")
    mine, theirs = pair["worst_group"], pair["other_worst_group"]
    if mine is not None and theirs is not None:
        said.append(
            f"worst group {mine} in both" if mine == theirs else f"worst group {mine} here, {theirs} there"
        )
    if pair["note"]:
        said.append(pair["note"])
    return "; ".join(said)
