"""Runs a model over a plan: asks what the log does not hold yet, and appends every answer as it arrives.

The model runs in a thread of its own, which also appends to the log: an answer is in flight until it is in the log. The calling thread
waits (`nova_bench.run_stages`). Of gated data no word of an error is logged or said (`nova_bench.answer_privacy`).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from nova_bench.adapter import Model
from nova_bench.answer_privacy import AnswerPrivacy
from nova_bench.budget import Budget, Ledger
from nova_bench.cache import ResponseCache
from nova_bench.errors import AdapterError, DataError, LimitReachedError
from nova_bench.judge_stage import JudgeStage
from nova_bench.plan import Plan, Unusable
from nova_bench.prices import Price
from nova_bench.progress import Progress
from nova_bench.response_check import checked
from nova_bench.run_stages import held, judge_alone, take_errors, wait_for
from nova_bench.runlog import RunLog, record_of
from nova_bench.types import Request, Response, Sample

__all__ = ["Progress", "ask", "request_ids"]


class _Run:
    def __init__(
        self,
        plan: Plan,
        model: Model,
        log: RunLog,
        budget: Budget | None,
        price: Price | None,
        cache: ResponseCache | None,
        judges: Sequence[JudgeStage],
    ) -> None:
        self.judges = self.expecting = judges
        self.plan, self.model, self.log, self.budget, self.cache = plan, model, log, budget, cache
        self.privacy = AnswerPrivacy(log.folder, model.name, is_gated=plan.data.is_gated)
        self.ledger = Ledger()
        self.index = log.index(self.ledger.add if budget is not None else None)
        if budget is not None:
            budget.open(str(log.folder.resolve()), self.ledger, price)
        self.progress = Progress()
        self.stop = threading.Event()
        self.exhausted = False
        self.limit: LimitReachedError | None = None
        self.in_flight: dict[str, tuple[bytes, Request | None, Sample | None]] = {}
        """Request id to its hash, to the request where the cache or `privacy` will want it, and to the sample where judges will."""
        self._faults: dict[str, int] = {}
        self._reasons: dict[str, int] = {}

    def requests(self) -> Iterator[Request]:
        """Yield what must still be asked; what is raised meanwhile is no fault of the adapter that pulls."""
        with self.privacy.own_words():
            yield from self._unanswered()

    def _unanswered(self) -> Iterator[Request]:
        """Yield what must still be asked; a sample that cannot be rendered fails alone.

        What failed in an earlier start comes last, and of that first what was not asked for longest: samples that fail whenever they are
        asked would else stand before all others, and a backend that gives up after many failures in a row would never get past them.
        """
        failed: list[tuple[int, Request, bytes, Sample]] = []
        for request, request_hash, sample in self._rendered():
            if self.stop.is_set():
                return
            entry = self.index.find(request.id, request_hash)
            if entry is not None and entry.is_final:
                self.progress.kept += 1
                continue
            if self._reuse(request, request_hash, sample):
                continue
            if entry is not None:
                failed.append((entry.offset, request, request_hash, sample))
                continue
            if self._is_at_limit():
                return
            if self.index.has(request.id):
                self.progress.ignored += 1
            yield self._sent(request, request_hash, sample)
        failed.sort(key=lambda known: known[0])
        for _, request, request_hash, sample in failed:
            if self.stop.is_set() or self._is_at_limit():
                return
            yield self._sent(request, request_hash, sample)
        self.exhausted = True

    def _rendered(self) -> Iterator[tuple[Request, bytes, Sample]]:
        """Yield the plan's requests, each with its hash and its sample."""
        for sample in self.plan.samples():
            if isinstance(sample, Unusable):
                self._fail(sample.id, sample.reason, self.plan.repeats)
                continue
            try:
                waiting = [
                    (request, self.plan.hash(request), sample) for request in self.plan.requests(sample)
                ]
            except DataError as error:
                self._fail(sample.id, str(error), self.plan.repeats)
                continue
            yield from waiting

    def _is_at_limit(self) -> bool:
        if self.budget is not None:
            self.limit = self.budget.reached()
        return self.limit is not None

    def _sent(self, request: Request, request_hash: bytes, sample: Sample) -> Request:
        """Note that a request goes out."""
        self.in_flight[request.id] = (
            request_hash,
            request if self.cache is not None or self.privacy.is_gated else None,
            sample if self.judges else None,
        )
        return request

    def _reuse(self, request: Request, request_hash: bytes, sample: Sample) -> bool:
        """Log the answer that the response cache holds, as one that cost nothing; False where it holds none."""
        found = None if self.cache is None else self.cache.find(request, request_hash)
        if found is None:
            return False
        record = record_of(self.plan.spelling, request.id, request_hash.hex(), found)
        record = self.privacy.public(record, request)  # an older cache may hold a server's words
        self.log.append({**record, "from_cache": True})
        self.progress.reused += 1
        for judge in self.judges:
            judge.offer(sample, request.id, found)
        return True

    def answer(self) -> None:
        """Pull the model's responses and log each before the next is asked for."""
        responses = self.model.adapter.generate(self.requests())
        close = getattr(responses, "close", None)
        with contextlib.ExitStack() as stack:
            if close is not None:
                stack.callback(close)
            for response in responses:
                with self.privacy.own_words():
                    self._accept(response)

    def _accept(self, response: Response) -> None:
        if not isinstance(response, Response):
            raise AdapterError(
                f"adapter {self.model.name} yielded a {type(response).__name__}; generate yields nova_bench.Response objects"
            )
        asked = self.in_flight.pop(response.id, None)
        if asked is None:
            self._faults[str(response.id)] = self._faults.get(str(response.id), 0) + 1
            return
        request_hash, request, sample = asked
        response = checked(response)
        record = record_of(self.plan.spelling, response.id, request_hash.hex(), response)
        record = self.privacy.public(record, request)
        self.log.append(record)  # first: the log is what a run is made of, and knows what was paid
        self.ledger.add(record)
        if self.cache is not None and request is not None:
            self.cache.put(request, request_hash, response)
        if response.finish == "error":
            self._fail(response.id, self.privacy.told(str(response.error)), 1)
        else:
            self.progress.answered += 1
            if sample is not None:
                for judge in self.judges:
                    judge.offer(sample, response.id, response)

    def _fail(self, asked: str, reason: str, count: int) -> None:
        self.progress.failed += count
        for judge in self.expecting:
            judge.expect(-count)
        self._say(f"{asked}: {reason}")

    def _say(self, message: str) -> None:
        # A run in which everything fails for one reason would fill the screen with one sentence a sample.
        reason = message.partition(": ")[2]
        self._reasons[reason] = self._reasons.get(reason, 0) + 1
        if self._reasons[reason] <= 3 and len(self.progress.messages) < 20:
            self.progress.messages.append(message)

    def close_books(self) -> None:
        """Say what the adapter did wrong, once the run has ended."""
        name, progress = self.model.name, self.progress
        if self._faults:
            progress.messages.append(
                f"adapter {name} yielded {sum(self._faults.values())} responses for ids that were not asked, or were answered already"
                f"{self.privacy.names(list(self._faults))}; they were left out. Each response carries its request's id, once"
            )
        if self.in_flight and progress.error is None:
            shown = ", ".join(repr(key) for key in list(self.in_flight)[:3])
            progress.messages.append(
                f"adapter {name} ended without answering {len(self.in_flight)} requests ({shown}); give the same command again to ask them"
            )
            progress.failed += len(self.in_flight)
        progress.messages += self.privacy.notes()
        if self.cache is not None:
            progress.messages += self.cache.notes()
        if self.limit is not None and self.budget is not None and progress.error is None:
            progress.error = self.budget.reached() or self.limit  # what was in flight has arrived since
        if progress.ignored:
            progress.messages.append(
                f"{progress.ignored} answers in the log are to another prompt, image or parameter; they are kept, not counted, and were asked again"
            )


def ask(
    plan: Plan,
    model: Model,
    folder: Path,
    *,
    watch: Callable[[Progress], None] | None = None,
    total: int | None = None,
    budget: Budget | None = None,
    price: Price | None = None,
    cache: ResponseCache | None = None,
    judges: Sequence[JudgeStage] = (),
    join: Callable[[], object] = lambda: None,
) -> Progress:
    """Ask a model everything in a plan that the run's log does not hold yet.

    Args:
        plan: What to ask.
        model: Whom to ask.
        folder: The run's folder.
        watch: Called about ten times a second, in the calling thread, and once at the end.
        total: How many requests there are, where it is known.
        budget: Limits that end the requests once they are reached.
        price: What the model's tokens cost, where it is known.
        cache: Answers of other runs, asked first.
        judges: Who judges the answers as they arrive, and those of earlier starts. One that is the very adapter of the model takes its
            turn after it: an adapter answers one stream at a time.
        join: Enters this start into the run's manifest; called once all locks are held, so that a start that is refused changes nothing.

    Returns:
        Where the run stands at its end; ``error`` holds what ended it early, a KeyboardInterrupt included.

    Raises:
        LogError: The log is damaged, or another process writes it.
    """
    beside = [judge for judge in judges if judge.model.adapter is not model.adapter]
    after = [judge for judge in judges if judge.model.adapter is model.adapter]
    with contextlib.ExitStack() as stack:
        with RunLog(folder, append=True) as log:
            stack.enter_context(held(judges, join))
            run = _Run(plan, model, log, budget, price, cache, beside)
            run.progress.total = total
            run.progress.judges = [judge.progress for judge in judges]
            for judge in judges:
                judge.expect(total)
            _ask_beside(run, watch)
        if after and not run.progress.stopping:
            judge_alone(plan, folder, after, run.progress, watch)
    take_errors(run.progress)
    if watch is not None:
        watch(run.progress)
    return run.progress


def _ask_beside(run: _Run, watch: Callable[[Progress], None] | None) -> None:
    """Run the model, and beside it the judges that are other adapters, to their end."""
    finished = threading.Event()

    def stage() -> None:
        try:
            run.answer()
        # Carried to the calling thread, an adapter's KeyboardInterrupt included.
        except BaseException as error:
            run.progress.error = run.privacy.ended(error)
        finally:
            run.privacy.close()
            for judge in run.judges:
                judge.close()
            finished.set()

    def stop() -> None:
        run.stop.set()
        for judge in run.judges:
            judge.stop()

    def close() -> None:
        run.model.close()
        for judge in run.judges:
            judge.model.close()

    for judge in run.judges:
        judge.start(run.index)
    threading.Thread(target=stage, name="nova-bench model", daemon=True).start()
    try:
        wait_for([finished, *(judge.finished for judge in run.judges)], run.progress, stop, close, watch)
        is_done = run.exhausted and all(judge.progress.is_done for judge in run.judges)
        if run.progress.stopping and run.progress.error is None and not is_done:
            run.progress.error = KeyboardInterrupt()
    finally:
        run.plan.digests.save()
    run.close_books()


def request_ids(plan: Plan) -> Collection[str]:
    """Return the ids of all requests of a plan."""
    return {
        f"{sample.id}#{repeat}" if repeat else sample.id
        for sample in plan.samples()
        for repeat in range(plan.repeats)
    }
