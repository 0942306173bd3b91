"""What a start may say of gated data, whatever an adapter does: the words of faults stand in the private file, the engine's own are said."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fmbench_set import make_built
from running import log_of, settings

import nova_bench as nb
from nova_bench.answer_privacy import AnswerPrivacy, split_answer
from nova_bench.errors import DataError, LogError
from nova_bench.private_file import PrivateFile
from nova_bench.signature import digest

WORDS = "CANARY went sailing with a parrot in Yellow Street"
LEFT_OUT = "the words stand in private.jsonl"


class Adapter:
    """Answers every request by a function; `ending` is what it does in the end."""

    def __init__(
        self, answer: Callable[[nb.Request], Any], ending: Callable[[], None] = lambda: None
    ) -> None:
        self.answer, self.ending = answer, ending

    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        for request in requests:
            yield self.answer(request)
        self.ending()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_built(tmp_path_factory.mktemp("set") / "built", 2))


def run(home: Path, data: str, adapter: Any, task: str = "fmbench_report") -> nb.Run:
    return nb.evaluate(task, adapter, data=data, out=home / "out", settings=settings(home))


def private(home: Path) -> list[dict[str, Any]]:
    path = home / "out" / "private.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return [json.loads(line) for line in path.read_text().splitlines()]


def check_silent(home: Path, made: nb.Run) -> None:
    """See that the words are in the private file alone."""
    made.report(fresh=True)
    progress = made.progress
    assert progress is not None
    assert WORDS not in f"{progress.messages} {progress.error!r} {made.scored.reasons}"
    seen: list[BaseException | None] = [progress.error]
    while (error := seen[-1]) is not None:  # neither by way of what it came from
        assert WORDS not in repr(error)
        seen.append(error.__cause__ or error.__context__)
    files = [path for path in (home / "out").rglob("*") if path.is_file() and WORDS in path.read_text()]
    assert [path.name for path in files] == ["private.jsonl"]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"finish": "error", "error": f"HTTP 400: {WORDS}"}, f"HTTP 400: {LEFT_OUT}"),
        (
            {"finish": "error", "error": f"TimeoutError: {WORDS}", "text": WORDS, "reasoning": WORDS},
            f"TimeoutError: {LEFT_OUT}",
        ),
        ({"finish": "error", "error": {"message": WORDS}}, LEFT_OUT),
        ({"finish": "rejected", "error": f"too long: {WORDS}", "text": WORDS}, LEFT_OUT),
        ({"finish": "filter", "error": f"HTTP 4000: {WORDS}"}, LEFT_OUT),
        ({"finish": WORDS, "text": "fine"}, LEFT_OUT),
        ({"text": "fine", "model": WORDS}, None),
        ({"text": "fine", "dropped": ("seed", WORDS)}, None),
    ],
)
def test_words_of_a_response_stand_in_the_private_file_only(
    tmp_path: Path, data: str, fields: dict[str, Any], error: str | None
) -> None:
    made = run(tmp_path, data, Adapter(lambda request: nb.Response(request.id, **fields)))
    check_silent(tmp_path, made)
    assert {record.get("error") for record in log_of(tmp_path / "out")} == {error}
    assert {record["id"] for record in private(tmp_path)} == {"p0000", "p0001"}
    assert any("only its owner can read" in message for message in made.progress.messages)  # type: ignore[union-attr]
    # Another start brings nothing back, and where all is well it has nothing private to tell of.
    again = run(tmp_path, data, Adapter(lambda request: nb.Response(request.id, "fine")))
    check_silent(tmp_path, again)
    assert again.is_complete


def crash(error: BaseException) -> Callable[[nb.Request], Any]:
    def answer(request: nb.Request) -> Any:
        raise error

    return answer


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyError(WORDS), f"KeyError: {LEFT_OUT}"),
        (nb.AdapterError(f"HTTP 403: {WORDS}"), f"model Adapter failed (HTTP 403): AdapterError: {LEFT_OUT}"),
        (SystemExit(WORDS), f"model Adapter failed: {LEFT_OUT}"),
        (nb.errors.LogError(WORDS), f"LogError: {LEFT_OUT}"),
        (nb.errors.LimitReachedError(WORDS), f"LimitReachedError: {LEFT_OUT}"),
        (DataError(WORDS), f"DataError: {LEFT_OUT}"),
    ],
)
def test_what_an_adapter_raises_is_not_said(
    tmp_path: Path, data: str, error: BaseException, told: str
) -> None:
    made = run(tmp_path, data, Adapter(crash(error)))
    check_silent(tmp_path, made)
    assert isinstance(made.progress.error, nb.AdapterError)  # type: ignore[union-attr]
    assert told in str(made.progress.error)  # type: ignore[union-attr]
    (record,) = private(tmp_path)
    assert WORDS in record["ended"]


def test_an_interrupt_stays_one_without_its_words(tmp_path: Path) -> None:
    ended = AnswerPrivacy(tmp_path, "m", is_gated=True).ended(KeyboardInterrupt(WORDS))
    assert isinstance(ended, KeyboardInterrupt)
    assert WORDS not in repr(ended)


def test_ids_that_were_made_up_are_not_said(tmp_path: Path, data: str) -> None:
    made = run(tmp_path, data, Adapter(lambda request: nb.Response(WORDS, "x")))
    said = " ".join(made.progress.messages)  # type: ignore[union-attr]
    assert "yielded 2 responses for ids that were not asked, or were answered already; they were left" in said
    assert WORDS not in said
    assert not (tmp_path / "out" / "private.jsonl").exists()


def test_the_engines_own_words_are_said(tmp_path: Path, data: str) -> None:
    made = run(tmp_path, data, Adapter(lambda request: "no response"))
    assert "adapter Adapter yielded a str; generate yields nova_bench.Response objects" in str(
        made.progress.error  # type: ignore[union-attr]
    )
    privacy = AnswerPrivacy(tmp_path, "m", is_gated=True)
    with pytest.raises(DataError) as raised, privacy.own_words():
        raise DataError("the table is damaged")
    assert privacy.ended(raised.value) is raised.value


def test_words_that_cannot_be_kept_are_not_said_either(tmp_path: Path, data: str) -> None:
    (tmp_path / "out" / "private.jsonl").mkdir(parents=True)  # no file can be made there
    made = run(tmp_path, data, Adapter(crash(KeyError(WORDS))))
    error = made.progress.error  # type: ignore[union-attr]
    assert isinstance(error, LogError)
    assert "cannot write to" in str(error)
    assert WORDS not in str(error)


@pytest.mark.parametrize("where", ["mini", "open"])
def test_of_other_data_all_is_said(tmp_path: Path, where: str) -> None:
    task = "nova_caption" if where == "open" else "fmbench_report"

    def answer(request: nb.Request) -> nb.Response:
        return nb.Response(request.id, finish="error", error=f"bad: {WORDS}", text=WORDS, model=WORDS)

    made = run(tmp_path, "mini", Adapter(answer), task)
    assert {record["error"] for record in log_of(tmp_path / "out")} == {f"bad: {WORDS}"}
    assert {record["model"] for record in log_of(tmp_path / "out")} == {WORDS}
    assert set(made.scored.reasons.values()) == {f"bad: {WORDS}"}
    assert WORDS in str(made.progress.messages)  # type: ignore[union-attr]
    ended = run(tmp_path / "b", "mini", Adapter(crash(KeyError(WORDS))), task)
    assert isinstance(ended.progress.error, KeyError)  # type: ignore[union-attr]
    assert not list(tmp_path.rglob("private.jsonl"))


def test_words_in_the_log_of_an_earlier_version_are_no_reasons(tmp_path: Path, data: str) -> None:
    made = run(
        tmp_path, data, Adapter(lambda request: nb.Response(request.id, finish="error", error="HTTP 500: x"))
    )
    path = tmp_path / "out" / "responses.jsonl"
    path.write_text(path.read_text().replace(LEFT_OUT, WORDS))
    opened = nb.open_run(tmp_path / "out", settings=settings(tmp_path))
    assert set(opened.scored.reasons.values()) == {f"HTTP 500: {LEFT_OUT}"}
    assert len(opened.scored.reasons) == len(log_of(tmp_path / "out"))
    assert made.scored.reasons == opened.scored.reasons


def test_words_in_the_cache_of_an_earlier_version_go_to_the_private_file(tmp_path: Path, data: str) -> None:
    adapter, cache = tmp_path / "strict.py", tmp_path / "cached"
    adapter.write_text(
        '"""Strict."""\nimport nova_bench as nb\n\n\ndef load():\n'
        f'    return nb.each(lambda asked: nb.Response(asked.id, finish="rejected", error="HTTP 413: {WORDS}"))\n'
    )
    more = {"data": data, "settings": settings(tmp_path), "cache": cache}
    nb.evaluate("fmbench_report", str(adapter), out=tmp_path / "first", **more)
    paths = sorted(cache.rglob("*.json"))
    assert len(paths) == 2
    for path in paths:
        assert WORDS not in path.read_text()
        entry = json.loads(path.read_text())
        assert entry["record"]["error"] == f"HTTP 413: {LEFT_OUT}"
        entry["record"]["error"] = f"HTTP 413: {WORDS}"
        entry["sha256"] = digest(entry["record"])
        path.write_text(json.dumps(entry))
    made = nb.evaluate("fmbench_report", str(adapter), out=tmp_path / "out", **more)
    assert [record.get("from_cache") for record in log_of(tmp_path / "out")] == [True, True]
    check_silent(tmp_path, made)
    assert [WORDS in record["error"] for record in private(tmp_path)] == [True, True]


def test_a_private_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "private.jsonl"
    path.write_text('{"torn": ')
    path.chmod(0o644)
    file = PrivateFile(tmp_path)
    file.write({"id": "a"})
    file.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == '{"torn": \n{"id": "a"}\n'


@pytest.mark.parametrize(
    ("model", "is_kept"),
    [
        ("openai:m", True),
        ("m", True),
        ("/weights/llava-7b", True),
        ("llava-7b", True),
        ("Jane Doe", False),
        ("Doe", False),
        ("x" * 200, False),
    ],
)
def test_a_models_name_is_kept_where_it_is_one(model: str, is_kept: bool) -> None:
    request = nb.Request("1", "1", 0, ("Mrs Doe has seen a moth",))
    record = {"id": "1", "request": "00", "finish": "stop", "text": "x", "model": model}
    public, rest = split_answer(record, request, "openai:m")
    assert ("model" in public, rest) == (is_kept, {} if is_kept else {"model": model})
