"""What all tests share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Turn a skip for a missing engine or resource into a failure where everything has to be there."""
    outcome = yield
    report = outcome.get_result()
    allowed = "optional" in item.keywords
    if report.skipped and os.environ.get("NOVA_BENCH_REQUIRE_ALL") and not allowed:
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"
