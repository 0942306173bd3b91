"""Judging a run that is there, and what its judges agree on: its answers are read from its log, and nothing is asked of its model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nova_bench.adapter import Model
from nova_bench.budget import Budget
from nova_bench.dry_run import input_tokens
from nova_bench.dry_run_judges import judge_requests
from nova_bench.errors import UsageError
from nova_bench.judge_agreement import agreement_document
from nova_bench.judging import Judging, recorded_model
from nova_bench.prepare import Answerer, Settings
from nova_bench.progress import Progress
from nova_bench.report import caution, data_json
from nova_bench.run import Run, open_run
from nova_bench.run_stages import judge_answers
from nova_bench.runlog import read_manifest


def rejudge(
    run: Run | Path | str,
    judges: Sequence[Answerer],
    *,
    judge_options: Mapping[str, str] | None = None,
    judge_params: Mapping[str, Any] | None = None,
    judge_repeats: int = 1,
    allow_self_judge: bool = False,
    allow_hosted: bool = False,
    budget: Budget | None = None,
    prices: Path | str | None = None,
    settings: Settings | None = None,
    watch: Callable[[Progress], None] | None = None,
) -> Run:
    """Have judges judge the answers of a run that is there; nothing is asked of its model.

    Args:
        run: The run, or its folder.
        judges: As `evaluate` takes them, and so are the others.
        judge_options: Options of the judges' adapters.
        judge_params: ``max_tokens`` and ``temperature`` of the judges.
        judge_repeats: How often each judge is asked about an answer.
        allow_self_judge: Whether the model under test may be its own judge.
        allow_hosted: Whether texts of a gated data set may be sent to a vendor.
        budget: Limits of the judges.
        prices: A price file.
        settings: Cache and configuration folders.
        watch: Called about ten times a second with the progress.

    Raises:
        UsageError: The task has nothing to judge, or a judge may not be asked.
    """
    settings = settings or Settings()
    opened = _with_judges(run, settings)
    plan, folder = opened.plan, opened.folder
    judging = Judging(
        judges,
        options=judge_options,
        params=judge_params,
        repeats=judge_repeats,
        allow_self_judge=allow_self_judge,
        allow_hosted=allow_hosted,
        budget=budget,
        prices=prices,
        settings=settings,
    )
    with contextlib.ExitStack() as stack:
        stack.callback(judging.close)
        judging.check(plan.task, _tested(opened), plan.data, plan.task.name)
        stages = judging.stages(plan, folder, is_gated=plan.data.is_gated)
        progress = judge_answers(plan, folder, stages, watch=watch, total=plan.request_total)
        progress.messages += judging.notes(plan.task)
    asked = [stage.asked.folder for stage in stages]
    return Run(folder, plan, opened.model, progress, opened.price, opened.remote_code, asked)


def estimate_rejudge(
    run: Run | Path | str,
    judges: Sequence[Answerer],
    *,
    judge_options: Mapping[str, str] | None = None,
    judge_params: Mapping[str, Any] | None = None,
    judge_repeats: int = 1,
    allow_self_judge: bool = False,
    allow_hosted: bool = False,
    prices: Path | str | None = None,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Return what `rejudge` with the same arguments would ask of whom, and about cost; nothing is sent or written.

    Args:
        run: As in `rejudge`, and so are the others.
        judges: They are made ready, and not asked.
        judge_options: Options of the judges' adapters.
        judge_params: ``max_tokens`` and ``temperature`` of the judges.
        judge_repeats: How often each judge would be asked about an answer.
        allow_self_judge: Whether the model under test may be its own judge.
        allow_hosted: Only for what is said: nothing is sent.
        prices: A price file.
        settings: Cache and configuration folders.

    Raises:
        UsageError: The task has nothing to judge, or a judge may not be asked.
    """
    settings = settings or Settings()
    opened = _with_judges(run, settings)
    plan = opened.plan
    judging = Judging(
        judges,
        options=judge_options,
        params=judge_params,
        repeats=judge_repeats,
        allow_self_judge=allow_self_judge,
        allow_hosted=True,  # as in every dry run it is a note
        prices=prices,
        settings=settings,
    )
    try:
        judging.check(plan.task, _tested(opened), plan.data, plan.task.name)
        found = judge_requests(plan, opened.folder, judging, input_tokens, is_model_asked=False)
        notes = judging.notes_on_hosted(plan.task.data, is_allowed=allow_hosted or plan.data.is_synthetic)
    finally:
        judging.close()
    return {
        "task": plan.spelling,
        "model": opened.model,
        "folder": str(opened.folder),
        "judges": found,
        "notes": notes,
    }


def agreement(
    run: Run | Path | str,
    *,
    judges: Sequence[str] = (),
    how: str = "mean",
    seed: int = 0,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Return how far a run's judges agree with themselves and with each other, and their panel's score; nobody is asked.

    The document says what it is of: task, model, data, and each judge as signatures name it.

    Args:
        run: The run, or its folder.
        judges: Names of the panel's judges, as columns have them; all that were asked where empty.
        how: ``mean`` or ``majority``: how a panel joins its judges.
        seed: Of draws and resamples.
        settings: Cache and configuration folders.

    Raises:
        UsageError: One judge was asked once: there is nothing to compare.
    """
    opened = run if isinstance(run, Run) else open_run(run, settings=settings or Settings())
    plan = opened.plan
    found = agreement_document(plan.task, opened.scored, judges=judges, how=how, seed=seed)
    about = {
        "task": plan.spelling,
        "model": opened.model,
        "data": data_json(plan),
        "caution": caution(plan, opened.remote_code),
        "judges": {
            name: [account.asked.signature(judge) for judge in plan.task.judges]
            for name, account in opened.scored.judges.items()
        },
    }
    return {**found, **about}


def _with_judges(run: Run | Path | str, settings: Settings) -> Run:
    """Return a run of a task that has something to judge."""
    opened = run if isinstance(run, Run) else open_run(run, settings=settings)
    if not opened.plan.task.judges:
        raise UsageError(
            f"{opened.plan.task.name} has no judged column: there is nothing for a judge. Leave --judge out"
        )
    return opened


def _tested(run: Run) -> Model:
    """Return the model under test, as the manifest knows it."""
    return recorded_model(read_manifest(run.folder)["identity"]["model"], None)
