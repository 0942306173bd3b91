"""Times `nova-bench leaderboard build`: 500 models on 12 tasks with 4 attributes each, 6,000 entries of the size that real ones have.

Budget: 20 s on two cores. Beside it the floor, which is reading the same files and parsing their JSON in as many processes: what no site can be
made without. Then whether twice the models take twice the time. Then how long Chromium takes from the address to the first table: budget 1 s,
beside an empty page.

    python benchmarks/leaderboard_speed.py
    python benchmarks/leaderboard_speed.py --quick     20 and 40 models: shows that it runs
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nova_bench as nb

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from many_entries import many_entries

TASKS, ATTRIBUTES = 12, 4
BUDGET_SECONDS = 20.0
_FLOOR = (
    "import gc, json, sys; gc.disable(); [json.loads(open(line[:-1], 'rb').read()) for line in sys.stdin]"
)


def build_seconds(board: Path, out: Path) -> float:
    """Return how long a site takes that was never built before."""
    began = time.perf_counter()
    made = nb.build_leaderboard(board, out=out)
    took = time.perf_counter() - began
    assert not made["boards"][0]["left_out"]
    return took


def floor_seconds(board: Path) -> float:
    """Return how long it takes to read and parse all entries, in as many processes as there are processors."""
    files = [f"{path}\n" for path in sorted(board.glob("synthetic/*/*.json"))]
    n = len(os.sched_getaffinity(0))
    began = time.perf_counter()
    running = [
        subprocess.Popen([sys.executable, "-c", _FLOOR], stdin=subprocess.PIPE, text=True) for _ in range(n)
    ]
    for i, process in enumerate(running):
        assert process.stdin is not None
        process.stdin.writelines(files[i::n])
        process.stdin.close()
    assert not any(process.wait() for process in running)
    return time.perf_counter() - began


def largest_mb(site: Path, pattern: str) -> float:
    """Return the size of the largest file of a kind, MB."""
    return max(path.stat().st_size for path in site.glob(pattern)) / 1e6


def opened_seconds(site: Path) -> dict[str, float]:
    """Return the median time from the address to a row of a table, of what a board opens with, of its largest table and of an empty page."""
    from playwright.sync_api import sync_playwright

    largest = max((site / "data/tasks").glob("*.js"), key=lambda path: path.stat().st_size).stem
    index, empty = (site / "index.html").resolve().as_uri(), site / "empty.html"
    empty.write_text("<!doctype html><title>x</title><table><tbody><tr><td>x</table>")
    pages = {
        "first table": index,
        f"largest table ({largest})": f"{index}#task={largest}",
        "empty page": empty.resolve().as_uri(),
    }
    found: dict[str, float] = {}
    with sync_playwright() as play:
        chromium = (
            shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        )
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, address in pages.items():
            times = []
            for _ in range(5):
                page = browser.new_page(viewport={"width": 1280, "height": 800})
                began = time.perf_counter()
                page.goto(address, wait_until="commit")
                page.wait_for_selector("tbody tr")
                times.append(time.perf_counter() - began)
                page.close()
            found[name] = statistics.median(times)
        browser.close()
    return found


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20 and 40 models")
    sizes = (20, 40) if parser.parse_args().quick else (250, 500)
    print(
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, Python {platform.python_version()}, "
        f"{len(os.sched_getaffinity(0))} cores; {TASKS} tasks, {ATTRIBUTES} attributes"
    )
    print(
        f"{'models':>7}{'entries':>9}{'MB':>8}{'seconds':>9}{'cpu s':>8}{'floor s':>9}{'ratio':>7}{'of linear':>11}",
        flush=True,
    )
    last = None
    for n in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            board, out = Path(scratch) / "board", Path(scratch) / "site"
            many_entries(board, models=n, tasks=TASKS, attributes=ATTRIBUTES, indent=1)
            paths = list(board.glob("synthetic/*/*.json"))
            size = sum(path.stat().st_size for path in paths) / 1e6
            floor_seconds(board)  # the files are in memory from now on, for both
            floor = floor_seconds(board)
            before = resource.getrusage(resource.RUSAGE_CHILDREN), time.process_time()
            took = build_seconds(board, out)
            after = resource.getrusage(resource.RUSAGE_CHILDREN), time.process_time()
            cpu = sum(after[0][:2]) - sum(before[0][:2]) + after[1] - before[1]
            linear = "" if last is None else f"{took / last[1] / (n / last[0]):.2f}"
            print(
                f"{n:>7}{len(paths):>9,}{size:>8.0f}{took:>9.1f}{cpu:>8.1f}{floor:>9.1f}{took / floor:>7.2f}{linear:>11}",
                flush=True,
            )
            site = out / "synthetic"
            kinds = (
                "data/board.js",
                "data/tasks/*.js",
                "data/entries/*/*.js",
                "data/fairness/*/*.js",
                "data/pairs/*/*.js",
            )
            print(
                "  largest files, MB: " + ", ".join(f"{kind} {largest_mb(site, kind):.2f}" for kind in kinds)
            )
            print(
                "  s to see: "
                + ", ".join(f"{name} {seen:.2f}" for name, seen in opened_seconds(site).items())
            )
            if n == 500:
                print(f"budget {BUDGET_SECONDS:.0f} s: {took / BUDGET_SECONDS:.2f} of it")
            last = n, took


if __name__ == "__main__":
    main()
