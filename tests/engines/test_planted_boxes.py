"""A rectangle planted in a picture is found in what the real image processor gives to the model, written, and read back where it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from written_by_families import FAMILIES, SQUARE_448, Corners, Size

from nova_bench.backends.seen_size import read_processor_config, seen_size
from nova_bench.boxes import Frame
from nova_bench.parse import parse_boxes
from nova_bench.types import Context, Response

pytestmark = [pytest.mark.engine, pytest.mark.real("transformers with image processors")]

SIZE = (640, 470)
BOX = (128.0, 94.0, 320.0, 376.0)
CASES = {name: family for name, family in FAMILIES.items() if family.processor}
INTERNVL = {
    "image_processor_type": "GotOcr2ImageProcessor",
    "size": {"height": 448, "width": 448},
    "crop_to_patches": True,
}


def what_the_model_sees(config: dict[str, Any], folder: Path) -> tuple[Any, dict[str, Any]]:
    """Return the picture as an array (height, width) after the real processor, the whole of it, and the settings that it read."""
    transformers = pytest.importorskip("transformers")
    import PIL.Image
    import PIL.ImageDraw

    (folder / "preprocessor_config.json").write_text(json.dumps(config), encoding="utf-8")
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    picture = PIL.Image.new("RGB", SIZE)
    # PIL's rectangle includes its last column and row.
    PIL.ImageDraw.Draw(picture).rectangle((BOX[0], BOX[1], BOX[2] - 1, BOX[3] - 1), fill="white")
    out = processor(images=[picture], return_tensors="pt")
    values = out["pixel_values"]
    if "image_grid_thw" in out:
        _, down, across = (int(number) for number in out["image_grid_thw"][0])
        merge, patch = processor.merge_size, processor.patch_size
        # As the processor cut it: (down, across, merge, merge, channel, time, patch, patch).
        values = values.reshape(
            down // merge, across // merge, merge, merge, 3, processor.temporal_patch_size, patch, patch
        )
        values = values[:, :, :, :, 0, 0].permute(0, 2, 4, 1, 3, 5).reshape(down * patch, across * patch)
    else:
        values = values[-1, 0]  # with tiles the last is the whole picture
    return values.numpy(), dict(read_processor_config(folder))


def rectangle_in(seen: Any) -> tuple[Corners, Size]:
    """Return the corners of what is brighter than halfway, px of what is seen, and the size of that."""
    bright = seen > (seen.min() + seen.max()) / 2
    columns, rows = bright.any(axis=0).nonzero()[0], bright.any(axis=1).nonzero()[0]
    box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
    return box, (seen.shape[1], seen.shape[0])


@pytest.mark.parametrize("name", [*CASES, "internvl3", "florence_2"])
def test_planted_rectangle_comes_back(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    config = family.processor or (INTERNVL if name == "internvl3" else SQUARE_448)
    seen, read = what_the_model_sees(config, tmp_path)
    box, size = rectangle_in(seen)
    if family.processor:
        assert seen_size(read, SIZE) == size
    sent = seen_size(read, SIZE) or SIZE
    context = Context(Frame(family.frame), family.think, (SIZE,), (sent,))
    (found,) = parse_boxes(Response("a", family.write(box, size)), context).value
    unit = Frame(family.frame).unit
    for i, (got, planted_at) in enumerate(zip((found.x0, found.y0, found.x1, found.y1), BOX, strict=True)):
        side = SIZE[i % 2]
        units = size[i % 2] if unit == "px" else int(unit)
        # Half a pixel of what is seen, for where it is cut at halfway, and what the frame rounds.
        assert abs(got - planted_at) <= 0.5 * side / size[i % 2] + family.error * side / units + 1e-6
