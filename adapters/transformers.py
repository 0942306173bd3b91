# /// script
# requires-python = ">=3.11"
# dependencies = ["nova-bench[transformers]"]
# [tool.nova-bench]
# name = "A checkpoint through transformers"
# license = "varies"
# weights = "varies"
# outputs = ["text", "label_probs"]
# boxes = "xyxy/1000"
# sends = "local"
# transport = ["batch_size", "device_map"]
# ///
"""Any image-text-to-text checkpoint with a chat template, through transformers: ``--model transformers:OWNER/NAME`` or ``:FOLDER``.

Temperature 0, or none given, is greedy; with a temperature each request draws from its own seed. Nothing else of the checkpoint's
generation_config is used, save the tokens that begin and end an answer. Batches form by length; one that does not fit into memory is
halved. ``-o batch_size=`` and ``-o device_map=`` change an answer by rounding at most, and so are no part of a run's identity.

``-o dtype=`` (auto, float32, bfloat16, float16), ``-o attn_implementation=`` (sdpa, eager, flash_attention_2, ...), ``-o revision=``,
``-o max_pixels=N`` scales larger pictures down, ``-o json_schema=false`` leaves schemas out, which then counts as dropped.
"""

from __future__ import annotations

import nova_bench as nb


def load(
    *,
    model: str = "",
    revision: str = "",
    dtype: str = "auto",
    device_map: str = "auto",
    attn_implementation: str = "",
    batch_size: int = 8,
    max_pixels: int = 0,
    json_schema: bool = True,
    trust_remote_code: bool = False,
) -> nb.Adapter:
    """Return the adapter of a checkpoint of the hub, or in a folder."""
    found = nb.backends.find_model(model, revision=revision, trust_remote_code=trust_remote_code)
    return nb.backends.HFChat(
        found,
        dtype=dtype,
        device_map=device_map,
        attn_implementation=attn_implementation,
        batch_size=batch_size,
        max_pixels=max_pixels,
        json_schema=json_schema,
    )
