"""Where a local model comes from: folders, which files of them, and code that comes with a checkpoint."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from acme_checkpoint import NAME, NOT_NEEDED, SHARDS, checkpoint

from nova_bench.backends.checkpoint import foreign_code, needed_files
from nova_bench.backends.local_model import find_model
from nova_bench.backends.weights_digest import weights_digest
from nova_bench.errors import AdapterError, RemoteCodeWarning, UsageError


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
