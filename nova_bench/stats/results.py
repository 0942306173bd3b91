"""What the comparison of groups, and of two models over groups, gives: plain records, no arithmetic.

Values are on the metric's own scale. Levels (a group's value, wmean, worst, FAP) stand where the metric's values stand; distances
(gap, std, deviation, detectable gap) are positive and in its units. Ratio and ES, which no change of scale leaves alone, are made
on the scale on which 0 is the worst and 1 the best possible value, as `compare_groups` says. Undefined is None, with the reason in
a note.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nova_bench.stats.basis import Basis


@dataclass(frozen=True, slots=True)
class Bounded:
    """One composite number with its interval."""

    value: float | None
    """Raw, by definition; None where undefined."""
    corrected: float | None = None
    """With the bias taken out that noise alone causes; None where no correction is known."""
    floor: float | None = None
    """The noise floor: what to expect of `value` if all groups were equal; None where it is not known."""
    low: float | None = None
    """Lower limit; None without an interval."""
    high: float | None = None
    note: str | None = None
    """Why value or interval is missing, or what to know about them."""


@dataclass(frozen=True, slots=True, eq=False)
class GroupResult:
    """A metric on the patients with one value of an attribute."""

    name: str | None
    """The value of the attribute; None for patients of whom it is not known; "all" for everybody."""
    value: float | None
    low: float | None
    high: float | None
    s: float | None
    """Standard error of `value`."""
    patients: int
    """Patients that carry the number: with an answered sample in which the metric says something."""
    n: int
    """Samples."""
    n_failed: int
    """Of these, how many failed; the value is over the others."""
    counts: Mapping[str, int]
    """Lines (samples times repeats) in each of the six states."""
    included: bool
    """Whether the group takes part in composites and tests."""
    note: str | None = None
    """Why it is greyed, undefined or without an interval."""


@dataclass(frozen=True, slots=True)
class Imputed:
    """What the gap can be if each failed sample was anything between the worst and the best answer."""

    low: float | None
    """The smallest gap that the failures leave possible; equals the gap where nothing failed."""
    high: float | None
    interval_low: float | None = None
    """Lower limit of an interval that covers all gaps between `low` and `high`."""
    interval_high: float | None = None
    survives: bool | None = None
    """Whether `interval_low` is above 0: there is a gap whatever the failed samples were."""
    note: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """One metric over the groups of one attribute."""

    metric: str
    attribute: str
    groups: tuple[GroupResult, ...]
    """Known groups, the largest (by samples) first and equal ones by name; unknown last, if there are any."""
    overall: GroupResult
    """All answered samples, unknown ones among them."""
    wmean: Bounded
    gap: Bounded
    worst: Bounded
    ratio: Bounded
    std: Bounded
    deviation: Bounded
    """D of the FAP member."""
    fap: Bounded
    fap_name: str
    """Such as ``fap(lambda=1,dev=wstd,w=size)``."""
    es: Bounded
    worst_group: str | None
    """Worst in the metric's direction; the first by name among equals."""
    best_group: str | None
    p_value: float | None
    """Of "no difference between the groups", not yet corrected for how many were tested."""
    test: str
    """Which test, in words."""
    detectable: float | None
    """Smallest gap between the largest and the smallest group that these sizes show at 80% power."""
    imputed_gap: Imputed
    note: str | None = None
    """Groups left out and why; the reason where composites are None."""
    basis: Basis | None = field(default=None, repr=False)
    """What `compare_models` needs; not for printing."""


@dataclass(frozen=True, slots=True, eq=False)
class Paired:
    """Two models on the same samples, second minus first."""

    metric: str
    attribute: str
    overall: Bounded
    interaction_p: float | None
    """Of "the difference between the models is the same in every group". It rejects as well where both have equal gaps that hit
    different groups, so print who is worst beside it."""
    gap: Bounded
    worst: Bounded
    deviation: Bounded
    fap: Bounded
    es: Bounded
    worst_group_a: str | None
    worst_group_b: str | None
    test: str = ""
    """Which test, in words."""
    note: str | None = None
