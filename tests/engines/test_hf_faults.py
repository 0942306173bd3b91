"""The transformers backend where something does not fit: prompts, templates, memory, options; and its end, at any moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asked import answers, picture, request, texts, varied

from nova_bench.errors import AdapterError, UsageError
from nova_bench.types import Image, Request, Response

pytestmark = [pytest.mark.engine, pytest.mark.real("transformers with tiny checkpoints of five families")]


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
