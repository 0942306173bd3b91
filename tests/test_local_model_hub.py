"""Local models of the hub: the real client against a hub on the loopback interface."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acme_checkpoint import NAME, NOT_NEEDED, SHARDS
from loopback_hub import LoopbackHub

pytestmark = pytest.mark.real("huggingface_hub on a loopback hub")


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the digests that are remembered out of the user's folder."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "hf_home"))
    return tmp_path / "hf_home" / "nova_bench_weights.json"


# The hub: the real client, in a process of its own, as it reads its settings when it is imported

CLIENT = """
import json, sys, warnings
sys.path.insert(0, sys.argv[1])
from nova_bench.backends.local_model import find_model
from nova_bench.errors import NovaBenchError
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    try:
        found = find_model(sys.argv[2], **json.loads(sys.argv[3]))
        result = {"identity": found.identity(), "path": str(found.path)}
        result["files"] = sorted(p.relative_to(found.path).as_posix() for p in found.path.rglob("*") if p.is_file())
    except NovaBenchError as error:
        result = {"error": str(error), "kind": type(error).__name__}
print(json.dumps({**result, "said": [str(w.message) for w in said]}))
"""


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub(NAME, "model") as server:
        yield server


def client(
    hub: LoopbackHub | str,
    home: Path,
    *,
    env: dict[str, str] | None = None,
    model: str = NAME,
    **options: Any,
) -> dict[str, Any]:
    """Find the model in a process of its own and return what it saw."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    settings = {
        "HF_ENDPOINT": hub if isinstance(hub, str) else hub.url,
        "HF_HOME": str(home / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
    }
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, str(Path(__file__).parents[1]), model, json.dumps(options)],
        cwd=home,
        env={**inherited, **settings, **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_hub_model_is_downloaded_once_at_the_commit_of_its_branch(hub: LoopbackHub, tmp_path: Path) -> None:
    commit = hub.commit({**SHARDS, **NOT_NEEDED})
    first = client(hub, tmp_path)
    assert first["identity"] == {
        "model": NAME,
        "revision": commit,
        "weights": None,
        "trust_remote_code": False,
    }
    assert first["files"] == sorted(SHARDS)
    assert first["said"] == []
    sent = [path for method, path, status in hub.requests if method == "GET" and "/resolve/" in path]
    assert not any(path.endswith(tuple(NOT_NEEDED)) for path in sent)
    small = [path for path in sent if not path.endswith(".safetensors")]
    assert sent[: len(small)] == small  # weights come last
    hub.requests.clear()
    assert client(hub, tmp_path) == client(hub, tmp_path, revision=commit) == first
    assert not any(method == "GET" and "/resolve/" in path for method, path, _ in hub.requests)


def test_hub_model_that_moved_on_is_another_and_the_old_commit_stays_there(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    old = hub.commit(SHARDS)
    first = client(hub, tmp_path)
    new = hub.commit({**SHARDS, "model-00001-of-00002.safetensors": b"trained on"})
    assert client(hub, tmp_path)["identity"]["revision"] == new != old
    assert client(hub, tmp_path, revision=old) == first
    tag = hub.commit({**SHARDS, "tokenizer.json": b"{ }"}, branch="v1.0")
    assert client(hub, tmp_path, revision="v1.0")["identity"]["revision"] == tag


@pytest.mark.parametrize("env", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_hub_model_that_is_complete_needs_no_network(
    hub: LoopbackHub, tmp_path: Path, env: dict[str, str]
) -> None:
    commit = hub.commit(SHARDS)
    absent = client(hub, tmp_path, env=env)["error"]
    assert f"{NAME} is not complete on this machine and the hub is out of reach" in absent
    assert ("HF_HUB_OFFLINE is set" in absent) == ("HF_HUB_OFFLINE" in env)
    assert "--model ADAPTER:/PATH/TO/FOLDER" in absent
    first = client(hub, tmp_path)
    assert client(hub, tmp_path, env=env) == client(hub, tmp_path, env=env, revision=commit) == first
    hub.status = 503
    assert client(hub, tmp_path) == first


def test_hub_model_whose_download_broke_off_is_not_complete_and_goes_on(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    hub.commit(SHARDS)
    hub.fail_images_after = 1
    assert "503" in client(hub, tmp_path)["error"]
    half = client(hub, tmp_path, env={"HF_HUB_OFFLINE": "1"})["error"]
    assert "not complete on this machine and the hub is out of reach" in half
    hub.fail_images_after = None
    hub.requests.clear()
    assert client(hub, tmp_path)["files"] == sorted(SHARDS)
    sent = [path for method, path, _ in hub.requests if method == "GET" and "/resolve/" in path]
    assert len(sent) == 1  # the shard that was missing


def test_hub_model_lacking_a_small_file_gets_it(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.commit(SHARDS)
    first = client(hub, tmp_path)
    (Path(first["path"]) / "preprocessor_config.json").unlink()  # as another tool that needed less leaves it
    assert client(hub, tmp_path, revision=first["identity"]["revision"]) == first


def test_hub_model_that_is_gated_needs_a_login_and_access(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.commit(SHARDS)
    hub.gated, hub.granted = True, {"hf_granted"}
    stranger = client(hub, tmp_path)["error"]
    assert "(401)" in stranger
    assert "hf auth login" in stranger
    waiting = client(hub, tmp_path, env={"HF_TOKEN": "hf_waiting"})["error"]
    assert "(403)" in waiting
    assert f"Ask for access at {hub.url}/{NAME};" in waiting
    assert client(hub, tmp_path, env={"HF_TOKEN": "hf_granted"})["files"] == sorted(SHARDS)


@pytest.mark.parametrize(
    ("token", "expected"),
    [(None, "without a valid login (401)"), ("hf_other", f"the hub has no model {NAME} (404)")],
)
def test_hub_model_that_is_private_or_unknown_says_so(
    hub: LoopbackHub, tmp_path: Path, token: str | None, expected: str
) -> None:
    hub.private = True
    found = client(hub, tmp_path, env={"HF_TOKEN": token} if token else {})
    assert expected in found["error"]
    assert found["kind"] == "AdapterError"


@pytest.mark.parametrize(
    ("status", "expected"), [(401, "(401)"), (403, "(403)"), (429, "goes on later"), (418, "418")]
)
def test_hub_that_answers_with_a_bare_status_says_so(
    hub: LoopbackHub, tmp_path: Path, status: int, expected: str
) -> None:
    hub.status = status
    assert expected in client(hub, tmp_path)["error"]


def test_hub_that_is_silent_is_given_up(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.commit(SHARDS)
    hub.silent = 3
    assert "out of reach" in client(hub, tmp_path, env={"HF_HUB_ETAG_TIMEOUT": "1"})["error"]


def test_hub_revision_that_does_not_exist_says_so(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.commit(SHARDS)
    assert f"{NAME} has no revision 'v9'" in client(hub, tmp_path, revision="v9")["error"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"vlm.gguf": b"x"}, "GGUF files are for llama.cpp"),
        ({"config.json": b"{}", "vlm.gguf": b"x"}, "holds no weights as safetensors or PyTorch files"),
        ({key: value for key, value in SHARDS.items() if "00002-of" not in key}, "is not complete"),
    ],
)
def test_hub_repository_that_is_no_checkpoint_says_so(
    hub: LoopbackHub, tmp_path: Path, files: dict[str, bytes], expected: str
) -> None:
    hub.commit(files)
    assert expected in client(hub, tmp_path)["error"]


def test_hub_model_for_which_there_is_no_room_is_not_begun(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.commit(SHARDS)
    hub.sizes["model-00001-of-00002.safetensors"] = 10**18
    error = client(hub, tmp_path)["error"]
    assert f"{NAME} needs 1000000000.0 GB more" in error
    assert "HF_HOME" in error
    assert hub.asked(".safetensors") == 0


def test_hub_model_in_a_cache_that_cannot_be_written_says_so(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.commit(SHARDS)
    (tmp_path / "hf").write_text("a file where the cache's folder should be")
    assert "cannot be downloaded into" in client(hub, tmp_path)["error"]


def test_hub_model_with_its_own_code_runs_at_a_commit_only(hub: LoopbackHub, tmp_path: Path) -> None:
    commit = hub.commit({**SHARDS, "modeling_acme.py": b"pass"})
    refused = client(hub, tmp_path, trust_remote_code=True)
    assert refused["kind"] == "UsageError"
    assert hub.requests == []
    found = client(hub, tmp_path, trust_remote_code=True, revision=commit)
    assert found["identity"]["trust_remote_code"] is True
    (said,) = found["said"]
    assert f"commit {commit}; modeling_acme.py" in said
