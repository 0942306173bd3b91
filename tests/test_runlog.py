"""The run log: what a torn end, a damaged line, a second writer or an older prompt does to it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from running import log_of, make_set, settings

import nova_bench as nb
from nova_bench.errors import IdentityError, LogError
from nova_bench.runlog import RunLog, join_identity, record_of, response_of
from nova_bench.types import Response, Usage

ASKED, OTHER = "aa" * 32, "bb" * 32


def write(folder: Path, *records: tuple[str, str, Response]) -> None:
    with RunLog(folder, append=True) as log:
        for request_id, request_hash, response in records:
            log.append(record_of("task", request_id, request_hash, response))


def found(folder: Path, request_id: str, request_hash: str = ASKED) -> Response | None:
    with RunLog(folder) as log:
        entry = log.index().find(request_id, bytes.fromhex(request_hash))
        return None if entry is None else log.read(entry)


def text(folder: Path, request_id: str, request_hash: str = ASKED) -> str | None:
    response = found(folder, request_id, request_hash)
    return None if response is None else response.text


def test_record_and_response_are_inverse() -> None:
    responses = [
        Response("a", "text \ud800 \x00"),
        Response("a", None, finish="error", error="gone"),
        Response(
            "a", "", finish="length", reasoning="hm", model="m", image_sizes=((3, 2),), dropped=("seed",)
        ),
        Response("a", "t", usage=Usage(input_tokens=3, output_tokens=4), seconds=0.25),
    ]
    for response in responses:
        again = response_of(json.loads(json.dumps(record_of("task", "a", ASKED, response))))
        for field in (
            "id",
            "text",
            "finish",
            "error",
            "reasoning",
            "model",
            "image_sizes",
            "dropped",
            "usage",
            "seconds",
        ):
            assert getattr(again, field) == getattr(response, field)


@pytest.mark.parametrize("tail", [b'{"id":"b","requ', b"\x00" * 5000, b'{"id":"b"}', b"x" * 200_000])
def test_torn_end_is_cut_and_kept(tmp_path: Path, tail: bytes) -> None:
    write(tmp_path, ("a", ASKED, Response("a", "first")))
    whole = (tmp_path / "responses.jsonl").read_bytes()
    (tmp_path / "responses.jsonl").write_bytes(whole + tail)
    assert text(tmp_path, "a") == "first"  # a reader leaves the file alone
    assert (tmp_path / "responses.jsonl").read_bytes() == whole + tail
    write(tmp_path, ("b", ASKED, Response("b", "second")))
    assert (tmp_path / "responses.jsonl").read_bytes().startswith(whole + b'{"id":"b"')
    (torn,) = (tmp_path / "torn").iterdir()
    assert torn.read_bytes() == tail
    assert (text(tmp_path, "a"), text(tmp_path, "b")) == ("first", "second")


def test_log_that_is_one_torn_line_becomes_empty(tmp_path: Path) -> None:
    (tmp_path / "responses.jsonl").write_bytes(b'{"id":')
    write(tmp_path)
    assert (tmp_path / "responses.jsonl").read_bytes() == b""
    assert [path.read_bytes() for path in (tmp_path / "torn").iterdir()] == [b'{"id":']


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b"",
        b"[]",
        b'{"id":"a"}',
        b'{"id":"a","request":"xyz","finish":"stop"}',
        b'{"id":"a","request":"' + ASKED.encode() + b'","finish":"stop"}{"id":"b"}',
        b"\xff\xfe",
        b"3",
    ],
)
def test_damaged_line_in_the_middle_is_named_by_its_number(tmp_path: Path, line: bytes) -> None:
    write(tmp_path, *((name, ASKED, Response(name, name)) for name in "abc"))
    path = tmp_path / "responses.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = line + b"\n"
    path.write_bytes(b"".join(lines))
    before = path.read_bytes()
    with pytest.raises(LogError, match="line 2 is damaged"):
        found(tmp_path, "a")
    with RunLog(tmp_path, append=True) as log, pytest.raises(LogError, match="line 2 is damaged"):
        log.index()
    assert path.read_bytes() == before


def test_second_writer_is_refused_and_a_reader_is_not(tmp_path: Path) -> None:
    with RunLog(tmp_path, append=True) as log:
        log.append(record_of("task", "a", ASKED, Response("a", "first")))
        with pytest.raises(LogError, match="another process is writing"):
            RunLog(tmp_path, append=True)
        assert text(tmp_path, "a") == "first"
    write(tmp_path, ("b", ASKED, Response("b", "second")))
    assert text(tmp_path, "b") == "second"


def test_first_final_record_stays(tmp_path: Path) -> None:
    failed = Response("a", None, finish="error", error="one")
    later = Response("a", None, finish="error", error="two")
    write(tmp_path, ("a", ASKED, failed), ("a", ASKED, later))
    response = found(tmp_path, "a")
    assert response is not None
    assert response.error == "two"
    write(
        tmp_path,
        ("a", ASKED, Response("a", "first")),
        ("a", ASKED, Response("a", "second")),
        ("a", ASKED, later),
    )
    assert text(tmp_path, "a") == "first"


def test_record_of_another_request_does_not_count(tmp_path: Path) -> None:
    write(tmp_path, ("a", OTHER, Response("a", "old")))
    assert text(tmp_path, "a") is None
    with RunLog(tmp_path) as log:
        assert log.index().has("a")
        assert not log.index().has("b")
    failed = Response("a", None, finish="error", error="one")
    write(
        tmp_path,
        ("a", ASKED, failed),
        ("a", ASKED, Response("a", "new")),
        ("a", ASKED, Response("a", "newer")),
    )
    assert (text(tmp_path, "a"), text(tmp_path, "a", OTHER), text(tmp_path, "a", "cc" * 32)) == (
        "new",
        "old",
        None,
    )


def test_many_threads_append_whole_lines(tmp_path: Path) -> None:
    with RunLog(tmp_path, append=True) as log:

        def fill(name: str) -> None:
            for i in range(100):
                log.append(record_of("task", f"{name}{i}", ASKED, Response(f"{name}{i}", "x" * 500)))

        threads = [threading.Thread(target=fill, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({record["id"] for record in log_of(tmp_path)}) == len(log_of(tmp_path)) == 400


def test_closed_or_reading_log_takes_no_record(tmp_path: Path) -> None:
    write(tmp_path)
    log = RunLog(tmp_path)
    with log, pytest.raises(LogError, match="not open for writing"):
        log.append({})
    log.close()


def test_identity_is_joined_and_compared_in_depth(tmp_path: Path) -> None:
    identity: dict[str, Any] = {"task": "t", "model": {"name": "m", "options": {"a": 1}}, "stop": ("x",)}
    join_identity(tmp_path, identity, {"time": 1})
    assert len(join_identity(tmp_path, identity, {"time": 2})["starts"]) == 2
    changed = {**identity, "model": {"name": "m", "options": {"a": 2, "b": None}}}
    with pytest.raises(IdentityError, match=r"\(model\.options\.a was 1, now 2"):
        join_identity(tmp_path, changed, {"time": 3})


def test_responses_without_a_manifest_belong_to_nobody(tmp_path: Path) -> None:
    write(tmp_path, ("a", ASKED, Response("a", "first")))
    with pytest.raises(IdentityError, match="cannot be told whose"):
        join_identity(tmp_path, {}, {})


@pytest.mark.parametrize("content", ["", "{", "[1,"])
def test_damaged_manifest_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(LogError, match=r"manifest\.json is damaged"):
        nb.open_run(tmp_path)


def test_run_with_an_older_prompt_in_its_log_asks_again_and_says_so(tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", [1, 2])
    asked: list[str] = []

    def answer(request: nb.Request) -> str:
        asked.append(request.id)
        return "[]"

    def start() -> nb.Run:
        return nb.evaluate(
            "nova_localization", answer, data=str(data), out=tmp_path / "out", settings=settings(tmp_path)
        )

    start()
    path = tmp_path / "out" / "responses.jsonl"
    first, *rest = log_of(tmp_path / "out")
    records = [{**first, "request": OTHER, "text": "[[1,2,3,4]]"}, *rest]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    asked.clear()
    run = nb.open_run(tmp_path / "out", settings=settings(tmp_path))
    assert dict(run.scored.reasons) == {first["id"]: "not answered yet"}
    assert run.scored.ignored == 1
    again = start()
    assert asked == [first["id"]]
    assert again.progress is not None
    assert again.progress.ignored == 1
    assert "1 answers in the log are to another prompt" in again.progress.messages[0]
    assert again.is_complete
    assert len(log_of(tmp_path / "out")) == 4
