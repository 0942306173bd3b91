"""`seen_size` where it needs no engine; tests/engines compares it with the real image processors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_bench.backends.seen_size import changed_config, read_processor_config, seen_size, smart_resize
from nova_bench.errors import AdapterError

QWEN = {"image_processor_type": "Qwen2VLImageProcessor", "min_pixels": 3136, "max_pixels": 28 * 28 * 1280}
GEMMA = {"image_processor_type": "Gemma3ImageProcessor", "size": {"height": 896, "width": 640}}


@given(st.tuples(st.integers(1, 4000), st.integers(1, 4000)))
def test_size_is_whole_patches_within_the_limits(size: tuple[int, int]) -> None:
    seen = smart_resize(size, factor=28, min_pixels=3136, max_pixels=28 * 28 * 1280)
    if seen is None:
        assert max(size) > 200 * min(size)
        return
    assert seen[0] % 28 == seen[1] % 28 == 0
    # The limit gives way only to a side that is one patch already.
    assert seen[0] * seen[1] <= 28 * 28 * 1280 or min(seen) == 28
    assert seen[0] * seen[1] >= 3136


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        ((42, 70), (56, 56)),  # 1.5 and 2.5 patches: both to the even number, 2
        ((640, 480), (644, 476)),
        ((4000, 3000), (1148, 840)),
        ((10, 10), (56, 56)),
        ((10, 2001), None),
        ((0, 10), None),
    ],
)
def test_qwen2_vl_sizes(size: tuple[int, int], seen: tuple[int, int] | None) -> None:
    assert seen_size(QWEN, size) == seen


def test_nested_settings_and_the_library_in_the_name_are_understood() -> None:
    assert seen_size({"image_processor": QWEN, "processor_class": "X"}, (640, 480)) == (644, 476)
    for ending in ("Fast", "Pil"):
        name = QWEN["image_processor_type"] + ending  # type: ignore[operator]  # a text
        assert seen_size(QWEN | {"image_processor_type": name}, (640, 480)) == (644, 476)


def test_picture_that_loses_a_side_has_no_size() -> None:
    pixtral = {"image_processor_type": "PixtralImageProcessor"}
    assert seen_size(pixtral, (1, 1025)) is None
    assert seen_size(pixtral, (2, 1025)) == (16, 1024)


def test_width_and_height_are_not_confused() -> None:
    assert seen_size(GEMMA, (100, 300)) == (640, 896)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"image_processor_type": "LlavaNextImageProcessor", "size": {"height": 336, "width": 336}},
        {"image_processor_type": "GotOcr2ImageProcessor", "size": {"height": 448, "width": 448}},
        {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 224}},
        GEMMA | {"do_pan_and_scan": True},
        GEMMA | {"do_resize": False},
        {
            "image_processor_type": "SiglipImageProcessor",
            "size": {"height": 4, "width": 4},
            "do_center_crop": True,
        },
        {"image_processor_type": "SiglipImageProcessor", "size": {"shortest_edge": 4}},
        {"image_processor_type": "Qwen2VLImageProcessor", "size": {"shortest_edge": 3136}},
        {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 0},
        {"image_processor_type": None},
    ],
)
def test_no_size_where_it_is_not_one_known_size(config: dict[str, object]) -> None:
    assert seen_size(config, (640, 480)) is None


def test_settings_come_from_the_files_that_transformers_reads(tmp_path: Path) -> None:
    assert read_processor_config(tmp_path) == {}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(QWEN))
    (tmp_path / "processor_config.json").write_text(json.dumps({"processor_class": "X"}))
    assert read_processor_config(tmp_path) == QWEN
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": GEMMA}))
    assert read_processor_config(tmp_path) == GEMMA
    (tmp_path / "processor_config.json").write_text("{")
    with pytest.raises(AdapterError, match=r"cannot read .*processor_config\.json.*fetch the checkpoint"):
        read_processor_config(tmp_path)


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({}, (1148, 840)),
        ({"max_pixels": 100352}, (364, 252)),
        ({"size": {"shortest_edge": 3136, "longest_edge": 100352}}, (364, 252)),
        ({"size": {"longest_edge": 100352}}, (364, 252)),
        ({"images_kwargs": {"max_pixels": 100352}}, (364, 252)),
        ({"size": {"longest_edge": 5}, "max_pixels": 100352}, (364, 252)),
        ({"max_pixels": None}, (1148, 840)),
        ({"patch_size": 16}, (1152, 864)),
    ],
)
def test_settings_of_a_call_count(changes: dict[str, object], seen: tuple[int, int]) -> None:
    assert seen_size(changed_config(QWEN, changes), (4000, 3000)) == seen


def test_settings_of_a_call_leave_defaults_of_the_processor() -> None:
    config = {"image_processor_type": "Qwen2VLImageProcessor"}
    assert seen_size(changed_config(config, {"max_pixels": 100352}), (4000, 3000)) == (364, 252)
    assert seen_size(changed_config(config, {"max_pixels": 100352}), (10, 10)) == (56, 56)
    assert seen_size(changed_config(GEMMA, {"size": {"width": 320}}), (10, 10)) == (320, 896)
