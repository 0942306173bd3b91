"""What strangers may put into a leaderboard's folder: each is left out of the pages with its reason, and the rest is shown."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from many_entries import many_entries
from site_data import data_of, entry_at

import nova_bench as nb
from nova_bench.board import layout
from nova_bench.board.site_task import Job, make_task

ENTRY = "synthetic/acme-medvlm-001-7aa5d653/nova_diagnosis.json"
OTHER = "synthetic/acme-medvlm-000-5bc70b89/nova_diagnosis.json"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models on one task."""
    board = tmp_path_factory.mktemp("three") / "board"
    many_entries(board, models=3)
    for file in board.rglob("*.json"):
        if file.name != "nova_diagnosis.json":
            file.unlink()
    return board


@pytest.fixture
def board(three: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(three, tmp_path / "board"))


def change(key: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    """Return what sets one place of an entry, as in ``task/headline``."""

    def changed(entry: dict[str, Any]) -> None:
        *folders, last = key.split("/")
        at: Any = entry
        for name in folders:
            at = at[int(name)] if isinstance(at, list) else at[name]
        at[int(last) if isinstance(at, list) else last] = value

    return changed


def forged_signature(entry: dict[str, Any]) -> None:
    entry["signatures"][entry["cells"][0]["signature"]]["protocol"]["prompt"] = "0" * 12


FAULTS: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("another model", change("model/name", "prior"), "says that it belongs at"),
    ("another task", change("task/spelling", "nova_caption"), "says that it belongs at"),
    ("real data", change("data/synthetic", False), "says that it belongs at"),
    ("made-up data called full", change("data/kind", "full"), "`mini`"),
    ("a key too many", change("more", 1), "entry.schema.json"),
    ("a text for a number", change("cells/0/value", "<b>1</b>"), "cells/0/value"),
    ("signature of another protocol", forged_signature, "is not that of its protocol"),
    (
        "a signature's words",
        lambda e: change("text", "x")(e["signatures"][e["cells"][0]["signature"]]),
        "not that of its",
    ),
    ("a signature that is missing", change("cells/0/signature", "0" * 12), "missing"),
    ("a metric that is not listed", change("cells/0/metric", "made up"), "not among its metrics"),
    ("a cell twice", lambda e: e["cells"].append(e["cells"][0]), "two cells"),
    ("no headline", change("task/headline", "made up"), "no cell of its headline"),
    (
        "a command that does more",
        lambda e: change("reproduce", e["reproduce"] + "; rm -rf ~")(e),
        "a shell would",
    ),
    (
        "a command for another model",
        change("reproduce", "nova-bench run nova_diagnosis --model prior --data mini"),
        "otherwise",
    ),
    ("pairing of another number", change("pairing/value", 0.123), "pairing"),
    ("pairing that contradicts itself", lambda e: e["pairing"]["numbers"].pop(), "pairing"),
    ("a number without end", change("cells/0/low", float("inf")), "no JSON"),
    ("a number beyond floats", change("cells/0/value", 10**400), "infinity"),
]


@pytest.mark.parametrize(
    ("change", "reason"), [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS]
)
def test_an_entry_that_contradicts_itself_is_left_out(
    board: Path, change: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    (board / "verifications" / ENTRY).unlink()  # it would be of another text of the entry
    entry = entry_at(board, ENTRY)
    change(entry)
    (board / ENTRY).write_text(json.dumps(entry))
    left_out_alone(board, reason)


def left_out_alone(board: Path, reason: str) -> None:
    (made,) = nb.build_leaderboard(board)["boards"]
    assert made["n_entries"] == 2
    (fault,) = made["left_out"]
    assert fault["entry"] == ENTRY
    assert reason in fault["reason"]
    assert not (board / "site/synthetic/data/entries" / Path(ENTRY).parent.name).exists()


def linked(file: Path) -> None:
    file.rename(file.with_suffix(".real"))
    file.symlink_to(file.with_suffix(".real"))


def large(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(1 << 25)


FILES: list[tuple[str, Callable[[Path], Any], str]] = [
    ("a link", linked, "is a link"),
    ("too large", large, "bytes"),
    ("a pipe", lambda file: (file.unlink(), os.mkfifo(file)), "no regular file"),
    ("no JSON", lambda file: file.write_text("{"), "no JSON"),
    ("no UTF-8", lambda file: file.write_bytes(b'{"a": "\xff"}'), "no JSON"),
    ("nested", lambda file: file.write_text("[" * 100_000), "depth limit"),
    (
        "a number of 5,000 digits",
        lambda f: f.write_text(f.read_text().replace('"n": 68', '"n": ' + "6" * 5000, 1)),
        "no JSON",
    ),
    (
        "a number beyond floats",
        lambda f: f.write_text(f.read_text().replace('"low": 0.', '"low": 1e999, "_": 0.', 1)),
        "",
    ),
    ("NaN", lambda f: f.write_text(f.read_text().replace('"low": 0.', '"low": NaN, "_": 0.', 1)), "no JSON"),
    ("an object", lambda file: file.write_text("{}"), "entry.schema.json"),
]


@pytest.mark.parametrize(("change", "reason"), [each[1:] for each in FILES], ids=[each[0] for each in FILES])
def test_a_file_that_is_no_entry_is_left_out(board: Path, change: Callable[[Path], Any], reason: str) -> None:
    change(board / ENTRY)
    left_out_alone(board, reason)


def test_folders_that_are_links_are_not_looked_into(board: Path, tmp_path: Path) -> None:
    (board / ENTRY).parent.rename(tmp_path / "elsewhere")
    (board / ENTRY).parent.symlink_to(tmp_path / "elsewhere")
    (made,) = nb.build_leaderboard(board)["boards"]
    assert (made["n_entries"], made["left_out"]) == (2, [])


def test_a_mutated_entry_never_ends_the_build(board: Path) -> None:
    (board / "verifications" / ENTRY).unlink()  # it would be of another text of the entry
    honest, rng = entry_at(board, ENTRY), random.Random(0)
    odd = (None, True, -1, 1e300, 10**30, "", "<script>", [], {}, [[]], {"__proto__": 1}, "\ud800")
    seen = set()
    for _ in range(60):
        entry = json.loads(json.dumps(honest))
        at, key = entry, rng.choice(list(entry))
        while isinstance(at[key], (dict, list)) and at[key] and rng.random() < 0.85:
            at = at[key]
            key = rng.choice(list(at) if isinstance(at, dict) else range(len(at)))
        at[key] = rng.choice(odd)
        (board / ENTRY).write_text(json.dumps(entry))
        made = make_task(Job(board, tuple(sorted(board.glob("synthetic/*/*.json"))), board / "data", True))
        assert made.about is not None
        seen.add(len(made.left_out))
        assert made.about["n"] + len(made.left_out) == 3, (key, at[key])
    assert seen == {0, 1}


def test_a_name_that_leads_into_anothers_folder_is_left_out(board: Path) -> None:
    many_entries(board, models=3)
    slug = Path(ENTRY).parent.name
    entry = entry_at(board, ENTRY)
    text = json.dumps(entry).replace("acme:medvlm-001", slug)
    assert layout.slug(slug) == slug
    (board / ENTRY).write_text(text)
    (made,) = nb.build_leaderboard(board)["boards"]
    assert [fault["entry"] for fault in made["left_out"]] == [ENTRY]
    model = data_of(board / "site/synthetic", "board")["models"][slug]
    assert (model["name"], len(model["tasks"])) == ("acme:medvlm-001", 4)


def test_a_record_counts_for_its_own_bundle_only(board: Path) -> None:
    record = board / "verifications" / ENTRY
    stated = json.loads(record.read_text())
    assert stated["status"] == "verified"
    record.write_text(json.dumps(stated | {"bundle": {"file": "x.zip", "sha256": "0" * 64}}))
    other = board / "verifications" / OTHER
    shutil.copy(other, board / "copy.json")
    other.unlink()
    other.symlink_to(board / "copy.json")
    (made,) = nb.build_leaderboard(board)["boards"]
    assert {(fault["entry"], fault["reason"].partition(":")[0]) for fault in made["left_out"]} == {
        (ENTRY, "its verification"),
        (OTHER, "its verification"),
    }
    assert [row["status"] for row in data_of(board / "site/synthetic", "tasks/nova_diagnosis")["rows"]] == [
        None,
        None,
        "consistent",
    ]
