"""Spellings of one model's name, and names that look alike and mean others."""

from __future__ import annotations

import itertools

import pytest

from nova_bench.model_names import is_any_same, is_same_model, model_key

SAME = [
    (
        "gpt-4o",
        "gpt-4o-2024-08-06",
        "GPT-4o",
        "gpt-4o ",
        "openai/gpt-4o",
        "gpt-4o-latest",
        "gpt-4o-2024-11-20",
        "gpt-4o/",
    ),
    ("gpt-4", "gpt-4-0613", "gpt-4-1106"),
    ("gemini-2.0-flash", "models/gemini-2.0-flash", "gemini-2.0-flash-001", "google/gemini-2.0-flash-001"),
    ("gemini-2.5-flash-preview", "gemini-2.5-flash-preview-05-20", "gemini-2.5-flash-preview-09-2025"),
    (
        "Qwen/Qwen2.5-VL-7B-Instruct",
        "qwen2.5-vl-7b-instruct",
        "Qwen/Qwen2.5-VL-7B-Instruct@main",
        "Qwen/Qwen2.5-VL-7B-Instruct@refs/pr/3",
        "Qwen/Qwen2.5-VL-7B-Instruct-AWQ",
        "Qwen/Qwen2.5-VL-7B-Instruct-GPTQ-Int4",
        "unsloth/Qwen2.5-VL-7B-Instruct-unsloth-bnb-4bit",
        "RedHatAI/Qwen2.5-VL-7B-Instruct-quantized.w8a8",
        "RedHatAI/Qwen2.5-VL-7B-Instruct-FP8-dynamic",
        "/models/Qwen2.5-VL-7B-Instruct/",
        "/models/Qwen2.5-VL-7B-Instruct/.",
        "/models/x/../Qwen2.5-VL-7B-Instruct//",
        "./Qwen2.5-VL-7B-Instruct",
        "/home/me@lab/Qwen2.5-VL-7B-Instruct",
        "/cache/hub/models--Qwen--Qwen2.5-VL-7B-Instruct/snapshots/cc594898137f460bfe9f0759e9844b3ce807cfb5",
        "/models/Qwen2.5-VL-7B-Instruct-Q4_K_M.gguf",
        "Qwen2.5-VL-7B-Instruct.IQ4_XS.gguf",
        "qwen2.5-vl:7b-instruct-q8_0",
        "qwen2.5vl:7b-instruct",
    ),
    ("qwen2.5vl:7b", "qwen2.5vl:7b-q4_K_M", "Qwen2.5-VL-7B"),
    (
        "claude-3-5-sonnet",
        "claude-3-5-sonnet-20240620",
        "claude-3-5-sonnet@20240620",
        "claude-3-5-sonnet-latest",
        "anthropic/claude-3.5-sonnet",
        "us.anthropic.claude-3-5-sonnet-20240620-v1:0",
    ),
    ("llava:latest", "llava"),
    ("mistral-large", "mistral-large-2411"),
    ("Qwen3-VL-30B-A3B-Instruct-2507", "qwen3-vl-30b-a3b-instruct"),
    ("meta-llama/llama-3.2-11b-vision-instruct:free", "Llama-3.2-11B-Vision-Instruct"),
]

OTHERS = [
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4-turbo",
    "gpt-4o-audio-preview",
    "o1",
    "o1-mini",
    "o3",
    "gemini-2.0-flash",
    "gemini-2.0-flash-lite",
    "gemini-2.5-flash",
    "gemini-2.5-pro",
    "claude-3-5-sonnet",
    "claude-3-7-sonnet",
    "claude-3-5-haiku",
    "claude-sonnet-4",
    "Qwen2-VL-7B-Instruct",
    "Qwen2.5-VL-7B-Instruct",
    "Qwen2.5-VL-72B-Instruct",
    "Qwen2.5-VL-7B",
    "Qwen2.5-VL-3B-Instruct",
    "paligemma-3b-pt-224",
    "paligemma-3b-pt-448",
    "paligemma-3b-pt-896",
    "vision-1024",
    "vision",
    "llama-3.1-8b",
    "llama-31-8b",
    "llama-3.1-80b",
    "medgemma-4b-it",
    "medgemma-4b-pt",
    "medgemma-27b-it",
    "llava:7b",
    "llava:13b",
    "grok-2",
    "grok-3",
    "judge-1",
    "judge-2",
    "judge-2031",
    "step-1",
    "q3",
    "int4",
    "phi-4",
    "phi-3.5",
]


@pytest.mark.parametrize("names", SAME, ids=lambda names: names[0])
def test_spellings_of_one_model(names: tuple[str, ...]) -> None:
    assert len({model_key(name).replace("-", "") for name in names}) == 1
    assert all(is_same_model(one, other) for one, other in itertools.product(names, names))


def test_other_models_are_told_apart() -> None:
    assert [pair for pair in itertools.combinations(OTHERS, 2) if is_same_model(*pair)] == []
    for one, other in itertools.combinations(SAME, 2):
        for pair in itertools.product(one, other):
            assert not is_same_model(*pair)


@pytest.mark.parametrize(
    "name",
    ["", " ", "/", ".", "2024-08-06", "awq", "q4_k_m", "latest", "@main", ":latest", "x.gguf", "-", "0613"],
)
def test_names_of_nothing_else_do_not_fall_over(name: str) -> None:
    assert not is_same_model(name, "gpt-4o")
    assert not is_same_model("", name)
    assert not is_same_model("@main", ":latest")


def test_names_that_vendors_gave_overlap() -> None:
    assert is_any_same(["gpt-4o-2024-08-06", "x"], ["gpt-4o"])
    assert not is_any_same(["gpt-4o-2024-08-06"], ["gpt-4o-mini-2024-07-18"])
    assert not is_any_same([""], [""])
    assert not is_any_same([], ["gpt-4o"])
