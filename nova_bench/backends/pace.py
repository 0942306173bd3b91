"""How many attempts are in flight at once: more while answers come, half when a server says that it is asked too much.

Additive increase, multiplicative decrease, as in TCP: it settles near what a server bears without knowing its limits, and shares
them fairly with other runs. Three things differ, because a run is short and a refusal costs a whole round trip:

- it starts at 32 and doubles each round trip until the first refusal;
- after a refusal each round trip without another one adds one more than the last did, so that a single 503 costs seconds;
- refusals of attempts that began before the last decrease say nothing new, and count as one.

A server's ``Retry-After`` holds everybody back until then.
"""

from __future__ import annotations

import asyncio
import collections

FIRST = 32
"""Attempts in flight at the start, at most."""


class Pace:
    """The places of one stream; lives on its event loop.

    Args:
        most: Attempts in flight, at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(min(most, FIRST))
        self._in_flight = 0
        self._again: collections.deque[asyncio.Future[None]] = collections.deque()
        self._fresh: collections.deque[asyncio.Future[None]] = collections.deque()
        self._round = 0
        self._is_doubling = True
        self._clean_rounds = 0.0
        self._held_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._error: BaseException | None = None

    @property
    def limit(self) -> int:
        """How many attempts may be in flight now."""
        return int(self._limit)

    async def enter(self, *, is_again: bool) -> int:
        """Wait for a place, and return the round in which the attempt begins; `leave` must follow.

        Args:
            is_again: The request was tried before: it goes first, because its deadline runs.

        Raises:
            BaseException: What `stop` was given.
        """
        if self._error is not None:
            raise self._error
        loop = asyncio.get_running_loop()
        if (
            self._in_flight < self.limit
            and not (self._again or self._fresh)
            and loop.time() >= self._held_until
        ):
            self._in_flight += 1
            return self._round
        place: asyncio.Future[None] = loop.create_future()
        (self._again if is_again else self._fresh).append(place)
        self._admit()
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled() and place.exception() is None:  # given in the same moment
                self.leave(self._round)
            raise
        return self._round

    def leave(self, began_in: int, *, is_answered: bool = False, is_refused: bool = False) -> None:
        """Give a place back.

        Args:
            began_in: What `enter` returned.
            is_answered: The server answered.
            is_refused: The server said that it is asked too much.
        """
        if is_refused and began_in == self._round:
            self._limit = max(1.0, min(self._limit, self._in_flight) / 2)
            self._round += 1
            self._is_doubling = False
            self._clean_rounds = 0.0
        # A limit that nobody waits for was not tried out, and does not grow.
        elif is_answered and began_in == self._round and (self._again or self._fresh):
            self._clean_rounds += 1 / self._limit
            step = self._limit if self._is_doubling else 1 + int(self._clean_rounds)
            self._limit = min(self._most, self._limit + step / self._limit)
        self._in_flight -= 1
        self._admit()

    def hold(self, seconds: float) -> None:
        """Let no attempt begin before that many seconds have passed."""
        self._held_until = max(self._held_until, asyncio.get_running_loop().time() + seconds)

    def stop(self, error: BaseException) -> None:
        """Raise an error to everybody who waits, or will."""
        self._error = error
        for place in (*self._again, *self._fresh):
            if not place.done():
                place.set_exception(error)
        self._again.clear()
        self._fresh.clear()

    def _admit(self) -> None:
        """Give free places to those who wait."""
        loop = asyncio.get_running_loop()
        while self._in_flight < self.limit and (self._again or self._fresh):
            if loop.time() < self._held_until:
                if self._timer is None or self._timer.when() < self._held_until:
                    self._cancel_timer()
                    self._timer = loop.call_at(self._held_until, self._release)
                return
            place = (self._again or self._fresh).popleft()
            if not place.done():  # its request was cancelled, or ran out of time
                self._in_flight += 1
                place.set_result(None)

    def _release(self) -> None:
        self._timer = None
        self._admit()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
