"""A box planted in a known place comes back there: through each family's resizing, its way of writing, our parser and its frame."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written_by_families import FAMILIES, Corners, Family, Size

import nova_bench as nb
from nova_bench.adapter import HEADER_KEYS, read_card, read_header
from nova_bench.backends.seen_size import seen_size
from nova_bench.boxes import Frame
from nova_bench.errors import AdapterError, UsageError
from nova_bench.parse import parse_boxes
from nova_bench.types import Context, Response

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "box_frames.md").read_text(encoding="utf-8")
READY_MADE = {
    "qwen2_vl": "qwen2_vl",
    "qwen2_5_vl": "qwen2_5_vl",
    "qwen3_vl": "qwen3_vl",
    "internvl3": "internvl",
    "medgemma": "gemma3",
    "glm_4v": "glm4v",
    "llava_med": "llava",
}
"""The ready-made adapters, and a model_type of each."""


@st.composite
def planted(draw: st.DrawFn) -> tuple[Size, Corners]:
    """Draw a picture's size and a box in it, px; each of its sides is a tenth of the picture's or more, so that rounding leaves an area."""
    width, height = draw(st.tuples(st.integers(40, 2000), st.integers(40, 2000)))
    edges = []
    for side in (width, height):
        low = draw(st.floats(0, 0.9))
        edges.append((low * side, draw(st.floats(low + 0.1, 1)) * side))
    (x0, x1), (y0, y1) = edges
    return (width, height), (x0, y0, x1, y1)


def read_back(family: Family, size: Size, box: Corners) -> tuple[Corners, Size]:
    """Return the box as the parser reads it, px of the original, and the size that the model saw."""
    seen = seen_size(family.processor, size) or size
    scale = (seen[0] / size[0], seen[1] / size[1])
    text = family.write((box[0] * scale[0], box[1] * scale[1], box[2] * scale[0], box[3] * scale[1]), seen)
    context = Context(Frame(family.frame), family.think, (size,), (seen,))
    prediction = parse_boxes(Response("a", text), context)
    assert prediction.status == "ok", text
    (found,) = prediction.value
    return (found.x0, found.y0, found.x1, found.y1), seen


@pytest.mark.parametrize("name", FAMILIES)
def test_planted_box_comes_back(name: str) -> None:
    family = FAMILIES[name]
    unit = Frame(family.frame).unit

    @settings(max_examples=300, deadline=None)
    @given(planted())
    def check(case: tuple[Size, Corners]) -> None:
        size, box = case
        found, seen = read_back(family, size, box)
        for i, (got, planted_at) in enumerate(zip(found, box, strict=True)):
            side, units = size[i % 2], seen[i % 2] if unit == "px" else int(unit)
            error = family.error
            if unit == "px" and got >= side * (1 - 1 / units) - 1e-6:
                error = 1  # the vendor's formula keeps pixels below the size, so the far edge is one short
            assert abs(got - planted_at) <= error * side / units + 1e-6

    check()


def test_pixels_of_what_was_seen_are_not_pixels_of_the_original() -> None:
    # A limit of 64 patches: without the size that was seen, the box would be elsewhere.
    found, seen = read_back(FAMILIES["qwen2_5_vl, few pixels"], (1000, 700), (500.0, 350.0, 1000.0, 700.0))
    assert seen == (252, 168)
    # The formula keeps edges below the size.
    assert found == pytest.approx((500, 350, 1000 * 251 / 252, 700 * 167 / 168))


@pytest.mark.parametrize(("adapter", "model_type"), READY_MADE.items())
def test_ready_made_adapter_says_how_its_family_writes(adapter: str, model_type: str) -> None:
    header = read_header((ROOT / "adapters" / f"{adapter}.py").read_text(encoding="utf-8"), adapter)
    assert set(header) <= set(HEADER_KEYS)
    assert {"license", "url", "weights", "boxes"} <= set(header)
    card = read_card(header, adapter)
    if adapter in FAMILIES:
        assert card.frame.name == FAMILIES[adapter].frame
        assert card.think == FAMILIES[adapter].think
    (row,) = [line for line in PAGE.splitlines() if line.startswith("|") and f"`{adapter}`" in line]
    assert f"`{card.frame.name}`" in row


def test_ready_made_adapters_have_the_transport_of_both_engines() -> None:
    both: set[str] = set()
    for engine in ("vllm", "transformers"):
        path = ROOT / "adapters" / f"{engine}.py"
        both |= set(read_header(path.read_text(encoding="utf-8"), engine)["transport"])
    for adapter in READY_MADE:
        header = read_header((ROOT / "adapters" / f"{adapter}.py").read_text(encoding="utf-8"), adapter)
        assert set(header["transport"]) == both, adapter


def checkpoint(folder: Path, model_type: str) -> Path:
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    (folder / "model.safetensors").write_bytes(b"none")
    return folder


@pytest.mark.parametrize(("adapter", "model_type"), READY_MADE.items())
def test_checkpoint_of_another_family_is_refused(adapter: str, model_type: str, tmp_path: Path) -> None:
    other = checkpoint(tmp_path, "qwen2_vl" if model_type != "qwen2_vl" else "qwen2_5_vl")
    with pytest.raises(UsageError, match=r"wrong frame.*docs/box_frames\.md"):
        nb.load_model(f"{adapter}:{other}")


def test_another_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected vllm or transformers"):
        nb.load_model(f"qwen2_vl:{checkpoint(tmp_path, 'qwen2_vl')}", {"engine": "sglang"})


def test_checkpoint_without_a_readable_config_is_an_error(tmp_path: Path) -> None:
    (checkpoint(tmp_path, "qwen2_vl") / "config.json").write_text("[]")
    with pytest.raises(AdapterError, match=r"config\.json"):
        nb.load_model(f"qwen2_vl:{tmp_path}")


def test_page_uses_only_frames_that_there_are() -> None:
    frames = re.findall(r"`((?:xyxy|yxyx|xywh|cxcywh|loc)/\w+)`", PAGE)
    assert len(frames) > 10
    assert {Frame(name).name for name in frames}
