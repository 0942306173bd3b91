"""The OpenAI backend with the vendor's own client, against a server on this machine that fails in every way we know."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_bench.backends import hosted_chat, retry
from nova_bench.backends.openai_chat import OpenAIChat
from nova_bench.errors import AdapterError, UsageError
from nova_bench.images import Image
from nova_bench.types import GenParams, Request, Response, Usage

pytestmark = pytest.mark.real("openai on a loopback server")

ROOT = Path(__file__).resolve().parents[1]
KEY = "sk-secret-0123456789abcdef"
NOWHERE = "http://127.0.0.1:1/v1"
TRANSIENT = (
    "408",
    "429",
    "429-date",
    "500",
    "502",
    "503",
    "504",
    "529",
    "reset",
    "cut",
    "empty",
    "html",
    "error-200",
    "not-json",
)


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


loopback = _load("loopback", ROOT / "tests" / "loopback.py")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(retry, "LONGEST_WAIT", 0.2)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    left = [thread for thread in threading.enumerate() if thread.name.startswith("nova-bench")]
    for thread in left:
        thread.join(10)
    assert [thread.name for thread in left if thread.is_alive()] == []


def ask(n: int, **fields: Any) -> list[Request]:
    return [Request(str(i), str(i), 0, (f"question {i}",), **fields) for i in range(n)]


def answers(plan: Any, requests: list[Request], **options: Any) -> tuple[dict[str, Response], Any]:
    with loopback.serve(plan) as (url, server):
        chat = OpenAIChat(model="m", base_url=url, **options)
        responses = {response.id: response for response in chat.generate(requests)}
        return responses, server.stats


def picture(mode: str, form: str, size: tuple[int, int] = (40, 30), **options: Any) -> Image:
    depth = {"L": 1, "RGB": 3, "CMYK": 4, "I;16": 2}[mode]
    data = random.Random(mode + form).randbytes(size[0] * size[1] * depth)
    buffer = io.BytesIO()
    PIL.Image.frombytes(mode, size, data).save(buffer, form, **options)
    return Image(data=buffer.getvalue())


# What is sent.


def test_body_is_the_json_of_the_api() -> None:
    png, jpeg = picture("L", "PNG"), picture("RGB", "JPEG")
    schema = {
        "type": "object",
        "properties": {"boxes": {"type": "array"}},
        "required": ["boxes"],
        "additionalProperties": False,
    }
    params = GenParams(max_tokens=300, temperature=0.0, seed=7, stop=("END", '"'), json_schema=schema)
    request = Request(
        "1", "1", 0, ('Find the "lesion"\n\\ é 脳', png, "and", jpeg), system="Be brief.", params=params
    )
    body = OpenAIChat(model="a/model", base_url=NOWHERE).body(request).json()
    data = [loopback.base64.b64encode(image.read()).decode() for image in (png, jpeg)]
    expected = {
        "model": "a/model",
        "max_tokens": 300,
        "temperature": 0.0,
        "seed": 7,
        "stop": ["END", '"'],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": schema},
        },
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": 'Find the "lesion"\n\\ é 脳'},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data[0]}"}},
                    {"type": "text", "text": "and"},
                    {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data[1]}"}},
                ],
            },
        ],
    }
    assert body == json.dumps(expected).encode()


@given(text=st.text(st.characters()), system=st.none() | st.text(st.characters()), model=st.text(min_size=1))
def test_body_is_valid_json_for_any_text(text: str, system: str | None, model: str) -> None:
    body = OpenAIChat(model=model, base_url=NOWHERE).body(Request("1", "1", 0, (text,), system=system)).json()
    messages = [{"role": "user", "content": text}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    assert json.loads(body) == {"model": model, "messages": messages}


def test_max_tokens_field_is_renamed_on_demand() -> None:
    chat = OpenAIChat(model="m", base_url=NOWHERE, max_tokens_field="max_completion_tokens")
    body = json.loads(chat.body(Request("1", "1", 0, ("?",), params=GenParams(max_tokens=5))).json())
    assert body["max_completion_tokens"] == 5
    assert "max_tokens" not in body


def test_images_arrive_bit_identical_where_the_api_takes_their_format() -> None:
    stored = [picture("L", "PNG"), picture("RGB", "JPEG"), picture("RGB", "WEBP", lossless=True)]
    request = Request("1", "1", 0, ("?", *stored))
    responses, stats = answers(loopback.Plan(), [request])
    assert responses["1"].finish == "stop"
    media_types = ("image/png", "image/jpeg", "image/webp")
    assert loopback.images_of(json.loads(stats.bodies[0])) == [
        (media_type, image.read()) for media_type, image in zip(media_types, stored, strict=True)
    ]


@pytest.mark.parametrize(("mode", "form"), [("I;16", "PNG"), ("CMYK", "JPEG")])
def test_images_that_the_api_does_not_take_go_as_8_bit_png(mode: str, form: str) -> None:
    image = picture(mode, form)
    _, stats = answers(loopback.Plan(), [Request("1", "1", 0, ("?", image))])
    ((media_type, data),) = loopback.images_of(json.loads(stats.bodies[0]))
    assert media_type == "image/png"
    assert PIL.Image.open(io.BytesIO(data)).mode in ("L", "RGB")
    assert data == image.png()


def test_an_image_that_cannot_be_read_fails_that_request_alone(tmp_path: Path) -> None:
    requests = [*ask(3), Request("broken", "broken", 0, ("?", Image(tmp_path / "missing.png")))]
    responses, stats = answers(loopback.Plan(), requests)
    assert responses["broken"].finish == "error"
    assert "missing.png" in str(responses["broken"].error)
    assert sum(response.finish == "stop" for response in responses.values()) == 3
    assert stats.calls == 3


def test_slow_bodies_are_made_in_threads_and_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosted_chat, "_SLOW_BODY_SECONDS", -1.0)
    threads = set()
    body = OpenAIChat.body

    def watch(chat: OpenAIChat, request: Request) -> Any:
        threads.add(threading.current_thread().name.rpartition("_")[0] or "loop")
        return body(chat, request)

    monkeypatch.setattr(OpenAIChat, "body", watch)
    requests = [Request(str(i), str(i), 0, (f"question {i}", picture("I;16", "PNG"))) for i in range(20)]
    responses, stats = answers(loopback.Plan(), requests)
    assert {response.finish for response in responses.values()} == {"stop"}
    assert threads == {"loop", "nova-bench-body"}
    monkeypatch.undo()
    chat = OpenAIChat(model="m", base_url=NOWHERE)
    assert sorted(stats.bodies) == sorted(chat.body(request).json() for request in requests)


def test_concurrency_is_used_and_never_exceeded() -> None:
    responses, stats = answers(loopback.Plan(latency=0.03), ask(60), concurrency=5)
    assert len(responses) == 60
    assert stats.most_in_flight == 5


def test_key_is_sent_and_a_private_server_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY", " another \n")
    _, stats = answers(loopback.Plan(), ask(1), key_env="OTHER_KEY")
    assert stats.keys == {"another"}
    responses, stats = answers(loopback.Plan(), ask(1), key_env="NO_SUCH_KEY")
    assert responses["0"].finish == "stop"
    assert stats.keys == {"none"}


# What comes back.


def test_answer_carries_text_model_usage_and_time() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 12},
    }
    plan = loopback.Plan(usage=usage, message={"reasoning_content": "I look at it."})
    responses, stats = answers(plan, ask(1))
    response = responses["0"]
    assert response.text == loopback.answer_to(json.loads(stats.bodies[0]))
    assert (response.finish, response.error, response.model) == ("stop", None, "m-2026-01-01")
    assert response.usage == Usage(input_tokens=100, output_tokens=20, reasoning_tokens=12, cached_tokens=64)
    assert response.reasoning == "I look at it."
    assert response.seconds is not None
    assert response.seconds > 0


@pytest.mark.parametrize(
    ("finish_reason", "finish"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("model_length", "length"),
        ("content_filter", "filter"),
        ("tool_calls", "stop"),
        ("eos", "stop"),
        (None, "stop"),
    ],
)
def test_finish_reason_is_mapped(finish_reason: str | None, finish: str) -> None:
    responses, _ = answers(loopback.Plan(finish_reason=finish_reason), ask(1))
    assert responses["0"].finish == finish


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None}, ""),
        ({"content": ""}, ""),
        ({"content": None, "refusal": "I cannot help."}, "I cannot help."),
        (
            {
                "content": [
                    {"type": "thinking"},
                    {"type": "text", "text": "a "},
                    {"type": "text", "text": "b"},
                ]
            },
            "a b",
        ),
    ],
)
def test_text_of_unusual_messages(message: Mapping[str, Any], text: str) -> None:
    responses, stats = answers(loopback.Plan(message=message), ask(1))
    assert (responses["0"].text, responses["0"].finish, stats.calls) == (text, "stop", 1)


@pytest.mark.parametrize(("tokens", "is_ours"), [(9000, True), (8000, False)])
def test_limit_of_tokens_that_fits_no_request_is_no_models_failure(tokens: int, is_ours: bool) -> None:
    import httpx
    import openai

    said = (
        f"'max_tokens' or 'max_completion_tokens' is too large: {tokens}. This model's maximum context length is 8192 tokens and your "
        "request has 812 input tokens"
    )
    http = httpx.Response(400, request=httpx.Request("POST", NOWHERE))
    error = openai.BadRequestError(said, response=http, body={"message": said, "code": 400})
    chat = OpenAIChat(model="m", base_url=NOWHERE)
    body = chat.body(Request("0", "0", 0, ("?",)))
    if is_ours:
        with pytest.raises(retry.PermanentError, match="-p max_tokens=N") as raised:
            chat._faulty("0", error, body)
        assert raised.value.concerns_all
    else:  # less would do for other requests
        assert chat._faulty("0", error, body).finish == "rejected"


@pytest.mark.parametrize("reason", ["abort", "error", "insufficient_system_resource"])
def test_answer_that_the_server_broke_off_is_asked_again(reason: str) -> None:
    responses, stats = answers(
        loopback.Plan(finish_reason=reason, message={"content": "The lesion is"}), ask(1), deadline=0.3
    )
    assert (responses["0"].finish, responses["0"].text) == ("error", None)
    assert stats.calls >= 1


@pytest.mark.parametrize(
    ("counts", "output"),
    [
        ((100, 20, 120, 12), 20),  # OpenAI: reasoning is part of the completion
        ((100, 20, 132, 12), 32),  # xAI: it is not
        ((100, 20, 132, None), 32),  # Gemini's compatible API does not say what the rest is
        ((100, 20, None, 12), 20),
        ((100, 20, 0, None), 20),
    ],
)
def test_reasoning_is_counted_once_wherever_a_server_puts_it(
    counts: tuple[int | None, ...], output: int
) -> None:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    usage = {
        **dict(zip(names, counts, strict=False)),
        "completion_tokens_details": {"reasoning_tokens": counts[3]},
    }
    responses, _ = answers(loopback.Plan(usage=usage), ask(1))
    assert responses["0"].usage == Usage(input_tokens=100, output_tokens=output, reasoning_tokens=counts[3])


def test_usage_may_be_missing() -> None:
    responses, _ = answers(loopback.Plan(usage=None), ask(1))
    assert (responses["0"].finish, responses["0"].usage) == ("stop", None)


def test_loopback_server_answers_what_the_vendors_client_reads() -> None:
    import openai
    from openai.types.chat import ChatCompletion

    with loopback.serve() as (url, _), openai.OpenAI(api_key="none", base_url=url) as client:
        completion = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "?"}])
        assert [model.id for model in client.models.list()] == ["loopback"]
    assert ChatCompletion.model_validate(completion.model_dump(), strict=True) == completion


# What goes wrong.


@pytest.mark.parametrize("fault", TRANSIENT)
def test_transient_fault_is_tried_again(fault: str) -> None:
    responses, stats = answers(loopback.Plan(first=(fault, fault)), ask(1))
    assert responses["0"].finish == "stop", responses["0"].error
    assert stats.faults[fault] == 2
    assert sum(stats.answered.values()) == 1


def test_a_third_of_faults_fails_no_request_and_asks_none_twice() -> None:
    kinds = [kind for kind in TRANSIENT if kind != "429-date"]
    responses, stats = answers(loopback.Plan(faults=dict.fromkeys(kinds, 0.33 / len(kinds))), ask(250))
    assert [response.error for response in responses.values() if response.finish != "stop"] == []
    assert len(responses) == 250
    assert sum(stats.faults.values()) > 60
    assert set(stats.faults) == set(kinds)
    assert set(stats.prompts.values()) == {1}


def test_silent_server_is_asked_again_after_the_attempt_timeout() -> None:
    responses, stats = answers(loopback.Plan(first=("hang",)), ask(1), attempt_timeout=0.2)
    assert (responses["0"].finish, stats.calls) == ("stop", 2)


@pytest.mark.parametrize("fault", ["503", "hang", "reset"])
def test_request_fails_after_its_deadline(fault: str) -> None:
    plan = loopback.Plan(faults={fault: 1.0})
    responses, _ = answers(plan, ask(2), deadline=0.3, attempt_timeout=0.2)
    assert {response.finish for response in responses.values()} == {"error"}
    assert all("attempt" in str(response.error) for response in responses.values())
    assert KEY not in str([response.error for response in responses.values()])


@pytest.mark.parametrize("fault", ["429", "429-date"])
def test_retry_after_is_read_in_both_forms(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    wait_before = retry.wait_before

    def watch(attempt: int, retry_after: float | None, dice: random.Random) -> float:
        seen.append(retry_after)
        return wait_before(attempt, retry_after, dice)

    monkeypatch.setattr(retry, "wait_before", watch)
    responses, _ = answers(loopback.Plan(first=(fault,), retry_after="0.25"), ask(1))
    assert responses["0"].finish == "stop"
    (seconds,) = seen
    assert seconds == 0.25 if fault == "429" else 0 <= seconds <= 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("nan", None),
        ("inf", None),
        ("in a while", None),
        ("", None),
        (None, None),
    ],
)
def test_read_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry.read_retry_after(value, now=1445412450.0) == seconds


@given(attempt=st.integers(1, 5000), asked=st.none() | st.floats(0, 1e4), seed=st.integers())
def test_wait_is_never_less_than_asked_and_bounded_otherwise(
    attempt: int, asked: float | None, seed: int
) -> None:
    wait = retry.wait_before(attempt, asked, random.Random(seed))
    assert 0 < wait <= retry.LONGEST_WAIT if asked is None else asked <= wait <= asked + retry.FIRST_WAIT


@pytest.mark.parametrize(
    ("fault", "finish"),
    [
        ("context", "rejected"),
        ("context-vllm", "rejected"),
        ("image", "rejected"),
        ("413", "rejected"),
        ("filtered", "filter"),
    ],
)
def test_refused_request_is_final_and_not_tried_again(fault: str, finish: str) -> None:
    responses, stats = answers(loopback.Plan(faults={fault: 1.0}), ask(30))
    assert {response.finish for response in responses.values()} == {finish}
    assert stats.calls == 30
    assert loopback.STATUS_FAULTS[fault][1]["message"] in str(responses["0"].error)


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 8227 tokens.",
        "The input (9000 tokens) is longer than the model's context length (4096 tokens).",
        "the request exceeds the available context size, try increasing it",
        "prompt is too long: 215000 tokens > 200000 maximum",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096.",
        "messages.0.content.1.image: image dimensions exceed max allowed size: 8000 pixels",
        "At most 1 image(s) may be provided in one prompt.",
    ],
)
def test_rejection_is_recognised_by_its_words(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(loopback.STATUS_FAULTS, "words", (400, {"message": message}))
    responses, _ = answers(loopback.Plan(first=("words",)), ask(1))
    assert responses["0"].finish == "rejected"


@pytest.mark.parametrize("fault", ["401", "403", "404", "quota"])
def test_what_no_retry_heals_ends_the_stream(fault: str) -> None:
    with loopback.serve(loopback.Plan(faults={fault: 1.0}, latency=0.01)) as (url, server):
        chat = OpenAIChat(model="my-model", base_url=url, concurrency=4)
        with pytest.raises(AdapterError, match="3 times in a row") as raised:
            list(chat.generate(ask(500)))
    text = str(raised.value)
    assert url in text
    assert "OPENAI_API_KEY" in text
    assert "my-model" in text
    assert KEY not in text
    assert server.stats.calls <= 3 + 4


def test_a_bad_request_fails_alone_once_others_have_succeeded() -> None:
    responses, stats = answers(loopback.Plan(first=(None, *(["400"] * 40))), ask(45), concurrency=1)
    assert [response.finish for response in responses.values()].count("error") == 40
    assert stats.calls == 45


def test_a_key_that_is_revoked_ends_the_stream_later() -> None:
    with loopback.serve(loopback.Plan(first=(None,) * 5, faults={"401": 1.0})) as (url, server):
        stream = OpenAIChat(model="m", base_url=url, concurrency=1).generate(ask(500))
        assert [next(stream).finish for _ in range(25)] == ["stop"] * 5 + ["error"] * 20
        with pytest.raises(AdapterError, match="20 times in a row"):
            next(stream)
    assert server.stats.calls == 25


def test_key_is_in_no_error_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with loopback.serve(loopback.Plan(faults={"401": 0.5, "429": 0.5})) as (url, server):
        chat = OpenAIChat(model="m", base_url=url, deadline=0.3)
        errors = []
        try:
            errors += [str(response) for response in chat.generate(ask(40))]
        except AdapterError as error:
            errors.append(repr(error) + repr(error.__cause__) + repr(error.__context__))
    assert server.stats.keys == {KEY}
    assert KEY not in "\n".join((*errors, caplog.text, repr(chat)))
    assert any("[OPENAI_API_KEY]" in error for error in errors)  # the server did quote it


def test_server_that_never_was_there_ends_the_stream() -> None:
    with contextlib.closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        chat = OpenAIChat(model="m", base_url=url, start_patience=0.3)
        with pytest.raises(AdapterError, match=r"nobody answers at http://127\.0\.0\.1") as raised:
            list(chat.generate(ask(50)))
    assert f"base_url={url}" in str(raised.value)


def test_server_that_comes_up_late_is_waited_for() -> None:
    with contextlib.closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with contextlib.ExitStack() as late:
        starter = threading.Timer(0.3, lambda: late.enter_context(loopback.serve(port=port)))
        starter.start()
        chat = OpenAIChat(model="m", base_url=f"http://127.0.0.1:{port}/v1", start_patience=20)
        assert {response.finish for response in chat.generate(ask(5))} == {"stop"}
        starter.join()


def test_server_that_dies_and_comes_back_loses_nothing() -> None:
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        url, _ = first.enter_context(loopback.serve(loopback.Plan(latency=0.005)))
        port = int(url.split(":")[-1].removesuffix("/v1"))

        def requests() -> Iterator[Request]:
            for i, request in enumerate(ask(60)):
                if i == 20:
                    first.close()
                    threading.Timer(0.4, lambda: second.enter_context(loopback.serve(port=port))).start()
                yield request

        chat = OpenAIChat(model="m", base_url=url, concurrency=8, start_patience=0.1)
        responses = list(chat.generate(requests()))
    assert len(responses) == 60
    assert [response.error for response in responses if response.finish != "stop"] == []


# Life and settings.


def test_generate_may_be_called_again_and_closed() -> None:
    with loopback.serve() as (url, server):
        chat = OpenAIChat(model="m", base_url=url)
        for _ in range(3):
            assert len(list(chat.generate(ask(10)))) == 10
        server.plan.latency = 3600
        stream = chat.generate(ask(10))
        closer = threading.Timer(0.1, chat.close)
        closer.start()
        assert list(stream) == []
        closer.join()
        chat.close()
        server.plan.latency = 0
        assert len(list(chat.generate(ask(10)))) == 10


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"base_url": "localhost:8000/v1"}, "expected an address"),
        ({"model": ""}, "name"),
        ({"concurrency": 0}, "expected positive"),
        ({"deadline": 0.0}, "expected positive"),
        ({"max_tokens_field": "n_predict"}, "max_completion_tokens"),
        ({"base_url": "https://api.example.com/v1", "key_env": "NO_SUCH_KEY"}, "NO_SUCH_KEY"),
        ({"base_url": None, "key_env": "NO_SUCH_KEY"}, "api.openai.com"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: Mapping[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        OpenAIChat(**{"model": "m", "base_url": NOWHERE, **options})


def test_a_password_in_the_address_is_refused_without_showing_it() -> None:
    with pytest.raises(UsageError, match="base_url=http://example") as raised:
        OpenAIChat(model="m", base_url="http://user:hunter2@example.com/v1")
    assert "hunter2" not in str(raised.value)


def test_a_key_with_a_line_break_inside_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "\nX-Other: 1")
    with pytest.raises(UsageError, match="OPENAI_API_KEY") as raised:
        OpenAIChat(model="m")
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "10.1.2.3", "192.168.0.9", "[::1]", "gpu-box", "vllm.internal"]
)
def test_private_hosts_need_no_key(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert OpenAIChat(model="m", base_url=f"http://{host}:8000/v1")


@pytest.mark.parametrize("package", ["openai", "aiohttp"])
def test_missing_package_names_its_remedy(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(AdapterError, match=r'pip install "nova-bench\[openai\]"'):
        OpenAIChat(model="m", base_url=NOWHERE)


def test_vendor_package_is_imported_only_when_a_request_is_sent() -> None:
    code = (
        f"import sys, nova_bench.backends as b; b.OpenAIChat(model='m', base_url={NOWHERE!r})\n"
        "print(sorted({'openai', 'aiohttp', 'httpx2', 'pydantic', 'PIL', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_unknown_backend_is_an_attribute_error() -> None:
    import nova_bench.backends

    assert "OpenAIChat" in dir(nova_bench.backends)
    with pytest.raises(AttributeError, match="did you mean 'OpenAIChat'"):
        _ = nova_bench.backends.OpenAiChat


def test_adapter_file_makes_the_backend() -> None:
    adapter = _load("adapters_openai", ROOT / "adapters" / "openai.py")
    with pytest.raises(UsageError, match="--model openai:MODEL"):
        adapter.load()
    with loopback.serve() as (url, _):
        load: Callable[..., OpenAIChat] = adapter.load
        responses = list(load(model="m", base_url=url).generate(ask(3)))
    assert {response.model for response in responses} == {"m-2026-01-01"}
