"""`seen_size` against the image processors of transformers themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nova_bench.backends.seen_size import changed_config, read_processor_config, seen_size

pytestmark = [pytest.mark.engine, pytest.mark.real("transformers with image processors")]

# Settings as the families' own checkpoints ship them, and the defaults.
QWEN2 = {"image_processor_type": "Qwen2VLImageProcessor", "min_pixels": 3136, "max_pixels": 12845056}
QWEN3 = {
    "image_processor_type": "Qwen2VLImageProcessorFast",
    "size": {"shortest_edge": 65536, "longest_edge": 16777216},
    "patch_size": 16,
    "merge_size": 2,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "qwen2_vl": QWEN2,
    "qwen2_vl, few pixels": QWEN2 | {"max_pixels": 28 * 28 * 64},
    "qwen2_vl, defaults": {"image_processor_type": "Qwen2VLImageProcessor"},
    "qwen2_vl, both names": QWEN2 | {"size": {"shortest_edge": 1, "longest_edge": 2}},
    "qwen3_vl": QWEN3,
    "qwen3_vl, few pixels": QWEN3 | {"size": {"shortest_edge": 65536, "longest_edge": 262144}},
    "glm4v": {"image_processor_type": "Glm4vImageProcessor"},
    "glm4v, few pixels": {
        "image_processor_type": "Glm4vImageProcessorFast",
        "size": {"shortest_edge": 50000, "longest_edge": 300000},
    },
    "glm46v": {"image_processor_type": "Glm46VImageProcessorFast"},
    "gemma3": {"image_processor_type": "Gemma3ImageProcessor", "size": {"height": 896, "width": 896}},
    "gemma3, defaults": {"image_processor_type": "Gemma3ImageProcessorFast"},
    "paligemma": {"image_processor_type": "SiglipImageProcessor", "size": {"height": 448, "width": 448}},
    "pixtral": {
        "image_processor_type": "PixtralImageProcessor",
        "size": {"longest_edge": 512},
        "patch_size": {"height": 14, "width": 14},
    },
    "pixtral, defaults": {"image_processor_type": "PixtralImageProcessorFast"},
}


def loaded(config: dict[str, Any], folder: Path) -> Any:
    transformers = pytest.importorskip("transformers")
    (folder / "preprocessor_config.json").write_text(json.dumps(config), encoding="utf-8")
    return transformers.AutoImageProcessor.from_pretrained(folder)


def given_size(processor: Any, picture: tuple[int, int], **changes: Any) -> tuple[int, int]:
    """Return the (width, height) of what the real processor makes of a picture."""
    import PIL.Image

    out = processor(images=[PIL.Image.new("RGB", picture)], return_tensors="pt", **changes)
    if "image_grid_thw" in out:
        _, down, across = (int(number) for number in out["image_grid_thw"][0])
        return across * processor.patch_size, down * processor.patch_size
    height, width = out["pixel_values"].shape[-2:]
    return int(width), int(height)


@pytest.mark.parametrize("name", CONFIGS)
def test_size_is_that_of_the_real_processor(name: str, tmp_path: Path) -> None:
    processor = loaded(CONFIGS[name], tmp_path)
    config = read_processor_config(tmp_path)
    assert config == CONFIGS[name]

    @settings(max_examples=25, deadline=None)
    @given(st.tuples(st.integers(1, 1500), st.integers(1, 1500)))
    def check(size: tuple[int, int]) -> None:
        seen = seen_size(config, size)
        if seen is None:
            with pytest.raises(ValueError, match=r"aspect ratio|Size must contain"):
                given_size(processor, size)
        else:
            assert seen == given_size(processor, size)

    check()
    # Halves, where rounding goes to the even number; and what the limits change.
    for size in ((42, 70), (14, 14), (100, 100), (16, 3199), (1, 200), (1999, 1500), (2480, 3508)):
        assert seen_size(config, size) == given_size(processor, size)


def test_settings_that_the_processor_saves_itself_are_read(tmp_path: Path) -> None:
    processor = loaded(QWEN3, tmp_path)
    saved = tmp_path / "saved"
    processor.save_pretrained(saved)
    config = read_processor_config(saved)
    assert seen_size(config, (999, 333)) == given_size(processor, (999, 333))


@pytest.mark.parametrize("model_type", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_settings_that_do_not_name_their_processor_are_those_of_the_family(
    model_type: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}), encoding="utf-8")
    bare = {key: value for key, value in QWEN2.items() if key != "image_processor_type"}
    processor = loaded(bare, tmp_path)
    seen = seen_size(read_processor_config(tmp_path), (1000, 705))
    assert seen == given_size(processor, (1000, 705)) != (1000, 705)


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen3_vl", "glm4v", "gemma3"])
def test_settings_of_a_call_go_before_those_of_the_files(name: str, tmp_path: Path) -> None:
    processor = loaded(CONFIGS[name], tmp_path)
    config = read_processor_config(tmp_path)
    size = (
        {"height": 448, "width": 336} if name == "gemma3" else {"shortest_edge": 40000, "longest_edge": 90000}
    )
    changed = changed_config(config, {"size": size})
    for picture in ((1999, 1500), (60, 90), (700, 300)):
        assert seen_size(changed, picture) == given_size(processor, picture, size=size)
