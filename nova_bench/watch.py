"""Progress on standard error, while a run goes on."""

from __future__ import annotations

import time

import rich.progress
from rich.markup import escape

from nova_bench.progress import JudgeProgress, Progress
from nova_bench.render import console
from nova_bench.source_file import harmless


class Watch:
    """Progress on standard error: a live line on a terminal, a line every ten seconds elsewhere."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.console = console(to_stderr=True)
        self.bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.TextColumn("{task.completed:.0f}/{task.total}"),
            rich.progress.TextColumn("{task.fields[rate]}"),
            rich.progress.TextColumn("[red]{task.fields[failed]}"),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.line = self.bar.add_task(name, total=None, rate="", failed="")
        self.judges: dict[str, rich.progress.TaskID] = {}
        self.said = self.began = 0.0

    def __enter__(self) -> Watch:
        self.began = self.said = time.monotonic()
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def show(self, progress: Progress) -> None:
        """Show where the run stands."""
        now = time.monotonic()
        rate = (progress.answered + progress.failed) / max(now - self.began, 1e-6)
        failed = f"{progress.failed} failed" if progress.failed else ""
        if progress.stopping:
            failed += " stopping: waiting for what is in flight (Ctrl-C again ends at once)"
        if progress.done or progress.total or not progress.judges:
            self.bar.update(
                self.line, completed=progress.done, total=progress.total, rate=f"{rate:.1f}/s", failed=failed
            )
        else:  # judges alone: nothing is asked of the model
            self.bar.update(self.line, visible=False)
        for judge in progress.judges:
            if judge.name not in self.judges:
                self.judges[judge.name] = self.bar.add_task(
                    escape(f"judge {harmless(judge.name)}"), total=None, rate="", failed=""
                )
            self.bar.update(
                self.judges[judge.name],
                completed=judge.done,
                total=judge.total,
                failed=_without_verdict(judge),
            )
        if not self.console.is_terminal and now - self.said >= 10:
            self.said = now
            for line in lines(self.name, progress, rate):
                self.console.print(harmless(line), markup=False, highlight=False)


def lines(name: str, progress: Progress, rate: float) -> list[str]:
    """Return where a run and its judges stand: a line for the model, unless judges are at work alone, and one a judge.

    >>> from nova_bench.progress import JudgeProgress
    >>> lines("t", Progress(total=9, answered=3, judges=[JudgeProgress("replay", total=9, judged=2, failed=1)]), 1.5)
    ['t: 3/9, 1.5/s, 0 failed, 4 s left', 't: judge replay: 3/9, 2 verdicts, 1 failed']
    """
    made = []
    if progress.done or progress.total or not progress.judges:
        left = (
            f", {(progress.total - progress.done) / rate:.0f} s left" if progress.total and rate > 0 else ""
        )
        made.append(
            f"{name}: {progress.done}/{progress.total or '?'}, {rate:.1f}/s, {progress.failed} failed{left}"
        )
    for judge in progress.judges:
        rest = _without_verdict(judge)
        made.append(
            f"{name}: judge {judge.name}: "
            + (f"{judge.done}/{judge.total}, " if judge.total is not None else "")
            + f"{judge.kept + judge.judged} verdicts"
            + (f", {rest}" if rest else "")
        )
    return made


def _without_verdict(judge: JudgeProgress) -> str:
    told = (
        (judge.by_rule, "by rule"),
        (judge.broken, "asked again"),
        (judge.unjudged, "unjudged"),
        (judge.failed, "failed"),
    )
    return ", ".join(f"{count} {word}" for count, word in told if count)
