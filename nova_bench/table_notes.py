"""What looks wrong in a table of scores and is said, not mended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nova_bench.table_file import Columns

_LIKE_UNKNOWN = frozenset({"unknown", "na", "n/a", "nan", "none", "null", "missing", "-", "?", "-1"})


def odd_values(attribute: str, words: Sequence[str | None]) -> str | None:
    """Return what looks wrong about an attribute's values; nothing is mended in silence."""
    values = sorted({word for word in words if word is not None})
    said = [
        f"{attribute}={value} looks like unknown and counts as a group; --unknown {value} makes it unknown"
        for value in values
        if value.casefold() in _LIKE_UNKNOWN
    ]
    folded: dict[str, list[str]] = {}
    for value in values:
        folded.setdefault(value.casefold(), []).append(value)
    said += [
        f"{attribute} has {' and '.join(alike)}, which differ in case only and are different groups"
        for alike in folded.values()
        if len(alike) > 1
    ]
    return "; ".join(said) or None


def without_score(
    status: Sequence[str] | None, values_of: Mapping[str, Sequence[float | None]]
) -> str | None:
    """Return which refused and unreadable answers have no score: left out, they make a model that refuses one group more look equal."""
    said = []
    for name, values in values_of.items():
        states = [
            state
            for state, value in zip(status or (), values, strict=False)
            if value is None and state not in ("ok", "failed")
        ]
        if states:
            words = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
            said.append(
                f"column {name!r} is empty for answers that count as wrong ({words}) and leaves them out: where it should score them, give "
                "them the score of a wrong answer"
            )
    return "; ".join(said) or None


def verdict_states(name: str, columns: Columns) -> list[float | None] | None:
    """Return, for a judged column that `Run.table` exported (``top1@JUDGE``), which lines are judged; None for any other column.

    1 is judged, 0 unjudged for good, -1 waits for a verdict; of several rubrics of one judge the least counts.

    Raises:
        DataError: A state is no number.
    """
    judge = name.partition("@")[2]
    found = [
        columns.numbers(column)
        for column in columns.cells
        if judge and column.startswith("verdict(") and column.partition(")@")[2] == judge
    ]
    if not found:
        return None
    return [
        min((state for state in line if state is not None), default=None) for line in zip(*found, strict=True)
    ]


def judged_status(
    status: Sequence[str] | None, values: Sequence[float | None], verdicts: Sequence[float | None]
) -> list[str]:
    """Return the states of the lines of a judged column: one that waits for a verdict failed, one without a verdict for good did not.

    >>> judged_status(None, [0.5, None, None, None], [1.0, 0.0, -1.0, None])
    ['ok', 'ok', 'failed', 'failed']
    >>> judged_status(["ok", "refused", "ok", "failed"], [0.5, None, None, None], [1.0, 0.0, -1.0, None])
    ['ok', 'refused', 'failed', 'failed']
    """
    made = []
    for i, (value, verdict) in enumerate(zip(values, verdicts, strict=True)):
        known = "ok" if status is None else status[i]
        is_open = value is None and (verdict is None or verdict < 0)
        made.append("failed" if is_open else known)
    return made


def left_unjudged(
    values_of: Mapping[str, Sequence[float | None]], verdicts_of: Mapping[str, Sequence[float | None]]
) -> str | None:
    """Return how many answers of each judged column are unjudged and left out; None where none is."""
    told = []
    for name, verdicts in verdicts_of.items():
        count = sum(
            value is None and verdict == 0 for value, verdict in zip(values_of[name], verdicts, strict=True)
        )
        if count:
            told.append(f"column {name!r} is empty for {count} unjudged answers, which are left out")
    return "; ".join(told) or None
