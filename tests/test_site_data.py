"""The site's data files in a real browser: what a page gets of them is what stands in leaderboard.json, hostile names among it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from many_entries import many_entries
from site_data import data_of
from site_pages import data_of as read_by_page
from site_pages import launched, opened

import nova_bench as nb

pytestmark = [pytest.mark.browser, pytest.mark.real("playwright with Chromium")]


def rounded(cell: dict[str, Any]) -> dict[str, Any]:
    return {**cell, "v": [None if number is None else float(f"{number:.6g}") for number in cell["v"]]}


def test_a_page_reads_every_data_file_as_it_was_written(tmp_path: Path) -> None:
    many_entries(tmp_path / "board", models=12, tasks=4, hostile=True)
    nb.build_leaderboard(tmp_path / "board", out=tmp_path / "site")
    site = tmp_path / "site" / "synthetic"
    keys = [path.relative_to(site / "data").with_suffix("").as_posix() for path in site.glob("data/**/*.js")]
    whole = json.loads((site / "leaderboard.json").read_text("ascii"))
    tables = {f"tasks/{table['task']['slug']}": table for table in whole["tasks"]}
    assert len(tables) == 4
    with launched() as browser, opened(browser, site / "index.html") as (page, said):
        for key in keys:
            read = read_by_page(page, key)
            if key not in tables:
                assert read == data_of(site, key), key
                continue
            for row, full in zip(read["rows"], tables[key]["rows"], strict=True):
                assert row["cells"] == {name: rounded(cell) for name, cell in full["cells"].items()}
                assert {**row, "cells": None} == {**full, "cells": None}
        assert not said
