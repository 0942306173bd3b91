"""docs/compare.md: its commands run as they stand, what it quotes is what they say, and it names every option and key."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from running import nova

PAGE = (Path(__file__).parent.parent / "docs" / "compare.md").read_text(encoding="utf-8")
TEXT = PAGE.partition("## How a difference is measured")[0]


def test_commands_of_the_page_run_one_after_the_other(tmp_path: Path) -> None:
    (block,) = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
    said = []
    for line in block.splitlines():
        done = nova(tmp_path, *shlex.split(line.removeprefix("$ nova-bench ")))
        assert done.returncode == 0, (line, done.stderr)
        said.append(" ".join(done.stdout.split()))
    assert len(said) == 5
    (example,) = re.findall(r"such as\n\n    (.*?)\n\n", TEXT)
    assert example in said[2]
    (inline,) = re.findall(r"own units: `(.*?)`", " ".join(TEXT.split()))
    assert inline in said[2]
    assert "box_area=" in said[3]
    document = json.loads((tmp_path / "compared.json").read_text())
    keys = set(re.findall(r"`(\w+)`", TEXT[TEXT.index("## The JSON document") :]))
    (task,) = document["tasks"]
    for record in (task, task["runs"][0], task["comparisons"][0], task["ranks"][0]):
        assert record.keys() <= keys
    assert document.keys() <= keys | {"tasks"}


def test_the_page_names_every_option_of_the_verb_and_no_other(tmp_path: Path) -> None:
    done = nova(tmp_path, "compare", "--help")
    offered = set(re.findall(r"--[a-z][a-z-]+", done.stdout)) - {"--help"}
    lines = [line for line in TEXT.splitlines() if "nova-bench run" not in line]
    assert offered == {option for line in lines for option in re.findall(r"--[a-z][a-z-]+", line)}
