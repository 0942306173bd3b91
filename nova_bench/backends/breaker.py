"""When a whole run is given up: 10,000 requests that fail one by one would hide the one sentence that explains them.

A run ends, with that sentence and the remedy, where

- many requests in a row fail for a cause that asking again cannot heal (a wrong key, an unknown model, a spent credit);
- nobody listens at the address, for `start_patience` seconds if nobody ever did, else for `outage_patience`;
- the server has only failed (500, resets, answers cut short) for `outage_patience`: requests then fail after three attempts, so that
  those that the server cannot digest make room for others, and 20 in a row beyond what was in flight end the run;
- one request after the other runs into its deadline and none is answered.

Whatever ends it, the run can be resumed: nothing that is final was made up.
"""

from __future__ import annotations

import asyncio
import time

from nova_bench.errors import AdapterError

HOPELESS = 3
"""Requests in a row that fail for good before a stream ends, where nothing has succeeded yet and the cause concerns them all."""
REVOKED = 20
"""The same after a success (a key that was revoked, a credit that is spent), or where the fault may lie in the requests."""
FEW_ATTEMPTS = 3
"""Attempts that a request has in an outage that outlasted the patience."""
GRACE = 15.0
"""Seconds that attempts in flight still have when nobody listens any more."""


class Breaker:
    """Watches all requests of one stream; lives on its event loop.

    Args:
        start_patience: Seconds for which an address where nobody ever listened is tried.
        outage_patience: Seconds for which a server that only fails is tried.
        concurrency: Requests in flight, at most: all of them may be ones that the server cannot digest.
        remedy: What the error that ends the stream says about the server and what to check.
    """

    def __init__(
        self, *, start_patience: float, outage_patience: float, concurrency: int, remedy: str
    ) -> None:
        self._concurrency = concurrency
        self._start_patience = start_patience
        self._outage_patience = outage_patience
        self._remedy = remedy
        self._has_succeeded = False
        self._is_reached = False
        self._failed_in_a_row = 0
        self._unreachable_since: float | None = None
        self._failing_since: float | None = None
        self._pending: dict[asyncio.Timeout, float] = {}
        self.opened = asyncio.Event()
        """Set when the stream is given up."""
        self.error: AdapterError | None = None
        """Why."""

    def begin(self, timeout: asyncio.Timeout) -> None:
        """Note that an attempt goes out."""
        self._pending[timeout] = time.monotonic()

    def end(self, timeout: asyncio.Timeout) -> None:
        """Note that it is back."""
        del self._pending[timeout]

    def answered(self) -> None:
        """Note an answer: all is well."""
        self._is_reached = self._has_succeeded = True
        self._failed_in_a_row = 0
        self._unreachable_since = self._failing_since = None

    def busy(self) -> None:
        """Note a refusal by a server that is well and asked too much."""
        self._is_reached = True
        self._unreachable_since = self._failing_since = None

    def unreached(self, fault: str) -> None:
        """Note that nobody listened.

        Raises:
            AdapterError: For too long.
        """
        now = time.monotonic()
        if self._unreachable_since is None:
            self._unreachable_since = now
        if now - self._unreachable_since >= self._patience:
            for timeout in self._pending:
                timeout.reschedule(min(timeout.when() or 1e18, asyncio.get_running_loop().time() + GRACE))
            raise self.give_up(f"{fault}, for {self._patience:.3g} s")

    def seconds_to_unreachable(self) -> float | None:
        """Return the seconds after which a server that is unreachable now is given up; None if it is not."""
        if self._unreachable_since is None:
            return None
        return max(0.05, self._unreachable_since + self._patience - time.monotonic())

    def failing(self, attempts: int) -> bool:
        """Note a fault of the server, and return whether the request has had its attempts.

        Answers that are still out since before the first fault keep the hope: one request that a server cannot digest may fail for
        minutes while others are being answered.
        """
        self._is_reached = True
        self._unreachable_since = None
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        oldest = next(iter(self._pending.values()), now)
        return (
            attempts >= FEW_ATTEMPTS
            and now - self._failing_since >= self._outage_patience
            and oldest >= self._failing_since
        )

    def failed(self, fault: str, *, concerns_all: bool, is_permanent: bool) -> None:
        """Note that a request failed for good.

        Args:
            fault: Why.
            concerns_all: It would strike every request.
            is_permanent: Asking again would not have helped; else the request ran out of time or attempts.

        Raises:
            AdapterError: Too many in a row.
        """
        if is_permanent:
            self._is_reached = True
            self._unreachable_since = self._failing_since = None
            if self._has_succeeded and not concerns_all:
                return
        self._failed_in_a_row += 1
        most = REVOKED
        if concerns_all and not self._has_succeeded:
            most = HOPELESS
        if not (concerns_all or is_permanent):
            most = REVOKED + self._concurrency
        if self._failed_in_a_row >= most:
            raise self.give_up(f"{fault} ({self._failed_in_a_row} times in a row)")

    def give_up(self, reason: str) -> AdapterError:
        """Open, and return the error to raise; later calls return the first one's."""
        if self.error is None:
            self.error = AdapterError(f"{reason}; {self._remedy}")
            self.opened.set()
        return self.error

    @property
    def _patience(self) -> float:
        return self._outage_patience if self._is_reached else self._start_patience
