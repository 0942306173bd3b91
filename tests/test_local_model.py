"""Where a local model comes from: folders, the hub (the real client against a hub on the loopback interface), and foreign code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import LoopbackHub
from running import log_of, nova

from nova_bench.backends.checkpoint import foreign_code, needed_files
from nova_bench.backends.local_model import LocalModel, find_model
from nova_bench.backends.weights_digest import weights_digest
from nova_bench.catalog import load_model
from nova_bench.errors import AdapterError, RemoteCodeWarning, UnknownNameError, UsageError

NAME = "acme/vlm-2b"
SHARDS = {
    "config.json": b'{"model_type": "qwen2_vl"}',
    "preprocessor_config.json": b"{}",
    "tokenizer.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
    "model-00001-of-00002.safetensors": b"first shard",
    "model-00002-of-00002.safetensors": b"second shard",
    "model.safetensors.index.json": json.dumps(
        {
            "weight_map": {
                "a": "model-00001-of-00002.safetensors",
                "b": "model-00002-of-00002.safetensors",
            }
        }
    ).encode(),
}
NOT_NEEDED = {
    "README.md": b"x",
    "pytorch_model-00001-of-00001.bin": b"pickle",
    "original/consolidated.00.pth": b"pickle",
    "onnx/model.onnx": b"x",
    "vlm-q4.gguf": b"x",
    "figures/results.png": b"x",
    "optimizer.pt": b"pickle",
    ".gitattributes": b"x",
}


def checkpoint(folder: Path, files: dict[str, bytes] | None = None) -> Path:
    """Write a folder with a checkpoint's files, older than the clock's grain."""
    for name, data in (SHARDS if files is None else files).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (time.time() - 60,) * 2)
    return folder


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the digests that are remembered out of the user's folder."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "hf_home"))
    return tmp_path / "hf_home" / "nova_bench_weights.json"


# Folders


def test_folder_is_found_and_named_without_the_way_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkpoint(tmp_path / "models" / "tiny")
    found = find_model(str(folder))
    assert (found.path, found.commit, found.trust_remote_code) == (folder, None, False)
    assert found.identity() == {
        "model": "tiny",
        "revision": None,
        "weights": found.weights,
        "trust_remote_code": False,
    }
    monkeypatch.chdir(folder.parent)
    assert find_model("./tiny").identity() == find_model("tiny").identity() == found.identity()
    monkeypatch.setenv("HOME", str(folder.parent))
    assert find_model("~/tiny").path == folder


def test_digest_is_of_names_and_contents_and_follows_the_folder(tmp_path: Path) -> None:
    first = weights_digest(checkpoint(tmp_path / "a"))
    assert weights_digest(checkpoint(tmp_path / "b")) == first
    assert (
        weights_digest(checkpoint(tmp_path / "c", {**SHARDS, "README.md": b"x", ".git/HEAD": b"x"})) == first
    )
    for name, data in (
        ("model-00002-of-00002.safetensors", b"second_shard"),
        ("preprocessor_config.json", b'{"max_pixels": 4}'),
        ("modeling_acme.py", b"pass"),
        ("runs/scheduler.py", b"pass"),
        ("pytorch_model.bin", b"an engine may be told to take these"),
    ):
        assert weights_digest(checkpoint(tmp_path / name, {**SHARDS, name: data})) != first
    moved = {**SHARDS}
    moved["tokenizer_config.json"] = moved.pop("tokenizer.json")
    assert weights_digest(checkpoint(tmp_path / "d", moved)) != first


def test_digest_is_remembered_until_a_file_changes(tmp_path: Path, index: Path) -> None:
    folder = checkpoint(tmp_path / "a")
    first = weights_digest(folder)
    known = json.loads(index.read_text())
    assert set(known) == {str(folder / name) for name in SHARDS}
    # what is remembered is used: a digest that is put there by hand comes back
    shard = folder / "model-00001-of-00002.safetensors"
    index.write_text(json.dumps({**known, str(shard): [*known[str(shard)][:3], "0" * 64]}))
    assert weights_digest(folder) != first
    # a change of the same size is seen by its time, and one within the clock's grain is not remembered
    index.write_text(json.dumps(known))
    shard.write_bytes(b"First shard")
    changed = weights_digest(folder)
    assert changed != first
    assert json.loads(index.read_text()) == known
    shard.write_bytes(b"first shard")
    assert weights_digest(folder) == first
    # nor does it help that another checkpoint of the same shapes was unpacked with the time of the first
    time = shard.stat().st_mtime_ns
    shard.write_bytes(b"Other shard")
    os.utime(shard, ns=(time, time))
    assert weights_digest(folder) not in (first, changed)
    shard.write_bytes(b"first shard")
    for damage in (b"{", b"[]", b'{"x": 1}', b"\xff"):
        index.write_bytes(damage)
        assert weights_digest(folder) == first


def test_digest_needs_no_place_to_remember(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = checkpoint(tmp_path / "a")
    assert weights_digest(folder, tmp_path / "file" / "index.json") == weights_digest(folder)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "holds no config.json"),
        ({"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"}, "it is a LoRA adapter: merge it"),
        ({"model.gguf": b"x"}, "GGUF files are for llama.cpp"),
        ({"config.json": b"{}"}, "holds no weights"),
        ({"config.json": b"{}", "training_args.bin": b"x"}, "holds no weights"),
        (
            {key: value for key, value in SHARDS.items() if "00002-of" not in key},
            "model.safetensors.index.json names model-00002-of-00002.safetensors, not there",
        ),
        (
            {"config.json": b"{}", "model-00001-of-00003.safetensors": b"x"},
            "model-00002-of-00003.safetensors is not",
        ),
        (
            {
                "config.json": b"{}",
                "model.safetensors": b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
            },
            "is a pointer of Git LFS",
        ),
        ({**SHARDS, "model.safetensors.index.json": b"{"}, "cannot be read as JSON"),
    ],
)
def test_folder_without_a_whole_checkpoint_says_what_is_missing(
    tmp_path: Path, files: dict[str, bytes], expected: str
) -> None:
    (tmp_path / "m").mkdir()
    with pytest.raises(AdapterError, match=expected.replace(".", r"\.")):
        find_model(str(checkpoint(tmp_path / "m", files)))


@pytest.mark.parametrize(
    ("model", "options", "expected"),
    [
        ("", {}, "which model"),
        ("./absent", {}, "model folder ./absent does not exist"),
        ("/absent/model", {}, "model folder /absent/model does not exist"),
        ("~/absent", {}, "does not exist"),
        ("gpt-x", {}, "no such folder here, and a model of the hub is named OWNER/NAME"),
        ("a/b/c", {}, "no such folder here"),
        ("owner/name?x", {}, "no such folder here"),
        (NAME, {"trust_remote_code": True}, r"-o revision=COMMIT, 40 digits \(got none\)"),
        (NAME, {"trust_remote_code": True, "revision": "main"}, r"\(got main\). A branch or tag"),
        (NAME, {"trust_remote_code": True, "revision": "0" * 39}, "40 digits"),
    ],
)
def test_names_and_revisions_that_do_not_fit_say_so(
    model: str, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(UsageError, match=expected):
        find_model(model, **options)


def test_folder_takes_no_revision(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only a model of the hub has revisions"):
        find_model(str(checkpoint(tmp_path / "m")), revision="main")


# Which files


def test_needed_files_are_one_copy_of_the_weights_and_the_small_files() -> None:
    assert needed_files([*SHARDS, *NOT_NEEDED], NAME) == list(SHARDS)
    extra = [
        "modeling_acme.py",
        "vision-lora/adapter_model.safetensors",
        "mm_projector.bin",
        "tokenizer.model",
    ]
    assert needed_files([*SHARDS, *extra], NAME) == [*SHARDS, *extra]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["pytorch_model.bin", "model.pt"], ["pytorch_model.bin"]),
        (["model.safetensors", "consolidated.safetensors"], ["model.safetensors"]),
        (
            ["adapter_model.safetensors", "pytorch_model.bin"],
            ["adapter_model.safetensors", "pytorch_model.bin"],
        ),
    ],
)
def test_needed_weights_are_of_the_format_that_is_preferred(names: list[str], expected: list[str]) -> None:
    assert needed_files(["config.json", *names], NAME) == ["config.json", *expected]


# Foreign code


@pytest.mark.filterwarnings("error")
def test_foreign_code_is_announced_and_part_of_the_identity(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "m", {**SHARDS, "modeling_acme.py": b"pass"})
    plain = find_model(str(folder))  # no warning: its code does not run
    with pytest.warns(
        RemoteCodeWarning, match="Python code that comes with .*modeling_acme.py.* your rights"
    ):
        trusting = find_model(str(folder), trust_remote_code=True)
    assert {**plain.identity(), "trust_remote_code": True} == trusting.identity()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", {"auto_map": {"AutoModel": "other/code--modeling.Acme"}}),
        ("config.json", {"vision_config": {"auto_map": {"AutoConfig": "other/code--configuration.Acme"}}}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": [None, "other/code--tokenization.Fast"]}}),
        ("preprocessor_config.json", {"auto_map": {"AutoProcessor": "other/code--processing.Acme"}}),
    ],
)
def test_code_of_another_repository_is_refused(tmp_path: Path, file: str, content: dict[str, Any]) -> None:
    folder = checkpoint(tmp_path / "m", {**SHARDS, file: json.dumps(content).encode()})
    assert foreign_code(folder) == ["other/code"]
    with pytest.raises(AdapterError, match=r"from another repository \(other/code\)"):
        find_model(str(folder), trust_remote_code=True)
    assert find_model(str(folder)).trust_remote_code is False  # nothing of it runs


def test_own_code_is_not_foreign(tmp_path: Path) -> None:
    own = {"auto_map": {"AutoModel": "modeling.Acme"}, "note": "a--b"}
    assert foreign_code(checkpoint(tmp_path / "m", {**SHARDS, "config.json": json.dumps(own).encode()})) == []


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
