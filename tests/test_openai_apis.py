"""Chat Completions and Responses: what both do, each with the vendor's own client against a server on this machine."""

from __future__ import annotations

import base64
import io
import json
import math
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openai
import PIL.Image
import pytest
from loopback import STATUS_FAULTS, Plan, answer_to, images_of, serve
from openai.types.chat import ChatCompletion
from openai.types.responses import Response as ApiResponse
from running import cell, make_set, settings, truth

import nova_bench as nb
from nova_bench.backends import OpenAIChat, OpenAIResponses, retry
from nova_bench.errors import AdapterError, UsageError
from nova_bench.images import Image
from nova_bench.runlog import record_of, response_of
from nova_bench.types import GenParams, Request, Response, Usage

pytestmark = pytest.mark.real("openai on a loopback server")

NOWHERE = "http://127.0.0.1:1/v1"
STRICT = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
LOOSE = {"type": "object", "properties": {"a": {"type": "string"}}}

Backend = type[OpenAIChat] | type[OpenAIResponses]
both = pytest.mark.parametrize("backend", [OpenAIChat, OpenAIResponses])


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(retry, "LONGEST_WAIT", 0.2)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789abcdef")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    left = [thread for thread in threading.enumerate() if thread.name.startswith("nova-bench")]
    for thread in left:
        thread.join(10)
    assert [thread.name for thread in left if thread.is_alive()] == []


def ask(n: int = 1, **fields: Any) -> list[Request]:
    return [Request(str(i), str(i), 0, (f"question {i}",), **fields) for i in range(n)]


def answers(
    backend: Backend, plan: Plan, requests: list[Request], **options: Any
) -> tuple[list[Response], Any]:
    with serve(plan) as (url, server):
        responses = list(backend(model="m", base_url=url, **options).generate(requests))
        return sorted(responses, key=lambda response: int(response.id)), server.stats


def bodies(stats: Any) -> list[dict[str, Any]]:
    return [json.loads(body) for body in stats.bodies]


def picture(size: tuple[int, int]) -> Image:
    buffer = io.BytesIO()
    PIL.Image.new("L", size, 9).save(buffer, "PNG")
    return Image(data=buffer.getvalue())


# What is sent, against what the vendor's client sends for the same call.


def test_bodies_are_what_the_vendors_client_sends() -> None:
    image = picture((4, 3))
    url = f"data:image/png;base64,{base64.b64encode(image.read()).decode()}"
    params = GenParams(max_tokens=9, temperature=0.0, seed=3, stop=("X",), json_schema=STRICT)
    outputs = frozenset({"text", "label_probs"})
    request = Request(
        "1", "1", 0, ('say "é"', image), system="Be brief.", params=params, outputs=outputs, labels=("A", "B")
    )
    schema = {"name": "answer", "strict": True, "schema": STRICT}
    with serve() as (address, server), openai.OpenAI(api_key="k", base_url=address) as client:
        client.chat.completions.create(
            model="m",
            max_tokens=9,
            temperature=0.0,
            seed=3,
            stop=["X"],
            logprobs=True,
            top_logprobs=20,
            reasoning_effort="low",
            response_format={"type": "json_schema", "json_schema": schema},  # type: ignore[arg-type,typeddict-item]
            messages=[
                {"role": "system", "content": "Be brief."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": 'say "é"'},
                        {"type": "image_url", "image_url": {"url": url}},
                    ],
                },
            ],
        )
        client.responses.create(
            model="m",
            store=False,
            instructions="Be brief.",
            max_output_tokens=9,
            temperature=0.0,
            top_logprobs=20,
            include=["message.output_text.logprobs"],
            reasoning={"effort": "low", "summary": "auto"},
            text={"format": {"type": "json_schema", **schema}},  # type: ignore[typeddict-item]
            input=[
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": 'say "é"'},
                        {"type": "input_image", "detail": "auto", "image_url": url},
                    ],
                }
            ],
        )
        theirs = bodies(server.stats)
    chat = OpenAIChat(model="m", base_url=NOWHERE, reasoning_effort="low").body(request)
    responses = OpenAIResponses(
        model="m", base_url=NOWHERE, reasoning_effort="low", reasoning_summary="auto"
    ).body(request)
    assert [json.loads(chat.json()), json.loads(responses.json())] == theirs
    assert (chat.dropped, responses.dropped) == ((), ("seed", "stop"))


def test_what_the_server_answers_is_what_the_vendors_types_say() -> None:
    plan = Plan(reasoning="I look.", probs_of=lambda body: {"A": 0.6, "B": 0.4}, answer_of=lambda body: "A")
    with serve(plan) as (url, _), openai.OpenAI(api_key="k", base_url=url) as client:
        completion = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "?"}], logprobs=True, top_logprobs=2
        )
        response = client.responses.create(
            model="m", input="?", include=["message.output_text.logprobs"], top_logprobs=2, store=False
        )
    found = ChatCompletion.model_validate_json(completion.model_dump_json(), strict=True)
    assert found.choices[0].logprobs is not None
    assert found.choices[0].logprobs.content is not None
    assert found.choices[0].logprobs.content[0].top_logprobs[1].logprob == math.log(0.4)
    again = ApiResponse.model_validate_json(response.model_dump_json(exclude_unset=True), strict=True)
    assert again.output_text == response.output_text == "A"
    assert [item.type for item in again.output] == ["reasoning", "message"]
    assert again.store is False


@pytest.mark.parametrize("fault", STATUS_FAULTS)
def test_faults_are_the_vendors_exceptions(fault: str) -> None:
    kinds: Mapping[int, type[openai.APIStatusError]] = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
    }
    status, error = STATUS_FAULTS[fault]
    expected = kinds.get(status, openai.InternalServerError if status >= 500 else openai.APIStatusError)
    with (
        serve(Plan(first=(fault,))) as (url, _),
        openai.OpenAI(api_key="k", base_url=url, max_retries=0) as client,
        pytest.raises(expected) as raised,
    ):
        client.responses.create(model="m", input="?")
    assert raised.value.status_code == status
    assert raised.value.code == (None if error.get("code") is None else str(error["code"]))


# What comes back.


@both
def test_answer_reasoning_and_tokens_come_back_apart(backend: Backend) -> None:
    usage = {
        "prompt_tokens": 11,
        "completion_tokens": 7,
        "total_tokens": 18,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    (response,), stats = answers(backend, Plan(reasoning="I look at it.", usage=usage), ask())
    assert response.text == answer_to(bodies(stats)[0])
    assert (response.finish, response.error, response.dropped) == ("stop", None, ())
    assert response.reasoning == "I look at it."
    assert response.model == "m-2026-01-01"
    assert response.usage == Usage(input_tokens=11, output_tokens=7, reasoning_tokens=3, cached_tokens=4)
    assert response.seconds is not None
    assert response.seconds > 0


def test_responses_keep_nothing_at_the_vendor() -> None:
    _, stats = answers(OpenAIResponses, Plan(), ask(3))
    assert [body["store"] for body in bodies(stats)] == [False] * 3
    assert not any("previous_response_id" in body or "conversation" in body for body in bodies(stats))


def message(*parts: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": parts,
        **more,
    }


TEXT = {"type": "output_text", "text": "yes", "annotations": []}


@pytest.mark.parametrize(
    ("fields", "finish", "text", "reasoning"),
    [
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": []},
            "length",
            "",
            None,
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "length",
            None,
            None,
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "output": []},
            "filter",
            "",
            None,
        ),
        ({"output": [message({"type": "refusal", "refusal": "I cannot."})]}, "stop", "I cannot.", None),
        (
            {"output": [message({**TEXT, "text": "I will look."}, phase="commentary"), message(TEXT, TEXT)]},
            "stop",
            "yesyes",
            "I will look.",
        ),
        (
            {
                "output": [
                    {
                        "type": "reasoning",
                        "id": "r",
                        "summary": [],
                        "content": [{"type": "reasoning_text", "text": "hm"}],
                    }
                ]
            },
            "stop",
            "",
            "hm",
        ),
        ({"status": None, "output": [{"type": "web_search_call"}, message(TEXT)]}, "stop", "yes", None),
        ({"status": "failed", "error": {"code": "image_too_large", "message": "x"}}, "rejected", None, None),
        ({"status": "failed", "error": {"code": "bio_policy", "message": "x"}}, "filter", None, None),
        ({"status": "failed", "error": {"code": "invalid_prompt", "message": "x"}}, "filter", None, None),
        ({"status": "failed", "error": {"code": "empty_image_file", "message": "x"}}, "error", None, None),
    ],
)
def test_every_way_in_which_responses_end(
    fields: Mapping[str, Any], finish: str, text: str | None, reasoning: str | None
) -> None:
    plan = Plan(response=fields, answer_of=lambda body: "whole")
    (response,), stats = answers(OpenAIResponses, plan, ask())
    expected = "whole" if text is None and finish == "length" else text
    assert (response.finish, response.text, response.reasoning) == (finish, expected, reasoning)
    assert stats.calls == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "failed", "error": {"code": "server_error", "message": "x"}},
        {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "x"}},
        {"status": "cancelled"},
        {"status": "in_progress", "output": []},
        {"output": []},
        {"output": None},
        {"object": "error", "error": {"message": "Provider returned error"}, "status": None},
    ],
)
def test_responses_without_an_answer_are_asked_again(fields: Mapping[str, Any]) -> None:
    (response,), stats = answers(OpenAIResponses, Plan(response=fields), ask(), deadline=0.4)
    assert response.finish == "error"
    assert stats.calls > 1


@both
@pytest.mark.parametrize(
    ("fault", "finish"),
    [
        ("context", "rejected"),
        ("flat-vllm", "rejected"),
        ("context-llama.cpp", "rejected"),
        ("image", "rejected"),
        ("413", "rejected"),
        ("filtered", "filter"),
        ("flagged", "filter"),
        ("tier", "error"),
        ("429", "stop"),
        ("reset", "stop"),
        ("cut", "stop"),
        ("html", "stop"),
    ],
)
def test_faults_of_both_apis(backend: Backend, fault: str, finish: str) -> None:
    (response,), stats = answers(backend, Plan(first=(fault,)), ask())
    assert response.finish == finish, response.error
    assert stats.calls == (2 if finish == "stop" else 1)


# Parameters that a model refuses.

ALL = GenParams(max_tokens=9, temperature=0.0, seed=3)


@both
@pytest.mark.parametrize("code", ["unsupported_parameter", "unsupported_value"])
def test_refused_temperature_is_dropped_once_for_the_run(backend: Backend, code: str) -> None:
    seed = ("seed",) if backend is OpenAIResponses else ()
    with serve(Plan(refuses={"temperature": code}, latency=0.005)) as (url, server):
        model = backend(model="m", base_url=url, concurrency=4)
        responses = list(model.generate(ask(40, params=ALL)))
        assert {response.finish for response in responses} == {"stop"}
        assert {response.dropped for response in responses} == {(*seed, "temperature")}
        assert 1 <= server.stats.faults["refused"] <= 4  # only what was in flight already
        assert server.stats.calls == 40 + server.stats.faults["refused"]
        before = server.stats.faults["refused"]
        assert list(model.generate(ask(3, params=ALL)))
        assert server.stats.faults["refused"] == before
        assert {response.dropped for response in model.generate(ask(3))} == {()}  # not asked for, not dropped
    answered = [body for body in bodies(server.stats) if "temperature" not in body]
    assert all("max_tokens" in body or "max_output_tokens" in body for body in answered[:20])


def test_limit_of_tokens_goes_under_the_name_that_the_server_takes() -> None:
    plan = Plan(refuses={"max_tokens": "unsupported_parameter", "temperature": "unsupported_value"})
    responses, stats = answers(OpenAIChat, plan, ask(10, params=ALL), concurrency=1)
    assert {response.dropped for response in responses} == {("temperature",)}
    assert stats.faults["refused"] == 2
    assert all(body["max_completion_tokens"] == 9 for body in bodies(stats)[2:])
    plan = Plan(refuses={"max_completion_tokens": "unknown_parameter"})
    responses, stats = answers(OpenAIChat, plan, ask(params=ALL), max_tokens_field="max_completion_tokens")
    assert [response.dropped for response in responses] == [()]
    assert bodies(stats)[1]["max_tokens"] == 9
    plan = Plan(refuses=dict.fromkeys(("max_completion_tokens", "max_tokens"), "unsupported_parameter"))
    responses, stats = answers(OpenAIChat, plan, ask(params=ALL))
    assert [response.dropped for response in responses] == [("max_tokens",)]


def test_dropped_parameters_are_named_when_a_request_is_rejected_too() -> None:
    plan = Plan(refuses={"seed": "unsupported_parameter"}, first=(None, "context"))
    (response,), _ = answers(OpenAIChat, plan, ask(params=ALL))
    assert (response.finish, response.dropped) == ("rejected", ("seed",))


@both
def test_an_option_of_the_user_is_not_dropped(backend: Backend) -> None:
    name = "reasoning_effort" if backend is OpenAIChat else "reasoning"
    plan = Plan(refuses={name: "unsupported_parameter"})
    with pytest.raises(AdapterError, match=f"'{name}' is not supported"):
        answers(backend, plan, ask(50), reasoning_effort="low", concurrency=1)


# Schemas.


@both
def test_refused_schema_ends_the_run_with_its_remedy(backend: Backend) -> None:
    requests = ask(50, params=GenParams(json_schema=STRICT))
    with pytest.raises(AdapterError, match="-o json_schema=false"):
        answers(backend, Plan(faults={"schema": 1.0}), requests, concurrency=1)
    responses, stats = answers(backend, Plan(), requests[:2], json_schema=False)
    assert {response.dropped for response in responses} == {("json_schema",)}
    assert all("response_format" not in body and "text" not in body for body in bodies(stats))


@both
def test_schema_that_is_not_strict_goes_out_as_it_is(backend: Backend) -> None:
    (response,), stats = answers(backend, Plan(), ask(params=GenParams(json_schema=LOOSE)))
    (body,) = bodies(stats)
    sent = body["response_format"]["json_schema"] if backend is OpenAIChat else body["text"]["format"]
    assert (sent["strict"], sent["schema"]) == (False, LOOSE)
    assert response.dropped == ()  # a server of one's own enforces it all the same
    vendor = backend(model="m", base_url="https://api.openai.com/v1")
    assert vendor.body(ask(params=GenParams(json_schema=LOOSE))[0]).dropped == ("json_schema.strict",)
    assert vendor.body(ask(params=GenParams(json_schema=STRICT))[0]).dropped == ()


# Probabilities of labels.

WANTED: Mapping[str, Any] = {"outputs": frozenset({"text", "label_probs"}), "labels": ("A", "B", "C")}


@both
def test_label_probs_are_those_of_the_answers_first_token(backend: Backend) -> None:
    planted = {"B": 0.5, "A": 0.2, " A": 0.1, "C": 0.05, "The": 0.1}
    plan = Plan(probs_of=lambda body: planted, answer_of=lambda body: "B")
    (response,), _ = answers(backend, plan, ask(**WANTED))
    assert (response.text, response.dropped) == ("B", ())
    probs = response.arrays["label_probs"]
    assert probs.dtype == np.float64
    assert probs == pytest.approx(np.array([0.3, 0.5, 0.05]) / 0.85)
    again = response_of(json.loads(json.dumps(record_of("t", "0", "x", response))))
    assert np.array_equal(
        again.arrays["label_probs"], probs
    )  # what was paid for is in the log, to the last bit


@both
@pytest.mark.parametrize(
    "plan",
    [
        Plan(probs_of=lambda body: {"The": 0.9, "A": 0.1}),
        Plan(probs_of=lambda body: {}),
        Plan(refuses={"top_logprobs": "logprobs"}),
        Plan(refuses={"top_logprobs": "unsupported_parameter"}),
    ],
    ids=["no label first", "none given", "not allowed", "unsupported"],
)
def test_label_probs_that_cannot_be_told_are_dropped(backend: Backend, plan: Plan) -> None:
    responses, _ = answers(backend, plan, ask(3, **WANTED))
    assert {response.finish for response in responses} == {"stop"}
    assert all(response.dropped == ("label_probs",) and not response.arrays for response in responses)


# Pictures that were scaled down.


@both
def test_sizes_as_sent_are_recorded_where_a_picture_was_scaled(backend: Backend) -> None:
    small, large = picture((20, 10)), picture((80, 40))
    requests = [
        Request("0", "0", 0, ("?", small)),
        Request("1", "1", 0, ("?", small, large, large)),
    ]
    responses, stats = answers(backend, Plan(), requests, max_pixels=800, concurrency=1)
    assert [response.image_sizes for response in responses] == [(), ((20, 10), (40, 20), (40, 20))]
    assert images_of(bodies(stats)[0]) == [("image/png", small.read())]
    sent = [PIL.Image.open(io.BytesIO(data)).size for _, data in images_of(bodies(stats)[1])]
    assert sent == [(20, 10), (40, 20), (40, 20)]


def seen_box(body: Mapping[str, Any]) -> str:
    """Answer with the bright box of the picture as it arrived, px."""
    ((_, data),) = images_of(body)
    with PIL.Image.open(io.BytesIO(data)) as image:
        assert image.size == (24, 24)
        ys, xs = np.nonzero(np.asarray(image.convert("L")) > 127)
    box = [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]
    return json.dumps([{"bbox_2d": box, "label": "abnormality"}])


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_boxes_in_px_of_a_scaled_picture_come_back_to_the_original(tmp_path: Path, api: str) -> None:
    data = make_set(tmp_path / "set", [1, 2, 1])
    for name, ((x0, y0, x1, y1),) in truth(data).items():
        pixels = np.zeros((48, 48), dtype=np.uint8)
        pixels[int(y0) : int(y1), int(x0) : int(x1)] = 255
        PIL.Image.fromarray(pixels).save(data / "images" / name)
    with serve(Plan(answer_of=seen_box)) as (url, _):
        options = {"base_url": url, "max_pixels": "576", "boxes": "xyxy/px", "api": api}
        done = nb.evaluate(
            "nova_localization",
            "openai:m",
            options=options,
            data=str(data),
            out=tmp_path / "out",
            settings=settings(tmp_path),
        )
    assert done.is_complete
    assert cell(done.report(), "ap50")["value"] == pytest.approx(1.0)
    records = [json.loads(line) for line in (tmp_path / "out" / "responses.jsonl").read_text().splitlines()]
    assert [record["image_sizes"] for record in records] == [[[24, 24]]] * 4


# Options.


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"api": "completions"}, "expected chat or responses"),
        ({"reasoning_summary": "auto"}, "api=responses"),
        ({"api": "responses", "reasoning_summary": "long"}, "expected auto, concise, detailed"),
        ({"max_pixels": "-5"}, "max_pixels=-5"),
        ({"json_schema": "maybe"}, "expected true or false"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, str], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        nb.load_model("openai:m", {"base_url": NOWHERE, **options})


def test_a_server_without_responses_names_the_remedy() -> None:
    with pytest.raises(AdapterError, match="-o api=chat"):
        answers(OpenAIResponses, Plan(faults={"404": 1.0}), ask(20))
