"""The fairness document of some subjects: every metric over the groups of every attribute, and every two subjects over them.

It knows neither runs nor files. What is computed is in `nova_bench.stats`; here it is arranged, corrected for how much was tested, signed
and put into words.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nova_bench.errors import UnknownNameError, UsageError
from nova_bench.fairness_json import comparison_json, plain_json
from nova_bench.fairness_pairs import correct, pair
from nova_bench.fairness_unjudged import count_unjudged
from nova_bench.fairness_words import sentence
from nova_bench.signature import seal
from nova_bench.stats import Comparison, compare_table

if TYPE_CHECKING:
    from nova_bench.table import Table
    from nova_bench.types import Metric

SCHEMA_VERSION = 1
METHOD_VERSION = 2
"""Raised when the same rows give other fairness numbers; part of every signature."""
DEVIATIONS = ("wstd", "wmad", "max")
WEIGHTS = ("size", "uniform")
JOINT = " & "
"""Stands between the values of an intersection: ``race*gender`` has the group ``white & female``."""


@dataclass(frozen=True, slots=True)
class FairnessSettings:
    """What a fairness number depends on beside the rows; all of it is in the number's signature.

    Raises:
        UsageError: A value that makes no sense.
    """

    lam: float = 1.0
    """Of FAP: how much the deviation from the weighted mean counts."""
    deviation: str = "wstd"
    """Of FAP: wstd, wmad or max."""
    weights: str = "size"
    """Of groups in the weighted mean and the deviation: size or uniform."""
    es_alpha: float = 1.0
    min_n: int = 20
    """Patients that a group needs to take part in composites and tests."""
    resamples: int = 1000
    permutations: int = 1999
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.lam < float("inf"):
            raise UsageError(f"lambda is {self.lam}; expected a number from 0")
        for what, given, known in (
            ("deviation", self.deviation, DEVIATIONS),
            ("weights", self.weights, WEIGHTS),
        ):
            if given not in known:
                raise UnknownNameError(what, given, known)
        for what, number, least in (
            ("min-n", self.min_n, 2),
            ("resamples", self.resamples, 2),
            ("permutations", self.permutations, 1),
            ("seed", self.seed, 0),
        ):
            if number < least:
                raise UsageError(f"{what} is {number}; expected {least} or more")

    def json(self) -> dict[str, Any]:
        """Return the settings as the document has them."""
        return {
            "lambda": self.lam,
            "deviation": self.deviation,
            "weights": self.weights,
            "es_alpha": self.es_alpha,
            "min_n": self.min_n,
            "resamples": self.resamples,
            "permutations": self.permutations,
            "seed": self.seed,
            "level": 0.95,
        }


class Lines(NamedTuple):
    """The rows that a metric reads.

    Attributes:
        table: All lines, failed ones included.
        worst: The same with each failed line as the worst answer; None where none failed, or the worst is not known.
        best: The same with each as the best answer.
        unjudged: The lines that a judge left without a verdict for good: in none of the three, and counted.
    """

    table: Table
    worst: Table | None
    best: Table | None
    unjudged: Table | None = None

    def with_intersection(self, attribute: str) -> Lines:
        """Return the rows with an attribute among their groups that is made of others."""
        worst, best, unjudged = (
            None if table is None else with_intersection(table, attribute)
            for table in (self.worst, self.best, self.unjudged)
        )
        return Lines(with_intersection(self.table, attribute), worst, best, unjudged)


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One model's rows on one task, or in one table: what the document compares."""

    label: str
    """Names it among those of the same task."""
    model: str
    task: str
    folder: str
    caution: str | None
    headline: str | None
    metrics: tuple[Metric, ...]
    attributes: tuple[str, ...]
    """Those that may be asked for; all of them are the default."""
    lines: Callable[[Metric], Lines]
    """The same object for metrics that read the same rows."""
    missing: Callable[[Metric], str | None]
    """The remedy where a metric's resource is not there."""
    signature: Callable[[Metric], Mapping[str, Any]]
    notes: Mapping[str, str]
    """Attribute to what must be said about its values."""
    is_synthetic: bool = False
    """Whether the data are made up; `caution` says so, and may say other things."""


def document(
    subjects: Sequence[Subject], *, by: Sequence[str], metrics: Sequence[str], settings: FairnessSettings
) -> dict[str, Any]:
    """Return the fairness document of some subjects, without counterfactuals; no NaN, floats to 12 significant digits.

    Args:
        subjects: What is compared.
        by: Attributes and intersections; all of a subject's attributes where empty.
        metrics: Names of metrics; all that take part in comparisons where empty.
        settings: What the numbers depend on.

    Raises:
        UnknownNameError: An attribute or metric that no subject has.
        UsageError: A metric that takes no part in comparisons, or nothing to compare by.
    """
    _check_metrics(subjects, metrics)
    _check_attributes(subjects, by)
    entries: list[dict[str, Any]] = []
    found: list[Comparison] = []
    for subject in subjects:
        for metric, attribute, comparison in _compared(subject, _attributes(subject, by), metrics, settings):
            entries.append(_entry(subject, metric, attribute, comparison, settings))
            found.append(comparison)
    correct(entries, "p_value", "p_holm")
    pair(entries, found, settings.permutations)
    for entry in entries:
        entry["sentence"] = sentence(entry, settings.permutations)
    runs = [
        {
            "label": subject.label,
            "model": subject.model,
            "task": subject.task,
            "folder": subject.folder,
            "synthetic": subject.is_synthetic,
            "caution": subject.caution,
        }
        for subject in subjects
    ]
    made: dict[str, Any] = plain_json(
        {
            "schema_version": SCHEMA_VERSION,
            "kind": "fairness",
            "settings": settings.json(),
            "runs": runs,
            "comparisons": entries,
            "counterfactual": [],
        }
    )
    return made


def listed(names: str | Sequence[str]) -> list[str]:
    """Return names as a list; one text is one name, not its letters.

    >>> listed("race"), listed(("race", "sex"))
    (['race'], ['race', 'sex'])
    """
    return [names] if isinstance(names, str) else list(names)


def parts_of(attribute: str) -> list[str]:
    """Return the attributes of an intersection, or the one attribute.

    >>> parts_of("race*gender"), parts_of("race")
    (['race', 'gender'], ['race'])
    """
    return [part.strip() for part in attribute.split("*")]


def with_intersection(table: Table, attribute: str) -> Table:
    """Return a table that has an attribute among its groups, made from its parts where it is an intersection.

    A patient of whom one part is unknown is unknown.
    """
    parts = parts_of(attribute)
    if len(parts) == 1:
        return table
    values = [table.groups.get(part, np.full(len(table), None, dtype=object)) for part in parts]
    joint = np.empty(len(table), dtype=object)
    joint[:] = [None if None in line else JOINT.join(line) for line in zip(*values, strict=True)]
    return dataclasses.replace(table, groups={**table.groups, attribute: joint})


def _check_metrics(subjects: Sequence[Subject], names: Sequence[str]) -> None:
    known = {metric.name: metric for subject in subjects for metric in subject.metrics}
    for name in names:
        if name not in known:
            raise UnknownNameError("metric", name, [n for n, metric in known.items() if metric.infer])
        if not known[name].infer:
            raise UsageError(
                f"metric {name!r} is a count or a description and takes no part in comparisons; choose another"
            )


def _check_attributes(subjects: Sequence[Subject], by: Sequence[str]) -> None:
    known = list(dict.fromkeys(attribute for subject in subjects for attribute in subject.attributes))
    if subjects and not known:
        tasks = ", ".join(dict.fromkeys(subject.task for subject in subjects))
        raise UsageError(f"{tasks}: no demographics are declared, so there is nothing to compare by")
    for i, attribute in enumerate(by):
        parts = parts_of(attribute)
        for part in parts:
            if subjects and part not in known:
                raise UnknownNameError("attribute", part, known)
        if len(set(parts)) < len(parts):
            raise UsageError(f"intersection {attribute!r} has one attribute twice")
        if attribute in by[:i]:
            raise UsageError(f"attribute {attribute!r} is given twice")


def _attributes(subject: Subject, by: Sequence[str]) -> list[str]:
    """Return what a subject is compared by: of what was asked for, what its task has."""
    asked = by or subject.attributes
    return [attribute for attribute in asked if set(parts_of(attribute)) <= set(subject.attributes)]


def _compared(
    subject: Subject, attributes: Sequence[str], names: Sequence[str], settings: FairnessSettings
) -> list[tuple[Metric, str, Comparison]]:
    """Return the comparisons of one subject, by metric in the task's order, then by attribute."""
    chosen = [metric for metric in subject.metrics if metric.infer and (not names or metric.name in names)]
    if not attributes or not chosen:
        return []
    computed: dict[tuple[str, str], Comparison] = {}
    batches: dict[int, tuple[Lines, list[Metric]]] = {}
    for metric in chosen:
        lines = subject.lines(metric)
        batches.setdefault(id(lines), (lines, []))[1].append(metric)
    for lines, batch in batches.values():
        for attribute in attributes:
            lines = lines.with_intersection(attribute)
        made = compare_table(
            lines.table,
            [_readable(metric, lines.table) for metric in batch],
            attributes,
            lam=settings.lam,
            deviation=settings.deviation,
            weights=settings.weights,
            es_alpha=settings.es_alpha,
            min_patients=settings.min_n,
            resamples=settings.resamples,
            permutations=settings.permutations,
            seed=settings.seed,
            worst=lines.worst,
            best=lines.best,
        )
        for comparison in made:
            computed[comparison.metric, comparison.attribute] = comparison
    return [
        (metric, attribute, computed[metric.name, attribute]) for metric in chosen for attribute in attributes
    ]


def _readable(metric: Metric, table: Table) -> Metric:
    """Return the metric, or one that is undefined everywhere where nothing can be computed: sizes are shown all the same."""
    if set(metric.needs) <= set(table.columns) and (table.status != "failed").any():
        return metric
    return dataclasses.replace(
        metric, needs=(), sums=None, compute=lambda table, weights: np.full(len(weights), np.nan)
    )


def _entry(
    subject: Subject, metric: Metric, attribute: str, comparison: Comparison, settings: FairnessSettings
) -> dict[str, Any]:
    remedy = subject.missing(metric)
    signature = subject.signature(metric)
    fair = {key: value for key, value in settings.json().items() if key != "level"}
    record = comparison_json(metric, comparison, remedy)
    lines = subject.lines(metric).with_intersection(attribute)
    left_out = None if lines.unjudged is None else count_unjudged(record, lines.table, lines.unjudged)
    said = [remedy or comparison.note, left_out, *(subject.notes.get(part) for part in parts_of(attribute))]
    return {
        "task": subject.task,
        "model": subject.model,
        "run": subject.label,
        "headline": metric.name == subject.headline,
        **record,
        "signature": seal(
            {
                **signature["protocol"],
                "attribute": attribute,
                "fairness": {"version": METHOD_VERSION, **fair},
            },
            signature["provenance"],
        ),
        "note": "; ".join(note for note in said if note) or None,
    }
