"""The guard between us and a server: nothing that it started outlives the process that wanted it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from nova_bench.backends import vllm_guard

SECONDS = 1.0

# A server that is deaf to requests to end, with a child that has left its session, as stubborn as it gets.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", deaf], start_new_session=True)
with open(sys.argv[1] + ".part", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(600)
"""

PARENT = """
import os, subprocess, sys, time
guard = subprocess.Popen(
    [sys.executable, "-I", "-S", sys.argv[1], str(os.getpid()), sys.argv[2], *sys.argv[3:]], stdin=subprocess.PIPE, start_new_session=True
)
print(guard.pid, flush=True)
time.sleep(600)
"""


def guarded(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", vllm_guard.__file__, str(os.getpid()), str(SECONDS), *command],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def wait_for(path: Path) -> list[psutil.Process]:
    while not path.exists():
        time.sleep(0.01)
    return [psutil.Process(int(pid)) for pid in path.read_text().split()]


def gone(processes: list[psutil.Process], seconds: float = 5.0) -> bool:
    return not psutil.wait_procs(processes, timeout=seconds)[1]


def test_server_and_what_left_its_session_end_when_the_pipe_closes(tmp_path: Path) -> None:
    guard = guarded(sys.executable, "-c", STUBBORN, str(tmp_path / "pids"))
    assert guard.stdin is not None
    try:
        processes = wait_for(tmp_path / "pids")
    finally:
        guard.stdin.close()
    assert gone(processes)
    assert guard.wait(5) == 128 + signal.SIGKILL


def test_server_ends_when_its_wanter_is_killed(tmp_path: Path) -> None:
    wanter = subprocess.Popen(
        [
            *(sys.executable, "-c", PARENT, vllm_guard.__file__, str(SECONDS)),
            *(sys.executable, "-c", STUBBORN, str(tmp_path / "pids")),
        ],
        stdout=subprocess.PIPE,
    )
    assert wanter.stdout is not None
    with wanter.stdout:
        guard = psutil.Process(int(wanter.stdout.readline()))
        processes = [guard, *wait_for(tmp_path / "pids")]
        wanter.kill()
        wanter.wait()
    assert gone(processes)


def test_server_ends_when_the_guard_is_killed(tmp_path: Path) -> None:
    guard = guarded(sys.executable, "-c", STUBBORN, str(tmp_path / "pids"))
    assert guard.stdin is not None
    with guard.stdin:
        server, child = wait_for(tmp_path / "pids")
        guard.kill()
        guard.wait()
    try:
        assert sys.platform != "linux" or gone([server])
    finally:
        child.kill()  # in a session of its own: nobody is left who knows it


@pytest.mark.parametrize(
    ("code", "shown"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 15)", 143)]
)
def test_exit_code_is_the_servers(code: str, shown: int) -> None:
    guard = guarded(sys.executable, "-c", code)
    assert guard.stdin is not None
    with guard.stdin:
        assert guard.wait(10) == shown


def test_descendants_are_found_by_their_parents() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        assert child.pid in vllm_guard.descendants(os.getpid())
        assert os.getpid() not in vllm_guard.descendants(child.pid)
    finally:
        child.kill()
        child.wait()
    assert child.pid not in vllm_guard.descendants(os.getpid())
