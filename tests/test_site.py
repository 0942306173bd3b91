"""The leaderboard's site as files: what stands in them, what of strangers is left out, and what a build leaves alone."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from many_entries import HOSTILE_NAMES, many_entries
from site_data import data_of, entry_at

import nova_bench as nb
from nova_bench.board import site_workers
from nova_bench.board.pairing import stored_differences
from nova_bench.board.verify import find_targets
from nova_bench.cli import main
from nova_bench.stats import ranks

ENTRY = "synthetic/acme-medvlm-001-7aa5d653/nova_diagnosis.json"
OTHER = "synthetic/acme-medvlm-000-5bc70b89/nova_diagnosis.json"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board of real and made-up data, the latter with names that are to break pages."""
    board = tmp_path_factory.mktemp("many") / "board"
    many_entries(board, models=12, hostile=True)
    many_entries(board, models=7, is_synthetic=False)
    nb.build_leaderboard(board)
    return board


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


def files_of(site: Path) -> dict[str, bytes]:
    return {str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def test_entries_are_shown_with_their_own_numbers(many: Path) -> None:
    site = many / "site"
    listed = data_of(site, "board")
    assert (listed["synthetic"], listed["n_entries"], len(listed["models"])) == (False, 35, 7)
    assert [suite["name"] for suite in listed["suites"]] == ["nova", "fmbench"]
    assert listed["bundles"] == "../entries/"
    assert data_of(site / "synthetic", "board")["bundles"] == "../../synthetic/"
    whole = json.loads((site / "leaderboard.json").read_text("ascii"))
    for table in whole["tasks"]:
        slug = table["task"]["slug"]
        packed = data_of(site, f"tasks/{slug}")
        assert [row["model"] for row in table["rows"]] == [row["model"] for row in packed["rows"]]
        for row in table["rows"]:
            entry = entry_at(many, f"entries/{row['model']}/{slug}.json")
            mine = {cell["metric"]: cell for cell in entry["cells"] if cell["slice"] == "all"}
            assert {name: cell["v"] for name, cell in row["cells"].items()} == {
                name: [cell["value"], cell["low"], cell["high"]] for name, cell in mine.items()
            }
            assert row["reproduce"] == entry["reproduce"]
            own = data_of(site, f"entries/{row['model']}/{slug}")
            assert len(own["cells"]) == len(entry["cells"])
            for short, cell in zip(own["cells"], entry["cells"], strict=True):
                assert own["metrics"][short[0]] == cell["metric"]
                assert own["slices"][short[1]] == cell["slice"]
                assert short[2:8] == [
                    cell[key] for key in ("value", "low", "high", "n", "n_failed", "clusters")
                ]
                assert {
                    k: v for k, v in zip(own["states"], short[8], strict=True) if k in cell["counts"]
                } == cell["counts"]
                assert own["signatures"][short[11]] == entry["signatures"][cell["signature"]]


def test_fairness_files_have_every_comparison_once(many: Path) -> None:
    listed = data_of(many / "site", "board")
    for task in listed["tasks"]:
        found = 0
        for metric in task["fairness_metrics"]:
            file = data_of(many / "site", f"fairness/{task['slug']}/{metric['slug']}")
            assert (file["metric"], len(file["attributes"])) == (metric["name"], 4)
            found += len(file["rows"])
            for row in file["rows"]:
                entry = entry_at(many, f"entries/{row['model']}/{task['slug']}.json")
                (mine,) = (
                    one
                    for one in entry["fairness"]["comparisons"]
                    if (one["metric"], one["attribute"]) == (metric["name"], row["attribute"])
                )
                assert row["gap"]["v"] == [mine["gap"][key] for key in ("value", "low", "high")]
                assert {name: group["patients"] for name, group in row["groups"].items()} == {
                    name: group["patients"] for name, group in mine["groups"].items()
                }
        assert found == 4 * 7 * len(task["fairness_metrics"]) > 0


def test_ranks_and_differences_are_those_of_the_pairings(many: Path) -> None:
    table = data_of(many / "site", "tasks/nova_localization")
    main_id = table["protocols"][0]["id"]
    headline = next(i for i, one in enumerate(table["metrics"]) if one["name"] == table["task"]["headline"])
    same = [row for row in table["rows"] if row["cells"][headline][5] == main_id]
    pairings = [entry_at(many, f"entries/{row['model']}/nova_localization.json")["pairing"] for row in same]
    expected = stored_differences(pairings, range=(0.0, 1.0))
    checked = [i for i, row in enumerate(same) if row["status"] == "verified"]
    assert 2 < len(checked) < len(same)
    cut = np.ix_(checked, checked)
    counted = ranks(expected.p[cut], expected.value[cut])
    assert [same[i]["rank"] for i in checked] == [
        {"low": rank.low, "high": rank.high, "of": len(checked)} for rank in counted if rank
    ]
    assert len({rank.low for rank in counted if rank}) > 1
    assert {row["rank"] for row in same if row["status"] != "verified"} == {None}
    assert "Verified entries are ranked" in table["rank_note"]
    pairs = data_of(many / "site", f"pairs/nova_localization/{same[1]['model']}")
    assert pairs["models"] == [row["model"] for i, row in enumerate(same) if i != 1]
    assert pairs["difference"][0] == pytest.approx(expected.value[1, 0], rel=1e-5)
    assert pairs["p"][-1] == pytest.approx(expected.p[1, -1], rel=1e-5)
    others = [row for row in table["rows"] if row not in same]
    assert [row["rank"] for row in others] == [
        {"low": 1, "high": 1, "of": 1}
    ]  # another protocol, ranked apart


def test_published_numbers_stand_on_the_board_of_real_data_alone(many: Path) -> None:
    real = data_of(many / "site", "tasks/nova_localization")["references"]
    assert real
    assert {one["metric"] for one in real} <= {
        one["name"] for one in data_of(many / "site", "tasks/nova_localization")["metrics"]
    }
    assert data_of(many / "site" / "synthetic", "tasks/nova_localization")["references"] == []


def test_hostile_names_are_kept_as_they_are_and_sheets_are_guarded(many: Path) -> None:
    site = many / "site" / "synthetic"
    listed = data_of(site, "board")
    assert set(HOSTILE_NAMES) <= {model["name"] for model in listed["models"].values()}
    assert not listed["left_out"]
    assert max(len(model["title"]) for model in listed["models"].values()) <= 300
    assert {model["url"] for model in listed["models"].values() if model["url"]} <= {
        f"https://example.org/medvlm/{i}" for i in range(12)
    }
    assert all(path.read_bytes().isascii() for path in site.rglob("*.js"))
    with (site / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert not [cell for line in lines for cell in line.values() if cell.startswith(("=", "+", "@"))]
    assert "'=HYPERLINK(0)" in {line["model"] for line in lines}
    table = data_of(site, "tasks/nova_diagnosis")
    assert sum(line["task"] == "nova_diagnosis" for line in lines) == 12 * len(table["metrics"])


def test_where_nothing_is_verified_all_but_the_rejected_are_ranked(many: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    shutil.copytree(many, board, ignore=shutil.ignore_patterns("site"))
    for path in board.glob("verifications/synthetic/*/*.json"):
        record = json.loads(path.read_text())
        path.write_text(
            json.dumps({**record, "status": "consistent"} if record["status"] == "verified" else record)
        )
    nb.build_leaderboard(board)
    table = data_of(board / "site" / "synthetic", "tasks/nova_diagnosis")
    assert {row["status"] for row in table["rows"]} == {"consistent", "rejected", None}
    for row in table["rows"]:
        assert (row["rank"] is None) == (row["status"] == "rejected"), row["model"]
    assert table["rank_note"] is None


def test_the_same_board_gives_the_same_bytes_in_one_process_and_in_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_entries(tmp_path / "board", models=3, tasks=3)
    monkeypatch.setattr(site_workers, "_FEW_BYTES", 1 << 40)
    nb.build_leaderboard(tmp_path / "board", out=tmp_path / "one")
    monkeypatch.setattr(site_workers, "_FEW_BYTES", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    nb.build_leaderboard(tmp_path / "board", out=tmp_path / "several")
    assert files_of(tmp_path / "one") == files_of(tmp_path / "several")


def test_main_protocol_is_the_one_of_most_rows_and_others_say_what_differs(many: Path) -> None:
    table = data_of(many / "site", "tasks/nova_caption")
    own = [one for one in table["protocols"] if one["metric"] == table["task"]["headline"]]
    assert [one["n"] for one in own] == [6, 1]
    assert own[0]["differs"] == {}
    assert own[1]["differs"] == {"limit.n": ["20", None], "limit.seed": ["0", None]}


def test_entries_of_a_real_submission_are_taken(tmp_path: Path) -> None:
    from submissions import run, submitted

    submitted(tmp_path, run(tmp_path, "prior", "nova_diagnosis"))
    (made,) = nb.build_leaderboard(tmp_path / "board")["boards"]
    assert (made["n_entries"], made["left_out"]) == (1, [])
    (row,) = data_of(tmp_path / "board/site/synthetic", "tasks/nova_diagnosis")["rows"]
    assert row["rank"] == {"low": 1, "high": 1, "of": 1}
    assert row["usage"]["total"] is None  # the baseline's answers came without counts
    assert (tmp_path / "board/site/index.html").exists()
    assert not (tmp_path / "board/site/fairness.html").exists()


def test_a_build_replaces_its_own_files_and_no_others(board: Path) -> None:
    site = board / "site"
    nb.build_leaderboard(board)
    before = files_of(site)
    (site / "synthetic/data/entries/mine.txt").write_text("kept")
    (site / ".nojekyll").touch()
    (site / "synthetic/index.html").write_text("changed by hand")
    nb.build_leaderboard(board)
    assert files_of(site) == before | {"synthetic/data/entries/mine.txt": b"kept", ".nojekyll": b""}
    shutil.rmtree((board / ENTRY).parent)
    nb.build_leaderboard(board)
    gone = before.keys() - files_of(site).keys()
    assert gone == {
        f"synthetic/data/{folder}.js"
        for folder in (
            f"entries/{Path(ENTRY).parent.name}/nova_diagnosis",
            f"pairs/nova_diagnosis/{Path(ENTRY).parent.name}",
        )
    }
    assert not (site / "synthetic/data/entries" / Path(ENTRY).parent.name).exists()
    assert not list(site.glob(".building*"))


def test_a_build_writes_over_nothing_that_is_not_its_own(board: Path, tmp_path: Path) -> None:
    out = tmp_path / "www"
    out.mkdir()
    (out / "index.html").write_text("my home page")
    with pytest.raises(nb.UsageError, match="was not written by"):
        nb.build_leaderboard(board, out=out)
    assert files_of(out) == {"index.html": b"my home page"}
    (out / "index.html").unlink()
    (tmp_path / "elsewhere").mkdir()
    (out / "synthetic").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(nb.UsageError, match="no folder of a site"):
        nb.build_leaderboard(board, out=out)
    (tmp_path / "link").symlink_to(out)
    with pytest.raises(nb.UsageError, match="no folder"):
        nb.build_leaderboard(board, out=tmp_path / "link")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_list_of_strangers_files_removes_none_of_them(board: Path, tmp_path: Path) -> None:
    (tmp_path / "precious.js").write_text("")
    (board / "site").mkdir()
    (board / "site/notes.txt").write_text("")
    names = ["../../precious.js", "notes.txt", "data/../../../precious.js", str(tmp_path / "precious.js")]
    (board / "site/site-files.txt").write_text("\n".join(names))
    nb.build_leaderboard(board)
    assert (tmp_path / "precious.js").exists()
    assert (board / "site/notes.txt").exists()


def test_verify_takes_no_file_of_the_pages_for_an_entry(board: Path) -> None:
    before = find_targets(board)
    nb.build_leaderboard(board)
    assert find_targets(board) == before
    assert len(before) == 3


def test_command_line_says_what_was_left_out(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (board / ENTRY).write_text("{\x1b")
    words = ["leaderboard", "build", "--board", str(board), "--out", str(board / "pages")]
    assert main(words) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == f"written: {board / 'pages/index.html'}"
    assert ENTRY in said.err
    assert main([*words, "--strict", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["schema_version"] == 1
    assert document["boards"][0]["left_out"][0]["entry"] == ENTRY
    assert main(["leaderboard", "build", "--board", str(board / "pages")]) == 2
    assert "holds no entries" in capsys.readouterr().err
