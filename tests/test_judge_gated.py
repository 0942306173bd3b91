"""Judges of gated data: free text goes to the private file only, and a vendor needs leave."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from judged_runs import LIKENESS, cells_of, hash_of, run, small_set, verdicts_of
from judged_task import FakeJudge, judged

import nova_bench as nb
from nova_bench.errors import UsageError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_set(tmp_path_factory.mktemp("small"))


CANARY = "Mrs Canary of Yellow Street sang at dawn"


def test_of_gated_data_free_text_goes_to_the_private_file_only(tmp_path: Path, data: Path) -> None:
    def leaky(request: nb.Request, nth: int) -> nb.Response | str | None:
        if hash_of(request.id):
            return None
        said = texts = f"{CANARY}: {request.text[-900:]}"
        if nth == 1:
            return nb.Response(request.id, finish="error", error=f"bad prompt: {request.text}")
        return said + texts

    task = judged(gated=True)
    first = run(tmp_path, data, [FakeJudge(leaky, why=CANARY)], task=task)
    run(tmp_path, data, [FakeJudge(leaky, why=CANARY)], task=task)
    first.report(fresh=True)
    holding = [
        path
        for path in (tmp_path / "out").rglob("*")
        if path.is_file() and (CANARY in path.read_text() or "hyperintense" in path.read_text())
    ]
    assert [path.name for path in holding] == ["private.jsonl"]
    assert os.stat(holding[0]).st_mode & 0o777 == 0o600
    assert not any(CANARY in said for said in first.progress.messages)
    kept = [record["verdict"] for record in verdicts_of(tmp_path / "out") if "verdict" in record]
    assert kept
    assert all(set(verdict) == {"label", "score"} for verdict in kept)
    assert cells_of(first)[LIKENESS].value is not None


def test_words_with_which_a_judge_ends_the_program_are_private(tmp_path: Path, data: Path) -> None:
    def quitting(request: nb.Request, nth: int) -> nb.Response | str | None:
        raise SystemExit(f"{CANARY}: {request.text}")

    made = run(tmp_path, data, [FakeJudge(quitting)], task=judged(gated=True))
    error = made.progress.error  # type: ignore[union-attr]
    assert isinstance(error, nb.AdapterError)
    assert CANARY not in f"{error!r} {made.progress.messages}"  # type: ignore[union-attr]
    (path,) = (
        path for path in (tmp_path / "out").rglob("*") if path.is_file() and CANARY in path.read_text()
    )
    assert path.name == "private.jsonl"


def test_gated_data_and_an_open_text_do_not_meet(tmp_path: Path, data: Path) -> None:
    task = judged(gated=True)
    open_judge = dataclasses.replace(task.judges[0], private=())
    scorers = tuple(
        dataclasses.replace(scorer, judge=open_judge) if scorer.judge else scorer for scorer in task.scorers
    )
    with pytest.raises(UsageError, match="why can hold free text"):
        run(tmp_path, data, [FakeJudge()], task=dataclasses.replace(task, scorers=scorers))


def test_a_judge_of_a_vendor_needs_leave_for_gated_data(tmp_path: Path, data: Path) -> None:
    path = tmp_path / "far.py"
    path.write_text(
        '# /// script\n# [tool.nova-bench]\n# name = "Far"\n# sends = "vendor"\n# ///\n"""Far away."""\n'
        "from judged_task import FakeJudge\n\n\ndef load():\n    return FakeJudge()\n"
    )
    with pytest.raises(UsageError, match="--allow-hosted"):
        run(tmp_path, data, [str(path)], task=judged(gated=True))
    assert not (tmp_path / "out").exists()
    made = run(tmp_path, data, [str(path)], task=judged(gated=True), allow_hosted=True)
    assert cells_of(made)["likeness(judge=Far)"].n_failed == 0
