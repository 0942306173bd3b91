# /// script
# requires-python = ">=3.11"
# dependencies = ["nova-bench"]
# [tool.nova-bench]
# name = "InternVL3"
# license = "other"
# url = "https://huggingface.co/OpenGVLab/InternVL3-8B-hf"
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
"""InternVL 2.5 and 3, by default the 8B of InternVL3: ``--model internvl3`` or ``--model internvl3:OWNER/NAME``.

It writes boxes in thousandths of the whole picture's width and height, whatever tiles it was cut into
(https://internvl.readthedocs.io/en/latest/get_started/chat_data_format.html, grounding data). The default checkpoint is the one in
transformers' own format, under the Qwen license; those without ``-hf`` bring code of their own.

``-o engine=transformers`` runs it there instead of in vLLM; all other options are the engine's own.
"""

from __future__ import annotations

import nova_bench as nb


def load(
    *,
    model: str = "OpenGVLab/InternVL3-8B-hf",
    engine: str = "vllm",
    revision: str = "",
    dtype: str = "auto",
    max_pixels: int = 0,
    trust_remote_code: bool = False,
    **more: str,
) -> nb.Adapter:
    """Return the adapter of a checkpoint of this family."""
    return nb.load_family(
        ["internvl", "internvl_chat"],
        engine=engine,
        model=model,
        revision=revision,
        dtype=dtype,
        max_pixels=max_pixels,
        trust_remote_code=trust_remote_code,
        more=more,
    )
