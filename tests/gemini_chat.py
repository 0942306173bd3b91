"""What the tests of the Gemini backend share: requests, and short waits."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Iterator
from typing import Any

import loopback_gemini as loopback
import PIL.Image
import pytest

from nova_bench.backends import retry
from nova_bench.backends.gemini import Gemini
from nova_bench.images import Image
from nova_bench.types import Request, Response

KEY = "AIza-secret-0123456789abcdef"
NOWHERE = "http://127.0.0.1:1"


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
