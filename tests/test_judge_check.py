"""`nova-bench check` of an adapter that only judges, and what that keeps it from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import nova

from nova_bench.conformance import check
from nova_bench.conformance_rubric import NOT_FOR_JUDGES, TEXTS_ONLY

ADAPTER = '''
# /// script
# [tool.nova-bench]
# name = "only a judge"
# license = "mit"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/1000"
# sends = "local"
# only_judges = {only_judges}
# ///
"""A judge of one word."""
import json

import nova_bench as nb


class Judge:
    def generate(self, requests):
        for request in requests:
            if (request.ask or {{}}).get("kind") != "judge":
                raise ValueError("no rubric")
            assert not request.images
            yield nb.Response(request.id, {answer})


def load():
    return Judge()
'''
VERDICT = 'json.dumps({"reason": "", "top1": "wrong", "top5": "wrong"})'


def write(home: Path, only_judges: str = "true", answer: str = VERDICT) -> str:
    (home / "judge.py").write_text(ADAPTER.format(only_judges=only_judges, answer=answer))
    return str(home / "judge.py")


def states(path: str) -> dict[str, tuple[str, str]]:
    return {finding.step: (finding.state, finding.what) for finding in check(path).findings}


def test_the_stand_in_is_fit() -> None:
    verdict = check("rule_based_judge")
    assert verdict.passed, verdict.findings


def test_an_adapter_that_only_judges_is_sent_rubrics(tmp_path: Path) -> None:
    found = states(write(tmp_path))
    assert {state for state, _ in found.values()} == {"pass"}
    assert {step for step, (_, what) in found.items() if what == TEXTS_ONLY} == NOT_FOR_JUDGES


def test_it_has_to_give_verdicts(tmp_path: Path) -> None:
    state, said = states(write(tmp_path, answer='"CORRECT"'))["answers"]
    assert state == "fail"
    assert "is no verdict" in said


def test_without_the_header_it_is_a_model_like_any_other(tmp_path: Path) -> None:
    state, said = states(write(tmp_path, only_judges="false"))["answers"]
    assert (state, "no rubric" in said) == ("fail", True)


@pytest.mark.parametrize("flag", ["", "--dry-run"])
def test_it_is_refused_as_a_model(tmp_path: Path, flag: str) -> None:
    words = ("run", "nova_diagnosis", "--data", "mini", "--limit", "1", "--out", "out")
    done = nova(tmp_path, *words, "--model", write(tmp_path), *([flag] if flag else []))
    assert done.returncode == 2
    assert "judge only judges" in done.stderr
    assert "--judge" in done.stderr
    assert not (tmp_path / "out").exists()
    judged = nova(tmp_path, *words, "--model", "prior", "--judge", str(tmp_path / "judge.py"), "--json")
    assert judged.returncode == 0, judged.stderr
    assert json.loads(judged.stdout)["runs"][0]["judges"][0]["name"] == "only a judge"


def test_a_header_that_says_neither(tmp_path: Path) -> None:
    found = states(write(tmp_path, only_judges='"yes"'))
    assert "fail" in {state for state, _ in found.values()} or "not checked" in {
        state for state, _ in found.values()
    }
    done = nova(
        tmp_path,
        "run",
        "nova_diagnosis",
        "--data",
        "mini",
        "--model",
        "prior",
        "--judge",
        str(tmp_path / "judge.py"),
    )
    assert "only_judges is true or false, got 'yes'" in done.stderr
