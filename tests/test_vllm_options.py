"""Options for vLLM that would load what a run's identity does not show are refused, without vLLM being there."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

import pytest

from nova_bench.backends.vllm_arguments import refuse_uncovered
from nova_bench.backends.vllm_process import VllmProcess
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
        "model_class_overrides",
        "kv_transfer_config",
        "ec_transfer_config",
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


def test_engine_that_comes_up_after_it_was_closed_is_ended() -> None:
    ended: list[float] = []

    class Engine:
        def shutdown(self, timeout: float) -> None:
            ended.append(timeout)

    process = VllmProcess.__new__(VllmProcess)  # without its guard and its processes, which need vLLM
    process.engine, process.loop, process._ended = None, asyncio.new_event_loop(), threading.Event()
    process._is_closed = process._is_shut_down = False

    async def start(fields: Any) -> None:
        process._is_closed = True  # Ctrl-C struck, and close() found no engine yet
        process.engine = Engine()

    process._start = start  # type: ignore[method-assign]
    ready: Future[None] = Future()
    thread = threading.Thread(target=process._run, args=({}, ready))
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert ready.result(0) is None
    assert len(ended) == 1


def test_plugin_within_an_option_is_refused() -> None:
    with pytest.raises(UsageError, match="would not show in the run's identity"):
        refuse_uncovered("structured_outputs_config", '{"reasoning_parser_plugin": "x.py"}')
    refuse_uncovered("structured_outputs_config", '{"backend": "guidance"}')


@pytest.mark.parametrize("name", ["generation_config", "override_generation_config", "logprobs_mode"])
def test_option_that_changes_what_parameters_mean_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="could not be compared"):
        refuse_uncovered(name, "auto")


def test_token_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="hf auth login") as raised:
        refuse_uncovered("hf_token", "hf_secret")
    assert "hf_secret" not in str(raised.value)
