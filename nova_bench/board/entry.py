"""A leaderboard entry: one model on one task, all that a page shows of it, made of the bundle's documents."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from nova_bench.board.adapter_check import reproduction
from nova_bench.board.layout import ENTRY_VERSION
from nova_bench.catalog import Found, find, split_model
from nova_bench.errors import NovaBenchError
from nova_bench.run import Run
from nova_bench.signature import params_json
from nova_bench.types import Metric

_CELL = ("metric", "slice", "value", "low", "high", "n", "n_failed", "clusters", "counts", "bounds", "note")
_GROUP = ("value", "low", "high", "patients", "n", "included", "counts", "note")
_COMPOSITE = ("value", "low", "high", "corrected", "floor", "note")
_COMPOSITES = ("gap", "worst", "ratio", "fap", "es")
_COMPARED = (
    *("metric", "attribute", "higher_is_better", "fap_name", "worst_group", "best_group"),
    *("p_value", "p_holm", "tests", "detectable", "sentence", "note"),
)
_SHARED = (
    "task",
    "model",
    "data",
    "counts",
    "resampling",
    "judges",
    "check",
    "usage",
    "dates",
    "versions",
    "reproduce",
)


def entry_of(
    description: Mapping[str, Any],
    report: Mapping[str, Any],
    fairness: Mapping[str, Any] | None,
    pairing: Mapping[str, Any] | None,
    *,
    metrics: Sequence[Metric],
    bundle: Mapping[str, Any],
) -> dict[str, Any]:
    """Return an entry. It follows from the bundle alone: whoever verifies makes it again and compares.

    Args:
        description: ``bundle.json``.
        report: ``report.json``.
        fairness: ``fairness.json``; None where there is none.
        pairing: ``pairing.json``; None where there is none.
        metrics: Of the task, those of judges under their names.
        bundle: ``file``, ``sha256`` and ``bytes`` of the bundle.
    """
    signatures: dict[str, Any] = {}
    made_cells = [{**_kept(cell, _CELL), "signature": _sign(signatures, cell)} for cell in report["cells"]]
    return {
        "schema_version": ENTRY_VERSION,
        "kind": "entry",
        **_kept(description, _SHARED),
        "caution": report["caution"],
        "metrics": {
            metric.name: {
                "higher_is_better": metric.higher_is_better,
                "range": None if metric.range is None else list(metric.range),
                "infer": metric.infer,
                "about": metric.about,
            }
            for metric in metrics
        },
        "cells": made_cells,
        "fairness": None if fairness is None else _fairness(fairness, signatures),
        "pairing": None if pairing is None else dict(pairing),
        "signatures": dict(sorted(signatures.items())),
        "warnings": description["scoring"]["warnings"],
        "dropped": description["scoring"]["dropped"],
        "bundle": {
            **_kept(bundle, ("file", "sha256", "bytes")),
            "with_answers": description["with_answers"],
            "masked": description["masked"],
        },
    }


def _fairness(document: Mapping[str, Any], signatures: dict[str, Any]) -> dict[str, Any]:
    return {
        "settings": document["settings"],
        "comparisons": [
            {
                **_kept(entry, _COMPARED),
                "overall": _kept(entry["overall"], _GROUP),
                "groups": {name: _kept(group, _GROUP) for name, group in entry["groups"].items()},
                "unknown": None if entry["unknown"] is None else _kept(entry["unknown"], _GROUP),
                **{name: _kept(entry[name], _COMPOSITE) for name in _COMPOSITES},
                "signature": _sign(signatures, entry),
            }
            for entry in document["comparisons"]
        ],
    }


def _sign(signatures: dict[str, Any], cell: Mapping[str, Any]) -> str:
    signature = cell["signature"]
    signatures.setdefault(signature["id"], dict(signature))
    return str(signature["id"])


def _kept(document: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: document[key] for key in keys}


def command_of(run: Run, manifest: Mapping[str, Any], found: Found) -> str:
    """Return the command that makes a run again: its task, model, options, parameters, data and judges, and nothing of this machine.

    Options that named a file stand as FILE, a data set in a folder as PATH.

    Args:
        run: The run.
        manifest: Its manifest.
        found: Its adapter.
    """
    identity, plan = manifest["identity"], run.plan
    head, model = split_model(run.model)
    adapter = f"./adapters/{found.name}.py" if found.door == "path" else head
    words = ["nova-bench", "run", plan.spelling, "--model", f"{adapter}:{model}" if model else adapter]
    for word in reproduction(found, identity["model"]["options"]):
        words += ["-o", word]
    defaults = params_json(plan.task.params)
    for key, value in identity["params"].items():
        if value != defaults.get(key):
            words += [
                word
                for one in (value if isinstance(value, list) else [value])
                for word in ("-p", f"{key}={one}")
            ]
    words += [word for key in defaults if key not in identity["params"] for word in ("-p", f"{key}=none")]
    if plan.repeats > 1:
        words += ["--repeats", str(plan.repeats)]
    if plan.data.kind != "full":
        words += ["--data", "mini" if plan.data.is_synthetic else "PATH"]
    return shlex.join([*words, *_judge_words(run)])


def _judge_words(run: Run) -> list[str]:
    """Return the words that ask a run's judges again; options of several are told apart by number."""
    asked = [account.asked for account in run.scored.judges.values()]
    words: list[str] = []
    params: dict[str, Any] = {}
    for number, one in enumerate(asked, start=1):
        adapter = str(one.identity["adapter"])
        words += ["--judge", adapter]
        try:
            options = reproduction(find("adapters", split_model(adapter)[0]), one.options)
        except NovaBenchError:
            options = []
        for word in options:
            key, _, value = word.partition("=")
            words += ["-J", word if len(asked) == 1 else f"{key}@{number}={value}"]
        params |= one.params
    for key, value in sorted(params.items()):
        words += ["--judge-param", f"{key}={value}"]
    repeats = max((one.repeats for one in asked), default=1)
    return [*words, "--judge-repeats", str(repeats)] if repeats > 1 else words
