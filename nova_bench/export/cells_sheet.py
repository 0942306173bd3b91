"""Cells of runs as a sheet: one line a number, with its interval, its failures and its signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nova_bench.export.sheet import Column, Sheet, Type
from nova_bench.run import Run
from nova_bench.types import STATUSES

_JUDGED = ("unjudged", "judge_failed")
_COLUMNS: Mapping[str, Type] = {
    "run": "whole",
    "task": "text",
    "model": "text",
    "metric": "text",
    "slice": "text",
    "value": "number",
    "low": "number",
    "high": "number",
    "n": "whole",
    "n_failed": "whole",
    "incomplete": "flag",
    "bound_low": "number",
    "bound_high": "number",
    "clusters": "whole",
    **dict.fromkeys((*STATUSES, *_JUDGED), "whole"),
    "data": "text",
    "data_digest": "text",
    "synthetic": "flag",
    "limit": "whole",
    "signature": "text",
    "signature_text": "text",
    "note": "text",
}


def cells_sheet(runs: Sequence[Run]) -> Sheet:
    """Return the cells of runs: the numbers of ``report.json``, floats at 12 significant digits.

    Args:
        runs: In the order in which the column ``run`` numbers them, from 1.
    """
    lines: list[dict[str, Any]] = []
    signatures: dict[str, Mapping[str, Any]] = {}
    for number, run in enumerate(runs, start=1):
        report = run.report()
        for cell in report["cells"]:
            signature = cell["signature"]
            signatures[signature["id"]] = signature
            lines.append(_line(number, run, report, cell))
    columns = {name: Column(kind, [line.get(name) for line in lines]) for name, kind in _COLUMNS.items()}
    return Sheet(columns, {"schema_version": 1, "what": "cells", "signatures": signatures})


def _line(number: int, run: Run, report: Mapping[str, Any], cell: Mapping[str, Any]) -> dict[str, Any]:
    low, high = cell["bounds"] or (None, None)
    limit = run.plan.limit
    return {
        **{name: cell[name] for name in ("task", "model", "metric", "slice", "value", "low", "high")},
        **{name: cell[name] for name in ("n", "n_failed", "incomplete", "clusters", "note")},
        **{name: cell["counts"].get(name) for name in (*STATUSES, *_JUDGED)},
        "run": number,
        "bound_low": low,
        "bound_high": high,
        "data": report["data"]["name"],
        "data_digest": report["data"]["digest"],
        "synthetic": run.plan.data.is_synthetic,
        "limit": None if limit is None else limit.n,
        "signature": cell["signature"]["id"],
        "signature_text": cell["signature"]["text"],
    }
