# /// script
# requires-python = ">=3.11"
# dependencies = ["nova-bench"]
# [tool.nova-bench]
# name = "GLM-4.1V-Thinking"
# license = "mit"
# url = "https://arxiv.org/abs/2507.01006"
# weights = "open"
# parameters = "9B"
# outputs = ["text", "label_probs"]
# boxes = "xyxy/1000"
# sends = "local"
# transport = [
#     "batch_size", "concurrency", "data_parallel_size", "device_map", "download_dir", "enable_prefix_caching",
#     "enforce_eager", "gpu_memory_utilization", "kv_cache_memory_bytes", "max_num_batched_tokens", "max_num_seqs",
#     "pipeline_parallel_size", "serve", "start_timeout", "tensor_parallel_size",
# ]
# ///
"""GLM-4.1V, GLM-4.5V and GLM-4.6V, by default GLM-4.1V-9B-Thinking: ``--model glm_4v`` or ``--model glm_4v:OWNER/NAME``.

It writes boxes in thousandths of the picture's width and height (https://huggingface.co/zai-org/GLM-4.5V, section on grounding), between
``<|begin_of_box|>`` and ``<|end_of_box|>``. It thinks first: give it room (``-p max_tokens=8192``).

``-o engine=transformers`` runs it there instead of in vLLM; all other options are the engine's own.
"""

from __future__ import annotations

import nova_bench as nb


def load(
    *,
    model: str = "zai-org/GLM-4.1V-9B-Thinking",
    engine: str = "vllm",
    revision: str = "",
    dtype: str = "auto",
    max_pixels: int = 0,
    trust_remote_code: bool = False,
    **more: str,
) -> nb.Adapter:
    """Return the adapter of a checkpoint of this family."""
    return nb.load_family(
        ["glm4v", "glm4v_moe", "glm46v"],
        engine=engine,
        model=model,
        revision=revision,
        dtype=dtype,
        max_pixels=max_pixels,
        trust_remote_code=trust_remote_code,
        more=more,
    )
