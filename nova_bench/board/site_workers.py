"""The tasks of a board side by side: as many processes as there are processors, each with some of the tasks."""

from __future__ import annotations

import gc
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from nova_bench.board.site_task import Job, Made, make_task
from nova_bench.errors import NovaBenchError

_FEW_BYTES = 8_000_000
"""Of all entries together: below, processes take longer to start than they save."""
# Not multiprocessing: it runs the user's own script again in each process, or copies a process that has threads.
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from nova_bench.board.site_workers import main; main()"


def make_all(jobs: Sequence[Job]) -> list[Made]:
    """Return what was made of each task, in the order of the jobs.

    Args:
        jobs: One a task.

    Raises:
        NovaBenchError: A process did not come to its end.
    """
    sizes = [sum(path.lstat().st_size for path in job.files) for job in jobs]
    workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1, len(jobs))
    if workers < 2 or sum(sizes) < _FEW_BYTES:
        return [make_task(job) for job in jobs]
    shares: list[list[int]] = [[] for _ in range(workers)]
    for i in sorted(range(len(jobs)), key=lambda i: -sizes[i]):  # the largest first, each to who has least
        min(shares, key=lambda share: sum(sizes[j] for j in share)).append(i)
    with ThreadPoolExecutor(workers) as pool:
        done = list(pool.map(_in_process, [[jobs[i] for i in share] for share in shares]))
    by_job = {
        i: one for share, made in zip(shares, done, strict=True) for i, one in zip(share, made, strict=True)
    }
    return [by_job[i] for i in range(len(jobs))]


def _in_process(jobs: Sequence[Job]) -> list[Made]:
    started = subprocess.run(
        [sys.executable, "-P", "-c", _START, json.dumps(sys.path)],
        input=pickle.dumps(jobs),
        stdout=subprocess.PIPE,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        check=False,
    )
    if started.returncode:
        raise NovaBenchError(
            f"a process that reads entries ended with {started.returncode}; if it was killed, memory was short: free some, or allow it "
            "fewer processors (taskset -c 0)"
        )
    made: list[Made] = pickle.loads(started.stdout)
    return made


def main() -> None:
    """Do the jobs that come in over standard input, and write what was made of them to standard output."""
    gc.disable()  # entries are trees: looking through all that is kept for circles took a quarter of the time
    jobs: list[Job] = pickle.load(sys.stdin.buffer)
    pickle.dump([make_task(job) for job in jobs], sys.stdout.buffer)
