"""What ships, and what must not change in silence: the wheel's content, and each task's requests and scores."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import nova_bench as nb
from nova_bench.catalog import find_all
from nova_bench.plan import Plan
from nova_bench.report import rounded
from nova_bench.run import open_run

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden" / "tasks.json"
NAMES = (
    "nova_localization",
    "nova_caption",
    "nova_diagnosis",
    "nova_diagnosis@inputs=image",
    "fmbench_vqa",
    "fmbench_vqa@demographics=swapped",
    "fmbench_report",
    "fmbench_report@demographics=stated",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    (path,) = folder.glob("*.whl")
    return path


def test_wheel_holds_exactly_the_content_that_git_knows(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "tasks", "adapters"], check=True, capture_output=True, text=True
    ).stdout.split()
    prefix = "nova_bench/_content/"
    names = zipfile.ZipFile(wheel).namelist()
    packed = sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))
    assert packed == sorted(tracked)


def test_wheel_installed_elsewhere_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    environment = os.environ | {"PYTHONPATH": str(target), "HOME": str(tmp_path), "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        [sys.executable, "-m", "nova_bench", "demo", "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert {cell["model"] for cell in document["cells"]} == {"symmetry", "cup_disc", "prior"}
    judged = [cell for cell in document["cells"] if cell["signature"]["protocol"].get("judge")]
    assert {cell["task"].partition("@")[0] for cell in judged} == {
        *("nova_caption", "nova_diagnosis", "fmbench_vqa", "fmbench_report")
    }
    for cell in judged:
        judge = cell["signature"]["protocol"]["judge"]
        assert "judge=rule-based stand-in" in cell["metric"]
        assert (judge["model"], judge["repeats"]) == ("rule-based stand-in", 1)
        assert re.fullmatch(r"[a-z_]+/\d+/[0-9a-f]{12}", judge["rubric"])
    where = subprocess.run(
        [sys.executable, "-c", "import nova_bench; print(nova_bench.__file__)"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert str(target) in where


def test_editing_a_task_in_a_checkout_is_seen_at_once() -> None:
    (found,) = [found for found in find_all("tasks") if found.name == "nova_caption"]
    assert found.path == ROOT / "tasks" / "nova_caption.py"


def golden_of(name: str, folder: Path) -> dict[str, object]:
    """Render the requests of the first three cases, and score the guessing baseline on them."""
    run = nb.evaluate(name, "prior", data="mini", limit=3, out=folder / name)
    plan: Plan = run.plan
    samples = [sample for sample in plan.samples() if isinstance(sample, nb.Sample)]
    hashes = [plan.hash(request).hex()[:12] for sample in samples for request in plan.requests(sample)]
    # METEOR and BERTScore need a resource that a machine may lack.
    kept = [
        cell
        for cell in run.cells()
        if cell.slice == "all" and not cell.metric.startswith(("meteor", "bertscore"))
    ]
    cells = {cell.metric: rounded(cell.value) for cell in kept}
    values = {name: None if value is None else float(f"{value:.9g}") for name, value in cells.items()}
    return {"version": plan.task.version, "requests": hashes, "scores": values}


@pytest.mark.parametrize("name", NAMES)
def test_requests_and_scores_are_those_of_the_tasks_version(name: str, tmp_path: Path) -> None:
    found = golden_of(name, tmp_path)
    known = json.loads(GOLDEN.read_text())[name]
    advice = (
        f"the requests or scores of {name} changed: raise Task.version, add a line under Scores in CHANGELOG.md, "
        "and renew the file with `python tests/test_content.py`"
    )
    assert found == known, advice


def test_run_opens_again_from_its_folder(tmp_path: Path) -> None:
    run = nb.evaluate("nova_diagnosis@inputs=image", "prior", data="mini", limit=3, out=tmp_path / "run")
    again = open_run(tmp_path / "run")
    assert again.report() == run.report()
    assert list(again.table()["id"]) == list(run.table()["id"])


def renew() -> None:
    """Write the golden file anew."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        GOLDEN.write_text(
            json.dumps({name: golden_of(name, Path(folder)) for name in NAMES}, indent=1) + "\n"
        )


if __name__ == "__main__":
    renew()
