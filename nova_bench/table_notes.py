"""What looks wrong in a table of scores and is said, not mended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
