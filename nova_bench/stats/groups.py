"""Patients by the value of an attribute, and a metric's value and error in each of these groups."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from nova_bench.errors import DataError, UnknownNameError
from nova_bench.stats.estimates import by_repeat, weight_chunks
from nova_bench.stats.intervals import MIN_CLUSTERS
from nova_bench.stats.permutation import Terms
from nova_bench.stats.resampling import bootstrap_standard_error, influence_standard_error
from nova_bench.table import Table
from nova_bench.types import STATUSES, Metric


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """Which group each line of a table belongs to.

    Attributes:
        attribute: What the groups are values of.
        names: Known groups, the one with the most samples first, equal ones by name.
        codes: int array (n,), the group of each line; -1 where the attribute is not known.
        samples: Samples a group, and last those of whom it is not known.
        failed: The same for the failed ones.
        counts: Lines in each state, alike.
    """

    attribute: str
    names: tuple[str, ...]
    codes: np.ndarray
    samples: tuple[int, ...]
    failed: tuple[int, ...]
    counts: tuple[Mapping[str, int], ...]

    @classmethod
    def of(cls, table: Table, attribute: str, patients: np.ndarray | None = None) -> Grouping:
        """Return the groups of an attribute.

        Args:
            table: All lines, failed ones too.
            attribute: One of the table's.
            patients: int array (n,), the codes of the table's clusters, worked out if None.

        Raises:
            UnknownNameError: The table has no such attribute.
            DataError: A patient has two values of it.
        """
        if attribute not in table.groups:
            raise UnknownNameError("attribute", attribute, table.groups, "the table")
        values = table.groups[attribute].tolist()
        samples: dict[str, set[str]] = {}
        for name, sample in zip(values, table.id.tolist(), strict=True):
            if name is not None:
                samples.setdefault(name, set()).add(sample)
        names = sorted(samples, key=lambda name: (-len(samples[name]), name))
        place: dict[str | None, int] = {name: i for i, name in enumerate(names)}
        codes = np.array([place.get(name, -1) for name in values], dtype=np.int64)
        _check_patients(
            table, attribute, names, codes, table.cluster_codes()[0] if patients is None else patients
        )
        is_failed = np.asarray(table.status == "failed")
        masks = [codes == g for g in [*range(len(names)), -1]]
        states = {status: np.asarray(table.status == status) for status in STATUSES}
        return cls(
            attribute,
            tuple(names),
            codes,
            (*(len(samples[name]) for name in names), len(set(table.id[masks[-1]].tolist()))),
            tuple(len(set(table.id[mask & is_failed].tolist())) for mask in masks),
            tuple({status: int((of & mask).sum()) for status, of in states.items()} for mask in masks),
        )


class Measured(NamedTuple):
    """A metric in one group, on the metric's own scale.

    Attributes:
        value: NaN where it is undefined.
        s: Its standard error; NaN where there is none.
        clusters: The patients that carry it.
        lines: Answered lines.
        size: What the group weighs in the pooled value: the sum of its denominators, or its lines.
        errors: Influence of each patient (patients,), in the order of their names, or the value in each resample (b,).
        terms: The patients' numerators and denominators, where the metric has them.
        undefined: Share of resamples in which the metric is undefined.
    """

    value: float
    s: float
    clusters: int
    lines: int
    size: float
    errors: np.ndarray
    terms: Terms | None = None
    undefined: float = 0.0


@dataclass(slots=True, eq=False)
class Lines:
    """Lines that count, with their patients numbered once for all attributes and metrics."""

    table: Table
    patients: np.ndarray = field(init=False)
    """Int array (n,), in the order of the patients' names."""
    n_patients: int = field(init=False)
    _terms: dict[str, Terms] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.patients, self.n_patients = (
            self.table.cluster_codes() if len(self.table) else (np.zeros(0, int), 0)
        )

    def measure(
        self,
        metrics: Sequence[Metric],
        codes: np.ndarray,
        keys: Sequence[tuple[str, ...]],
        *,
        resamples: int,
        seed: int,
    ) -> list[list[Measured]]:
        """Return every metric in every group, [metric][group].

        Args:
            metrics: The metrics; those without `Metric.sums` see the same resamples.
            codes: int array (n,), the group of each line, from 0.
            keys: One a group, of its resamples.
            resamples: How many.
            seed: Of the resamples.
        """
        members = [np.flatnonzero(codes == g) for g in range(len(keys))]
        exact = [metric for metric in metrics if metric.sums is not None]
        others = [metric for metric in metrics if metric.sums is None]
        found: dict[str, list[Measured]] = {metric.name: [] for metric in metrics}
        inside = [np.unique(self.patients[index]) for index in members]
        straddle = sum(len(each) for each in inside) > len(
            np.unique(np.concatenate([*inside, np.zeros(0, int)]))
        )
        for metric in exact:
            for index, patients in zip(members, inside, strict=True):
                if straddle:  # a patient's share may depend on which of its lines are there
                    terms = ratio_terms(
                        self.table.take(index), metric, self.patients[index], self.n_patients
                    ).take(patients)
                else:
                    terms = self._whole(metric).take(patients)
                found[metric.name].append(_exact(terms, len(index)))
        for index, key in zip(members, keys, strict=True):
            if others:
                group = (
                    self.table.take(index) if len(keys) > 1 or len(index) < len(self.table) else self.table
                )
                for metric, measured in zip(
                    others, _resampled(group, others, resamples, seed, key), strict=True
                ):
                    found[metric.name].append(measured)
        return [found[metric.name] for metric in metrics]

    def _whole(self, metric: Metric) -> Terms:
        """Return the terms of all patients; two threads may both work them out, to the same result."""
        if metric.name not in self._terms:
            self._terms[metric.name] = ratio_terms(self.table, metric, self.patients, self.n_patients)
        return self._terms[metric.name]


def ratio_terms(table: Table, metric: Metric, patients: np.ndarray, n_patients: int) -> Terms:
    """Return the numerators and denominators of each patient, by repeat; one pair where the denominators do not differ by repeat.

    Args:
        table: The lines.
        metric: With `Metric.sums`.
        patients: int array (n,), the patient of each line.
        n_patients: How many there are.
    """
    assert metric.sums is not None  # the callers asked
    if not len(table):  # where every line failed there may be no columns to read
        return Terms(np.zeros((n_patients, 2)), np.ones(1))
    nums, dens = [], []
    for part, codes in by_repeat(table, patients):
        num, den = metric.sums(part)
        nums.append(np.bincount(codes, num, n_patients))
        dens.append(np.bincount(codes, den, n_patients))
    if all(np.array_equal(den, dens[0]) for den in dens[1:]):
        nums, dens = [np.mean(nums, axis=0)], dens[:1]
    return Terms(np.stack([*nums, *dens], axis=1), np.full(len(nums), 1 / len(nums)))


def _exact(terms: Terms, lines: int) -> Measured:
    """Return what the patients' sums say, without resampling."""
    clusters = int(terms.carried.sum())
    value, influence = terms.evaluate() if clusters else (math.nan, np.zeros(len(terms.z)))
    if not math.isfinite(value):
        return Measured(math.nan, math.nan, clusters, lines, 0.0, influence, terms)
    t = len(terms.coefficients)
    return Measured(
        value,
        influence_standard_error(influence, clusters),
        clusters,
        lines,
        float(terms.z[:, t:].sum(axis=0) @ terms.coefficients),
        influence,
        terms,
    )


def _resampled(
    table: Table, metrics: Sequence[Metric], resamples: int, seed: int, key: tuple[str, ...]
) -> Iterator[Measured]:
    """Yield what resamples of a group's patients say, the same resamples for all metrics."""
    if not len(table):
        yield from (Measured(math.nan, math.nan, 0, 0, 0.0, np.zeros(0)) for _ in metrics)
        return
    patients, n_patients = table.cluster_codes()
    parts = list(by_repeat(table, patients))
    values = [
        float(np.mean([metric.compute(part, part.ones())[0] for part, _ in parts])) for metric in metrics
    ]
    draws: list[list[np.ndarray]] = [[] for _ in metrics]
    if n_patients >= MIN_CLUSTERS:
        for weights in weight_chunks(table, n_patients, resamples, seed, key, None):
            totals = np.zeros((len(metrics), len(weights)))
            for part, codes in parts:
                of_lines = weights[:, codes].astype(np.float64)
                for i, metric in enumerate(metrics):
                    totals[i] += metric.compute(part, of_lines) / len(parts)
            for i in range(len(metrics)):
                draws[i].append(totals[i])
    for value, drawn in zip(values, draws, strict=True):
        errors = np.concatenate([*drawn, np.zeros(0)])
        s, undefined = bootstrap_standard_error(errors, n_patients) if len(errors) else (math.nan, 0.0)
        known = math.isfinite(value)
        yield Measured(
            value if known else math.nan,
            s if known else math.nan,
            n_patients,
            len(table),
            float(len(table)),
            errors,
            None,
            undefined,
        )


def _check_patients(
    table: Table, attribute: str, names: Sequence[str], codes: np.ndarray, patients: np.ndarray
) -> None:
    """Raise where a patient has two known values."""
    known = np.flatnonzero(codes >= 0)
    if not len(known):
        return
    first = np.zeros(int(patients.max()) + 1, dtype=np.int64)
    first[patients[known]] = codes[known]
    wrong = known[first[patients[known]] != codes[known]]
    if len(wrong):
        line = wrong[0]
        both = sorted((names[codes[line]], names[first[patients[line]]]))
        raise DataError(
            f"patient {table.cluster[line]!r} has two values of {attribute!r}, {both[0]!r} and {both[1]!r}; groups are made of "
            "patients, so give every line of a patient the same value, or none"
        )
