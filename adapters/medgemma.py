# /// script
# requires-python = ">=3.11"
# dependencies = ["nova-bench"]
# [tool.nova-bench]
# name = "MedGemma 1.5"
# license = "health-ai-developer-foundations"
# url = "https://huggingface.co/google/medgemma-1.5-4b-it"
# weights = "open"
# parameters = "4B"
# outputs = ["text", "label_probs"]
# boxes = "yxyx/1000"
# think = ["<unused94>", "<unused95>"]
# sends = "local"
# transport = [
#     "batch_size", "concurrency", "data_parallel_size", "device_map", "download_dir", "enable_prefix_caching",
#     "enforce_eager", "gpu_memory_utilization", "kv_cache_memory_bytes", "max_num_batched_tokens", "max_num_seqs",
#     "pipeline_parallel_size", "serve", "start_timeout", "tensor_parallel_size",
# ]
# ///
"""MedGemma, by default 1.5 with 4B: ``--model medgemma`` or ``--model medgemma:google/medgemma-4b-it``.

Boxes are asked for as in Google's notebook for MedGemma 1.5, ``[y0, x0, y1, x1]`` in thousandths
(https://github.com/google-health/medgemma, notebooks/cxr_anatomy_localization_with_hugging_face.ipynb). The notebook pads a picture to a
square first; nova_bench does not, and the model's processor then squeezes it into one. For MedGemma 1 no frame is documented. The
checkpoint is gated: accept Google's terms on its page, and log in to the hub.

``-o engine=transformers`` runs it there instead of in vLLM; all other options are the engine's own.
"""

from __future__ import annotations

import nova_bench as nb


def load(
    *,
    model: str = "google/medgemma-1.5-4b-it",
    engine: str = "vllm",
    revision: str = "",
    dtype: str = "auto",
    max_pixels: int = 0,
    trust_remote_code: bool = False,
    **more: str,
) -> nb.Adapter:
    """Return the adapter of a checkpoint of this family."""
    return nb.load_family(
        ["gemma3"],
        engine=engine,
        model=model,
        revision=revision,
        dtype=dtype,
        max_pixels=max_pixels,
        trust_remote_code=trust_remote_code,
        more=more,
    )
