"""The threads of a run, from their locks to their end: a model's and its judges', or the judges' alone.

They work in the background. The calling thread waits, shows progress and takes Ctrl-C: the first one lets what is in flight arrive, the
second closes the adapters.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from nova_bench.judge_stage import JudgeStage
from nova_bench.plan import Plan
from nova_bench.progress import Progress
from nova_bench.runlog import RunLog


@contextlib.contextmanager
def held(judges: Sequence[JudgeStage], join: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold the judges' logs: all locks are taken before any manifest is written, so that a start that is refused changes nothing."""
    with contextlib.ExitStack() as stack:
        for judge in judges:
            judge.open()
            stack.callback(judge.release)
        join()
        for judge in judges:
            judge.join()
        yield


def judge_answers(
    plan: Plan,
    folder: Path,
    judges: Sequence[JudgeStage],
    *,
    watch: Callable[[Progress], None] | None = None,
    total: int | None = None,
) -> Progress:
    """Have judges judge what a run's log holds, without the model.

    Args:
        plan: What was asked.
        folder: The run's folder.
        judges: Who judges.
        watch: As for `ask`.
        total: How many answers there are at most, where it is known.
    """
    progress = Progress(judges=[judge.progress for judge in judges])
    for judge in judges:
        judge.expect(total)
    with held(judges):
        judge_alone(plan, folder, judges, progress, watch)
    take_errors(progress)
    if watch is not None:
        watch(progress)
    return progress


def judge_alone(
    plan: Plan,
    folder: Path,
    judges: Sequence[JudgeStage],
    progress: Progress,
    watch: Callable[[Progress], None] | None,
) -> None:
    """Run judges, whose logs are held, over what a run's log holds; arguments as for `judge_answers`."""
    with RunLog(folder) as log:
        known = log.index()

    def stop() -> None:
        for judge in judges:
            judge.stop()

    def close() -> None:
        for judge in judges:
            judge.model.close()

    for judge in judges:
        judge.start(known)
        judge.close()
    try:
        wait_for([judge.finished for judge in judges], progress, stop, close, watch)
        is_done = all(judge.progress.is_done for judge in judges)
        if progress.stopping and progress.error is None and not is_done:
            progress.error = KeyboardInterrupt()
    finally:
        plan.digests.save()


def wait_for(
    stages: Sequence[threading.Event],
    progress: Progress,
    stop: Callable[[], None],
    close: Callable[[], None],
    watch: Callable[[Progress], None] | None,
) -> None:
    """Wait for the threads of model and judges; the first interrupt ends the requests, the second closes the adapters."""
    interrupts = 0
    # Not Thread.join: interrupted by Ctrl-C, CPython before 3.13 takes a thread for ended that still runs.
    for finished in stages:
        while not finished.is_set():
            try:
                finished.wait(0.1)
                if watch is not None:
                    watch(progress)
            except KeyboardInterrupt as interrupt:
                interrupts += 1
                stop()
                progress.stopping = True
                if interrupts == 1:
                    continue
                threading.Thread(target=close, daemon=True).start()
                with contextlib.suppress(KeyboardInterrupt):
                    for other in stages:
                        other.wait(5)
                progress.error = interrupt
                return


def take_errors(progress: Progress) -> None:
    """Make the first error of a judge that of the run, where the model ended well: the run is incomplete."""
    errors = [judge.error for judge in progress.judges if judge.error is not None]
    if progress.error is None and errors:
        progress.error = errors[0]
    for judge in progress.judges:
        progress.messages += judge.messages
        if judge.error is not None and judge.error is not progress.error:
            progress.messages.append(f"judge {judge.name} ended early: {judge.error}")
