"""A run that is killed again and again, against a server that fails every fifth call, ends as an undisturbed one."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from loopback import Loopback, Plan, serve
from running import command, environment, final_ids, make_set, nova, settings

import nova_bench as nb

pytest.importorskip("openai")

CONCURRENCY = 8
FAULTS = {"429": 0.05, "500": 0.04, "503": 0.04, "reset": 0.04, "cut": 0.03}


def words(data: Path, url: str, out: Path) -> list[str | Path]:
    """Return the one command of a run."""
    return [
        *("run", "nova_localization", "--data", data, "--model", "openai:tiny", "-o", f"base_url={url}"),
        *("--concurrency", str(CONCURRENCY), "--out", out),
    ]


def digests(home: Path, out: Path, url: str) -> dict[str, str]:
    """Return, by request id, what the server counts a request under: the sha256 of its body."""
    plan = nb.open_run(out, settings=settings(home)).plan
    adapter = nb.load_model("openai:tiny", {"base_url": url}).adapter
    return {
        request.id: hashlib.sha256(adapter.body(request).json()).hexdigest()  # type: ignore[attr-defined]
        for sample in plan.samples()
        for request in plan.requests(sample)  # type: ignore[arg-type]
    }


def settle(server: Loopback) -> None:
    """Wait until the server has dealt with what a dead client left."""
    while server.stats.in_flight:
        time.sleep(0.01)


def kill_at(process: subprocess.Popen[bytes], server: Loopback, answers: int, seconds: float) -> bool:
    """Kill a process some seconds after the server gave so many more answers; False if it ended before."""
    target = server.stats.answered.total() + answers
    while server.stats.answered.total() < target and process.poll() is None:
        time.sleep(0.002)
    time.sleep(seconds)
    alive = process.poll() is None
    process.kill()
    process.wait()
    return alive


SEED = 1


def test_killed_run_ends_like_an_undisturbed_one_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", [2, 3] * 20)
    dice = random.Random(SEED)
    out = tmp_path / "killed"
    with serve(Plan()) as (url, _):
        calm = nova(tmp_path, *words(data, url, tmp_path / "calm"))
        assert calm.returncode == 0, calm.stderr

    with serve(Plan(latency=0.03, faults=FAULTS, seed=SEED)) as (url, server):
        body = digests(tmp_path, tmp_path / "calm", url)
        n = len(body)
        assert len(set(body.values())) == n  # no two requests alike, so that the server can tell them apart
        # Once while it starts, four times while it asks.
        moments = [(0, dice.uniform(0.2, 0.7))]
        moments += [(dice.randint(1, 8), dice.uniform(0, 0.03)) for _ in range(4)]
        kills, wasted = 0, 0
        snapshots: list[tuple[set[str], Counter[str]]] = []
        for answers, seconds in moments:
            process = subprocess.Popen(
                command(*words(data, url, out)),
                cwd=tmp_path,
                env=environment(tmp_path),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if not kill_at(process, server, answers, seconds):
                break
            settle(server)
            kills += 1
            logged = final_ids(out)
            lost = server.stats.answered.total() - len(logged)
            assert lost - wasted <= CONCURRENCY
            wasted = lost
            snapshots.append((logged, server.stats.answered.copy()))
        assert kills == len(moments)
        assert any(logged for logged, _ in snapshots)
        assert len(snapshots[-1][0]) < n

        codes: list[int] = []
        while 0 not in codes and len(codes) < 5:
            codes.append(nova(tmp_path, *words(data, url, out)).returncode)
        assert codes[-1] == 0
        settle(server)
        for logged, answered in snapshots:
            for request_id in logged:
                assert server.stats.answered[body[request_id]] == answered[body[request_id]]
        assert set(server.stats.answered) == set(body.values())
        assert server.stats.answered.total() - n == wasted <= kills * CONCURRENCY
        assert server.stats.faults.total() > 0
    assert (out / "report.json").read_bytes() == (tmp_path / "calm" / "report.json").read_bytes()


def test_killed_while_scoring_keeps_every_answer(tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", [2] * 10)
    out = tmp_path / "run"
    with serve(Plan()) as (url, server):
        process = subprocess.Popen(
            command(*words(data, url, out)),
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while len(final_ids(out)) < 20 and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        again = nova(tmp_path, *words(data, url, out))
        assert again.returncode == 0, again.stderr
        assert server.stats.answered.total() == 20
        calm = nova(tmp_path, *words(data, url, tmp_path / "calm"))
        assert calm.returncode == 0
    assert (out / "report.json").read_bytes() == (tmp_path / "calm" / "report.json").read_bytes()
