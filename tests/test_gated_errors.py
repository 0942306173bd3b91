"""Gated data and a server that quotes what it was sent: its words are in the private file only, whatever command is given afterwards."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fmbench_set import make_built
from loopback_quoting import FAULTS, serve_quoting
from running import log_of, make_set, nova, settings

import nova_bench as nb

pytest.importorskip("openai")

KINDS = ("refused", "down", "filtered", "long", "shouted", "sick", "page", "cut", "aborted", "named")
QUESTION = "FAULT-{} Why did CANARYQUESTION go sailing with a parrot in Yellow Street?"
FRAGMENTS = (
    "CANARYQUESTION",
    "sailing with a parrot",
    "Yellow Street",
    "SAILING WITH A PARROT",
    "digest this",
)
PATIENTS = 4
LEFT_OUT = "the words stand in private.jsonl"
IMPATIENT = ("-o", "deadline=4", "-o", "attempt_timeout=4")


class Home:
    """A folder in which every command was given that asks, continues, scores or shows, and what each said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ids = [f"p{i:04d}-q{q}" for i in range(PATIENTS) for q in (1, 2, 3)]
        kinds = dict(zip(ids, KINDS, strict=False))
        self.kinds = {name: kinds.get(name, "none") for name in ids}
        make_built(
            folder / "set",
            PATIENTS,
            {name: {"question": QUESTION.format(kind)} for name, kind in self.kinds.items()},
        )
        self.own = {path for path in folder.rglob("*") if path.is_file()}
        self.streams: list[tuple[str, str]] = []
        self.logs: dict[str, list[dict[str, Any]]] = {}
        """The log of the run after each of its starts."""
        self.reasons: dict[str, str] = {}
        """Why lines had no answer after the first start."""

    def give(self, *words: str, code: int = 0) -> str:
        done = nova(self.folder, *words)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        self.streams += [("stdout", done.stdout), ("stderr", done.stderr)]
        return done.stderr

    def written(self) -> Iterator[Path]:
        return (path for path in self.folder.rglob("*") if path.is_file() and path not in self.own)

    def holding(self, words: str) -> set[str]:
        """Return the names of files and streams that hold words, in whatever case."""
        low = words.lower()
        files = {
            str(path.relative_to(self.folder))
            for path in self.written()
            if low.encode() in path.read_bytes().lower()
        }
        return files | {name for name, text in self.streams if low in text.lower()}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("gated"))
    out = home.folder / "out"
    with serve_quoting() as (url, server):
        run = ("run", "fmbench_vqa", "--data", "set", "--model", "openai:m", "-o", f"base_url={url}")
        kept = (*IMPATIENT, "--cache", "cached", "--out", "out")
        home.give(*run, *kept, code=1)
        home.logs["ill"] = log_of(out)
        opened = nb.open_run(out, settings=settings(home.folder))
        home.reasons = dict(opened.scored.reasons)
        home.give("score", "out", code=1)
        home.give("report", "out", "--json", code=1)
        home.give("report", "out", code=1)
        server.every = "key"
        home.give(*run, *kept, code=1)
        home.logs["key"] = log_of(out)
        server.is_ill, server.every = False, None
        home.give(*run, *kept, "--json")
        home.logs["well"] = log_of(out)
        calls = server.calls
        home.give(*run, *IMPATIENT, "--cache", "cached", "--out", "again")
        assert server.calls == calls  # all came from the cache
    home.give("score", "out", "--json")
    for folder in ("out", "again"):
        home.give("report", folder)
    return home


@pytest.mark.parametrize("words", FRAGMENTS)
def test_what_a_server_quoted_is_in_the_private_file_only(home: Home, words: str) -> None:
    assert home.holding(words) == {"out/private.jsonl"}


def test_the_log_keeps_class_or_status(home: Home) -> None:
    said = {home.kinds[record["id"]]: record.get("error") for record in home.logs["ill"]}
    assert said["refused"] == said["filtered"] == said["long"] == said["shouted"] == f"HTTP 400: {LEFT_OUT}"
    assert said["down"] == f"HTTP 500: {LEFT_OUT}"
    assert said["sick"] == said["page"] == said["cut"] == said["aborted"] == LEFT_OUT
    assert said["named"] is said["none"] is None
    finishes = {home.kinds[record["id"]]: record["finish"] for record in home.logs["ill"]}
    assert (finishes["filtered"], finishes["long"], finishes["refused"]) == ("filter", "rejected", "error")
    named = [record for record in home.logs["ill"] if home.kinds[record["id"]] in ("named", "none")]
    assert {record.get("model") for record in named} == {None, "m"}


def test_reasons_are_those_of_the_log(home: Home) -> None:
    failed = {record["id"]: record["error"] for record in home.logs["ill"] if record["finish"] == "error"}
    assert home.reasons == failed
    assert len(failed) == 7


def test_the_private_file_is_the_owners_and_says_which_request(home: Home) -> None:
    (path,) = (path for path in home.written() if path.name == "private.jsonl")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    records = [json.loads(line) for line in path.read_text().splitlines()]
    told: dict[str, dict[str, Any]] = {}
    for record in records:
        if "id" in record:
            told.setdefault(home.kinds[record["id"]], record)
    assert "none" not in told
    assert {"refused", "down", "filtered", "long", "shouted", "sick", "named"} <= set(told)
    assert {"page", "cut", "aborted"} <= set(told)
    assert "CANARYQUESTION" in told["refused"]["error"]
    assert "Yellow Street" in told["named"]["model"]
    logged = {(record["id"], record["request"]) for record in home.logs["well"]}
    assert {(record["id"], record["request"]) for record in records if "id" in record} <= logged


def test_what_ended_the_run_is_told_without_words(home: Home) -> None:
    told = "".join(text for name, text in home.streams if name == "stderr")
    assert f"model openai:m failed (HTTP 401): AdapterError: {LEFT_OUT}" in told
    assert "out/private.jsonl" in told  # where to read on
    assert f"p0000-q1: HTTP 400: {LEFT_OUT}" in told
    ended = [
        record["ended"]
        for record in map(json.loads, (home.folder / "out" / "private.jsonl").read_text().splitlines())
        if "ended" in record
    ]
    assert len(ended) == 1
    assert "HTTP 401" in ended[0]
    assert "base_url" in ended[0]  # the remedy is not lost
    assert "CANARYQUESTION" in ended[0]


def test_nothing_is_lost_for_the_numbers(home: Home) -> None:
    final = {record["id"] for record in home.logs["well"] if record["finish"] != "error"}
    assert final == set(home.kinds)
    reports = [json.loads((home.folder / name / "report.json").read_text()) for name in ("out", "again")]
    assert reports[0]["cells"] == reports[1]["cells"]
    assert reports[0]["models"] == reports[1]["models"] == {"m": 9}
    counts = reports[0]["cells"][0]["counts"]
    assert (counts["ok"], counts["refused"], counts["rejected"]) == (10, 1, 1)


@pytest.mark.parametrize("where", ["open", "synthetic"])
def test_other_data_keep_the_words(tmp_path: Path, where: str) -> None:
    task, data = ("nova_diagnosis", "set") if where == "open" else ("fmbench_vqa", "mini")
    make_set(tmp_path / "set", [1, 1])
    with serve_quoting() as (url, server):
        server.every = "refused"
        done = nova(
            tmp_path, "run", task, "--data", data, "--limit", "2", "--model", "openai:m", "-o", f"base_url={url}",
            "--out", "out",
        )  # fmt: skip
    assert done.returncode == 1
    log = log_of(tmp_path / "out")
    assert log
    assert all(record["error"].startswith("HTTP 400: cannot digest this prompt: ") for record in log)
    assert "cannot digest this prompt" in done.stderr
    assert not list(tmp_path.rglob("private.jsonl"))


def test_every_fault_is_tried() -> None:
    assert set(FAULTS) - {"key"} <= set(KINDS)
