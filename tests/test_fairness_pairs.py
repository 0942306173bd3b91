"""Pairs of runs of which one lacks a metric's resource."""

from __future__ import annotations

import numpy as np
import pytest

from nova_bench.fairness_document import FairnessSettings, Lines, Subject, document
from nova_bench.metrics.classification import mean_of
from nova_bench.signature import seal
from nova_bench.table import Table

METEOR = mean_of("meteor", "meteor")


def subject(label: str, *, has_column: bool) -> Subject:
    ids = np.array([f"p{i:02d}" for i in range(80)], dtype=object)
    ok, test = np.full(80, "ok", dtype=object), np.full(80, "test", dtype=object)
    columns = {"meteor": np.random.default_rng(0).random(80)} if has_column else {}
    sex = np.array(["f", "m"] * 40, dtype=object)
    lines = Lines(Table(ids, ids, np.zeros(80, int), ok, test, {"sex": sex}, columns), None, None)
    return Subject(
        label=label,
        model=label,
        task="t",
        folder=label,
        caution=None,
        headline="meteor",
        metrics=(METEOR,),
        attributes=("sex",),
        lines=lambda metric: lines,
        missing=lambda metric: None if has_column else "fetch wordnet",
        signature=lambda metric: seal({"task": "t"}, {}),
        notes={},
    )


@pytest.mark.parametrize("lacking", ["a", "b"])
def test_a_run_without_a_metric_is_not_paired_and_it_is_said(lacking: str) -> None:
    subjects = [subject(label, has_column=label != lacking) for label in "ab"]
    made = document(subjects, by=(), metrics=(), settings=FairnessSettings(permutations=9))
    for entry in made["comparisons"]:
        assert entry["paired"] == {}
        assert f"{lacking} has no meteor" in entry["note"]
