"""Checkpoints and adapters that tests of the transformers backend share."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_models

import nova_bench as nb
from nova_bench.backends.local_model import find_model


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            made[family] = tiny_models.make(family, tmp_path_factory.mktemp("models") / family)
        return made[family]

    return make


@pytest.fixture
def chat(checkpoint: Callable[[str], Path]) -> Iterator[Callable[..., Any]]:
    opened = []

    def open_(family: str | Path, **options: Any) -> Any:
        folder = family if isinstance(family, Path) else checkpoint(family)
        opened.append(
            nb.backends.HFChat(find_model(str(folder)), **{"dtype": "float32", "device_map": "cpu"} | options)
        )
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


@pytest.fixture
def copy(checkpoint: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """Copy a checkpoint with some of its JSON changed."""

    def make(family: str, file: str = "", **changes: Any) -> Path:
        folder = Path(
            shutil.copytree(checkpoint(family), tmp_path / f"{family}{len(list(tmp_path.iterdir()))}")
        )
        if file:
            known = json.loads((folder / file).read_text())
            (folder / file).write_text(json.dumps(known | changes))
        return folder

    return make
