"""The file that `nova-bench new` writes for a checkpoint passes its check as it is, and the page's commands run with it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from running import nova

pytestmark = pytest.mark.engine

PAGE = Path(__file__).parents[2] / "adapters" / "README.md"


@pytest.mark.real("transformers")
def test_commands_of_the_page_for_a_checkpoint_run(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    section = PAGE.read_text(encoding="utf-8").split("\n## A checkpoint\n")[1].split("\n## ")[0]
    commands = re.findall(r"^\$ nova-bench (.*)$", section, re.MULTILINE)
    assert [line.split()[0] for line in commands] == ["new", "check", "run"]
    for line in commands:
        small = ["-o", "dtype=float32"] if "FOLDER" in line else []
        small += ["-p", "max_tokens=8"] if line.startswith("run") else []
        words = shlex.split(line.replace("FOLDER", str(checkpoint("qwen2_vl"))))
        done = nova(tmp_path, *words, *small, timeout=600)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("transformers", marks=pytest.mark.real("transformers")),
        pytest.param("vllm", marks=pytest.mark.real("vllm")),
    ],
)
def test_new_adapter_of_a_checkpoint_passes_its_check(
    checkpoint: Callable[[str], Path], tmp_path: Path, kind: str
) -> None:
    pytest.importorskip(kind)
    assert nova(tmp_path, "new", "adapter", "my_vlm", "--kind", kind).returncode == 0
    options = {"model": str(checkpoint("qwen2_vl")), "dtype": "float32"}
    if kind == "vllm":
        options |= {"max_model_len": "2048", "enforce_eager": "true"}
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    done = nova(
        tmp_path, "check", "./my_vlm.py", "--json", *words, env={"VLLM_CPU_KVCACHE_SPACE": "1"}, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {finding["state"] for finding in json.loads(done.stdout)["findings"]} == {"pass"}
