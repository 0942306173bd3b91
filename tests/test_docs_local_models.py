"""docs/local_models.md and docs/box_frames.md: adapters and options that they name are there, and ready-made frames are those of the headers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nova_bench.catalog import find, find_all

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "local_models.md").read_text(encoding="utf-8")
FRAMES = (DOCS / "box_frames.md").read_text(encoding="utf-8")
READY = re.findall(r"^\| [^|]+ \| `(\w+)` \| (.+?) \| ", FRAMES, re.MULTILINE)


def test_adapters_of_the_page_are_there() -> None:
    names = {found.name for found in find_all("adapters")}
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| `qwen2_vl`")]
    assert set(re.findall(r"`(\w+)`", row)) <= names
    assert len(READY) >= 8


@pytest.mark.parametrize(("name", "frame"), READY)
def test_frame_in_the_table_is_that_of_the_header(name: str, frame: str) -> None:
    assert find("adapters", name).header()["boxes"] == re.findall(r"`([^`]+)`", frame)[0]


def test_transport_of_the_page_is_transport() -> None:
    for adapter in ("vllm", "transformers"):
        transport = find("adapters", adapter).header()["transport"]
        (sentence,) = re.findall(r"Options that cannot change an answer[^.]*", PAGE)
        named = set(re.findall(r"`(\w+)`", sentence))
        assert named & set(transport)
    assert {"batch_size", "device_map"} <= set(find("adapters", "transformers").header()["transport"])
