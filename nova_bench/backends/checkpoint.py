"""What belongs to a checkpoint: which files of a repository are needed, whether a folder has them, and whose code it refers to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from nova_bench.errors import AdapterError

CONFIG = "config.json"
_FORMATS = (".safetensors", ".bin", ".pt", ".pth")
"""Of weights; of several copies the first is taken. The others can hold pickled code."""
_COPIES = re.compile(r"(pytorch_model|model|consolidated|adapter_model).*\.(bin|pt|pth)")
_SHARD = re.compile(r"(.+)-(\d+)-of-(\d+)(\.safetensors|\.bin)")
_NEVER = (
    *(".gguf", ".ggml", ".onnx", ".onnx_data", ".h5", ".msgpack", ".ot", ".tflite", ".ckpt", ".mlmodel"),
    *(
        ".png",
        ".jpg",
        ".jpeg",
        ".gif",
        ".webp",
        ".svg",
        ".mp4",
        ".pdf",
        ".md",
        ".gitattributes",
        ".gitignore",
    ),
)
_NEVER_FOLDERS = {"original", "onnx", "openvino", "coreml", "gguf", "runs", "logs", "__pycache__"}
_TRAINING = re.compile(
    r"(optimizer|scheduler|scaler|rng_state|training_args|events\.out\.tfevents|trainer_state)"
)
_TRAINING_FOLDER = re.compile(r"checkpoint-\d+|global_step\d+")
_LFS = b"version https://git-lfs"


def needed_files(names: Sequence[str], model: str) -> list[str]:
    """Return the files of a repository that loading it needs, weights of one format only.

    Args:
        names: All paths of the repository.
        model: What errors call it.

    Raises:
        AdapterError: It holds no configuration, or weights of other formats only.

    >>> needed_files(["config.json", "model.safetensors", "pytorch_model.bin", "model.gguf", "onnx/model.onnx", "README.md"], "a/b")
    ['config.json', 'model.safetensors']
    """
    kept = [name for name in names if _may_belong(name)]
    if CONFIG not in names:
        raise AdapterError(_no_config(model, set(names)))
    top = [name for name in kept if "/" not in name]
    weights = [name for name in top if not name.startswith("adapter_")]
    found = next((ending for ending in _FORMATS if any(name.endswith(ending) for name in weights)), None)
    if found is None:
        shown = ", ".join(sorted(names)[:10]) + (", ..." if len(names) > 10 else "")
        raise AdapterError(
            f"{model} holds no weights as safetensors or PyTorch files ({shown}); vLLM and transformers cannot load other formats"
        )
    kept = [name for name in kept if name.endswith(found) or not _COPIES.fullmatch(PurePosixPath(name).name)]
    if found == ".safetensors" and any(name.startswith("model") and name.endswith(found) for name in top):
        kept = [name for name in kept if not name.startswith("consolidated")]  # Mistral's second copy
    return kept


def _may_belong(name: str) -> bool:
    """Return whether a path can be a part of the model, rather than a copy in another format, documentation or a training's leavings."""
    path = PurePosixPath(name)
    folders = path.parts[:-1]
    if path.suffix == ".py":  # code may run wherever it lies
        return True
    return not (
        name.lower().endswith(_NEVER)
        or any(part.startswith(".") for part in path.parts)
        or _NEVER_FOLDERS.intersection(folders)
        or any(_TRAINING_FOLDER.fullmatch(part) for part in folders)
        or _TRAINING.match(path.name)
    )


def parts_of(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that can have a part in its answers, sorted; of weights all formats, since an engine may choose."""
    for path in sorted(folder.rglob("*")):
        if _may_belong(path.relative_to(folder).as_posix()) and path.is_file():
            yield path


def check_checkpoint(folder: Path, model: str) -> None:
    """Refuse a folder that holds no checkpoint, or one with weights missing.

    Args:
        folder: The folder.
        model: What errors call it.

    Raises:
        AdapterError: What is missing.
    """
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise AdapterError(f"{model} cannot be read: {error}") from error
    if CONFIG not in names:
        raise AdapterError(_no_config(model, names))
    weights = [name for name in sorted(names) if name.endswith(_FORMATS) and _may_belong(name)]
    if not weights:
        raise AdapterError(
            f"{model} holds no weights as safetensors or PyTorch files; vLLM and transformers load no others"
        )
    for index in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
        if index in names:
            shards = set(_json(folder / index).get("weight_map", {}).values())
            absent = sorted(shard for shard in shards if not (folder / shard).exists())
            if absent:
                raise AdapterError(
                    f"{model} is not complete: {index} names {absent[0]}{f' and {len(absent) - 1} more' if absent[1:] else ''}, not there"
                )
            break
    for name in weights:
        if shard := _SHARD.fullmatch(name):  # an engine that reads all the files it sees would not miss one
            stem, _, last, ending = shard.groups()
            for number in range(1, int(last) + 1):
                other = f"{stem}-{number:0{len(last)}d}-of-{last}{ending}"
                if other not in names:
                    raise AdapterError(f"{model} is not complete: {name} is there and {other} is not")
        with (folder / name).open("rb") as file:
            if file.read(len(_LFS)) == _LFS:
                raise AdapterError(
                    f"{model}: {name} is a pointer of Git LFS and no weights; run `git lfs pull` in it"
                )


def _no_config(model: str, names: set[str]) -> str:
    message = (
        f"{model} holds no {CONFIG}, so it is no checkpoint that transformers or vLLM can load from a folder"
    )
    if "adapter_config.json" in names:
        message += "; it is a LoRA adapter: merge it into its base model (PEFT's merge_and_unload), save that and give its folder"
    elif any(name.endswith(".gguf") for name in names):
        message += "; GGUF files are for llama.cpp, whose server the adapter openai can ask"
    return message


def foreign_code(folder: Path) -> list[str]:
    """Return the other repositories from which a checkpoint's configuration takes Python code (``owner/name--module.Class``)."""
    found: set[str] = set()
    for path in folder.glob("*.json"):
        if "tokenizer.json" not in path.name and not path.name.endswith(("index.json", "vocab.json")):
            found.update(_foreign(_json(path)))
    return sorted(found)


def _foreign(value: Any, within: bool = False) -> Iterator[str]:
    """Yield repositories that stand before ``--`` in the values of any ``auto_map``, however deep it lies."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _foreign(item, within or key == "auto_map")
    elif isinstance(value, list):
        for item in value:
            yield from _foreign(item, within)
    elif within and isinstance(value, str) and "--" in value:
        yield value.partition("--")[0]


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise AdapterError(f"{path} cannot be read as JSON: {error}") from error
    return value if isinstance(value, dict) else {}
