"""Local models as judges, from the command line: under a rubric's schema even random weights give verdicts, every one of them whole."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from running import log_of, nova

import nova_bench as nb
from nova_bench.rubrics.nova_description import NOVA_DESCRIPTION
from nova_bench.verdict_schema import fault_of

pytestmark = [pytest.mark.engine, pytest.mark.real("vllm as a judge", "transformers as a judge")]

ENV = {"VLLM_CPU_KVCACHE_SPACE": "1"}
TASKS = ("nova_diagnosis", "nova_caption", "fmbench_vqa", "fmbench_report")
VLLM = {"dtype": "float32", "enforce_eager": "true"}
TRANSFORMERS = {"dtype": "float32"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("model") / "tiny"
    maker = Path(__file__).with_name("tiny_models.py")
    subprocess.run([sys.executable, maker, "qwen2_vl", folder], check=True, capture_output=True)
    return folder


@pytest.fixture
def other(tiny: Path, tmp_path: Path) -> Path:
    """The same checkpoint by another name: no judge of itself, as far as names tell."""
    return Path(shutil.copytree(tiny, tmp_path / "other"))


def options(letter: str, values: Mapping[str, str]) -> list[str]:
    return [word for key, value in values.items() for word in (letter, f"{key}={value}")]


def verdicts_of(run: Path) -> list[dict[str, Any]]:
    (log,) = (run / "judges").glob("*/verdicts.jsonl")
    return [json.loads(line) for line in log.read_text(encoding="ascii").splitlines()]


def judged_cells(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (cell for cell in document["cells"] if "(judge=" in cell["metric"])


def check_all_parsed(run: Path, task: str) -> list[dict[str, Any]]:
    """Return the verdicts of a run, once it is sure that each answer has one of each rubric and that every one, of every try, fits its schema.

    Random weights do not list the reference's keywords, which the check of ``nova_description`` finds: such a verdict parses, and is asked for
    again. Those of the other rubrics are all from the first try.
    """
    answers, judges = log_of(run), nb.load_task(task).judges
    records = verdicts_of(run)
    assert {record["id"] for record in records} == {
        f"{answer['id']}|{judge.name}" for answer in answers for judge in judges
    }
    for record in records:
        (judge,) = (judge for judge in judges if judge.name == record["id"].rpartition("|")[2])
        assert record["finish"] == "stop", record
        assert "json_schema" not in record.get("dropped", ())
        said = json.loads(record["text"])
        assert fault_of(said, judge.schema) is None
        if judge is NOVA_DESCRIPTION and "fault" in record:
            assert "keyword of the reference is listed" in record["fault"]
        else:
            assert record["verdict"] == said
    return records


def check_unjudged(document: Mapping[str, Any]) -> None:
    """Raise where an answer is unjudged under a rubric without a check that random weights fail."""
    cells = [cell for cell in judged_cells(document) if cell["task"] != "nova_caption"]
    assert cells
    assert all(cell["counts"]["unjudged"] == 0 for cell in cells)


# vLLM on a CPU dies where a seeded request's prompt is computed in pieces ("CPU Generator does not use offset"): four prompts fit at once.
WHOLE_PROMPTS = {"max_num_seqs": "4", "max_num_batched_tokens": "16384"}


# Greedy decoding of random weights leaves lists empty and repeats itself in texts; with a temperature it fills lists and ends texts.
@pytest.mark.parametrize("temperature", ["0", "1"])
def test_every_verdict_of_vllm_parses(tiny: Path, tmp_path: Path, temperature: str) -> None:
    pytest.importorskip("vllm")
    out = tmp_path / "runs"
    words = ("run", *TASKS, "--model", "prior", "--data", "mini", "--limit", "3", "--judge", f"vllm:{tiny}")
    engine = VLLM if temperature == "0" else VLLM | WHOLE_PROMPTS
    words = (*words, *options("-J", engine), "--judge-param", f"temperature={temperature}")
    got = nova(tmp_path, *words, "--out", out, "--json", env=ENV, timeout=400)
    assert got.returncode == 0, got.stderr
    document = json.loads(got.stdout)
    cells = list(judged_cells(document))
    assert cells
    assert not any(cell["incomplete"] or cell["n_failed"] for cell in cells)
    check_unjudged(document)
    assert {cell["signature"]["protocol"]["judge"]["model"] for cell in cells} == {"vllm:tiny"}
    texts = {record["text"] for task in TASKS for record in check_all_parsed(out / task, task)}
    assert len(texts) > len(TASKS)


def test_vllm_judges_a_finished_run_without_its_model(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("vllm")
    out = tmp_path / "run"
    plain = nova(
        tmp_path, "run", "nova_diagnosis", "--model", "prior", "--data", "mini", "--limit", "3", "--out", out
    )
    assert plain.returncode == 0, plain.stderr
    before = (out / "responses.jsonl").read_bytes()
    got = nova(
        tmp_path,
        "score",
        out,
        "--judge",
        f"vllm:{tiny}",
        *options("-J", VLLM),
        "--json",
        env=ENV,
        timeout=400,
    )
    assert got.returncode == 0, got.stderr
    check_unjudged(json.loads(got.stdout))
    assert check_all_parsed(out, "nova_diagnosis")
    assert (out / "responses.jsonl").read_bytes() == before


PAIRS = {
    "vllm by transformers": ("vllm", VLLM, "transformers", TRANSFORMERS),
    "transformers by vllm": ("transformers", TRANSFORMERS, "vllm", VLLM),
    "transformers by transformers": ("transformers", TRANSFORMERS, "transformers", TRANSFORMERS),
}


@pytest.mark.parametrize("pair", list(PAIRS))
def test_local_judge_beside_a_local_model(tiny: Path, other: Path, tmp_path: Path, pair: str) -> None:
    model, model_options, judge, judge_options = PAIRS[pair]
    if "vllm" in (model, judge):
        pytest.importorskip("vllm")
    out = tmp_path / "run"
    words = ("run", "nova_caption", "--model", f"{model}:{other}", *options("-o", model_options))
    words = (*words, "-p", "max_tokens=24", "--data", "mini", "--limit", "2")
    words = (*words, "--judge", f"{judge}:{tiny}", *options("-J", judge_options))
    got = nova(tmp_path, *words, "--out", out, "--json", env=ENV, timeout=400)
    assert got.returncode == 0, got.stderr
    document = json.loads(got.stdout)
    assert not any(cell["incomplete"] for cell in document["cells"])
    assert check_all_parsed(out, "nova_caption")


def test_one_checkpoint_as_model_and_judge_is_refused_before_it_is_loaded(tiny: Path, tmp_path: Path) -> None:
    (tiny.parent / "empty" / tiny.name).mkdir(parents=True)  # what cannot be loaded
    words = ("run", "nova_caption", "--model", f"transformers:{tiny.parent / 'empty' / tiny.name}")
    words = (*words, "--judge", f"vllm:{tiny}", "--data", "mini", "--out", tmp_path / "run")
    got = nova(tmp_path, *words, env=ENV)
    assert got.returncode == 2
    assert "--allow-self-judge" in got.stderr
    loaded = nova(tmp_path, *words, "--allow-self-judge", env=ENV)
    assert loaded.returncode == 1
    assert "no config.json" in loaded.stderr
