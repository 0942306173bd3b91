"""What a run's report says of its judges' trustworthiness: repeats and panels at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from judged_task import write_task
from running import make_set
from test_cli_judges import MODEL, asked, judge_run

JUDGE = '''
"""A judge whose scores move by one between its repeats, and by `harsh` between judges; every call is noted in a file."""
import json

import nova_bench as nb
from judged_task import verdict_on


class Judge:
    def __init__(self, harsh):
        self.harsh = harsh

    def generate(self, requests):
        for request in requests:
            with open("asked_judge.txt", "a") as file:
                file.write(f"{self.harsh} {request.id}\\n")
            verdict = verdict_on(request)
            moved = (sum(request.sample.encode()) + request.repeat) % 2
            score = max(0, verdict["score"] - moved - self.harsh)
            verdict |= {"score": score, "label": "CORRECT" if score > 4 else "INCORRECT"}
            yield nb.Response(request.id, json.dumps(verdict), usage=nb.Usage(100, 10))


def load(model: str = "mild", harsh: int = 0, concurrency: int = 1):
    return Judge(harsh)
'''


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a set of 12 images, the judged task, a model and a judge."""
    make_set(tmp_path / "set", [1, 2] * 4)
    write_task(tmp_path)
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "judge.py").write_text(JUDGE)
    return tmp_path


def test_repeats_stand_in_the_report(home: Path) -> None:
    done = judge_run(home, "--judge", "./judge.py", "--judge-repeats", "2", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    records = {record["metric"]: record for record in document["runs"][0]["judge_repeats"]}
    assert set(records) == {
        f"{name}(judge=judge:mild{rest})"
        for name, rest in (("likeness", ""), ("correct", ""), ("bare", ",mean"))
    }
    record = records["likeness(judge=judge:mild)"]
    (cell,) = (
        cell for cell in document["cells"] if cell["metric"] == record["metric"] and cell["slice"] == "all"
    )
    assert [record[key] for key in ("value", "low", "high")] == [
        cell[key] for key in ("value", "low", "high")
    ]
    assert sum(record["values"]) / 2 == pytest.approx(record["value"])
    assert 0 < record["share_of_interval"] < 1
    assert record["judge_s"] > 0
    assert record["agreement"][0]["percent"]["value"] < 1
    told = judge_run(home, verb=("report", "out")).stdout
    assert "judges asked again" in told
    assert "share of interval" in told
    assert f"{100 * record['share_of_interval']:.1f}%" in told
    assert f"likeness {record['agreement'][0]['percent']['value']:.3f}" in told
    stored = json.loads((home / "out" / "report.json").read_text())
    assert stored["judge_repeats"] == document["runs"][0]["judge_repeats"]
    again = judge_run(home, "--json", verb=("score", "out"))
    assert json.loads((home / "out" / "report.json").read_text()) == stored, again.stderr


def test_a_judge_asked_once_has_no_repeats(home: Path) -> None:
    done = judge_run(home, "--judge", "./judge.py", "--json")
    assert json.loads(done.stdout)["runs"][0]["judge_repeats"] == []
    assert "judges asked again" not in judge_run(home, verb=("report", "out")).stdout


def test_a_panel_at_the_command_line(home: Path) -> None:
    done = judge_run(
        home, "--judge", "./judge.py:a", "--judge", "./judge.py:b", "--judge", "./judge.py:c",
        "-J", "harsh@./judge.py:b=1", "-J", "harsh@./judge.py:c=4", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    cells = {cell["metric"]: cell["value"] for cell in json.loads(done.stdout)["cells"]}
    names = [f"judge:{name}" for name in "abc"]
    calls = len(asked(home, "judge"))
    found = judge_run(home, "--json", verb=("judge", "agreement", "out"))
    assert found.returncode == 0, found.stderr
    panel = json.loads(found.stdout)["panel"]
    assert (panel["judges"], panel["how"]) == (names, "mean")
    record = next(one for one in panel["metrics"] if one["metric"] == "likeness(judge=panel)")
    each = [cells[f"likeness(judge={name})"] for name in names]
    assert record["value"] == pytest.approx(sum(each) / 3)
    assert record["judges"] == pytest.approx(dict(zip(names, each, strict=True)))
    assert record["spread"] == pytest.approx(max(each) - min(each))
    assert {one["column"] for one in panel["disagreement"]} == {"likeness", "correct"}
    two = ("--panel", "majority", "--judge", "judge:a", "--judge", "judge:c")
    voted = judge_run(home, *two, "--json", verb=("judge", "agreement", "out"))
    assert json.loads(voted.stdout)["panel"]["judges"] == ["judge:a", "judge:c"]
    told = judge_run(home, *two, verb=("judge", "agreement", "out"))
    assert "panel of judge:a, judge:c (majority)" in told.stdout
    assert "agreement between the judges: likeness" in told.stdout
    assert len(asked(home, "judge")) == calls  # a panel asks nothing
    wrong = judge_run(home, "--judge", "judge:d", verb=("judge", "agreement", "out"))
    assert wrong.returncode == 2
    assert "did you mean 'judge:" in wrong.stderr
