"""What has to hold before a judge is asked, and the stages of the judges of a run."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nova_bench.adapter import Model
from nova_bench.budget import Budget
from nova_bench.data import Data
from nova_bench.errors import UsageError
from nova_bench.hosted import check_hosted, sends_to_vendor
from nova_bench.identity import judge_start
from nova_bench.judge import check_judge, check_self_judge, open_texts
from nova_bench.judge_log import Asked, join_judge, planned_judge
from nova_bench.judge_names import judge_identity, judge_name, kind_of, names_apart
from nova_bench.judge_spend import open_earlier
from nova_bench.judge_stage import JudgeStage
from nova_bench.plan import Plan
from nova_bench.prepare import Answerer, Settings, ready_judge
from nova_bench.prices import Price, find_price, missing_price, price_files
from nova_bench.source import Source
from nova_bench.task import Task


class Judging:
    """The judges of one run, ready and checked.

    Args:
        judges: As `nova_bench.evaluate` takes them.
        options: Of the judges' adapters, as texts.
        params: ``max_tokens`` and ``temperature`` over the rubrics' own; a judge that reasons needs more tokens.
        repeats: How often each is asked about an answer.
        allow_self_judge: Whether the model under test may be one.
        allow_hosted: Whether texts of a gated data set may be sent to a vendor.
        budget: Limits.
        prices: A price file.
        settings: Cache and configuration folders.

    Raises:
        UsageError: Fewer than one repeat, or a parameter that does not exist.
    """

    def __init__(
        self,
        judges: Sequence[Answerer],
        *,
        options: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        repeats: int = 1,
        allow_self_judge: bool = False,
        allow_hosted: bool = False,
        budget: Budget | None = None,
        prices: Path | str | None = None,
        settings: Settings,
    ) -> None:
        if repeats < 1:
            raise UsageError(f"--judge-repeats {repeats}: expected 1 or more")
        self._given, self._options, self._repeats = judges, options, repeats
        self.params = _read_params(params or {})
        self._allow_self_judge, self._allow_hosted = allow_self_judge, allow_hosted
        self._budget, self._prices, self._settings = budget, prices, settings
        self.models: list[Model] = []
        self.names: list[str] = []
        """What each is called: two that differ only in their options by these."""
        self._is_self: dict[str, bool] = {}
        self._price: dict[str, Price | None] = {}
        self._unpriced: list[str] = []

    def check(self, task: Task, model: Model, data: Data | None, spelling: str) -> None:
        """Make the judges ready and see whether they may be asked; nothing is sent.

        Args:
            task: The run's task.
            model: The model under test.
            data: The data set; None before it is opened.
            spelling: The task as users write it.

        Raises:
            UsageError: One may not, or what is to be asked cannot be.
        """
        if not self._given:
            return
        names = [judge.name for judge in task.judges]
        if twice := {name for name in names if names.count(name) > 1}:
            raise UsageError(f"task {task.name}: two judges are called {', '.join(sorted(twice))}")
        for judge in task.judges:
            check_judge(judge)
            if task.data.gated and (keys := list(open_texts(judge))):
                raise UsageError(
                    f"judge {judge.name}: {', '.join(keys)} can hold free text about gated data; declare it private, or give it an enum"
                )
        if not task.judges:
            return
        if not self.models:
            self.models = [
                ready_judge(given, self._options if isinstance(given, str) else None, spelling)
                for given in self._given
            ]
        self.names = told_apart(self.models, self.params)
        for name, one in zip(self.names, self.models, strict=True):
            self._is_self[name] = check_self_judge(model, one, is_allowed=self._allow_self_judge)
            is_allowed = self._allow_hosted or (data is not None and data.is_synthetic)
            check_hosted(task.data, one, is_allowed=is_allowed)
            self._price[name] = judge_price(one, self._budget, self._settings, self._prices)

    def stages(self, plan: Plan, run: Path, *, is_gated: bool) -> list[JudgeStage]:
        """Return the stages; each enters its start into its manifest below the run's folder once it holds the lock.

        Args:
            plan: The run's plan.
            run: Its folder, which is there.
            is_gated: Whether the texts are given to approved accounts only.
        """
        made = []
        planned = self.planned(run)
        if self._budget is not None:
            self._unpriced = open_earlier(self._budget, run, {asked.folder for _, asked in planned})
        for one, asked in planned:
            start = judge_start(one, self._settings.command)
            join = functools.partial(join_judge, asked, plan.task.judges, start)
            made.append(
                JudgeStage(
                    plan,
                    one,
                    run,
                    asked,
                    is_gated=is_gated,
                    budget=self._budget,
                    price=asked.price,
                    join=join,
                )
            )
        return made

    def planned(self, run: Path) -> list[tuple[Model, Asked]]:
        """Return the judges and what their manifests below the run's folder would say of them; nothing is written.

        Args:
            run: The run's folder, which need not be there.
        """
        return [
            (
                one,
                planned_judge(
                    run,
                    one,
                    name,
                    params=self.params,
                    repeats=self._repeats,
                    is_self=self._is_self[name],
                    price=self._price[name],
                ),
            )
            for name, one in zip(self.names, self.models, strict=True)
        ]

    def notes(self, task: Task) -> list[str]:
        """Return what the user should know: judges that have nothing to judge, or that a limit does not count."""
        said = []
        if self._budget is not None and self._budget.max_cost is not None:
            free = [name for name, price in self._price.items() if price is None]
            said = [
                f"judge {name} has no price and runs here, so --max-cost does not count it" for name in free
            ] + [
                f"judge {name} was asked before and has no price, so --max-cost does not count what it spent"
                for name in self._unpriced
                if name not in free
            ]
        if self._given and not task.judges:
            said.append("it has no judged column, so no judge was asked")
        return said

    def notes_on_hosted(self, data: Source, *, is_allowed: bool) -> list[str]:
        """Return why judges may not be asked about gated data: for a dry run, which sends nothing."""
        said = []
        for one in self.models:
            try:
                check_hosted(data, one, is_allowed=is_allowed)
            except UsageError as error:
                said.append(str(error))
        return said

    def close(self) -> None:
        """Free what the judges hold that were made here."""
        for given, one in zip(self._given, self.models, strict=False):
            if isinstance(given, str):
                one.close()


def told_apart(models: Sequence[Model], params: Mapping[str, Any]) -> list[str]:
    """Return a name for each judge of a command.

    Args:
        models: The judges.
        params: Generation parameters over the rubrics' own.

    Raises:
        UsageError: Two of them are one and the same.
    """
    kinds = [kind_of(judge_identity(one, params)) for one in models]
    if same := [judge_name(one) for one, kind in zip(models, kinds, strict=True) if kinds.count(kind) > 1]:
        raise UsageError(
            f"judge {same[0]} stands twice with the same options: two columns of one name cannot be told apart. Use --judge-repeats to ask "
            "it again, or give one of them other options: -J key@1=value for the judge named first, -J key@2=value for the second"
        )
    return names_apart(kinds)


def judge_price(
    model: Model, budget: Budget | None, settings: Settings, prices: Path | str | None
) -> Price | None:
    """Return what a judge's tokens cost, None where that is not known.

    Args:
        model: The judge.
        budget: Limits.
        settings: With the configuration folder.
        prices: A price file.

    Raises:
        UsageError: There is a limit to the cost, and the judge belongs to a vendor and has no price.
    """
    files = price_files(settings.config, prices)
    found = find_price(model.name, files)
    if found is None and budget is not None and budget.max_cost is not None and sends_to_vendor(model):
        raise UsageError(f"--max-cost cannot be kept: {missing_price(model.name, files)}")
    return found


def _read_params(given: Mapping[str, Any]) -> dict[str, Any]:
    kinds: dict[str, type[int] | type[float]] = {"max_tokens": int, "temperature": float}
    read: dict[str, Any] = {}
    for key, value in given.items():
        if key not in kinds:
            raise UsageError(
                f"judge parameter {key!r} does not exist; there is: {', '.join(kinds)}. The seed follows from the try"
            )
        try:
            read[key] = kinds[key](value)
        except (TypeError, ValueError):
            raise UsageError(f"judge parameter {key}={value!r}: expected a number") from None
        if not math.isfinite(read[key]) or read[key] < 0 or (key == "max_tokens" and read[key] == 0):
            raise UsageError(f"judge parameter {key}={value!r}: expected a number above 0")
    return read


def recorded_model(model: Mapping[str, Any], adapter: Any) -> Model:
    """Return a run's model as its manifest knows it: enough to tell whether a judge is the same.

    Args:
        model: ``identity.model`` of the manifest.
        adapter: Stands in for the adapter; it is never asked.
    """
    from nova_bench.types import Card

    options = dict(model["options"])
    return Model(model["name"], adapter, Card(), model["source"], options, options)
