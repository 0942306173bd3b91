"""The transformers backend with real checkpoints of five families, random weights; what is expected comes from transformers itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import answers, picture, request, texts, varied

from nova_bench.backends.label_probs import label_probs
from nova_bench.errors import AdapterError
from nova_bench.types import Request

pytestmark = [pytest.mark.engine, pytest.mark.real("transformers with tiny checkpoints of five families")]

WITH_PICTURES = ("qwen2_vl", "llava", "idefics3", "gemma3")
SCHEMA = {
    "type": "object",
    "properties": {
        "plane": {"enum": ["axial", "coronal", "sagittal"]},
        "boxes": {
            "type": "array",
            "maxItems": 2,
            "items": {"type": "integer", "minimum": 0, "maximum": 1000},
        },
        "is_normal": {"type": "boolean"},
    },
    "required": ["plane", "boxes", "is_normal"],
    "additionalProperties": False,
}


def own_answer(folder: Path, asked: Request) -> tuple[str, int]:
    """Return what the model's own processor and generate say to one request, and how many tokens its prompt has."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor, GenerationConfig

    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype="float32")
    content = [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": part.pil()}
        for part in asked.parts
    ]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
    )
    known = {
        name: value for name, value in inputs.items() if name != "token_type_ids" or "gemma" in folder.name
    }
    plain = GenerationConfig(do_sample=False, max_new_tokens=asked.params.max_tokens)
    with torch.inference_mode():
        made = model.generate(**known, generation_config=plain)
    n_input = inputs["input_ids"].shape[1]
    return processor.decode(made[0, n_input:], skip_special_tokens=True), n_input


@pytest.mark.parametrize("family", WITH_PICTURES)
def test_answers_are_those_of_the_models_own_processor_and_generate(
    family: str, chat: Callable[..., Any], checkpoint: Callable[[str], Path]
) -> None:
    requests = varied(6)
    got = answers(chat(family, batch_size=4), requests)
    for asked in requests:
        text, n_input = own_answer(checkpoint(family), asked)
        assert (got[asked.id].text, got[asked.id].usage.input_tokens) == (text, n_input)
        assert got[asked.id].model == family


@pytest.mark.parametrize("family", WITH_PICTURES)
def test_answer_does_not_depend_on_the_batch_in_float32(family: str, chat: Callable[..., Any]) -> None:
    requests = [*varied(8), *varied(8, temperature=0.8, seed=5)]
    requests = [Request(f"{i}", str(i), 0, r.parts, None, r.params) for i, r in enumerate(requests)]
    alone = texts(answers(chat(family, batch_size=1), requests))
    assert texts(answers(chat(family, batch_size=4), requests)) == alone
    assert texts(answers(chat(family, batch_size=16), reversed(requests))) == alone


def test_seed_and_id_decide_what_is_drawn(chat: Callable[..., Any]) -> None:
    opened = chat("llava", batch_size=8)

    def drawn(ids: str, seed: int) -> list[str | None]:
        asked = [request(name, "Is it a brain?", temperature=1.0, seed=seed) for name in ids]
        return list(texts(answers(opened, asked)).values())

    first = drawn("abcd", 1)
    assert first == drawn("abcd", 1)
    assert len(set(first)) == 4, "requests with one seed must not draw the same numbers"
    assert not set(first) & set(drawn("abcd", 2))


def test_draws_follow_the_models_probabilities(chat: Callable[..., Any]) -> None:
    """Of 400 draws of one token, the share of each follows the softmax at that temperature (chi-square, one in a million)."""
    import torch
    from scipy import stats

    opened = chat("llama", batch_size=100)
    loaded = opened.load()
    sharp = _raised(loaded, {" the": 9.0, " left": 8.0, " in": 7.5})
    asked = [request(f"r{i}", "Where?", max_tokens=1, temperature=0.7, seed=0) for i in range(400)]
    got = [response.text for response in answers(opened, asked).values()]
    prompt = loaded.prompt(["Where?"], None)
    with torch.inference_mode():
        logits = loaded.model(**loaded.inputs([prompt], [[]])).logits[0, -1].double()
    probabilities = torch.softmax(logits / 0.7, -1)
    expected = np.array([400 * float(probabilities[token]) for token in sharp.values()])
    counts = np.array([got.count(text) for text in sharp])
    rest = np.array([400 - expected.sum(), 400 - counts.sum()])
    test = stats.chisquare([*counts, rest[1]], [*expected, rest[0]])
    assert test.pvalue > 1e-6, (counts, expected)


def test_greedy_at_no_temperature_whatever_the_generation_config_says(
    chat: Callable[..., Any], copy: Callable[..., Path]
) -> None:
    wild = copy(
        "qwen2_vl",
        "generation_config.json",
        do_sample=True,
        temperature=2.0,
        repetition_penalty=5.0,
        no_repeat_ngram_size=1,
        max_length=3,
    )
    requests = varied(5)
    assert texts(answers(chat(wild), requests)) == texts(answers(chat("qwen2_vl"), requests))


def test_finish_is_stop_at_an_end_token_and_length_at_the_limit(
    chat: Callable[..., Any], copy: Callable[..., Path]
) -> None:
    import torch

    asked = [request("long", "Is it?", max_tokens=9), request("short", "Is it?", max_tokens=2)]
    opened = chat("llava")
    free = answers(opened, asked)
    assert {name: (r.finish, r.usage.output_tokens) for name, r in free.items()} == {
        "long": ("length", 9),
        "short": ("length", 2),
    }
    loaded = opened.load()
    inputs = loaded.inputs([loaded.prompt(("Is it?",), None)], [[]])
    with torch.inference_mode():
        made = loaded.model.generate(**inputs, max_new_tokens=9, do_sample=False)
    written = made[0, inputs["input_ids"].shape[1] :].tolist()
    n_before = written.index(written[4])
    ending = copy("llava", "generation_config.json", eos_token_id=[2, written[4]])
    ended = answers(chat(ending), asked)
    assert ended["long"].finish == "stop"
    assert ended["long"].usage.output_tokens == n_before + 1
    assert ended["long"].text == loaded.tokenizer.decode(written[:n_before], skip_special_tokens=True)


def test_stop_texts_end_their_own_row_and_are_left_out(chat: Callable[..., Any]) -> None:
    opened = chat("qwen2_vl")
    requests = varied(4, max_tokens=16)
    free = texts(answers(opened, requests))
    stopping = []
    for asked in requests:
        whole = free[asked.id]
        stop = (whole[5:7], "never there") if int(asked.id) % 2 else ()
        stopping.append(request(asked.id, *asked.parts, max_tokens=16, stop=stop))
    got = answers(opened, stopping)
    for asked in stopping:
        whole, answer = free[asked.id], got[asked.id]
        if not asked.params.stop:
            assert (answer.text, answer.finish) == (whole, "length")
            continue
        assert (answer.text, answer.finish) == (whole[: whole.index(asked.params.stop[0])], "stop")
        assert answer.usage.output_tokens < 16


@pytest.mark.parametrize("family", [*WITH_PICTURES, "llama"])
def test_every_answer_parses_with_a_schema(family: str, chat: Callable[..., Any]) -> None:
    pytest.importorskip("xgrammar")
    asked = []
    for i in range(12):
        parts = ("Is it?",) if family == "llama" else (picture(60, 60, i), "Is it?" * (1 + i % 3))
        held = {} if i % 4 == 3 else {"json_schema": SCHEMA}
        asked.append(request(str(i), *parts, max_tokens=400, seed=i, temperature=float(i % 2), **held))
    got = answers(chat(family, batch_size=6), asked)
    for one in asked:
        if one.params.json_schema is None:
            continue
        answer = got[one.id]
        assert (answer.finish, answer.dropped) == ("stop", ())
        value = json.loads(answer.text)
        assert set(value) == {"plane", "boxes", "is_normal"}
        assert value["plane"] in ("axial", "coronal", "sagittal")
        assert all(0 <= edge <= 1000 for edge in value["boxes"])


def test_schema_that_is_switched_off_counts_as_dropped(chat: Callable[..., Any]) -> None:
    got = answers(
        chat("llama", json_schema=False), [request("1", "Is it?", json_schema=SCHEMA), request("2", "It?")]
    )
    assert {name: response.dropped for name, response in got.items()} == {"1": ("json_schema",), "2": ()}


def test_schema_that_the_grammar_does_not_know_ends_the_run_with_the_remedy(chat: Callable[..., Any]) -> None:
    with pytest.raises(AdapterError, match="json_schema=false"):
        answers(chat("llama"), [request("1", "Is it?", json_schema={"type": "no such type"})])


def _raised(loaded: Any, by: dict[str, float]) -> dict[str, int]:
    """Raise the logits of some tokens in the real model, so that they hold most of the probability; return their ids."""
    ids = {text: loaded.tokenizer.encode(text, add_special_tokens=False) for text in by}
    assert all(len(tokens) == 1 for tokens in ids.values()), ids

    def raise_(module: Any, given: Any, logits: Any) -> Any:
        for text, amount in by.items():
            logits[..., ids[text][0]] += amount
        return logits

    loaded.model.get_output_embeddings().register_forward_hook(raise_)
    return {text: tokens[0] for text, tokens in ids.items()}


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_label_probs_are_the_models_own_at_the_first_position(
    temperature: float, chat: Callable[..., Any]
) -> None:
    import torch

    opened = chat("gemma3", batch_size=3)
    loaded = opened.load()
    ids = _raised(loaded, {" yes": 9.0, " no": 8.5})
    asked = [
        request(
            str(i),
            picture(60, 60, i),
            "Is it?" * (i + 1),
            temperature=temperature,
            seed=1,
            outputs=frozenset({"text", "label_probs"}),
            labels=("No", "Yes"),
        )
        for i in range(5)
    ]
    got = answers(opened, asked)
    for one in asked:
        inputs = loaded.inputs([loaded.prompt(one.parts, None)], [[one.images[0].pil()]])
        with torch.inference_mode():
            chances = torch.softmax(loaded.model(**inputs).logits[0, -1].double(), -1)
        labels = {"no": 0.0, "yes": 0.0}
        for token in range(len(loaded.tokenizer)):  # "yes" without a blank before it is a token of its own
            written = loaded.tokenizer.convert_ids_to_tokens(token).strip("Ġ").lower()
            if written in labels:
                labels[written] += float(chances[token])
        assert ids[" yes"] != ids[" no"]
        expected = np.array([labels["no"], labels["yes"]]) / sum(labels.values())
        np.testing.assert_allclose(got[one.id].arrays["label_probs"], expected, rtol=1e-5)
        assert got[one.id].dropped == ()


def test_label_probs_of_a_model_that_writes_something_else_are_dropped(chat: Callable[..., Any]) -> None:
    asked = request("1", "Is it?", outputs=frozenset({"text", "label_probs"}), labels=("yes", "no"))
    got = answers(chat("llama"), [asked])["1"]
    assert got.dropped == ("label_probs",)
    assert not got.arrays
    assert label_probs([], ("yes", "no")) is None


def test_blank_tokens_before_the_label_are_passed_over(chat: Callable[..., Any]) -> None:
    opened = chat("llama")
    loaded = opened.load()
    steps = iter(["\n", " yes"] + [" the"] * 20)
    blank = loaded.tokenizer.encode("\n", add_special_tokens=False)
    assert len(blank) == 1

    def raise_(module: Any, given: Any, logits: Any) -> Any:
        logits[:, -1, loaded.tokenizer.encode(next(steps), add_special_tokens=False)[0]] += 30
        return logits

    loaded.model.get_output_embeddings().register_forward_hook(raise_)
    asked = request("1", "Is it?", outputs=frozenset({"text", "label_probs"}), labels=("no", "yes"))
    got = answers(opened, [asked])["1"]
    assert got.text.startswith("\n yes the")
    np.testing.assert_allclose(got.arrays["label_probs"], [0, 1], atol=1e-6)
