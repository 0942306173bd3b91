"""Verdicts written by hand, and how rows and metrics are made of them: what the tests of the rubrics share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

import nova_bench as nb
from nova_bench.rubrics.green import ERRORS
from nova_bench.rubrics.nova_description import CATEGORIES
from nova_bench.table import Table, build_columns

Metrics = Iterable[nb.Metric]


def sample_of(target: Any, id: str = "a", cluster: str = "c", **text: str) -> nb.Sample:
    return nb.Sample(id, (), text, target, cluster, {})


def item_of(target: Any, value: Any, verdict: Mapping[str, Any] | None, cluster: str = "c") -> nb.Item:
    status = "unparsed" if value is None else "ok"
    return nb.Item(sample_of(target, cluster=cluster), nb.Prediction(status, value), verdict=verdict)


def values_of(scorer: nb.Scorer, metrics: Metrics, items: list[nb.Item]) -> dict[str, float]:
    """Return each metric's value over the rows of some items."""
    table = table_of(items, list(scorer.rows(items)), scorer.columns)
    return {metric.name: float(metric.compute(table, table.ones())[0]) for metric in metrics}


def table_of(items: Sequence[nb.Item], rows: Sequence[nb.Row], columns: Sequence[str]) -> Table:
    names = np.array([f"s{i}" for i in range(len(items))], dtype=object)
    cases = np.array([item.sample.cluster for item in items], dtype=object)
    return Table(
        names, cases, np.zeros(len(items), int), names, names, {}, build_columns(list(rows), tuple(columns))
    )


def said(label: str, **lists: list[str]) -> dict[str, Any]:
    return {**{name: lists.get(name, []) for name in CATEGORIES}, "label": label}


FIRST = {
    "reference": said(
        "abnormal",
        anatomy=["left", "Thalamus"],
        imaging=["hyperintense"],
        negated=["no edema"],
        sequence=["T2-weighted", "axial"],
    ),
    "candidate": said(
        "abnormal",
        anatomy=["thalamus", "right"],
        imaging=["hyperintense", "hyperintense "],
        negated=["edema"],
        sequence=["t2w", "flair", "axial"],
    ),
}
"""Clinical: {left, thalamus, hyperintense, no edema} and {thalamus, right, hyperintense, no edema}: 3 of 4 and 4, F1 6/8.
Modality: {t2w, axial} and {t2w, flair, axial}: 2 of 2 and 3, F1 4/5."""

SECOND = {
    "reference": said("abnormal", disease=["abscess"], anatomy=["left", "cerebellum"]),
    "candidate": said("normal", anatomy=["cerebellum"], sequence=["dwi"]),
}
"""Clinical: 1 of 3 and 1, F1 2/4. Modality: the reference has none; the answer's one counts against it in the pooled form only."""


def green_verdict(matched: int, significant: Mapping[str, int], other: Mapping[str, int]) -> dict[str, Any]:
    none = dict.fromkeys(ERRORS, 0)
    return {
        "reason": "",
        "matched_findings": matched,
        "significant_errors": {**none, **significant},
        "insignificant_errors": {**none, **other},
    }
