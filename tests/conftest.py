"""What all tests share."""

from __future__ import annotations

import collections
import importlib.metadata
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# Faults to be found, and a package to be installed: no tests in them, and nothing there is to be imported.
collect_ignore = ["broken_adapters", "plugin_package"]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Turn a skip for a missing engine or resource into a failure where everything has to be there."""
    outcome = yield
    report = outcome.get_result()
    allowed = "optional" in item.keywords
    if report.skipped and os.environ.get("NOVA_BENCH_REQUIRE_ALL") and not allowed:
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"
    if report.when == "call":
        for mark in item.iter_markers("real"):
            report.user_properties += [("real", name) for name in mark.args]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List which backends and resources were tested as they are, with their versions."""
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for key, name in getattr(report, "user_properties", ()):
                if key == "real":
                    counts[name][outcome] += 1
    if counts:
        terminalreporter.section("ran against the real thing")
        for name in sorted(counts):
            outcomes = ", ".join(f"{number} {outcome}" for outcome, number in counts[name].items())
            package, space, how = name.partition(" ")
            terminalreporter.line(f"{package} {_version(package)}{space}{how}: {outcomes}")


def _version(package: str) -> str:
    """Return the version of a package; vLLM's build for processors goes by another name."""
    for name in (package, f"{package}-cpu"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""
