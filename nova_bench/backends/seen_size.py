"""In which size a checkpoint's image processor gives a picture to its model.

A model that writes boxes in pixels means those of the picture as it sees it, not as it is stored: Qwen2.5-VL sees multiples of 28, within
limits that the checkpoint's files name. The size is computed from these files alone, without torch, for processors that resize the whole
picture to one size. For those that cut it into tiles, crop it or pad it, pixels of what is seen mean nothing outside, and such models write
fractions; `seen_size` is None there, as it is for processors that it does not know.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nova_bench.errors import AdapterError

MAX_ASPECT_RATIO = 200
"""Longer pictures are refused by the processors that resize by `smart_resize`."""


def smart_resize(
    size: tuple[int, int], *, factor: int, min_pixels: int, max_pixels: int, frames: int = 1
) -> tuple[int, int] | None:
    """Return the size that Qwen2-VL and its relatives give a picture; None where they refuse it.

    Both sides become multiples of `factor`; the area comes within the limits where rounding alone leaves it outside.

    Args:
        size: (width, height), px.
        factor: Pixels of a side that one token of the language model stands for.
        min_pixels: The smallest area, times `frames`.
        max_pixels: The largest area, times `frames`.
        frames: As how many frames of a video a picture counts: GLM-4V compares two areas with the limits.

    >>> smart_resize((1000, 700), factor=28, min_pixels=3136, max_pixels=1003520)
    (1008, 700)
    >>> smart_resize((4000, 3000), factor=28, min_pixels=3136, max_pixels=1003520)
    (1148, 840)
    """
    width, height = size
    if max(size) > MAX_ASPECT_RATIO * min(size):
        return None
    # Python's round, to the even number at a half, as in the processors.
    across, down = round(width / factor) * factor, round(height / factor) * factor
    if frames * across * down > max_pixels:
        shrink = math.sqrt((frames * height * width) / max_pixels)
        across = max(factor, math.floor(width / shrink / factor) * factor)
        down = max(factor, math.floor(height / shrink / factor) * factor)
    elif frames * across * down < min_pixels:
        grow = math.sqrt(min_pixels / (frames * height * width))
        across = math.ceil(width * grow / factor) * factor
        down = math.ceil(height * grow / factor) * factor
    return across, down


def seen_size(processor_config: Mapping[str, Any], size: tuple[int, int]) -> tuple[int, int] | None:
    """Return the (width, height) in which a picture reaches the model; None where that is no single size, or unknown.

    Args:
        processor_config: What `read_processor_config` returns, or `changed_config` of it.
        size: (width, height) of the picture as the processor gets it, px.

    >>> config = {"image_processor_type": "Qwen2VLImageProcessor", "min_pixels": 3136, "max_pixels": 12845056}
    >>> seen_size(config, (1000, 700)), seen_size({"image_processor_type": "LlavaNextImageProcessor"}, (1000, 700))
    ((1008, 700), None)
    """
    if min(size) <= 0:
        return None
    # Newer checkpoints hold the image processor's settings within the processor's.
    nested = processor_config.get("image_processor")
    config = nested if isinstance(nested, Mapping) else processor_config
    name = config.get("image_processor_type") or config.get("feature_extractor_type")
    rule = _RULES.get(_family(str(name or "")))
    if rule is None or any(config.get(key) for key in ("do_pan_and_scan", "crop_to_patches")):
        return None
    if config.get("do_resize", True) is False:
        return None  # a picture that fits by itself is rare, and any other is refused
    try:
        seen = rule(config, size)
    except (TypeError, ValueError, KeyError, ZeroDivisionError):
        return None  # settings that the processor itself would not take
    # A very long picture may lose its short side, and is then refused by the processor.
    return seen if seen and min(seen) > 0 else None


def read_processor_config(folder: Path) -> Mapping[str, Any]:
    """Return the image processor's settings of a checkpoint; empty where it has none.

    Settings that do not name their processor are those of the checkpoint's family, as in transformers.

    What ``processor_config.json`` nests goes before ``preprocessor_config.json``, as transformers reads them.

    Raises:
        AdapterError: A file cannot be read.
    """
    for name in ("processor_config.json", "preprocessor_config.json"):
        config = _read(folder / name)
        nested = config.get("image_processor")
        if isinstance(nested, dict):
            return _named(nested, folder)
        if config and name == "preprocessor_config.json":
            return _named(config, folder)
    return {}


def _read(path: Path) -> dict[str, Any]:
    """Return a JSON object from a file; empty where there is none."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise AdapterError(f"cannot read {path}: {error}; fetch the checkpoint again") from error
    return config if isinstance(config, dict) else {}


def _named(config: dict[str, Any], folder: Path) -> Mapping[str, Any]:
    """Return settings with the name of their processor, from the checkpoint's ``model_type`` where they lack it."""
    if config.get("image_processor_type") or config.get("feature_extractor_type"):
        return config
    family = _OF_MODEL_TYPE.get(str(_read(folder / "config.json").get("model_type")))
    return config if family is None else {**config, "image_processor_type": family}


def changed_config(config: Mapping[str, Any], changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an image processor's settings with those of one call over them, as transformers and vLLM join the two.

    Both names of a limit count, the later one: ``max_pixels`` of a call goes before ``size`` of the files, and the other way round. A ``size``
    with one of two edges leaves the other.

    Args:
        config: What `read_processor_config` returns.
        changes: Such as vLLM's ``mm_processor_kwargs``; those within ``images_kwargs`` count too.

    >>> config = {"image_processor_type": "Qwen2VLImageProcessor", "min_pixels": 3136, "max_pixels": 12845056}
    >>> changed_config(config, {"size": {"longest_edge": 50176}})["size"]
    {'shortest_edge': 3136, 'longest_edge': 50176}
    """
    changes = dict(changes)
    nested = changes.pop("images_kwargs", None)
    if isinstance(nested, Mapping):
        changes |= nested
    joined = dict(config)
    sizes = [settings.get("size") for settings in (config, changes)]
    old_names = [
        {new: settings[old] for old, new in _OLD_NAMES if settings.get(old) is not None}
        for settings in (config, changes)
    ]
    if any(sizes) or any(old_names):
        defaults = _DEFAULT_SIZES.get(_family(str(config.get("image_processor_type") or "")), {})
        size: dict[str, Any] = {} if sizes[0] else dict(defaults)
        for part in (sizes[0], old_names[0], sizes[1], old_names[1]):
            size |= part if isinstance(part, Mapping) else {}
        joined["size"] = size
        for old, _ in _OLD_NAMES:
            joined.pop(old, None)
    return joined | {key: changes[key] for key in changes if key not in ("size", "min_pixels", "max_pixels")}


def _family(name: str) -> str:
    """Return a processor's name without the ending that says which library does the work."""
    name = name.removesuffix("Fast").removesuffix("Pil")
    return name.removesuffix("ImageProcessor").removesuffix("FeatureExtractor")


_OF_MODEL_TYPE = {
    "qwen2_vl": "Qwen2VLImageProcessor",
    "qwen2_5_vl": "Qwen2VLImageProcessor",
    "qwen3_vl": "Qwen2VLImageProcessor",
}
"""Of the families that write boxes in pixels, and their relatives."""
_OLD_NAMES = (("min_pixels", "shortest_edge"), ("max_pixels", "longest_edge"))
_QWEN_SIZE = {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 1280}
_GLM_SIZE = {"shortest_edge": 112 * 112, "longest_edge": 28 * 28 * 15000}
_DEFAULT_SIZES: Mapping[str, Mapping[str, int]] = {
    "Qwen2VL": _QWEN_SIZE,
    "Glm4v": _GLM_SIZE,
    "Glm46V": _GLM_SIZE,
}


def _smart(
    defaults: Mapping[str, int], *, frames_key: str = ""
) -> Callable[[Mapping[str, Any], tuple[int, int]], tuple[int, int] | None]:
    """Return the rule of a processor with these defaults."""

    def rule(config: Mapping[str, Any], size: tuple[int, int]) -> tuple[int, int] | None:
        limits = dict(config.get("size") or defaults)
        if not frames_key:  # the older names, which GLM-4V never had
            for old, new in _OLD_NAMES:
                if config.get(old) is not None:
                    limits[new] = config[old]
        factor = int(config.get("patch_size", 14)) * int(config.get("merge_size", 2))
        if frames_key and min(size) < factor:
            scale = max(factor / size[1], factor / size[0])
            size = (int(size[0] * scale), int(size[1] * scale))
        return smart_resize(
            size,
            factor=factor,
            min_pixels=int(limits["shortest_edge"]),
            max_pixels=int(limits["longest_edge"]),
            frames=int(config.get(frames_key, 2)) if frames_key else 1,
        )

    return rule


def _fixed(config: Mapping[str, Any], size: tuple[int, int]) -> tuple[int, int] | None:
    """One size for every picture, with the sides' ratio lost."""
    if config.get("do_center_crop") or config.get("do_pad"):
        return None
    to = config.get("size") or {"height": 224, "width": 224}
    return int(to["width"]), int(to["height"])


def _within(config: Mapping[str, Any], size: tuple[int, int]) -> tuple[int, int] | None:
    """Pixtral: shrunk into a square where it is larger, then to whole patches."""
    to = config.get("size") or {"longest_edge": 1024}
    across, down = (to["longest_edge"],) * 2 if to.get("longest_edge") else (to["width"], to["height"])
    patch = config.get("patch_size") or 16
    if not isinstance(patch, Mapping):
        patch = {"width": patch, "height": patch}
    width, height = size
    ratio = max(height / down, width / across)
    if ratio > 1:
        width, height = math.floor(width / ratio), math.floor(height / ratio)
    return (
        ((width - 1) // patch["width"] + 1) * patch["width"],
        ((height - 1) // patch["height"] + 1) * patch["height"],
    )


_QWEN = _smart(_QWEN_SIZE)  # also Qwen2.5-VL, Qwen3-VL, with settings of their own
_GLM = _smart(_GLM_SIZE, frames_key="temporal_patch_size")
_RULES: Mapping[str, Callable[[Mapping[str, Any], tuple[int, int]], tuple[int, int] | None]] = {
    "Qwen2VL": _QWEN,
    "Glm4v": _GLM,
    "Glm46V": _GLM,
    "Siglip": _fixed,
    "Gemma3": _fixed,
    "Pixtral": _within,
}
