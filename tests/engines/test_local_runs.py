"""Whole runs with a local model, as a user starts them: mini with nothing failed, killed with -9 in the middle, and bound to a schema.

The answers of random weights are gibberish; what is tested is the path.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from running import command, environment, final_ids, log_of, nova

pytestmark = [pytest.mark.engine, pytest.mark.real("vllm in whole runs", "transformers in whole runs")]

ENV = {"VLLM_CPU_KVCACHE_SPACE": "1"}
VLLM = ("-o", "dtype=float32", "-o", "enforce_eager=true")
ADAPTERS = {
    "vllm": ("vllm", VLLM),
    "vllm as a server": ("vllm", (*VLLM, "-o", "serve=true")),
    "transformers": ("transformers", ("-o", "dtype=float32")),
}
TASKS = {
    "nova_localization": 68,
    "nova_caption": 68,
    "nova_diagnosis": 68,
    "nova_diagnosis@inputs=image": 68,
    "fmbench_vqa": 966,
    "fmbench_report": 240,
}

# The diagnosis task with a schema that ends: random weights would write a text without a limit for ever.
TASK = """
import dataclasses
from nova_bench.catalog import load_task

SCHEMA = {
    "type": "object",
    "properties": {
        "most_likely_diagnosis": {"type": "string", "minLength": 1, "maxLength": 20},
        "other_possible_diagnoses": {
            "type": "array", "items": {"type": "string", "enum": ["abscess", "glioma", "stroke"]}, "minItems": 4, "maxItems": 4
        },
        "confidence": {"type": "integer", "minimum": 0, "maximum": 100},
    },
    "required": ["most_likely_diagnosis", "other_possible_diagnoses", "confidence"],
    "additionalProperties": False,
}
DIAGNOSIS = load_task("nova_diagnosis")


def prompt(sample, card):
    return dataclasses.replace(DIAGNOSIS.prompt(sample, card), json_schema=SCHEMA)


TASK = dataclasses.replace(DIAGNOSIS, name="bounded_diagnosis", prompt=prompt)
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("model") / "tiny"
    maker = Path(__file__).with_name("tiny_models.py")
    subprocess.run([sys.executable, maker, "qwen2_vl", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(params=list(ADAPTERS))
def model(request: pytest.FixtureRequest, tiny: Path) -> tuple[str, ...]:
    """What a user writes to name the model."""
    adapter, options = ADAPTERS[request.param]
    if adapter == "vllm":
        pytest.importorskip("vllm")
    return ("--model", f"{adapter}:{tiny}", *options)


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_mini_killed_in_the_middle_is_finished_by_the_same_command(
    model: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    words = (
        ("run", "mini", *model, "-p", "max_tokens=24", "--concurrency", "8")
        if "transformers" not in model[1]
        else ("run", "mini", *model, "-p", "max_tokens=24")
    )
    words = (*words, "--out", out, "--json")
    first = out / "nova_localization"
    process = subprocess.Popen(
        command(*words),
        cwd=tmp_path,
        env=environment(tmp_path, **ENV),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process.stderr:
        while len(final_ids(first)) < 5:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.005)
        below = psutil.Process(process.pid).children(recursive=True)
        process.kill()  # our process alone: what it started has to notice
        process.wait()
    until = time.monotonic() + 10
    while any(map(lives, below)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(lives, below)), below
    kept = log_of(first)
    assert 5 <= len(kept) < TASKS["nova_localization"]

    again = nova(tmp_path, *words, env=ENV, timeout=550)
    assert again.returncode == 0, again.stderr
    document = json.loads(again.stdout)  # one document, whatever an engine writes
    assert not any(cell["incomplete"] or cell["n_failed"] for cell in document["cells"])
    assert log_of(first)[: len(kept)] == kept
    for task, n in TASKS.items():
        records = log_of(out / task)
        assert len(records) == n, task
        assert set(Counter(record["id"] for record in records).values()) == {1}, (
            task
        )  # nothing was asked twice
        assert {record["finish"] for record in records} <= {"stop", "length"}, task
    once_more = nova(tmp_path, *words, env=ENV, timeout=120)
    assert json.loads(once_more.stdout)["cells"] == document["cells"]
    assert all(len(log_of(out / task)) == n for task, n in TASKS.items())


def test_every_answer_parses_with_a_schema(model: tuple[str, ...], tmp_path: Path) -> None:
    task = tmp_path / "bounded_diagnosis.py"
    task.write_text(TASK, encoding="utf-8")
    out = tmp_path / "run"
    got = nova(
        tmp_path,
        "run",
        task,
        "--data",
        "mini",
        *model,
        "-p",
        "max_tokens=400",
        "--out",
        out,
        env=ENV,
        timeout=400,
    )
    assert got.returncode == 0, got.stderr
    records = log_of(out)
    assert len(records) == TASKS["nova_diagnosis"]
    for record in records:
        assert record["finish"] == "stop", record
        assert "json_schema" not in record.get("dropped", ())
        said = json.loads(record["text"])
        assert set(said) == {"most_likely_diagnosis", "other_possible_diagnoses", "confidence"}
        assert 1 <= len(said["most_likely_diagnosis"]) <= 20
        assert len(said["other_possible_diagnoses"]) == 4
        assert set(said["other_possible_diagnoses"]) <= {"abscess", "glioma", "stroke"}
        assert type(said["confidence"]) is int
        assert 0 <= said["confidence"] <= 100
    assert len({record["text"] for record in records}) > 1
