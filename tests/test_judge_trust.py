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
    document = json.loads(found.stdout)
    whole = json.loads(done.stdout)  # the numbers of a panel say what they are of, as those of a report do
    signed = {cell["metric"]: cell["signature"]["protocol"] for cell in whole["cells"]}
    assert (document["task"], document["model"]) == (whole["cells"][0]["task"], whole["cells"][0]["model"])
    for name in names:
        protocol = signed[f"likeness(judge={name})"]
        assert document["data"]["digest"][:12] == protocol["data"]
        assert document["judges"][name] == [protocol["judge"]]
    panel = document["panel"]
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
    assert "left out" in told.stdout
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


def labels_file(home: Path, n: int = 12) -> str:
    """People's labels of twelve texts; they are milder than the judge by one in every third."""
    lines = []
    for i in range(n):
        words = " ".join("abcdefghij"[: 1 + i % 10])
        label = {"score": min(10, 2 * (1 + i % 10) // 2 + (i % 3 == 0))}
        texts = {"reference": "a b c d e f g h i j k l m n o p q r s t", "candidate": words}
        lines.append({"id": f"t{i}", "rubric": "likeness", "texts": texts, "verdict": label})
    (home / "labels.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return "labels.jsonl"


def calibrate(home: Path, *words: str) -> Any:
    verb = ("judge", "calibrate", "--labels", "labels.jsonl", "--task", "./nova_caption.py")
    return judge_run(home, "--judge", "./judge.py", *words, verb=verb)


def test_agreement_with_people_stands_beside_the_metric(home: Path) -> None:
    labels_file(home)
    early = calibrate(home, "--run", "out")
    assert early.returncode == 2
    assert "out holds no run" in early.stderr
    assert judge_run(home, "--judge", "./judge.py").returncode == 0
    before = json.loads((home / "out" / "report.json").read_text())
    calls = len(asked(home, "judge"))
    # Another judge: other options, so its calibration is of no use to the columns of this one.
    other = calibrate(home, "-J", "harsh=1", "--run", "out")
    assert other.returncode == 2
    assert "was not judged by judge:mild with these options" in other.stderr
    assert len(asked(home, "judge")) == calls
    done = calibrate(home, "--run", "out", "--json")
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)["judges"][0]["agreement"]
    report = json.loads(judge_run(home, "--json", verb=("report", "out")).stdout)
    (judge,) = report["runs"][0]["judges"]
    (kept,) = judge["calibration"]
    assert kept["rubric"] == judge["rubrics"][0]
    assert (kept["key"], kept["n"]) == ("score", 12)
    for name in ("percent", "kappa", "alpha"):
        assert kept[name]["value"] == pytest.approx(record[name]["value"])
    assert report["cells"] == before["cells"]
    alpha = record["alpha"]
    told = " ".join(judge_run(home, verb=("report", "out")).stdout.split())
    assert f"people: alpha of score {alpha['value']:.3f}" in told
    assert "judge:mild against people" in told
    again = calibrate(home, "--run", "out")  # all verdicts are known; the entry takes its own place
    assert again.returncode == 0
    (path,) = (home / "out" / "judges").glob("*/calibration.json")
    document = json.loads(path.read_text())
    assert len(document["calibrations"]) == 1
    # A rubric of another wording: nothing is known of it.
    document["calibrations"][0]["rubrics"] = ["likeness/1/000000000000"]
    path.write_text(json.dumps(document))
    stale = json.loads(judge_run(home, "--json", verb=("report", "out")).stdout)
    assert stale["runs"][0]["judges"][0]["calibration"] == []
    path.write_text("{")
    damaged = judge_run(home, verb=("report", "out"))
    assert damaged.returncode == 1
    assert "calibration.json is damaged; delete it" in damaged.stderr


def test_failed_labels_are_not_kept_in_the_run(home: Path) -> None:
    labels_file(home)
    assert judge_run(home, "--judge", "./judge.py", "-J", "harsh=-1").returncode == 1
    done = calibrate(home, "-J", "harsh=-1", "--run", "out")
    assert done.returncode == 1
    assert "12 verdicts failed" in done.stderr
    assert not list((home / "out" / "judges").glob("*/calibration.json"))


def test_dry_runs_ask_nothing(home: Path) -> None:
    labels_file(home)
    assert judge_run(home).returncode == 0
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    score = ("score", "out")
    dry = judge_run(home, "--judge", "./judge.py", "--judge-repeats", "2", "--dry-run", "--json", verb=score)
    assert dry.returncode == 0, dry.stderr
    (found,) = json.loads(dry.stdout)["dry_run"]
    (one,) = found["judges"]
    assert (one["name"], one["goes_to"], one["repeats"]) == ("judge:mild", "local", 2)
    assert one["requests"] == {"at_most": 24, "in_log": 0, "by_rule": 0}
    told = judge_run(home, "--judge", "./judge.py", "--dry-run", verb=score).stdout
    assert "dry run, nothing is sent" in told
    assert "judge:mild (local): at most 12 requests (0 verdicts in the log" in told
    people = json.loads(calibrate(home, "--dry-run", "--json").stdout)
    assert people["dry_run"] is True
    assert people["judges"][0]["requests"]["at_most"] == 12
    assert "12 texts of labels.jsonl (12 labels): dry run" in calibrate(home, "--dry-run").stdout
    verb = ("judge", "audit", "out")
    audit = judge_run(home, "--judge", "./judge.py", "--dry-run", "--json", verb=verb)
    document = json.loads(audit.stdout)
    assert document["judges"][0]["requests"]["at_most"] == sum(document["forms"].values()) > 12
    assert (
        "audit of nova_caption in out"
        in judge_run(home, "--judge", "./judge.py", "--dry-run", verb=verb).stdout
    )
    none = judge_run(home, "--dry-run", verb=score)
    assert none.returncode == 2
    assert "give --judge ADAPTER[:MODEL]" in none.stderr
    after = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert {path for path in after if after[path] != before.get(path)} <= {
        home / "cache" / "nova_bench" / "digests.sqlite"
    }
    # What is in the log is known to the dry run.
    assert judge_run(home, "--judge", "./judge.py", verb=score).returncode == 0
    again = json.loads(judge_run(home, "--judge", "./judge.py", "--dry-run", "--json", verb=score).stdout)
    assert again["dry_run"][0]["judges"][0]["requests"] == {"at_most": 0, "in_log": 12, "by_rule": 0}


def test_limits_of_calibrate_and_audit(home: Path) -> None:
    labels_file(home)
    assert judge_run(home).returncode == 0
    stopped = calibrate(home, "--max-total-tokens", "300")
    assert stopped.returncode == 1
    assert "--max-total-tokens 300 is reached" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    n = len(asked(home, "judge"))
    assert 3 <= n < 12
    assert calibrate(home).returncode == 0
    assert len(asked(home, "judge")) == 12  # what was judged is not asked again
    (home / "prices.toml").write_text(
        '[models."judge:mild"]\ninput = 1000\noutput = 1000\ndate = 2026-01-01\n'
    )
    audit = judge_run(
        home,
        "--judge",
        "./judge.py",
        "--max-cost",
        "0.5",
        "--prices",
        "prices.toml",
        verb=("judge", "audit", "out"),
    )
    assert audit.returncode == 1
    assert "--max-cost 0.5 is reached" in audit.stderr, audit.stderr
    assert 12 + 4 <= len(asked(home, "judge")) < 12 + 30


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--judge", "openai"), "judge openai: which model? name it as the server knows it: --judge openai:MODEL"),
        (("--judge", "anthropic:m"), "wants a key; set the environment variable ANTHROPIC_API_KEY, or name another one with -J key_env"),
        (("--judge", "./judge.py", "-J", "hrsh=1"), "judge ./judge.py: option 'hrsh' not found in adapter judge; did you mean 'harsh'"),
        (("--judge", "./judge.py", "-J", "harsh=x"), "judge ./judge.py: option harsh='x': expected"),
        (("--judge", "rule_based_juge"), "did you mean 'rule_based_judge'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["run", "calibrate"])
def test_a_judge_that_cannot_be_made_ready(home: Path, words: tuple[str, ...], said: str, verb: str) -> None:
    labels_file(home)
    start = ("judge", "calibrate", "--labels", "labels.jsonl", "--task", "./nova_caption.py")
    done = judge_run(home, *words, verb=start if verb == "calibrate" else None)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert asked(home, "model") == asked(home, "judge") == []


def test_what_python_users_need_is_there(home: Path, tmp_path: Path) -> None:
    data = str(tmp_path / "set")
    given = {"data": data, "out": tmp_path / "run", "settings": settings(tmp_path)}
    made = nb.evaluate(judged(), lambda request: "ANSWER: axial image", judges=[FakeJudge()], **given)
    found = nb.estimate_rejudge(made, [FakeJudge()], judge_repeats=2, settings=settings(tmp_path))
    assert found["judges"][0]["requests"] == {"at_most": 12, "in_log": 12, "by_rule": 0}
    again = nb.rejudge(made, [FakeJudge()], judge_repeats=2, settings=settings(tmp_path))
    document = nb.agreement(again)
    assert document["panel"] is None
    assert {one["repeats"] for one in document["repeats"]} == {2}
    audited = nb.audit(made, [FakeJudge()], limit=2, permutations=9, settings=settings(tmp_path))
    assert audited["judges"][0]["judge"] == "FakeJudge"
    labels = tmp_path / labels_file(tmp_path)
    calibrated = nb.calibrate(
        labels, [FakeJudge()], task=judged(), out=tmp_path / "c", settings=settings(tmp_path)
    )
    assert calibrated["judges"][0]["verdicts"] == 12
    for name in ("agreement", "audit", "calibrate", "estimate_rejudge", "rejudge"):
        assert name in nb.__all__
        assert "Args:" in getattr(nb, name).__doc__
