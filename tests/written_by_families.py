"""How families write a box, by the formulas that their vendors published; docs/box_frames.md names the source of each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Size = tuple[int, int]
Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class Family:
    """A family's frame, the settings of its processor, and its way of writing.

    ``write`` gets the box in px of the picture as the model sees it, and that picture's size. ``error`` is how far a number may be from
    the edge that it means, in units of the frame: a half where it is rounded, one where it is the number of a bin.
    """

    frame: str
    write: Callable[[Corners, Size], str]
    processor: dict[str, Any] = field(default_factory=dict)
    error: float = 0.5
    think: tuple[str, str] = ("<think>", "</think>")


def thousandths(box: Corners, size: Size, unit: int = 1000) -> list[int]:
    """Round fractions of the sides: Qwen2-VL's `convert_to_qwen2vl_format`, InternVL's `normalize_coordinates`."""
    return [round(edge / size[i % 2] * unit) for i, edge in enumerate(box)]


def bins(box: Corners, size: Size, count: int) -> list[int]:
    """Give each edge the number of its bin: Florence-2's `quantize`."""
    return [min(count - 1, math.floor(edge / (size[i % 2] / count))) for i, edge in enumerate(box)]


def pixels(box: Corners, size: Size) -> list[int]:
    """Round pixels of what is seen: Qwen2.5-VL's `convert_to_qwen25vl_format`, which keeps them below the size."""
    return [max(0, min(round(edge), size[i % 2] - 1)) for i, edge in enumerate(box)]


def qwen2_vl(box: Corners, size: Size) -> str:
    a, b, c, d = thousandths(box, size)
    return f"<|object_ref_start|>the lesion<|object_ref_end|><|box_start|>({a},{b}),({c},{d})<|box_end|>"


def qwen2_vl_without_special_tokens(box: Corners, size: Size) -> str:
    a, b, c, d = thousandths(box, size)
    return f"the lesion({a},{b}),({c},{d})"


def qwen2_5_vl(box: Corners, size: Size) -> str:
    return f'```json\n[\n\t{{"bbox_2d": {pixels(box, size)}, "label": "lesion"}}\n]\n```'


def qwen3_vl(box: Corners, size: Size) -> str:
    return f'```json\n[\n\t{{"bbox_2d": {thousandths(box, size)}, "label": "lesion"}}\n]\n```'


def internvl(box: Corners, size: Size) -> str:
    return f"<ref>the lesion</ref><box>[{thousandths(box, size)}]</box>"


def gemini(box: Corners, size: Size) -> str:
    a, b, c, d = thousandths(box, size)
    return f'```json\n[{{"box_2d": [{b}, {a}, {d}, {c}], "label": "lesion"}}]\n```'


def medgemma(box: Corners, size: Size) -> str:
    a, b, c, d = thousandths(box, size)
    answer = f'```json\n[{{"box_2d": [{b}, {a}, {d}, {c}], "label": "lesion"}}]\n```'
    return f"<unused94>thought\nLet me see: [1, 2, 3, 4].<unused95>Final Answer:\n{answer}"


def glm_4v(box: Corners, size: Size) -> str:
    return f"<think>[[1,2,3,4]]?</think><answer>It is at <|begin_of_box|>[{thousandths(box, size)}]<|end_of_box|>.</answer>"


def paligemma(box: Corners, size: Size) -> str:
    a, b, c, d = bins(box, size, 1024)
    return f"<loc{b:04}><loc{a:04}><loc{d:04}><loc{c:04}> lesion"


def florence_2(box: Corners, size: Size) -> str:
    a, b, c, d = bins(box, size, 1000)
    return f"</s><s>lesion<loc_{a}><loc_{b}><loc_{c}><loc_{d}></s>"


def deepseek_vl2(box: Corners, size: Size) -> str:
    return f"<|ref|>the lesion<|/ref|><|det|>[{thousandths(box, size, 999)}]<|/det|>"


QWEN2 = {"image_processor_type": "Qwen2VLImageProcessor", "min_pixels": 3136, "max_pixels": 12845056}
QWEN3 = {
    "image_processor_type": "Qwen2VLImageProcessorFast",
    "size": {"shortest_edge": 65536, "longest_edge": 16777216},
    "patch_size": 16,
    "merge_size": 2,
}
GLM = {
    "image_processor_type": "Glm4vImageProcessor",
    "size": {"shortest_edge": 12544, "longest_edge": 9633792},
}
SQUARE_896 = {"image_processor_type": "Gemma3ImageProcessor", "size": {"height": 896, "width": 896}}
SQUARE_448 = {"image_processor_type": "SiglipImageProcessor", "size": {"height": 448, "width": 448}}

FAMILIES = {
    "qwen2_vl": Family("xyxy/1000", qwen2_vl, QWEN2),
    "qwen2_vl, special tokens stripped": Family("xyxy/1000", qwen2_vl_without_special_tokens, QWEN2),
    "qwen2_5_vl": Family("xyxy/px", qwen2_5_vl, QWEN2),
    "qwen2_5_vl, few pixels": Family("xyxy/px", qwen2_5_vl, QWEN2 | {"max_pixels": 28 * 28 * 64}),
    "qwen3_vl": Family("xyxy/1000", qwen3_vl, QWEN3),
    "internvl3": Family("xyxy/1000", internvl),
    "gemini": Family("yxyx/1000", gemini),
    "medgemma": Family("yxyx/1000", medgemma, SQUARE_896, think=("<unused94>", "<unused95>")),
    "glm_4v": Family("xyxy/1000", glm_4v, GLM),
    "paligemma": Family("yxyx/1024", paligemma, SQUARE_448, error=1),
    "florence_2": Family("loc/1000", florence_2, error=1),
    # In 999ths, read as thousandths: the far edge is one of 1000 short.
    "deepseek_vl2": Family("xyxy/1000", deepseek_vl2, error=1.5),
}
