"""Judging a run that is there: its answers are read from its log, and nothing is asked of its model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nova_bench.ask import Progress, judge_answers
from nova_bench.budget import Budget
from nova_bench.errors import UsageError
from nova_bench.judging import Judging, recorded_model
from nova_bench.prepare import Answerer, Settings
from nova_bench.run import Run, open_run
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
    opened = run if isinstance(run, Run) else open_run(run, settings=settings)
    plan, folder = opened.plan, opened.folder
    if not plan.task.judges:
        raise UsageError(
            f"{plan.task.name} has no judged column: there is nothing for a judge. Leave --judge out"
        )
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
    tested = recorded_model(read_manifest(folder)["identity"]["model"], None)
    with contextlib.ExitStack() as stack:
        stack.callback(judging.close)
        judging.check(plan.task, tested, plan.data, plan.task.name)
        is_gated = plan.data.source.gated and not plan.data.is_synthetic
        stages = judging.stages(plan, folder, is_gated=is_gated)
        progress = judge_answers(plan, folder, stages, watch=watch)
        progress.messages += judging.notes(plan.task)
    asked = [stage.asked.folder.name for stage in stages]
    return Run(folder, plan, opened.model, progress, opened.price, opened.remote_code, asked)
