"""A judge's agreement with people, kept beside its verdicts: ``judges/<12 hex>/calibration.json`` in a run's folder.

It counts for the judge of that folder only (same adapter, options and parameters), and for a rubric of the very wording that was
calibrated: another version or hash is left out of the report. It holds numbers, no text.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nova_bench.errors import LogError, UsageError
from nova_bench.judge import rubric_id
from nova_bench.judge_log import JUDGES, Asked
from nova_bench.runlog import MANIFEST, write_json
from nova_bench.types import Judge

CALIBRATION = "calibration.json"
SCHEMA_VERSION = 1


def check_judged(run: Path, judges: Mapping[str, str]) -> None:
    """Refuse a run that one of the judges was not asked about: its calibration would stand beside nothing.

    Args:
        run: The run's folder.
        judges: Id of a judge's folder to the judge's name.

    Raises:
        UsageError: It was not.
    """
    if not (run / MANIFEST).exists():
        raise UsageError(f"{run} holds no run: give the folder that `nova-bench run ... --out` wrote")
    for id, name in judges.items():
        if not (run / JUDGES / id / MANIFEST).exists():
            raise UsageError(
                f"{run} was not judged by {name} with these options, parameters and this adapter file; judge it first: "
                f"nova-bench score {run} --judge ... with the same -J and --judge-param"
            )


def keep(run: Path, id: str, labels: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Put one judge's calibration into a run; that by the same labels takes the place of an earlier one.

    Args:
        run: The run's folder.
        id: Of the judge's folder.
        labels: ``digest``, ``n`` and ``texts`` of the labels.
        record: The judge's, of `nova_bench.judge_calibration.calibrate`.
    """
    folder = run / JUDGES / id
    others = [one for one in _read(folder) if one["labels"]["digest"] != labels["digest"]]
    kept = {key: record[key] for key in ("rubrics", "repeats", "verdicts", "unjudged", "agreement")}
    write_json(
        folder / CALIBRATION,
        {"schema_version": SCHEMA_VERSION, "calibrations": [*others, {"labels": dict(labels), **kept}]},
    )


def calibrations(asked: Asked, judges: Sequence[Judge]) -> list[dict[str, Any]]:
    """Return a judge's agreement with people on the rubrics of a task: one record a labelled key of a verdict.

    Args:
        asked: The judge.
        judges: The task's rubrics, as they are now.

    Raises:
        LogError: The file is damaged.
    """
    ids = {judge.name: rubric_id(judge) for judge in judges}
    return [
        {
            **agreement,
            "rubric": ids[agreement["rubric"]],
            "labels": one["labels"]["digest"][:12],
            "repeats": one["repeats"],
        }
        for one in _read(asked.folder)
        for agreement in one["agreement"]
        if ids.get(agreement["rubric"]) in one["rubrics"]
    ]


def _read(folder: Path) -> list[dict[str, Any]]:
    path = folder / CALIBRATION
    with contextlib.suppress(FileNotFoundError):
        try:
            found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["calibrations"]
        except (ValueError, KeyError, TypeError) as error:
            raise LogError(
                f"{path} is damaged; delete it, and give `nova-bench judge calibrate ... --run` again"
            ) from error
        return found
    return []
