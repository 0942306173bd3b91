"""What may be said of a submission, and in which words: one place for the command line, the pages and the docs."""

from __future__ import annotations

from typing import Literal, NamedTuple

Status = Literal["verified", "consistent", "rejected"]


class Badge(NamedTuple):
    """A status as a page shows it.

    Attributes:
        label: One word or two.
        tooltip: What it means, and what it does not.
    """

    label: str
    tooltip: str


_BADGES: dict[Status, Badge] = {
    "verified": Badge(
        "verified",
        "Every number was computed again from the answers in the bundle, against the data set. Verified means that the numbers follow from the "
        "answers. It does not mean that the model gave these answers: only asking it again (verify --rerun) speaks to that.",
    ),
    "consistent": Badge(
        "self-reported",
        "The numbers were computed again from the rows in the bundle and agree with them. The rows are the submitter's own: they were not "
        "compared with the data set, so nothing says that they follow from any answers.",
    ),
    "rejected": Badge(
        "rejected",
        "The bundle cannot be read, contradicts itself, or its numbers do not follow from what is in it.",
    ),
}


def badge(status: Status) -> Badge:
    """Return how a status is shown.

    Args:
        status: Of a verification.

    >>> badge("consistent").label
    'self-reported'
    """
    return _BADGES[status]
