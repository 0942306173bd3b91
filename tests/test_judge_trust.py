"""What a run's report says of its judges' trustworthiness: repeats and panels at the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from judged_task import FakeJudge, judged, write_task
from running import make_set, settings
from test_cli_judges import MODEL, asked, judge_run

import nova_bench as nb
from nova_bench.adapter import Model
from nova_bench.judge_stage import JudgeStage
from nova_bench.progress import Progress

JUDGE = '''
# /// script
# [tool.nova-bench]
# transport = ["concurrency"]
# ///
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
            if self.harsh < 0:
                yield nb.Response(request.id, finish="error", error="no such option")
                continue
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


def overall(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {cell["metric"]: cell for cell in document["cells"] if cell["slice"] == "all"}


def test_two_judges_of_one_name_are_two_columns(home: Path) -> None:
    """Asked by two commands, in whichever order: no numbers take the place of others."""
    assert judge_run(home, "--judge", "./judge.py").returncode == 0
    alone = overall(json.loads(judge_run(home, "--json", verb=("report", "out")).stdout))
    harsh = ("--judge", "./judge.py", "-J", "harsh=3", "--json")
    both = overall(json.loads(judge_run(home, *harsh, verb=("score", "out")).stdout))
    mild, severe = (both[f"likeness(judge=judge:mild[harsh={n}])"] for n in (0, 3))
    assert mild["value"] == alone["likeness(judge=judge:mild)"]["value"] > severe["value"]
    assert "likeness(judge=judge:mild)" not in both
    protocols = [cell["signature"]["protocol"]["judge"] for cell in (mild, severe)]
    assert [one["model"] for one in protocols] == ["judge:mild"] * 2
    assert [one["options"]["harsh"] for one in protocols] == [0, 3]
    assert protocols[0] == alone["likeness(judge=judge:mild)"]["signature"]["protocol"]["judge"]
    told = judge_run(home, verb=("report", "out")).stdout
    assert "judge judge:mild[harsh=0]: rubrics" in told
    params = ("--judge", "./judge.py", "--judge-param", "max_tokens=99", "--json")
    three = overall(json.loads(judge_run(home, *params, verb=("score", "out")).stdout))
    assert three["likeness(judge=judge:mild[harsh=0;max_tokens=99])"]["value"] == mild["value"]
    assert three["likeness(judge=judge:mild[harsh=3])"]["value"] == severe["value"]
    panel = json.loads(judge_run(home, "--json", verb=("judge", "agreement", "out")).stdout)["panel"]
    assert len(panel["judges"]) == 3


def test_two_judges_of_one_name_in_one_command(home: Path) -> None:
    twice = ("--judge", "./judge.py", "--judge", "./judge.py")
    done = judge_run(home, *twice, "-J", "harsh@1=1", "-J", "harsh@2=2", "--json")
    assert done.returncode == 0, done.stderr
    found = overall(json.loads(done.stdout))
    one, two = (found[f"likeness(judge=judge:mild[harsh={n}])"]["value"] for n in (1, 2))
    assert one > two
    assert "judge judge:mild[harsh=1]: 12 verdicts" in done.stderr
    assert sorted({line.split()[0] for line in asked(home, "judge")}) == ["1", "2"]
    # A transport option changes no answer, so these two are one judge.
    wrong = judge_run(home, *twice, "-J", "concurrency@1=2")
    assert wrong.returncode == 2
    assert "stands twice with the same options" in wrong.stderr
    assert "-J key@2=value" in wrong.stderr
    none = judge_run(home, *twice, "-J", "harsh@3=1")
    assert none.returncode == 2
    assert "or its place: 1, 2" in none.stderr


def test_an_edited_adapter_file_is_the_same_judge_asked_again(home: Path) -> None:
    assert judge_run(home, "--judge", "./judge.py").returncode == 0
    edited = (home / "judge.py").read_text().replace("moved - self.harsh", "moved - self.harsh - 1")
    (home / "judge.py").write_text(edited)
    before = overall(json.loads(judge_run(home, "--json", verb=("report", "out")).stdout))
    after = overall(
        json.loads(judge_run(home, "--judge", "./judge.py", "--json", verb=("score", "out")).stdout)
    )
    assert set(after) == set(before)
    assert after["likeness(judge=judge:mild)"]["value"] < before["likeness(judge=judge:mild)"]["value"]
    assert len(asked(home, "judge")) == 24


def test_a_judge_that_only_failed_is_left_out_once_another_of_its_name_was_asked(home: Path) -> None:
    first = judge_run(home, "--judge", "./judge.py", "-J", "harsh=-1")
    assert first.returncode == 1
    (folder,) = (home / "out" / "judges").iterdir()
    assert f"or delete judges/{folder.name} in the run's folder" in " ".join(first.stdout.split())
    second = judge_run(home, "--judge", "./judge.py", "--json", verb=("score", "out"))
    assert second.returncode == 0, second.stderr
    assert "likeness(judge=judge:mild)" in overall(json.loads(second.stdout))


def test_progress_of_judges_has_a_total(tmp_path: Path) -> None:
    data = str(make_set(tmp_path / "set", [1, 2] * 4))
    given = {"data": data, "out": tmp_path / "run", "settings": settings(tmp_path), "judge_repeats": 2}
    totals: list[int | None] = []

    def answer(request: nb.Request) -> nb.Response:
        if sum(request.sample.encode()) % 3 == 0:
            return nb.Response(request.id, finish="error", error="busy")
        return nb.Response(request.id, "" if sum(request.sample.encode()) % 3 == 1 else "ANSWER: axial image")

    def watch(progress: Progress) -> None:
        totals.append(progress.judges[0].total)

    made = nb.evaluate(judged(), answer, judges=[FakeJudge()], watch=watch, **given)
    assert made.progress is not None
    n_failed = made.progress.failed
    (stage,) = made.progress.judges
    assert 0 < n_failed < 12
    assert stage.by_rule > 0 < stage.judged
    assert stage.total == stage.done == 2 * (12 - n_failed) == 2 * stage.by_rule + stage.judged
    assert totals[-1] == stage.total
    again = nb.rejudge(made, [FakeJudge()], judge_repeats=2, settings=settings(tmp_path))
    assert again.progress is not None
    assert again.progress.judges[0].total == again.progress.judges[0].done == stage.total
    held = JudgeStage(
        made.plan,
        Model("m", FakeJudge(), nb.Card(), "", {}, {}),
        tmp_path,
        made.scored.judges["FakeJudge"].asked,
        is_gated=False,
    )
    held.expect(None)
    held.expect(-1)
    assert held.progress.total is None
    held.expect(5)
    held.expect(-2)
    assert held.progress.total == 6
