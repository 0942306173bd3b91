"""Memory of a run of 1,000,000 small text samples: peak resident size under 1 GB, and flat over the run.

    python benchmarks/memory.py [--quick] [--samples N] [--profile]

The task (a question and a short answer in words, one Parquet table, no pictures) and an echo adapter made by `nb.each` are in this
script. The resident size is read from the engine's own progress call at 25, 50 and 100 per cent of the requests, and the peak by a
sampler, for the run (asking and logging) and for scoring (rows, metrics, intervals) apart: a peak of the process would hide one
behind the other.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import datetime
import importlib.metadata
import os
import platform
import pstats
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import nova_bench as nb
from nova_bench.types import Row

BUDGET = 1000.0  # MB


def sample(row: Mapping[str, Any], variant: Mapping[str, str]) -> Iterable[nb.Sample]:
    """Return a row's one sample; three samples are one case."""
    yield nb.Sample(
        row["id"], (), {"question": row["question"]}, row["answer"], row["case"], {"kind": row["kind"]}
    )


def prompt(sample: nb.Sample, card: nb.Card) -> nb.Prompt:
    """Ask the question."""
    return nb.Prompt((f"Answer in one word.\n{sample.text['question']}",))


def rows(items: Iterable[nb.Item]) -> Iterator[Row]:
    """Score a word as right or wrong."""
    for item in items:
        yield {"right": float(item.prediction.value == item.sample.target)}


def accuracy() -> nb.Metric:
    """Return the share of right answers."""
    return nb.Metric(
        name="accuracy",
        needs=("right",),
        compute=lambda table, weights: (weights @ table["right"]) / weights.sum(axis=1),
        sums=lambda table: (table["right"], table["right"] * 0 + 1),
    )


def make_task() -> nb.Task:
    """Return the task."""
    return nb.Task(
        name="echo",
        version=1,
        data=nb.Source(
            name="Echo",
            hub="none/none",
            revision="main",
            table="data/echo.parquet",
            key="id",
            images=None,
            required=("id", "question", "answer", "case", "kind"),
            license="CC0-1.0",
            license_url="https://creativecommons.org/publicdomain/zero/1.0/",
        ),
        sample=sample,
        prompt=prompt,
        parse=lambda response, context: nb.Prediction("ok", (response.text or "").rpartition(" ")[2]),
        parser_version=1,
        scorers=(nb.Scorer("right", ("right",), rows),),
        metrics=(accuracy(),),
        headline="accuracy",
        params=nb.GenParams(max_tokens=8, temperature=0.0),
        variants={},
        slices=("kind",),
    )


def write_data(folder: Path, n: int) -> None:
    """Write the table in pieces, so that this process has not grown before the run."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    words = ("oedema", "infarct", "cyst", "abscess")
    (folder / "data").mkdir(parents=True)
    names = ("id", "question", "answer", "case", "kind")
    schema = pa.schema([(name, pa.string()) for name in names])
    with pq.ParquetWriter(folder / "data" / "echo.parquet", schema) as writer:
        for start in range(0, n, 10_000):
            numbers = range(start, min(n, start + 10_000))
            columns = (
                [f"q{i:07d}" for i in numbers],
                [f"Which word follows in report {i}? {words[i % 4]}" for i in numbers],
                [words[i % 4 if i % 5 else 0] for i in numbers],
                [f"c{i // 3:07d}" for i in numbers],
                [("brain", "spine")[i % 2] for i in numbers],
            )
            writer.write_table(pa.table(dict(zip(names, columns, strict=True)), schema=schema))


def resident() -> float:
    """Return this process' resident size in MB; on systems without /proc its peak so far."""
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


class Peak:
    """The largest resident size of a block, looked at every 20 ms by a thread."""

    def __enter__(self) -> Peak:
        self.size, self._stop = resident(), threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            self.size = max(self.size, resident())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="20,000 samples")
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--profile", action="store_true", help="also print where the time of asking goes")
    args = parser.parse_args()
    n = 20_000 if args.quick else args.samples
    marks = {0.25: 0.0, 0.5: 0.0, 1.0: 0.0}
    profile = cProfile.Profile()

    def answer(request: nb.Request) -> str:
        nonlocal asked
        asked += 1
        if asked in at:
            marks[at[asked]] = resident()
        return request.text

    asked, at = 0, {max(1, int(share * n)): share for share in marks}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder / "set", n)
        task, settings = make_task(), nb.Settings(cache=folder / "cache", config=folder / "config")
        adapter: nb.Adapter = Profiled(nb.each(answer), profile) if args.profile else nb.each(answer)
        before = resident()
        began = time.perf_counter()
        with Peak() as running:
            run = nb.evaluate(task, adapter, data=str(folder / "set"), out=folder / "run", settings=settings)
        progress = run.progress
        if progress is None or progress.error is not None or progress.answered != n:
            raise SystemExit(f"the run did not end well: {progress}")
        asking, after = time.perf_counter() - began, resident()
        began = time.perf_counter()
        with Peak() as scoring:
            report = run.report()
        taken = time.perf_counter() - began
        log_size = (folder / "run" / "responses.jsonl").stat().st_size / 1e6
    versions = "  ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("nova-bench", "datasets", "pyarrow", "numpy")
    )
    print(
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}  {os.cpu_count()} CPUs  python {platform.python_version()}  {versions}"
    )
    print(
        f"{n:,} text samples, echoed; a log of {log_size:.0f} MB; {len(report['cells'])} cells; the budget is for 1,000,000"
    )
    print(f"{'resident size':<34}{'measured':>10}{'budget':>10}{'of budget':>11}")
    print(f"{'before the run':<34}{before:>7.0f} MB")
    for share, size in marks.items():
        print(f"{f'running, at {share:.0%}':<34}{size:>7.0f} MB{BUDGET:>7.0f} MB{size / BUDGET:>11.2f}")
    for what, size, seconds in (
        ("running, peak", running.size, asking),
        ("scoring and report, peak", scoring.size, taken),
    ):
        print(
            f"{what:<34}{size:>7.0f} MB{BUDGET:>7.0f} MB{size / BUDGET:>11.2f}   {seconds:.1f} s, {n / seconds:,.0f} samples/s"
        )
    print(f"{'between the two':<34}{after:>7.0f} MB")
    growth = (marks[1.0] - marks[0.25]) / max(1, n - n // 4) * 1e6
    print(f"growth from 25% to 100%: {growth:.0f} bytes a sample (0 is flat)")
    if args.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


class Profiled:
    """An adapter that profiles the thread in which it is pulled."""

    def __init__(self, adapter: nb.Adapter, profile: cProfile.Profile) -> None:
        self._adapter, self._profile = adapter, profile

    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        self._profile.enable()
        yield from self._adapter.generate(requests)
        self._profile.disable()


if __name__ == "__main__":
    main()
