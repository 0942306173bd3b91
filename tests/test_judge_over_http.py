"""A judge behind a real server and the vendor's own client: what fails on the way changes no number, and what cannot heal is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from loopback import serve
from loopback_judge import FAULTS, JUDGE, calm, judged, judged_cells, reports, rough, verdict_lines, verdicts
from running import final_ids

pytest.importorskip("openai")

TASKS = ("nova_caption", "nova_diagnosis")
IMPATIENT = ("-J", "deadline=1", "-J", "attempt_timeout=1")
"""A call that hangs is over soon, and a request fails instead of being asked until it is answered."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with a run that an undisturbed judge judged, and its report."""
    home = tmp_path_factory.mktemp("undisturbed")
    with serve(calm()) as (url, server):
        done = judged(home, url, "out", tasks=TASKS)
    assert done.returncode == 0, done.stderr
    assert server.stats.calls == len(verdicts(home / "out"))
    return home / "out", json.loads(done.stdout)


def test_a_bad_judge_gives_the_results_of_a_good_one(
    tmp_path: Path, undisturbed: tuple[Path, dict[str, Any]]
) -> None:
    good, document = undisturbed
    cells = judged_cells(document)
    assert {name.partition("(")[0] for name in cells} >= {"clinical_f1", "modality_f1", "top1", "top5"}
    # Numbers in which a lost, a doubled or a mistaken verdict would be seen.
    assert all(0 < cells[f"{name}(judge={JUDGE})"]["value"] < 1 for name in ("clinical_f1", "top1", "top5"))
    starts: list[int] = []
    with serve(rough(1)) as (url, server):
        while not starts or starts[-1]:
            assert len(starts) < 30
            done = judged(tmp_path, url, "out", *IMPATIENT, tasks=TASKS)
            assert done.returncode in (0, 1), done.stderr
            starts.append(done.returncode)
    # What the server did is what it was to do.
    stats = server.stats
    assert set(stats.faults) == set(FAULTS)
    assert 0.2 < stats.faults.total() / stats.calls < 0.4
    broken = [record for record in verdict_lines(tmp_path / "out") if "fault" in record]
    assert 0.05 < len(broken) / stats.answered.total() < 0.15
    failed = [record for record in verdict_lines(tmp_path / "out") if record["finish"] == "error"]
    assert failed
    assert len(starts) > 1
    # And it is nowhere to be seen in the results.
    assert reports(tmp_path / "out") == reports(good)
    assert len(reports(good)) == len(TASKS)
    assert verdicts(tmp_path / "out") == verdicts(good)
    assert judged_cells(json.loads(done.stdout)) == cells
    # The model was asked once, however often the judge was.
    asked = (tmp_path / "asked_model.txt").read_text().splitlines()
    assert len(asked) == sum(
        len(final_ids(path.parent)) for path in (tmp_path / "out").glob("**/responses.jsonl")
    )


def test_two_judge_repeats_of_a_bad_judge_are_those_of_a_good_one(tmp_path: Path) -> None:
    """Under other tasks' rubrics: GREEN and FMBench's score."""
    more = ("--judge-repeats", "2", "--limit", "6")
    with serve(calm()) as (url, _):
        assert judged(tmp_path, url, "good", *more, tasks=("fmbench_report",)).returncode == 0
    codes: list[int] = []
    with serve(rough(5)) as (url, server):
        while not codes or codes[-1]:
            assert len(codes) < 30
            codes.append(
                judged(tmp_path, url, "bad", *more, *IMPATIENT, tasks=("fmbench_report",)).returncode
            )
    assert server.stats.faults.total() > 5
    assert list(reports(tmp_path / "bad").values()) == list(reports(tmp_path / "good").values())
    assert verdicts(tmp_path / "bad") == verdicts(tmp_path / "good")
