# /// script
# requires-python = ">=3.11"
# dependencies = ["nova-bench"]
# [tool.nova-bench]
# name = "LLaVA-Med 1.5"
# license = "apache-2.0"
# url = "https://huggingface.co/microsoft/llava-med-v1.5-mistral-7b"
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
"""LLaVA-Med 1.5, from a folder with converted weights: ``--model llava_med:FOLDER``.

Neither vLLM nor transformers loads the checkpoint as Microsoft published it (``model_type`` ``llava_mistral``). It has to be converted
first, with ``convert_llava_weights_to_hf.py`` of transformers 4.48, and needs a chat template (Mistral's). LLaVA-Med documents no form
for boxes: they are asked for in nova_bench's own frame, and what comes back may be no boxes at all.

``-o engine=transformers`` runs it there instead of in vLLM; all other options are the engine's own.
"""

from __future__ import annotations

import nova_bench as nb
from nova_bench.errors import UsageError


def load(
    *,
    model: str = "",
    engine: str = "vllm",
    revision: str = "",
    dtype: str = "auto",
    max_pixels: int = 0,
    trust_remote_code: bool = False,
    **more: str,
) -> nb.Adapter:
    """Return the adapter of a checkpoint of this family."""
    if not model:
        raise UsageError("which folder holds the converted weights? --model llava_med:FOLDER")
    return nb.load_family(
        ["llava"],
        engine=engine,
        model=model,
        revision=revision,
        dtype=dtype,
        max_pixels=max_pixels,
        trust_remote_code=trust_remote_code,
        more=more,
    )
