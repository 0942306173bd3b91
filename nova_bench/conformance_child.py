"""The process in which `nova-bench check` runs an adapter; `nova_bench.conformance` starts it, listens to it and ends it.

It is given the number of a pipe, and {"name", "options", "steps", "timeout", ...} in JSON on standard input.
It writes a line of JSON into its pipe for everything that it learns, so that nothing is lost when the adapter takes the process with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from nova_bench import conformance_requests as asked
from nova_bench.adapter import ENGINE_OPTIONS, Model, read_card, read_header, read_options
from nova_bench.catalog import Found, find, load_function, options_identity
from nova_bench.conformance_judge import (
    CLOSE_SECONDS,
    closed,
    failed,
    failure,
    frame_used,
    is_failed,
    leaks,
    not_reached,
    outcome_in_words,
    wrong_output,
)
from nova_bench.conformance_load import explain_load
from nova_bench.conformance_rubric import NOT_FOR_JUDGES, TEXTS_ONLY, content, no_verdict, ordinary
from nova_bench.conformance_stream import STREAM, Outcome, Stream, Trouble, threads_left
from nova_bench.errors import AdapterError
from nova_bench.static_check import printable
from nova_bench.types import Adapter, Request, Response

_MOST_REQUESTS_AHEAD = 64
"""An adapter that pulls as many small requests without an answer counts as one that reads them all first."""

LOADS = "loads"
STEPS = (
    *("answers", "second generate", "lazy", *asked.CONTENTS, "large image", "unreadable image"),
    *("boxes", "outputs", "close"),
)
State = Literal["pass", "fail", "not checked"]


class _Stuck(Exception):  # noqa: N818  (no error: the rest goes on in a new process)
    """A stream does not end; this process is of no further use."""


class Child:
    """Runs steps on one adapter and says what it finds."""

    def __init__(self, pipe: int, order: Mapping[str, Any]) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self.timeout: float = order["timeout"]
        self.steps: list[str] = order["steps"]
        self.options: dict[str, str] = order["options"]
        self.name: str = order["name"]
        self._keys = [name for name in order["keys"] if os.environ.get(name)]
        self.source: Path | None = None
        self.model: Model
        self._is_sound = True
        self._n_streams = 0
        self._seconds = 1.0
        self._answers: dict[str, str | None] = order.get("answers", {})

    def say(self, kind: str, **what: Any) -> None:
        """Write one line into the pipe."""
        line = json.dumps({"kind": kind, **what}, default=str).encode() + b"\n"
        with self._lock:
            while line:
                line = line[os.write(self._pipe, line) :]

    def find(self, step: str, state: State, what: str, remedy: str = "") -> None:
        """Say one finding."""
        self.say("finding", step=step, state=state, what=what, remedy=remedy)

    # Loading.

    def load(self) -> bool:
        """Load the adapter as a run does; False where it did not load."""
        found = find("adapters", self.name)
        self.source = found.path
        try:
            self.model = self._model(found)
        except BaseException as error:
            if error.__traceback__ is not None and isinstance(error, KeyboardInterrupt):
                raise
            self._scan(f"{error} {error.__cause__}", "what load raised")
            state, what, remedy = explain_load(error, found)
            self.find(LOADS, state, what, remedy)
            return False
        self.say("identity", source=self.model.source, options=self.model.identity)
        self.say("loaded", has_close=callable(getattr(self.model.adapter, "close", None)))
        self.find(LOADS, "pass", "load returned an adapter")
        return True

    def _model(self, found: Found) -> Model:
        source = found.source()
        card = read_card(read_header(source, found.name), found.name, self.options)
        load = load_function(found)
        options = read_options(load, self.options, found.name)
        named = options.get("key_env")
        if isinstance(named, str) and os.environ.get(named):
            self._keys.append(named)
        adapter = load(**options)
        if isinstance(adapter, type) or not isinstance(adapter, Adapter):
            is_class = isinstance(adapter, type)
            what = f"the class {adapter.__name__}" if is_class else f"a {type(adapter).__name__}"
            raise AdapterError(f"load returned {what}; expected an object with generate(requests)")
        everything = {**options, **{key: self.options[key] for key in ENGINE_OPTIONS if key in self.options}}
        identity, hashed = options_identity(everything, card, adapter), hashlib.sha256(source.encode())
        return Model(found.name, adapter, card, hashed.hexdigest(), everything, identity)

    # Streams.

    def _scan(self, text: str, place: str) -> None:
        """Look for keys in a text of the adapter's."""
        for name in leaks(text, self._keys):
            self.say("leak", name=name, where=place)

    def _saw(self, response: Response) -> None:
        """Look at a response as it came; an adapter may end the process before its stream has ended."""
        parts = [response.text, response.error, response.reasoning, response.model, response.dropped]
        text = "\n".join(str(part) for part in parts if part)
        self._scan(text, "an answer")
        if isinstance(response.dropped, tuple):
            self.say("dropped", names=sorted({printable(str(name), 60) for name in response.dropped}))
        self.say("answered", id=printable(repr(response.id), 80))

    def stream(self, script: Callable[[Stream], Iterator[Request]]) -> Stream:
        """Begin a stream; each request is counted as it is pulled."""

        def counted(stream: Stream) -> Iterator[Request]:
            for request in script(stream):
                self.say("asked", id=printable(request.id, 80))
                yield request

        self._n_streams += 1
        self.say("clock")
        return Stream(self.model, counted, self.source, self._saw)

    def run(self, requests: list[Request]) -> Outcome:
        """Ask some requests, one after the other as the adapter pulls them, and wait for the end."""
        return self.ended(self.stream(lambda _: iter(requests)))

    def ended(self, stream: Stream) -> Outcome:
        """Wait for a stream's end and say what in it broke the contract."""
        outcome = stream.wait(self.timeout)
        self._scan(str(outcome.raised), "what generate raised")
        for subject, (what, remedy) in outcome.faults.items():
            self.say("fault", subject=subject, what=what, remedy=remedy)
        return outcome

    def build_on(self, outcome: Outcome) -> None:
        """Say whether the steps behind this one have a meaning: it ended, and brought answers."""
        self._is_sound = bool(outcome.responses) and outcome.stuck_at is None
        self.say("basis", ok=self._is_sound)

    def judge(self, step: str, outcome: Outcome, good: str, refused: Trouble | None = None) -> None:
        """Say whether a stream of a step went well; `refused` is what is said where a request failed or was rejected."""
        self.conclude(step, outcome, good, outcome.trouble(self.timeout) or refused)

    def conclude(self, step: str, outcome: Outcome, good: str, trouble: Trouble | None) -> None:
        """Say what was found in a step."""
        if trouble is None:
            self.find(step, "pass", good)
        else:
            self.find(step, "fail", *trouble)
        self.leave_if_stuck(outcome)

    def leave_if_stuck(self, outcome: Outcome) -> None:
        """Give this process up where the adapter still runs."""
        if outcome.stuck_at is not None:
            raise _Stuck

    # Steps, in the order of `STEPS`.

    def answers(self) -> None:
        """Ordinary requests: each is answered, once."""
        outcome = self.run(ordinary(self.model.card))
        self._answers = {key: response.text for key, response in outcome.responses.items()}
        self.say("answers", answers=self._answers)
        good = f"{len(outcome.given)} ordinary requests were answered"
        self._seconds = outcome.seconds
        if reason := not_reached(outcome):
            self._is_sound = False
            self.say("basis", ok=False)
            self.find("answers", "not checked", reason, "mend this, and check again")
            return
        self.build_on(outcome)
        self.judge("answers", outcome, good, failed(outcome) or no_verdict(self.model.card, outcome))

    def second_generate(self) -> None:
        """The same requests again: `generate` works twice, and temperature 0 gives the same answers or not."""
        outcome = self.run(ordinary(self.model.card))
        self.build_on(outcome)
        self.judge("second generate", outcome, "generate works a second time", failed(outcome))
        both = [key for key in self._answers if key in outcome.responses]
        same = sum(self._answers[key] == outcome.responses[key].text for key in both)
        if both:
            told = (
                ""
                if same == len(both)
                else "; the report of a run does not show this, say it in the docstring"
            )
            self.find(
                "determinism",
                "pass",
                f"{same} of {len(both)} answers at temperature 0 were the same twice{told}",
            )

    def lazy(self) -> None:
        """Requests that come slowly, and no end before the first answer."""
        if not self.model.card.stream:
            outcome = self.run(ordinary(self.model.card, 2, "batch"))
            good = "the card says stream = false: it may read all requests before it answers"
            self.judge("lazy", outcome, good, failed(outcome))
            return
        # A model that takes long for an answer, and takes everything that comes meanwhile, is no model that reads all first.
        patience = min(0.75 * self.timeout, max(4.0, 4.0 * self._seconds))
        gave_up = False

        def drip(stream: Stream) -> Iterator[Request]:
            nonlocal gave_up
            for i in range(_MOST_REQUESTS_AHEAD):
                yield ordinary(self.model.card, 1, f"drip{i}-")[0]
                # Most answer the first request before the second is there; those that batch need a few, and get the rest sooner.
                if stream.answered.wait(patience * (0.08 if i < 8 else 0.006)):
                    break
            else:
                gave_up = True
                return
            stream.finished.wait(0.3)  # blocks between two requests, as a slow data set does
            yield ordinary(self.model.card, 1, "late")[0]

        outcome = self.ended(self.stream(drip))
        n = outcome.pulled_before_answer
        if gave_up and outcome.raised is None:
            what = f"it pulled {len(outcome.given)} requests before its first answer: it reads the whole stream first"
            self.find("lazy", "fail", what, STREAM)
            self.leave_if_stuck(outcome)
            return
        good = f"its first answer came after {n} request{'s' * (n != 1)}, while others were still to come"
        self.judge("lazy", outcome, good)

    def content(self, step: str) -> None:
        """One request as a data set may hold it, in a stream of its own."""
        words, request = content(self.model.card, step)
        outcome = self.run([request])
        response = outcome.responses.get(request.id)
        good = outcome_in_words(words, response) if response is not None else ""
        refused = failure(words, response) if response is not None and response.finish == "error" else None
        self.judge(step, outcome, good, refused)

    def unreadable_image(self) -> None:
        """A damaged picture between two good ones: it alone may fail."""
        outcome = self.run(asked.unreadable())
        trouble = outcome.trouble(self.timeout)
        bad = outcome.responses.get("damaged.png")
        hurt = [
            key for key in ("beside0.png", "beside1.png") if key in outcome.missing or is_failed(outcome, key)
        ]
        if outcome.raised is not None and outcome.missing:
            assert trouble is not None  # an exception is trouble
            trouble = (f"one unreadable picture ended the others too: {trouble[0]}", trouble[1])
        elif trouble is None and hurt:
            reason = outcome.responses[hurt[0]].error
            trouble = (
                f"requests beside an unreadable picture failed with it: {printable(str(reason), 200)}",
                "answer each request for itself; only the request with the damaged picture gets finish='error'",
            )
        good = (
            ""
            if bad is None
            else f"an unreadable picture was answered with {bad.finish!r}; the others were answered"
        )
        self.conclude("unreadable image", outcome, good, trouble)

    def boxes(self) -> None:
        """Prompts for boxes in the card's frame; what cannot belong to it is counted."""
        outcome = self.run(asked.localisation(self.model.card))
        good, wrong = frame_used(outcome, self.model.card)
        self.judge("boxes", outcome, good, failed(outcome) or wrong)

    def outputs(self) -> None:
        """What the card declares beside text is delivered."""
        requests = asked.declared(self.model.card.outputs)
        if not requests:
            return
        outcome = self.run(requests)
        lacks = failed(outcome)
        said: list[str] = []
        for request in requests:
            response = outcome.responses.get(request.id)
            for name in sorted(request.outputs - {"text"}):
                if response is None or response.finish == "error":
                    continue
                if name in response.dropped and name not in response.arrays:
                    said.append(f"{name} is declared, and was dropped here")
                    continue
                if (wrong := wrong_output(name, response)) is not None:
                    lacks = lacks or wrong
                else:
                    said.append(f"{name} is delivered")
        self.judge("outputs", outcome, "; ".join(said), lacks)

    def close(self) -> None:
        """`close` while a stream is in flight, and twice."""
        released = threading.Event()

        def endless(_: Stream) -> Iterator[Request]:
            yield from ordinary(self.model.card, 2, "open")
            released.wait()

        stream = self.stream(endless)
        stream.answered.wait(min(self.timeout, 2.0))
        close = getattr(self.model.adapter, "close", None)
        trouble = None
        seconds = 0.0
        for again in (False, True):
            if close is None or trouble is not None:
                break
            trouble, seconds = closed(close, self.source, again=again)
        released.set()
        outcome = stream.wait(min(self.timeout, CLOSE_SECONDS))
        if trouble is None and outcome.stuck_at is not None:
            trouble = (
                f"after close() and the end of the requests, generate goes on for more than {CLOSE_SECONDS:g} s{outcome.stuck_at}",
                "close() has to end what is in flight: cancel it, or set a flag that generate looks at",
            )
        if close is None and outcome.raised is not None:
            trouble = outcome.trouble(self.timeout)
        good = (
            f"close() took {seconds:.1f} s with a stream in flight"
            if close
            else "there is no close(), and none is needed"
        )
        self.find("close", *(("pass", good) if trouble is None else ("fail", *trouble)))
        self.leave_if_stuck(outcome)

    def work(self) -> None:
        """Load, and do each step."""
        self.say("begin", step=LOADS)
        if not self.load():
            self.say("end", threads=[], crowd=0)
            return
        for step in self.steps:
            self.say("begin", step=step)
            try:
                if self.model.card.only_judges and step in NOT_FOR_JUDGES:
                    self.find(step, "pass", TEXTS_ONLY)
                elif step in (*asked.CONTENTS, "large image"):
                    self.content(step)
                else:
                    getattr(self, step.replace(" ", "_"))()
                if not self._is_sound:
                    raise _Stuck
            except _Stuck:
                self.say("stuck", step=step)
                for stream in (sys.stdout, sys.stderr):
                    with contextlib.suppress(Exception):
                        stream.flush()
                os._exit(0)
            self.say("done", step=step)
        left = threads_left()
        self.say(
            "end",
            threads=[printable(thread.name, 60) for thread in left if not thread.daemon],
            crowd=len(left) if len(left) >= max(self._n_streams, 4) else 0,
        )


def _die_with_parent() -> None:
    """Ask the system (Linux) to end this process with its parent, and to choose it first where memory runs out."""
    with contextlib.suppress(Exception):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def main() -> None:
    """Do what standard input orders."""
    pipe = int(sys.argv[1])
    os.set_inheritable(pipe, False)
    order = json.loads(sys.stdin.readline())
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    _die_with_parent()
    Child(pipe, order).work()
