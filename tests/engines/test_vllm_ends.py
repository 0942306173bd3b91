"""What is left of vLLM's processes, and of what they were asked, when somebody ends one of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.engine

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = {"dtype": "float32", "max_model_len": "2048", "enforce_eager": "true", "max_num_seqs": "16"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    pytest.importorskip("vllm")
    sys.path.insert(0, str(Path(__file__).parent))
    from tiny_models import make

    return make("qwen2_vl", tmp_path_factory.mktemp("models") / "qwen2_vl")


@pytest.fixture(scope="module")
def environment():
    return {
        **os.environ,
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }


PROGRAM = textwrap.dedent(
    """
    import json, os, sys, threading, time

    def main():
        from nova_bench.catalog import load_model
        from nova_bench.types import GenParams, Request
        model = load_model("vllm:" + sys.argv[1], json.loads(sys.argv[2]))
        import psutil
        children = [child.pid for child in psutil.Process().children(recursive=True)]
        print(json.dumps({"children": children}), flush=True)
        stop = threading.Event()
        def requests():
            n = 0
            while not stop.is_set():
                yield Request(str(n), str(n), 0, ("Is it?",), params=GenParams(max_tokens=400, temperature=1.0, seed=n))
                n += 1
        def answer():
            n_answered = n_failed = 0
            try:
                for response in model.adapter.generate(requests()):
                    n_answered += response.finish != "error"
                    n_failed += response.finish == "error"
                    if n_answered == 1:
                        print(json.dumps({"first": response.id}), flush=True)
            except Exception as error:
                print(json.dumps({"error": type(error).__name__, "text": str(error)}), flush=True)
            print(json.dumps({"answered": n_answered, "failed": n_failed}), flush=True)
            finished.set()
        finished = threading.Event()
        threading.Thread(target=answer, daemon=True).start()
        while not finished.is_set():  # as nova_bench.ask does
            try:
                finished.wait(0.1)
            except KeyboardInterrupt:
                stop.set()
        began = time.monotonic()
        model.close()
        print(json.dumps({"close_seconds": time.monotonic() - began}), flush=True)

    if __name__ == "__main__":
        main()
    """
)


class Running:
    """The program, in a session of its own, as in a terminal."""

    def __init__(self, checkpoint, environment, folder, **options):
        script = folder / "program.py"
        script.write_text(PROGRAM, encoding="utf-8")
        self.errors = (folder / "stderr").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, script, checkpoint, json.dumps({**OPTIONS, **options})],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            start_new_session=True,
        )
        self.said = {}

    def until(self, key):
        for line in self.process.stdout:
            self.said |= json.loads(line)
            if key in self.said:
                return self.said[key]
        self.errors.seek(0)
        raise AssertionError(f"ended before {key!r}: {self.said}; {self.errors.read()[-2000:]}")

    def end(self):
        """Return what was written to standard error, once the process has ended."""
        for line in self.process.stdout:
            self.said |= json.loads(line)
        assert self.process.wait(30) is not None
        self.errors.seek(0)
        return self.errors.read()

    def left(self, seconds):
        """Return which of the processes are still there after a while; Python's own resource tracker ends a moment after us."""
        deadline = time.monotonic() + seconds
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.alive()

    def alive(self):
        import psutil

        alive = []
        for pid in self.said["children"]:
            try:
                if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                    alive.append(pid)
            except psutil.NoSuchProcess:
                continue
        return alive


@pytest.fixture
def running(checkpoint, environment, tmp_path):
    program = Running(checkpoint, environment, tmp_path)
    program.until("first")
    yield program
    if program.process.poll() is None:
        os.killpg(program.process.pid, signal.SIGKILL)
    program.process.wait(30)
    program.process.stdout.close()
    program.errors.close()


def test_ctrl_c_lets_what_is_in_flight_arrive_and_leaves_nothing_behind(running):
    os.killpg(running.process.pid, signal.SIGINT)  # as the terminal does: to every process of the session
    errors = running.end()
    assert running.process.returncode == 0
    assert running.said["answered"] >= 24  # all that were in flight
    assert running.said["failed"] == 0
    assert running.said["close_seconds"] < 5
    assert running.left(2) == []
    assert errors == ""


def test_an_engine_that_is_killed_ends_the_run_and_not_the_process(running):
    import psutil

    engine = next(
        process for process in psutil.Process(running.process.pid).children() if "Engine" in process.name()
    )
    engine.kill()
    running.end()
    assert running.process.returncode == 0
    assert running.said["error"] == "AdapterError"
    assert "vLLM's engine died" in running.said["text"]
    assert "The end of its log:\n" in running.said["text"]
    assert running.said["failed"] == 24  # in flight: to be asked again
    assert running.said["answered"] >= 1
    assert running.said["close_seconds"] < 5
    assert running.left(2) == []


def test_nothing_survives_when_we_are_killed(running):
    before = running.alive()
    assert len(before) >= 2  # the engine and its guard, at least
    running.process.kill()
    assert running.left(20) == []
