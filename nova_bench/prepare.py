"""What `evaluate` and a dry run do alike before anything is asked: task, model, data set and plan, from what a user named."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nova_bench.adapter import Model, each, own_identity, read_card
from nova_bench.catalog import content_root, load_model, load_task
from nova_bench.data import Data, open_data
from nova_bench.errors import NovaBenchError, UsageError
from nova_bench.plan import Limit, Plan
from nova_bench.prices import Price, find_price, price_files
from nova_bench.runlog import MANIFEST, read_manifest
from nova_bench.task import Task, split_spelling
from nova_bench.types import Adapter, GenParams, Request, Response

Answerer = str | Model | Adapter | Callable[[Request], str | Response]
"""What can be asked: a name, an adapter, or a plain function."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where nova_bench keeps what is not a result; made by the command line from the user's environment."""

    cache: Path = field(default_factory=lambda: Path.home() / ".cache" / "nova_bench")
    config: Path = field(default_factory=lambda: Path.home() / ".config" / "nova_bench")
    accept_license: bool = False
    command: Sequence[str] = ()
    """The command line, for the manifest."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A run that is ready to be asked."""

    plan: Plan
    model: Model
    folder: Path
    task_file: str | None
    """Where the task was named by its path."""
    price: Price | None
    """What the model's tokens cost, where it is known."""

    @property
    def is_gated(self) -> bool:
        """Whether prompts hold what is given to approved accounts only."""
        return self.plan.data.is_gated


def prepare(
    task: str | Task,
    model: Answerer,
    *,
    options: Mapping[str, str] | None,
    variant: Mapping[str, str] | None,
    data: str,
    out: Path | str | None,
    limit: int | None,
    repeats: int,
    params: Mapping[str, Any] | None,
    settings: Settings,
    prices: Path | str | None,
    check: Callable[[Task, Model, Data | None, Price | None], None],
) -> Prepared:
    """Return the run that a user named.

    Args:
        task: As in `evaluate`, and so are the others.
        model: Is made ready.
        options: Of the adapter.
        variant: Choices beside those in the task's string.
        data: Where the data set is.
        out: The run's folder; it is not made.
        limit: Only so many clusters.
        repeats: How often each sample is asked.
        params: Generation parameters over the task's own.
        settings: Cache and configuration folders.
        prices: A price file.
        check: Is called with the data set before it is opened (None), so that nothing is downloaded for nothing, and after.

    Raises:
        NovaBenchError: Anything that keeps a run from starting.
    """
    name, choices = (task, {}) if isinstance(task, Task) else split_spelling(task)
    loaded = name if isinstance(name, Task) else load_task(name)
    chosen = loaded.variant({**choices, **(variant or {})})
    spelling = loaded.spell(chosen)
    ready = ready_model(model, options, spelling)
    if ready.card.only_judges:
        raise UsageError(
            f"{ready.name} only judges (its header says only_judges): give it as --judge {ready.name}, with another --model"
        )
    price = find_price(ready.name, price_files(settings.config, prices))
    folder = Path(out) if out else default_folder(ready.name, spelling)
    if data == "full":
        check(loaded, ready, None, price)
    opened = open_data(
        loaded.data,
        data,
        content=content_root() / "tasks" / "data",
        cache=settings.cache,
        config=settings.config,
        accept_license=settings.accept_license,
        pinned=_pinned(folder),
    )
    check(loaded, ready, opened, price)
    plan = Plan(
        loaded,
        chosen,
        opened,
        ready.card,
        params=_merged(loaded.params, params or {}),
        repeats=repeats,
        limit=None if limit is None else Limit(limit),
        digests=opened.digests,
    )
    task_file = str(Path(name).resolve()) if isinstance(name, str) and "/" in name else None
    return Prepared(plan, ready, folder, task_file, price)


def default_folder(model: str, spelling: str) -> Path:
    """Return ``runs/<adapter>[-<model>]/<task>[@variant]``, so that the same command continues the same run."""
    return Path("runs") / re.sub(r"[^A-Za-z0-9._+=@-]+", "-", model).strip("-.") / spelling


def ready_model(
    model: Answerer,
    options: Mapping[str, str] | None,
    spelling: str,
) -> Model:
    """Return the model of a name, an adapter or a function.

    Args:
        model: As `evaluate` takes it.
        options: The adapter's options, as texts.
        spelling: The task, for ``{task}`` in an option.
    """
    if isinstance(model, str):
        return load_model(model, options, task=spelling)
    if isinstance(model, Model):
        return model
    given = dict(options or {})
    if unknown := set(given) - {"boxes", "think"}:
        raise UsageError(
            f"options {', '.join(sorted(unknown))}: an adapter object takes only boxes and think; give the others when you make it"
        )
    made = model if isinstance(model, Adapter) else each(model)
    name = getattr(model, "__name__", type(model).__name__).strip("<>")
    try:
        source = inspect.getsource(model if inspect.isroutine(model) else type(model))
    except (OSError, TypeError):  # typed at a prompt
        source = ""
    hashed = hashlib.sha256(source.encode()).hexdigest()
    return Model(name, made, read_card({}, name, given), hashed, given, own_identity(made))


def ready_judge(judge: Answerer, options: Mapping[str, str] | None, spelling: str) -> Model:
    """Return a judge as `ready_model` does; what keeps it from being ready names it, and the flags of judges.

    Args:
        judge: As `evaluate` takes it.
        options: The adapter's options, as texts.
        spelling: The task, for ``{task}`` in an option.
    """
    try:
        return ready_model(judge, options, spelling)
    except NovaBenchError as error:
        said = str(error).replace("--model ", "--judge ").replace(" -o ", " -J ")
        error.args = (f"judge {judge}: {said}",)
        raise


def _merged(params: GenParams, given: Mapping[str, Any]) -> GenParams:
    """Return a task's parameters with those of the command line over them."""
    kinds: dict[str, Callable[[Any], Any]] = {
        "temperature": float,
        "max_tokens": int,
        "seed": int,
        "stop": _stops,
    }
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in kinds:
            raise UsageError(f"generation parameter {key!r} does not exist; there is: {', '.join(kinds)}")
        try:
            values[key] = None if value in (None, "none") else kinds[key](value)
        except (TypeError, ValueError):
            raise UsageError(f"generation parameter {key}={value!r}: expected a number") from None
    return replace(params, **values)


def _stops(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _pinned(folder: Path) -> str | None:
    """Return the commit that the run in a folder was made on: continuing it must not move to a newer one."""
    if not (folder / MANIFEST).exists():
        return None
    revision = read_manifest(folder)["identity"]["data"]["revision"]
    return str(revision) if revision else None
