"""The workflow of the public repository: submitted bundles are verified by the base branch's code, and nothing of them runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from forged import forge
from running import environment
from submissions import run, submitted
from test_submission import git

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "verify.yml"


@pytest.fixture(scope="module")
def leaderboard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A leaderboard with one entry."""
    home = tmp_path_factory.mktemp("board")
    record = submitted(home, run(home, "prior", "nova_diagnosis"))["submitted"][0]
    return Path(record["entry"]).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout as the workflow has it before its merge: the base branch alone."""
    folder = tmp_path / "submission"
    (folder / "leaderboard" / "entries" / "old").mkdir(parents=True)
    (folder / "leaderboard" / "entries" / "old" / "task.json").write_text("not judged: it was there before\n")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "base")
    return folder


def submit(folder: Path) -> subprocess.CompletedProcess[str]:
    """Commit what lies in the folder, and verify it."""
    git(folder, "add", "-A", "-f")
    git(folder, "commit", "-qm", "submission", "--allow-empty")
    return verify(folder)


def verify(folder: Path) -> subprocess.CompletedProcess[str]:
    """Verify the last commit as the workflow's last step does."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(ROOT / ".ci" / "verify_submission"), str(folder)],
        cwd=folder.parent,
        env=environment(folder.parent, PATH=path),
        capture_output=True,
        text=True,
        timeout=300,
    )


def add(checkout: Path, leaderboard: Path) -> Path:
    """Put the sound entry into a checkout and return its file."""
    shutil.copytree(leaderboard, checkout / "leaderboard", dirs_exist_ok=True)
    return checkout / "leaderboard" / "synthetic" / "prior" / "nova_diagnosis.json"


def test_sound_entry_is_verified(checkout: Path, leaderboard: Path) -> None:
    add(checkout, leaderboard)
    done = submit(checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"(?m)^verified +leaderboard/synthetic/prior/nova_diagnosis.zip", done.stdout)


def test_forged_bundle_fails_with_the_reason(checkout: Path, leaderboard: Path) -> None:
    entry = add(checkout, leaderboard)

    def change(parts: dict[str, dict[str, list[dict[str, float]]]]) -> None:
        parts["report.json"]["cells"][0]["value"] = 0.99

    forge(entry.with_suffix(".zip"), entry.with_suffix(".zip"), change)
    done = submit(checkout)
    assert done.returncode == 1
    assert "/value is 0.99, expected" in done.stdout


def test_file_that_a_checkout_turns_into_another_is_refused(checkout: Path, leaderboard: Path) -> None:
    """What is verified has to be what is merged, whatever attributes say."""
    entry = add(checkout, leaderboard)
    (checkout / ".gitattributes").write_text("*.json text eol=crlf\n")
    git(checkout, "add", "-A")
    git(checkout, "commit", "-qm", "submission")
    entry.unlink()
    git(checkout, "checkout", "--", ".")
    done = verify(checkout)
    assert done.returncode == 1
    assert "nova_diagnosis.json: a .gitattributes file makes another file of it" in done.stdout
    assert "1 files other than entries and bundles are changed too" in done.stdout


@pytest.mark.parametrize("kind", ["json", "zip"])
def test_half_of_a_submission_is_not_removed(checkout: Path, leaderboard: Path, kind: str) -> None:
    entry = add(checkout, leaderboard)
    assert submit(checkout).returncode == 0
    entry.with_suffix(f".{kind}").unlink()
    done = submit(checkout)
    assert done.returncode == 1
    assert "an entry and its bundle go together" in done.stdout


def test_entry_whose_bundle_is_not_changed_is_read_with_it(checkout: Path, leaderboard: Path) -> None:
    entry = add(checkout, leaderboard)
    assert submit(checkout).returncode == 0
    document = json.loads(entry.read_text())
    document["cells"][0]["value"] = 0.99
    entry.write_text(json.dumps(document))
    done = submit(checkout)
    assert done.returncode == 1
    assert "entry/cells/0/value is 0.99" in done.stdout


def test_change_elsewhere_and_removal_pass(checkout: Path) -> None:
    (checkout / "README.md").write_text("x\n")
    (checkout / "leaderboard" / "README.md").write_text("x\n")
    (checkout / "leaderboard" / "entries" / "old" / "task.json").unlink()
    done = submit(checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "removed: leaderboard/entries/old/task.json" in done.stdout
    assert "No entry or bundle was added" in done.stdout
    assert "2 files other than entries and bundles" in done.stdout


def test_nothing_submitted_runs(checkout: Path, leaderboard: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    runs = f"open({str(mark)!r}, 'w')\n"
    add(checkout, leaderboard)
    for name in (
        "conftest.py",
        "sitecustomize.py",
        "nova_bench.py",
        "adapters/prior.py",
        "tasks/nova_diagnosis.py",
        "json.py",
    ):
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).write_text(runs)
    (checkout / ".gitattributes").write_text("*.json diff=own filter=own\n*.zip diff=own filter=own\n")
    done = submit(checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not mark.exists()


@pytest.mark.parametrize(
    "name",
    [
        "entries/a/$(touch ran).json",
        "entries/a/`touch ran`.json",
        "entries/a/; touch ran; .json",
        "entries/a b/x.json",
        "entries/a/b\nc.json",
        "entries/a/\n::error::owned.json",
        "entries/a/a\x1b[2J.json",
        "entries/a/a\u202eb.json",
        "entries/a/--record.json\n",
        "entries/A/x.json",
        "entries/x.json",
        "entries/a/b/x.json",
        "entries/a/x.pkl",
        "verifications/a/x.json",
        "index.html",
    ],
)
def test_name_that_no_submission_has_is_refused_and_not_obeyed(checkout: Path, name: str) -> None:
    path = checkout / "leaderboard" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    done = submit(checkout)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAIL" in done.stdout
    assert not list(checkout.parent.rglob("ran"))
    said = done.stdout + done.stderr
    assert "\x1b" not in said
    assert "\u202e" not in said
    orders = [line for line in done.stdout.split("\n") if line.startswith("::")]
    (start, end) = orders  # ours: what is between them is not read as an order
    assert end == f"::{start.removeprefix('::stop-commands::')}::"


def test_link_is_not_followed(checkout: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"password": "do not print"}')
    folder = checkout / "leaderboard" / "entries" / "a"
    folder.mkdir()
    (folder / "x.json").symlink_to(secret)
    done = submit(checkout)
    assert done.returncode == 1
    assert "mode 120000, a link" in done.stdout
    assert "do not print" not in done.stdout + done.stderr


def test_folder_of_the_leaderboard_that_is_a_link_is_refused(checkout: Path, tmp_path: Path) -> None:
    shutil.rmtree(checkout / "leaderboard" / "entries")
    (checkout / "leaderboard" / "entries").symlink_to(tmp_path)
    done = submit(checkout)
    assert done.returncode == 1
    assert "FAIL leaderboard/entries" in done.stdout


def test_workflow_can_read_and_nothing_else() -> None:
    text = WORKFLOW.read_text(encoding="utf-8")
    assert re.findall(r"(?m)^on:\n  (\w+):", text) == ["pull_request"]
    assert re.findall(r"(?m)^permissions:\n((?:  .*\n)+)", text) == ["  contents: read\n"]
    assert "write" not in text
    assert "secrets." not in text
    assert text.count("persist-credentials: false") == text.count("actions/checkout@") == 2
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action) for action in used)
    # What a stranger can name (a title, a branch, a file) never becomes a part of a shell's line.
    assert not re.search(r"run:.*\$\{\{", text)
    # What runs comes from the base branch; of the submission only the folder's name is given.
    assert re.findall(r"run: (.*)", text) == [
        "python -m pip install --quiet ./base",
        "base/.ci/verify_submission submission",
    ]
