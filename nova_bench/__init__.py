"""nova_bench measures vision-language models on medical images: tasks, adapters, scores with intervals.

The public names are here, and each is imported on its first use:

>>> import nova_bench as nb
>>> nb.Box(0, 0, 10, 20).score
1.0
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Adapter": "types",
    "AdapterError": "errors",
    "Box": "boxes",
    "Budget": "budget",
    "Card": "types",
    "Cell": "types",
    "Context": "types",
    "DataError": "errors",
    "FairnessSettings": "fairness_document",
    "Frame": "boxes",
    "GenParams": "types",
    "Image": "images",
    "Item": "types",
    "Judge": "types",
    "Lazy": "types",
    "Metric": "types",
    "NovaBenchError": "errors",
    "Prediction": "types",
    "Prompt": "types",
    "Reference": "task",
    "Request": "types",
    "Response": "types",
    "Run": "run",
    "Sample": "types",
    "Scorer": "types",
    "Settings": "prepare",
    "Source": "source",
    "Table": "table",
    "Task": "task",
    "Usage": "types",
    "UsageError": "errors",
    "agreement": "late_judging",
    "audit": "judge_audit",
    "build_fmbench": "fmbench_build",
    "build_leaderboard": "board.site",
    "calibrate": "judge_calibration",
    "compare": "compare",
    "each": "adapter",
    "estimate_rejudge": "late_judging",
    "estimate_run": "dry_run",
    "evaluate": "run",
    "export_run": "export.formats",
    "fairness": "fairness_report",
    "fairness_table": "score_table",
    "find_runs": "run_folders",
    "from_table": "metrics.lifted",
    "load_family": "family",
    "load_model": "catalog",
    "load_task": "catalog",
    "open_run": "run",
    "per_sample": "scorers.lifted",
    "rejudge": "late_judging",
    "submit": "board.submit",
    "verify": "board.verify",
    "view": "viewer.view",
}

if TYPE_CHECKING:
    from nova_bench import backends
    from nova_bench.adapter import each
    from nova_bench.board.site import build_leaderboard
    from nova_bench.board.submit import submit
    from nova_bench.board.verify import verify
    from nova_bench.boxes import Box, Frame
    from nova_bench.budget import Budget
    from nova_bench.catalog import load_model, load_task
    from nova_bench.compare import compare
    from nova_bench.dry_run import estimate_run
    from nova_bench.errors import AdapterError, DataError, NovaBenchError, UsageError
    from nova_bench.export.formats import export_run
    from nova_bench.fairness_document import FairnessSettings
    from nova_bench.fairness_report import fairness
    from nova_bench.family import load_family
    from nova_bench.fmbench_build import build_fmbench
    from nova_bench.images import Image
    from nova_bench.judge_audit import audit
    from nova_bench.judge_calibration import calibrate
    from nova_bench.late_judging import agreement, estimate_rejudge, rejudge
    from nova_bench.metrics.lifted import from_table
    from nova_bench.prepare import Settings
    from nova_bench.run import Run, evaluate, open_run
    from nova_bench.run_folders import find_runs
    from nova_bench.score_table import fairness_table
    from nova_bench.scorers.lifted import per_sample
    from nova_bench.source import Source
    from nova_bench.table import Table
    from nova_bench.task import Reference, Task
    from nova_bench.types import (
        Adapter,
        Card,
        Cell,
        Context,
        GenParams,
        Item,
        Judge,
        Lazy,
        Metric,
        Prediction,
        Prompt,
        Request,
        Response,
        Sample,
        Scorer,
        Usage,
    )
    from nova_bench.viewer.view import view

__all__ = [
    "Adapter",
    "AdapterError",
    "Box",
    "Budget",
    "Card",
    "Cell",
    "Context",
    "DataError",
    "FairnessSettings",
    "Frame",
    "GenParams",
    "Image",
    "Item",
    "Judge",
    "Lazy",
    "Metric",
    "NovaBenchError",
    "Prediction",
    "Prompt",
    "Reference",
    "Request",
    "Response",
    "Run",
    "Sample",
    "Scorer",
    "Settings",
    "Source",
    "Table",
    "Task",
    "Usage",
    "UsageError",
    "agreement",
    "audit",
    "backends",
    "build_fmbench",
    "build_leaderboard",
    "calibrate",
    "compare",
    "each",
    "estimate_rejudge",
    "estimate_run",
    "evaluate",
    "export_run",
    "fairness",
    "fairness_table",
    "find_runs",
    "from_table",
    "load_family",
    "load_model",
    "load_task",
    "open_run",
    "per_sample",
    "rejudge",
    "submit",
    "verify",
    "view",
]


def __getattr__(name: str) -> Any:
    if name == "backends":
        return importlib.import_module("nova_bench.backends")
    if name not in _HOMES:
        raise AttributeError(f"module 'nova_bench' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"nova_bench.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
