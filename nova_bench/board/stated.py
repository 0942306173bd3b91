"""A run made from what a bundle states: its rows, and a plan whose data set is known by nothing but its facts.

No data set is opened and no answer read. Cells need of a data set its kind, digest and revision, and whether it is made up; all else that
they are made of stands in the rows. Whether the facts are true is another question: `nova_bench.board.answers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from nova_bench import catalog
from nova_bench.adapter import remote_code
from nova_bench.board import layout
from nova_bench.board.bundle_reader import Bundle
from nova_bench.budget import Ledger
from nova_bench.data import Data
from nova_bench.errors import BundleError, NovaBenchError
from nova_bench.judge_log import Asked
from nova_bench.judge_names import kind_of, names_apart
from nova_bench.judged_rows import JUDGE_FAILED, UNJUDGED, state_column
from nova_bench.plan import Plan
from nova_bench.run import Run
from nova_bench.score import JudgeAccount, Scored
from nova_bench.source import Kind, Source
from nova_bench.table import Table
from nova_bench.task import Task
from nova_bench.types import Card, Frame, GenParams


@dataclass(frozen=True, slots=True)
class StatedData:
    """What a bundle says of its data set, in the place of the data set; whatever asks for a row or an image fails."""

    source: Source
    kind: Kind
    digest: str
    revision: str | None
    is_synthetic: bool


def shipped_task(about: Mapping[str, Any]) -> Task:
    """Return the task that a bundle names, from what is installed here; never a file that the bundle leads to.

    Args:
        about: ``bundle.json``.

    Raises:
        BundleError: There is no such task here, or its version or variant is another.
    """
    stated = about["task"]
    name = stated["name"]
    shipped = {found.name for found in catalog.find_all("tasks") if found.door == "content"}
    if name not in shipped:
        raise BundleError(
            f"task {name!r} does not come with nova-bench; only those that do are verified ({', '.join(sorted(shipped))})"
        )
    task = catalog.load_task(name)
    if task.version != stated["version"]:
        raise BundleError(
            f"it was run with version {stated['version']} of {name}, and here is version {task.version}; run it again, or verify it with the "
            "nova-bench that it was made with"
        )
    try:
        variant = task.variant(stated["variant"])
    except NovaBenchError as error:
        raise BundleError(f"its variant is none of {name}: {error}") from None
    expected = {"variant": variant, "spelling": task.spell(variant), "headline": task.headline}
    for key, value in expected.items():
        if stated[key] != value:
            raise BundleError(f"task/{key} is {stated[key]!r}, expected {value!r}")
    return task


def stated_run(bundle: Bundle, task: Task, folder: Path) -> Run:
    """Return a run whose rows are those of a bundle.

    Args:
        bundle: The bundle.
        task: Of `shipped_task`.
        folder: An empty folder; nothing is written there.

    Raises:
        BundleError: Parameters, frame or judges are none.
    """
    about = bundle.about
    data, model = about["data"], about["model"]
    stand_in = StatedData(task.data, data["kind"], data["digest"], data["revision"], data["synthetic"])
    plan = Plan(
        task,
        about["task"]["variant"],
        cast("Data", stand_in),
        card_of(model),
        params=params_of(model["params"]),
        repeats=model["repeats"],
    )
    run = Run(folder, plan, model["name"], remote_code=remote_code(model["options"]))
    # What is computed on first use elsewhere is known here.
    run.__dict__["scored"] = _scored(bundle, task, folder)
    return run


def card_of(model: Mapping[str, Any]) -> Card:
    """Return the card that a bundle's model was asked with: its box frame and the tags of its reasoning.

    Args:
        model: Of ``bundle.json``.

    Raises:
        BundleError: There is no such frame.
    """
    try:
        frame = Frame(model["frame"])
    except (NovaBenchError, ValueError) as error:
        raise BundleError(f"model/frame is none: {error}") from None
    return replace(Card(), frame=frame, think=tuple(model["think"]) if model["think"] else None)


def params_of(stated: Mapping[str, Any]) -> GenParams:
    """Return generation parameters.

    Args:
        stated: As a manifest has them.

    Raises:
        BundleError: One is none.
    """
    kinds: dict[str, type | tuple[type, ...]] = {
        "max_tokens": int,
        "temperature": (int, float),
        "seed": int,
        "stop": list,
        "json_schema": dict,
    }
    known = {field.name for field in fields(GenParams)}
    for key, value in stated.items():
        if key not in known or not isinstance(value, kinds[key]) or isinstance(value, bool):
            raise BundleError(f"model/params/{key} is {value!r:.60}; expected a generation parameter")
    stop = stated.get("stop", [])
    if not all(isinstance(word, str) for word in stop):
        raise BundleError("model/params/stop is no list of texts")
    return GenParams(**{**stated, "stop": tuple(stop)})


def _scored(bundle: Bundle, task: Task, folder: Path) -> Scored:
    about, rows = bundle.about, bundle.rows
    scoring = about["scoring"]
    return Scored(
        table=rows.table,
        worst=rows.worst,
        best=rows.best,
        missing=scoring["missing"],
        scorer_versions=scoring["scorers"],
        template_hash=scoring["template"],
        requests_hash=scoring["requests"],
        split=scoring["split"],
        warnings=scoring["warnings"],
        dropped=scoring["dropped"],
        models=about["model"]["answered_as"],
        reasons={},
        ledger=Ledger(),
        ignored=0,
        judges={one.asked.name: one for one in _judges(about, task, rows.table, folder)},
    )


def _judges(about: Mapping[str, Any], task: Task, table: Table, folder: Path) -> list[JudgeAccount]:
    identities = [judge["identity"] for judge in about["judges"]]
    for identity in identities:
        _check_identity(identity)
    names = names_apart([kind_of(identity) for identity in identities])
    accounts = []
    for judge, name in zip(about["judges"], names, strict=True):
        if judge["name"] != name:
            raise BundleError(
                f"judge {judge['name']!r} is called {name!r} by its options; the two have to be the same"
            )
        asked = Asked(
            folder / layout.JUDGES / judge["folder"],
            name,
            judge["identity"],
            judge["repeats"],
            is_self=judge["self"],
        )
        columns = [table.columns.get(state_column(one, name)) for one in task.judges]
        states = [column for column in columns if isinstance(column, np.ndarray)]
        least = np.min(states, axis=0) if states else np.zeros(0)
        accounts.append(
            JudgeAccount(
                asked,
                Ledger(),
                judge["models"],
                int((least == UNJUDGED).sum()),
                int((least == JUDGE_FAILED).sum()),
                judge["verdicts"],
                judge["unjudged_verdicts"],
                judge["dropped"],
            )
        )
    return accounts


def _check_identity(identity: Mapping[str, Any]) -> None:
    """Raise where a judge's identity is not of the form that `nova_bench.judge_names.judge_identity` makes."""
    kinds = {"name": str, "adapter": str, "source": str, "options": dict, "params": dict}
    wrong = [key for key, kind in kinds.items() if not isinstance(identity.get(key), kind)]
    numbers = identity["params"].values() if not wrong else ()
    if (
        wrong
        or set(identity) != {*kinds, "think"}
        or not all(type(value) in (int, float) for value in numbers)
    ):
        raise BundleError(
            f"a judge's identity has no {', '.join(wrong) or 'proper keys'}; expected that of a judge's manifest"
        )
