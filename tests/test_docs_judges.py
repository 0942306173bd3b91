"""docs/judges.md: its commands run as they stand, one after the other, and do what the page says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from running import nova

TEXT = (Path(__file__).parent.parent / "docs" / "judges.md").read_text(encoding="utf-8")


def test_commands_of_the_page_run_one_after_the_other(tmp_path: Path) -> None:
    (labels,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "labels.jsonl").write_text(labels)
    blocks = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
    commands = [line.removeprefix("$ nova-bench ") for block in blocks for line in block.splitlines()]
    said = {}
    for line in commands:
        done = nova(tmp_path, *shlex.split(line))
        assert done.returncode == 0, (line, done.stderr)
        said[line] = " ".join(done.stdout.split())
    assert len(said) == 8
    told = {
        word: [text for line, text in said.items() if word in line]
        for word in ("--dry-run", "report", "calibrate", "audit")
    }
    assert len(told["--dry-run"]) == 3
    assert all("dry run, nothing is sent" in text for text in told["--dry-run"])
    assert "5 texts of labels.jsonl (5 labels)" in told["calibrate"][0]
    (report,) = told["report"]
    assert "judges asked again" in report
    assert "rule-based stand-in against people" in report
    assert "people: alpha" in report
    assert "no verdict moved" in told["audit"][1]
    document = json.loads((tmp_path / "runs" / "trust" / "report.json").read_text())
    assert {record["key"] for record in document["judges"][0]["calibration"]} == {"top1", "top5"}
    assert {record["repeats"] for record in document["judge_repeats"]} == {2}
    assert "68 verdicts" not in said[commands[-2]]
    assert "at most 68 requests (136 verdicts in the log" in said[commands[-2]]
    assert "judges asked again" in said[commands[-1]]
