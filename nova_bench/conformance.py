"""Whether an adapter is fit to be submitted: reads its file, then runs it in a process that can be ended, and says what was found.

The adapter may block for ever, end its process or take the memory; so a step that does not end is that step's failure, its process is
killed, and the other steps go on in a new one. What it prints is caught. It is a check for people who mean well, no cage: the code runs
with the user's rights, and could make its process report anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from nova_bench.adapter import read_card, read_header
from nova_bench.catalog import Found, find, split_model
from nova_bench.conformance_child import CLOSE_SECONDS, LOADS, STEPS, leaks
from nova_bench.conformance_stream import TIME
from nova_bench.errors import NovaBenchError, UsageError
from nova_bench.static_check import Finding, printable, static_findings

N_REQUESTS = 30
"""About how many requests a check sends; for the sentence that is said before."""

STEP_SECONDS, LOAD_SECONDS = 120.0, 1200.0

_GRACE_SECONDS = 5.0
"""The child times itself and can say where it waits; only a child that cannot is timed from here."""

_KEY = re.compile(r"(_|^)(API_?KEY|TOKEN|SECRET|PASSWORD|ACCESS_KEY)$", re.IGNORECASE)
_SHORTEST_KEY = 8
_MOST_PRINTED = 2_000


@dataclass(slots=True)
class Verdict:
    """What a check found."""

    adapter: str
    findings: list[Finding] = field(default_factory=list)
    n_requests: int = 0
    """Requests that the adapter took."""

    @property
    def passed(self) -> bool:
        """Whether everything was checked and passed."""
        return all(finding.state == "pass" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the document of ``check --json``."""
        counts = {
            state: sum(finding.state == state for finding in self.findings)
            for state in ("pass", "fail", "not checked")
        }
        return {
            "schema_version": 1,
            "adapter": self.adapter,
            "passed": self.passed,
            "requests": self.n_requests,
            "counts": counts,
            "findings": [asdict(finding) for finding in self.findings],
        }


def check(
    name: str,
    options: Mapping[str, str] | None = None,
    *,
    timeout: float | None = None,
    watch: Callable[[str], None] = lambda step: None,
) -> Verdict:
    """Check an adapter: what its file says, and what it does with about thirty requests.

    Args:
        name: ``ADAPTER`` or ``ADAPTER:MODEL``; the adapter is a name, or a path with a slash.
        options: Texts for ``load``, as ``-o key=value`` gives them.
        timeout: Seconds that loading, and each step, may take; None: 1200 for loading and 120 for a step.
        watch: Called with each step as it begins.

    Raises:
        UnknownNameError: No such adapter.
        UsageError: The path does not exist, or the model is named twice.
    """
    adapter, model = split_model(name)
    given = dict(options or {})
    if model:
        if "model" in given:
            raise UsageError(f"the model is named twice: {name!r} and -o model={given['model']}; give one")
        given["model"] = model
    found = find("adapters", adapter)
    verdict = Verdict(name, _static(found))
    if reason := _unfit(found, verdict.findings, given):
        skipped = (LOADS, *STEPS)
        verdict.findings += [Finding(step, "not checked", reason) for step in skipped]
        return verdict
    run = _Check(adapter, given, timeout, watch)
    run.all_steps()
    verdict.findings += run.findings()
    verdict.n_requests = run.n_requests
    verdict.findings = [_without_keys(finding, run.keys) for finding in verdict.findings]
    return verdict


def _static(found: Found) -> list[Finding]:
    if found.path is None:
        said = "the file of this entry point cannot be read without importing it"
        return [Finding("header", "not checked", said, "check its file by its path")]
    return static_findings(found.source(), found.name, (found.entry.attr if found.entry else "") or "load")


def _unfit(found: Found, findings: list[Finding], options: Mapping[str, str]) -> str:
    """Return why there is no point in running a file; empty where there is one."""
    if any(finding.step in ("source", "load") and finding.state == "fail" for finding in findings):
        return "the file has to be mended first, see above"
    try:
        read_card(read_header(found.source(), found.name), found.name, options)
    except UsageError as error:
        if "boxes" in options or "think" in options:
            raise
        return printable(str(error), 300)
    except NovaBenchError:
        return "the header has to be mended first, see above"
    return ""


class _Check:
    """The steps of one adapter, over as many processes as they take."""

    def __init__(
        self, name: str, options: Mapping[str, str], timeout: float | None, watch: Callable[[str], None]
    ) -> None:
        self.name, self.options, self.watch = name, dict(options), watch
        self.step_seconds = timeout or STEP_SECONDS
        self.load_seconds = timeout or LOAD_SECONDS
        named = options.get("key_env", "")
        self.keys = [
            key
            for key, value in os.environ.items()
            if (_KEY.search(key) or key == named) and len(value.strip()) >= _SHORTEST_KEY
        ]
        self.n_requests = 0
        self._found: list[Finding] = []
        self._faults: dict[str, tuple[str, str]] = {}
        self._leaks: dict[str, str] = {}
        self._dropped: set[str] = set()
        self._answers: dict[str, str | None] = {}
        self._has_answers = False
        self._printed = ""
        self._end: Finding | None = None
        """How the process ended that did the last step."""

    def all_steps(self) -> None:
        """Do all steps; each time a process is lost, the next goes on behind the step that lost it."""
        remaining = list(STEPS)
        while remaining:
            process = _Process(self, remaining)
            reached = process.listen()
            if not process.has_loaded:
                reason = next((finding.what for finding in self._found if finding.step == LOADS), "")
                self._skip(remaining, f"it did not load: {reason}")
                return
            remaining = remaining[remaining.index(reached) + 1 :] if reached else []
            if not self._has_answers:
                self._skip(remaining, "it answered none of the ordinary requests, see 'answers'")
                return

    def _skip(self, steps: list[str], reason: str) -> None:
        self._found += [Finding(step, "not checked", printable(reason, 300)) for step in steps]

    def findings(self) -> list[Finding]:
        """Return what was found: steps, then what concerns all of them."""
        found = list(self._found)
        if self._has_answers:
            for subject, good in (
                ("ids", "each answer has its request's id, once"),
                ("responses", "finish and the other fields of the responses are valid"),
                ("requests", "the requests were left as they were"),
            ):
                if subject in self._faults:
                    found.append(Finding(subject, "fail", *self._faults[subject]))
                else:
                    found.append(Finding(subject, "pass", good))
            dropped = ", ".join(sorted(self._dropped))
            good = f"dropped, as a run will show: {dropped}" if dropped else "none was reported as dropped"
            found.append(Finding("parameters", "pass", good))
        if self._end is not None:
            found.append(self._end)
        found += [self._output(), self._leakage()]
        return found

    def _output(self) -> Finding:
        if not self._printed:
            return Finding("standard output", "pass", "nothing was printed to it")
        shown = printable(self._printed.strip() or "white space", 80)
        return Finding(
            "standard output",
            "fail",
            f"printed to standard output: {shown}",
            "remove print(), or print to sys.stderr: standard output belongs to --json",
        )

    def _leakage(self) -> Finding:
        if self._leaks:
            name, where = next(iter(self._leaks.items()))
            return Finding(
                "keys",
                "fail",
                f"the value of {name} is in {where}; answers and errors are logged and shared",
                f"take the key out of texts before you return or raise them: text.replace(key, '[{name}]')",
            )
        n = len(self.keys)
        return Finding(
            "keys", "pass", f"the values of {n} key variables in the environment showed up nowhere"
        )

    # What processes report.

    def hear(self, line: Mapping[str, Any]) -> None:
        """Take in one line of a child's report."""
        kind = line["kind"]
        if kind == "finding":
            self.found(Finding(line["step"], line["state"], line["what"], line["remedy"]))
        elif kind == "fault":
            self._faults.setdefault(line["subject"], (line["what"], line["remedy"]))
        elif kind == "leak":
            self._leaks.setdefault(line["name"], line["where"])
        elif kind == "dropped":
            self._dropped.update(line["names"])
        elif kind == "answers":
            self._answers = line["answers"]
        elif kind == "basis":
            self._has_answers = line["ok"]
        elif kind == "asked":
            self.n_requests += 1

    def found(self, finding: Finding) -> None:
        """Keep a finding; that it loads is said once, however many processes load it."""
        if finding.step == LOADS and any(known.step == LOADS for known in self._found):
            if finding.state == "pass":
                return
            finding = Finding(LOADS, finding.state, f"it did not load again: {finding.what}", finding.remedy)
        self._found.append(finding)

    def order(self, steps: list[str]) -> dict[str, Any]:
        """Return what a child is told."""
        return {
            "name": self.name,
            "options": self.options,
            "steps": steps,
            "timeout": self.step_seconds,
            "keys": self.keys,
            "answers": self._answers,
        }

    def heard_output(self, printed: str, complained: str) -> None:
        """Take in what a child wrote to standard output and standard error."""
        self._printed = self._printed or printed
        for text, where in ((printed, "what it printed"), (complained, "what it wrote to standard error")):
            for name in leaks(text, self.keys):
                self._leaks.setdefault(name, where)

    def ended(self, finding: Finding) -> None:
        """Take in how the last process ended."""
        self._end = finding


class _Process:
    """One child: started, listened to, ended, with all that it started."""

    def __init__(self, check: _Check, steps: list[str]) -> None:
        self.check = check
        self.has_loaded = False
        self.step = LOADS
        self._deadline = time.monotonic() + check.load_seconds + _GRACE_SECONDS
        self._begun = time.monotonic()
        self._waiting: dict[str, None] = {}
        """What was pulled and not answered in this step."""
        self._state = "working"
        self._threads: list[str] = []
        self._stack = contextlib.ExitStack()
        self._output, self._errors = (
            self._stack.enter_context(contextlib.closing(tempfile.TemporaryFile()))  # noqa: SIM115  (the stack closes it)
            for _ in range(2)
        )
        self._pipe, far = os.pipe()
        self._stack.callback(os.close, self._pipe)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nova_bench.conformance_child", str(far)],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self._errors,
            pass_fds=(far,),
            start_new_session=True,
        )
        os.close(far)
        assert self._process.stdin is not None  # it is a pipe
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(json.dumps(check.order(steps)).encode() + b"\n")

    def listen(self) -> str:
        """Hear the child to its end; return the step at which it was lost, empty where it did them all."""
        try:
            with self._stack:
                for line in self._lines():
                    self._hear(line)
                lost = "" if self._state == "ended" else self.step
                if self._state == "working":
                    self._explain_loss()
                if self._state == "ended" and self.has_loaded:
                    self.check.ended(self._see_off())
                self._kill()
                complained = self._tail(self._errors)
                self.check.heard_output(self._head(self._output), complained)
                return lost
        finally:
            self._kill()

    def _hear(self, line: Mapping[str, Any]) -> None:
        kind = line["kind"]
        if kind == "begin":
            self.step = line["step"]
            self._waiting.clear()
            self.check.watch(self.step)
            seconds = self.check.load_seconds if self.step == LOADS else self.check.step_seconds
            # `close` waits for an answer first, twice for close(), and then for the end.
            extra = 3 * CLOSE_SECONDS if self.step == "close" else 0.0
            self._begun = time.monotonic()
            self._deadline = self._begun + seconds + extra + (0.0 if self.step == LOADS else _GRACE_SECONDS)
        elif kind == "asked":
            self._waiting[repr(line["id"])] = None
        elif kind == "answered":
            self._waiting.pop(line["id"], None)
        elif kind == "loaded":
            self.has_loaded = True
        elif kind == "stuck":
            self._state = "stuck"
        elif kind == "end":
            self._state = "ended"
            self._threads = line["threads"]
        self.check.hear(line)

    def _lines(self) -> Iterator[dict[str, Any]]:
        """Yield the child's lines until it says that it is done, ends, or is out of time."""
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_READ)
            while self._state == "working":
                has_ended = self._process.poll() is not None
                if not selector.select(0.0 if has_ended else 0.1):
                    if has_ended or time.monotonic() > self._deadline:
                        return
                    continue
                data = os.read(self._pipe, 1 << 16)
                if not data:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._process.wait(2)
                    return
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    with contextlib.suppress(
                        ValueError
                    ):  # an adapter that writes into every file that is open
                        yield json.loads(line)

    def _explain_loss(self) -> None:
        """Say what became of a child that ended, or did not go on, in the middle of a step."""
        at = "while it was loading" if self.step == LOADS else f"in step '{self.step}'"
        asked = f", with {next(iter(self._waiting))} unanswered" if self._waiting else ""
        code: int | str | None = self._process.poll()
        if code is None:
            seconds = time.monotonic() - self._begun
            what = f"it did not come back within {seconds:.0f} s {at}{asked}"
            remedy = TIME
        elif isinstance(code, int) and code < 0:
            with contextlib.suppress(ValueError):
                code = signal.Signals(-code).name
            memory = ", which is what systems do where memory runs out" if code == "SIGKILL" else ""
            what = f"its process was ended by signal {code} {at}{asked}{memory}"
            remedy = "run the adapter in a small script under python -X faulthandler, or on a machine with more memory"
        else:
            what = f"it ended its process with exit code {code} {at}{asked}"
            remedy = "remove os._exit(), exec and what else ends a process; raise an exception instead"
        if said := self._tail(self._errors).strip():
            what += f"; its last words: {printable(said.splitlines()[-1], 200)}"
        self.check.found(Finding(self.step, "fail", what, remedy))

    def _see_off(self) -> Finding:
        """Wait for the child's end, and say what keeps it or outlives it."""
        named = f": thread {', '.join(map(repr, self._threads))}" if self._threads else ""
        remedy = "end them in close(), or make threads daemons (daemon=True) and stop child processes"
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            return Finding(
                "exit", "fail", f"{CLOSE_SECONDS:g} s after its work the process does not end{named}", remedy
            )
        until = time.monotonic() + 2.0
        while _is_group_alive(self._process.pid):
            if time.monotonic() > until:
                return Finding("exit", "fail", "a process that the adapter started is still running", remedy)
            time.sleep(0.05)
        if code := self._process.returncode:
            said = printable((self._tail(self._errors).strip().splitlines() or [""])[-1], 200)
            return Finding(
                "exit", "fail", f"its process ended with code {code} after all steps: {said}", remedy
            )
        return Finding("exit", "pass", "its process ended by itself, and left nothing behind")

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @staticmethod
    def _head(file: IO[bytes]) -> str:
        file.seek(0)
        return file.read(_MOST_PRINTED).decode(errors="replace")

    @staticmethod
    def _tail(file: IO[bytes]) -> str:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 100 * _MOST_PRINTED))
        return file.read().decode(errors="replace")


def _is_group_alive(group: int) -> bool:
    """Return whether a process group whose leader was waited for has members left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _without_keys(finding: Finding, keys: list[str]) -> Finding:
    """Return a finding that quotes no key."""
    what, remedy = finding.what, finding.remedy
    for name in keys:
        key = os.environ[name].strip()
        what, remedy = what.replace(key, f"[{name}]"), remedy.replace(key, f"[{name}]")
    return Finding(finding.step, finding.state, what, remedy)
