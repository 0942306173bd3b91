"""How a loopback server behaves, and what it saw."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass
class Plan:
    """How the server behaves."""

    latency: float = 0.0
    faults: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Kind of fault to the share of calls that it strikes, drawn from the seed, the request and the attempt."""
    first: tuple[str | None, ...] = ()
    """Faults of the first calls, in order (None: answer); after that `faults` holds."""
    retry_after: str = "0.02"
    seed: int = 0
    is_raw: bool = False
    """Leave the body unread by JSON and answer a constant: a benchmark measures the client, not the server."""
    raw_answer: str = "[]"
    """The constant."""
    message: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Fields over the answer's own message."""
    finish_reason: str | None = "stop"
    usage: Mapping[str, Any] | None = dataclasses.field(
        default_factory=lambda: {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    )
    latency_of: Callable[[str], float] | None = None
    """Latency by prompt, over `latency`."""
    answer_of: Callable[[Mapping[str, Any]], str] | None = None
    """Answer by request, over `answer_to`."""
    fault_of: Callable[[Mapping[str, Any]], str | None] | None = None
    """A request's own fault, which strikes each of its calls that no other fault does; None: it is answered."""
    choice_of: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    """Fields over the answer's choice, by request: ``finish_reason``, ``message``."""
    capacity: int | None = None
    """Calls in flight that are served; further ones get 429, as from a vendor with a rate limit."""
    refuses: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Parameters of a body to the code with which a request that has them is refused."""
    probs_of: Callable[[Mapping[str, Any]], Mapping[str, float]] | None = None
    """Tokens of the answer's first position to their probability, by request."""
    reasoning: str = ""
    """What the model thought, in the form of the API that was called."""
    response: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Fields over a Responses answer's own."""
    redirect_to: str = ""
    """Where the fault ``redirect`` sends to."""
    quotes: bool = False
    """Errors quote the prompt, as servers do that say which field was wrong."""


@dataclasses.dataclass
class Stats:
    """What the server saw."""

    calls: int = 0
    answered: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """sha256 of a request's body to the number of calls that were answered with 200 and a completion."""
    prompts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """The same by the text of the prompt."""
    faults: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    in_flight: int = 0
    most_in_flight: int = 0
    first_at: float | None = None
    """Seconds since the epoch at which the first call came, its body not read yet."""
    last_at: float | None = None
    """The same for when the last call was dealt with."""
    loads: list[int] = dataclasses.field(default_factory=list)
    """Calls in flight when each call came, itself included."""
    calls_too_early: int = 0
    """Calls that came before the last ``Retry-After`` had passed."""
    keys: set[str] = dataclasses.field(default_factory=set)
    bodies: list[bytes] = dataclasses.field(default_factory=list)
    """The bodies, as long as they are few (64)."""
    headers: list[dict[str, str]] = dataclasses.field(default_factory=list)
    """The headers, as long as they are few (64)."""
