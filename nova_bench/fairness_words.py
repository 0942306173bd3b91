"""What a comparison of groups says, in plain words: one sentence under each table.

A sentence is made from an entry of the fairness document, so that it can say nothing that the numbers beside it do not. Where a gap's
interval reaches 0 the set could not tell; it is never said that there is no gap, because no set of patients can show that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SIGNIFICANT = 0.05
"""From here down, corrected for the number of tests, chance is called an unlikely reason."""


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
    """Return a number with its interval.

    >>> span({"value": 0.41, "low": 0.29, "high": 0.55}), span({"value": 0.41, "low": None, "high": None})
    ('0.41 [0.29, 0.55]', '0.41')
    """
    value = figure(number["value"], digits)
    if sign and number["value"] is not None and float(value) > 0:
        value = f"+{value}"
    if number["low"] is None or number["high"] is None:
        return value
    return f"{value} [{figure(number['low'], digits)}, {figure(number['high'], digits)}]"


def p_words(p: float, tests: int) -> str:
    """Return a p-value, and for how many tests it is corrected.

    >>> p_words(0.0812, 1), p_words(0.0005, 12), p_words(1.0, 12)
    ('p=0.081', 'p<0.001 (Holm, 12 tests)', 'p=1 (Holm, 12 tests)')
    """
    shown = "p<0.001" if p < 0.001 else f"p={p:.2g}"
    return shown if tests <= 1 else f"{shown} (Holm, {tests} tests)"


def decimals(entry: Mapping[str, Any]) -> int:
    """Return how many decimals the numbers of an entry need: two on a scale of 0 to 1, more where all are small.

    >>> decimals({"overall": {"value": 0.6}}), decimals({"overall": {"value": 0.03}}), decimals({"overall": {"value": 61.0}})
    (2, 3, 1)
    """
    value = abs(entry["overall"]["value"] or 1.0)
    return 1 if value >= 10 else 2 if value >= 0.1 else 3 if value >= 0.01 else 4


def sentence(entry: Mapping[str, Any]) -> str:
    """Return what one (metric, attribute) says: worst group, chance, gap, failures. Who was left out is in the entry's note.

    Args:
        entry: An entry of ``comparisons`` in the fairness document, all but its sentence.
    """
    return "; ".join(part for part in (_worst(entry), _gap(entry), _failures(entry)) if part)


def _worst(entry: Mapping[str, Any]) -> str:
    attribute, digits = entry["attribute"], decimals(entry)
    if entry["gap"]["value"] is None or entry["worst_group"] is None:
        reason = entry["gap"]["note"] or entry["note"] or "undefined"
        return f"{attribute}: groups cannot be compared: {reason}"
    overall = figure(entry["overall"]["value"], digits)
    if entry["gap"]["value"] <= 1e-12:
        said = f"{attribute}: the groups that take part all have {figure(entry['worst']['value'], digits)}, {overall} overall"
    else:
        worst = entry["groups"][entry["worst_group"]]
        of = "" if worst["patients"] == worst["n"] else f" of {worst['patients']} patients"
        said = f"worst group: {attribute}={entry['worst_group']}, n={worst['n']}{of}, {span(worst, digits)} against {overall} overall"
    return f"{said}; {_chance(entry)}"


def _chance(entry: Mapping[str, Any]) -> str:
    p = entry["p_holm"]
    if p is None:
        return "whether this is chance was not tested"
    verdict = "this is unlikely to be chance" if p <= SIGNIFICANT else "this could be chance"
    return f"{verdict}, {p_words(p, entry['tests'])}"


def _gap(entry: Mapping[str, Any]) -> str:
    gap, digits = entry["gap"], decimals(entry)
    if gap["value"] is None:
        return ""
    said = f"gap {span(gap, digits)}"
    if gap["low"] is None:
        return said + (f" ({gap['note']})" if gap["note"] else "")
    if gap["low"] <= 0:
        said += ", not distinguishable from 0"
        more = []
        if gap["floor"] is not None:
            more.append(f"noise floor {figure(gap['floor'], digits)}")
        if entry["detectable"] is not None:
            more.append(f"this set could have shown {figure(entry['detectable'], digits)}")
        return said + (": " + ", ".join(more) if more else "")
    if gap["floor"] is not None:
        said += f", of which noise alone would make {figure(gap['floor'], digits)}"
    return said


def _failures(entry: Mapping[str, Any]) -> str:
    failed, n, imputed, digits = (
        entry["overall"]["n_failed"],
        entry["overall"]["n"],
        entry["imputed_gap"],
        decimals(entry),
    )
    if not failed:
        return ""
    said = f"{failed} of {n} samples failed"
    if imputed["low"] is None or imputed["high"] is None:
        return said + " and are not scored" + (f" ({imputed['note']})" if imputed["note"] else "")
    said += f": were they answered, the gap could be {figure(imputed['low'], digits)} to {figure(imputed['high'], digits)}"
    if imputed["survives"] is None:
        return said
    return said + (
        ", and survives whatever they are" if imputed["survives"] else ", and may not survive them"
    )


def paired_sentence(entry: Mapping[str, Any], other: str, pair: Mapping[str, Any]) -> str:
    """Return what the comparison of two runs on one (metric, attribute) says: overall, by group, and whose gap is larger.

    Args:
        entry: The entry of this run.
        other: The other run's label.
        pair: The paired numbers, this run minus the other, all but the sentence.
    """
    digits, attribute = decimals(entry), entry["attribute"]
    said = [f"{entry['run']} minus {other}: {span(pair['overall'], digits, sign=True)} overall"]
    p = pair["interaction_p_holm"]
    if p is None:
        said.append(f"whether the difference depends on {attribute} was not tested")
    elif p <= SIGNIFICANT:
        said.append(f"the difference depends on {attribute}, {p_words(p, pair['tests'])}")
    else:
        said.append(
            f"that the difference depends on {attribute} cannot be told from chance, {p_words(p, pair['tests'])}"
        )
    gap = pair["gap"]
    if gap["value"] is None:
        said.append(f"gaps cannot be compared: {gap['note'] or 'undefined'}")
        return "; ".join(said)
    shown = f"gap {span(gap, digits, sign=True)}"
    if gap["low"] is None or gap["high"] is None:
        said.append(shown)
    elif gap["low"] > 0:
        said.append(f"{shown}: {entry['run']} has the larger gap")
    elif gap["high"] < 0:
        said.append(f"{shown}: {other} has the larger gap")
    else:
        said.append(f"{shown}: whose gap is larger cannot be told")
    mine, theirs = pair["worst_group"], pair["other_worst_group"]
    if mine is not None and theirs is not None:
        said.append(
            f"worst group {mine} in both" if mine == theirs else f"worst group {mine} here, {theirs} there"
        )
    return "; ".join(said)
