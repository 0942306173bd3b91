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
    table = PAGE.split("## Which engine\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {word.split()[0] for cell in cells for word in re.findall(r"`([^`]+)`", cell)}
    assert len(named) >= 10
    assert named <= names
    assert len(READY) >= 8


@pytest.mark.parametrize(("name", "frame"), READY)
def test_frame_in_the_table_is_that_of_the_header(name: str, frame: str) -> None:
    assert find("adapters", name).header()["boxes"] == re.findall(r"`([^`]+)`", frame)[0]


def test_transport_of_the_page_is_transport() -> None:
    transport = {
        key for name in ("vllm", "transformers") for key in find("adapters", name).header()["transport"]
    }
    (sentence,) = re.findall(r"Options that cannot change an answer[^.]*", PAGE)
    named = set(re.findall(r"`(\w+)`", sentence))
    assert len(named) >= 4
    assert named <= transport
