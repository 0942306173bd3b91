"""The Gemini backend with Google's own SDK, against a server on this machine: faults, and where keys go."""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import loopback_gemini as loopback
import pytest
from gemini_chat import KEY, NOWHERE, answers, ask, no_thread_is_left, short_waits

from nova_bench.backends import gemini, retry
from nova_bench.backends.gemini import Gemini
from nova_bench.errors import AdapterError, UsageError
from nova_bench.types import Request

__all__ = ["no_thread_is_left", "short_waits"]  # fixtures

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
