"""Entries that were made to mislead the leaderboard's pages: marks, places and ranks that are not their own, numbers that break a table."""

from __future__ import annotations

import copy
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from many_entries import many_entries
from site_pages import launched, opened

from nova_bench.board.contradictions import embedded_digest
from nova_bench.board.layout import entry_path, slug
from nova_bench.board.record import record_path
from nova_bench.board.site import build_leaderboard
from nova_bench.board.site_entry import read_entry
from nova_bench.catalog import load_task
from nova_bench.errors import BundleError
from nova_bench.signature import seal

TASK = "nova_diagnosis"
Entry = dict[str, Any]


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A board of three models on four tasks: the first two verified, the third consistent."""
    many_entries(tmp_path, models=3, tasks=4, attributes=1)
    return tmp_path


def own(board: Path, i: int = 0) -> Path:
    return board / entry_path(f"acme:medvlm-{i:03}", TASK, is_synthetic=True)


def add(board: Path, entry: Entry) -> Path:
    path = board / entry_path(entry["model"]["name"], entry["task"]["spelling"], is_synthetic=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entry), encoding="utf-8")
    return path


def called(entry: Entry, name: str) -> Entry:
    made = copy.deepcopy(entry)
    words = shlex.split(made["reproduce"])
    words[words.index("--model") + 1] = name
    made["model"]["name"], made["reproduce"] = name, shlex.join(words)
    return made


def resigned(entry: Entry, change: Callable[[Entry], Entry]) -> Entry:
    made = copy.deepcopy(entry)
    made["signatures"], renamed = {}, {}
    for old, signature in entry["signatures"].items():
        sealed = seal(change(signature["protocol"]), signature["provenance"])
        made["signatures"][sealed["id"]], renamed[old] = sealed, sealed["id"]
    for one in (*made["cells"], *made["fairness"]["comparisons"], made["pairing"]):
        one["signature"] = renamed[one["signature"]]
    return made


def built(board: Path) -> tuple[Entry, list[str]]:
    """Build the pages, and return the task's table and the reasons for what was left out."""
    made = build_leaderboard(board)
    tables = json.loads((board / "site" / "synthetic" / "leaderboard.json").read_text())["tasks"]
    table = next(one for one in tables if one["task"]["spelling"] == TASK)
    return table, [one["reason"] for one in made["boards"][0]["left_out"]]


def rows(table: Entry) -> dict[str, Entry]:
    return {row["model"]: row for row in table["rows"]}


def test_mark_does_not_stay_with_an_entry_that_was_changed(board: Path) -> None:
    before, left_out = built(board)
    model = slug("acme:medvlm-000")
    assert rows(before)[model]["status"] == "verified"
    assert not left_out
    entry = json.loads(own(board).read_text())
    entry["cells"][0]["note"] = "the best"
    add(board, entry)
    after, left_out = built(board)
    assert rows(after)[model]["status"] is None
    assert [reason for reason in left_out if "is not the one that was verified" in reason]


def test_rejection_stays_with_an_entry_that_was_changed(board: Path) -> None:
    record = record_path(own(board))
    record.write_text(json.dumps(json.loads(record.read_text()) | {"status": "rejected"}))
    own(board).write_text(own(board).read_text() + "\n")
    assert rows(built(board)[0])[slug("acme:medvlm-000")]["status"] == "rejected"


def test_folder_belongs_to_the_name_that_needs_a_hash(board: Path) -> None:
    victim = slug("acme:medvlm-000")
    for path in list(own(board).parent.glob("*.json")):
        if path.stem != TASK:
            forged = add(board, called(json.loads(path.read_text()), victim))
            assert forged == path  # it lies where it says that it belongs
    table, left_out = built(board)
    assert victim in rows(table)
    assert len([reason for reason in left_out if "not that of the other entries" in reason]) == 3


def test_many_unchecked_entries_do_not_take_the_ranks_of_checked_ones(board: Path) -> None:
    entry = json.loads(own(board).read_text())
    entry["pairing"]["lines"] = "0" * 16
    for i in range(5):
        add(board, called(entry, f"many{i}"))
    found = rows(built(board)[0])
    ranked = {name: row["rank"]["of"] for name, row in found.items() if row["rank"]}
    assert ranked == dict.fromkeys(
        (name for name, row in found.items() if row["status"] == "verified"), len(ranked)
    )
    assert ranked


def test_many_unchecked_entries_do_not_say_what_the_task_is(board: Path) -> None:
    entry = resigned(json.loads(own(board).read_text()), lambda one: {**one, "limit": {"n": 3, "seed": 0}})
    headline = entry["task"]["headline"]
    entry["metrics"][headline] |= {"higher_is_better": False, "about": "forged"}
    for i in range(5):
        add(board, called(entry, f"many{i}"))
    table, _ = built(board)
    metric = next(one for one in table["metrics"] if one["name"] == headline)
    assert metric["higher_is_better"]
    assert metric["about"] != "forged"
    assert [one["n"] for one in table["protocols"] if one["metric"] == headline] == [3, 5]


@pytest.mark.parametrize("number", [1e308, -1e308, 1.0001, -0.0001])
@pytest.mark.parametrize("key", ["value", "low", "high"])
def test_number_outside_its_range_is_left_out(board: Path, key: str, number: float) -> None:
    entry = json.loads(own(board).read_text())
    cell = next(one for one in entry["cells"] if entry["metrics"][one["metric"]]["range"] == [0.0, 1.0])
    cell[key] = number
    with pytest.raises(BundleError, match="outside the metric's range"):
        read_entry(add(board, entry), is_synthetic=True, protocols={})


@pytest.mark.parametrize("bounds", [[0, 1e308], [1, 1], [1, 0]])
def test_range_that_is_none_is_left_out(board: Path, bounds: list[float]) -> None:
    entry = json.loads(own(board).read_text())
    next(iter(entry["metrics"].values()))["range"] = bounds
    with pytest.raises(BundleError, match="the range of"):
        read_entry(add(board, entry), is_synthetic=True, protocols={})


def test_number_beyond_all_axes_is_left_out_where_a_metric_has_no_range(board: Path) -> None:
    entry = json.loads(own(board).read_text())
    name = entry["cells"][0]["metric"]
    entry["metrics"][name]["range"] = None
    entry["cells"][0]["value"] = 1e308
    with pytest.raises(BundleError, match="outside the metric's range"):
        read_entry(add(board, entry), is_synthetic=True, protocols={})


def test_states_have_to_be_those_of_all_answers(board: Path) -> None:
    entry = json.loads(own(board).read_text())
    entry["counts"]["states"]["refused"] += 1000
    with pytest.raises(BundleError, match="states of"):
        read_entry(add(board, entry), is_synthetic=True, protocols={})


def test_costs_below_nothing_and_long_texts_of_metrics_are_not_shown(board: Path) -> None:
    entry = json.loads(own(board).read_text())
    entry["usage"]["model"] |= {"cost_usd": -5, "seconds": 1e300}
    name = next(reversed(entry["metrics"]))
    extra = seal({**next(iter(entry["signatures"].values()))["protocol"], "metric": "own"}, {})
    entry["signatures"][extra["id"]] = extra
    entry["metrics"]["own"] = {**entry["metrics"][name], "about": "x" * 20_000}
    entry["cells"].append({**entry["cells"][0], "metric": "own", "signature": extra["id"], "slice": "all"})
    add(board, entry)
    table, _ = built(board)
    usage = rows(table)[slug("acme:medvlm-000")]["usage"]
    assert (usage["cost_usd"], usage["seconds"]) == (None, None)
    assert len(next(one for one in table["metrics"] if one["name"] == "own")["about"]) == 500


@pytest.mark.browser
def test_rejected_entry_is_marked_and_last_in_a_suite(board: Path) -> None:
    record = record_path(own(board))
    record.write_text(json.dumps(json.loads(record.read_text()) | {"status": "rejected"}))
    entry = json.loads(own(board).read_text())
    for cell in entry["cells"]:
        if (cell["metric"], cell["slice"]) == (entry["task"]["headline"], "all"):
            cell["value"], cell["low"], cell["high"] = 0.99, 0.98, 1.0
    entry["pairing"] = None
    add(board, entry)
    build_leaderboard(board)
    with (
        launched() as browser,
        opened(browser, board / "site" / "synthetic" / "index.html", f"suite=nova&sort=t:{TASK}!desc") as (
            page,
            said,
        ),
    ):
        page.wait_for_selector("#table table")
        last = page.locator("#table tbody tr").last.inner_text()
        assert slug("acme:medvlm-000") in page.locator("#table tbody tr a").last.get_attribute("href")
        assert "rejected" in last
        assert not said


def test_made_up_data_do_not_come_onto_the_board_of_real_data(tmp_path: Path) -> None:
    board = tmp_path / "board"
    many_entries(board, models=2, tasks=1, is_synthetic=False)
    (made,) = build_leaderboard(board)["boards"]
    assert (made["n_entries"], made["left_out"]) == (2, [])
    (path, _) = sorted(board.glob("entries/*/*.json"))
    honest = json.loads(path.read_text())
    digest = embedded_digest(load_task(honest["task"]["name"]))
    assert digest is not None
    entry = resigned(honest, lambda one: {**one, "data": digest[:12]})
    entry["data"]["digest"] = digest
    path.write_text(json.dumps(entry))
    (made,) = build_leaderboard(board)["boards"]
    assert made["n_entries"] == 1
    assert "it calls them real" in made["left_out"][0]["reason"]
