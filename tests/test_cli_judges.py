"""Judges at the command line: run, score, the dry run, progress, reports, and the rubric on a task's page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from judged_task import LIKENESS, judged, write_task
from running import make_set, nova

from nova_bench.cli_judging import options_of
from nova_bench.cli_limits import spent
from nova_bench.errors import UsageError
from nova_bench.judge import rubric_id
from nova_bench.progress import JudgeProgress, Progress
from nova_bench.watch import lines

MODEL = '''
"""A model of words; every call is noted in a file."""
import nova_bench as nb

WORDS = ["Axial", "T2", "image", "lesion."]


class Model:
    def generate(self, requests):
        for request in requests:
            with open("asked_model.txt", "a") as file:
                file.write(request.id + "\\n")
            yield nb.Response(request.id, "ANSWER: " + " ".join(WORDS[: 1 + sum(request.id.encode()) % 4]))


def load(model: str = "words"):
    with open("loaded_model.txt", "a") as file:
        file.write("loaded\\n")
    return Model()
'''

JUDGE = '''
# /// script
# [tool.nova-bench]
# transport = ["fail"]
# ///
"""A judge that counts words; every call is noted in a file."""
import json

import nova_bench as nb
from judged_task import verdict_on


class Judge:
    def __init__(self, model, fail, broken):
        self.model, self.fail, self.broken = model, fail, broken

    def generate(self, requests):
        for request in requests:
            with open("asked_judge.txt", "a") as file:
                file.write(f"{self.model} {request.id}\\n")
            if self.fail and sum(request.sample.encode()) % self.fail == 0:
                yield nb.Response(request.id, finish="error", error="no answer today")
            elif self.broken and sum(request.sample.encode()) % self.broken == 0:
                yield nb.Response(request.id, "CORRECT, not INCORRECT")
            else:
                yield nb.Response(request.id, json.dumps(verdict_on(request)), usage=nb.Usage(100, 10))


def load(model: str = "plain", fail: int = 0, broken: int = 0):
    with open("loaded_judge.txt", "a") as file:
        file.write(model + "\\n")
    return Judge(model, fail, broken)
'''


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a set of 12 images, the judged task, a model and a judge."""
    make_set(tmp_path / "set", [1, 2] * 4)
    write_task(tmp_path)
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "judge.py").write_text(JUDGE)
    return tmp_path


def asked(home: Path, who: str) -> list[str]:
    path = home / f"asked_{who}.txt"
    return path.read_text().splitlines() if path.exists() else []


def judge_run(home: Path, *words: str, verb: tuple[str, ...] | None = None) -> Any:
    start = verb or ("run", "./nova_caption.py", "--model", "./model.py", "--data", "set", "--out", "out")
    return nova(home, *start, *words, env={"PYTHONPATH": path_of_tests()})


def path_of_tests() -> str:
    here = Path(__file__).parent
    return f"{here.parent}:{here}"


def cells_of(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {cell["metric"]: cell for cell in document["cells"] if cell["slice"] == "all"}


NAME = "judge:plain"
METRIC = f"likeness(judge={NAME})"


def test_run_with_a_judge(home: Path) -> None:
    done = judge_run(home, "--judge", "./judge.py", "--json")
    assert done.returncode == 0, done.stderr
    assert f"judge {NAME}: 12 verdicts (0 of them known before)" in done.stderr
    assert len(asked(home, "judge")) == 12
    document = json.loads(done.stdout)
    cell = cells_of(document)[METRIC]
    assert 0 < cell["value"] < 1
    assert set(cell["counts"]) == {
        "ok",
        "unparsed",
        "refused",
        "rejected",
        "truncated",
        "failed",
        "unjudged",
        "judge_failed",
    }
    (judge,) = document["runs"][0]["judges"]
    assert judge["name"] == NAME
    assert judge["rubrics"] == [rubric_id(LIKENESS)]
    assert (judge["repeats"], judge["unjudged"], judge["unjudged_share"], judge["lines"]) == (1, 0, 0.0, 12)
    assert judge["too_many_unjudged"] is False
    assert cell["signature"]["protocol"]["judge"]["rubric"] == rubric_id(LIKENESS)
    assert document["runs"][0]["usage"][f"judge {NAME}"]["tokens"]["output"] == 120
    assert "nova-bench: runs code of" in done.stderr
    assert "judge.py" in done.stderr


def test_score_asks_nothing_of_the_model(home: Path) -> None:
    plain = judge_run(home, "--json")
    assert plain.returncode == 0, plain.stderr
    assert not any("judge=" in name for name in cells_of(json.loads(plain.stdout)))
    before = (home / "out" / "responses.jsonl").read_bytes()
    loaded = (home / "loaded_model.txt").read_text()
    once = judge_run(home, "--judge", "./judge.py", "--json", verb=("score", "out"))
    assert once.returncode == 0, once.stderr
    assert len(asked(home, "model")) == 12
    assert (home / "loaded_model.txt").read_text() == loaded
    assert (home / "out" / "responses.jsonl").read_bytes() == before
    assert METRIC in cells_of(json.loads(once.stdout))
    again = judge_run(home, "--judge", "./judge.py", "--json", verb=("score", "out"))
    assert len(asked(home, "judge")) == 12  # all verdicts are there
    assert f"judge {NAME}: 12 verdicts (12 of them known before)" in again.stderr
    assert cells_of(json.loads(again.stdout)) == cells_of(json.loads(once.stdout))
    assert "judge.py" in once.stderr  # whose code runs
    (folder,) = (home / "out" / "judges").iterdir()
    wrong = judge_run(home, verb=("report", str(folder)))
    assert wrong.returncode == 2
    assert "holds a judge's verdicts; give the run's folder" in wrong.stderr
    # A folder of runs: what lies in a run's folder of judges is none.
    (home / "runs").mkdir()
    (home / "out").rename(home / "runs" / "one")
    report = judge_run(home, "--json", verb=("report", "runs"))
    assert report.returncode == 0, report.stderr
    assert [Path(run["folder"]).name for run in json.loads(report.stdout)["runs"]] == ["one"]


def test_limits_of_score_are_the_judges(home: Path) -> None:
    assert judge_run(home).returncode == 0
    done = judge_run(home, "--judge", "./judge.py", "--max-total-tokens", "300", verb=("score", "out"))
    assert done.returncode == 1
    assert "--max-total-tokens" in done.stderr
    assert 3 <= len(asked(home, "judge")) < 12
    rest = judge_run(home, "--judge", "./judge.py", verb=("score", "out"))
    assert rest.returncode == 0, rest.stderr
    assert len(asked(home, "judge")) == 12


def test_two_judges_with_options_of_their_own_and_repeats(home: Path) -> None:
    done = judge_run(
        home, "--judge", "./judge.py:a", "--judge", "./judge.py:b", "--judge-repeats", "3", "--judge-param", "max_tokens=77",
        "-J", "broken@./judge.py:b=2", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    one, two = (cells_of(document)[f"likeness(judge=judge:{name})"] for name in "ab")
    assert one["counts"]["unjudged"] == 0
    n_broken = len(
        {line.partition("|")[0] for line in asked(home, "judge") if line.startswith("b ") and broken(line)}
    )
    assert 0 < n_broken < 12
    assert two["counts"]["unjudged"] == n_broken
    assert two["n_failed"] == 0
    for cell in (one, two):
        assert cell["signature"]["protocol"]["judge"]["repeats"] == 3
        assert cell["signature"]["protocol"]["judge"]["params"]["max_tokens"] == 77
    assert len([line for line in asked(home, "judge") if line.startswith("a ")]) == 36
    judges = {judge["name"]: judge for judge in document["runs"][0]["judges"]}
    assert judges["judge:b"]["unjudged_share"] == pytest.approx(n_broken / 12)
    assert judges["judge:b"]["too_many_unjudged"]
    table = judge_run(home, verb=("report", "out")).stdout
    assert f"judge judge:b: rubrics {rubric_id(LIKENESS)}; repeats 3; unjudged {n_broken} of 12" in table
    assert "too many for a submission" in table
    assert f"{n_broken} unjudged" in table


def broken(line: str) -> bool:
    return sum(line.split(" ", 1)[1].partition("|")[0].encode()) % 2 == 0


def test_failed_verdicts_are_incomplete_and_asked_again(home: Path) -> None:
    first = judge_run(home, "--judge", "./judge.py", "-J", "fail=2")
    assert first.returncode == 1
    assert "wait for a verdict of judge:plain" in first.stdout
    assert "failed: give the same command again" in first.stderr
    second = judge_run(home, "--judge", "./judge.py", "--json", verb=("score", "out"))
    assert second.returncode == 0, second.stderr
    assert cells_of(json.loads(second.stdout))[METRIC]["n_failed"] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-J", "fail=2"), "-J is about judges, and none was named"),
        (("--judge-repeats", "2"), "--judge-repeats is about judges"),
        (("--judge-param", "max_tokens=9"), "--judge-param is about judges"),
        (("--allow-self-judge",), "--allow-self-judge is about judges"),
        (("--judge", "./judge.py", "--judge-repeats", "0"), "--judge-repeats 0: expected 1 or more"),
        (("--judge", "./judge.py", "--judge", "./judge.py"), "stands twice"),
        (("--judge", "./judge.py", "-J", "fail"), "expected key=value"),
        (("--judge", "./judge.py", "-J", "fail@other=1"), "key@JUDGE=value with one of the judges named: ./judge.py"),
        (("--judge", "./judge.py", "-J", "nothing=1"), "nothing"),
        (("--judge", "./judge.py", "--judge-param", "seed=1"), "judge parameter 'seed' does not exist"),
        (("--judge", "no_such_judge"), "no_such_judge"),
        (("--judge", "./model.py"), "--allow-self-judge"),
    ],
)  # fmt: skip
def test_wrong_use(home: Path, words: tuple[str, ...], said: str) -> None:
    done = judge_run(home, *words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert asked(home, "model") == asked(home, "judge") == []


def test_a_self_judge_that_is_meant_is_in_the_signature(home: Path) -> None:
    done = judge_run(home, "--judge", "./model.py", "--allow-self-judge", "--json")
    document = json.loads(done.stdout)
    assert document["runs"][0]["judges"][0]["self"] is True
    assert (home / "loaded_model.txt").read_text().splitlines() == ["loaded"]  # once, for both
    cell = cells_of(document)["likeness(judge=model:words)"]
    assert cell["signature"]["protocol"]["judge"]["self"] is True
    assert cell["counts"]["unjudged"] == 12  # it speaks no JSON
    assert cell["value"] is None
    assert "it is the model under test" in judge_run(home, verb=("report", "out")).stdout


def test_score_says_where_nothing_can_be_judged(home: Path) -> None:
    words = ("--model", "prior", "--data", "mini", "--limit", "2", "--out", "plain")
    done = nova(home, "run", "nova_localization", *words)
    assert done.returncode == 0, done.stderr
    none = judge_run(home, "--judge", "./judge.py", verb=("score", "plain"))
    assert none.returncode == 2
    assert "no column needs a judge" in none.stderr


def test_dry_run_counts_the_judges_requests(home: Path) -> None:
    dry = judge_run(home, "--judge", "./judge.py", "--judge-repeats", "2", "--dry-run", "--json")
    assert dry.returncode == 0, dry.stderr
    (found,) = json.loads(dry.stdout)["dry_run"]
    (judge,) = found["judges"]
    assert judge["requests"] == {"at_most": 24, "in_log": 0, "by_rule": 0}
    assert judge["estimate"]["output_tokens_at_most"] == 24 * 1024
    assert judge["rubrics"] == [rubric_id(LIKENESS)]
    assert asked(home, "model") == asked(home, "judge") == []
    assert not (home / "out").exists()
    judge_run(home, "--judge", "./judge.py")
    told = judge_run(home, "--judge", "./judge.py", "--judge-repeats", "2", "--dry-run").stdout
    assert "judge:plain (local): at most 12 requests (12 verdicts in the log, 0 by rule)" in told
    assert len(asked(home, "judge")) == 12


def test_the_tasks_page_has_the_rubric() -> None:
    from nova_bench.render import console, task_page

    screen = console()
    with screen.capture() as capture:
        for part in task_page(judged()):
            screen.print(part)
    page = capture.get()
    assert f"rubric {rubric_id(LIKENESS)}" in page
    assert LIKENESS.rubric in page
    assert "for likeness, correct, bare(mean);" in page
    assert '"additionalProperties": false' in page


def test_judges_have_lines_of_progress() -> None:
    judge = JudgeProgress("openai:m", kept=1, judged=2, unjudged=3, broken=4, failed=5, by_rule=6)
    assert lines("t", Progress(judges=[judge]), 0.0) == [
        "t: judge openai:m: 3 verdicts, 6 by rule, 4 asked again, 3 unjudged, 5 failed"
    ]
    assert len(lines("t", Progress(total=10, answered=5, judges=[judge]), 1.0)) == 2
    assert judge.done == 17


def test_an_option_of_no_judge() -> None:
    with pytest.raises(UsageError, match="one of the judges named: a"):
        options_of(["a"], ["key@b=1"])


@pytest.mark.parametrize(
    ("role", "model", "said"),
    [
        ("model", "openai:m", "model openai:m: "),
        ("judge openai:j", "openai:j", "judge openai:j: "),
        ("judge rule-based stand-in", "rule_based_judge", "judge rule-based stand-in rule_based_judge: "),
    ],
)
def test_line_of_what_was_spent_names_a_judge_once(role: str, model: str, said: str) -> None:
    tokens = {"total": 12, "input": 7, "cached": 0, "output": 5, "reasoning": 0}
    account = {"model": model, "tokens": tokens, "from_cache": {"answers": 0}, "cost_usd": 0.5, "requests": 1}
    assert spent({role: {**account, "seconds": 1.0}}).startswith(said + "1 requests")
