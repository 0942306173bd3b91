"""The judged stage goes on after faults, Ctrl-C and a kill, and ends where an undisturbed one does."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from judged_runs import run, small_set, verdicts_of
from judged_task import FakeJudge, verdict_on
from running import environment, final_ids, settings

import nova_bench as nb
from nova_bench.errors import LogError
from nova_bench.judge_log import VerdictLog, asked_judges


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_set(tmp_path_factory.mktemp("small"))


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_bad_judge_ends_where_an_undisturbed_one_does(tmp_path: Path, data: Path, repeats: int) -> None:
    """Fails three calls in ten and breaks one in ten, whatever is asked; the same start again until all is judged."""
    dice = random.Random(7)

    def bad(request: nb.Request, nth: int) -> nb.Response | str | None:
        fate = dice.random()
        if fate < 0.3:
            return nb.Response(request.id, finish="error", error="busy")
        return "{" if fate < 0.4 and request.params.seed % 3 < 2 else named(request)

    def named(request: nb.Request) -> nb.Response:
        return nb.Response(request.id, json.dumps(verdict_on(request)), model="judge-2031")

    def smooth(request: nb.Request, nth: int) -> nb.Response:
        return named(request)

    starts = 1
    disturbed = run(tmp_path / "a", data, [FakeJudge(bad)], judge_repeats=repeats)
    while not disturbed.is_complete:
        assert starts < 30
        disturbed = run(tmp_path / "a", data, [FakeJudge(bad)], judge_repeats=repeats)
        starts += 1
    assert starts > 1
    whole = run(tmp_path / "b", data, [FakeJudge(smooth)], judge_repeats=repeats)
    assert disturbed.report() == whole.report()
    assert (tmp_path / "a/out/report.json").read_bytes() == (tmp_path / "b/out/report.json").read_bytes()


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from judged_task import FakeJudge, judged
import nova_bench as nb

class Slow:
    def __init__(self, seconds): self.seconds = seconds
    def generate(self, requests):
        for request in requests:
            time.sleep(self.seconds)
            yield nb.Response(request.id, "ANSWER: Axial T2 image")

class SlowJudge(FakeJudge):
    def answer(self, request):
        time.sleep(float(sys.argv[1]))
        return super().answer(request)

run = nb.evaluate(judged(), Slow(float(sys.argv[1])), data={data!r}, out={out!r}, judges=[SlowJudge()])
print(repr(run.progress.error), run.is_complete)
"""


def test_ctrl_c_lets_model_and_judge_finish_what_they_have(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "out"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), data=str(data), out=str(out)))

    def start(seconds: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(script), seconds],
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            text=True,
        )

    process = start("0.3")
    while not out.exists() or not list(out.glob("judges/*/verdicts.jsonl")) or not verdicts_of(out):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert said.split() == ["KeyboardInterrupt()", "False"]
    n_answered, n_judged = len(final_ids(out)), len(verdicts_of(out))
    assert 0 < n_judged <= n_answered < 12
    said, _ = start("0").communicate(timeout=60)
    assert said.split() == ["None", "True"]
    ids = [record["id"] for record in verdicts_of(out)]
    assert len(ids) == len(set(ids)) == 12


def test_a_killed_start_loses_only_what_was_in_flight(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "out"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), data=str(data), out=str(out)))
    words = [sys.executable, str(script)]
    process = subprocess.Popen([*words, "0.2"], env=environment(tmp_path), stdout=subprocess.PIPE)
    while not out.exists() or not list(out.glob("judges/*/verdicts.jsonl")) or len(verdicts_of(out)) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    kept = {record["id"] for record in verdicts_of(out)}
    (log,) = out.glob("judges/*/verdicts.jsonl")
    with log.open("a") as file:
        file.write('{"id": "torn')
    done = subprocess.run(
        [*words, "0"], env=environment(tmp_path), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["None", "True"]
    ids = [record["id"] for record in verdicts_of(out)]
    assert len(ids) == len(set(ids)) == 12
    assert kept <= set(ids)


def test_two_writers_of_one_judges_log_are_refused(tmp_path: Path, data: Path) -> None:
    done = run(tmp_path, data, [FakeJudge()])
    (one,) = asked_judges(tmp_path / "out")
    with VerdictLog(one.folder, append=True), pytest.raises(LogError, match="another process"):
        nb.rejudge(done, [FakeJudge()], settings=settings(tmp_path))


def test_a_damaged_line_of_the_verdicts_is_named(tmp_path: Path, data: Path) -> None:
    done = run(tmp_path, data, [FakeJudge()])
    (path,) = (tmp_path / "out" / "judges").glob("*/verdicts.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], "{}\n", *lines[1:]]))
    with pytest.raises(LogError, match=r"verdicts\.jsonl line 2 is damaged"):
        done.report(fresh=True)
