"""When to ask again, and how long to wait before.

A vendor's fault is either *transient* (busy, restarting, a cut connection), which is tried again as often as the request's deadline
allows, or *permanent* (wrong key, unknown model, no credit), which fails at once. What ends a whole run is in
`nova_bench.backends.breaker`, how many ask at once in `nova_bench.backends.pace`.
"""

from __future__ import annotations

import asyncio
import email.utils
import math
import random
import time
from collections.abc import Awaitable, Callable

from nova_bench.backends.breaker import Breaker
from nova_bench.backends.pace import Pace
from nova_bench.errors import AdapterError
from nova_bench.types import Response

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
TRANSIENT_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
"""HTTP statuses that may heal."""
BUSY_STATUSES = frozenset({429, 503, 529})
"""Those by which a server that is well says that it is asked too much."""
STATUSES_FOR_ALL = frozenset({401, 402, 403, 404, 405})
"""Those that every other request would get too."""


class TransientError(Exception):
    """A fault that may heal.

    Args:
        text: What happened, without secrets.
        retry_after: Seconds that the server asks to wait.
        is_unreachable: Nobody listens at the address.
        is_busy: The server is well and refuses because it is asked too much: fewer at a time help. One that says when to come back is.
    """

    def __init__(
        self,
        text: str,
        retry_after: float | None = None,
        *,
        is_unreachable: bool = False,
        is_busy: bool = False,
    ) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        self.is_unreachable = is_unreachable
        self.is_busy = is_busy or retry_after is not None


class _LateError(TransientError):
    """No answer within the time that an attempt had."""


class PermanentError(Exception):
    """A fault that asking again cannot heal.

    Args:
        text: What happened, without secrets.
        concerns_all: It would strike every request (a key, a model's name), not only this one.
    """

    def __init__(self, text: str, *, concerns_all: bool = False) -> None:
        super().__init__(text)
        self.concerns_all = concerns_all


def fault_of(status: int, text: str, retry_after: str | None = None) -> TransientError | PermanentError:
    """Return what an HTTP status of 400 or more means, where the vendor says nothing more exact.

    Args:
        status: The status.
        text: What happened, without secrets.
        retry_after: The ``Retry-After`` header.

    >>> type(fault_of(503, "Overloaded")).__name__, type(fault_of(401, "Wrong key")).__name__
    ('TransientError', 'PermanentError')
    """
    if status in TRANSIENT_STATUSES:
        return TransientError(
            text, read_retry_after(retry_after, time.time()), is_busy=status in BUSY_STATUSES
        )
    return PermanentError(text, concerns_all=status in STATUSES_FOR_ALL)


def read_retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for (RFC 9110, 10.2.3), None where it says nothing that can be read.

    Args:
        value: The header: seconds, or an HTTP date.
        now: Seconds since the epoch.

    >>> read_retry_after("7", now=0), read_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", now=20), read_retry_after("soon", now=0)
    (7.0, 40.0, None)
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - now
        except (TypeError, ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def wait_before(attempt: int, retry_after: float | None, dice: random.Random) -> float:
    """Return the seconds to wait before asking again: any up to a bound that doubles, never less than the server asks for.

    The whole span is drawn from ("full jitter"), because requests that failed together would else come back together.

    Args:
        attempt: Attempts made so far, 1 or more.
        retry_after: What the server asked for.
        dice: Spreads requests that failed together.

    >>> dice = random.Random(0)
    >>> wait_before(1, None, dice) <= 0.5, wait_before(50, None, dice) <= 30, 60 <= wait_before(1, 60, dice) <= 61
    (True, True, True)
    """
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempt - 1, 30))
    if retry_after is not None:
        return retry_after + dice.uniform(0.0, FIRST_WAIT)
    return dice.uniform(0.0, longest)


class Patience:
    """Asks until there is an answer, for all requests of one stream; lives on its event loop.

    Args:
        deadline: Seconds that a request may take from its first attempt on, waits included.
        attempt_timeout: Seconds that one attempt may take.
        pace: How many ask at once.
        breaker: When all is given up.
    """

    def __init__(self, *, deadline: float, attempt_timeout: float, pace: Pace, breaker: Breaker) -> None:
        self._deadline = deadline
        self._attempt_timeout = attempt_timeout
        self._pace = pace
        self._breaker = breaker
        self._has_said_why = False
        self._dice = random.Random()  # not seeded: two runs side by side must not wait in step

    async def answer(self, request_id: str, ask: Callable[[], Awaitable[Response]]) -> Response:
        """Return the response of `ask`, called again after each `TransientError` until the deadline.

        Args:
            request_id: For the response that says that there is none.
            ask: One attempt.

        Raises:
            AdapterError: Every further request would fail too. Raised once; the others that were under way say that they were given up.
        """
        try:
            return await self._answer(request_id, ask)
        except AdapterError:
            if not self._has_said_why:
                self._has_said_why = True
                raise
            return Response(request_id, finish="error", error="given up together with the run")
        finally:
            if self._breaker.error is not None:
                self._pace.stop(self._breaker.error)

    async def _answer(self, request_id: str, ask: Callable[[], Awaitable[Response]]) -> Response:
        round_ = await self._pace.enter(is_again=False)
        # A request that waited for its first place has lost none of its time.
        began = time.monotonic()
        attempts = 0
        earlier: TransientError | None = None
        while True:
            attempts += 1
            left = began + self._deadline - time.monotonic()
            outcome = await self._attempt(round_, ask, min(self._attempt_timeout, max(left, 0.001)))
            if isinstance(outcome, Response):
                return outcome
            if isinstance(outcome, _LateError) and earlier is not None and left < self._attempt_timeout:
                outcome = (
                    earlier  # what kept the request waiting says more than that its last moment was too short
                )
            if isinstance(outcome, TransientError):
                earlier = outcome
            seconds = time.monotonic() - began
            if isinstance(outcome, PermanentError):
                self._breaker.failed(str(outcome), concerns_all=outcome.concerns_all, is_permanent=True)
                return Response(request_id, finish="error", error=str(outcome), seconds=seconds)
            is_given_up = self._is_given_up(outcome, attempts)
            round_or_none = None if is_given_up else await self._wait(outcome, attempts, began)
            if round_or_none is None:
                times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
                seconds = time.monotonic() - began
                fault = f"{outcome} ({times} in {seconds:.3g} s)"
                self._breaker.failed(fault, concerns_all=not is_given_up, is_permanent=False)
                return Response(request_id, finish="error", error=fault, seconds=seconds)
            round_ = round_or_none

    async def _attempt(
        self, round_: int, ask: Callable[[], Awaitable[Response]], seconds: float
    ) -> Response | TransientError | PermanentError:
        """Make one attempt in the place that was given, and give it back."""
        outcome: Response | TransientError | PermanentError | None = None
        timeout = asyncio.timeout(seconds)
        self._breaker.begin(timeout)
        try:
            async with timeout:
                outcome = await ask()
            self._breaker.answered()
        except TimeoutError:
            outcome = _LateError(f"no answer within {seconds:.3g} s")
        except (TransientError, PermanentError) as error:
            outcome = error
        finally:
            self._breaker.end(timeout)
            is_busy = isinstance(outcome, TransientError) and outcome.is_busy
            if isinstance(outcome, TransientError) and outcome.retry_after is not None:
                self._pace.hold(outcome.retry_after)
            self._pace.leave(round_, is_answered=isinstance(outcome, Response), is_refused=is_busy)
        return outcome

    def _is_given_up(self, fault: TransientError, attempts: int) -> bool:
        """Tell the breaker of a transient fault, and return whether this request has no hope left.

        Raises:
            AdapterError: No request has.
        """
        if fault.retry_after is not None and fault.retry_after > self._deadline:
            raise self._breaker.give_up(
                f"{fault}: the server asks to wait {fault.retry_after:.0f} s, longer than a request may take ({self._deadline:.0f} s); give the "
                "same command again after that"
            )
        if fault.is_unreachable:
            self._breaker.unreached(str(fault))
            return False
        if fault.is_busy:
            self._breaker.busy()
            return False
        return self._breaker.failing(attempts)

    async def _wait(self, fault: TransientError, attempts: int, began: float) -> int | None:
        """Wait, then for a place; return its round, None where the deadline comes first.

        Raises:
            AdapterError: Meanwhile all was given up.
        """
        wait = wait_before(attempts, fault.retry_after, self._dice)
        soon = self._breaker.seconds_to_unreachable()
        if soon is not None:
            wait = min(wait, soon)
        left = began + self._deadline - time.monotonic()
        if wait >= left:
            return None
        try:
            async with asyncio.timeout(wait):
                await self._breaker.opened.wait()
        except TimeoutError:
            pass
        if self._breaker.error is not None:
            raise self._breaker.error
        try:
            async with asyncio.timeout(began + self._deadline - time.monotonic()):
                return await self._pace.enter(is_again=True)
        except TimeoutError:
            return None
