"""Building FMBench's tables: what is written, by whom, what is lost on the way, and that notes stay where they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import loopback
import numpy as np
import pyarrow.parquet as pq
import pytest
from fmbench_set import CATEGORIES, note_of, patient, write_npz
from running import command, environment, nova, settings

import nova_bench as nb
from nova_bench import fmbench_pairs
from nova_bench.discreet import without_quotes
from nova_bench.fmbench_build import Built
from nova_bench.types import Card, Context, Frame

NO_CONTEXT = Context(Frame("xyxy/1000"), ("<think>", "</think>"), (), ())


def ship(folder: Path, patients: int = 6) -> Path:
    for i in range(patients):
        write_npz(folder / f"data_{i:05d}.npz", i)
    return folder


def number_in(prompt: str) -> int:
    """Return which patient a prompt is about; the notes say so."""
    return int(prompt.partition("suspect number ")[2].partition(".")[0])


def reply(prompt: str) -> str:
    """Write three pairs a note; keep the first, mend the second and drop the third."""
    i = number_in(prompt)
    if prompt.startswith("You prepare"):
        pairs = [
            {"category": category, "question": f"What of {category}, case {i}?", "answer": f"answer {i}"}
            for category in CATEGORIES
        ]
        return json.dumps({"pairs": pairs})
    if "Category: diagnosis" in prompt:
        return json.dumps({"verdict": "keep", "question": "ignored", "answer": "ignored"})
    if "Category: testing or treatment" in prompt:
        return json.dumps({"verdict": "mend", "question": f"Which test, case {i}?", "answer": "visual field"})
    return json.dumps({"verdict": "drop", "question": "", "answer": ""})


def writer(request: nb.Request) -> str:
    return reply(request.text)


def build(home: Path, source: Path | str, model: Any = writer, name: str = "built", **more: Any) -> Built:
    return nb.build_fmbench(source, model, home / name, settings=settings(home), **more)


def table(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


# What is written


def test_pairs_are_kept_mended_and_dropped_and_the_card_counts_them(tmp_path: Path) -> None:
    made = build(tmp_path, ship(tmp_path / "set"))
    assert made.is_complete
    assert made.messages == []
    rows = table(made.folder / "vqa.parquet")
    assert [row["id"] for row in rows] == [f"data_{i:05d}-q{q}" for i in range(6) for q in (1, 2)]
    assert rows[0] == {
        "id": "data_00000-q1", "patient_id": "data_00000", "image_path": "images/data_00000.png", "category": "diagnosis",
        "question": "What of diagnosis, case 0?", "answer": "answer 0", **patient(0),
    }  # fmt: skip
    assert (rows[1]["question"], rows[1]["answer"]) == ("Which test, case 0?", "visual field")
    reports = table(made.folder / "report.parquet")
    assert [row["report"] for row in reports] == [note_of(i) for i in range(6)]
    assert reports[5]["age"] == patient(5)["age"]
    card = json.loads((made.folder / "card.json").read_text())
    assert card == made.card
    assert card["slices"]["all"] == {
        "patients": 6, "patients_with_pairs": 6, "written": 18, "kept": 6, "mended": 6, "dropped": 6, "unchecked": 0, "drop_rate": 0.333333,
    }  # fmt: skip
    assert card["slices"]["category=medical condition"]["drop_rate"] == 1.0
    assert card["slices"]["race=asian"]["patients"] == sum(patient(i)["race"] == "asian" for i in range(6))
    assert card["prompts"] == fmbench_pairs.PROMPTS_HASH
    assert card["patients"] == {"in_source": 6, "in_tables": 6, "left_out": {}}
    assert card["source"]["split"] == "all"
    page = (made.folder / "README.md").read_text()
    for part in ("CC BY-NC-ND 4.0", "| race=asian |", card["source"]["digest"], "`writer`"):
        assert part in page


def test_pictures_are_the_arrays(tmp_path: Path) -> None:
    made = build(tmp_path, ship(tmp_path / "set", 2))
    for i in range(2):
        found = nb.Image(made.folder / "images" / f"data_{i:05d}.png")
        assert (found.array() == np.load(tmp_path / "set" / f"data_{i:05d}.npz")["slo_fundus"]).all()
    assert sorted(path.name for path in made.folder.iterdir()) == [
        "README.md", "build", "card.json", "images", "report.parquet", "vqa.parquet",
    ]  # fmt: skip


def test_both_tasks_run_on_what_was_built(tmp_path: Path) -> None:
    made = build(tmp_path, ship(tmp_path / "set"))
    for task, samples in (
        ("fmbench_vqa", 12),
        ("fmbench_report", 6),
        ("fmbench_vqa@demographics=swapped", 72),
    ):
        run = nb.evaluate(
            task, lambda request: "x", data=str(made.folder), out=tmp_path / task, settings=settings(tmp_path)
        )
        assert run.is_complete
        assert len(run.table()) == samples


def test_the_same_build_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    source = ship(tmp_path / "set")
    folders = [build(tmp_path, source, name=name).folder for name in ("one", "two")]
    for name in ("vqa.parquet", "report.parquet", "card.json", "README.md", "images/data_00003.png"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_the_embedded_set_can_be_a_source(tmp_path: Path) -> None:
    def answer(request: nb.Request) -> str:
        asks_for_pairs = request.text.startswith("You prepare")
        pair = {"category": "Diagnosis", "question": "Is the rim thin?", "answer": "yes"}
        return json.dumps({"pairs": [pair]} if asks_for_pairs else {**pair, "verdict": "Keep"})

    made = build(tmp_path, "mini", answer, limit=3)
    assert made.is_complete
    assert len(table(made.folder / "vqa.parquet")) == 3


def test_a_larger_limit_goes_on_from_there(tmp_path: Path) -> None:
    asked: Counter[str] = Counter()

    def counting(request: nb.Request) -> str:
        asked[request.id] += 1
        return reply(request.text)

    source = ship(tmp_path / "set")
    small = build(tmp_path, source, counting, limit=2)
    assert small.card["limit"] == 2
    before = {row["id"] for row in table(small.folder / "vqa.parquet")}
    assert len(before) == 4
    whole = build(tmp_path, source, counting)
    assert before < {row["id"] for row in table(whole.folder / "vqa.parquet")}
    assert set(asked.values()) == {1}
    assert len(asked) == 24


# What is lost on the way


def test_answers_that_cannot_be_used_are_counted_and_leave_no_pair(tmp_path: Path) -> None:
    def unruly(request: nb.Request) -> nb.Response:
        i = number_in(request.text)
        is_write = request.text.startswith("You prepare")
        said = {
            (0, True): "I'm sorry, but I can't assist with that.",
            (1, True): "There is nothing to ask.",
            (2, True): '{"pairs": []}',
            (3, False): '{"verdict": "maybe", "question": "", "answer": ""}',
            (4, False): '{"verdict": "mend", "question": "", "answer": "no question"}',
        }.get((i, is_write), reply(request.text))
        if (i, is_write) == (5, True):
            return nb.Response(request.id, finish="rejected", error="too long")
        return nb.Response(request.id, said)

    made = build(tmp_path, ship(tmp_path / "set", 7), unruly)
    assert made.is_complete
    assert made.card["answers"] == {
        "write": {"ok": 4, "refused": 1, "rejected": 1, "unparsed": 1},
        "check": {"ok": 3, "unparsed": 6},
    }
    every = made.card["slices"]["all"]
    assert (every["patients"], every["patients_with_pairs"], every["unchecked"], every["kept"]) == (
        7,
        1,
        6,
        1,
    )
    assert every["drop_rate"] == float(f"{7 / 9:.6g}")
    assert [row["patient_id"] for row in table(made.folder / "vqa.parquet")] == ["data_00006"] * 2
    assert len(table(made.folder / "report.parquet")) == 7


def test_patients_that_cannot_be_used_are_left_out_with_the_reason(tmp_path: Path) -> None:
    source = ship(tmp_path / "set", 3)
    write_npz(source / "data_00007.npz", 7, race=5)
    write_npz(source / "data_00008.npz", 8, note="")
    write_npz(source / "data_00009.npz", 9, slo_fundus=None)
    (source / "data_00010.npz").write_bytes(b"CANARY")
    write_npz(
        source / "data_00011.npz",
        11,
        slo_fundus=np.random.default_rng(0).integers(0, 256, (60, 60), dtype=np.uint8),
    )
    whole = (source / "data_00011.npz").read_bytes()
    (source / "data_00011.npz").write_bytes(
        whole[:900] + bytes(255 - byte for byte in whole[900:960]) + whole[960:]
    )
    made = build(tmp_path, source)
    assert made.is_complete
    assert made.card["patients"]["in_tables"] == 3
    assert made.card["patients"]["left_out"] == {
        "ID.npz is no readable NPZ file (ValueError); replace the file": 1,
        "image ID.npz has no array 'slo_fundus'; replace the file": 1,
        "image ID.npz is no readable array; replace the file": 1,
        "no note, so there is nothing to write questions from": 1,
        "race is 'code 5'; expected asian, black, white, or null where it is unknown": 1,
    }
    assert any(message.startswith("data_00007: race is") for message in made.messages)
    assert {row["patient_id"] for row in table(made.folder / "vqa.parquet")} == {
        f"data_{i:05d}" for i in range(3)
    }


def test_questions_that_tell_demographics_are_counted(tmp_path: Path) -> None:
    def telling(request: nb.Request) -> str:
        return reply(request.text).replace(
            "What of diagnosis, case 1?", "Does this Black woman have glaucoma?"
        )

    assert build(tmp_path, ship(tmp_path / "set"), telling).card["tells_demographics"] == 1


@pytest.mark.parametrize(
    ("text", "pairs", "warnings"),
    [
        ('```json\n{"pairs": [{"category": "DIAGNOSIS", "question": " A \\n b?", "answer": "c"}]}\n```', [("diagnosis", "A b?", "c")], {}),
        ('<think>{"pairs": []}</think>{"pairs": [{"category": "weather", "question": "a", "answer": "b"}, 7]}', [], {"unusable": 2}),
        (json.dumps({"pairs": [{"category": "diagnosis", "question": f"{i // 2}?", "answer": "a"} for i in range(8)]}),
         [("diagnosis", "0?", "a"), ("diagnosis", "1?", "a")], {"extra": 4, "repeated": 2}),
    ],
)  # fmt: skip
def test_pairs_are_read_as_models_write_them(text: str, pairs: list[Any], warnings: dict[str, int]) -> None:
    found = fmbench_pairs.parse_pairs(nb.Response("a", text), NO_CONTEXT)
    assert found.status == "ok"
    assert [(pair.category, pair.question, pair.answer) for pair in found.value] == pairs
    assert {name: count for name, count in found.warnings.items() if name in warnings} == warnings


def test_a_cut_answer_keeps_its_whole_pairs() -> None:
    whole = {"category": "diagnosis", "question": "a?", "answer": "b"}
    text = json.dumps({"pairs": [whole, whole]})[:-20]
    found = fmbench_pairs.parse_pairs(nb.Response("a", text, finish="length"), NO_CONTEXT)
    assert found.status == "truncated"
    assert len(found.value) == 1


def test_categories_are_those_of_the_task() -> None:
    import nova_bench.catalog as catalog

    task = catalog.load_task("fmbench_vqa")
    assert task.sample.__globals__["CATEGORIES"] == fmbench_pairs.CATEGORIES == CATEGORIES


# The real adapter, and what a server does to it


def answers(body: Mapping[str, Any]) -> str:
    return reply(loopback.prompt_of(body))


def words(source: str, url: str, *more: str) -> tuple[str, ...]:
    return (
        "build",
        "fmbench",
        "--source",
        source,
        "--writer",
        "openai:m",
        "-o",
        f"base_url={url}",
        "-o",
        "concurrency=3",
        "--out",
        "built",
        *more,
    )


def test_real_adapter_sends_the_schema_survives_faults_and_asks_nothing_twice(tmp_path: Path) -> None:
    ship(tmp_path / "set", 8)
    faults = {"429": 0.2, "500": 0.1, "reset": 0.1, "empty": 0.05}
    with loopback.serve(loopback.Plan(faults=faults, answer_of=answers)) as (url, server):
        done = nova(tmp_path, *words("set", url, "--json"))
        assert done.returncode == 0, done.stderr
        card = json.loads(done.stdout)
        assert sum(server.stats.faults.values()) > 0
        assert len(server.stats.prompts) == 8 + 24
        assert set(server.stats.prompts.values()) == {1}
        for body in map(json.loads, server.stats.bodies):
            assert body["response_format"]["json_schema"]["strict"] is True
            assert set(body["response_format"]["json_schema"]["schema"]["properties"]) in (
                {"pairs"},
                {"verdict", "question", "answer"},
            )
            assert body["temperature"] == 0.0
            assert isinstance(body["messages"][0]["content"], str)  # a text; no picture goes with it
        calls = server.stats.calls
        again = nova(tmp_path, *words("set", url))
        assert again.returncode == 0, again.stderr
        assert server.stats.calls == calls
    assert card["writer"]["name"] == "openai:m"
    assert card["writer"]["models"] == ["m-2026-01-01"]
    assert "16 questions of 8 patients (24 written, 8 mended, 8 dropped, 0 unchecked)" in again.stdout
    assert "nova-bench run fmbench --data built" in again.stdout


def test_incomplete_build_exits_1_says_so_and_leaves_no_table(tmp_path: Path) -> None:
    ship(tmp_path / "set", 4)
    with loopback.serve(loopback.Plan(first=("400",), answer_of=answers)) as (url, server):
        done = nova(tmp_path, *words("set", url))
        assert done.returncode == 1
        assert "1 requests of the pass 'write' failed" in done.stderr
        assert (
            "the build is not complete: its tables are not written. Give the same command again"
            in done.stderr
        )
        assert [path.name for path in (tmp_path / "built").iterdir()] == ["build"]
        assert len(server.stats.prompts) == 3
        done = nova(tmp_path, *words("set", url))
        assert done.returncode == 0, done.stderr
        assert set(server.stats.prompts.values()) == {1}
        assert len(server.stats.prompts) == 4 + 12
    assert len(table(tmp_path / "built" / "vqa.parquet")) == 8


@pytest.mark.parametrize("kill_in", ["write", "check"])
def test_killed_build_goes_on_and_asks_nothing_that_was_logged(tmp_path: Path, kill_in: str) -> None:
    ship(tmp_path / "set", 10)
    with loopback.serve(loopback.Plan(latency=0.05, answer_of=answers)) as (url, server):
        log = tmp_path / "built" / "build" / kill_in / "responses.jsonl"
        running = subprocess.Popen(
            command(*words("set", url)),
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while (
            (not log.exists() or log.read_bytes().count(b"\n") < 4)
            and running.poll() is None
            and time.monotonic() < deadline
        ):
            time.sleep(0.005)
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        kept = log.read_bytes().count(b"\n")
        assert kept >= 4
        assert not list((tmp_path / "built").glob("*.parquet"))
        done = nova(tmp_path, *words("set", url))
        assert done.returncode == 0, done.stderr
        assert len(server.stats.prompts) == 10 + 30
        assert sum(server.stats.prompts.values()) <= 40 + 3  # at most what was in flight is asked again
    assert len(table(tmp_path / "built" / "vqa.parquet")) == 20


def test_interrupted_build_keeps_every_answer(tmp_path: Path) -> None:
    ship(tmp_path / "set", 10)
    with loopback.serve(loopback.Plan(latency=0.05, answer_of=answers)) as (url, server):
        log = tmp_path / "built" / "build" / "write" / "responses.jsonl"
        running = subprocess.Popen(
            command(*words("set", url)),
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 60
        while (not log.exists() or log.read_bytes().count(b"\n") < 2) and time.monotonic() < deadline:
            time.sleep(0.005)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
        assert running.returncode == 1
        assert "stopped" in said
        assert "the build is not complete" in said
        assert 2 <= len(server.stats.prompts) < 10
        assert nova(tmp_path, *words("set", url)).returncode == 0
        assert set(server.stats.prompts.values()) == {1}
        assert len(server.stats.prompts) == 10 + 30


def test_another_writer_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    source = ship(tmp_path / "set", 2)
    build(tmp_path, source)
    with pytest.raises(nb.NovaBenchError, match="holds another run"):
        build(tmp_path, source, lambda request: "x")


def test_notes_go_to_a_vendor_only_if_allowed(tmp_path: Path) -> None:
    ship(tmp_path / "set", 2)
    done = nova(
        tmp_path,
        "build",
        "fmbench",
        "--source",
        "set",
        "--writer",
        "openai:m",
        "--out",
        "built",
        env={"OPENAI_API_KEY": "sk-none"},
    )
    assert done.returncode == 2
    assert "--allow-hosted" in done.stderr
    assert "CC BY-NC-ND 4.0" in done.stderr
    assert not (tmp_path / "built").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--source", "nowhere", "--writer", "prior"), "there is no such folder"),
        (("--source", "set", "--writer", "priro"), "did you mean 'prior'"),
        (("--source", "set", "--writer", "prior", "--limit", "0"), "limit is 0"),
        (("--source", "empty", "--writer", "prior"), "report.parquet is missing"),
    ],
)
def test_wrong_use_says_what_to_do(tmp_path: Path, more: tuple[str, ...], message: str) -> None:
    ship(tmp_path / "set", 1)
    (tmp_path / "empty").mkdir()
    done = nova(tmp_path, "build", "fmbench", "--out", "built", *more)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("built/*.parquet"))


# Notes stay where they are


def outside_of_reports(folder: Path) -> bytes:
    """Return all that a build wrote besides the table that holds the notes by contract."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "report.parquet"]
    assert any(path.name == "responses.jsonl" for path in files)
    texts = [path.read_bytes() for path in files if path.suffix != ".parquet"]
    return b"\n".join([*texts, *(str(table(path)).encode() for path in files if path.suffix == ".parquet")])


def test_notes_are_in_nothing_but_the_report_table(tmp_path: Path) -> None:
    ship(tmp_path / "set", 4)
    with loopback.serve(loopback.Plan(faults={"429": 0.2}, answer_of=answers, quotes=True)) as (url, _):
        done = nova(tmp_path, *words("set", url))
    assert done.returncode == 0, done.stderr
    assert "CANARY" in str(table(tmp_path / "built" / "report.parquet"))
    assert b"CANARY" not in outside_of_reports(tmp_path / "built")
    assert "CANARY" not in done.stdout + done.stderr
    for path in (tmp_path / "cache").rglob("*"):
        assert path.is_dir() or b"CANARY" not in path.read_bytes()


def test_a_server_that_quotes_the_note_in_its_errors_is_not_quoted(tmp_path: Path) -> None:
    ship(tmp_path / "set", 4)
    with loopback.serve(
        loopback.Plan(first=("400", "context", "500", "filtered"), answer_of=answers, quotes=True)
    ) as (url, _):
        done = nova(tmp_path, *words("set", url))
    assert done.returncode == 1
    assert "data_00000: HTTP 400: the words stand in private.jsonl" in done.stderr
    told = (tmp_path / "built" / "build" / "write" / "private.jsonl").read_text()
    assert "HTTP 400: Unknown parameter: 'x'. Input:[quotes the request, left out]" in told
    assert "CANARY" not in done.stdout + done.stderr
    assert b"CANARY" not in outside_of_reports(tmp_path / "built")


def test_a_writer_that_raises_with_the_note_is_not_quoted(tmp_path: Path) -> None:
    def raising(request: nb.Request) -> str:
        raise ValueError(f"cannot answer {request.text}")

    made = build(tmp_path, ship(tmp_path / "set", 3), raising)
    assert not made.is_complete
    assert "data_00000: ValueError: the words stand in private.jsonl" in made.messages
    told = (made.folder / "build" / "write" / "private.jsonl").read_text()
    assert "ValueError: cannot answer [quotes the request, left out]" in told
    assert b"CANARY" not in outside_of_reports(made.folder) + str(made.messages).encode()


def test_an_adapter_that_fails_as_a_whole_is_not_quoted(tmp_path: Path) -> None:
    class Broken:
        def generate(self, requests: Any) -> Any:
            for request in requests:
                raise RuntimeError(f"lost {request.text}")
            yield

    made = build(tmp_path, ship(tmp_path / "set", 3), Broken())
    assert not made.is_complete
    assert isinstance(made.error, nb.AdapterError)
    assert "CANARY" not in str(made.error)
    told = (made.folder / "build" / "write" / "private.jsonl").read_text()
    assert "RuntimeError: lost [quotes the request, left out]" in told
    assert "CANARY" not in told


def test_a_writer_that_copies_the_note_leaves_no_copy(tmp_path: Path) -> None:
    def copying(request: nb.Request) -> nb.Response:
        note = request.text.partition("The note:\n\n")[2].partition("\n\n")[0]
        pair = {"category": "diagnosis", "question": "What does it say?", "answer": note}
        text = json.dumps({"pairs": [pair]}) if request.text.startswith("You prepare") else note
        return nb.Response(request.id, text, reasoning=note)

    source = tmp_path / "set"
    for i in range(2):
        write_npz(source / f"data_{i:05d}.npz", i, note=" ".join([note_of(i)] * 3))
    made = build(tmp_path, source, copying)
    assert made.is_complete
    assert table(made.folder / "vqa.parquet") == []
    assert b"CANARY" not in outside_of_reports(made.folder)


def test_quotes_are_cut_out_and_the_rest_stays() -> None:
    asked = "The left eye was seen on Monday."
    assert (
        without_quotes("no: The left eye was seen on Monday. Sorry", asked, 10)
        == "no: [quotes the request, left out] Sorry"
    )
    assert without_quotes("the left foot", asked, 10) == "the left foot"
    assert without_quotes("", asked, 10) == ""
    assert without_quotes(asked, "", 10) == asked


def test_templates_of_both_passes_have_no_note_in_them(tmp_path: Path) -> None:
    task = fmbench_pairs.write_task(nb.load_task("fmbench_report").data)
    sample = nb.Sample("p1", (), {"note": "NOTE"}, None, "p1", {})
    prompt = task.prompt(sample, Card())
    assert prompt.parts[0].endswith("The note:\n\nNOTE")
    assert prompt.json_schema == fmbench_pairs.WRITE_SCHEMA
