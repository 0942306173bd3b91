"""CONTRIBUTING.md and the pages of adapters and tasks: every command of theirs runs, with the files that they show."""

from __future__ import annotations

import csv
import io
import re
import shlex
from pathlib import Path

import pytest
from loopback import serve
from running import nova

from nova_bench.adapter import HEADER_KEYS
from nova_bench.static_check import REQUIRED_KEYS

ROOT = Path(__file__).parent.parent
PAGES = ("CONTRIBUTING.md", "adapters/README.md", "tasks/README.md")
ADDRESS = "http://localhost:8000/v1"


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def steps(page: str) -> list[tuple[str, str]]:
    """Return what a page has to be done, in order: (file, its content) or ("", a command)."""
    found: list[tuple[str, str]] = []
    text = text_of(page)
    for block in re.finditer(r"```(\w+)\n(.*?)```", text, re.DOTALL):
        if block[1] == "python":
            above = text[: block.start()].rstrip().rpartition("\n\n")[2]
            found.append((re.findall(r"`(\w+\.py)`", above)[0], block[2]))
        elif block[1] == "console":
            lines = block[2].splitlines()
            assert all(line.startswith("$ nova-bench ") for line in lines)
            found += [("", line.removeprefix("$ nova-bench ")) for line in lines]
    return found


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_the_page_run_one_after_the_other(tmp_path: Path, page: str) -> None:
    ran = 0
    with serve() as (url, _):
        for file, content in steps(page):
            if file:
                (tmp_path / file).write_text(content, encoding="utf-8")
            elif "FOLDER" not in content:  # tests/engines/test_new_checkpoint.py runs these
                done = nova(tmp_path, *shlex.split(content.replace(ADDRESS, url)), timeout=300)
                assert done.returncode == 0, f"{content}\n{done.stdout}{done.stderr}"
                ran += 1
    assert ran >= 5


@pytest.mark.parametrize("page", PAGES)
def test_files_that_the_page_shows_pass_the_check_of_a_submission(tmp_path: Path, page: str) -> None:
    files = [(file, content) for file, content in steps(page) if file]
    assert files
    for file, content in files:
        (tmp_path / file).write_text(content, encoding="utf-8")
        done = nova(tmp_path, "check", "--no-run", f"./{file}")
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("page", "file", "template"),
    [("adapters/README.md", "my_model.py", "adapter_python"), ("tasks/README.md", "my_task.py", "task")],
)
def test_page_shows_the_file_that_new_writes(page: str, file: str, template: str) -> None:
    source = (ROOT / "nova_bench" / "templates" / f"{template}.py").read_text(encoding="utf-8")
    assert dict(steps(page))[file] == source


def test_table_of_the_page_can_be_asked(tmp_path: Path) -> None:
    text = text_of("tasks/README.md")
    (table,) = re.findall(r"```csv\n(.*?)```", text, re.DOTALL)
    rows = list(csv.DictReader(io.StringIO(table)))
    assert nova(tmp_path, "new", "task", "my_task").returncode == 0
    (tmp_path / "my_task_data" / "table.csv").write_text(table)
    done = nova(tmp_path, "run", "./my_task.py", "--data", "my_task_data", "--model", "prior")
    assert done.returncode == 0, done.stderr
    assert f"{len(rows)} samples, 2 cases answered" in done.stdout


def test_header_keys_are_those_that_there_are() -> None:
    section = text_of("CONTRIBUTING.md").split("### Header keys")[1].split("###")[0]
    named = [
        key
        for line in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        for key in re.findall(r"`(\w+)`", line)
    ]
    assert sorted(named) == sorted(HEADER_KEYS)
    wanted = re.findall(r"`check` wants (.*?) written", section)[0]
    assert set(re.findall(r"`(\w+)`", wanted)) == set(REQUIRED_KEYS)


@pytest.mark.parametrize("page", PAGES)
def test_links_of_the_page_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", text_of(page)):
        assert ((ROOT / page).parent / target).exists(), target
