"""Does a judge's verdict move with the patient's group where the texts are the same? The answers of a run, judged again in several forms.

Two forms of one answer (`nova_bench.judge_forms`) differ in the patient's group and in nothing else, so verdicts are compared within the
answer. The test exchanges the two forms of whole clusters; Holm corrects for all tests of a judge. What changes from the blinded to the
stated form is told beside them and is no test of groups: a mask is another text.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from nova_bench.budget import Budget
from nova_bench.dry_run import input_tokens
from nova_bench.dry_run_judges import text_requests
from nova_bench.errors import UsageError
from nova_bench.identity import judge_start
from nova_bench.judge_contrasts import PERMUTATIONS, audit_record
from nova_bench.judge_forms import audited_answers, form_counts, wanted_verdicts
from nova_bench.judge_log import join_judge
from nova_bench.judge_texts import judge_texts
from nova_bench.judging import Judging, recorded_model
from nova_bench.prepare import Answerer, Settings
from nova_bench.progress import JudgeProgress, Progress
from nova_bench.run import Run, open_run
from nova_bench.runlog import RunLog, read_manifest, write_json
from nova_bench.score import answered_items

SCHEMA_VERSION = 1
FOLDER = "judge_audit"
"""In a run's folder: the verdicts of its audit, apart from those that are scored."""


def audit(
    run: Run | Path | str,
    judges: Sequence[Answerer],
    *,
    options: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
    metrics: Collection[str] = (),
    limit: int | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    allow_self_judge: bool = False,
    allow_hosted: bool = False,
    settings: Settings | None = None,
    say: Callable[[str], None] = lambda sentence: None,
    watch: Callable[[Progress], None] | None = None,
    budget: Budget | None = None,
    prices: Path | str | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Have judges judge a run's answers in all forms, and say whether their verdicts move with the patient's group.

    Nothing is asked of the model, and no verdict of the audit is ever scored.

    Args:
        run: The run, or its folder.
        judges: As `nova_bench.evaluate` takes them.
        options: Of the judges' adapters.
        params: ``max_tokens`` and ``temperature`` over the rubrics' own.
        metrics: Only these judged metrics.
        limit: Only so many clusters.
        permutations: Of the tests.
        seed: Of the tests and resamples.
        allow_self_judge: Whether the model under test may be its own judge.
        allow_hosted: Whether texts of a gated data set may be sent to a vendor.
        settings: Cache and configuration folders.
        say: Takes sentences for the user, before anything is asked.
        watch: Called with the progress whenever an answer came.
        budget: Limits of the judges.
        prices: A price file.
        dry_run: Ask nothing and write nothing; return what would be asked of whom, and about what it costs.

    Raises:
        UsageError: There is nothing to audit, or a judge may not be asked.
        LimitReachedError: A limit was reached; the same call with a higher one goes on.
    """
    settings = settings or Settings()
    opened = run if isinstance(run, Run) else open_run(run, settings=settings)
    plan, task = opened.plan, opened.plan.task
    if not judges or not task.judges:
        raise UsageError(
            f"{task.name} has no judged column: there is nothing to audit"
            if judges
            else "an audit needs a judge: give --judge ADAPTER[:MODEL]"
        )
    judging = Judging(
        judges,
        options=options,
        params=params,
        allow_self_judge=allow_self_judge,
        allow_hosted=allow_hosted or dry_run,
        budget=None if dry_run else budget,
        prices=prices,
        settings=settings,
    )
    progress = Progress()
    tested = recorded_model(read_manifest(opened.folder)["identity"]["model"], None)
    try:
        judging.check(task, tested, plan.data, task.name)
        with RunLog(opened.folder) as log:
            answers, left_out = audited_answers(task, answered_items(plan, log), limit)
        if not answers:
            raise UsageError(f"no answer of {opened.folder} is put to a judge: there is nothing to audit")
        counts = form_counts(answers)
        say(f"{len(answers)} answers in {len(counts)} forms: {sum(counts.values())} verdicts a judge")
        known = {"run": str(opened.folder), "task": plan.spelling, "model": opened.model, "forms": counts}
        if dry_run:
            planned = [
                text_requests(model, asked, wanted_verdicts(task, answers), input_tokens)
                for model, asked in judging.planned(opened.folder / FOLDER)
            ]
            notes = judging.notes_on_hosted(task.data, is_allowed=allow_hosted or plan.data.is_synthetic)
            return {
                "schema_version": SCHEMA_VERSION,
                "dry_run": True,
                **known,
                "judges": planned,
                "notes": notes,
            }
        records = []
        for model, asked in judging.planned(opened.folder / FOLDER):
            start = judge_start(model, settings.command)
            progress.judges.append(JudgeProgress(asked.name))
            judged = judge_texts(
                model,
                asked,
                plan.spelling,
                lambda: wanted_verdicts(task, answers),
                join=functools.partial(join_judge, asked, task.judges, start),
                is_gated=plan.data.is_gated,
                budget=budget,
                progress=progress.judges[-1],
                show=None if watch is None else lambda: watch(progress),
            )
            rubrics = [asked.tuned(judge) for judge in task.judges]
            record = audit_record(
                task, answers, judged, judges=rubrics, metrics=metrics, permutations=permutations, seed=seed
            )
            record = {
                "judge": asked.name,
                "options": dict(asked.options),
                "params": dict(asked.params),
                **record,
            }
            write_json(asked.folder / "audit.json", record)
            records.append({**record, "asked": judged.asked, "reasons": judged.reasons})
    finally:
        judging.close()
    return {
        "schema_version": SCHEMA_VERSION,
        **known,
        "data_digest": plan.data.digest,
        "left_out": left_out,
        "judges": records,
    }
