"""What a judge adds to the wall time of a run: model and judge behind loopback servers that take 200 ms an answer.

    python benchmarks/judge_overlap.py [--quick] [--images N] [--profile]

Three whole commands, each a fresh process: ``run`` without a judge, ``score --judge`` on what that run answered, and ``run --judge``, which
does both at once. The budget: the last takes at most 1.15 times as long as the slower of the first two. The floor is what no overlap can
undercut: the last answer has to be there before it can be judged, which is one latency more.

The command's wall time holds its start and its report, which hide what the stages cost; so the span is given too, from the first
request to the last answer as the servers saw them. Every image is asked once and judged once, which is checked. Rounds alternate.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from openai_loopback import server, write_images

ROOT = Path(__file__).resolve().parents[1]
BUDGET = 1.15
LATENCY = 0.2
TASK = "nova_caption"
CAPTION = "Axial T2-weighted image with a hyperintense lesion in the left frontal lobe and surrounding edema; no midline shift."
SAID = {
    "anatomy": ["left", "frontal lobe"],
    "imaging": ["hyperintense", "lesion"],
    "disease": [],
    "negated": ["no midline shift"],
    "sequence": ["axial", "t2w"],
    "label": "abnormal",
}
VERDICT = json.dumps({"reference": SAID, "candidate": SAID})


class Bench:
    """The three commands on one data set."""

    def __init__(self, folder: Path, urls: Mapping[str, str], n: int, concurrency: int) -> None:
        self.folder, self.urls, self.n, self.concurrency = folder, urls, n, concurrency
        self._n_runs = 0

    def alone(self) -> dict[str, tuple[float, float]]:
        """Run without a judge, then judge that run; return wall time and span of each."""
        out = self._out()
        ran = self._time([*self._run(), "--out", out], model=self.n, judge=0)
        judged = self._time(["score", str(self.folder / out), *self._judge()], model=0, judge=self.n)
        return {"run": ran, "score --judge": judged}

    def both(self, profile: Path | None = None) -> dict[str, tuple[float, float]]:
        """Run with a judge."""
        words = [*self._run(), *self._judge(), "--out", self._out()]
        return {"run --judge": self._time(words, model=self.n, judge=self.n, profile=profile)}

    def _out(self) -> str:
        self._n_runs += 1
        return f"run-{self.concurrency}-{self._n_runs}"

    def _run(self) -> list[str]:
        words = ["run", TASK, "--data", str(self.folder / "set"), "--model", "openai:m"]
        return [*words, "-o", f"base_url={self.urls['model']}/v1", "--concurrency", str(self.concurrency)]

    def _judge(self) -> list[str]:
        words = ["--judge", "openai:j", "-J", f"base_url={self.urls['judge']}/v1"]
        return [*words, "-J", f"concurrency={self.concurrency}"]

    def _time(self, words: list[str], profile: Path | None = None, **calls: int) -> tuple[float, float]:
        for url in self.urls.values():
            urllib.request.urlopen(urllib.request.Request(f"{url}/reset", method="POST")).close()
        home = {"XDG_CACHE_HOME": str(self.folder / "home"), "XDG_CONFIG_HOME": str(self.folder / "home")}
        env = {**os.environ, **home, "PYTHONPATH": str(ROOT)}
        verb = ["-m", "nova_bench"] if profile is None else ["-c", PROFILED, str(profile)]
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, *verb, *words], env=env, cwd=self.folder, capture_output=True, text=True
        )
        wall = time.monotonic() - began
        if done.returncode:
            raise SystemExit(f"{words} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        firsts, lasts = [], []
        for name, url in self.urls.items():
            with urllib.request.urlopen(f"{url}/stats") as answer:
                stats = json.load(answer)
            if stats["calls"] != calls[name]:
                raise SystemExit(f"{calls[name]} requests to the {name} were wanted; there were {stats}")
            if stats["calls"]:
                firsts.append(stats["first_at"])
                lasts.append(stats["last_at"])
        return wall, max(lasts) - min(firsts)


# A profiler in each thread: those of model, judge and their event loops are what is to be seen.
PROFILED = """
import cProfile, pstats, sys, threading
profiles = []
def begin(self, run=threading.Thread.run):
    profiles.append((self.name, cProfile.Profile()))
    profiles[-1][1].runcall(run, self)
threading.Thread.run = begin
path = sys.argv.pop(1)
from nova_bench.cli import main
code = main()
with open(path, "w") as file:
    for name, profile in profiles:
        profile.disable()
        print("--", name, file=file)
        pstats.Stats(profile, stream=file).sort_stats("tottime").print_stats(18)
sys.exit(code)
"""


def compare(bench: Bench, rounds: int) -> None:
    """Measure and print."""
    taken: dict[str, list[tuple[float, float]]] = {}
    for i in range(rounds):
        for contender in (bench.alone, bench.both) if i % 2 == 0 else (bench.both, bench.alone):
            for name, measured in contender().items():
                taken.setdefault(name, []).append(measured)
    for what, place in (("wall", 0), ("span", 1)):
        seconds = {name: statistics.median(each[place] for each in runs) for name, runs in taken.items()}
        slower = max(seconds["run"], seconds["score --judge"])
        ratio, floor = seconds["run --judge"] / slower, (slower + LATENCY) / slower
        told = "".join(f"{seconds[name]:>14.2f} s" for name in ("run", "score --judge", "run --judge"))
        print(f"{bench.concurrency:<12}{what:<6}{told}{ratio:>9.3f}{floor:>9.3f}{BUDGET:>9.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="some twenty seconds")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="also print where the threads' time goes")
    args = parser.parse_args()
    n, rounds, widths = (300, 1, (16,)) if args.quick else (args.images, args.rounds, (16, 64))
    versions = "  ".join(f"{name} {importlib.metadata.version(name)}" for name in ("nova-bench", "openai"))
    print(
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}  {os.cpu_count()} CPUs  python {platform.python_version()}  {versions}"
    )
    print(
        f"{TASK}: {n} images, {LATENCY * 1000:.0f} ms an answer of model and judge, median of {rounds} rounds"
    )
    head = "".join(f"{name:>16}" for name in ("run", "score --judge", "run --judge"))
    print(f"{'concurrency':<12}{'':<6}{head}{'ratio':>9}{'floor':>9}{'budget':>9}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "set").mkdir()
        write_images(folder / "set", n, side=240)
        with (
            server(folder, LATENCY, "model", "--raw-answer", CAPTION) as model,
            server(folder, LATENCY, "judge", "--raw-answer", VERDICT) as judge,
        ):
            for width in widths:
                bench = Bench(folder, {"model": model, "judge": judge}, n, width)
                compare(bench, rounds)
            if args.profile:
                bench.both(folder / "profile")
                print((folder / "profile").read_text())


if __name__ == "__main__":
    main()
