"""docs/submissions.md: its commands run one after the other, and what it says of limits and words is what the code says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from running import nova

from nova_bench.board import layout
from nova_bench.board.badge import badge
from nova_bench.board.zip_reader import ZipLimits

TEXT = (Path(__file__).parent.parent / "docs" / "submissions.md").read_text(encoding="utf-8")


def test_commands_of_the_page_run_one_after_the_other(tmp_path: Path) -> None:
    blocks = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
    commands = [line.removeprefix("$ nova-bench ") for block in blocks for line in block.splitlines()]
    assert len(commands) == 4
    said = []
    for line in commands:
        done = nova(tmp_path, *shlex.split(line), timeout=400)
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stdout)
    assert re.search(r"(?m)^verified ", said[2])
    assert "8 of 8 random requests answered by prior, seed 1" in said[3]
    assert (tmp_path / "leaderboard" / "synthetic" / "prior" / "nova_diagnosis.json").exists()
    assert not (tmp_path / "leaderboard" / "entries").exists()
    done = nova(tmp_path, "verify", "leaderboard", "--record", "--json")
    (result,) = json.loads(done.stdout)["results"]
    assert (
        tmp_path / "leaderboard" / "verifications" / "synthetic" / "prior" / "nova_diagnosis.json"
    ).exists(), result


def test_limits_and_members_are_those_of_the_code() -> None:
    limits = ZipLimits()
    assert f"at most {limits.compressed >> 20} MiB" in TEXT
    assert limits.total == 1 << 30
    assert f"at most {limits.ratio} bytes for one" in TEXT
    assert f"nesting beyond {layout.MAX_DEPTH}" in TEXT
    for name in (
        layout.BUNDLE,
        layout.MANIFEST,
        layout.REPORT,
        layout.FAIRNESS,
        layout.PAIRING,
        layout.ROWS,
        layout.RESPONSES,
    ):
        assert f"`{name}`" in TEXT


def test_statuses_are_shown_as_the_page_says() -> None:
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| ([\w-]+) \|", TEXT))
    assert rows == {status: badge(status).label for status in ("verified", "consistent", "rejected")}
