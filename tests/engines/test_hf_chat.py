"""The transformers backend with real checkpoints of five families, random weights; what is expected comes from transformers itself."""

from __future__ import annotations

import io
import json
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tiny_models

import nova_bench as nb
from nova_bench.backends.label_probs import label_probs
from nova_bench.backends.local_model import find_model
from nova_bench.errors import AdapterError, UsageError
from nova_bench.types import GenParams, Image, Request, Response

pytestmark = pytest.mark.engine

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


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            made[family] = tiny_models.make(family, tmp_path_factory.mktemp("models") / family)
        return made[family]

    return make


@pytest.fixture
def chat(checkpoint: Callable[[str], Path]) -> Iterator[Callable[..., Any]]:
    opened = []

    def open_(family: str | Path, **options: Any) -> Any:
        folder = family if isinstance(family, Path) else checkpoint(family)
        opened.append(
            nb.backends.HFChat(find_model(str(folder)), **{"dtype": "float32", "device_map": "cpu"} | options)
        )
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


@pytest.fixture
def copy(checkpoint: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """Copy a checkpoint with some of its JSON changed."""

    def make(family: str, file: str = "", **changes: Any) -> Path:
        folder = Path(
            shutil.copytree(checkpoint(family), tmp_path / f"{family}{len(list(tmp_path.iterdir()))}")
        )
        if file:
            known = json.loads((folder / file).read_text())
            (folder / file).write_text(json.dumps(known | changes))
        return folder

    return make


def picture(width: int, height: int, seed: int) -> Image:
    noise = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(noise).save(buffer, "PNG")
    return Image(data=buffer.getvalue())


def request(name: str, *parts: str | Image, **params: Any) -> Request:
    fields = {key: params.pop(key) for key in ("system", "outputs", "labels") if key in params}
    return Request(name, name, 0, parts, params=GenParams(**{"max_tokens": 12} | params), **fields)


def varied(n: int, **params: Any) -> list[Request]:
    """Return requests of different lengths, with one to two pictures of different sizes between the texts."""
    requests = []
    for i in range(n):
        second = (picture(50, 50, 99), "and this?") if i % 3 == 0 else ()
        text = "Is there a lesion" + " in the left temporal lobe" * (i % 5) + "?"
        requests.append(request(str(i), "Look:", picture(60 + 9 * i, 90, i), text, *second, **params))
    return requests


def answers(chat: Any, requests: Iterable[Request]) -> dict[str, Response]:
    responses = list(chat.generate(iter(requests)))
    assert len({response.id for response in responses}) == len(responses)
    return {response.id: response for response in responses}


def texts(responses: dict[str, Response]) -> dict[str, str | None]:
    assert all(response.finish in ("stop", "length") for response in responses.values()), responses
    return {name: response.text for name, response in sorted(responses.items())}


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


def test_prompt_longer_than_the_context_is_rejected_and_ends_no_other(chat: Callable[..., Any]) -> None:
    long = request("long", picture(60, 60, 0), "word " * 9000)
    got = answers(chat("qwen2_vl", batch_size=8), [*varied(3), long])
    assert got["long"].finish == "rejected"
    assert "8192" in got["long"].error
    assert got["long"].usage.input_tokens > 8192
    assert [got[name].finish for name in "012"] == ["length"] * 3


def test_answer_ends_where_the_context_does(chat: Callable[..., Any], copy: Callable[..., Path]) -> None:
    short = copy("llama", "config.json", max_position_embeddings=40)
    asked = request("1", "Is it?", max_tokens=1000)
    got = answers(chat(short), [asked])["1"]
    assert got.finish == "length"
    assert got.usage.input_tokens + got.usage.output_tokens == 40


def test_language_model_answers_texts_and_rejects_pictures(chat: Callable[..., Any]) -> None:
    opened = chat("llama")
    asked = [request("text", "Is it?", system="Be brief."), request("picture", picture(9, 9, 0), "Is it?")]
    got = answers(opened, asked)
    assert (got["text"].finish, got["picture"].finish) == ("length", "rejected")
    assert "no pictures" in got["picture"].error
    assert opened.load().prompt(("Is it?",), "Be brief.") == (
        "<|system|>Be brief.<|end|><|user|>Is it?<|end|><|assistant|>"
    )


def test_picture_that_cannot_be_read_fails_alone(chat: Callable[..., Any]) -> None:
    cut = Image(data=picture(60, 60, 1).read()[:500])
    got = answers(chat("llava"), [*varied(2), request("cut", cut, "Is it?")])
    assert (got["cut"].finish, got["0"].finish, got["1"].finish) == ("error", "length", "length")


def test_prompt_holds_texts_and_pictures_in_order(chat: Callable[..., Any]) -> None:
    loaded = chat("qwen2_vl").load()
    prompt = loaded.prompt(("first", picture(9, 9, 0), "second", picture(9, 9, 1), "third"), "You see.")
    pad = "<|vision_start|><|image_pad|><|vision_end|>"
    assert prompt == (
        f"<|im_start|>system\nYou see.<|im_end|>\n<|im_start|>user\nfirst{pad}second{pad}third<|im_end|>\n<|im_start|>assistant\n"
    )


def test_system_prompt_goes_before_the_text_where_the_template_knows_no_system(
    chat: Callable[..., Any],
) -> None:
    prompt = chat("gemma3").load().prompt((picture(9, 9, 0), "Is it?"), "You see.")
    assert (
        prompt
        == "<bos><start_of_turn>user\nYou see.<start_of_image>Is it?<end_of_turn>\n<start_of_turn>model\n"
    )


def test_template_that_drops_a_text_ends_the_run(chat: Callable[..., Any], copy: Callable[..., Path]) -> None:
    folder = copy("llava")
    (folder / "chat_template.jinja").write_text("USER: {{ messages[-1]['content'][0]['text'] }} ASSISTANT:")
    with pytest.raises(AdapterError, match="left out a part of the prompt"):
        answers(chat(folder), [request("1", "first", "second")])


def test_checkpoint_without_a_chat_template_says_so(
    chat: Callable[..., Any], copy: Callable[..., Path]
) -> None:
    folder = copy("qwen2_vl")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(AdapterError, match="no chat template"):
        answers(chat(folder), varied(1))


def test_sizes_are_those_that_the_model_sees(chat: Callable[..., Any]) -> None:
    asked = [request("large", picture(300, 200, 0), "Is it?"), request("same", picture(112, 84, 0), "Is it?")]
    got = answers(chat("qwen2_vl"), asked)
    assert {name: response.image_sizes for name, response in got.items()} == {
        "large": ((252, 168),),
        "same": (),
    }
    small = answers(chat("qwen2_vl", max_pixels=100 * 100), asked)
    assert small["large"].image_sizes == ((112, 84),)


def _failing(loaded: Any, monkeypatch: pytest.MonkeyPatch, fail: Callable[[Any], None]) -> list[int]:
    """Let the real model's forward fail by a rule; return the list of batch sizes that it was given."""
    sizes = []
    forward = loaded.model.forward

    def checked(*args: Any, **inputs: Any) -> Any:
        sizes.append(inputs["input_ids"].shape[0])
        fail(inputs)
        return forward(*args, **inputs)

    checked.__signature__ = __import__("inspect").signature(forward)  # type: ignore[attr-defined]
    monkeypatch.setattr(loaded.model, "forward", checked)
    return sizes


def _no_gpu_memory(inputs: Any) -> None:
    import torch

    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def _no_memory(inputs: Any) -> None:
    import torch

    torch.empty(1 << 60, dtype=torch.uint8)  # the allocator's own error


@pytest.mark.parametrize("exhaust", [_no_gpu_memory, _no_memory])
@pytest.mark.parametrize("family", ["qwen2_vl", "idefics3"])
def test_batch_that_does_not_fit_is_halved(
    family: str, exhaust: Callable[[Any], None], chat: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = varied(9)
    expected = texts(answers(chat(family), requests))
    opened = chat(family, batch_size=8)
    sizes = _failing(
        opened.load(),
        monkeypatch,
        lambda inputs: exhaust(inputs) if inputs["input_ids"].shape[0] > 2 else None,
    )
    assert texts(answers(opened, requests)) == expected
    assert max(sizes) > 2 >= sizes[-1]


def test_request_that_does_not_fit_alone_fails_alone_with_the_remedy(
    chat: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = chat("llama", batch_size=8)
    _failing(
        opened.load(),
        monkeypatch,
        lambda inputs: _no_memory(inputs) if inputs["input_ids"].shape[1] > 150 else None,
    )
    got = answers(opened, [*(request(str(i), "Is it?") for i in range(5)), request("large", "word " * 200)])
    assert got["large"].finish == "error"
    assert "max_pixels" in got["large"].error
    assert [got[str(i)].finish for i in range(5)] == ["length"] * 5


def test_batches_grow_again_after_one_that_did_not_fit(
    chat: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = chat("llama", batch_size=4)
    sizes = _failing(
        opened.load(),
        monkeypatch,
        lambda inputs: (
            _no_memory(inputs)
            if inputs["input_ids"].shape[1] > 150 and inputs["input_ids"].shape[0] > 1
            else None
        ),
    )
    large = [request(f"large{i}", "word " * 200, max_tokens=1) for i in range(4)]
    small = [request(str(i), "Is it?", max_tokens=1) for i in range(120)]
    texts(answers(opened, [*large, *small]))
    # Sizes at 1 after the large ones: 4 fails, 2 fails twice at most.
    assert sizes[0] == 4
    assert sizes[-1] > 1 or 4 in sizes[5:]


def test_fault_of_one_request_fails_that_one_alone(
    chat: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = chat("llama", batch_size=8)

    def fail(inputs: Any) -> None:
        if inputs["input_ids"].shape[1] > 150:
            raise ValueError("an odd shape")

    _failing(opened.load(), monkeypatch, fail)
    got = answers(opened, [*(request(str(i), "Is it?") for i in range(5)), request("odd", "word " * 200)])
    assert (got["odd"].finish, got["odd"].error) == ("error", "ValueError: an odd shape")
    assert [got[str(i)].finish for i in range(5)] == ["length"] * 5


def test_picture_that_the_processor_refuses_is_rejected(chat: Callable[..., Any]) -> None:
    got = answers(chat("qwen2_vl"), [*varied(2), request("thin", picture(900, 3, 0), "Is it?")])
    assert (got["thin"].finish, got["0"].finish, got["1"].finish) == ("rejected", "length", "length")
    assert "aspect ratio" in got["thin"].error


def test_logits_that_are_no_numbers_are_no_answer(chat: Callable[..., Any]) -> None:
    opened = chat("llama", batch_size=4)

    def spoil(module: Any, given: Any, logits: Any) -> Any:
        logits[0] = float("nan")
        return logits

    opened.load().model.get_output_embeddings().register_forward_hook(spoil)
    got = answers(opened, [request(str(i), "Is it?") for i in range(4)])
    assert sorted(response.finish for response in got.values()) == ["error", "length", "length", "length"]
    assert "bfloat16" in next(response.error for response in got.values() if response.finish == "error")


def test_model_with_an_encoder_is_refused(chat: Callable[..., Any], copy: Callable[..., Path]) -> None:
    folder = copy("llama", "config.json", model_type="t5", is_encoder_decoder=True)
    with pytest.raises(AdapterError, match="has an encoder and a decoder"):
        answers(chat(folder), [request("1", "Is it?")])


def test_gpu_that_is_lost_ends_the_run(chat: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    opened = chat("llama")

    def fail(inputs: Any) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    _failing(opened.load(), monkeypatch, fail)
    with pytest.raises(AdapterError, match="GPU is lost"):
        answers(opened, [request(str(i), "Is it?") for i in range(9)])


def test_late_request_holds_back_no_answer(chat: Callable[..., Any]) -> None:
    """The third request comes only after both answers were received: with a batch that waits for it, this would never end."""
    received = threading.Event()

    def requests() -> Iterator[Request]:
        yield request("1", "Is it?")
        yield request("2", "Is it one?")
        assert received.wait(60)
        yield request("3", "Is it?")

    stream = chat("llama", batch_size=8).generate(requests())
    assert {next(stream).id, next(stream).id} == {"1", "2"}
    received.set()
    assert [response.id for response in stream] == ["3"]


def test_close_in_the_middle_of_a_batch_ends_it_and_the_adapter_can_go_on(
    chat: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = chat("llama", batch_size=2)
    running = threading.Event()
    sizes = _failing(opened.load(), monkeypatch, lambda inputs: running.set())
    got: list[Response] = []
    stream = opened.generate(request(str(i), "Is it?", max_tokens=4000) for i in range(4))
    consumer = threading.Thread(target=lambda: got.extend(stream), daemon=True)
    consumer.start()
    assert running.wait(60)
    opened.close()
    consumer.join(60)
    assert not consumer.is_alive()
    assert got == []
    assert len(sizes) < 3000
    assert not [
        thread for thread in threading.enumerate() if thread.name.startswith("nova-bench-transformers")
    ]
    assert answers(opened, [request("again", "Is it?")])["again"].finish == "length"


def test_options_that_do_not_fit_are_refused(chat: Callable[..., Any]) -> None:
    import torch

    with pytest.raises(UsageError, match="batch_size"):
        chat("llama", batch_size=0)
    with pytest.raises(UsageError, match="dtype='fp8'"):
        answers(chat("llama", dtype="fp8"), [request("1", "Is it?")])
    with pytest.raises(UsageError, match="device_map='gpu'"):
        answers(chat("llama", device_map="gpu"), [request("1", "Is it?")])
    with pytest.raises(AdapterError, match="no_such_attention"):
        answers(chat("llama", attn_implementation="no_such_attention"), [request("1", "Is it?")])
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA device"):
            answers(chat("llama", device_map="cuda"), [request("1", "Is it?")])


def test_attention_implementation_and_precision_are_passed_on(chat: Callable[..., Any]) -> None:
    import torch

    loaded = chat("llama", attn_implementation="eager", dtype="bfloat16").load()
    assert loaded.model.dtype == torch.bfloat16
    assert loaded.model.config._attn_implementation == "eager"


def test_nothing_is_printed(chat: Callable[..., Any], capfd: pytest.CaptureFixture[str]) -> None:
    answers(chat("qwen2_vl"), varied(3))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
