"""vLLM's real engine through our adapter, with a tiny checkpoint of random weights: the path is what is tested, not the answers."""

from __future__ import annotations

import io
import json
import sys
import threading
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from nova_bench.errors import AdapterError, UsageError
from nova_bench.images import Image
from nova_bench.types import GenParams, Request

pytestmark = [
    pytest.mark.engine,
    pytest.mark.real("vllm in this process"),
    pytest.mark.filterwarnings("ignore"),  # of torch and its kind, about themselves
]

OPTIONS = {
    "dtype": "float32",
    "max_model_len": "2048",
    "enforce_eager": "true",
    "max_num_seqs": "16",
    "limit_mm_per_prompt": '{"image": 3}',
}
SCHEMA = {
    "type": "object",
    "properties": {
        "boxes": {
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": 1000},
            "maxItems": 4,
        },
        "label": {"enum": ["tumour", "bleeding"]},
    },
    "required": ["boxes", "label"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    pytest.importorskip("vllm")
    sys.path.insert(0, str(Path(__file__).parent))
    from tiny_models import make

    return make("qwen2_vl", tmp_path_factory.mktemp("models") / "qwen2_vl")


@pytest.fixture(scope="module")
def model(checkpoint):
    from nova_bench.catalog import load_model

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }.items():
            patch.setenv(name, value)
        loaded = load_model(f"vllm:{checkpoint}", OPTIONS)
        yield loaded
        loaded.close()


def picture(seed: int = 0, size: tuple[int, int] = (200, 100)) -> Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0]), dtype=np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PNG")
    return Image(data=buffer.getvalue())


def ask(model, *parts, id="1", **fields):
    params = fields.pop("params", GenParams(max_tokens=24))
    (response,) = model.adapter.generate([Request(id, id, 0, parts, params=params, **fields)])
    return response


def test_answers_depend_on_image_order_text_and_system_prompt(model):
    a, b = picture(1), picture(2)
    answers = {
        "a": ask(model, "Is it?", a),
        "b": ask(model, "Is it?", b),
        "ab": ask(model, "Is it?", a, b),
        "ba": ask(model, "Is it?", b, a),
        "before": ask(model, a, "Is it?", b),
        "system": ask(model, "Is it?", a, system="Be brief."),
        "text": ask(model, "Is it?"),
    }
    assert all(answer.finish in ("stop", "length") and answer.error is None for answer in answers.values())
    assert len({answer.text for answer in answers.values()}) == len(answers)
    # The same again, greedy without a temperature: the same text, and from the cache's point of view the same pictures.
    assert ask(model, "Is it?", a, b).text == answers["ab"].text
    assert (
        answers["ab"].usage.input_tokens
        > answers["a"].usage.input_tokens
        > answers["text"].usage.input_tokens
    )
    assert answers["text"].model == "qwen2_vl"


def test_answers_are_those_of_the_engine_asked_directly(model):
    """The prompt that we make is the checkpoint's own chat format around the same tokens."""
    from vllm import SamplingParams

    process = model.adapter._process
    text = (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nIs it?<|vision_start|><|image_pad|><|vision_end|>"
        "<|im_end|>\n<|im_start|>assistant\n"
    )
    pixels = picture(5)

    async def directly():
        prompt = {"prompt": text, "multi_modal_data": {"image": pixels.pil().convert("RGB")}}
        async for output in process.engine.generate(
            prompt,
            SamplingParams(temperature=0, max_tokens=24),
            "direct",  # an image that no other test renders
        ):
            last = output
        return last

    output = process.submit(directly()).result(60)
    response = ask(model, "Is it?", pixels, system="Be brief.")
    assert response.text == output.outputs[0].text
    assert response.usage.input_tokens == len(output.prompt_token_ids)
    assert response.usage.output_tokens == len(output.outputs[0].token_ids)


def test_answers_leave_as_they_finish_and_requests_are_fed_meanwhile(model):
    """A request that comes late is answered while a long one is still going on."""
    answered = threading.Event()

    def requests():
        yield Request(
            "long", "long", 0, ("Is it?",), params=GenParams(max_tokens=1500, temperature=1.0, seed=4)
        )
        for i in range(3):
            yield Request(f"short{i}", f"short{i}", 0, ("Is it?", picture(i)), params=GenParams(max_tokens=2))
        assert answered.wait(60)  # nothing more is asked before an answer arrived
        yield Request("late", "late", 0, ("Is it?",), params=GenParams(max_tokens=2))

    order = []
    for response in model.adapter.generate(requests()):
        order.append(response.id)
        answered.set()
    assert sorted(order) == ["late", "long", "short0", "short1", "short2"]
    assert order[-1] == "long"


def test_every_answer_of_a_random_model_parses_with_a_schema(model):
    requests = [
        Request(
            str(i),
            str(i),
            0,
            ("Mark it.", picture(i)),
            params=GenParams(max_tokens=200, temperature=1.0, seed=i, json_schema=SCHEMA),
        )
        for i in range(24)
    ]
    answers = [json.loads(response.text) for response in model.adapter.generate(requests)]
    assert len(answers) == 24
    assert all(set(answer) == {"boxes", "label"} and len(answer["boxes"]) <= 4 for answer in answers)
    # Greedy, it would fill the answer with white space.
    assert set(
        json.loads(ask(model, "Mark it.", params=GenParams(max_tokens=200, json_schema=SCHEMA)).text)
    ) == {"boxes", "label"}


def test_seed_temperature_stop_and_limit_are_honoured(model):
    def sampled(seed):
        return ask(model, "Is it?", params=GenParams(max_tokens=16, temperature=1.0, seed=seed)).text

    assert sampled(3) == sampled(3) != sampled(4)
    whole = ask(model, "Is it?", params=GenParams(max_tokens=24))
    assert whole.finish == "length"
    assert whole.usage.output_tokens == 24
    stop = whole.text[5:8]
    cut = ask(model, "Is it?", params=GenParams(max_tokens=24, stop=(stop,)))
    assert cut.finish == "stop"
    assert cut.text == whole.text[: whole.text.index(stop)]


def test_label_probs_are_the_model_s_own(model):
    import math

    from vllm import SamplingParams

    process = model.adapter._process
    text = "<|im_start|>user\nIs it?<|im_end|>\n<|im_start|>assistant\n"

    async def directly():
        params = SamplingParams(temperature=0, max_tokens=1, logprobs=20)
        async for output in process.engine.generate({"prompt": text}, params, "direct probs"):
            last = output
        return last.outputs[0].logprobs[0]

    listed = sorted(process.submit(directly()).result(60).values(), key=lambda entry: -entry.logprob)
    names = [entry.decoded_token for entry in listed if entry.decoded_token.strip()]
    distinct = list(dict.fromkeys(name.strip() for name in names))
    response = ask(
        model,
        "Is it?",
        params=GenParams(max_tokens=1),
        outputs=frozenset({"text", "label_probs"}),
        labels=tuple(distinct),
    )
    # Random weights spread over all tokens: the 20 likeliest hold too little for probabilities, and that is said.
    mass = sum(math.exp(entry.logprob) for entry in listed)
    if mass < 0.5:
        assert response.dropped == ("label_probs",)
        assert response.arrays == {}
    from nova_bench.backends.label_probs import label_probs
    from nova_bench.backends.vllm_engine import _positions

    class Made:
        token_ids = (7,)
        logprobs = ({7: listed[0], 8: listed[1]},)

    (position,) = _positions(Made)
    assert position["token"] == listed[0].decoded_token
    assert [entry["logprob"] for entry in position["top_logprobs"]] == [listed[0].logprob, listed[1].logprob]
    assert label_probs([position], ["yes", "no"]) is None


def test_what_the_model_cannot_take_is_rejected_and_ends_nothing(model):
    requests = [
        Request("context", "context", 0, ("Is it a brain? " * 700,)),
        Request("images", "images", 0, tuple(picture(i) for i in range(4))),
        Request("shape", "shape", 0, ("Is it?", picture(1, (600, 2)))),
        Request("schema", "schema", 0, ("Is it?",), params=GenParams(json_schema={"type": "objekt"})),
        Request("unreadable", "unreadable", 0, ("Is it?", Image(data=b"no picture"))),
        Request("fine", "fine", 0, ("Is it?", picture(1)), params=GenParams(max_tokens=3)),
    ]
    responses = {response.id: response for response in model.adapter.generate(requests)}
    assert {id: response.finish for id, response in responses.items()} == {
        "context": "rejected",
        "images": "rejected",
        "shape": "rejected",
        "schema": "error",
        "unreadable": "error",
        "fine": "length",
    }
    assert "2048" in responses["context"].error
    assert "At most 3" in responses["images"].error
    assert "aspect ratio" in responses["shape"].error


def test_a_picture_whose_first_request_was_refused_still_reaches_the_engine(model):
    schema = {"type": "objekt"}
    pixels = picture(77)
    assert ask(model, "Is it?", pixels, params=GenParams(json_schema=schema)).finish == "error"
    assert ask(model, "Is it?", pixels).finish == "length"


def test_without_a_limit_an_answer_may_fill_the_context(model):
    response = ask(model, "Is it?", params=GenParams(temperature=1.0, seed=1, stop=("\x00never",)))
    assert response.usage.output_tokens > 16  # vLLM's own default


def test_image_sizes_are_those_that_the_model_sees(model):
    assert ask(model, "Is it?", picture(1, (196, 112))).image_sizes == ()
    (seen,) = ask(model, "Is it?", picture(1, (800, 600))).image_sizes
    assert seen[0] % 28 == seen[1] % 28 == 0
    # One token a 28 x 28 field: what vLLM counts is what we say.
    plain = ask(model, "Is it?", picture(1, (28 * 3, 28 * 3)))
    large = ask(model, "Is it?", picture(1, (800, 600)))
    assert large.usage.input_tokens - plain.usage.input_tokens == seen[0] * seen[1] // 28**2 - 9


def test_requests_that_share_a_prefix_use_the_cache(model):
    prefix = "Answer with JSON: a list of boxes with labels, or an empty list. " * 12
    first = ask(model, prefix + "Is it a brain?")
    second = ask(model, prefix + "Or is it not?")
    assert first.usage.cached_tokens == 0
    assert second.usage.cached_tokens > second.usage.input_tokens // 2


def test_concurrency_follows_what_the_engine_runs_at_a_time(model):
    assert model.adapter.concurrency == 24
    assert model.options["max_num_seqs"] == "16"
    assert "max_num_seqs" not in model.identity  # how many run at a time is nobody's answer
    assert model.identity["max_model_len"] == "2048"


def test_a_stream_that_is_closed_leaves_the_engine_usable(model):
    def requests():
        for i in range(40):
            yield Request(
                str(i), str(i), 0, ("Is it?",), params=GenParams(max_tokens=1000, temperature=1.0, seed=i)
            )

    stream = model.adapter.generate(requests())
    next(stream)
    stream.close()
    assert ask(model, "Is it?", params=GenParams(max_tokens=2)).usage.output_tokens == 2
    # What was cancelled no longer occupies the engine: 39 answers of 1,000 tokens would take far longer.
    assert not model.adapter._process.engine.output_processor.request_states


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("tensor_paralel_size", "2", "did you mean 'tensor_parallel_size'"),
        ("max_num_seqs", "many", "vLLM does not take this value"),
        ("enforce_eager", "maybe", "expected true or false"),
        ("dtype", "float12", "expected one of"),
        ("limit_mm_per_prompt", "{image}", "vLLM does not take this value"),
    ],
)
def test_options_are_checked_by_the_engine_s_own_class(checkpoint, option, value, says):
    from nova_bench.backends.vllm_arguments import engine_arguments

    with pytest.raises(UsageError, match=says):
        engine_arguments({option: value})


def test_options_are_converted_as_vllm_s_command_line_does(checkpoint):
    from nova_bench.backends.vllm_arguments import engine_arguments

    given = {
        "max-model-len": "2k",
        "max_num_batched_tokens": "4K",
        "gpu_memory_utilization": "0.8",
        "enable_prefix_caching": "false",
        "mm_processor_kwargs": '{"max_pixels": 1000}',
        "cudagraph_capture_sizes": "1,2,4",
        "quantization": "fp8",
        "tensor_parallel_size": "2",
    }
    assert engine_arguments(given) == {
        "max_model_len": 2000,
        "max_num_batched_tokens": 4096,
        "gpu_memory_utilization": 0.8,
        "enable_prefix_caching": False,
        "mm_processor_kwargs": {"max_pixels": 1000},
        "cudagraph_capture_sizes": [1, 2, 4],
        "quantization": "fp8",
        "tensor_parallel_size": 2,
    }


def test_a_checkpoint_that_does_not_load_ends_with_the_engine_s_last_words(checkpoint, tmp_path, monkeypatch):
    from nova_bench.catalog import load_model

    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["architectures"] = ["NoSuchModelForCausalLM"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(AdapterError, match="NoSuchModelForCausalLM"):
        load_model(f"vllm:{tmp_path}", OPTIONS)
