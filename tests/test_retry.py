"""When is asked again and when all is given up: the vendor's own client against a server that fails in every way we know."""

from __future__ import annotations

import collections
import contextlib
import importlib.util
import random
import socket
import ssl
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_bench.backends import breaker, retry
from nova_bench.backends.openai_chat import OpenAIChat
from nova_bench.errors import AdapterError
from nova_bench.types import Request, Response

ROOT = Path(__file__).resolve().parents[1]
KEY = "sk-secret-0123456789abcdef"
PEM = ROOT / "tests" / "loopback_tls.pem"
"""A certificate for 127.0.0.1 that signs itself, with its key: a secret to nobody."""


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
    monkeypatch.setattr(retry, "LONGEST_WAIT", 0.1)
    monkeypatch.setattr(breaker, "GRACE", 0.2)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    left = [thread for thread in threading.enumerate() if thread.name.startswith("nova-bench")]
    for thread in left:
        thread.join(10)
    assert [thread.name for thread in left if thread.is_alive()] == []


def ask(n: int) -> list[Request]:
    return [Request(str(i), str(i), 0, (f"question {i}",)) for i in range(n)]


def take(stream: Iterator[Response]) -> tuple[list[Response], str]:
    """Take all responses, and the error that ended the stream ("" for none)."""
    responses: list[Response] = []
    try:
        responses.extend(stream)  # what came before the error stays
    except AdapterError as error:
        return responses, str(error)
    return responses, ""


def run(plan: Any, n: int, **options: Any) -> tuple[list[Response], str, Any]:
    with loopback.serve(plan) as (url, server):
        return (*take(OpenAIChat(model="m", base_url=url, **options).generate(ask(n))), server.stats)


def finishes(responses: list[Response]) -> dict[str, int]:
    return dict(collections.Counter(response.finish for response in responses))


# Faults that heal.


def test_30_percent_of_transient_faults_fail_no_request_and_pay_none_twice() -> None:
    kinds = ("408", "429", "500", "502", "503", "504", "529", "reset", "cut", "empty", "html", "not-json")
    plan = loopback.Plan(faults=dict.fromkeys(kinds, 0.3 / len(kinds)), retry_after="0.01")
    responses, error, stats = run(plan, 1000, concurrency=32)
    assert (finishes(responses), error) == ({"stop": 1000}, "")
    assert set(stats.faults) == set(kinds)
    assert 300 < sum(stats.faults.values()) < 600
    assert set(stats.prompts.values()) == {1}


def test_a_request_is_tried_as_often_as_its_deadline_allows() -> None:
    plan = loopback.Plan(first=("503",) * 40 + ("reset",) * 20 + ("cut",) * 20)
    responses, error, stats = run(plan, 1, concurrency=1)
    assert (finishes(responses), error, stats.calls) == ({"stop": 1}, "", 81)


def test_a_server_that_hangs_costs_an_attempt_and_no_request() -> None:
    responses, error, stats = run(loopback.Plan(faults={"hang": 0.2}), 60, attempt_timeout=0.3)
    assert (finishes(responses), error) == ({"stop": 60}, "")
    assert stats.faults["hang"] > 3


def test_a_request_says_after_its_deadline_what_happened_and_how_often() -> None:
    with loopback.serve(loopback.Plan(first=(None, *["500"] * 1000))) as (url, _):
        chat = OpenAIChat(model="m", base_url=url, concurrency=1, deadline=0.4)
        responses, error = take(chat.generate(ask(3)))
    assert [response.finish for response in responses] == ["stop", "error", "error"]
    assert error == ""
    for response in responses[1:]:
        assert str(response.error).startswith("HTTP 500: The server had an error. (")
        assert "attempts in 0." in str(response.error)


def test_waiting_for_a_place_costs_a_request_none_of_its_time() -> None:
    plan = loopback.Plan(latency=0.08, capacity=1, retry_after="0")
    responses, error, _ = run(plan, 25, concurrency=8, deadline=1.5)
    assert (finishes(responses), error) == ({"stop": 25}, "")


def test_a_server_that_dies_and_comes_back_fails_no_request() -> None:
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        url, _ = first.enter_context(loopback.serve(loopback.Plan(latency=0.005)))
        port = int(url.split(":")[-1].removesuffix("/v1"))
        back = threading.Timer(0.7, lambda: second.enter_context(loopback.serve(port=port)))

        def requests() -> Iterator[Request]:
            for i, request in enumerate(ask(100)):
                if i == 40:
                    first.close()
                    back.start()
                yield request

        chat = OpenAIChat(model="m", base_url=url, concurrency=8)
        responses, error = take(chat.generate(requests()))
        back.join()
    assert (finishes(responses), error) == ({"stop": 100}, "")


@given(attempt=st.integers(1, 5000), seed=st.integers())
def test_back_off_spreads_over_its_whole_span(attempt: int, seed: int) -> None:
    dice = random.Random(seed)
    longest = min(retry.LONGEST_WAIT, retry.FIRST_WAIT * 2 ** min(attempt - 1, 20))
    waits = [retry.wait_before(attempt, None, dice) for _ in range(400)]
    assert 0 <= min(waits) < 0.1 * longest
    assert 0.9 * longest < max(waits) <= longest
    assert 0.4 * longest < statistics.mean(waits) < 0.6 * longest


# When all is given up.


def test_a_server_that_dies_and_stays_dead_ends_the_stream_and_loses_no_answer() -> None:
    with contextlib.ExitStack() as server:
        url, loop = server.enter_context(loopback.serve(loopback.Plan(latency=0.005)))

        def requests() -> Iterator[Request]:
            for i, request in enumerate(ask(1000)):
                if i == 40:
                    server.close()
                yield request

        chat = OpenAIChat(model="m", base_url=url, concurrency=8, outage_patience=0.5)
        responses, error = take(chat.generate(requests()))
    assert f"nobody answers at {url}" in error
    assert "for 0.5 s; check the server at base_url" in error
    # What was being asked is asked again by the next run; nothing else was touched.
    assert finishes(responses)["error"] <= 8
    assert finishes(responses)["stop"] == sum(loop.stats.answered.values())


@pytest.mark.parametrize("fault", ["500", "502", "reset", "cut", "html", "error-200"])
def test_a_server_that_only_fails_ends_the_stream(fault: str) -> None:
    responses, error, _ = run(loopback.Plan(faults={fault: 1.0}), 1000, outage_patience=0.3)
    assert "times in a row); check the server at base_url=http://127.0.0.1" in error
    assert "OPENAI_API_KEY" in error
    assert set(finishes(responses)) == {"error"}
    assert len(responses) < 60


def test_a_server_that_only_fails_later_ends_the_stream_later() -> None:
    plan = loopback.Plan(first=(None,) * 50, faults={"500": 1.0})
    responses, error, _ = run(plan, 1000, outage_patience=0.3)
    assert "20 times in a row" in error
    assert finishes(responses)["stop"] == 50
    assert finishes(responses)["error"] < 60


def test_requests_that_a_server_cannot_digest_make_room_for_the_others() -> None:
    def answer(body: Any) -> str:
        if int(loopback.prompt_of(body).split()[1]) < 8:
            raise RuntimeError("the server breaks over this one")
        return "fine"

    responses, error, _ = run(loopback.Plan(answer_of=answer), 60, concurrency=8, outage_patience=0.3)
    assert error == ""
    assert {response.id for response in responses if response.finish == "error"} == set("01234567")
    assert finishes(responses) == {"error": 8, "stop": 52}


def test_a_few_broken_requests_wait_for_answers_that_are_still_out() -> None:
    plan = loopback.Plan(
        latency_of=lambda prompt: 1.2 if prompt == "question 0" else 0.0,
        first=(None,),
        faults={"500": 1.0},
    )
    with loopback.serve(plan) as (url, server):

        def requests() -> Iterator[Request]:
            for request in ask(4):
                yield request
                while server.stats.calls < 1:  # the slow one is asked first
                    time.sleep(0.001)

        def heal() -> None:
            server.plan.faults = {}

        healer = threading.Timer(0.8, heal)
        healer.start()
        chat = OpenAIChat(model="m", base_url=url, concurrency=4, outage_patience=0.2)
        responses, error = take(chat.generate(requests()))
        healer.join()
    assert (finishes(responses), error) == ({"stop": 4}, "")


@pytest.mark.parametrize("fault", ["503", "429", "hang"])
def test_a_server_that_is_busy_for_ever_ends_the_stream_after_the_deadline(fault: str) -> None:
    plan = loopback.Plan(faults={fault: 1.0}, retry_after="0.01")
    responses, error, _ = run(plan, 1000, deadline=0.6, attempt_timeout=0.25)
    assert "3 times in a row" in error
    assert set(finishes(responses)) == {"error"}
    assert len(responses) <= 16 + 2


def test_retry_after_beyond_the_deadline_ends_the_stream_at_once() -> None:
    plan = loopback.Plan(first=(None,) * 20, faults={"429": 1.0}, retry_after="7200")
    responses, error, stats = run(plan, 1000, concurrency=4)
    assert "the server asks to wait 7200 s, longer than a request may take (600 s)" in error
    assert "give the same command again after that" in error
    assert finishes(responses)["stop"] == 20
    assert stats.calls <= 20 + 4
    assert KEY not in error


def test_a_key_revoked_in_the_middle_keeps_what_is_in_flight() -> None:
    plan = loopback.Plan(first=(None,) * 100, faults={"401": 1.0}, latency=0.01)
    responses, error, stats = run(plan, 1000, concurrency=16)
    assert "20 times in a row" in error
    assert "the key in OPENAI_API_KEY" in error
    assert finishes(responses)["stop"] == 100 == sum(stats.answered.values())
    assert finishes(responses)["error"] <= 2 * (20 + 16)
    assert KEY not in error + "".join(str(response.error) for response in responses)


@pytest.mark.parametrize(
    ("fault", "words"),
    [("401", "Incorrect API key"), ("404", "does not exist"), ("quota", "exceeded your quota")],
)
def test_wrong_key_unknown_model_and_spent_credit_cost_a_handful_of_calls(fault: str, words: str) -> None:
    responses, error, stats = run(loopback.Plan(faults={fault: 1.0}), 900, concurrency=8)
    assert words in error
    assert "the key in OPENAI_API_KEY and the model's name 'm'" in error
    assert stats.calls <= len(responses) <= 3 + 8
    assert sum(error in str(response.error) for response in responses) == 1  # said once, not 900 times
    assert set(finishes(responses)) == {"error"}


def test_a_port_where_nobody_listens_ends_the_stream() -> None:
    with contextlib.closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        chat = OpenAIChat(model="m", base_url=url, start_patience=0.3)
        responses, error = take(chat.generate(ask(900)))
    assert error.startswith(f"nobody answers at {url}: ")
    assert len(responses) <= 16


def test_a_half_dead_server_is_not_waited_for_until_the_attempts_time_out() -> None:
    plan = loopback.Plan(first=(None,) * 10 + ("hang",) * 4, faults={"reset": 1.0})
    with loopback.serve(plan) as (url, server):

        def requests() -> Iterator[Request]:
            for i, request in enumerate(ask(100)):
                if i == 14:  # open connections go on, and new ones are refused
                    while server.stats.calls < 14:
                        time.sleep(0.001)
                    server.stop_listening()
                yield request

        chat = OpenAIChat(model="m", base_url=url, concurrency=6, outage_patience=0.2)
        responses, error = take(chat.generate(requests()))
        assert server.stats.faults["hang"] == 4
    assert "nobody answers at" in error
    assert finishes(responses) == {"stop": 10, "error": 6}


# Certificates.


@pytest.fixture
def tls() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(PEM)
    return context


def test_a_certificate_that_nobody_vouches_for_ends_the_stream_with_its_remedy(tls: ssl.SSLContext) -> None:
    with loopback.serve(tls=tls) as (url, server):
        responses, error = take(OpenAIChat(model="m", base_url=url).generate(ask(900)))
    assert f"the certificate of {url} is not trusted: self-signed certificate" in error
    assert "SSL_CERT_FILE" in error
    assert len(responses) <= 3 + 16
    assert server.stats.calls == 0


def test_the_remedy_for_a_certificate_helps(tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
    with loopback.serve(tls=tls) as (url, _):
        responses, error = take(OpenAIChat(model="m", base_url=url).generate(ask(5)))
    assert (finishes(responses), error) == ({"stop": 5}, "")
