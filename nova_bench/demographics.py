"""Who a patient is, as fairness numbers need it: attributes, the words for their values, and the bins of age.

Unknown is None. It is reported, and is never a group of its own in a fairness number.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import Any

from nova_bench.errors import DataError

ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "race": ("asian", "black", "white"),
    "ethnicity": ("non-hispanic", "hispanic"),
    "language": ("english", "spanish", "other"),
    "gender": ("female", "male"),
}
"""Attribute to its values, in the order of Harvard-FairVLMed's codes 0, 1, 2 (arXiv 2410.01089 compares these four)."""

AGE_BINS = ("<50", "50-64", "65-79", ">=80")
"""Bins of the age in whole years. They are ours: no source says which the paper used, if any."""

_OLDEST = 130


def demographic_groups(row: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the groups ``race, ethnicity, language, gender, age`` of a row; None where a value is unknown.

    Args:
        row: Has the four attributes of `ATTRIBUTES` as their words, and ``age`` in years; None is unknown. A missing column is unknown too.

    Raises:
        DataError: A value is none of the attribute's words, or an age is no number of years.

    >>> demographic_groups({"race": "asian", "ethnicity": None, "language": "english", "gender": "female", "age": 71})
    {'race': 'asian', 'ethnicity': None, 'language': 'english', 'gender': 'female', 'age': '65-79'}
    """
    groups: dict[str, str | None] = {}
    for attribute, known in ATTRIBUTES.items():
        value = row.get(attribute)
        if value is not None and value not in known:
            raise DataError(
                f"{attribute} is {value!r}; expected {', '.join(known)}, or null where it is unknown"
            )
        groups[attribute] = value
    groups["age"] = age_bin(row.get("age"))
    return groups


def age_bin(age: object) -> str | None:
    """Return the bin of an age in years, None for an unknown one.

    Args:
        age: A number, or a text that is one, as in a CSV file; None and NaN are unknown.

    Raises:
        DataError: It is no number from 0 to 130.

    >>> [age_bin(years) for years in (49, 50, 64.9, "80", None)]
    ['<50', '50-64', '50-64', '>=80', None]
    """
    if age is None or (isinstance(age, float) and math.isnan(age)):
        return None
    years: object = age
    if isinstance(age, str):
        with contextlib.suppress(ValueError):
            years = float(age)
    if isinstance(years, bool) or not isinstance(years, (int, float)) or not 0 <= years <= _OLDEST:
        raise DataError(f"age is {age!r}; expected years from 0 to {_OLDEST}, or null where it is unknown")
    years = int(years)
    return AGE_BINS[(years >= 50) + (years >= 65) + (years >= 80)]
