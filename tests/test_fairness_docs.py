"""The worked example of docs/fairness_table.md: its commands run, and what it quotes is what they say."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from running import environment, nova

PAGE = Path(__file__).parent.parent / "docs" / "fairness_table.md"


def test_commands_of_the_page_say_what_it_quotes(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    example = text[text.index("## An example") : text.index("## The columns")]
    (script,) = re.findall(r"```python\n(.*?)```", example, re.DOTALL)
    (tmp_path / "write.py").write_text(script)
    subprocess.run([sys.executable, "write.py"], cwd=tmp_path, check=True, env=environment(tmp_path))
    # After each command stand the sentences that it prints, indented.
    steps = re.findall(r"```console\n\$ nova-bench (.*?)\n```\n(.*?)(?=```console|\Z)", example, re.DOTALL)
    assert len(steps) == 2
    for words, after in steps:
        quoted = [" ".join(block.split()) for block in re.findall(r"(?:^    .*\n)+", after, re.MULTILINE)]
        assert quoted
        done = nova(tmp_path, *shlex.split(words), "--json")
        assert done.returncode == 1, done.stderr  # some answers failed, as the page says
        document = json.loads(done.stdout)
        said = [e["sentence"] for e in document["comparisons"]]
        said += [pair["sentence"] for e in document["comparisons"] for pair in e["paired"].values()]
        for sentence in quoted:
            assert sentence in said
    assert (tmp_path / "page" / "index.html").exists()


def test_pages_name_every_option_of_the_verb_and_no_other(tmp_path: Path) -> None:
    done = nova(tmp_path, "fairness", "--help")
    offered = set(re.findall(r"--[a-z][a-z-]+", done.stdout)) - {"--help"}
    text = "".join(
        (PAGE.parent / page).read_text(encoding="utf-8") for page in ("fairness.md", "fairness_table.md")
    )
    # Other verbs' options stand in lines that run them.
    lines = [line for line in text.splitlines() if "nova-bench run" not in line]
    assert offered == {option for line in lines for option in re.findall(r"--[a-z][a-z-]+", line)}
