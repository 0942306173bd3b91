"""From answers and groups to a score for each group: what the ``evaluate`` modules ``fap`` and ``equity_scaled`` begin with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nova_bench.errors import UsageError


@dataclass(frozen=True, slots=True)
class GroupScores:
    """Scores of groups.

    Attributes:
        overall: The score on all answers pooled, those of unknown group among them.
        scores: Group to its score.
        counts: Group to how many answers it has.
    """

    overall: float
    scores: Mapping[str, float]
    counts: Mapping[str, int]


def group_scores(
    predictions: Sequence[float | str],
    references: Sequence[float | str],
    groups: Sequence[str | None],
    *,
    kind: str = "labels",
) -> GroupScores:
    """Return the score of each group.

    Args:
        predictions: One an answer.
        references: One an answer.
        groups: Each answer's group; None or an empty text where it is not known: such answers count for the overall score only.
        kind: ``labels``: the score is the share of predictions that are their reference. ``sums``: predictions are numerators and
            references denominators, and the score is the sum of the one over the sum of the other; a mean of scores has denominators of
            1. An answer with denominator 0 has no part in its group's score, and counts as one of the group.

    Raises:
        UsageError: No answers, lists of different lengths, no known group, a number that is not finite, or a group all of whose
            denominators are 0.

    >>> group_scores(["a", "b", "a"], ["a", "a", "a"], ["x", "x", "y"]).scores
    {'x': 0.5, 'y': 1.0}
    >>> group_scores([1.0, 3.0, 2.0], [2.0, 4.0, 2.0], ["x", "x", None], kind="sums")
    GroupScores(overall=0.75, scores={'x': 0.6666666666666666}, counts={'x': 2})
    """
    if not len(predictions) == len(references) == len(groups):
        raise UsageError(
            f"got {len(predictions)} predictions, {len(references)} references and {len(groups)} groups; expected one of each an answer"
        )
    if not len(predictions):
        raise UsageError("there are no answers: expected at least one")
    if kind == "sums":
        pairs = [(float(p), float(r)) for p, r in zip(predictions, references, strict=True)]
    elif kind == "labels":
        pairs = [(float(p == r), 1.0) for p, r in zip(predictions, references, strict=True)]
    else:
        raise UsageError(f"the form {kind!r} does not exist; expected 'labels' or 'sums'")
    for i, pair in enumerate(pairs):
        if not all(map(math.isfinite, pair)):
            raise UsageError(f"answer {i} (counted from 0) has {pair}, expected finite numbers; leave it out")
    members: dict[str, list[tuple[float, float]]] = {}
    for pair, group in zip(pairs, groups, strict=True):
        if group:
            members.setdefault(group, []).append(pair)
    if not members:
        raise UsageError(
            "no answer has a known group: expected a text an answer, None where the group is not known"
        )
    scores = {name: _score(pairs, f"group {name!r}") for name, pairs in sorted(members.items())}
    return GroupScores(_score(pairs, "the whole"), scores, {name: len(members[name]) for name in scores})


def _score(pairs: Sequence[tuple[float, float]], whose: str) -> float:
    below = math.fsum(pair[1] for pair in pairs)
    if below == 0:
        raise UsageError(f"{whose} has no score: its denominators add up to 0; leave it out")
    return math.fsum(pair[0] for pair in pairs) / below
