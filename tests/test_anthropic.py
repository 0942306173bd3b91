"""Anthropic's backend with the vendor's own client, against a server on this machine that speaks the API's documented format."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import logging
import random
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import PIL.Image
import pytest

pytest.importorskip("anthropic")

from nova_bench.backends import retry
from nova_bench.backends.anthropic_messages import ADAPTIVE_TOKENS, MAX_TOKENS, TOOL, AnthropicMessages
from nova_bench.errors import AdapterError, UsageError
from nova_bench.images import Image
from nova_bench.types import GenParams, Request, Response, Usage

pytestmark = pytest.mark.real("anthropic on a loopback server")

ROOT = Path(__file__).resolve().parents[1]
KEY = "sk-ant-secret-0123456789abcdef"
NOWHERE = "http://127.0.0.1:1"
OLD, NEW = "2023-06-01", "2026-10-21"
TRANSIENT = (
    *("408", "429", "429-date", "ramp", "500", "502", "503", "504", "529"),
    *("reset", "cut", "empty", "html", "error-200", "not-json"),
)
SCHEMA = {
    "type": "object",
    "properties": {"others": {"type": "array", "items": {"type": "string"}, "minItems": 4}},
    "required": ["others"],
    "additionalProperties": False,
}


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


loopback = _load("loopback_anthropic", ROOT / "tests" / "loopback_anthropic.py")
running = _load("running", ROOT / "tests" / "running.py")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(retry, "LONGEST_WAIT", 0.2)
    for name in ("BASE_URL", "AUTH_TOKEN", "CUSTOM_HEADERS", "PROFILE", "CONFIG_DIR"):
        monkeypatch.delenv(f"ANTHROPIC_{name}", raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


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
        chat = AnthropicMessages(model="m", base_url=url, **options)
        return {response.id: response for response in chat.generate(requests)}, server


NOTHING_ASKED = GenParams()


def one(plan: Any, params: GenParams = NOTHING_ASKED, **options: Any) -> tuple[Response, Any, Any]:
    """Return the response to one request, the server and the last body that it saw."""
    responses, server = answers(plan, ask(1, params=params), **options)
    return responses["0"], server, json.loads(server.stats.bodies[-1]) if server.stats.bodies else None


def picture(mode: str, form: str, **options: Any) -> Image:
    data = random.Random(mode + form).randbytes(40 * 30 * {"L": 1, "RGB": 3}[mode])
    buffer = io.BytesIO()
    PIL.Image.frombytes(mode, (40, 30), data).save(buffer, form, **options)
    return Image(data=buffer.getvalue())


# What is sent.


def test_body_is_the_json_of_the_api() -> None:
    png, jpeg = picture("L", "PNG"), picture("RGB", "JPEG")
    params = GenParams(max_tokens=300, temperature=0.0, seed=7, stop=("END", "\n"), json_schema=SCHEMA)
    parts = ('Find the "lesion"\n\\ é 脳', png, " ", "and", jpeg)
    request = Request("1", "1", 0, parts, system="Be brief.", params=params)
    body = AnthropicMessages(model="claude-x", base_url=NOWHERE, effort="low").body(request)
    sources = [
        {"type": "base64", "media_type": kind, "data": base64.b64encode(image.read()).decode()}
        for kind, image in (("image/png", png), ("image/jpeg", jpeg))
    ]
    others = {"type": "array", "items": {"type": "string"}, "description": "{minItems: 4}"}
    assert body.dropped == ("seed", "stop", "json_schema.constraints")
    schema = {
        "type": "object",
        "properties": {"others": others},
        "additionalProperties": False,
        "required": ["others"],
    }
    assert json.loads(body.content(with_temperature=True)) == {
        "model": "claude-x",
        "max_tokens": 300,
        "system": "Be brief.",
        "temperature": 0.0,
        "stop_sequences": ["END"],
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": schema}},
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": 'Find the "lesion"\n\\ é 脳'},
                    {"type": "image", "source": sources[0]},
                    {"type": "text", "text": "and"},
                    {"type": "image", "source": sources[1]},
                ],
            }
        ],
    }


@pytest.mark.parametrize("options", [{}, {"schema": "tool"}, {"thinking": "adaptive", "effort": "max"}])
def test_body_is_what_the_vendors_own_types_describe(options: Mapping[str, Any]) -> None:
    import anthropic
    import pydantic
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

    params = GenParams(max_tokens=300, stop=("END",), json_schema=SCHEMA)
    request = Request("1", "1", 0, ("?", picture("L", "PNG")), system="Be brief.", params=params)
    chat = AnthropicMessages(model="m", base_url=NOWHERE, oversized_image="error", **options)
    body = json.loads(chat.body(request).content(with_temperature=False))
    read = pydantic.TypeAdapter(MessageCreateParamsNonStreaming).validate_python(body)
    assert set(read) == set(body)
    # The content one by one: it is an Iterable there, and pydantic fails in reading a nested one.
    (message,) = body["messages"]
    kinds = (anthropic.types.TextBlockParam, anthropic.types.ImageBlockParam)
    for block, kind in zip(message["content"], kinds, strict=True):
        assert pydantic.TypeAdapter(kind).validate_python(block) == block
    with pytest.raises(pydantic.ValidationError):
        pydantic.TypeAdapter(MessageCreateParamsNonStreaming).validate_python({**body, "max_tokens": None})


def test_several_images_arrive_in_order_and_bit_identical() -> None:
    stored = [picture("L", "PNG"), picture("RGB", "JPEG"), picture("RGB", "WEBP", lossless=True)]
    request = Request("1", "1", 0, (stored[0], "?", *stored[1:]))
    responses, server = answers(loopback.Plan(), [request])
    assert responses["1"].finish == "stop", responses["1"].error
    assert responses["1"].image_sizes == ()
    sent = loopback.images_of(json.loads(server.stats.bodies[0]))
    kinds = ("image/png", "image/jpeg", "image/webp")
    assert [(kind, base64.b64decode(data, validate=True)) for kind, data in sent] == [
        (kind, image.read()) for kind, image in zip(kinds, stored, strict=True)
    ]


def test_a_gif_goes_as_png() -> None:
    image = picture("L", "GIF")
    _, server = answers(loopback.Plan(), [Request("1", "1", 0, ("?", image))])
    ((kind, data),) = loopback.images_of(json.loads(server.stats.bodies[0]))
    assert (kind, base64.b64decode(data)) == ("image/png", image.png())


def test_text_only_request_needs_no_limit_of_its_own() -> None:
    response, _, body = one(loopback.Plan())
    assert response.finish == "stop"
    assert body == {
        "model": "m",
        "max_tokens": MAX_TOKENS,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "question 0"}]}],
    }


def test_an_image_that_cannot_be_read_fails_that_request_alone(tmp_path: Path) -> None:
    requests = [*ask(3), Request("broken", "broken", 0, ("?", Image(tmp_path / "missing.png")))]
    responses, server = answers(loopback.Plan(), requests)
    assert responses["broken"].finish == "error"
    assert "missing.png" in str(responses["broken"].error)
    assert server.stats.calls == 3


# Parameters that may be refused.


def test_temperature_goes_out_under_the_version_that_takes_it() -> None:
    response, server, body = one(loopback.Plan(), GenParams(temperature=0.0, seed=3))
    assert (response.finish, response.dropped, body["temperature"]) == ("stop", ("seed",), 0.0)
    assert server.headers[0]["anthropic-version"] == OLD
    response, server, body = one(loopback.Plan())
    assert (response.dropped, "temperature" in body) == ((), False)
    assert server.headers[0]["anthropic-version"] == NEW


def test_model_that_takes_no_temperature_is_asked_without_and_says_so() -> None:
    requests = ask(20, params=GenParams(temperature=0.0))
    responses, server = answers(loopback.Plan(takes_temperature=False), requests, concurrency=1)
    assert {response.finish for response in responses.values()} == {"stop"}
    assert {response.dropped for response in responses.values()} == {("temperature",)}
    assert server.complaints == ["`temperature` is deprecated for this model."]
    assert [headers["anthropic-version"] for headers in server.headers] == [OLD, *[NEW] * 20]


def test_temperature_out_of_range_is_an_error_and_not_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    fault = (400, "invalid_request_error", "temperature: range: 0..1", None)
    monkeypatch.setitem(loopback.STATUS_FAULTS, "range", fault)
    response, server, _ = one(loopback.Plan(first=("range",)), GenParams(temperature=1.5))
    assert (response.finish, response.error) == ("error", "HTTP 400: temperature: range: 0..1")
    assert server.stats.calls == 1


def test_thinking_is_on_top_of_the_limit_and_apart_from_the_text() -> None:
    content = [
        {"type": "thinking", "thinking": "I look ", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "thinking", "thinking": "at it.", "signature": "s"},
        {"type": "text", "text": "a "},
        {"type": "text", "text": "b"},
    ]
    usage = {"input_tokens": 5, "output_tokens": 90, "output_tokens_details": {"thinking_tokens": 80}}
    plan = loopback.Plan(content=content, usage=usage)
    response, server, body = one(plan, GenParams(max_tokens=300, temperature=0.0), thinking="2048")
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    assert body["max_tokens"] == 2348
    assert (response.text, response.reasoning) == ("a b", "I look at it.")
    assert response.dropped == ("temperature",)
    assert response.usage == Usage(input_tokens=5, output_tokens=90, reasoning_tokens=80)
    assert server.complaints == []
    _, _, body = one(loopback.Plan(), GenParams(max_tokens=300), thinking="adaptive")
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["max_tokens"] == 300 + ADAPTIVE_TOKENS
    _, _, body = one(loopback.Plan(), GenParams(max_tokens=300, temperature=0.0), thinking="disabled")
    assert (body["thinking"], body["max_tokens"], body["temperature"]) == ({"type": "disabled"}, 300, 0.0)


def test_schema_as_a_tool_gives_the_json_of_its_input() -> None:
    answer = {"others": ["é", "b"]}
    content = [
        {"type": "text", "text": "I call it."},
        {"type": "tool_use", "id": "toolu_1", "name": TOOL, "input": answer},
    ]
    plan = loopback.Plan(content=content, finish_reason="tool_use")
    response, _, body = one(plan, GenParams(json_schema=SCHEMA), schema="tool")
    assert body["tools"][0]["input_schema"] == SCHEMA
    assert body["tool_choice"] == {"type": "tool", "name": TOOL}
    assert "output_config" not in body
    assert (response.text, response.finish) == ('{"others": ["é", "b"]}', "stop")
    assert response.dropped == ()


def test_schema_that_the_api_has_no_form_for_names_the_other_way() -> None:
    response, server, _ = one(loopback.Plan(), GenParams(json_schema={"properties": {}}))
    assert response.finish == "error"
    assert "schema=tool" in str(response.error)
    assert server.stats.calls == 0


# What comes back.


def test_answer_carries_text_model_usage_and_time() -> None:
    usage = {
        "input_tokens": 30,
        "output_tokens": 20,
        "cache_read_input_tokens": 64,
        "cache_creation_input_tokens": 6,
    }
    response, _, body = one(loopback.Plan(usage=usage))
    assert response.text == loopback.loopback.answer_to(body)
    assert (response.finish, response.error, response.model) == ("stop", None, "m-20260101")
    assert response.usage == Usage(input_tokens=100, output_tokens=20, cached_tokens=64)
    assert response.seconds is not None
    assert response.seconds > 0
    assert one(loopback.Plan(usage=None))[0].usage is None


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("refusal", "filter"),
        ("a_new_reason", "stop"),
        (None, "stop"),
    ],
)
def test_stop_reason_is_mapped(reason: str | None, finish: str) -> None:
    assert one(loopback.Plan(finish_reason=reason))[0].finish == finish


def test_refusal_says_its_category_and_empty_content_is_an_answer() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "Not this."}
    response, server, _ = one(loopback.Plan(content=[], finish_reason="refusal", stop_details=details))
    assert (response.text, response.finish, response.error) == ("", "filter", "refusal: bio: Not this.")
    response, server, _ = one(loopback.Plan(content=[]))
    assert (response.text, response.finish, response.error, server.stats.calls) == ("", "stop", None, 1)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"content": [{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "text", "text": "a"}]},
        {"content": [{"type": "redacted_thinking", "data": "x"}], "finish_reason": "max_tokens"},
        {
            "content": [{"type": "tool_use", "id": "t", "name": TOOL, "input": {}}],
            "finish_reason": "tool_use",
        },
        {
            "content": [],
            "finish_reason": "refusal",
            "stop_details": {"type": "refusal", "category": "bio", "explanation": None},
        },
        {"finish_reason": "model_context_window_exceeded"},
        {"usage": {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 1}}},
    ],
)
def test_loopback_server_answers_what_the_vendors_own_types_describe(fields: Mapping[str, Any]) -> None:
    import anthropic

    with loopback.serve(loopback.Plan(**fields)) as (url, _), _client(url) as client:
        read = client.messages.create(
            model="m", max_tokens=5, messages=[{"role": "user", "content": [{"type": "text", "text": "?"}]}]
        )
    assert anthropic.types.Message.model_validate(read.model_dump(), strict=True) == read


@pytest.mark.parametrize("fault", sorted(loopback.STATUS_FAULTS))
def test_loopback_servers_faults_are_the_vendors_exceptions(fault: str) -> None:
    import anthropic
    from anthropic._error_classes import ERROR_CLASSES

    status, kind, message, code = loopback.STATUS_FAULTS[fault]
    served = loopback.serve(loopback.Plan(first=(fault,)))
    with served as (url, _), _client(url) as client, pytest.raises(anthropic.APIStatusError) as raised:
        client.messages.create(
            model="m",
            max_tokens=5,
            messages=[{"role": "user", "content": [{"type": "text", "text": "?"}]}],
        )
    error = raised.value
    expected = ERROR_CLASSES.get((status, code)) or ERROR_CLASSES.get(
        (status, None), anthropic.InternalServerError
    )
    assert type(error) is expected
    assert (error.type, error.error_code) == (kind, code)
    assert error.api_message == message.replace("{key}", KEY)


def _client(url: str) -> Any:
    import anthropic

    return anthropic.Anthropic(api_key=KEY, base_url=url, max_retries=0, _strict_response_validation=True)


# What goes wrong.


@pytest.mark.parametrize("fault", TRANSIENT)
def test_transient_fault_is_tried_again(fault: str) -> None:
    response, server, _ = one(loopback.Plan(first=(fault, fault)))
    assert response.finish == "stop", response.error
    assert server.stats.faults[fault] == 2
    assert sum(server.stats.answered.values()) == 1


def test_a_third_of_faults_fails_no_request_and_asks_none_twice() -> None:
    kinds = [kind for kind in TRANSIENT if kind != "429-date"]
    plan = loopback.Plan(faults=dict.fromkeys(kinds, 0.33 / len(kinds)))
    responses, server = answers(plan, ask(200))
    assert [response.error for response in responses.values() if response.finish != "stop"] == []
    assert len(responses) == 200
    assert sum(server.stats.faults.values()) > 50
    assert set(server.stats.prompts.values()) == {1}


@pytest.mark.parametrize("fault", ["hang", "slow"])
def test_silent_or_slow_server_is_asked_again_after_the_attempt_timeout(fault: str) -> None:
    responses, server = answers(loopback.Plan(first=(fault,)), ask(1), attempt_timeout=0.3)
    assert (responses["0"].finish, server.stats.calls) == ("stop", 2)


def test_retry_after_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    fault_of = retry.read_retry_after

    def watch(value: str | None, now: float) -> float | None:
        seen.append(value)
        return fault_of(value, now)

    monkeypatch.setattr(retry, "read_retry_after", watch)
    response, _, _ = one(loopback.Plan(first=("429",), retry_after="0.25"))
    assert response.finish == "stop"
    assert seen == ["0.25"]


@pytest.mark.parametrize(
    ("fault", "finish"),
    [
        *(
            (fault, "rejected")
            for fault in ("413", "long", "context", "image", "pixels", "images", "unreadable")
        ),
        ("filtered", "filter"),
    ],
)
def test_refused_request_is_final_and_not_tried_again(fault: str, finish: str) -> None:
    responses, server = answers(loopback.Plan(faults={fault: 1.0}), ask(5))
    assert {response.finish for response in responses.values()} == {finish}
    assert server.stats.calls == 5
    assert loopback.STATUS_FAULTS[fault][2] in str(responses["0"].error)


@pytest.mark.parametrize("fault", ["401", "402", "403", "404", "credit", "spent", "redirect"])
def test_what_no_retry_heals_ends_the_stream(fault: str) -> None:
    with loopback.serve(loopback.Plan(faults={fault: 1.0}, latency=0.01)) as (url, server):
        chat = AnthropicMessages(model="my-model", base_url=url, concurrency=4)
        with pytest.raises(AdapterError) as raised:
            list(chat.generate(ask(500)))
    text = str(raised.value)
    assert all(word in text for word in (url, "ANTHROPIC_API_KEY", "my-model"))
    assert KEY not in text
    assert server.stats.calls <= 3 + 4


def test_a_limit_over_the_models_own_is_no_rejection(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "max_tokens: 99999 > 8192, which is the maximum allowed number of output tokens for m"
    monkeypatch.setitem(loopback.STATUS_FAULTS, "tokens", (400, "invalid_request_error", said, None))
    response, _, _ = one(loopback.Plan(first=("tokens",)))
    assert (response.finish, response.error) == ("error", f"HTTP 400: {said}")


# The key, and what the environment says.


def test_environment_neither_redirects_nor_leaks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    profile = {"version": "1.0", "base_url": NOWHERE, "authentication": {"type": "user_oauth"}}
    (tmp_path / "configs" / "default.json").write_text(json.dumps(profile))
    with loopback.serve() as (elsewhere, trap), loopback.serve() as (url, server):
        for name, value in {
            "BASE_URL": elsewhere,
            "AUTH_TOKEN": "token-of-another",
            "CUSTOM_HEADERS": "x-leak: planted\nauthorization: Bearer planted\nanthropic-version: 1999-01-01",
            "CONFIG_DIR": str(tmp_path),
        }.items():
            monkeypatch.setenv(f"ANTHROPIC_{name}", value)
        chat = AnthropicMessages(model="m", base_url=url)
        assert [response.finish for response in chat.generate(ask(2))] == ["stop"] * 2
        monkeypatch.delenv("ANTHROPIC_API_KEY")
        keyless = AnthropicMessages(model="m", base_url=url)
        assert [response.finish for response in keyless.generate(ask(2))] == ["stop"] * 2
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        assert AnthropicMessages(model="m").url == "https://api.anthropic.com"
    assert trap.headers == []
    assert server.stats.keys == {KEY, "none"}
    sent = json.dumps(server.headers)
    assert "planted" not in sent
    assert "token-of-another" not in sent


def test_a_redirect_is_not_followed() -> None:
    response, server, _ = one(loopback.Plan(first=("redirect",)))
    assert (response.finish, server.stats.calls) == ("error", 1)
    assert "base_url" in str(response.error)


def test_key_goes_to_the_vendor_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in (
        "https://api.anthropic.com.example.net",
        "https://example.com/v1",
        "http://api.anthropic.com",
    ):
        with pytest.raises(UsageError) as raised:
            AnthropicMessages(model="m", base_url=url)
        assert KEY not in str(raised.value)
    monkeypatch.setenv("OTHER_KEY", "another")
    other = AnthropicMessages(model="m", base_url="https://example.com/v1", key_env="OTHER_KEY")
    assert (other.key, other.url, other.is_private) == ("another", "https://example.com", False)
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-of-another")
    with pytest.raises(UsageError, match="ANTHROPIC_API_KEY"):
        AnthropicMessages(model="m")


@pytest.mark.parametrize(("plan", "requests"), [({"first": ("401",)}, 2), ({"faults": {"429": 1.0}}, 1)])
def test_key_is_in_no_error_and_no_log(
    plan: Mapping[str, Any], requests: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    responses, server = answers(loopback.Plan(**plan), ask(requests), concurrency=1, deadline=0.3)
    assert server.stats.keys == {KEY}
    assert "[ANTHROPIC_API_KEY]" in str(responses["0"].error)  # the server did quote it
    assert KEY not in caplog.text + "".join(map(str, responses.values()))


@pytest.mark.parametrize("faults", [{"429": 0.2, "500": 0.2}, {"401": 1.0}])
def test_a_run_writes_the_key_nowhere(faults: Mapping[str, float], tmp_path: Path) -> None:
    data = running.make_set(tmp_path / "data", (2, 1, 2))
    with loopback.serve(loopback.Plan(faults=faults)) as (url, server):
        done = running.nova(
            tmp_path,
            *("run", "nova_localization", "--data", data, "--model", "anthropic:m", "--out", "run"),
            *("-o", f"base_url={url}", "-o", "thinking=disabled"),
            env={"ANTHROPIC_API_KEY": KEY},
        )
    assert done.returncode == (1 if "401" in faults else 0), done.stderr
    assert server.stats.keys == {KEY}
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert tmp_path / "run" / "manifest.json" in written
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []
    assert KEY not in done.stdout + done.stderr
    if "401" in faults:
        assert "[ANTHROPIC_API_KEY]" in done.stderr
    else:
        log = running.log_of(tmp_path / "run")
        assert [record["finish"] for record in log] == ["stop"] * 5
        assert {tuple(record["dropped"]) for record in log} == {("seed",)}


# Settings.


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"base_url": "localhost:8000"}, "expected an address"),
        ({"model": ""}, "name"),
        ({"thinking": "a lot"}, "thinking='a lot'.*adaptive"),
        ({"thinking": 100}, "1024"),
        ({"effort": "maximal"}, "low, medium"),
        ({"schema": "json"}, "native, tool"),
        ({"oversized_image": "crop"}, "downsize, error"),
        ({"schema": "tool", "thinking": 2048}, "schema=native"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: Mapping[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        AnthropicMessages(**{"model": "m", "base_url": NOWHERE, **options})


@pytest.mark.parametrize("package", ["anthropic", "aiohttp"])
def test_missing_package_names_its_remedy(package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None\n" + (
        "import nova_bench\ntry:\n    nova_bench.load_model('anthropic:m')\n"
        "except nova_bench.errors.AdapterError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith('install it with: pip install "nova-bench[anthropic]"')
    assert package in done.stdout


def test_vendor_package_is_imported_only_when_a_request_is_sent() -> None:
    code = (
        f"import sys, nova_bench.backends as b; b.AnthropicMessages(model='m', base_url={NOWHERE!r})\n"
        "print(sorted({'anthropic', 'aiohttp', 'httpx2', 'pydantic', 'PIL', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_adapter_file_makes_the_backend() -> None:
    adapter = _load("adapters_anthropic", ROOT / "adapters" / "anthropic.py")
    with pytest.raises(UsageError, match="--model anthropic:MODEL"):
        adapter.load()
    with loopback.serve() as (url, _):
        responses = list(adapter.load(model="m", base_url=url).generate(ask(3)))
    assert {response.model for response in responses} == {"m-20260101"}
