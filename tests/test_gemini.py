"""The Gemini backend with Google's own SDK, against a server on this machine: what is sent, and what comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import loopback_gemini as loopback
import pytest
from gemini_chat import KEY, NOWHERE, answers, ask, no_thread_is_left, picture, short_waits
from google.genai import errors, types
from hypothesis import given
from hypothesis import strategies as st

from nova_bench.backends import gemini
from nova_bench.backends.gemini import Gemini
from nova_bench.images import Image
from nova_bench.types import GenParams, Request, Usage

pytestmark = pytest.mark.real("google-genai on a loopback server")

__all__ = ["no_thread_is_left", "short_waits"]  # fixtures


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
