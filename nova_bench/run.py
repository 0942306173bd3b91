"""A run: one task times one model, as a folder that can be continued, scored again and read.

`evaluate` makes or continues one from Python; `open_run` opens one that is there. The command line does nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_bench.adapter import Model, remote_code
from nova_bench.ask import Progress, ask, request_ids
from nova_bench.budget import Budget
from nova_bench.cache import ResponseCache, check_cacheable
from nova_bench.calibration_file import CALIBRATION
from nova_bench.catalog import content_root, load_task
from nova_bench.data import Data, open_data
from nova_bench.errors import IdentityError, UsageError
from nova_bench.hosted import check_hosted
from nova_bench.identity import code_digest, identity_of, missing_resources, start_of, versions
from nova_bench.judge_log import VERDICTS, Asked, all_judges, asked_judges, idle_judges
from nova_bench.judge_spend import judge_usage
from nova_bench.judged_rows import JudgedMetric, judged_metrics
from nova_bench.judging import Judging
from nova_bench.plan import Limit, Plan
from nova_bench.prepare import Answerer, Settings, prepare
from nova_bench.prices import Price, find_price, missing_price, price_files
from nova_bench.report import cells, report_json
from nova_bench.run_folders import check_run
from nova_bench.runlog import RESPONSES, RunLog, check_identity, join_identity, read_manifest, write_json
from nova_bench.score import Scored, answered_items, score
from nova_bench.signature import digest
from nova_bench.stats import RESAMPLES
from nova_bench.task import Task
from nova_bench.types import Card, Cell, Frame, GenParams

if TYPE_CHECKING:
    import pandas as pd

REPORT = "report.json"
USAGE = "usage.json"


class Run:
    """A run that is there: rows, cells and report of its answers.

    Attributes:
        folder: Where it lies.
        plan: What it asks.
        model: ``ADAPTER[:MODEL]``.
        progress: How the start that made this object ended; None where it was only opened.
        price: What the model's tokens cost, where it is known.
        remote_code: Whose own Python code ran as part of the model, if any did.
        asked: Folders of the judges that this start asked.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        model: str,
        progress: Progress | None = None,
        price: Price | None = None,
        remote_code: Mapping[str, str] | None = None,
        asked: Collection[Path] = (),
    ) -> None:
        self.folder, self.plan, self.model, self.progress, self.price = folder, plan, model, progress, price
        self.asked = asked
        self.remote_code = remote_code
        self._usage: dict[str, Any] | None = None

    @cached_property
    def scored(self) -> Scored:
        """The rows of all answers in the log."""
        with RunLog(self.folder) as log:
            return score(self.plan, log, self.asked)

    def cells(self, *, resamples: int = RESAMPLES, seed: int = 0) -> list[Cell]:
        """Return every number of the run: each metric overall, then on each slice."""
        return cells(
            self.plan,
            self.scored,
            self.model,
            resamples=resamples,
            seed=seed,
            versions=versions(),
            remote_code=self.remote_code,
        )

    def table(self) -> pd.DataFrame:
        """Return the rows, one line a sample and repeat; a failed one has no values."""
        return self.scored.table.to_pandas()

    def report(self, *, resamples: int = RESAMPLES, seed: int = 0, fresh: bool = False) -> dict[str, Any]:
        """Return the report, from ``report.json`` where that is still true, else made anew and written there.

        Args:
            resamples: Of the cluster bootstrap.
            seed: Of the cluster bootstrap.
            fresh: Make it anew in any case.
        """
        state = self._state(resamples, seed)
        with contextlib.suppress(OSError, ValueError, KeyError):
            accounts = json.loads((self.folder / USAGE).read_text(encoding="utf-8"))
            if not fresh and accounts["report_state"] == state:
                known: dict[str, Any] = json.loads((self.folder / REPORT).read_text(encoding="utf-8"))
                self._usage = accounts["usage"]
                return known
        self.__dict__.pop("scored", None)  # the log may have grown since
        made = self.cells(resamples=resamples, seed=seed)
        report = report_json(self.plan, self.scored, made, self.remote_code, resamples=resamples, seed=seed)
        write_json(self.folder / REPORT, report)
        self._usage = {"model": self.scored.ledger.json(self.model, self.price)}
        self._usage |= judge_usage(
            self.folder, {one.asked.folder: one.ledger for one in self.scored.judges.values()}
        )
        write_json(self.folder / USAGE, {"usage": self._usage, "report_state": state})
        return report

    def usage(self) -> dict[str, Any]:
        """Return what the run had cost when it was last reported, by role: tokens, requests, seconds and US dollars.

        All records of the log count. Seconds are those of the answers added up; answers that were in flight together overlap.
        """
        if self._usage is None:
            self.report()
        assert self._usage is not None  # report sets it
        return self._usage

    @property
    def is_complete(self) -> bool:
        """Whether every sample of the plan was answered, and judged by every judge that counts."""
        return not self.scored.reasons and not any(one.failed for one in self.scored.judges.values())

    @property
    def judged_metrics(self) -> list[JudgedMetric]:
        """The metrics that need a judge, under the name of each judge that counts."""
        return judged_metrics(self.plan.task, [account.asked for account in self.scored.judges.values()])

    @property
    def idle_judges(self) -> list[Asked]:
        """The judges that were asked about the run by some start, never answered, and are left out of its numbers."""
        return idle_judges(self.folder, self.asked)

    def _state(self, resamples: int, seed: int) -> str:
        """Return a digest of all that a report is made from: the answers, the code and the settings."""
        return digest(
            [
                _file_digest(self.folder / RESPONSES),
                [one.folder.name for one in asked_judges(self.folder, self.asked)],
                [
                    [one.state(), _file_digest(one.folder / VERDICTS), _file_digest(one.folder / CALIBRATION)]
                    for one in all_judges(self.folder)
                ],
                self.plan.data.digest,
                code_digest(),
                self.plan.spelling,
                str(self.plan.limit),
                resamples,
                seed,
                versions(),
                missing_resources(self.plan.task),
                None if self.price is None else self.price.json(),
            ]
        )


def _file_digest(path: Path) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def evaluate(
    task: str | Task,
    model: Answerer,
    *,
    options: Mapping[str, str] | None = None,
    variant: Mapping[str, str] | None = None,
    data: str = "full",
    out: Path | str | None = None,
    limit: int | None = None,
    repeats: int = 1,
    params: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    watch: Callable[[Progress], None] | None = None,
    allow_hosted: bool = False,
    budget: Budget | None = None,
    prices: Path | str | None = None,
    cache: Path | str | None = None,
    judges: Sequence[Answerer] = (),
    judge_options: Mapping[str, str] | None = None,
    judge_params: Mapping[str, Any] | None = None,
    judge_repeats: int = 1,
    allow_self_judge: bool = False,
) -> Run:
    """Run a model on a task, or continue the run where one is there already.

    Args:
        task: A task's string (``"nova_diagnosis@inputs=image"``), a path with a slash, or a `Task`.
        model: ``ADAPTER[:MODEL]``, an adapter, or a plain function from a `Request` to a text.
        options: The adapter's options, as texts.
        variant: Choices beside those in the task's string.
        data: ``full``, ``mini`` or the path of a folder in the hub's layout.
        out: The run's folder; ``runs/MODEL/TASK`` by default, so that the same call continues.
        limit: Only so many clusters (cases).
        repeats: How often each sample is asked.
        params: Generation parameters over the task's own: ``temperature``, ``max_tokens``, ``seed``, ``stop``.
        settings: Cache and configuration folders.
        watch: Called about ten times a second with the progress.
        allow_hosted: Whether pictures and texts of a gated data set may be sent to a vendor.
        budget: Limits: ``nb.Budget(max_cost=5)``. One object may be shared by several runs, and limits them together.
        prices: A price file, asked before ``prices.toml`` of the configuration folder.
        cache: A folder with the answers of other runs; what it holds is not asked again. For models that are given by name.
        judges: Who judges the answers as they arrive: each as `model`. Without one the columns that need a judge are absent.
        judge_options: Options of the judges' adapters, as texts.
        judge_params: ``max_tokens`` and ``temperature`` of the judges, over the rubrics' own.
        judge_repeats: How often each judge is asked about an answer.
        allow_self_judge: Whether the model under test may be its own judge; the signature says so.

    Returns:
        The run; ``run.progress.error`` holds what ended it early.

    Raises:
        NovaBenchError: Anything that keeps the run from starting.

    >>> run = evaluate("nova_diagnosis", lambda request: "I do not know", data="mini", out=getfixture("tmp_path"), limit=3)
    >>> [cell.value for cell in run.cells() if cell.metric == "top1(normalised)" and cell.slice == "all"]
    [0.0]
    """
    settings = settings or Settings()
    if cache is not None:
        check_cacheable(model)
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

    def check(task: Task, ready: Model, opened: Data | None, price: Price | None) -> None:
        check_hosted(
            task.data, ready, is_allowed=allow_hosted or (opened is not None and opened.is_synthetic)
        )
        if budget is not None and budget.max_cost is not None and price is None:
            missing = missing_price(ready.name, price_files(settings.config, prices))
            raise UsageError(f"--max-cost cannot be kept: {missing}")
        judging.check(task, ready, opened, task.name)

    made = prepare(
        task,
        model,
        options=options,
        variant=variant,
        data=data,
        out=out,
        limit=limit,
        repeats=repeats,
        params=params,
        settings=settings,
        prices=prices,
        check=check,
    )
    plan, ready, folder = made.plan, made.model, made.folder
    kept = None if cache is None else ResponseCache(Path(cache), ready, is_gated=made.is_gated)
    with contextlib.ExitStack() as stack:
        if isinstance(model, str):  # made here, so freed here: the next run may need the memory of a GPU
            stack.callback(ready.close)
        stack.callback(judging.close)
        folder.mkdir(parents=True, exist_ok=True)
        identity = identity_of(plan, ready, made.task_file)
        check_identity(folder, identity)  # before a log is opened, and mended, that is another run's
        start = start_of(plan, ready, data, settings.command, made.price)
        stages = judging.stages(plan, folder, is_gated=made.is_gated)
        progress = ask(
            plan,
            ready,
            folder,
            watch=watch,
            total=plan.request_total,
            budget=budget,
            price=made.price,
            cache=kept,
            judges=stages,
            join=lambda: join_identity(folder, identity, start),
        )
        progress.messages += judging.notes(plan.task)
        if progress.error is None:
            progress.messages += ready.notes(request_ids(plan)) if hasattr(ready.adapter, "notes") else ()
    asked = [stage.asked.folder for stage in stages]
    return Run(folder, plan, ready.name, progress, made.price, remote_code(ready.identity), asked)


def open_run(folder: Path | str, *, data: str | None = None, settings: Settings | None = None) -> Run:
    """Open the run in a folder.

    Args:
        folder: The folder that holds its manifest.
        data: Where the data set is now; by default where the last start found it.
        settings: Cache and configuration folders.

    Raises:
        LogError: The folder holds no run.
        UsageError: It holds a judge's verdicts.
        IdentityError: The data set, the task's version or the parser is not that of the run.
    """
    settings = settings or Settings()
    folder = Path(folder)
    manifest = read_manifest(folder)
    check_run(folder, manifest)
    identity, start = manifest["identity"], manifest["starts"][-1]
    task = load_task(identity["task_file"] or identity["task"])
    if task.version != identity["task_version"]:
        raise IdentityError(
            f"{folder} was run with version {identity['task_version']} of {task.name}; here is version {task.version}. Run it again"
        )
    opened = open_data(
        task.data,
        data or start["data"],
        content=content_root() / "tasks" / "data",
        cache=settings.cache,
        config=settings.config,
        accept_license=settings.accept_license,
        pinned=identity["data"]["revision"],
    )
    if opened.digest != identity["data"]["digest"]:
        raise IdentityError(
            f"the data set at {opened.folder} is not that of {folder} (digest {opened.digest[:12]}, expected {identity['data']['digest'][:12]})"
        )
    think = identity["think"]
    card = replace(Card(), frame=Frame(identity["frame"]), think=tuple(think) if think else None)
    params = {**identity["params"], "stop": tuple(identity["params"].get("stop", ()))}
    limit = start["limit"]
    plan = Plan(
        task,
        identity["variant"],
        opened,
        card,
        params=GenParams(**params),
        repeats=identity["repeats"],
        limit=None if limit is None else Limit(**limit),
        digests=opened.digests,
    )
    model = identity["model"]["name"]
    recorded = next((start["price"] for start in reversed(manifest["starts"]) if start.get("price")), None)
    # The price of the time when it was asked; one that was written down only later is better than none.
    price = Price(**recorded) if recorded else find_price(model, price_files(settings.config, None))
    return Run(
        folder, plan, model, price=price, remote_code=remote_code(identity["model"].get("options", {}))
    )


def recompute_coco(run: Run) -> dict[str, dict[str, float | None]] | None:
    """Return ``ap50``, ``ap`` and ``ap30`` as ours and as pycocotools computes them from the same answers.

    Args:
        run: A run; None is returned for one whose task has no boxes, or that has repeats.

    Raises:
        NovaBenchError: pycocotools is not installed; the message has the command.
    """
    if "det_score" not in run.scored.table.columns or run.plan.repeats > 1:
        return None
    from nova_bench.metrics.coco import coco_eval
    from nova_bench.report import rounded

    with RunLog(run.folder) as log:
        items = sorted(answered_items(run.plan, log), key=lambda item: item.sample.id)
    reference = coco_eval(
        [item.sample.target for item in items], [item.prediction.value or () for item in items]
    )
    ours = {
        cell.metric: cell.value
        for cell in cells(run.plan, run.scored, run.model, resamples=2)
        if cell.slice == "all"
    }
    return {
        name: {"ours": rounded(ours[name]), "pycocotools": rounded(reference[name])}
        for name in ("ap50", "ap", "ap30")
    }


if sys.platform == "win32":
    raise ImportError("nova_bench needs Linux or macOS: a run's log is locked with flock")
