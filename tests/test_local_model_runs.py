"""Whole runs with local models: options that are passed on, what is the same model, and code that is said."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from acme_checkpoint import SHARDS, checkpoint
from running import log_of, nova

from nova_bench.backends.local_model import LocalModel
from nova_bench.backends.weights_digest import weights_digest
from nova_bench.catalog import load_model
from nova_bench.errors import UnknownNameError, UsageError


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the digests that are remembered out of the user's folder."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "hf_home"))
    return tmp_path / "hf_home" / "nova_bench_weights.json"


# Options and identity, through whole runs of an adapter that asks nobody

ADAPTER = '''
"""Answers from a checkpoint that is found, and never loaded."""
import nova_bench as nb
from nova_bench.adapter import each
from nova_bench.backends.local_model import find_model


class Found:
    def __init__(self, found, engine):
        self.found, self.engine = found, engine

    def identity(self):
        return self.found.identity()

    def generate(self, requests):
        return each(lambda request: f"I see {len(self.engine)} options").generate(requests)


def load(*, model: str = "", revision: str = "", trust_remote_code: bool = False, **engine: str):
    return Found(find_model(model, revision=revision, trust_remote_code=trust_remote_code), engine)
'''


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    path = tmp_path / "found.py"
    path.write_text(ADAPTER)
    return path


def test_options_that_load_does_not_name_are_passed_on_as_texts(tmp_path: Path, adapter: Path) -> None:
    folder = checkpoint(tmp_path / "m")
    model = load_model(f"{adapter}:{folder}", {"max_model_len": "1024", "boxes": "xyxy/px"})
    assert model.adapter.engine == {"max_model_len": "1024"}  # type: ignore[attr-defined]
    assert model.identity["max_model_len"] == "1024"
    assert model.name == "found:m"
    assert model.identity["model"] == "m"
    assert model.card.frame.name == "xyxy/px"
    assert load_model(f"{adapter}:{folder}", {"max-model-len": "1024"}).identity["max_model_len"] == "1024"
    with pytest.raises(UsageError, match="given twice"):
        load_model(f"{adapter}:{folder}", {"max_model_len": "1024", "max-model-len": "8"})
    # another spelling is no way around what an option of load's own checks
    with pytest.raises(UnknownNameError, match="did you mean 'trust_remote_code'"):
        load_model(f"{adapter}:{folder}", {"trust-remote-code": "true"})


def test_run_goes_on_from_a_moved_folder_and_not_with_other_weights(tmp_path: Path, adapter: Path) -> None:
    folder = checkpoint(tmp_path / "m")

    def run(at: Path, limit: int) -> subprocess.CompletedProcess[str]:
        words = ("run", "nova_diagnosis", "--data", "mini", "--model", f"{adapter}:{at}", "--limit", limit)
        return nova(tmp_path, *words, "--out", "out", "--json")

    assert run(folder, 2).returncode == 0
    answered = len(log_of(tmp_path / "out"))
    moved = tmp_path / "elsewhere" / "m"
    shutil.copytree(folder, moved)
    shutil.rmtree(folder)
    on = run(moved, 4)
    assert on.returncode == 0, on.stderr
    assert len(log_of(tmp_path / "out")) > answered
    (moved / "model-00002-of-00002.safetensors").write_bytes(b"trained on")
    refused = run(moved, 6)
    assert refused.returncode == 1
    assert "weights" in refused.stderr


def test_foreign_code_is_said_before_the_run_and_with_every_number(tmp_path: Path, adapter: Path) -> None:
    folder = checkpoint(tmp_path / "m", {**SHARDS, "modeling_acme.py": b"pass"})
    words = ("run", "nova_diagnosis", "--data", "mini", "--model", f"{adapter}:{folder}", "--limit", "2")
    trusting = (*words, "-o", "trust_remote_code=true", "--out", "trusting")
    done = nova(tmp_path, *trusting, "--json", env={"PYTHONWARNINGS": "ignore"})
    assert done.returncode == 0
    _, line = done.stderr.splitlines()[:2]  # the adapter's own code comes first: it is named by its path
    assert line.startswith("nova-bench: trust_remote_code=true: Python code that comes with ")
    sha256 = LocalModel("", folder, None, weights_digest(folder)).weights
    for again in (done, nova(tmp_path, "report", "trusting", "--json")):
        cells = json.loads(again.stdout)["cells"]
        assert len(cells) > 5
        for cell in cells:
            assert cell["signature"]["provenance"]["remote_code"] == {"model": "m", "sha256": sha256}
    for verb in ("report", "score"):
        shown = " ".join(nova(tmp_path, verb, "trusting").stdout.split())
        assert (
            f"Python code that came with it (model m, sha256 {sha256}) had a part in every number." in shown
        )
    # one and the same run cannot be continued without
    assert "trust_remote_code" in nova(tmp_path, *words, "--out", "trusting").stderr
    plain = nova(tmp_path, *words, "--out", "plain", "--json")
    assert "trust_remote_code" not in plain.stderr
    (report,) = json.loads(plain.stdout)["runs"]
    assert "trust_remote_code" not in report["caution"]
    assert all(
        cell["signature"]["provenance"]["remote_code"] is None for cell in json.loads(plain.stdout)["cells"]
    )


def test_foreign_code_is_said_in_the_fairness_document(tmp_path: Path, adapter: Path) -> None:
    folder = checkpoint(tmp_path / "m")
    words = ("run", "fmbench_vqa", "--data", "mini", "--limit", "12", "--model", f"{adapter}:{folder}")
    nova(tmp_path, *words, "-o", "trust_remote_code=true", "--out", "trusting")
    quick = ("--resamples", "100", "--permutations", "99", "--min-n", "2")
    done = nova(tmp_path, "fairness", "trusting", "--json", "--out", "page", *quick)
    document = json.loads(done.stdout)
    assert document["comparisons"]
    for run in document["runs"]:
        assert run["synthetic"] is True
        assert "trust_remote_code: Python code that came with it (model m, sha256 " in run["caution"]
    for entry in document["comparisons"]:
        assert entry["signature"]["provenance"]["remote_code"]["model"] == "m"
    (page,) = (tmp_path / "page").glob("*.html")
    assert "had a part in every number" in page.read_text(encoding="utf-8")
