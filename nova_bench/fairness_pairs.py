"""What a fairness document knows only as a whole: p-values corrected for all its tests, and runs compared with each other."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from nova_bench.errors import UsageError
from nova_bench.fairness_json import paired_json
from nova_bench.fairness_words import paired_sentence
from nova_bench.stats import Comparison, Paired, compare_groups, compare_models, holm

Entry = dict[str, Any]

_SPELLED = {"table": "their samples, patients, groups or repeats"}
"""What keys of a signature mean where the key alone would not tell what to mend."""


def correct(records: Sequence[Entry], raw: str, corrected: str) -> None:
    """Enter Holm's correction over all records, and in ``tests`` how many tests there were.

    Args:
        records: Changed in place.
        raw: The key of the uncorrected p-value, None where there was no test.
        corrected: The key of the corrected one.

    >>> records = [{"p": 0.01}, {"p": None}, {"p": 0.04}]
    >>> correct(records, "p", "p_holm")
    >>> [(record["p_holm"], record["tests"]) for record in records]
    [(0.02, 2), (None, 2), (0.04, 2)]
    """
    p_values = [record[raw] for record in records]
    tests = sum(p is not None for p in p_values)
    for record, p in zip(records, holm(p_values), strict=True):
        record[corrected], record["tests"] = p, tests


def pair(entries: Sequence[Entry], found: Sequence[Comparison], permutations: int) -> None:
    """Compare every two runs of one task, enter it in the entries of both, and say in their notes where two cannot be compared.

    Both sides show one comparison, this run minus the other, and its test is counted once.

    Args:
        entries: The document's comparisons; changed in place.
        found: What each was made from.
        permutations: How many there were.
    """
    alike: dict[tuple[str, str, str], list[int]] = {}
    for k, entry in enumerate(entries):
        alike.setdefault((_family(entry), entry["metric"], entry["attribute"]), []).append(k)
    chosen = [
        # Always the same one first, so that the order in which runs are given changes no draw.
        sorted(two, key=lambda k: str(entries[k]["run"]))
        for places in alike.values()
        for two in itertools.combinations(places, 2)
    ]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        jobs = [pool.submit(_paired, entries[i], entries[j], found[i], found[j]) for i, j in chosen]
        made = [job.result() for job in jobs]
    pairs: list[tuple[int, int, Entry, Entry]] = []
    for (i, j), paired in zip(chosen, made, strict=True):
        if isinstance(paired, Paired):
            pairs.append((i, j, paired_json(paired, 1.0), paired_json(paired, -1.0)))
        else:
            for here, there in ((i, j), (j, i)):
                _add_note(entries[here], f"not paired with {entries[there]['run']}: {paired}")
    correct([mine for _, _, mine, _ in pairs], "interaction_p", "interaction_p_holm")
    for i, j, mine, theirs in pairs:
        theirs["interaction_p_holm"], theirs["tests"] = mine["interaction_p_holm"], mine["tests"]
        for here, there, record in ((i, j, mine), (j, i, theirs)):
            label = entries[there]["run"]
            record["sentence"] = paired_sentence(entries[here], label, record, permutations)
            entries[here]["paired"][label] = record


def _paired(entry: Entry, other: Entry, mine: Comparison, theirs: Comparison) -> Paired | str:
    """Return one comparison less another, or why there is none."""
    different = _differences(entry["signature"], other["signature"])
    if different:
        return f"they differ in {different}"
    if not _share_answers(mine, theirs):
        return "no sample was answered by both"
    if lacking := _lacking((entry, mine), (other, theirs)):
        return f"{lacking} has no {entry['metric']}"
    try:
        said = None
        if entry["signature"]["protocol"].get("judge"):
            mine, theirs, said = _both_judged(mine, theirs)
        found = compare_models(theirs, mine)
    except UsageError as error:
        return str(error)
    if said is None:
        return found
    return dataclasses.replace(found, note="; ".join(each for each in (found.note, said) if each))


def _both_judged(a: Comparison, b: Comparison) -> tuple[Comparison, Comparison, str | None]:
    """Return two comparisons over the lines that neither run's judge left without a verdict, and the sentence that says so."""
    assert a.basis is not None  # `compare_table` gives one
    assert b.basis is not None
    tables = [comparison.basis.table for comparison in (a, b) if comparison.basis is not None]
    keys = [list(zip(table.id.tolist(), table.repeat.tolist(), strict=True)) for table in tables]
    common = set(keys[0]) & set(keys[1])
    if len(common) == len(keys[0]) == len(keys[1]):
        return a, b, None
    settings = a.basis.settings
    again = [
        compare_groups(
            table.take(np.array([key in common for key in known], dtype=bool)),
            a.basis.metric,
            a.attribute,
            lam=settings.lam,
            deviation=settings.deviation,
            weights=settings.weights,
            es_alpha=settings.es_alpha,
            min_patients=settings.min_patients,
            resamples=settings.resamples,
            permutations=settings.permutations,
            seed=settings.seed,
            alpha=settings.alpha,
        )
        for table, known in zip(tables, keys, strict=True)
    ]
    left = len(set(keys[0]) ^ set(keys[1]))
    return again[0], again[1], f"without {left} answers that are unjudged in one of the runs"


def _lacking(*sides: tuple[Entry, Comparison]) -> str | None:
    """Return the first run whose table lacks a column that the other's metric reads, as where a resource was missing for one of them."""
    bases = [(entry["run"], comparison.basis) for entry, comparison in sides]
    needs = {column for _, basis in bases if basis is not None for column in basis.metric.needs}
    return next((run for run, basis in bases if basis is not None and needs - set(basis.table.columns)), None)


def _share_answers(a: Comparison, b: Comparison) -> bool:
    """Return whether any line was answered in both."""
    if not a.overall.n_failed and not b.overall.n_failed:
        return True
    return bool(_answered(a) & _answered(b))


def _answered(comparison: Comparison) -> set[tuple[str, int]]:
    assert comparison.basis is not None  # `compare_table` gives one
    table = comparison.basis.table
    there = np.flatnonzero(table.status != "failed")
    return set(zip(table.id[there].tolist(), table.repeat[there].tolist(), strict=True))


def _family(entry: Entry) -> str:
    """Return the task's name without its variant: two variants of one task are not paired, and it is said."""
    return str(entry["task"]).partition("@")[0]


def _differences(one: Mapping[str, Any], two: Mapping[str, Any]) -> str:
    """Return what two signatures differ in that keeps them from being paired, in words; nothing where they can be."""
    first, second = (
        {**signature["protocol"], "repeats": signature["provenance"].get("repeats")}
        for signature in (one, two)
    )
    differ = (key for key in dict.fromkeys([*first, *second]) if first.get(key) != second.get(key))
    return ", ".join(_SPELLED.get(key, key) for key in differ)


def _add_note(entry: Entry, note: str) -> None:
    entry["note"] = f"{entry['note']}; {note}" if entry["note"] else note
