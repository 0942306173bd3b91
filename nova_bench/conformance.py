"""Whether an adapter is fit to be submitted: reads its file, then runs it in a process that can be ended, and says what was found.

The adapter may block for ever, end its process or take the memory; so a step that does not end is that step's failure, its process is
killed, and the other steps go on in a new one. What it prints is caught. It is a check for people who mean well, no cage: the code runs
with the user's rights, and could make its process report anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nova_bench.adapter import read_card, read_header
from nova_bench.catalog import Found, find, split_model
from nova_bench.conformance_child import LOADS, STEPS
from nova_bench.conformance_judge import leaks
from nova_bench.conformance_process import Process
from nova_bench.errors import NovaBenchError, UsageError
from nova_bench.static_check import Finding, printable, static_findings

N_REQUESTS = 30
"""About how many requests a check sends; for the sentence that is said before."""

STEP_SECONDS, LOAD_SECONDS = 120.0, 1200.0

_KEY = re.compile(r"(_|^)(API_?KEY|TOKEN|SECRET|PASSWORD|ACCESS_KEY)$", re.IGNORECASE)
_SHORTEST_KEY = 8


@dataclass(slots=True)
class Verdict:
    """What a check found."""

    adapter: str
    findings: list[Finding] = field(default_factory=list)
    n_requests: int = 0
    """Requests that the adapter took."""
    source: str | None = None
    """sha256 of the file that was run, hex; None where it did not load."""
    options: Mapping[str, Any] | None = None
    """Its options that can change an answer, defaults included, as a run's manifest has them; None where it did not load."""

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
            "source": self.source,
            "options": self.options,
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
    verdict.source, verdict.options = run.source, run.identity
    verdict.findings = [_without_keys(finding, run.keys) for finding in verdict.findings]
    return verdict


def key_variables(named: str = "") -> list[str]:
    """Return the environment variables that hold keys, by their names: no text that leaves this machine may hold their values.

    Args:
        named: One that is known to hold a key, whatever it is called.
    """
    return [
        name
        for name, value in os.environ.items()
        if (_KEY.search(name) or name == named) and len(value.strip()) >= _SHORTEST_KEY
    ]


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
        self.keys = key_variables(options.get("key_env", ""))
        self.n_requests = 0
        self.source: str | None = None
        self.identity: Mapping[str, Any] | None = None
        self._found: list[Finding] = []
        self._faults: dict[str, tuple[str, str]] = {}
        self._leaks: dict[str, str] = {}
        self._dropped: set[str] = set()
        self._answers: dict[str, str | None] = {}
        self._has_answers = self._goes_on = False
        self._printed = ""
        self._end: Finding | None = None
        """How the process ended that did the last step."""

    def all_steps(self) -> None:
        """Do all steps; each time a process is lost, the next goes on behind the step that lost it."""
        remaining = list(STEPS)
        while remaining:
            process = Process(
                self._order(remaining),
                self._hear,
                load_seconds=self.load_seconds,
                step_seconds=self.step_seconds,
            )
            reached = process.listen()
            self._take(process)
            if not process.has_loaded:
                reason = next((finding.what for finding in self._found if finding.step == LOADS), "")
                self._skip(remaining, f"it did not load: {reason}")
                return
            remaining = remaining[remaining.index(reached) + 1 :] if reached else []
            if not self._goes_on:
                self._skip(remaining, f"ordinary requests came to no good end, see '{reached}'")
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

    def _hear(self, line: Mapping[str, Any]) -> None:
        """Take in one line of a child's report."""
        kind = line["kind"]
        if kind == "begin":
            self.watch(line["step"])
        elif kind == "finding":
            self._keep(Finding(line["step"], line["state"], line["what"], line["remedy"]))
        elif kind == "fault":
            self._faults.setdefault(line["subject"], (line["what"], line["remedy"]))
        elif kind == "identity":
            self.source, self.identity = line["source"], line["options"]
        elif kind == "leak":
            self._leaks.setdefault(line["name"], line["where"])
        elif kind == "dropped":
            self._dropped.update(line["names"])
        elif kind == "answers":
            self._answers = line["answers"]
        elif kind == "basis":
            self._goes_on = line["ok"]
            self._has_answers = self._has_answers or line["ok"]
        elif kind == "asked":
            self.n_requests += 1

    def _keep(self, finding: Finding) -> None:
        """Keep a finding; that it loads is said once, however many processes load it."""
        if finding.step == LOADS and any(known.step == LOADS for known in self._found):
            if finding.state == "pass":
                return
            finding = Finding(LOADS, finding.state, f"it did not load again: {finding.what}", finding.remedy)
        self._found.append(finding)

    def _order(self, steps: list[str]) -> dict[str, Any]:
        """Return what a child is told."""
        return {
            "name": self.name,
            "options": self.options,
            "steps": steps,
            "timeout": self.step_seconds,
            "keys": self.keys,
            "answers": self._answers,
        }

    def _take(self, process: Process) -> None:
        """Take in how a process ended, and what it wrote."""
        if process.loss is not None:
            self._keep(process.loss)
        self._end = process.exit or self._end
        self._printed = self._printed or process.printed
        written = (
            (process.printed, "what it printed"),
            (process.complained, "what it wrote to standard error"),
        )
        for text, where in written:
            for name in leaks(text, self.keys):
                self._leaks.setdefault(name, where)


def _without_keys(finding: Finding, keys: list[str]) -> Finding:
    """Return a finding that quotes no key."""
    what, remedy = finding.what, finding.remedy
    for name in keys:
        key = os.environ[name].strip()
        what, remedy = what.replace(key, f"[{name}]"), remedy.replace(key, f"[{name}]")
    return Finding(finding.step, finding.state, what, remedy)
