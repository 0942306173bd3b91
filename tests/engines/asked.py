"""Requests for checkpoints with random weights, and what becomes of them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import numpy as np
import PIL.Image

from nova_bench.types import GenParams, Image, Request, Response


def picture(width: int, height: int, seed: int) -> Image:
    noise = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(noise).save(buffer, "PNG")
    return Image(data=buffer.getvalue())


def request(name: str, *parts: str | Image, **params: Any) -> Request:
    fields = {key: params.pop(key) for key in ("system", "outputs", "labels") if key in params}
    return Request(name, name, 0, parts, params=GenParams(**{"max_tokens": 12} | params), **fields)


def varied(n: int, **params: Any) -> list[Request]:
    """Return requests of different lengths, with one to two pictures of different sizes between the texts."""
    requests = []
    for i in range(n):
        second = (picture(50, 50, 99), "and this?") if i % 3 == 0 else ()
        text = "Is there a lesion" + " in the left temporal lobe" * (i % 5) + "?"
        requests.append(request(str(i), "Look:", picture(60 + 9 * i, 90, i), text, *second, **params))
    return requests


def answers(chat: Any, requests: Iterable[Request]) -> dict[str, Response]:
    responses = list(chat.generate(iter(requests)))
    assert len({response.id for response in responses}) == len(responses)
    return {response.id: response for response in responses}


def texts(responses: dict[str, Response]) -> dict[str, str | None]:
    assert all(response.finish in ("stop", "length") for response in responses.values()), responses
    return {name: response.text for name, response in sorted(responses.items())}
