"""The runs that a user names for one document: objects, folders, or folders with runs below them; each once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nova_bench.errors import UsageError
from nova_bench.prepare import Settings
from nova_bench.run import Run, open_run
from nova_bench.run_folders import find_runs

Runs = Run | Path | str | Sequence[Run | Path | str]


def opened_runs(runs: Runs, *, data: str | None = None, settings: Settings | None = None) -> list[Run]:
    """Return the runs, opened, in the order in which they were named.

    Args:
        runs: Runs, or their folders, or folders with runs below them.
        data: Where the data set is now, for runs that are given as folders.
        settings: Cache and configuration folders, for runs that are given as folders.

    Raises:
        UsageError: There is none, or one stands twice.
        NovaBenchError: One cannot be opened.

    >>> opened_runs([])
    Traceback (most recent call last):
    nova_bench.errors.UsageError: no run was given
    """
    opened: list[Run] = []
    for run in [runs] if isinstance(runs, (Run, Path, str)) else runs:
        if isinstance(run, Run):
            opened.append(run)
        else:
            opened += [open_run(folder, data=data, settings=settings) for folder in find_runs(Path(run))]
    if not opened:
        raise UsageError("no run was given")
    folders = [run.folder.resolve() for run in opened]
    for i, folder in enumerate(folders):
        if folder in folders[:i]:
            raise UsageError(f"run {opened[i].folder} is given twice; give each folder once")
    return opened
