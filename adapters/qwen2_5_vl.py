# /// script
# requires-python = ">=3.11"
# dependencies = ["nova-bench"]
# [tool.nova-bench]
# name = "Qwen2.5-VL"
# license = "apache-2.0"
# url = "https://arxiv.org/abs/2502.13923"
# weights = "open"
# parameters = "7B"
# outputs = ["text", "label_probs"]
# boxes = "xyxy/px"
# sends = "local"
# transport = [
#     "batch_size", "concurrency", "data_parallel_size", "device_map", "download_dir", "enable_prefix_caching",
#     "enforce_eager", "gpu_memory_utilization", "kv_cache_memory_bytes", "max_num_batched_tokens", "max_num_seqs",
#     "pipeline_parallel_size", "serve", "start_timeout", "tensor_parallel_size",
# ]
# ///
"""Qwen2.5-VL, by default its 7B: ``--model qwen2_5_vl`` or ``--model qwen2_5_vl:OWNER/NAME``.

It writes boxes in pixels (arXiv 2502.13923, section 2.1.2), and means those of the picture that its processor made, whose sides are
multiples of 28: nova_bench computes that size from the checkpoint's files and brings boxes back to the stored picture. The 7B and 32B
checkpoints have this license; the 3B and 72B have their own.

``-o engine=transformers`` runs it there instead of in vLLM; all other options are the engine's own.
"""

from __future__ import annotations

import nova_bench as nb


def load(
    *,
    model: str = "Qwen/Qwen2.5-VL-7B-Instruct",
    engine: str = "vllm",
    revision: str = "",
    dtype: str = "auto",
    max_pixels: int = 0,
    trust_remote_code: bool = False,
    **more: str,
) -> nb.Adapter:
    """Return the adapter of a checkpoint of this family."""
    return nb.load_family(
        ["qwen2_5_vl"],
        engine=engine,
        model=model,
        revision=revision,
        dtype=dtype,
        max_pixels=max_pixels,
        trust_remote_code=trust_remote_code,
        more=more,
    )
