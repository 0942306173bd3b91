"""What a run has spent, and when it must stop: tokens, money and hours.

A `Ledger` adds up the records of a log; all of them, because an answer to an older prompt cost as much as one that still counts. A
`Budget` holds limits over the ledgers of one or several runs. A limit is one of the runs, not of a start: what their logs hold from
earlier starts is spent already. Only ``max_hours`` counts from the start of the command, because a log does not know when nobody worked.

A vendor's bill counts what it charges for attempts that failed on the way (a time-out after half an answer); nobody reports these, so
they are not in here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from nova_bench.errors import LimitReachedError, UsageError
from nova_bench.prices import Price


class Ledger:
    """The tokens, requests and seconds of the records of one role (the model, a judge) in a log.

    >>> ledger = Ledger()
    >>> ledger.add({"finish": "stop", "usage": {"input_tokens": 900, "cached_tokens": 500, "output_tokens": 100}, "seconds": 2.0})
    >>> ledger.tokens, ledger.cost(Price(1.0, 10.0, 0.5, "2026-01-31", "f"))
    (1000, 0.00165)
    """

    __slots__ = (
        "answers",
        "cached",
        "counted",
        "failed",
        "input",
        "largest_input",
        "largest_output",
        "output",
        "reasoning",
        "reused",
        "reused_input",
        "reused_output",
        "seconds",
        "uncounted",
    )

    def __init__(self) -> None:
        self.answers = 0
        """Final outcomes that were asked for."""
        self.failed = 0
        self.counted = 0
        """Records with token counts."""
        self.uncounted = 0
        """Answers that must have cost tokens and came without counts."""
        self.input = self.cached = self.output = self.reasoning = 0
        self.largest_input = self.largest_output = 0
        """Of one record: what an uncounted answer is taken for where a limit has to hold."""
        self.seconds = 0.0
        self.reused = self.reused_input = self.reused_output = 0
        """Answers that came from the response cache, and the tokens that they once cost: nothing of this was spent."""

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in one record of a log."""
        usage = record.get("usage") or {}
        given, made = usage.get("input_tokens"), usage.get("output_tokens")
        if record.get("from_cache"):
            self.reused += 1
            self.reused_input += given or 0
            self.reused_output += made or 0
            return
        self.seconds += record.get("seconds") or 0.0
        finish = record["finish"]
        if finish == "error":
            self.failed += 1
        else:
            self.answers += 1
        self.input += given or 0
        self.output += made or 0
        self.cached += usage.get("cached_tokens") or 0
        self.reasoning += usage.get("reasoning_tokens") or 0
        if given is not None and made is not None:
            self.counted += 1
            self.largest_input = max(self.largest_input, given)
            self.largest_output = max(self.largest_output, made)
        elif finish in ("stop", "length"):  # a filter and a refusal at the door answer without counts
            self.uncounted += 1

    def add_all(self, other: Ledger) -> None:
        """Take in what another ledger holds.

        >>> one, other = Ledger(), Ledger()
        >>> other.add({"finish": "stop", "usage": {"input_tokens": 9, "output_tokens": 1}})
        >>> one.add_all(other)
        >>> one.add_all(other)
        >>> one.tokens, one.answers, one.largest_input
        (20, 2, 9)
        """
        for key in self.__slots__:
            ours, theirs = getattr(self, key), getattr(other, key)
            setattr(self, key, max(ours, theirs) if key.startswith("largest") else ours + theirs)

    @property
    def tokens(self) -> int:
        """All tokens that were counted."""
        return self.input + self.output

    @property
    def bound(self) -> int:
        """All tokens, with each uncounted answer taken for the largest one."""
        return self.tokens + self.uncounted * (self.largest_input + self.largest_output)

    @property
    def is_blind(self) -> bool:
        """Whether answers came, and none of them with token counts."""
        return self.uncounted > 0 and self.counted == 0

    def cost(self, price: Price) -> float:
        """Return what the counted tokens cost, in US dollars."""
        return price.cost(input_tokens=self.input, cached_tokens=self.cached, output_tokens=self.output)

    def cost_bound(self, price: Price) -> float:
        """Return the cost with each uncounted answer taken for the largest one."""
        most = price.cost(input_tokens=self.largest_input, cached_tokens=0, output_tokens=self.largest_output)
        return self.cost(price) + self.uncounted * most

    def json(self, model: str, price: Price | None) -> dict[str, Any]:
        """Return the account as JSON values: what ``usage.json`` holds of one role.

        Args:
            model: Whose account it is.
            price: Its price, where one is known.
        """
        cost, note = None, None
        if price is None:
            note = f"no price is known for {model!r}"
        elif self.uncounted:
            note = (
                f"{self.uncounted} answers came without token counts; the others cost {self.cost(price):.12g}"
            )
        else:
            cost = float(f"{self.cost(price):.12g}")
        return {
            "model": model,
            "requests": self.answers + self.failed,
            "failed": self.failed,
            "without_counts": self.uncounted,
            "tokens": {
                "input": self.input,
                "cached": self.cached,
                "output": self.output,
                "reasoning": self.reasoning,
                "total": self.tokens,
            },
            "seconds": round(self.seconds, 3),
            "cost_usd": cost,
            "cost_note": note,
            "price": None if price is None else price.json(),
            "from_cache": {
                "answers": self.reused,
                "tokens": {"input": self.reused_input, "output": self.reused_output},
            },
        }


class Budget:
    """Limits that one or several runs keep together; ``evaluate(..., budget=Budget(max_cost=5))``.

    A run that would pass a limit sends no further request, lets what is in flight arrive, and ends resumable. So the limit is passed by
    what was in flight at that moment, at most.

    Args:
        max_cost: US dollars. The price of the model must be known, and its answers must come with token counts.
        max_total_tokens: Input and output together. Answers must come with token counts.
        max_hours: Since the budget's first run began.

    Raises:
        UsageError: A limit is not a positive number.
    """

    def __init__(
        self,
        *,
        max_cost: float | None = None,
        max_total_tokens: int | None = None,
        max_hours: float | None = None,
    ) -> None:
        for flag, limit in (
            ("--max-cost", max_cost),
            ("--max-total-tokens", max_total_tokens),
            ("--max-hours", max_hours),
        ):
            if limit is not None and not (math.isfinite(limit) and limit > 0):
                raise UsageError(f"{flag} {limit}: expected a number above 0")
        self.max_cost, self.max_total_tokens, self.max_hours = max_cost, max_total_tokens, max_hours
        self._by_run: dict[str, tuple[Ledger, Price | None]] = {}
        self._began: float | None = None

    @property
    def counts_tokens(self) -> bool:
        """Whether token counts are needed."""
        return self.max_cost is not None or self.max_total_tokens is not None

    @property
    def _accounts(self) -> list[tuple[Ledger, Price | None]]:
        return list(self._by_run.values())

    def open(self, run: str, ledger: Ledger, price: Price | None) -> None:
        """Take in one run's ledger, which goes on growing; a run that is continued takes the place of its earlier start."""
        self._by_run[run] = (ledger, price)
        self._began = time.monotonic() if self._began is None else self._began

    def reached(self) -> LimitReachedError | None:
        """Return what to say where a limit is reached, else None."""
        if self.max_hours is not None and self._began is not None:
            hours = (time.monotonic() - self._began) / 3600
            if hours >= self.max_hours:
                return LimitReachedError(
                    f"--max-hours {self.max_hours:g} is reached: {_spent(self._accounts)} so far. "
                    "The same command goes on from there"
                )
        blind = [price for ledger, price in self._accounts if ledger.is_blind]
        # Without a price nothing of an account counts for --max-cost, so its tokens need not be known.
        is_cost_blind = self.max_cost is not None and any(price is not None for price in blind)
        if is_cost_blind or (self.max_total_tokens is not None and blind):
            flag = "--max-cost" if is_cost_blind else "--max-total-tokens"
            return LimitReachedError(
                f"{flag} cannot be kept: the answers come without token counts. Limit this model with --max-hours or --limit instead, or "
                "give the same command without the limit"
            )
        if self.max_cost is not None:
            cost = sum(ledger.cost_bound(price) for ledger, price in self._accounts if price is not None)
            if cost >= self.max_cost:
                return self._told("--max-cost", f"{self.max_cost:g}")
        if self.max_total_tokens is not None:
            tokens = sum(ledger.bound for ledger, _ in self._accounts)
            if tokens >= self.max_total_tokens:
                return self._told("--max-total-tokens", f"{self.max_total_tokens}")
        return None

    def _told(self, flag: str, limit: str) -> LimitReachedError:
        return LimitReachedError(
            f"{flag} {limit} is reached: {_spent(self._accounts)} so far, earlier starts included. "
            f"The same command with a higher {flag} goes on from there"
        )


def _spent(accounts: list[tuple[Ledger, Price | None]]) -> str:
    ledgers = [ledger for ledger, _ in accounts]
    requests = sum(ledger.answers + ledger.failed for ledger in ledgers)
    tokens, bound = sum(ledger.tokens for ledger in ledgers), sum(ledger.bound for ledger in ledgers)
    cost = ""
    priced = [ledger.cost_bound(price) for ledger, price in accounts if price is not None]
    if priced:
        rest = "" if len(priced) == len(accounts) else " without those that have no price"
        cost = f"{sum(priced):.6g} USD{rest}, "
    estimated = "" if bound == tokens else f" (answers without counts taken for the largest: {bound:,})"
    return f"{cost}{tokens:,} tokens{estimated}, {requests:,} requests"
