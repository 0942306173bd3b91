"""The workflow of the public repository: a stranger's files are read by the base branch's checker, and nothing of them runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "submission.yml"
SOUND = '''\
# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = "Middle box"
# license = "apache-2.0"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/1000"
# sends = "local"
# ///
"""Answers with nothing."""

import nova_bench as nb


def load() -> nb.Adapter:
    """Return the adapter."""
    return nb.each(lambda request: "")
'''


def git(folder: Path, *words: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false", *words],
        cwd=folder,
        check=True,
        capture_output=True,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout as the workflow has it before its merge: the base branch alone."""
    folder = tmp_path / "submission"
    (folder / "adapters").mkdir(parents=True)
    (folder / "tasks" / "data").mkdir(parents=True)
    (folder / "adapters" / "old.py").write_text("not judged: it was there before\n")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "base")
    return folder


def submit(folder: Path) -> subprocess.CompletedProcess[str]:
    """Commit what lies in the folder, and read it as the workflow's last step does."""
    git(folder, "add", "-A", "-f")
    git(folder, "commit", "-qm", "submission", "--allow-empty")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [str(ROOT / ".ci" / "check_submission"), str(folder)],
        cwd=folder.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_sound_adapter_passes(checkout: Path) -> None:
    (checkout / "adapters" / "middle_box.py").write_text(SOUND)
    done = submit(checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "adapters/middle_box.py (read, not run)" in done.stdout


def test_change_that_touches_no_adapter_passes(checkout: Path) -> None:
    (checkout / "tasks" / "data" / "script.py").write_text("import torch\n")
    (checkout / "adapters" / "old.py").unlink()
    done = submit(checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No adapter or task file" in done.stdout


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (SOUND.replace("# license", "# licence"), "did you mean 'license'"),
        (SOUND.replace("import nova_bench as nb", "import nova_bench as nb\nimport os"), "F401"),
        (SOUND.replace('lambda request: ""', "lambda request: ''"), "would be reformatted"),
    ],
)
def test_fault_of_header_or_style_fails(checkout: Path, source: str, said: str) -> None:
    (checkout / "adapters" / "middle_box.py").write_text(source)
    for folder in (checkout, checkout / "adapters"):  # rules of the submission's own are not followed
        (folder / "ruff.toml").write_text('exclude = ["*"]\nlint.select = []\n')
    done = submit(checkout)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


def test_nothing_submitted_runs(checkout: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    runs = f"open({str(mark)!r}, 'w')\n"
    (checkout / "adapters" / "middle_box.py").write_text(SOUND + runs)
    (checkout / "tasks" / "own.py").write_text(f'"""A task."""\n{runs}')
    for name in ("conftest.py", "sitecustomize.py", "nova_bench.py", "adapters/__init__.py", "ruff.py"):
        (checkout / name).write_text(runs)
    (checkout / "ruff.toml").write_text('lint.select = []\nextend = "../../secret.toml"\n')
    (checkout / "adapters" / "ruff.toml").write_text("broken = [\n")
    (checkout / ".gitattributes").write_text("*.py diff=own filter=own\n")
    done = submit(checkout)
    assert done.returncode == 1
    assert "the file has no TASK" in done.stdout
    assert not mark.exists()


@pytest.mark.parametrize(
    "name",
    [
        "$(touch ran).py",
        "`touch ran`.py",
        "; touch ran; .py",
        "a b.py",
        "a\nb.py",
        "\n::error::owned.py",
        "a\x1b[2J.py",
        "-rf.py",
        "--no-run.py",
        "a\u202eb.py",
        "*.py",
        "a:b.py",
        "@a.py",
    ],
)
def test_name_that_is_an_order_is_refused_and_not_obeyed(checkout: Path, name: str) -> None:
    (checkout / "adapters" / name).write_text(SOUND)
    done = submit(checkout)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "use small letters, digits and _" in done.stdout
    assert not list(checkout.parent.rglob("ran"))
    said = done.stdout + done.stderr
    assert "\x1b" not in said
    assert "\u202e" not in said
    orders = [line for line in done.stdout.split("\n") if line.startswith("::")]
    (start, end) = orders  # ours: what is between them is not read as an order
    assert end == f"::{start.removeprefix('::stop-commands::')}::"


def test_link_is_not_followed(checkout: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.py"
    secret.write_text("PASSWORD = 'do not print'\n")
    (checkout / "adapters" / "linked.py").symlink_to(secret)
    done = submit(checkout)
    assert done.returncode == 1
    assert "a link" in done.stdout
    assert "do not print" not in done.stdout + done.stderr


def test_folder_that_is_no_checkout_of_a_merge_is_an_error(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    done = submit(tmp_path)
    assert done.returncode not in (0, 1)


def test_workflow_can_read_and_nothing_else() -> None:
    text = WORKFLOW.read_text(encoding="utf-8")
    assert re.findall(r"(?m)^on:\n  (\w+):", text) == ["pull_request"]
    assert re.findall(r"(?m)^permissions:\n((?:  .*\n)+)", text) == ["  contents: read\n"]
    assert "write" not in text
    assert "secrets." not in text
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action) for action in used)
    # What a stranger can name (a title, a branch, a file) never becomes a part of a shell's line.
    assert not re.search(r"run:.*\$\{\{", text)
