"""What the command line says of a start that asked a model or judges, once it has ended."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from nova_bench.errors import LimitReachedError, NovaBenchError
from nova_bench.source_file import harmless

if TYPE_CHECKING:
    from nova_bench.progress import Progress
    from nova_bench.run import Run


def told(run: Run) -> bool:
    """Say how a start went that asked a model or a judge, and return whether something ended it early."""
    progress = run.progress
    if progress is None:
        return False
    for message in progress.messages:
        print(harmless(f"{run.plan.spelling}: {message}"), file=sys.stderr)
    if progress.failed > len(progress.messages):
        print(f"{run.plan.spelling}: {progress.failed} requests failed in all", file=sys.stderr)
    _say_of_judges(run.plan.spelling, progress)
    if progress.error is not None:
        _explain(run, progress.error)
    return progress.error is not None


def _explain(run: Run, error: BaseException) -> None:
    """Say what ended a run early; what was answered is in its folder."""
    what = (
        "stopped"
        if isinstance(error, KeyboardInterrupt)
        else f"{error}"
        if isinstance(error, NovaBenchError)
        else f"{type(error).__name__}: {error}"
    )
    print(harmless(f"nova-bench: {run.plan.spelling}: {what}"), file=sys.stderr)
    if error.__traceback__ is not None and not isinstance(error, (KeyboardInterrupt, NovaBenchError)):
        import traceback

        frames = traceback.extract_tb(error.__traceback__)
        print(f"  in {frames[-1].filename} line {frames[-1].lineno}", file=sys.stderr)
    ways = "" if isinstance(error, LimitReachedError) else "; the same command goes on from there"
    print(f"  what was answered is in {run.folder}{ways}", file=sys.stderr)


def _say_of_judges(spelling: str, progress: Progress) -> None:
    """Print one line a judge on standard error: verdicts, and what has none."""
    for judge in progress.judges:
        parts = [f"{judge.judged + judge.kept:,} verdicts ({judge.kept:,} of them known before)"]
        for count, word in (
            (judge.by_rule, "answers scored by rule and not sent"),
            (judge.broken, "broken verdicts asked again"),
            (judge.unjudged, "unjudged for good"),
            (judge.failed, "failed: give the same command again"),
        ):
            if count:
                parts.append(f"{count:,} {word}")
        print(harmless(f"{spelling}: judge {judge.name}: {', '.join(parts)}"), file=sys.stderr)
