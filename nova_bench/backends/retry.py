"""When to ask again, how long to wait before, and when to give a whole run up.

A vendor's fault is either *transient* (busy, restarting, a cut connection), which is tried again until the request's deadline, or
*permanent* (wrong key, unknown model, no credit), which fails at once. Many permanent faults in a row, or a server that never
answered at all, end the stream: 10,000 requests that fail one by one would hide the one sentence that explains them.
"""

from __future__ import annotations

import asyncio
import email.utils
import math
import random
import time
from collections.abc import Awaitable, Callable

from nova_bench.errors import AdapterError
from nova_bench.types import Response

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
HOPELESS = 3
"""Permanent faults in a row that end a stream, where they concern every request and nothing has succeeded yet."""
REVOKED = 20
"""The same after a success (a key that was revoked, a credit that is spent), or where the fault may lie in the requests."""


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
        is_busy: The server is well and refuses because it is asked too much: fewer at a time help.
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
        self.is_busy = is_busy


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
    """Return the seconds to wait before asking again: doubled each time, jittered by half, never less than the server asks for.

    Args:
        attempt: Attempts made so far, 1 or more.
        retry_after: What the server asked for.
        dice: Spreads requests that failed together.

    >>> dice = random.Random(0)
    >>> wait_before(1, None, dice) <= 0.5, 15 <= wait_before(50, None, dice) <= 30, 60 <= wait_before(1, 60, dice) <= 61
    (True, True, True)
    """
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempt - 1, 30))
    if retry_after is not None:
        return retry_after + dice.uniform(0.0, min(FIRST_WAIT, longest) / 2)
    return dice.uniform(longest / 2, longest)


class Patience:
    """Asks until there is an answer, for all requests of one stream; lives on its event loop.

    Args:
        deadline: Seconds that a request may take, waits included.
        attempt_timeout: Seconds that one attempt may take.
        start_patience: Seconds for which an address where nobody ever listened is tried.
        where: What an error that ends the stream says about the server and its remedy.
    """

    def __init__(self, *, deadline: float, attempt_timeout: float, start_patience: float, where: str) -> None:
        self._deadline = deadline
        self._attempt_timeout = attempt_timeout
        self._start_patience = start_patience
        self._where = where
        self._has_succeeded = False
        self._is_reached = False
        self._unreachable_since: float | None = None
        self._permanent = 0
        self._given_up = asyncio.Event()

    async def answer(self, request_id: str, ask: Callable[[], Awaitable[Response]]) -> Response:
        """Return the response of `ask`, called again after each `TransientError` until the deadline.

        Args:
            request_id: For the response that says that there is none.
            ask: One attempt.

        Raises:
            AdapterError: Every further request would fail too.
        """
        began = time.monotonic()
        attempt = 0
        while True:
            attempt += 1
            left = began + self._deadline - time.monotonic()
            retry_after = None
            try:
                async with asyncio.timeout(min(self._attempt_timeout, left)):
                    response = await ask()
            except TimeoutError:
                fault = f"no answer within {min(self._attempt_timeout, left):.3g} s"
            except TransientError as error:
                fault, retry_after = str(error), error.retry_after
                if error.is_unreachable:
                    self._unreached(fault)
                else:
                    self._reached()
            except PermanentError as error:
                self._reached()
                self._failed_for_good(error)
                return Response(
                    request_id, finish="error", error=str(error), seconds=time.monotonic() - began
                )
            else:
                self._reached()
                self._has_succeeded = True
                self._permanent = 0
                return response
            now = time.monotonic()
            wait = wait_before(attempt, retry_after, random.Random(f"{request_id} {attempt}"))
            if self._unreachable_since is not None:
                wait = min(wait, max(0.05, self._unreachable_since + self._start_patience - now))
            left = began + self._deadline - now
            if wait < left and await self._sleep(wait):
                continue
            if wait >= left and retry_after is not None:
                await self._sleep(
                    left
                )  # a server that asks for an hour is not asked by all others at once instead
            times = "1 attempt" if attempt == 1 else f"{attempt} attempts"
            error_text = f"{fault} ({times} in {time.monotonic() - began:.3g} s)"
            return Response(request_id, finish="error", error=error_text, seconds=time.monotonic() - began)

    async def _sleep(self, seconds: float) -> bool:
        """Wait; return whether asking again still makes sense."""
        if seconds > 0 and not self._given_up.is_set():
            try:
                async with asyncio.timeout(seconds):
                    await self._given_up.wait()
            except TimeoutError:
                pass
        return not self._given_up.is_set()

    def _reached(self) -> None:
        self._is_reached = True
        self._unreachable_since = None

    def _unreached(self, fault: str) -> None:
        if self._is_reached:
            return
        now = time.monotonic()
        if self._unreachable_since is None:
            self._unreachable_since = now
        if self._given_up.is_set() or now - self._unreachable_since >= self._start_patience:
            self._given_up.set()
            raise AdapterError(f"{fault}; {self._where}")

    def _failed_for_good(self, error: PermanentError) -> None:
        self._permanent += 1
        if self._has_succeeded and not error.concerns_all:
            return
        if self._permanent >= (HOPELESS if error.concerns_all and not self._has_succeeded else REVOKED):
            self._given_up.set()
            raise AdapterError(f"{error} ({self._permanent} times in a row); {self._where}")
