"""A judge at work beside the model: answers are offered as they arrive, and verdicts are logged as they come.

    model's thread --(offer: a bounded queue)--> judge's requests --> judge --> verdicts.jsonl

What an earlier start answered and nobody judged yet is taken from the run's log whenever no new answer waits. A broken verdict is asked for
again, within the same stream where that is still open, else in another one: the stage never waits inside ``next(requests)`` for what it has
in flight, because an adapter may gather several requests before it answers the first.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from nova_bench.adapter import Model
from nova_bench.budget import Budget
from nova_bench.errors import AdapterError, DataError, LimitReachedError
from nova_bench.judge import judge_request, with_attempt
from nova_bench.judge_log import Asked, VerdictLog, read_answer, told_end
from nova_bench.log_index import Index
from nova_bench.plan import Plan, Unusable
from nova_bench.prices import Price
from nova_bench.progress import JudgeProgress
from nova_bench.response_check import checked
from nova_bench.runlog import RunLog
from nova_bench.types import Judge, Request, Response, Sample

WAITING = 1000
"""Answers that may wait for a judge before the model is held up: it is the slower of the two then, and memory stays flat."""


class _Answer(NamedTuple):
    sample: Sample
    id: str
    response: Response


class _Sent(NamedTuple):
    judge: Judge
    texts: Mapping[str, str]
    hashed: bytes
    request: Request


class JudgeStage:
    """One judge of one run.

    Args:
        plan: The run's plan.
        model: Who judges, ready.
        run: The run's folder.
        asked: What the judge's manifest says.
        is_gated: Whether the texts are given to approved accounts only.
        budget: Limits that end the requests once they are reached.
        price: Of the judge's tokens, where it is known.
        join: Enters this start into the judge's manifest; called once the lock is held.
    """

    def __init__(
        self,
        plan: Plan,
        model: Model,
        run: Path,
        asked: Asked,
        *,
        is_gated: bool,
        budget: Budget | None = None,
        price: Price | None = None,
        join: Callable[[], object] = lambda: None,
    ) -> None:
        # A plan remembers the last request's form, so a thread needs one of its own.
        self.plan, self.model, self.asked = copy.copy(plan), model, asked
        self.progress = JudgeProgress(asked.name, repeats=asked.repeats)
        self.finished = threading.Event()
        self.join = join
        self._run, self._is_gated, self._budget, self._price = run, is_gated, budget, price
        self._judges = [asked.tuned(judge) for judge in plan.task.judges]
        self.each = len(self._judges) * asked.repeats
        """Verdicts on one answer."""
        self._changed = threading.Condition()
        self._waiting: collections.deque[_Answer] = collections.deque()
        self._again: collections.deque[_Sent] = collections.deque()
        self._in_flight: dict[str, _Sent] = {}
        self._is_closed = self._is_stopped = self._has_begun = self._has_asked_all = False
        self._backlog: Iterator[_Answer] = iter(())
        self._limit: LimitReachedError | None = None
        self._log: VerdictLog
        self._strangers = 0
        self._reasons: dict[str, int] = {}

    def open(self) -> None:
        """Take the lock of the verdicts and read them; nothing of an earlier start is changed.

        Raises:
            LogError: Another process is writing them, or a line is damaged.
        """
        self._log = VerdictLog(self.asked.folder, append=True, is_gated=self._is_gated)
        if self._budget is not None:
            self._budget.open(str(self.asked.folder.resolve()), self._log.ledger, self._price)

    def release(self) -> None:
        """Let the lock go, where the stage never began; one that did does so at its end."""
        if not self._has_begun:
            self._log.close()

    def start(self, known: Index) -> None:
        """Begin, in a thread of its own.

        Args:
            known: What the run's log held at this moment; later answers have to be offered.
        """
        self._backlog = self._unjudged(known) if len(known) else iter(())
        self._has_begun = True
        threading.Thread(target=self._work, name="nova-bench judge", daemon=True).start()

    def offer(self, sample: Sample, answer: str, response: Response) -> None:
        """Hand in an answer that is in the log; waits while too many wait already, never for a judge that has ended."""
        with self._changed:
            while len(self._waiting) >= WAITING and not self._is_over:
                self._changed.wait(0.5)
            if not self._is_over:
                self._waiting.append(_Answer(sample, answer, response))
                self._changed.notify_all()

    def expect(self, answers: int | None) -> None:
        """Say how many answers there will be at most (None: not known), and then, below 0, how many of them will not come."""
        if answers is not None and (answers > 0 or self.progress.total is not None):
            self.progress.total = max(0, (self.progress.total or 0) + answers * self.each)

    def close(self) -> None:
        """Say that no further answer will be offered."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Send nothing more; what is in flight is logged."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    @property
    def _is_over(self) -> bool:
        return self._is_stopped or self.finished.is_set()

    def _work(self) -> None:
        try:
            with self._log:
                while True:
                    self._has_asked_all = False
                    self._stream()
                    if self._again and self._has_asked_all and not self._is_stopped and self._limit is None:
                        continue
                    break
                self._close_books()
        # Carried to the calling thread, an adapter's KeyboardInterrupt included.
        except BaseException as error:
            self.progress.error = error
        finally:
            with self._changed:
                self._waiting.clear()
                self.finished.set()
                self._changed.notify_all()

    def _stream(self) -> None:
        """Ask until the adapter ends; what comes out of it, other than a fault of the log or a limit, is told in one sentence."""
        try:
            self._pull()
        except (Exception, SystemExit) as error:
            shown = told_end(error, self.model.name, self._log, is_gated=self._is_gated)
            raise shown from (None if self._is_gated else error)

    def _pull(self) -> None:
        responses = self.model.adapter.generate(self._requests())
        with contextlib.ExitStack() as stack:
            if (close := getattr(responses, "close", None)) is not None:
                stack.callback(close)
            for response in responses:
                self._accept(response)

    # What is asked: pulled by the adapter, perhaps in a thread of its own.

    def _requests(self) -> Iterator[Request]:
        while True:
            if self._is_stopped:
                return
            if (sent := self._next_again()) is not None:
                if self._is_at_limit():
                    return
                yield self._send(sent)
                continue
            answer = self._next_answer()
            if answer is None:
                if self._again and not self._is_stopped:
                    continue
                self._has_asked_all = not self._is_stopped
                return
            for sent in self._wanted(answer):
                if self._is_stopped or self._is_at_limit():
                    return
                yield self._send(sent)

    def _next_again(self) -> _Sent | None:
        with self._changed:
            return self._again.popleft() if self._again else None

    def _next_answer(self) -> _Answer | None:
        """Return the next answer: one that was just offered, else one from the log; None at the end, or where something is asked again."""
        with self._changed:
            if self._waiting:
                self._changed.notify_all()
                return self._waiting.popleft()
        if (kept := next(self._backlog, None)) is not None:
            return kept
        with self._changed:
            while not (self._waiting or self._again or self._is_closed or self._is_stopped):
                self._changed.wait()
            if self._is_stopped or not self._waiting:
                return None
            self._changed.notify_all()
            return self._waiting.popleft()

    def _unjudged(self, known: Index) -> Iterator[_Answer]:
        """Yield the answers of earlier starts."""
        with RunLog(self._run) as log:
            for sample in self.plan.samples():
                if isinstance(sample, Unusable):
                    continue
                try:
                    waiting = [(request, self.plan.hash(request)) for request in self.plan.requests(sample)]
                except DataError:
                    continue  # the model's stage says so
                for request, hashed in waiting:
                    entry = known.find(request.id, hashed)
                    if entry is not None and entry.is_final:
                        yield _Answer(sample, request.id, log.read(entry))

    def _wanted(self, answer: _Answer) -> Iterator[_Sent]:
        """Yield what must be asked about an answer."""
        try:
            prediction = self.plan.predict(answer.sample, answer.response)
        except DataError as error:
            self.progress.failed += self.each
            self._say(f"{answer.id}: {error}")
            return
        for judge in self._judges:
            texts = judge.material(answer.sample, prediction)
            if texts is None:
                self.progress.by_rule += 1
                continue
            for repeat in range(self.asked.repeats):
                request = judge_request(judge, texts, answer.id, answer.sample.id, repeat=repeat)
                known, hashed = self._log.find(request)
                if known.is_final:
                    self.progress.kept += 1
                else:
                    yield _Sent(judge, texts, hashed, with_attempt(request, known.tries))

    def _is_at_limit(self) -> bool:
        if self._budget is not None:
            self._limit = self._budget.reached()
        return self._limit is not None

    def _send(self, sent: _Sent) -> Request:
        self._in_flight[sent.request.id] = sent
        return sent.request

    # What comes back.

    def _accept(self, response: Response) -> None:
        if not isinstance(response, Response):
            raise AdapterError(
                f"adapter {self.model.name} yielded a {type(response).__name__}; generate yields nova_bench.Response objects"
            )
        sent = self._in_flight.pop(response.id, None)
        if sent is None:
            self._strangers += 1
            return
        response = checked(response)
        read = read_answer(sent.judge, response, sent.texts, self.model.card.think)
        known = self._log.append(self.plan.spelling, sent.judge, sent.request, sent.hashed, response, read)
        if response.finish == "error":
            self.progress.failed += 1
            self._say(f"{response.id}: {response.error}")
        elif read.value is not None:
            self.progress.judged += 1
        elif known.is_unjudged:
            self.progress.unjudged += 1
            self._say(f"{response.id}: unjudged: {read.fault}")
        else:
            self.progress.broken += 1
            again = sent._replace(request=with_attempt(sent.request, known.tries))
            with self._changed:
                self._again.append(again)
                self._changed.notify_all()

    def _say(self, message: str) -> None:
        if self._is_gated:  # a server's error may quote what was judged
            message = message.partition(": ")[0] + ": the reason stands in private.jsonl of its verdicts"
        reason = message.partition(": ")[2]
        self._reasons[reason] = self._reasons.get(reason, 0) + 1
        if self._reasons[reason] <= 3 and len(self.progress.messages) < 20:
            self.progress.messages.append(message)

    def _close_books(self) -> None:
        """Say what did not go as it should, once the stage has ended."""
        progress, name = self.progress, self.model.name
        if self._strangers:
            progress.messages.append(
                f"judge {name} yielded {self._strangers} responses for ids that were not asked, or were answered already; they were left out"
            )
        if self._in_flight:
            progress.failed += len(self._in_flight)
            progress.messages.append(
                f"judge {name} ended without answering {len(self._in_flight)} requests; give the same command again to ask them"
            )
        if self._limit is not None and self._budget is not None:
            progress.error = self._budget.reached() or self._limit
        elif not self._has_asked_all and not self._is_stopped:
            progress.error = AdapterError(
                f"judge {name} ended before all was asked: generate pulls requests until there are no more"
            )
        progress.is_done = self._has_asked_all and not self._again
        if progress.is_done:
            progress.total = progress.done
