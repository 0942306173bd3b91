"""One stream of requests through an adapter, watched: what it pulled, what it answered, what it broke.

As in a run, `generate` works in a thread of its own; so a stream that never ends can be told from outside, with the line where it waits.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nova_bench.adapter import Model
from nova_bench.conformance_requests import fingerprint
from nova_bench.response_check import checked
from nova_bench.static_check import printable
from nova_bench.types import Request, Response, Usage

_MOST_SURPLUS = 100
"""Responses to nothing that was asked, after which a stream is left."""

Trouble = tuple[str, str]
"""What is wrong, and what to do about it."""

RAISED = "an exception out of generate ends the whole run; catch it and yield nb.Response(request.id, finish='error', error='why'), or use nb.each"
STREAM = "yield each answer as soon as it is there; an adapter that must read all requests first says so with `stream = false` in its header"
END = "the end of the request iterator is the end of the run: finish what is in flight, yield it and return"
TIME = "a model that needs longer wants a larger --timeout SECONDS; a wait for a server or a lock needs a time limit of its own"
IDS = "yield nb.Response(request.id, ...) once for each request, with the id of that request"
UNCHANGED = "treat requests as read-only: the engine hashes and logs them; copy what you want to change (dict(request.ask))"


class _BrokenContract(TypeError):  # noqa: N818  (raised and read in this file)
    """What generate gave is nothing that a run can use."""


@dataclass(slots=True)
class Outcome:
    """What came of one stream."""

    given: dict[str, Request] = field(default_factory=dict)
    """What was pulled."""
    responses: dict[str, Response] = field(default_factory=dict)
    faults: dict[str, Trouble] = field(default_factory=dict)
    """What broke the contract, by what it concerns; the first of each kind."""
    raised: BaseException | None = None
    raised_at: str = ""
    stuck_at: str | None = None
    """Where the stream waits that did not end; None where it ended."""
    reached_end: bool = False
    """The adapter has seen the end of the requests."""
    pulled_before_answer: int | None = None
    seconds: float = 0.0

    @property
    def missing(self) -> list[str]:
        """The requests that were pulled and not answered."""
        return [key for key in self.given if key not in self.responses]

    def trouble(self, limit: float) -> Trouble | None:
        """Return why this stream is no success, None where it is one."""
        if self.raised is not None:
            return _raised(self.raised, self.raised_at, self.missing)
        n = len(self.given)
        if self.stuck_at is not None:
            if n and not self.missing and self.reached_end:
                return (
                    f"answered all {n} requests, but generate did not end within {limit:g} s{self.stuck_at}",
                    END,
                )
            what = f"{_names(self.missing)} had no answer" if self.missing else "generate did not go on"
            return f"after {limit:g} s {what}{self.stuck_at}", TIME
        if not n:
            return "generate ended without pulling a request", "write: for request in requests: yield ..."
        if len(self.missing) == n and "ids" in self.faults:
            return self.faults["ids"]
        if self.missing:
            return (
                f"generate ended, and {len(self.missing)} of {n} requests had no answer: {_names(self.missing)}",
                f"{IDS}; a request that cannot be answered gets finish='error' or 'rejected'",
            )
        return None


class Feed:
    """The request iterator that an adapter is given; it may be pulled from any thread."""

    def __init__(self, script: Iterable[Request], outcome: Outcome) -> None:
        self._script, self._outcome = iter(script), outcome
        self._lock = threading.Lock()
        self._prints: dict[str, str] = {}

    def __iter__(self) -> Feed:
        return self

    def __next__(self) -> Request:
        with self._lock:
            try:
                request = next(self._script)
            except StopIteration:
                self._outcome.reached_end = True
                raise
            self._prints[request.id] = fingerprint(request)
            self._outcome.given[request.id] = request
            return request

    def changed(self) -> list[str]:
        """Return the requests that are no longer what they were when they were pulled."""
        return [
            key for key, print_ in self._prints.items() if fingerprint(self._outcome.given[key]) != print_
        ]


class Stream:
    """One call of `generate`.

    Args:
        model: The adapter, loaded.
        script: The requests; it may block, and may look at `outcome` while it does.
        source: The adapter's file, whose lines are named.
        saw: Called with each response as it came.
    """

    def __init__(
        self,
        model: Model,
        script: Callable[[Stream], Iterator[Request]],
        source: Path | None,
        saw: Callable[[Response], None],
    ) -> None:
        self.outcome = Outcome()
        self.answered = threading.Event()
        """Set by the first answer."""
        self.finished = threading.Event()
        self._model, self._source, self._saw = model, source, saw
        self._feed = Feed(script(self), self.outcome)
        # Not a daemon: threads inherit that, and one that the adapter starts and forgets shall be seen to keep its process.
        self._thread = threading.Thread(target=self._consume, name="nova-bench model", daemon=False)
        self._began = time.monotonic()
        self._thread.start()

    def wait(self, limit: float) -> Outcome:
        """Wait for the stream's end, at most `limit` seconds."""
        outcome = self.outcome
        if not self.finished.wait(limit):
            outcome.stuck_at = where(self._thread, self._source)
        outcome.seconds = time.monotonic() - self._began
        if changed := self._feed.changed():
            outcome.faults["requests"] = (f"the adapter changed request {_names(changed)}", UNCHANGED)
        return outcome

    def _consume(self) -> None:
        outcome = self.outcome
        try:
            responses: Any = self._model.adapter.generate(self._feed)
            if not hasattr(responses, "__iter__"):
                kind = type(responses).__name__
                if hasattr(responses, "close"):
                    responses.close()  # a coroutine that nobody awaits would complain
                raise _BrokenContract(
                    f"generate returned a {kind}; expected an iterator of responses",
                    "write it as a plain def, not async, with: for request in requests: yield nb.Response(request.id, text)",
                )
            try:
                for response in responses:
                    self._accept(response)
            finally:
                if hasattr(responses, "close"):
                    responses.close()
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: they would end a run
            outcome.raised = error
            outcome.raised_at = line_of(error, self._source)
        finally:
            self.finished.set()

    def _accept(self, response: Any) -> None:
        outcome = self.outcome
        if not isinstance(response, Response):
            raise _BrokenContract(
                f"generate yielded a {type(response).__name__}; expected nova_bench.Response objects",
                "yield nb.Response(request.id, text); nb.each makes an adapter of a function that returns texts",
            )
        if outcome.pulled_before_answer is None:
            outcome.pulled_before_answer = len(outcome.given)
        self._saw(response)
        key = response.id
        if not isinstance(key, str) or key not in outcome.given:
            self._surplus(f"a response has the id {printable(repr(key), 80)}, which was not asked")
        elif key in outcome.responses:
            self._surplus(f"request {key!r} was answered twice")
        else:
            faults = list(faults_of(response, outcome.given[key]))
            outcome.responses[key] = _mended(response) if faults else response
            for what, remedy in faults:
                outcome.faults.setdefault("responses", (f"answer to {key!r}: {what}", remedy))
        self.answered.set()

    def _surplus(self, what: str) -> None:
        self.outcome.faults.setdefault("ids", (what, IDS))
        self._n_surplus = getattr(self, "_n_surplus", 0) + 1
        if self._n_surplus > _MOST_SURPLUS:
            raise _BrokenContract(
                f"generate yielded more than {_MOST_SURPLUS} responses to nothing that was asked: {what}", IDS
            )


def faults_of(response: Response, request: Request) -> Iterator[Trouble]:
    """Yield what is wrong with the fields of a response.

    >>> asked = Request("a", "a", 0, ("one",))
    >>> [what for what, _ in faults_of(Response("a", "x", finish="done"), asked)]
    ["finish is 'done'; expected one of stop, length, filter, rejected, error"]
    """
    usage = response.usage if isinstance(response.usage, Usage) else None
    sound = checked(replace(response, usage=usage))
    if sound.finish == "error" and sound.error != response.error:
        yield (
            printable(str(sound.error), 300),
            "CONTRIBUTING.md has the fields of a response, under `generate`",
        )
    remedy = "leave out what is not known; nova_bench.types.Response has the fields"
    if response.error and response.finish in ("stop", "length"):
        yield f"error is set, but finish is {response.finish!r}", "write finish='error' with it"
    if response.usage is not None and not isinstance(response.usage, Usage):
        yield f"usage is a {type(response.usage).__name__}; expected nb.Usage or None", remedy
    elif sound.finish == response.finish and sound.usage is not usage:
        yield "usage has counts that are not whole numbers from 0", remedy
    for name in ("error", "reasoning", "model"):
        value = getattr(response, name)
        if value is not None and not isinstance(value, str):
            yield f"{name} is a {type(value).__name__}; expected a str or None", remedy
    if not isinstance(response.arrays, Mapping):
        yield f"arrays is {printable(repr(response.arrays), 60)}; expected a dict, name to array", remedy
    names = response.dropped
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        yield f"dropped is {printable(repr(names), 60)}; expected names, as ('seed',)", remedy
    sizes = response.image_sizes
    if not isinstance(sizes, (list, tuple)) or not all(
        isinstance(size, (list, tuple)) and len(size) == 2 for size in sizes
    ):
        yield f"image_sizes is {printable(repr(sizes), 60)}; expected pairs, as ((640, 480),)", remedy
    elif sizes and len(sizes) != len(request.images):
        yield (
            f"image_sizes has {len(sizes)} sizes for {len(request.images)} images",
            "give (width, height) of each image as sent, or leave image_sizes empty where none was resized",
        )


def _mended(response: Response) -> Response:
    """Return a response that has faults, which were said, in a form that the steps can read: one fault is one finding."""
    text = response.text if isinstance(response.text, str) else ""
    arrays = response.arrays if isinstance(response.arrays, Mapping) else {}
    if response.finish in ("error", "rejected"):
        return Response(
            response.id, None, response.finish, str(response.error or "failed without saying why")
        )
    return Response(response.id, text, arrays=arrays)


def where(thread: threading.Thread, source: Path | None) -> str:
    """Return in words where a thread is: the adapter's line, else the innermost one."""
    frame = sys._current_frames().get(thread.ident or 0)
    if frame is None:
        return ""
    found = traceback.extract_stack(frame)
    own = [line for line in found if source is not None and line.filename == str(source)]
    if own:
        return f"; it waits in line {own[-1].lineno} ({printable(own[-1].line or '', 80)})"
    return f"; it waits in {Path(found[-1].filename).name} line {found[-1].lineno}"


def line_of(error: BaseException, source: Path | None) -> str:
    """Return `` in line N`` for the adapter's deepest line in an error's traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if source is not None and frame.filename == str(source)]
    return f" in line {lines[-1]}" if lines else ""


def _raised(error: BaseException, at: str, missing: list[str]) -> Trouble:
    kind = type(error).__name__
    if isinstance(error, _BrokenContract):
        return error.args[0], error.args[1]
    if isinstance(error, SystemExit):
        return (
            f"generate raised SystemExit ({printable(str(error.code), 60)}){at}, which ends a whole run",
            f"remove sys.exit() and quit(); {RAISED}",
        )
    said = f": {printable(str(error), 200)}" if str(error) else ""
    on = f", with {_names(missing)} unanswered" if missing else ""
    return f"generate raised {kind}{at}{said}{on}", RAISED


def _names(keys: list[str]) -> str:
    shown = ", ".join(repr(key) for key in keys[:3])
    return shown if len(keys) <= 3 else f"{shown} and {len(keys) - 3} more"


def threads_left() -> list[threading.Thread]:
    """Return the threads that still run some time after the last stream."""
    left = set(threading.enumerate()) - {threading.main_thread()}
    until = time.monotonic() + 2.0
    while left and time.monotonic() < until:
        time.sleep(0.05)
        left = {thread for thread in left if thread.is_alive()}
    return sorted(left, key=lambda thread: thread.name)
