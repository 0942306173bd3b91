"""The Gemini backend with Google's own SDK, against a server on this machine that fails in every way we know."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import loopback_gemini as loopback
import PIL.Image
import pytest
from google.genai import errors, types
from hypothesis import given
from hypothesis import strategies as st
from running import nova

from nova_bench.backends import gemini, retry
from nova_bench.backends.gemini import Gemini
from nova_bench.errors import AdapterError, UsageError
from nova_bench.images import Image
from nova_bench.types import GenParams, Request, Response, Usage

ROOT = Path(__file__).resolve().parents[1]
KEY = "AIza-secret-0123456789abcdef"
NOWHERE = "http://127.0.0.1:1"
TRANSIENT = (
    "429",
    "429-header",
    "499",
    "500",
    "502",
    "503",
    "504",
    "reset",
    "cut",
    "empty",
    "unfinished",
    "html",
    "html-503",
    "not-json",
    "error-200",
)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(retry, "LONGEST_WAIT", 0.2)
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)


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
        chat = Gemini(**{"model": "m", "base_url": url, "deadline": 20.0, **options})
        responses = {response.id: response for response in chat.generate(requests)}
        return responses, server.stats


def picture(mode: str, form: str) -> Image:
    depth = {"L": 1, "RGB": 3, "I;16": 2}[mode]
    buffer = io.BytesIO()
    data = random.Random(mode + form).randbytes(40 * 30 * depth)
    PIL.Image.frombytes(mode, (40, 30), data).save(buffer, form)
    return Image(data=buffer.getvalue())


# The server speaks the vendor's language.


@pytest.mark.parametrize("finish_reason", [*gemini._FINISH, "PUP_LIMITED_DISABLED"])
def test_loopback_answers_are_of_the_sdks_own_type(finish_reason: str) -> None:
    plan = loopback.Plan(finish_reason=finish_reason, thoughts=("hm",), candidate={"finishMessage": "why"})
    whole = types.GenerateContentResponse.model_validate(loopback.answer(plan, "m", "[]"))
    assert whole.candidates
    reason = whole.candidates[0].finish_reason
    assert reason in types.FinishReason.__members__.values()
    assert (reason.value, whole.text, whole.model_version) == (finish_reason, "[]", "m-001")
    assert whole.usage_metadata
    assert whole.usage_metadata.prompt_token_count == 11


def test_every_reason_of_the_sdk_is_known() -> None:
    unfinished = {"FINISH_REASON_UNSPECIFIED"}
    never = {"NO_IMAGE", "MISSING_THOUGHT_SIGNATURE"}  # of requests for pictures, and with tools
    known = {*gemini._FINISH, "PUP_LIMITED_DISABLED"}
    assert set(types.FinishReason.__members__) - unfinished - never == known


def test_loopback_block_is_of_the_sdks_own_type() -> None:
    blocked = loopback.answer(loopback.Plan(block_reason="PROHIBITED_CONTENT"), "m", "")
    whole = types.GenerateContentResponse.model_validate(blocked)
    assert whole.candidates is None
    assert whole.prompt_feedback
    assert whole.prompt_feedback.block_reason is types.BlockedReason.PROHIBITED_CONTENT


@pytest.mark.parametrize("fault", loopback.STATUS_FAULTS)
def test_loopback_faults_are_the_sdks_own_errors(fault: str) -> None:
    from google import genai

    expected = loopback.STATUS_FAULTS[fault]
    with loopback.serve(loopback.Plan(faults={fault: 1.0})) as (url, _):
        options = types.HttpOptions(base_url=url, retry_options=types.HttpRetryOptions(attempts=1))
        with genai.Client(api_key=KEY, http_options=options) as client:
            kind = errors.ServerError if expected["code"] >= 500 else errors.ClientError
            with pytest.raises(kind) as raised:
                client.models.generate_content(model="m", contents="?")
    assert (raised.value.code, raised.value.status) == (expected["code"], expected["status"])
    assert raised.value.message == expected["message"].replace("{key}", KEY)


# What is sent.


def test_request_is_the_json_of_the_api() -> None:
    png, jpeg, deep = picture("L", "PNG"), picture("RGB", "JPEG"), picture("I;16", "TIFF")
    schema = {
        "type": "object",
        "properties": {"boxes": {"type": "array", "items": {"type": "number"}}},
        "additionalProperties": False,
    }
    params = GenParams(max_tokens=300, temperature=0.0, seed=7, stop=("END", '"'), json_schema=schema)
    parts = ('Find the "lesion"\n\\ é 脳', png, "and", jpeg, deep)
    request = Request("1", "1", 0, parts, system="Be brief.", params=params)
    responses, stats = answers(loopback.Plan(), [request], thoughts=True, thinking="128")
    (body,) = stats.bodies
    assert responses["1"].finish == "stop"
    assert responses["1"].dropped == ()
    assert stats.paths == {"/v1beta/models/m:generateContent"}
    assert loopback.images_of(body) == [
        ("image/png", png.read()),
        ("image/jpeg", jpeg.read()),
        ("image/png", deep.png()),
    ]
    (turn,) = body["contents"]
    assert turn["role"] == "user"
    assert [part.get("text") for part in turn["parts"]] == [parts[0], None, "and", None, None]
    assert body["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    config = body["generationConfig"]
    thinking = types.ThinkingConfig.model_validate(config.pop("thinkingConfig"))
    assert (thinking.include_thoughts, thinking.thinking_budget) == (True, 128)
    assert config == {
        "maxOutputTokens": 300,
        "temperature": 0.0,
        "seed": 7,
        "stopSequences": ["END", '"'],
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }


def test_nothing_is_sent_that_was_not_asked_for() -> None:
    _, stats = answers(loopback.Plan(), ask(1))
    contents = [{"role": "user", "parts": [{"text": "question 0"}]}]
    assert stats.bodies == [{"contents": contents, "generationConfig": {}}]


def test_level_and_resolution_are_sent() -> None:
    _, stats = answers(loopback.Plan(), ask(1), thinking="low", media_resolution="high", api_version="v1")
    config = stats.bodies[0]["generationConfig"]
    assert types.ThinkingConfig.model_validate(config["thinkingConfig"]).thinking_level == "LOW"
    assert config["mediaResolution"] == "MEDIA_RESOLUTION_HIGH"
    assert stats.paths == {"/v1/models/m:generateContent"}


@given(text=st.text(st.characters()), system=st.none() | st.text(st.characters()))
def test_body_is_encodable_for_any_text(text: str, system: str | None) -> None:
    body = Gemini(model="m", base_url=NOWHERE).body(Request("1", "1", 0, (text,), system=system))
    sent = body["parts"][0]["text"] + body["config"].get("system_instruction", "")
    sent.encode()  # raises where UTF-8 cannot hold it
    assert ("lone surrogates" in body["dropped"]) is not is_encodable(text + "|" + (system or ""))


def is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def test_lone_surrogates_are_replaced_and_said_so() -> None:
    responses, stats = answers(loopback.Plan(), [Request("1", "1", 0, ("a \ud800 lesion",), system="\udfff")])
    assert loopback.prompt_of(stats.bodies[0]) == "a \ufffd lesion"
    assert stats.bodies[0]["systemInstruction"]["parts"] == [{"text": "\ufffd"}]
    assert (responses["1"].finish, responses["1"].dropped) == ("stop", ("lone surrogates",))


def test_image_that_cannot_be_read_fails_alone() -> None:
    bad = Request("bad", "bad", 0, ("look", Image(data=b"no picture", name="x.png")))
    responses, stats = answers(loopback.Plan(), [bad, *ask(3)])
    assert responses["bad"].finish == "error"
    assert "x.png" in str(responses["bad"].error)
    assert stats.calls == 3
    assert [response.finish for response in responses.values()].count("stop") == 3


# What comes back.


def test_thoughts_and_tokens_are_kept_apart() -> None:
    usage = {
        "promptTokenCount": 258,
        "candidatesTokenCount": 40,
        "thoughtsTokenCount": 100,
        "cachedContentTokenCount": 200,
        "totalTokenCount": 398,
    }
    responses, _ = answers(loopback.Plan(thoughts=("First, ", "look."), usage=usage), ask(1))
    response = responses["0"]
    assert response.reasoning == "First, look."
    assert json.loads(str(response.text))[0]["label"] == "abnormality"
    assert response.usage == Usage(258, 140, 100, 200)
    assert response.model == "m-001"


def test_usage_that_is_not_told_is_none() -> None:
    responses, _ = answers(loopback.Plan(usage=None), ask(1))
    assert responses["0"].usage is None


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("CONTINUATION", "length"),
        ("SAFETY", "filter"),
        ("RECITATION", "filter"),
        ("BLOCKLIST", "filter"),
        ("PROHIBITED_CONTENT", "filter"),
        ("SPII", "filter"),
        ("IMAGE_SAFETY", "filter"),
        ("OTHER", "filter"),
        ("MALFORMED_RESPONSE", "stop"),
    ],
)
@pytest.mark.parametrize("candidate", [{}, {"content": {}}, {"content": {"role": "model"}}])
def test_reason_to_stop(reason: str, finish: str, candidate: Mapping[str, Any]) -> None:
    responses, stats = answers(loopback.Plan(finish_reason=reason, candidate=candidate), ask(1))
    response = responses["0"]
    assert (response.finish, stats.calls) == (finish, 1)
    assert (response.text == "") is bool(candidate)
    assert response.usage == Usage(11, 7)
    assert response.error is None if finish != "filter" else reason in str(response.error)


def test_continuation_is_not_followed() -> None:
    plan = loopback.Plan(finish_reason="CONTINUATION", candidate={"continuationToken": "AAAA"})
    _, stats = answers(plan, ask(1))
    assert stats.calls == 1


@pytest.mark.parametrize("reason", ["SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY"])
def test_blocked_prompt_is_filtered(reason: str) -> None:
    responses, stats = answers(loopback.Plan(block_reason=reason), ask(1))
    assert (responses["0"].finish, stats.calls) == ("filter", 1)
    assert reason in str(responses["0"].error)


def test_reason_that_nobody_knows_is_no_answer() -> None:
    responses, stats = answers(loopback.Plan(finish_reason="BORED"), ask(1))
    assert (responses["0"].finish, stats.calls) == ("error", 1)
    assert "BORED" in str(responses["0"].error)


@pytest.mark.parametrize(
    "part",
    [
        None,
        {"inlineData": {"mimeType": "image/png", "data": ""}},
        {"text": None},
        "text",
        {"functionCall": {}},
    ],
)
def test_parts_that_are_no_text_are_passed_over(part: object) -> None:
    candidate = {"content": {"parts": [part, {"text": "a"}, {"text": "b"}], "role": "model"}}
    responses, _ = answers(loopback.Plan(candidate=candidate), ask(1))
    assert (responses["0"].text, responses["0"].finish) == ("ab", "stop")


@pytest.mark.parametrize("field", loopback.LACKS)
def test_parameter_that_the_model_lacks_is_dropped_and_shown(field: str) -> None:
    params = GenParams(seed=1, temperature=0.5, json_schema={"type": "object"})
    requests = ask(6, params=params, system="Be brief.")
    responses, stats = answers(loopback.Plan(lacks=(field,)), requests, thinking="0", concurrency=2)
    assert {response.finish for response in responses.values()} == {"stop"}
    name = {
        "thinkingConfig": "thinking",
        "responseMimeType": "json_schema",
        "systemInstruction": "system",
    }.get(field, field)
    assert {response.dropped for response in responses.values()} == {(name,)}
    assert 1 <= stats.faults[field] <= 2  # known from then on
    last = stats.bodies[-1]
    assert field not in last
    assert field not in last.get("generationConfig", {})
    assert loopback.prompt_of(last).startswith("Be brief.") is (name == "system")


def test_model_that_lacks_all_is_asked_with_what_is_left() -> None:
    params = GenParams(max_tokens=9, seed=1, temperature=0.5, json_schema={"type": "object"})
    responses, stats = answers(
        loopback.Plan(lacks=tuple(loopback.LACKS)), ask(1, params=params, system="S"), thinking="0"
    )
    assert set(responses["0"].dropped) == {"thinking", "json_schema", "seed", "temperature", "system"}
    assert stats.bodies[-1]["generationConfig"] == {"maxOutputTokens": 9}


def test_what_the_api_cannot_hold_is_dropped() -> None:
    params = GenParams(seed=2**31, stop=tuple("abcdefg"))
    responses, stats = answers(loopback.Plan(), ask(1, params=params))
    assert responses["0"].dropped == ("seed", "stop")
    assert stats.bodies[0]["generationConfig"] == {"stopSequences": list("abcde")}


# Faults.


@pytest.mark.parametrize("fault", [*TRANSIENT, "429-date"])
def test_transient_fault_is_asked_again(fault: str) -> None:
    responses, stats = answers(loopback.Plan(first=(fault, fault)), ask(1))
    assert responses["0"].finish == "stop", responses["0"].error
    assert stats.faults[fault] == 2
    assert stats.calls == 3


def test_a_third_of_faults_fails_no_request_and_asks_none_twice() -> None:
    responses, stats = answers(
        loopback.Plan(faults=dict.fromkeys(TRANSIENT, 0.33 / len(TRANSIENT))), ask(200)
    )
    assert [response.error for response in responses.values() if response.finish != "stop"] == []
    assert len(responses) == 200
    assert set(stats.faults) == set(TRANSIENT)
    assert set(stats.answered.values()) == {1}


@pytest.mark.parametrize("fault", ["hang", "slow"])
def test_silent_server_is_asked_again_after_the_attempt_timeout(fault: str) -> None:
    responses, stats = answers(loopback.Plan(first=(fault,)), ask(1), attempt_timeout=0.3)
    assert (responses["0"].finish, stats.calls) == ("stop", 2)


@pytest.mark.parametrize(
    ("fault", "asked", "seconds"),
    [("429", "0.25s", 0.25), ("429", "0s", 0.0), ("429", "soon", None), ("429-header", "0.25s", 0.25)],
)
def test_delay_that_the_server_asks_for_is_read(
    fault: str, asked: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    wait_before = retry.wait_before

    def watch(attempt: int, retry_after: float | None, dice: random.Random) -> float:
        seen.append(retry_after)
        return wait_before(attempt, retry_after, dice)

    monkeypatch.setattr(retry, "wait_before", watch)
    responses, _ = answers(loopback.Plan(first=(fault,), retry_after=asked), ask(1))
    assert responses["0"].finish == "stop"
    assert seen == [seconds]


def test_request_fails_after_its_deadline() -> None:
    responses, _ = answers(loopback.Plan(faults={"503": 1.0}), ask(1), deadline=0.3)
    assert responses["0"].finish == "error"
    assert "overloaded" in str(responses["0"].error)


@pytest.mark.parametrize("fault", ["context", "payload", "image", "413"])
def test_request_that_the_model_cannot_take_is_rejected(fault: str) -> None:
    responses, stats = answers(loopback.Plan(faults={fault: 1.0}), ask(30))
    assert {response.finish for response in responses.values()} == {"rejected"}
    assert stats.calls == 30
    assert loopback.STATUS_FAULTS[fault]["message"] in str(responses["0"].error)


@pytest.mark.parametrize("fault", ["401", "403", "404", "key", "place", "daily", "spent", "redirect"])
def test_what_no_retry_heals_ends_the_stream(fault: str) -> None:
    with loopback.serve() as (elsewhere, other), loopback.serve() as (url, server):
        server.plan = loopback.Plan(
            faults={fault: 1.0}, latency=0.01, location=f"{elsewhere}/v1beta/models/m:generateContent"
        )
        chat = Gemini(model="my-model", base_url=url, concurrency=4)
        with pytest.raises(AdapterError) as raised:
            list(chat.generate(ask(500)))
    text = str(raised.value)
    assert url in text
    assert "GEMINI_API_KEY" in text
    assert "my-model" in text
    assert KEY not in text
    assert server.stats.calls < 20
    assert other.stats.calls == 0  # a redirect is not followed: it would take key and pictures along


def test_a_bad_request_fails_alone_once_others_have_succeeded() -> None:
    responses, stats = answers(loopback.Plan(first=(None, *(["400"] * 10))), ask(15), concurrency=1)
    assert [response.finish for response in responses.values()].count("error") == 10
    assert stats.calls == 15


def test_server_that_never_was_there_ends_the_stream() -> None:
    with contextlib.closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(AdapterError, match=r"nobody answers at http://127\.0\.0\.1"):
            list(Gemini(model="m", base_url=url, start_patience=0.3).generate(ask(50)))


def test_server_that_accepts_no_connection_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemini, "_CONNECT_SECONDS", 0.1)
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(contextlib.closing(socket.socket()))
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(8):  # whoever comes after them gets no answer to the first packet
            waiting = stack.enter_context(contextlib.closing(socket.socket()))
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        with pytest.raises(AdapterError, match=r"nobody answers at http://127\.0\.0\.1"):
            list(Gemini(model="m", base_url=url, start_patience=0.3, attempt_timeout=60).generate(ask(5)))


def test_server_that_dies_and_comes_back_loses_nothing() -> None:
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        url, _ = first.enter_context(loopback.serve(loopback.Plan(latency=0.005)))
        port = int(url.rpartition(":")[2])

        def requests() -> Iterator[Request]:
            for i, request in enumerate(ask(60)):
                if i == 20:
                    first.close()
                    threading.Timer(0.4, lambda: second.enter_context(loopback.serve(port=port))).start()
                yield request

        responses = list(Gemini(model="m", base_url=url, concurrency=8).generate(requests()))
    assert len(responses) == 60
    assert [response.error for response in responses if response.finish != "stop"] == []


# Keys.


@pytest.mark.parametrize(
    ("variables", "options", "key"),
    [
        ({"GEMINI_API_KEY": "a", "GOOGLE_API_KEY": "b"}, {}, "a"),
        ({"GOOGLE_API_KEY": "b"}, {}, "b"),
        ({}, {}, "none"),
        ({"GEMINI_API_KEY": "a", "OTHER": "c"}, {"key_env": "OTHER"}, "c"),
        # The SDK by itself would take a key of the environment for any address.
        ({"GEMINI_API_KEY": "a", "GOOGLE_API_KEY": "b"}, {"key_env": "none"}, "none"),
    ],
)
def test_the_key_that_is_sent(
    variables: Mapping[str, str],
    options: Mapping[str, Any],
    key: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    responses, stats = answers(loopback.Plan(), ask(2), **options)
    assert {response.finish for response in responses.values()} == {"stop"}
    assert stats.keys == {key}
    assert "GOOGLE_API_KEY" not in caplog.text  # the SDK's word on which it takes would be wrong


def test_environment_of_the_sdk_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", NOWHERE)
    monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "v7")
    responses, stats = answers(loopback.Plan(), ask(1))
    assert responses["0"].finish == "stop"
    assert stats.paths == {"/v1beta/models/m:generateContent"}


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("https://gateway.example.com", "key_env"),
        ("https://generativelanguage.googleapis.com.example.com", "key_env"),
        ("http://generativelanguage.googleapis.com", "plain http"),
    ],
)
def test_googles_key_goes_to_google_alone(url: str, match: str) -> None:
    with pytest.raises(UsageError, match=match) as raised:
        Gemini(model="m", base_url=url)
    assert KEY not in str(raised.value)
    assert not Gemini(model="m").is_private


def test_key_is_in_no_error_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with loopback.serve(loopback.Plan(faults={"key": 0.5, "401": 0.4})) as (url, server):
        chat = Gemini(model="m", base_url=url, deadline=0.3)
        told = []
        try:
            told += [str(response) for response in chat.generate(ask(40))]
        except AdapterError as error:
            told.append(repr(error) + repr(error.__cause__) + repr(error.__context__))
    assert server.stats.keys == {KEY}
    assert KEY not in "\n".join((*told, caplog.text, repr(chat)))
    assert "[GEMINI_API_KEY]" in "\n".join(told)  # the server did quote it


# Settings, and whole runs.


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"thinking": "much"}, "thinking='much'"),
        ({"thinking": "-2"}, "number of tokens"),
        ({"media_resolution": "4k"}, "low, medium, high"),
        ({"api_version": "../v1"}, "v1beta"),
        ({"model": ""}, "name"),
        ({"base_url": None, "key_env": "NO_SUCH_KEY"}, "NO_SUCH_KEY"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: Mapping[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        Gemini(**{"model": "m", "base_url": NOWHERE, **options})


@pytest.mark.parametrize("package", ["google.genai", "aiohttp"])
def test_missing_package_names_its_remedy(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(AdapterError, match=r'pip install "nova-bench\[gemini\]"'):
        Gemini(model="m", base_url=NOWHERE)


def test_vendor_package_is_imported_only_when_a_request_is_sent() -> None:
    code = (
        f"import sys, nova_bench.backends as b; b.Gemini(model='m', base_url={NOWHERE!r})\n"
        "print(sorted({'google.genai', 'aiohttp', 'pydantic', 'PIL', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def run_words(url: str, *more: str) -> tuple[str, ...]:
    return (
        "run",
        "nova_localization",
        "--data",
        "mini",
        "--model",
        "gemini:m",
        "-o",
        f"base_url={url}",
        *more,
    )


def written(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file())


def test_run_reaches_the_end_through_faults_and_holds_no_key(tmp_path: Path) -> None:
    env = {"GEMINI_API_KEY": KEY, "GOOGLE_API_KEY": f"{KEY}-2"}
    plan = loopback.Plan(first=(None, "401", None, "429", "reset", None, "500", "empty", "html"))
    with loopback.serve(plan) as (url, server):
        once = nova(tmp_path, *run_words(url, "--out", "out", "-o", "concurrency=1"), env=env)
        assert once.returncode == 1, once.stderr  # the request that was told 401
        assert "[GEMINI_API_KEY]" in once.stderr
        again = nova(tmp_path, *run_words(url, "--out", "out"), env=env)
        assert again.returncode == 0, again.stderr
    finishes = [json.loads(line) for line in (tmp_path / "out" / "responses.jsonl").read_text().splitlines()]
    final = [record for record in finishes if record["finish"] == "stop"]
    assert server.stats.answered.total() == len(final) == len({record["id"] for record in final})
    assert server.stats.keys == {KEY}
    log = written(tmp_path)
    assert b"[GEMINI_API_KEY]" in log
    assert KEY.encode() not in log
    assert KEY not in "".join((once.stdout, once.stderr, again.stdout, again.stderr))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {cell["n_failed"] for cell in report["cells"]} == {0}
    asked = loopback.prompt_of(server.stats.bodies[0])
    assert "[y_min, x_min, y_max, x_max]" in asked  # the frame of the card


def test_run_gives_every_outcome_its_state(tmp_path: Path) -> None:
    kinds = ("context", "filter", "length", "empty", None)
    seen: dict[bytes, str | None] = {}

    def outcome(body: Mapping[str, Any]) -> Mapping[str, Any]:
        images = b"".join(data for _, data in loopback.images_of(body))
        kind = seen.setdefault(images, kinds[1 + len(seen) % 4])
        plan = {
            "filter": loopback.Plan(block_reason="SAFETY"),
            "length": loopback.Plan(finish_reason="MAX_TOKENS"),
            "empty": loopback.Plan(candidate={"content": {"role": "model"}}),
            None: loopback.Plan(),
        }[kind]
        return loopback.answer(plan, "m", loopback.answer_to(body))

    plan = loopback.Plan(first=("context",), answer_of=outcome)
    with loopback.serve(plan) as (url, _):
        done = nova(tmp_path, *run_words(url, "--out", "out", "--json"), env={"GEMINI_API_KEY": KEY})
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)["cells"][0]["counts"]
    assert counts["failed"] == 0
    assert counts["rejected"] == 1
    assert all(counts[state] for state in ("refused", "truncated", "unparsed", "ok"))


def test_run_with_a_wrong_key_ends_with_one_clear_error(tmp_path: Path) -> None:
    with loopback.serve(loopback.Plan(faults={"key": 1.0})) as (url, server):
        done = nova(tmp_path, *run_words(url, "--out", "out"), env={"GEMINI_API_KEY": KEY})
    assert done.returncode == 1
    assert "API key" in done.stderr
    assert "Traceback" not in done.stderr
    assert server.stats.calls < 20
    assert KEY not in done.stdout + done.stderr


def test_adapter_without_a_model_says_how_to_name_one(tmp_path: Path) -> None:
    done = nova(tmp_path, "run", "nova_localization", "--data", "mini", "--model", "gemini")
    assert done.returncode == 2
    assert "--model gemini:" in done.stderr
