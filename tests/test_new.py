"""nova-bench new: what it writes runs and passes its check as it is, and nothing is overwritten."""

from __future__ import annotations

import ast
import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from loopback import serve
from running import cell, environment, nova

import nova_bench as nb
from nova_bench.scaffold import ADAPTER_KINDS, write_adapter, write_task

ROOT = Path(__file__).parent.parent
TEMPLATES = ROOT / "nova_bench" / "templates"


def states(text: str) -> dict[str, str]:
    """Return each step's state in what `check --json` printed."""
    return {finding["step"]: finding["state"] for finding in json.loads(text)["findings"]}


@pytest.mark.parametrize("kind", ["python", "openai"])
def test_new_adapter_passes_its_check_at_once_and_runs(tmp_path: Path, kind: str) -> None:
    made = nova(tmp_path, "new", "adapter", "acme_vlm", "--kind", kind)
    assert made.returncode == 0, made.stderr
    assert "wrote acme_vlm.py\n" in made.stdout
    with serve() as (url, server):
        option = ["-o", f"base_url={url}"] if kind == "openai" else []
        check = nova(tmp_path, "check", "./acme_vlm.py", "--json", *option, timeout=300)
        assert check.returncode == 0, check.stdout + check.stderr
        assert set(states(check.stdout).values()) == {"pass"}
        run = nova(tmp_path, "run", "nova_localization", "--data", "mini", "--limit", "3", "--json",
                   "--model", "./acme_vlm.py", *option)  # fmt: skip
        assert run.returncode == 0, run.stderr
        assert (server.stats.calls > 0) == (kind == "openai")
    assert cell(json.loads(run.stdout), "ap50")["n_failed"] == 0


def test_commands_that_are_shown_name_the_file_so_that_it_is_found(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for where, said in ((".", "./"), ("below", "below/"), (str(tmp_path / "below"), f"{tmp_path}/below/")):
        name = f"model_{len(said)}"
        made = nova(tmp_path, "new", "adapter", name, "--into", where)
        commands = [line.split() for line in made.stdout.splitlines() if line.startswith("  nova-bench")]
        assert [words[1] for words in commands] == ["show", "check", "run"]
        assert all(f"{said}{name}.py" in words for words in commands)
        assert nova(tmp_path, *commands[0][1:]).returncode == 0


def test_new_task_runs_on_its_made_up_data_and_compares_groups(tmp_path: Path) -> None:
    made = nova(tmp_path, "new", "task", "my_question")
    assert made.returncode == 0, made.stderr
    commands = [line.split()[1:] for line in made.stdout.splitlines() if line.startswith("  nova-bench")]
    for words in commands:
        done = nova(tmp_path, *words)
        assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(nova(tmp_path, *commands[-1], "--json").stdout)
    text = json.dumps(document)
    assert all(f'"{group}"' in text for group in ("sex", "age", "female", "male", "50-64", "65-79"))
    with (tmp_path / "my_question_data" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))

    def truth(request: nb.Request) -> str:
        return "yes" if request.images[0].array().max() == 220 else "no"  # the disc's own grey

    run = nb.evaluate(str(tmp_path / "my_question.py"), truth, data=str(tmp_path / "my_question_data"),
                      out=tmp_path / "seen")  # fmt: skip
    (accuracy,) = (cell for cell in run.cells() if cell.slice == "all")
    assert (accuracy.value, accuracy.n) == (1.0, len(rows))
    assert run.table()["sex"].isna().sum() == sum(not row["sex"] for row in rows) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["adapter", "Acme-VLM 8B"], "acme_vlm_8b would do"),
        (["adapter", "../x"], "small letters"),
        (["adapter", "class"], "no word of Python's own"),
        (["adapter", "8b"], "beginning with a letter"),
        (["adapter", "a" * 61], "at most 60"),
        (["adapter", "müller"], "small letters"),
        (["adapter", "openai"], "adapter 'openai' exists"),
        (["adapter", "json"], "name of a Python module"),
        (["adapter", "numpy"], "name of a Python module"),
        (["task", "nova_caption"], "task 'nova_caption' exists"),
        (["task", "mini"], "name of a suite"),
        (["task", "x", "--into", "nowhere"], "no such folder"),
    ],
)
def test_name_that_cannot_be_used_is_refused_and_nothing_written(
    tmp_path: Path, words: list[str], message: str
) -> None:
    done = nova(tmp_path, "new", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert [path for path in tmp_path.iterdir() if path.name not in ("cache", "config")] == []


@pytest.mark.parametrize("there", ["mine.py", "mine_data", "link"])
def test_what_is_there_is_not_overwritten(tmp_path: Path, there: str) -> None:
    if there == "mine_data":
        (tmp_path / there).mkdir()
    elif there == "link":
        (tmp_path / "mine.py").symlink_to(tmp_path / "nowhere.py")
    else:
        (tmp_path / there).write_text("kept")
    with pytest.raises(nb.UsageError, match="is there already and is not overwritten"):
        write_task("mine", tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert not (tmp_path / "nowhere.py").exists()


def test_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    done = nova(tmp_path, "new", "task", "mine", "--into", "/proc")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr


def test_in_a_checkout_the_name_alone_is_enough(tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    for folder in ("nova_bench", "adapters", "tasks"):
        ignored = shutil.ignore_patterns("__pycache__", "data")
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored if folder == "tasks" else None)
    shutil.copy(ROOT / "pyproject.toml", copy)

    def at(*words: str) -> subprocess.CompletedProcess[str]:
        env = environment(tmp_path, PYTHONPATH=str(copy))
        line = [sys.executable, "-m", "nova_bench", *words]
        return subprocess.run(line, cwd=copy, env=env, capture_output=True, text=True, timeout=120)

    made = at("new", "adapter", "acme_vlm", "--into", "adapters")
    assert "  nova-bench check acme_vlm\n" in made.stdout
    assert "acme_vlm" in at("list", "adapters").stdout
    assert at("check", "acme_vlm").returncode == 0
    made = at("new", "task", "acme_scan", "--into", "tasks")
    command = next(line for line in made.stdout.splitlines() if " run " in line).split()[1:]
    assert command[:2] == ["run", "acme_scan"]
    done = at(*command)
    assert done.returncode == 0, done.stderr


def test_every_kind_has_its_template_and_is_offered(tmp_path: Path) -> None:
    assert {f"adapter_{kind}.py" for kind in ADAPTER_KINDS} | {"task.py"} == {
        path.name for path in TEMPLATES.glob("*.py")
    }
    offered = nova(tmp_path, "new", "adapter", "--help").stdout
    assert "{" + ",".join(ADAPTER_KINDS) + "}" in offered
    with pytest.raises(nb.NovaBenchError, match="did you mean 'vllm'"):
        write_adapter("mine", "vlm", tmp_path)


def test_templates_are_in_the_style_that_a_submission_has_to_have(tmp_path: Path) -> None:
    for kind in ADAPTER_KINDS:
        write_adapter(f"an_adapter_of_a_long_name_{kind}", kind, tmp_path)
    write_task("x", tmp_path)
    files = sorted(map(str, tmp_path.glob("*.py")))
    done = nova(tmp_path, "check", "--no-run", *files)
    assert done.returncode == 0, done.stdout
    rules = ["--no-cache", "--config", str(ROOT / "pyproject.toml")]
    for words in (["check"], ["format", "--diff"]):
        ruff = subprocess.run(
            [sys.executable, "-m", "ruff", *words, *rules, *files], capture_output=True, text=True
        )
        assert ruff.returncode == 0, ruff.stdout + ruff.stderr


def test_task_template_has_sixty_lines_of_code() -> None:
    source = (TEMPLATES / "task.py").read_text(encoding="utf-8")
    words = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    code = [line for n, line in enumerate(source.splitlines(), 1) if line.strip() and n not in words]
    assert len(code) <= 60
