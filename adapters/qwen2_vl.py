# /// script
# requires-python = ">=3.11"
# dependencies = ["nova-bench"]
# [tool.nova-bench]
# name = "Qwen2-VL"
# license = "apache-2.0"
# url = "https://arxiv.org/abs/2409.12191"
# weights = "open"
# parameters = "7B"
# outputs = ["text", "label_probs"]
# boxes = "xyxy/1000"
# sends = "local"
# transport = [
#     "batch_size", "concurrency", "data_parallel_size", "device_map", "download_dir", "enable_prefix_caching",
#     "enforce_eager", "gpu_memory_utilization", "kv_cache_memory_bytes", "max_num_batched_tokens", "max_num_seqs",
#     "pipeline_parallel_size", "serve", "start_timeout", "tensor_parallel_size",
# ]
# ///
"""Qwen2-VL, by default its 7B: ``--model qwen2_vl`` or ``--model qwen2_vl:OWNER/NAME``.

It writes boxes as whole numbers of thousandths of the picture's width and height (arXiv 2409.12191, section 2.2.1), so its own resizing
does not matter. The 2B and 7B checkpoints have this license; the 72B has its own.

``-o engine=transformers`` runs it there instead of in vLLM; all other options are the engine's own.
"""

from __future__ import annotations

import nova_bench as nb


def load(
    *,
    model: str = "Qwen/Qwen2-VL-7B-Instruct",
    engine: str = "vllm",
    revision: str = "",
    dtype: str = "auto",
    max_pixels: int = 0,
    trust_remote_code: bool = False,
    **more: str,
) -> nb.Adapter:
    """Return the adapter of a checkpoint of this family."""
    return nb.load_family(
        ["qwen2_vl"],
        engine=engine,
        model=model,
        revision=revision,
        dtype=dtype,
        max_pixels=max_pixels,
        trust_remote_code=trust_remote_code,
        more=more,
    )
