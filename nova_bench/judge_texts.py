"""Judging texts that are no answers of a run: of people's labels, and of a run's answers with other demographics in them.

The same requests, the same log and the same three tries as in the judged stage (`nova_bench.judge_stage`), without a model beside it. A
second start asks only what has no verdict yet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nova_bench.adapter import Model
from nova_bench.budget import Budget
from nova_bench.errors import AdapterError, LimitReachedError
from nova_bench.judge import TRIES, judge_request, with_attempt
from nova_bench.judge_log import Asked, Known, VerdictLog, read_answer, told_end
from nova_bench.judge_reading import Verdict
from nova_bench.progress import JudgeProgress
from nova_bench.response_check import checked
from nova_bench.types import Judge, Request, Response


class Wanted(NamedTuple):
    """One text or set of texts to be judged.

    Attributes:
        judge: What is asked.
        texts: By name, as `nova_bench.types.Judge.material` gives them.
        id: Unique among those of one judge.
        sample: The sample's id.
    """

    judge: Judge
    texts: Mapping[str, str]
    id: str
    sample: str


class _Sent(NamedTuple):
    wanted: Wanted
    request: Request
    hashed: bytes


@dataclass(slots=True)
class Judged:
    """What came of it.

    Attributes:
        verdicts: (judge's name, id, judge repeat) to the verdict.
        unjudged: The same keys where every try was broken: there will be none.
        failed: The same keys where no answer came; another start asks again.
        asked: Requests sent by this start.
        reasons: Up to twenty sentences on what did not go well.
    """

    verdicts: dict[tuple[str, str, int], dict[str, Any]] = field(default_factory=dict)
    unjudged: list[tuple[str, str, int]] = field(default_factory=list)
    failed: list[tuple[str, str, int]] = field(default_factory=list)
    asked: int = 0
    reasons: list[str] = field(default_factory=list)


def judge_texts(
    model: Model,
    asked: Asked,
    label: str,
    wanted: Callable[[], Iterable[Wanted]],
    *,
    join: Callable[[], object],
    is_gated: bool,
    budget: Budget | None = None,
    progress: JudgeProgress | None = None,
    show: Callable[[], None] | None = None,
) -> Judged:
    """Have a judge judge texts, and return all verdicts that there are afterwards.

    Args:
        model: Who judges, ready.
        asked: What its manifest will say.
        label: What the log's records call the task.
        wanted: Returns what is to be judged, in the same order each time it is called.
        join: Enters this start into the manifest; called once the log's lock is held, so that a start that is refused changes nothing.
        is_gated: Whether the texts are given to approved accounts only: free text then goes to the private file.
        budget: Limits that end the requests once they are reached.
        progress: Where it is counted how far the judge is.
        show: Is called whenever that has changed.

    Raises:
        LimitReachedError: A limit was reached; what was judged is in the log, and another start goes on.
        AdapterError: The judge ended early or yielded what is no response.
    """
    progress = progress or JudgeProgress(asked.name, repeats=asked.repeats)
    progress.total = asked.repeats * sum(1 for _ in wanted())
    stage = _Texts(model, asked, label, wanted, join, is_gated, budget, progress, show)
    for attempt in range(TRIES):
        if not stage.ask(is_first=attempt == 0):
            break
    made = stage.made
    with VerdictLog(asked.folder) as log:
        for one in wanted():
            for repeat in range(asked.repeats):
                request = judge_request(asked.tuned(one.judge), one.texts, one.id, one.sample, repeat=repeat)
                known, _ = log.find(request)
                key = (one.judge.name, one.id, repeat)
                if known.entry is not None:
                    made.verdicts[key] = log.verdict(known.entry)
                else:
                    (made.unjudged if known.is_unjudged else made.failed).append(key)
    return made


class _Texts:
    """Rounds of asking: what came back broken in one is asked again in the next."""

    def __init__(
        self,
        model: Model,
        asked: Asked,
        label: str,
        wanted: Callable[[], Iterable[Wanted]],
        join: Callable[[], object],
        is_gated: bool,
        budget: Budget | None,
        progress: JudgeProgress,
        show: Callable[[], None] | None,
    ) -> None:
        self.model, self.asked, self.label, self.wanted, self.join = model, asked, label, wanted, join
        self.is_gated, self.budget, self.progress, self.show = is_gated, budget, progress, show
        self.made = Judged()
        self._failed: set[str] = set()
        self._in_flight: dict[str, _Sent] = {}
        self._has_asked_all = False
        self._limit: LimitReachedError | None = None

    def ask(self, *, is_first: bool) -> bool:
        """Ask what has no verdict, once each; return whether something came back broken and may be asked again."""
        self._has_asked_all = False
        with VerdictLog(self.asked.folder, append=True, is_gated=self.is_gated) as log:
            if is_first:
                self.join()
            if self.budget is not None and (self.asked.price is not None or self.budget.max_cost is None):
                self.budget.open(str(self.asked.folder.resolve()), log.ledger, self.asked.price)
            try:
                is_again = self._pull(log, is_first)
            except Exception as error:
                shown = told_end(error, self.model.name, log, is_gated=self.is_gated)
                raise shown from (None if self.is_gated else error)
        if self._limit is not None and self.budget is not None:
            raise self.budget.reached() or self._limit  # what was in flight has arrived since
        if not self._has_asked_all:
            raise AdapterError(
                f"judge {self.model.name} ended before all was asked: generate pulls requests until there are no more"
            )
        if self._in_flight:
            self._say(f"judge {self.model.name} ended without answering {len(self._in_flight)} requests")
            self._failed.update(self._in_flight)
            self._in_flight.clear()
        return is_again

    def _pull(self, log: VerdictLog, is_first: bool) -> bool:
        is_again = False
        responses = self.model.adapter.generate(self._requests(log, is_first))
        with contextlib.ExitStack() as stack:
            if (close := getattr(responses, "close", None)) is not None:
                stack.callback(close)
            for response in responses:
                is_again = self._accept(log, response) or is_again
        return is_again

    def _requests(self, log: VerdictLog, is_first: bool) -> Iterator[Request]:
        for one in self.wanted():
            tuned = self.asked.tuned(one.judge)
            for repeat in range(self.asked.repeats):
                first = judge_request(tuned, one.texts, one.id, one.sample, repeat=repeat)
                known, hashed = log.find(first)
                if known.is_final or first.id in self._failed:
                    self.progress.kept += is_first
                    continue
                if self.budget is not None and (limit := self.budget.reached()) is not None:
                    self._limit = limit
                    return
                request = with_attempt(first, known.tries)
                self._in_flight[request.id] = _Sent(one._replace(judge=tuned), request, hashed)
                self.made.asked += 1
                yield request
        self._has_asked_all = True

    def _accept(self, log: VerdictLog, response: Any) -> bool:
        """Log one answer; return whether it is broken and may be asked again."""
        sent = self._in_flight.pop(getattr(response, "id", ""), None)
        if sent is None:
            self._say(f"judge {self.model.name} answered what was not asked; it was left out")
            return False
        response = checked(response)
        read = read_answer(sent.wanted.judge, response, sent.wanted.texts, self.model.card.think)
        known = log.append(self.label, sent.wanted.judge, sent.request, sent.hashed, response, read)
        self._count(known, response, read)
        if response.finish == "error":
            self._failed.add(sent.request.id)
            self._say(f"{response.id}: {self._reason(response.error)}")
        elif known.is_unjudged:
            self._say(f"{response.id}: unjudged: {self._reason(read.fault)}")
        return not known.is_final and response.finish != "error"

    def _count(self, known: Known, response: Response, read: Verdict) -> None:
        if response.finish == "error":
            self.progress.failed += 1
        elif read.value is not None:
            self.progress.judged += 1
        elif known.is_unjudged:
            self.progress.unjudged += 1
        else:
            self.progress.broken += 1
        if self.show is not None:
            self.show()

    def _reason(self, said: str | None) -> str:
        return "the reason stands in private.jsonl of its verdicts" if self.is_gated else said or "broken"

    def _say(self, reason: str) -> None:
        if len(self.made.reasons) < 20:
            self.made.reasons.append(reason)
