"""Checkpoints of one family in either local engine: what the ready-made adapters (``qwen2_5_vl``, ``medgemma``, ...) are made of.

Such an adapter adds two things to ``vllm`` and ``transformers``: its header says how the family writes boxes, and a checkpoint of another
family is refused, because its boxes would be read in the wrong frame and nobody would notice.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from nova_bench.adapter import read_options
from nova_bench.backends.local_model import find_model
from nova_bench.catalog import find, load_function
from nova_bench.errors import AdapterError, UsageError
from nova_bench.types import Adapter

ENGINES = ("vllm", "transformers")
"""Adapters that run a checkpoint on this machine."""


def load_family(
    model_types: Collection[str],
    *,
    engine: str,
    model: str,
    revision: str = "",
    trust_remote_code: bool = False,
    more: dict[str, str] | None = None,
    **shared: Any,
) -> Adapter:
    """Return the adapter of a checkpoint that belongs to a family.

    Args:
        model_types: What ``model_type`` in the checkpoint's config.json may be.
        engine: One of `ENGINES`.
        model: A folder, or ``owner/name`` of the hub.
        revision: Branch, tag or commit of the hub's repository.
        trust_remote_code: Whether the checkpoint's own Python code may run.
        more: Further options of the engine's adapter, as texts.
        shared: Options that both engines have, such as ``dtype`` and ``max_pixels``.

    Raises:
        UsageError: Another engine, a checkpoint of another family, or a value that does not fit.
        UnknownNameError: The engine has no such option.
        AdapterError: The checkpoint cannot be had, or the engine does not start.
    """
    if engine not in ENGINES:
        raise UsageError(f"engine={engine!r}: expected {' or '.join(ENGINES)}")
    load = load_function(find("adapters", engine))
    named = {"model": model, "revision": revision, "trust_remote_code": trust_remote_code}
    options = {**read_options(load, more or {}, engine), **named, **shared}
    # Before the engine starts, which takes minutes for a large checkpoint.
    found = find_model(model, revision=revision)
    path = found.path / "config.json"
    try:
        model_type = json.loads(path.read_text(encoding="utf-8")).get("model_type", "")
    except (OSError, ValueError, AttributeError) as error:
        raise AdapterError(f"cannot read {path}: {error}; fetch the checkpoint again") from error
    if model_type not in model_types:
        raise UsageError(
            f"{model} is a checkpoint of model_type {model_type!r}, and this adapter is for {', '.join(model_types)}, whose boxes it would "
            f"read in the wrong frame; take its own adapter, or --model {engine}:{model} with -o boxes=FRAME (docs/box_frames.md)"
        )
    adapter: Adapter = load(**options)
    return adapter
