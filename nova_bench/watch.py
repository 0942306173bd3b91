"""Progress on standard error, while a run goes on."""

from __future__ import annotations

import time

import rich.progress

from nova_bench.ask import Progress
from nova_bench.render import console


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
        self.bar.update(
            self.line, completed=progress.done, total=progress.total, rate=f"{rate:.1f}/s", failed=failed
        )
        if not self.console.is_terminal and now - self.said >= 10:
            self.said = now
            left = (
                f", {(progress.total - progress.done) / rate:.0f} s left"
                if progress.total and rate > 0
                else ""
            )
            self.console.print(
                f"{self.name}: {progress.done}/{progress.total or '?'}, {rate:.1f}/s, {progress.failed} failed{left}",
            )
