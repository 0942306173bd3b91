"""The site's data files in a browser: what a page gets of them is what leaderboard.json and the entries have, hostile names among it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from many_entries import many_entries
from site_data import data_of

import nova_bench as nb

pytestmark = pytest.mark.browser


def _short(cell: dict[str, Any]) -> dict[str, Any]:
    return {**cell, "v": [None if number is None else float(f"{number:.6g}") for number in cell["v"]]}
