"""The response cache: what was paid for is not asked again, by any run, and nothing is in it that must not be."""

from __future__ import annotations

import base64
import hashlib
import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from fmbench_set import make_built
from loopback import Plan as ServerPlan
from loopback import serve
from running import command, environment, final_ids, log_of, make_set, nova, settings

import nova_bench as nb
from nova_bench.cache import ResponseCache
from nova_bench.errors import UsageError

N = 24
CONCURRENCY = 4
KEY = "sk-planted-0123456789abcdefghijklmnop"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("cache") / "set", [2] * (N // 2))


def words(data: Path, url: str, out: Path, *more: str | Path) -> list[str | Path]:
    pytest.importorskip("openai")
    return [
        *("run", "nova_localization", "--data", data, "--model", "openai:tiny", "-o", f"base_url={url}"),
        *("--concurrency", str(CONCURRENCY), "--out", out, "--cache", out.parent / "cache_dir", *more),
    ]


def entries(home: Path) -> list[Path]:
    return sorted((home / "cache_dir").rglob("*.json"))


def report(out: Path) -> bytes:
    return (out / "report.json").read_bytes()


def run(home: Path, data: Path, url: str, out: str, model: str = "openai:tiny", **more: Any) -> nb.Run:
    """Run in this process, with ``home/cache_dir``."""
    pytest.importorskip("openai")
    options = {"base_url": url, **more.pop("options", {})}
    return nb.evaluate(
        "nova_localization",
        model,
        **{
            "options": options,
            "data": str(data),
            "out": home / out,
            "settings": settings(home),
            "cache": home / "cache_dir",
            **more,
        },
    )


def test_second_run_asks_nothing_costs_nothing_and_reports_the_same(tmp_path: Path, data: Path) -> None:
    with serve() as (url, server):
        first = nova(tmp_path, *words(data, url, tmp_path / "a"))
        assert first.returncode == 0, first.stderr
        assert server.stats.calls == N == len(entries(tmp_path))
    with serve() as (url, server):  # at another address, which is transport
        second = nova(tmp_path, *words(data, url, tmp_path / "b"))
        assert second.returncode == 0, second.stderr
        assert server.stats.calls == 0
    assert report(tmp_path / "a") == report(tmp_path / "b")
    assert all(record["from_cache"] is True for record in log_of(tmp_path / "b"))
    assert not any("from_cache" in record for record in log_of(tmp_path / "a"))
    account = json.loads((tmp_path / "b" / "usage.json").read_text())["usage"]["model"]
    assert (account["requests"], account["tokens"]["total"], account["seconds"]) == (0, 0, 0)
    assert account["from_cache"] == {"answers": N, "tokens": {"input": 11 * N, "output": 7 * N}}
    assert f"{N} answers from the response cache" in second.stderr


def test_hits_are_free_for_a_limit(tmp_path: Path, data: Path) -> None:
    with serve() as (url, server):
        run(tmp_path, data, url, "a", limit=10)
        calls = server.stats.calls
        limited = run(
            tmp_path, data, url, "b", budget=nb.Budget(max_total_tokens=18), options={"concurrency": "1"}
        )
        assert server.stats.calls == calls + 1
        assert limited.progress.reused >= 1
        assert "--max-total-tokens 18 is reached: 18 tokens" in str(limited.progress.error)


@pytest.mark.parametrize(
    ("change", "is_hit"),
    [
        ({"options": {"concurrency": "2"}}, True),
        ({"options": {"think": "<a>..</a>"}}, True),
        ({"options": {"max_tokens_field": "max_completion_tokens"}}, False),
        ({"options": {"boxes": "xyxy/1"}}, False),
        ({"model": "openai:other"}, False),
        ({"params": {"temperature": "0.5"}}, False),
    ],
)
def test_key_is_all_that_can_change_an_answer(
    tmp_path: Path, data: Path, change: dict[str, Any], is_hit: bool
) -> None:
    with serve() as (url, server):
        run(tmp_path, data, url, "a", limit=3)
        calls = server.stats.calls
        run(tmp_path, data, url, "b", limit=3, **change)
        assert server.stats.calls == (calls if is_hit else 2 * calls)


def test_source_of_the_adapter_is_in_the_key(tmp_path: Path, data: Path) -> None:
    path = tmp_path / "mine.py"
    source = "import nova_bench as nb\ndef load():\n    return nb.each(lambda request: '[]')\n"
    path.write_text(source)
    shared = {"data": str(data), "settings": settings(tmp_path), "cache": tmp_path / "cache_dir", "limit": 3}
    nb.evaluate("nova_localization", str(path), out=tmp_path / "a", **shared)
    again = nb.evaluate("nova_localization", str(path), out=tmp_path / "b", **shared)
    path.write_text(source.replace("'[]'", "'[ ]'"))
    changed = nb.evaluate("nova_localization", str(path), out=tmp_path / "c", **shared)
    assert again.progress is not None
    assert changed.progress is not None
    assert (again.progress.reused, again.progress.answered) == (6, 0)
    assert (changed.progress.reused, changed.progress.answered) == (0, 6)


def test_each_repeat_has_an_answer_of_its_own(tmp_path: Path, data: Path) -> None:
    with serve() as (url, server):
        run(tmp_path, data, url, "a", limit=3, params={"seed": "none"})
        calls = server.stats.calls
        run(tmp_path, data, url, "b", limit=3, repeats=2, params={"seed": "none"})
        assert server.stats.calls == 2 * calls


def test_failure_is_never_kept_and_every_final_outcome_is(tmp_path: Path, data: Path) -> None:
    with serve(ServerPlan(faults={"400": 0.5})) as (url, server):
        run(tmp_path, data, url, "a")
        failed = sum(record["finish"] == "error" for record in log_of(tmp_path / "a"))
        assert 0 < failed < N
        assert len(entries(tmp_path)) == N - failed
        server.plan.faults = {}
        calls = server.stats.calls
        again = run(tmp_path, data, url, "b")
        assert server.stats.calls - calls == failed
        assert again.progress is not None
        assert again.progress.reused == N - failed
    with serve(ServerPlan(faults={"413": 1.0})) as (url, server):
        run(tmp_path, data, url, "c", "openai:second")
        calls = server.stats.calls
        run(tmp_path, data, url, "d", "openai:second")
        assert server.stats.calls == calls == N
    finishes = {record["finish"] for record in log_of(tmp_path / "d")}
    assert finishes == {"rejected"}


def test_two_runs_at_once_share_a_folder(tmp_path: Path, data: Path) -> None:
    with serve(ServerPlan(latency=0.02)) as (url, server):
        both = [
            subprocess.Popen(
                command(*words(data, url, tmp_path / name)),
                cwd=tmp_path,
                env=environment(tmp_path),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for name in ("a", "b")
        ]
        told = [process.communicate(timeout=100)[1] for process in both]
        assert [process.returncode for process in both] == [0, 0], told
        assert N <= server.stats.calls <= 2 * N
        calls = server.stats.calls
        third = nova(tmp_path, *words(data, url, tmp_path / "c"))
        assert third.returncode == 0, third.stderr
        assert server.stats.calls == calls
    assert len(entries(tmp_path)) == N
    assert not list((tmp_path / "cache_dir").rglob("*.part"))
    assert report(tmp_path / "a") == report(tmp_path / "b") == report(tmp_path / "c")
    assert "damaged" not in "".join([*told, third.stderr])


def test_killed_run_leaves_whole_entries_that_others_use(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "a"
    with serve(ServerPlan(latency=0.03)) as (url, server):
        process = subprocess.Popen(
            command(*words(data, url, out)),
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while len(final_ids(out)) < 8:
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        while server.stats.in_flight:
            time.sleep(0.01)
        logged, kept = len(final_ids(out)), len(entries(tmp_path))
        assert logged - 1 <= kept <= logged < N  # the log comes first
        calls = server.stats.calls
        other = nova(tmp_path, *words(data, url, tmp_path / "b"))
        assert other.returncode == 0, other.stderr
        assert server.stats.calls - calls == N - kept
        assert "damaged" not in other.stderr
        calls = server.stats.calls
        rest = nova(tmp_path, *words(data, url, out))
        assert rest.returncode == 0, rest.stderr
        assert server.stats.calls == calls
    assert report(out) == report(tmp_path / "b")
    assert len(log_of(out)) == N  # one record a request: what the log had was not taken from the cache again


def test_damaged_entries_are_ignored_said_and_written_anew(tmp_path: Path, data: Path) -> None:
    with serve() as (url, server):
        nova(tmp_path, *words(data, url, tmp_path / "a"))
        whole = [path.read_bytes() for path in entries(tmp_path)]
        paths = entries(tmp_path)
        paths[0].write_bytes(b"")
        paths[1].write_bytes(whole[1][:-20])
        paths[2].write_bytes(whole[3])  # whole, and another request's
        edited = json.loads(whole[4])
        edited["record"]["text"] = "[]"
        paths[4].write_text(json.dumps(edited))
        paths[5].write_text("[1]")
        paths[6].write_bytes(b"\xff\xfe")
        calls = server.stats.calls
        done = nova(tmp_path, *words(data, url, tmp_path / "b"))
        assert done.returncode == 0, done.stderr
        assert server.stats.calls - calls == 6
        assert "6 damaged entries of the response cache" in done.stderr
    assert report(tmp_path / "a") == report(tmp_path / "b")
    # Seconds differ from answer to answer; what was said does not.
    texts = [json.loads(path.read_bytes())["record"]["text"] for path in entries(tmp_path)]
    assert texts == [json.loads(entry)["record"]["text"] for entry in whole]


def test_neither_keys_nor_pictures_nor_gated_texts_are_in_it(tmp_path: Path) -> None:
    asked = "Why did CANARY go sailing with a parrot on a Monday in May?"
    built = make_built(tmp_path / "built", 4, {f"p{i:04d}-q1": {"question": asked} for i in range(4)})
    assert nb.load_task("fmbench_vqa").data.gated
    env = {"OPENAI_API_KEY": KEY}
    plan = ServerPlan(
        message={"reasoning_content": f"I am asked: {asked}"}, answer_of=lambda body: "ANSWER: yes"
    )
    with serve(plan) as (url, server):
        first = words(built, url, tmp_path / "a")
        first[1] = "fmbench_vqa"
        done = nova(tmp_path, *first, env=env)
        assert done.returncode == 0, done.stderr
        assert server.stats.keys == {KEY}
        server.plan.faults, server.plan.quotes = {"413": 1.0}, True
        second = [
            {"openai:tiny": "openai:strict", tmp_path / "a": tmp_path / "b"}.get(word, word) for word in first
        ]
        nova(tmp_path, *second, env=env)
    # A run's log is its own, and holds what the model said; a server's words stand beside it.
    for place in ("a/responses.jsonl", "b/private.jsonl"):
        assert "CANARY go sailing" in (tmp_path / place).read_text()
    assert "CANARY" not in (tmp_path / "b" / "responses.jsonl").read_text()
    assert len(entries(tmp_path)) == 2 * 12
    held = b"".join(path.read_bytes() for path in (tmp_path / "cache_dir").rglob("*") if path.is_file())
    assert b"HTTP 413: the words stand in private.jsonl" in held
    assert not list((tmp_path / "cache_dir").rglob("private.jsonl"))
    assert b"CANARY" not in held
    assert b"planted" not in held
    for picture in (built / "images").iterdir():
        assert base64.b64encode(picture.read_bytes())[:60] not in held
        assert picture.name.encode() not in held


def test_answer_that_copies_a_gated_prompt_is_not_kept(tmp_path: Path, data: Path) -> None:
    model = nb.load_model("prior")
    request = nb.Request("1", "1", 0, ("x" * 50 + "The patient of this note " * 20,))
    cache = ResponseCache(tmp_path / "c", model, is_gated=True)
    digest = hashlib.sha256(b"1").digest()
    cache.put(request, digest, nb.Response("1", "I read: " + request.text))
    assert cache.find(request, digest) is None
    cache.put(request, digest, nb.Response("1", "The patient of this note is well.", reasoning=request.text))
    found = cache.find(request, digest)
    assert found is not None
    assert (found.text, found.reasoning) == ("The patient of this note is well.", None)
    free = ResponseCache(tmp_path / "d", model, is_gated=False)
    free.put(request, digest, nb.Response("1", "I read: " + request.text, reasoning="Hm."))
    found = free.find(request, digest)
    assert found is not None
    assert (found.text, found.reasoning) == ("I read: " + request.text, "Hm.")


def test_full_disk_costs_the_entry_and_not_the_run(tmp_path: Path, data: Path) -> None:
    pytest.importorskip("openai")
    with serve() as (url, _):
        run(tmp_path, data, url, "a", limit=3)
        for path in entries(tmp_path):
            path.unlink()
        for folder in (tmp_path / "cache_dir").iterdir():
            folder.rmdir()
            folder.write_text("a file where a folder has to be")
        done = run(tmp_path, data, url, "b", limit=3)
    assert done.progress is not None
    assert done.progress.answered == 6
    assert any("could not be kept in the response cache" in message for message in done.progress.messages)


@pytest.mark.parametrize("model", [lambda request: "[]", nb.each(lambda request: "[]")])
def test_object_whose_making_cannot_be_seen_is_refused(tmp_path: Path, data: Path, model: Any) -> None:
    with pytest.raises(UsageError, match="given by name or path"):
        nb.evaluate(
            "nova_localization",
            model,
            data=str(data),
            out=tmp_path / "out",
            settings=settings(tmp_path),
            cache=tmp_path,
        )


def test_folder_that_cannot_be_written_is_refused_before_anything_is_asked(
    tmp_path: Path, data: Path
) -> None:
    (tmp_path / "cache_dir").write_text("a file")
    with serve() as (url, server):
        refused = nova(tmp_path, *words(data, url, tmp_path / "a"))
        assert (refused.returncode, server.stats.calls) == (2, 0)
    assert "--cache" in refused.stderr
