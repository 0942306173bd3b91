"""A checkpoint's files as tests of where local models come from need them: nothing in them can be loaded."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

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
