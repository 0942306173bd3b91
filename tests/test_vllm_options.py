"""Options for vLLM that would load what a run's identity does not show are refused, without vLLM being there."""

from __future__ import annotations

import pytest

from nova_bench.backends.vllm_arguments import refuse_uncovered
from nova_bench.errors import UsageError


@pytest.mark.parametrize(
    "name",
    [
        "tokenizer",
        "tokenizer_revision",
        "hf_config_path",
        "code_revision",
        "speculative_config",
        "spec_model",
        "enable_lora",
        "lora_modules",
        "default_mm_loras",
        "worker_cls",
        "worker_extension_cls",
        "logits_processors",
        "io_processor_plugin",
        "reasoning_parser_plugin",
        "middleware",
        "config",
    ],
)
def test_option_that_loads_other_weights_or_code_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="would not show in the run's identity"):
        refuse_uncovered(name, "x")


@pytest.mark.parametrize(
    "name",
    ["tokenizer_mode", "max_model_len", "quantization", "hf_overrides", "load_format", "config_format"],
)
def test_other_options_pass(name: str) -> None:
    refuse_uncovered(name, "x")
