"""docs/export.md: its commands and scripts run as they stand, and it names every option."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from running import environment, nova

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")


@pytest.mark.real("evaluate")
@pytest.mark.real("pycocotools")
def test_commands_and_scripts_of_the_page_run(tmp_path: Path) -> None:
    example = TEXT[TEXT.index("## An example") : TEXT.index("## CSV and Parquet")]
    (block,) = re.findall(r"```console\n(.*?)```", example, re.DOTALL)
    commands = [line.removeprefix("$ nova-bench ") for line in block.splitlines()]
    assert len(commands) == 7
    for line in commands:
        done = nova(tmp_path, *shlex.split(line))
        assert done.returncode == 0, (line, done.stderr)
    (tmp_path / "evaluate_modules").symlink_to(ROOT / "evaluate_modules")
    scripts = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(scripts) == 3
    said = []
    for script in scripts:
        env = environment(tmp_path, HF_HOME=str(tmp_path / "hf"), HF_EVALUATE_OFFLINE="1")
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, (script, done.stderr)
        said.append(done.stdout)
    assert re.fullmatch(r"fmbench_vqa \d+ signatures\n", said[0])
    assert "Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ] = 0.180" in said[1]
    assert re.fullmatch(r"fap\(lambda=1,dev=wstd,w=size\) 0\.\d+\n", said[2])


def test_page_names_every_option_of_the_verb_and_no_other(tmp_path: Path) -> None:
    done = nova(tmp_path, "export", "--help")
    offered = set(re.findall(r"--[a-z][a-z-]+", done.stdout)) - {"--help", "--data"}
    lines = [
        line for line in TEXT.splitlines() if "nova-bench run" not in line and "(`run --repeats" not in line
    ]
    named = {option for line in lines for option in re.findall(r"--[a-z][a-z-]+", line)} - {"--limit"}
    assert named == offered
    formats = re.search(r"--format \{(.*?)\}", done.stdout)
    assert formats is not None
    assert f"--format {formats[1].replace(',', '|')} " in TEXT
