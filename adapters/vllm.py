# /// script
# requires-python = ">=3.11"
# dependencies = ["nova-bench", "vllm"]
# [tool.nova-bench]
# name = "vLLM"
# license = "varies"
# weights = "varies"
# outputs = ["text", "label_probs"]
# boxes = "xyxy/1000"
# sends = "local"
# transport = [
#     "concurrency", "serve", "start_timeout", "download_dir", "gpu_memory_utilization", "kv_cache_memory_bytes",
#     "max_num_seqs", "max_num_batched_tokens", "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size",
#     "enforce_eager", "enable_prefix_caching",
# ]
# ///
"""A checkpoint on this machine, in vLLM's engine: ``--model vllm:FOLDER`` or ``--model vllm:OWNER/NAME -o revision=COMMIT``.

``-o dtype=bfloat16``, ``-o max_pixels=N`` (larger pictures are scaled down first), and any argument of vLLM's engine under its own
name: ``-o tensor_parallel_size=2``, ``-o quantization=fp8``, ``-o max_model_len=32k``, ``-o limit_mm_per_prompt='{"image": 4}'``.
Without a temperature answers are greedy. ``-o trust_remote_code=true`` runs Python code that comes with the checkpoint.

``-o serve=true`` starts vLLM's server instead, for this run alone, and asks it through its API; it takes the options of the server too.
``-o start_timeout=SECONDS`` is how long it may take until it answers.
"""

from __future__ import annotations

import nova_bench as nb


def load(
    *,
    model: str = "",
    revision: str = "",
    trust_remote_code: bool = False,
    serve: bool = False,
    dtype: str = "auto",
    max_pixels: int = 0,
    concurrency: int = 0,
    start_timeout: float = 1200.0,
    **engine: str,
) -> nb.Adapter:
    """Return the adapter of a checkpoint."""
    found = nb.backends.find_model(model, revision=revision, trust_remote_code=trust_remote_code)
    if serve:
        return nb.backends.ServedChat(
            found,
            dtype=dtype,
            max_pixels=max_pixels,
            concurrency=concurrency,
            start_timeout=start_timeout,
            engine=engine,
        )
    return nb.backends.VllmEngine(
        found, dtype=dtype, max_pixels=max_pixels, concurrency=concurrency, engine=engine
    )
