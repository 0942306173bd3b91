"""What every answer goes through before it is logged: an adapter that broke the contract for it makes it a failed one."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from nova_bench.types import Finish, Response, Usage

MAX_ANSWER = 1_000_000
"""Characters of an answer. A longer one is a fault of the adapter or server, not something a model was asked for: that sample fails."""


def checked(response: Response) -> Response:
    """Return the response, or a failed one in its place where the adapter broke the contract for it."""
    fault = None
    if response.finish not in get_args(Finish):
        fault = f"finish is {response.finish!r}; expected one of {', '.join(get_args(Finish))}"
    elif response.text is not None and not isinstance(response.text, str):
        fault = f"text is a {type(response.text).__name__}; expected a str or None"
    elif response.text is not None and len(response.text) > MAX_ANSWER:
        fault = f"an answer of {len(response.text):,} characters; at most {MAX_ANSWER:,} are kept"
    elif response.finish == "stop" and response.text is None and not response.arrays:
        fault = "finish is 'stop' but there is no text; an empty answer is text=''"
    elif response.finish == "error" and not response.error:
        fault = "failed without saying why"
    if fault is None:
        usage = _counts(response.usage)
        model = response.model if isinstance(response.model, str) else None
        if usage is response.usage and model is response.model:
            return response
        return replace(response, usage=usage, model=model)
    return Response(response.id, finish="error", error=fault, seconds=response.seconds)


def _counts(usage: Usage | None) -> Usage | None:
    """Return token counts without those that are no counts: servers send texts, fractions and negative numbers, and accounts add up."""
    if usage is None:
        return None
    counts = {
        key: value for key in Usage.__slots__ if type(value := getattr(usage, key)) is int and value >= 0
    }
    given = sum(getattr(usage, key) is not None for key in Usage.__slots__)
    return usage if len(counts) == given else Usage(**counts)
