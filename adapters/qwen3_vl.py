# /// script
# requires-python = ">=3.11"
# dependencies = ["nova-bench"]
# [tool.nova-bench]
# name = "Qwen3-VL"
# license = "apache-2.0"
# url = "https://github.com/QwenLM/Qwen3-VL"
# weights = "open"
# parameters = "8B"
# outputs = ["text", "label_probs"]
# boxes = "xyxy/1000"
# sends = "local"
# transport = [
#     "batch_size", "concurrency", "data_parallel_size", "device_map", "download_dir", "enable_prefix_caching",
#     "enforce_eager", "gpu_memory_utilization", "kv_cache_memory_bytes", "max_num_batched_tokens", "max_num_seqs",
#     "pipeline_parallel_size", "serve", "start_timeout", "tensor_parallel_size",
# ]
# ///
"""Qwen3-VL, by default its 8B: ``--model qwen3_vl`` or ``--model qwen3_vl:OWNER/NAME``.

It writes boxes in thousandths of the picture's width and height, other than Qwen2.5-VL before it
(https://github.com/QwenLM/Qwen3-VL, cookbooks/2d_grounding.ipynb).

``-o engine=transformers`` runs it there instead of in vLLM; all other options are the engine's own.
"""

from __future__ import annotations

import nova_bench as nb


def load(
    *,
    model: str = "Qwen/Qwen3-VL-8B-Instruct",
    engine: str = "vllm",
    revision: str = "",
    dtype: str = "auto",
    max_pixels: int = 0,
    trust_remote_code: bool = False,
    **more: str,
) -> nb.Adapter:
    """Return the adapter of a checkpoint of this family."""
    return nb.load_family(
        ["qwen3_vl", "qwen3_vl_moe"],
        engine=engine,
        model=model,
        revision=revision,
        dtype=dtype,
        max_pixels=max_pixels,
        trust_remote_code=trust_remote_code,
        more=more,
    )
