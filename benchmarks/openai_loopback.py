"""Requests a second over a loopback server: our OpenAI backend against a bare aiohttp loop that sends ``json=``.

    python benchmarks/openai_loopback.py [--quick]

Both read the same PNG files, encode them and read the answer's text. The server runs in a process of its own, reads each body
whole and answers a constant, so that the client is what is measured. Rounds alternate, because other work on the machine drifts:
the result is the ratio of the medians, and the budget is 1.0 or more.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import datetime
import importlib.metadata
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from nova_bench.backends import OpenAIChat  # noqa: E402
from nova_bench.images import Image  # noqa: E402
from nova_bench.types import GenParams, Request  # noqa: E402

PROMPT = "Mark every abnormality in this brain MRI as JSON with bbox_2d in 0-1000."


def write_images(folder: Path, n: int) -> list[Path]:
    """Write grey PNGs of about 300 kB (noise does not compress, so the size is set by the pixels)."""
    import PIL.Image

    paths = [folder / f"{i}.png" for i in range(n)]
    for i, path in enumerate(paths):
        PIL.Image.frombytes("L", (550, 550), random.Random(i).randbytes(550 * 550)).save(
            path, compress_level=1
        )
    return paths


@contextlib.contextmanager
def server(folder: Path, latency: float) -> Iterator[str]:
    """Run the loopback server in a process of its own."""
    port_file = folder / f"port-{latency}"
    command = [
        sys.executable,
        str(ROOT / "tests" / "loopback.py"),
        "--raw",
        "--latency",
        str(latency),
        "--port-file",
        str(port_file),
    ]
    process = subprocess.Popen(command)
    try:
        while not port_file.exists():
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port_file.read_text()}/v1"
    finally:
        process.terminate()
        process.wait()


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
                f"{url}/chat/completions", json=body, headers={"Authorization": "Bearer none"}
            ) as response:
                answer = await response.json()
                n_answered += answer["choices"][0]["message"]["content"] == "[]"

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:
        await asyncio.gather(*(work(session) for _ in range(concurrency)))
    return n_answered


def ours(url: str, paths: list[Path], concurrency: int) -> int:
    """Send all requests through the backend, as the engine does."""
    params = GenParams(max_tokens=500, temperature=0.0)
    chat = OpenAIChat(model="m", base_url=url, concurrency=concurrency)
    requests = (Request(path.name, path.name, 0, (PROMPT, Image(path)), params=params) for path in paths)
    n_answered = sum(response.text == "[]" for response in chat.generate(requests))
    chat.close()
    return n_answered


def seconds_of(run: Callable[[], int], n: int) -> float:
    """Return the seconds of one run, all of whose requests must be answered."""
    began = time.perf_counter()
    n_answered = run()
    seconds = time.perf_counter() - began
    if n_answered != n:
        raise SystemExit(f"{n_answered} of {n} requests were answered; the figures would mean nothing")
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="about ten seconds")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    n, rounds = (300, 3) if args.quick else (args.requests, args.rounds)
    names = ("python", "aiohttp", "openai", "httpx2")
    versions = [
        platform.python_version() if name == "python" else importlib.metadata.version(name) for name in names
    ]
    lines = [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}  {os.cpu_count()} CPUs  "
        + "  ".join(f"{name} {version}" for name, version in zip(names, versions, strict=True)),
        f"{n} requests of one 300 kB PNG, concurrency {args.concurrency}, median of {rounds} interleaved rounds",
        f"{'latency':>8} {'bare aiohttp':>14} {'OpenAIChat':>12} {'ratio':>7}  (rounds)",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_images(folder, min(n, 200)) * (n // min(n, 200) + 1)
        paths = paths[:n]
        for latency in (0.0, 0.2):
            with server(folder, latency) as url:
                runs: tuple[Callable[[], int], ...] = (
                    lambda url=url: asyncio.run(bare(url, paths, args.concurrency)),  # type: ignore[misc]
                    lambda url=url: ours(url, paths, args.concurrency),  # type: ignore[misc]
                )
                for run in runs:  # imports and connections, once
                    run()
                taken: tuple[list[float], list[float]] = ([], [])
                for i in range(rounds):
                    for which in (0, 1) if i % 2 == 0 else (1, 0):
                        taken[which].append(seconds_of(runs[which], n))
            rates = [n / statistics.median(seconds) for seconds in taken]
            each = " ".join(f"{slow / fast:.2f}" for slow, fast in zip(*taken, strict=True))
            lines.append(
                f"{latency * 1000:>5.0f} ms {rates[0]:>10.0f} /s {rates[1]:>10.0f} /s {rates[1] / rates[0]:>7.2f}  ({each})"
            )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
