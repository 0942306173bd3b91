"""Requests a second over a loopback server: our OpenAI backend, a bare aiohttp loop that sends ``json=``, and Inspect AI.

    python benchmarks/openai_loopback.py [--quick] [--no-inspect]

Every contender runs as a process of its own against the same server process, with the same PNG files, no two alike. The server reads
each body whole and answers a constant, so that the client is what is measured. It notes when the first request came and when the
last one was answered: the rate is between these two, so nobody's start-up counts; it stands in a column of its own. CPU is that of
the whole process less that of a run with one request, so imports do not count either. Rounds alternate, because other work on the
machine drifts: a ratio is that of the medians.

The first two only send and read. ``nova-bench run`` is the whole command on a data set of the same pictures, with its log, cold, and its
report, against the whole command of Inspect AI; that comes twice, as it is, with as many connections and no display, and lean, where it
keeps no answers and scores nothing. Both read the pictures from the same files, and Inspect's log holds no picture. Neither may answer
from a cache. Inspect is installed from the package index into an environment of its own (in the user's cache folder) where it is
missing; ``--quick`` leaves it out then.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROMPT = "Mark every abnormality in this brain MRI as JSON with bbox_2d in 0-1000."
PEERS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nova_bench_peers"
LEAN = ("--no-score", "--no-log-images", "--no-log-realtime", "--no-log-samples", "--display", "none")
"""What makes Inspect fast: it then keeps no answers, which it does by default and nova-bench always."""
LABELS = {
    "bare": "bare aiohttp",
    "ours": "nova_bench",
    "run": "nova-bench run",
    "inspect": "Inspect AI",
    "inspect, lean": "Inspect AI, lean",
}


def write_images(folder: Path, n: int, side: int = 550) -> None:
    """Write grey PNGs of about `side` squared bytes (noise does not compress, so the size is set by the pixels), and a table as NOVA's."""
    import PIL.Image
    import pyarrow as pa
    import pyarrow.parquet as pq

    for i in range(n):
        pixels = random.Random(i).randbytes(side * side)
        PIL.Image.frombytes("L", (side, side), pixels).save(folder / f"{i}.png", compress_level=1)
    box = {"x": 9.0, "y": 9.0, "width": 99.0, "height": 99.0, "source": "gold"}
    meta = {"clinical_history": "Headache.", "final_diagnosis": "glioma"}
    rows = [
        {
            **{"filename": f"{i}.png", "image_path": f"{i}.png", "case_id": str(i), "scan_id": str(i)},
            **{"caption_text": "Axial T2 image.", "meta": meta, "bboxes": [box]},
        }
        for i in range(n)
    ]
    (folder / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "data" / "nova-v1.parquet")


@contextlib.contextmanager
def server(folder: Path, latency: float, name: str = "", *more: str) -> Iterator[str]:
    """Run the loopback server in a process of its own, with more of its options."""
    port_file = folder / f"port-{name}{latency}"
    words = ["--raw", "--latency", str(latency), "--port-file", str(port_file), *more]
    process = subprocess.Popen([sys.executable, str(ROOT / "tests" / "loopback.py"), *words])
    try:
        while not port_file.exists():
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port_file.read_text()}"
    finally:
        process.terminate()
        process.wait()


# The contenders that are this file, started again.


async def bare(url: str, paths: list[Path], concurrency: int) -> int:
    """Send all requests as the shortest aiohttp program does."""
    import aiohttp

    left = iter(paths)
    n_answered = 0

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal n_answered
        for path in left:
            data = base64.b64encode(path.read_bytes()).decode()
            content = [
                {"type": "text", "text": PROMPT},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
            ]
            body = {
                "model": "m",
                "max_tokens": 500,
                "temperature": 0,
                "messages": [{"role": "user", "content": content}],
            }
            async with session.post(
                f"{url}/v1/chat/completions", json=body, headers={"Authorization": "Bearer none"}
            ) as response:
                answer = await response.json()
                n_answered += answer["choices"][0]["message"]["content"] == "[]"

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:
        await asyncio.gather(*(work(session) for _ in range(concurrency)))
    return n_answered


def ours(url: str, paths: list[Path], concurrency: int) -> int:
    """Send all requests through the backend, as the engine does."""
    sys.path.insert(0, str(ROOT))
    from nova_bench.backends import OpenAIChat
    from nova_bench.images import Image
    from nova_bench.types import GenParams, Request

    params = GenParams(max_tokens=500, temperature=0.0)
    chat = OpenAIChat(model="m", base_url=f"{url}/v1", concurrency=concurrency)
    requests = (Request(path.name, path.name, 0, (PROMPT, Image(path)), params=params) for path in paths)
    n_answered = sum(response.text == "[]" for response in chat.generate(requests))
    chat.close()
    return n_answered


def contend(name: str, url: str, folder: Path, n: int, concurrency: int) -> None:
    """Be one of these two; every request must be answered."""
    paths = [folder / f"{i}.png" for i in range(n)]
    n_answered = (
        asyncio.run(bare(url, paths, concurrency)) if name == "bare" else ours(url, paths, concurrency)
    )
    if n_answered != n:
        raise SystemExit(f"{n_answered} of {n} requests were answered; the figures would mean nothing")


# Inspect AI.


def inspect_folder(*, may_install: bool) -> Path | None:
    """Return the environment that holds Inspect AI, made now if it may be; None if it is not there."""
    folder = PEERS / "inspect"
    if not (folder / "bin" / "inspect").exists():
        if not may_install:
            return None
        print(f"installing inspect-ai into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run(
            [str(folder / "bin" / "pip"), "install", "--quiet", "inspect-ai", "openai"], check=True
        )
    return folder


def inspect_versions(folder: Path) -> str:
    """Return what is installed there."""
    code = "from importlib.metadata import version as v; print('inspect-ai', v('inspect-ai'), ' openai', v('openai'))"
    done = subprocess.run(
        [str(folder / "bin" / "python"), "-c", code], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


# Measuring.


@dataclass(frozen=True)
class Taken:
    """One run of one contender."""

    rate: float
    start: float
    """Seconds from the start of the process to its first request at the server."""
    cpu: float
    """CPU seconds of the process and those that it started."""


def measure(
    words: Sequence[str | Path], url: str, n: int, env: dict[str, str], cwd: Path | None = None
) -> Taken:
    """Run a contender and read from the server what it did."""
    urllib.request.urlopen(urllib.request.Request(f"{url}/reset", method="POST")).close()
    with tempfile.TemporaryFile() as said:
        began = time.time()
        process = subprocess.Popen(
            [str(word) for word in words], stdout=said, stderr=said, env={**os.environ, **env}, cwd=cwd
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if process.returncode:
            raise SystemExit(f"{words[0]} ended with {process.returncode}:\n{said.read().decode()[-3000:]}")
    with urllib.request.urlopen(f"{url}/stats") as answer:
        stats = json.load(answer)
    if stats["calls"] != n or stats["answered"] != {"raw": n}:
        raise SystemExit(f"{n} requests were wanted; the server saw {stats}")
    span = stats["last_at"] - stats["first_at"]
    return Taken(n / span, stats["first_at"] - began, used.ru_utime + used.ru_stime)


class Contenders:
    """Starts each of them by name."""

    def __init__(self, images: Path, concurrency: int, inspect: Path | None) -> None:
        self.images, self.concurrency, self.inspect = images, concurrency, inspect

    def run(self, name: str, url: str, n: int) -> Taken:
        if name.startswith("inspect"):
            return self._inspect(url, n, LEAN if name.endswith("lean") else ("--display", "none"))
        if name == "run":
            return self._whole_run(url, n)
        words = ["--contender", name, "--url", url, "--images", self.images, "--requests", str(n)]
        words += ["--concurrency", str(self.concurrency)]
        return measure([sys.executable, Path(__file__).resolve(), *words], url, n, {"PYTHONPATH": str(ROOT)})

    def _whole_run(self, url: str, n: int) -> Taken:
        with tempfile.TemporaryDirectory() as home:
            words = [sys.executable, "-m", "nova_bench", "run", "nova_localization", "--data", self.images]
            words += [
                "--model",
                "openai:m",
                "-o",
                f"base_url={url}/v1",
                "--concurrency",
                str(self.concurrency),
            ]
            words += ["--limit", str(n), "--out", f"{home}/run"] if n == 1 else ["--out", f"{home}/run"]
            env = {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": home, "XDG_CONFIG_HOME": home}
            return measure(words, url, n, env)

    def _inspect(self, url: str, n: int, settings: Sequence[str]) -> Taken:
        assert self.inspect is not None
        with tempfile.TemporaryDirectory() as logs:
            words = [
                self.inspect / "bin" / "inspect",
                "eval",
                "inspect_task.py",
                "--model",
                "openai-api/loopback/m",
            ]
            words += ["-T", f"folder={self.images}", "-T", f"n={n}", "-T", f"prompt={PROMPT}"]
            words += ["--max-connections", str(self.concurrency), "--max-samples", str(self.concurrency)]
            words += ["--max-tokens", "500", "--temperature", "0", "--log-dir", logs]
            words += settings
            taken = measure(
                words,
                url,
                n,
                {
                    "LOOPBACK_BASE_URL": f"{url}/v1",
                    "LOOPBACK_API_KEY": "none",
                    "XDG_CACHE_HOME": logs,
                    "XDG_DATA_HOME": logs,
                },
                Path(__file__).resolve().parent / "peers",  # it takes no absolute path
            )
            (log,) = Path(logs).glob("*.eval")
            dump = [str(self.inspect / "bin" / "inspect"), "log", "dump", "--header-only", str(log)]
            header = json.loads(subprocess.run(dump, check=True, capture_output=True).stdout)
            if header["status"] != "success" or header["stats"]["model_usage"] == {}:
                raise SystemExit(f"Inspect's own log says {header['status']}: {header.get('error')}")
        return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="about ten seconds; installs nothing")
    parser.add_argument("--no-inspect", action="store_true")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--contender", choices=("bare", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--images", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    n, concurrency = args.requests, args.concurrency
    if args.contender is not None:
        contend(args.contender, args.url, args.images, n, concurrency)
        return
    rounds = args.rounds
    if args.quick:
        n, rounds = min(n, 150), 2
    inspect = None if args.no_inspect else inspect_folder(may_install=not args.quick)
    names = ("aiohttp", "openai", "httpx2")
    versions = "  ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    print(
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}  {os.cpu_count()} CPUs  python {platform.python_version()}  {versions}"
    )
    if inspect is not None:
        print(
            f"{inspect_versions(inspect)}: --max-connections {concurrency} --max-samples {concurrency}; lean: {' '.join(LEAN)}"
        )
    print(
        f"{n} requests of distinct 300 kB PNGs, concurrency {concurrency}, median of {rounds} interleaved rounds"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_images(folder, n)
        contenders = Contenders(folder, concurrency, inspect)
        for latency in (0.0, 0.2):
            with server(folder, latency) as url:
                whole = ("run", "inspect", "inspect, lean") if inspect is not None and not latency else ()
                compare(contenders, url, n, rounds, latency, whole[:2] if args.quick else whole)


def compare(
    contenders: Contenders, url: str, n: int, rounds: int, latency: float, whole: Sequence[str]
) -> None:
    """Measure all contenders at one latency and print their lines and the ratios."""
    pair = ("bare", "ours")
    taken: dict[str, list[Taken]] = {name: [] for name in (*pair, *whole)}
    once = {name: contenders.run(name, url, 1) for name in taken}
    for i in range(rounds):
        for name in pair if i % 2 == 0 else pair[::-1]:
            taken[name].append(contenders.run(name, url, n))
        if i == 0 or (i == rounds - 1 and rounds > 2):
            for name in whole:
                taken[name].append(contenders.run(name, url, n))
    rates = {name: statistics.median(each.rate for each in runs) for name, runs in taken.items()}
    pairs = zip(taken["ours"], taken["bare"], strict=True)
    each_round = " ".join(f"{mine.rate / theirs.rate:.2f}" for mine, theirs in pairs)
    print(
        f"\nlatency {latency * 1000:>3.0f} ms     {'requests':>10} {'first request':>15} {'CPU a request':>15}"
    )
    for name, runs in taken.items():
        cpu = (statistics.median(each.cpu for each in runs) - once[name].cpu) / max(n - 1, 1)
        start = statistics.median(each.start for each in runs)
        note = f"{rates['ours'] / rates['bare']:.2f} of bare ({each_round})" if name == "ours" else ""
        if name.startswith("inspect"):
            note = f"nova_bench's backend is {rates['ours'] / rates[name]:.1f} times as fast, its run {rates['run'] / rates[name]:.1f} times"
        print(
            f"{LABELS[name]:<16} {rates[name]:>8.0f} /s {start:>13.2f} s {cpu * 1000:>12.2f} ms   {note}",
            flush=True,
        )


if __name__ == "__main__":
    main()
