"""What the hub gives to `find_model` is all that the real transformers need, and a checkpoint's own code runs only where it may."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import LoopbackHub

pytestmark = [pytest.mark.engine, pytest.mark.real("transformers from a loopback hub")]

NAME = "acme/tiny-vlm"
LOAD = """
import json, sys, warnings
from nova_bench.backends.local_model import find_model
options = json.loads(sys.argv[1])
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    found = find_model("acme/tiny-vlm", **options)
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
    trust = {"trust_remote_code": found.trust_remote_code}
    try:
        config = AutoConfig.from_pretrained(found.path, **trust)
        made = [type(config).__name__]
        made.append(type(AutoProcessor.from_pretrained(found.path, **trust)).__name__)
        made.append(type(AutoModelForImageTextToText.from_pretrained(found.path, **trust)).__name__)
    except ValueError as error:
        made = [str(error)]
print(json.dumps(made))
"""


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub(NAME, "model") as server:
        yield server


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return a tiny Qwen2-VL as a repository holds it, with copies that nobody needs."""
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    folder = tmp_path_factory.mktemp("tiny")
    maker = Path(__file__).with_name("tiny_models.py")
    subprocess.run([sys.executable, str(maker), "qwen2_vl", str(folder)], check=True, timeout=300)
    made = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return {**made, "pytorch_model.bin": b"not even a pickle", "model.gguf": b"x", "README.md": b"x"}


def load(hub: LoopbackHub, home: Path, **options: Any) -> list[str]:
    """Load the model in a process of its own, and return the classes that it became."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    settings = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home / "hf"),
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "HOME": str(home),
    }
    done = subprocess.run(
        [sys.executable, "-c", LOAD, json.dumps(options)],
        cwd=home,
        env={**kept, **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made: list[str] = json.loads(done.stdout.splitlines()[-1])
    return made


def test_hub_model_loads_from_what_was_downloaded(
    hub: LoopbackHub, files: dict[str, bytes], tmp_path: Path
) -> None:
    hub.commit(files)
    classes = load(hub, tmp_path)
    assert classes == ["Qwen2VLConfig", "Qwen2VLProcessor", "Qwen2VLForConditionalGeneration"]
    assert hub.asked(".bin") == hub.asked(".gguf") == 0


def test_own_code_of_a_checkpoint_runs_only_where_it_may(
    hub: LoopbackHub, files: dict[str, bytes], tmp_path: Path
) -> None:
    trace = tmp_path / "it_ran"
    code = (
        f"open({str(trace)!r}, 'w').close()\n"
        "from transformers import Qwen2VLConfig\n"
        "class AcmeConfig(Qwen2VLConfig):\n    model_type = 'acme_vlm'\n"
    )
    config = json.loads(files["config.json"])
    config |= {"model_type": "acme_vlm", "auto_map": {"AutoConfig": "configuration_acme.AcmeConfig"}}
    commit = hub.commit(
        {**files, "config.json": json.dumps(config).encode(), "configuration_acme.py": code.encode()}
    )
    (refused,) = load(hub, tmp_path, revision=commit)
    assert "trust_remote_code" in refused
    assert not trace.exists()
    assert "AcmeConfig" in load(hub, tmp_path, revision=commit, trust_remote_code=True)[0]
    assert trace.exists()
