"""Whole runs through the command line and the vendor's own client against a server that misbehaves: what ends up in the report."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback, Plan, images_of, serve
from running import cell, command, environment, final_ids, log_of, make_set, nova

pytest.importorskip("openai")

KEY = "sk-planted-0123456789abcdef"
TRANSIENT = {"429": 0.08, "500": 0.05, "503": 0.05, "hang": 0.01, "reset": 0.06, "cut": 0.05}
"""The share of calls that fails, by kind: 30 % in all."""
# Long enough that no call that is answered takes it, however busy the machine is: what the client gave up would be answered twice.
ATTEMPT = ("-o", "attempt_timeout=4")


def words(data: Path, url: str, out: Path, *more: str) -> list[str | Path]:
    """Return the one command of a run; the address is transport, so that the same run goes on at another port."""
    return [
        *("run", "nova_localization", "--data", data, "--model", "openai:tiny", "-o", f"base_url={url}"),
        *("--out", out, "--json", *more),
    ]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 images of 20 cases."""
    return make_set(tmp_path_factory.mktemp("small") / "set", [3] * 20)


@pytest.fixture(scope="module")
def undisturbed(small: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The report of the small set without faults."""
    home = tmp_path_factory.mktemp("undisturbed")
    with serve() as (url, _):
        done = nova(home, *words(small, url, home / "out"))
    assert done.returncode == 0, done.stderr
    return (home / "out" / "report.json").read_bytes()


def file_of(data: Path) -> Mapping[str, str]:
    """Return the names of a set's images by their sha256."""
    return {hashlib.sha256(path.read_bytes()).hexdigest(): path.name for path in (data / "images").iterdir()}


def name_of(names: Mapping[str, str], body: Mapping[str, Any]) -> str:
    """Return the name of the image in a request."""
    ((_, image),) = images_of(body)
    return names[hashlib.sha256(image).hexdigest()]


@contextlib.contextmanager
def free_port() -> Iterator[int]:
    """Give a port at which nobody listens; nobody else gets it meanwhile."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_third_of_faults_changes_nothing_in_the_report_of_1000_samples(tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", [2, 3] * 200)
    with serve() as (url, _):
        calm = nova(tmp_path, *words(data, url, tmp_path / "calm", "--concurrency", "64"), timeout=600)
    assert calm.returncode == 0, calm.stderr
    with serve(Plan(faults=TRANSIENT, seed=3)) as (url, server):
        done = nova(
            tmp_path,
            *words(data, url, tmp_path / "rough", "--concurrency", "64", *ATTEMPT),
            timeout=600,
        )
    assert done.returncode == 0, done.stderr
    found = cell(json.loads(done.stdout), "ap50")
    assert (found["n"], found["n_failed"], found["incomplete"]) == (1000, 0, False)
    assert (tmp_path / "rough" / "report.json").read_bytes() == (
        tmp_path / "calm" / "report.json"
    ).read_bytes()
    stats = server.stats
    assert set(stats.faults) == set(TRANSIENT)
    assert 0.27 < stats.faults.total() / stats.calls < 0.33
    # No answer was lost or paid twice: each request's body was answered once.
    assert len(stats.answered) == 1000
    assert set(stats.answered.values()) == {1}
    assert [record["finish"] for record in log_of(tmp_path / "rough")] == ["stop"] * 1000


OUTCOMES: Mapping[str, Mapping[str, Any]] = {
    "filter": {"finish_reason": "content_filter", "message": {"role": "assistant", "content": None}},
    "refusal": {
        "finish_reason": "stop",
        "message": {
            "role": "assistant",
            "content": None,
            "refusal": "I'm sorry, but I can't assist with that.",
        },
    },
    "empty": {"finish_reason": "stop", "message": {"role": "assistant", "content": ""}},
    "length": {"finish_reason": "length", "message": {"role": "assistant", "content": '[{"bbox_2d": [1, 2'}},
}


@pytest.mark.parametrize("faults", [{}, TRANSIENT], ids=["calm", "rough"])
def test_outcomes_of_the_model_are_final_and_counted(
    tmp_path: Path, small: Path, faults: Mapping[str, float]
) -> None:
    names = file_of(small)
    ordered = sorted(names.values())
    fate = dict(
        zip(ordered, ["filter"] * 4 + ["filtered"] * 3 + ["refusal"] * 2 + ["empty"] * 5, strict=False)
    )
    fate |= dict(zip(ordered[20:], ["length"] * 6 + ["context", "image"], strict=False))

    def choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
        return OUTCOMES.get(fate.get(name_of(names, body), ""), {})

    def fault(body: Mapping[str, Any]) -> str | None:
        kind = fate.get(name_of(names, body))
        return kind if kind in ("filtered", "context", "image") else None

    plan = Plan(faults=faults, seed=5, choice_of=choice, fault_of=fault)
    with serve(plan) as (url, server):
        command_line = words(small, url, tmp_path / "out", *ATTEMPT)
        done = nova(tmp_path, *command_line)
        calls = server.stats.calls
        again = nova(tmp_path, *command_line)
        assert server.stats.calls == calls  # all of them are final
    assert done.returncode == again.returncode == 0, done.stderr
    found = cell(json.loads(done.stdout), "ap50")
    assert found["counts"] == {
        **{"ok": 60 - 22, "unparsed": 5, "refused": 4 + 3 + 2},
        **{"truncated": 6, "rejected": 2, "failed": 0},
    }
    assert (found["n"], found["n_failed"], found["incomplete"]) == (60, 0, False)
    kept = {record["id"]: record for record in log_of(tmp_path / "out")}
    for name, kind in fate.items():
        if kind in ("filtered", "context", "image"):  # why it was not answered stays known
            assert kept[name]["error"].startswith("HTTP 400: ")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("401", ["HTTP 401", "OTHER_KEY"]),
        ("403", ["HTTP 403", "OTHER_KEY"]),
        ("404", ["HTTP 404", "'tiny'"]),
        ("quota", ["exceeded your quota", "OTHER_KEY"]),
    ],
)
def test_what_no_waiting_heals_is_one_error_and_the_run_goes_on_later(
    tmp_path: Path, small: Path, undisturbed: bytes, fault: str, said: list[str]
) -> None:
    out = tmp_path / "out"
    with serve(Plan(faults={fault: 1.0})) as (url, server):
        command_line = words(small, url, out, "-o", "key_env=OTHER_KEY")
        done = nova(tmp_path, *command_line, env={"OTHER_KEY": KEY})
        assert done.returncode == 1
        assert server.stats.calls < 20  # of 60, at 16 in flight
        assert done.stderr.count("nova-bench: ") == 1
        (line,) = (line for line in done.stderr.splitlines() if line.startswith("nova-bench: "))
        for words_said in (*said, url):
            assert words_said in line
        assert "the same command goes on from there" in done.stderr
        assert len(done.stderr.splitlines()) < 10
        assert final_ids(out) == set()
        server.plan = Plan()
        again = nova(tmp_path, *command_line, env={"OTHER_KEY": KEY})
    assert again.returncode == 0, again.stderr
    assert (out / "report.json").read_bytes() == undisturbed
    written = done.stdout + done.stderr + again.stdout + again.stderr
    written += "".join(path.read_text() for path in out.rglob("*") if path.is_file())
    assert KEY not in written


def test_server_that_is_down_at_the_start_is_one_error(
    tmp_path: Path, small: Path, undisturbed: bytes
) -> None:
    out = tmp_path / "out"
    with free_port() as port:
        url = f"http://127.0.0.1:{port}/v1"
        done = nova(tmp_path, *words(small, url, out))
    assert done.returncode == 1
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("nova-bench: "))
    assert "nobody answers at" in line
    assert f"check the server at base_url={url}" in line
    assert len(done.stderr.splitlines()) < 10
    assert final_ids(out) == set()
    with serve(port=port) as (url, _):
        again = nova(tmp_path, *words(small, url, out))
    assert again.returncode == 0, again.stderr
    assert (out / "report.json").read_bytes() == undisturbed


def answers_of(server: Loopback, n: int, process: subprocess.Popen[str]) -> None:
    """Wait until the server has given so many answers."""
    while server.stats.answered.total() < n and process.poll() is None:
        time.sleep(0.002)
    assert process.poll() is None


def start(home: Path, *line: str | Path) -> subprocess.Popen[str]:
    """Start a run that goes on while the test does something to its server."""
    return subprocess.Popen(
        command(*line),
        cwd=home,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_server_that_dies_in_the_middle_and_comes_back_costs_no_answer(
    tmp_path: Path, small: Path, undisturbed: bytes
) -> None:
    out = tmp_path / "out"
    with contextlib.ExitStack() as first:
        url, server = first.enter_context(serve(Plan(latency=0.05)))
        process = start(tmp_path, *words(small, url, out, "--concurrency", "4"))
        answers_of(server, 15, process)
        first.close()
        known = server.stats.answered.total()
        with serve(port=int(url.split(":")[2].removesuffix("/v1"))) as (_, second):
            stdout, stderr = process.communicate(timeout=120)
            assert second.stats.answered.total() >= 60 - known
    assert process.returncode == 0, stderr
    assert cell(json.loads(stdout), "ap50")["n_failed"] == 0
    assert (out / "report.json").read_bytes() == undisturbed


def test_server_that_dies_for_good_leaves_a_run_that_goes_on(
    tmp_path: Path, small: Path, undisturbed: bytes
) -> None:
    out = tmp_path / "out"
    more = ("--concurrency", "4", "-o", "deadline=1.0")
    with contextlib.ExitStack() as first:
        url, server = first.enter_context(serve(Plan(latency=0.05)))
        process = start(tmp_path, *words(small, url, out, *more))
        answers_of(server, 15, process)
        first.close()
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "nobody answers at" in stderr
    kept = final_ids(out)
    assert 15 <= len(kept) < 60
    with serve() as (url, server):
        again = nova(tmp_path, *words(small, url, out, *more))
        assert server.stats.answered.total() == 60 - len(kept)
    assert again.returncode == 0, again.stderr
    assert (out / "report.json").read_bytes() == undisturbed


def test_images_that_the_server_cannot_take_are_rejected_and_the_others_go_on(
    tmp_path: Path, small: Path
) -> None:
    names = file_of(small)
    large = sorted(names.values())[:2]
    kind = {large[0]: "413", large[1]: "image"}
    with serve(Plan(fault_of=lambda body: kind.get(name_of(names, body)))) as (url, server):
        done = nova(tmp_path, *words(small, url, tmp_path / "out"))
        assert server.stats.faults == {"413": 1, "image": 1}  # nobody insists
    assert done.returncode == 0, done.stderr
    counts = cell(json.loads(done.stdout), "ap50")["counts"]
    assert (counts["rejected"], counts["ok"], counts["failed"]) == (2, 58, 0)
    reasons = {record["id"]: record["error"] for record in log_of(tmp_path / "out") if "error" in record}
    assert set(reasons) == set(large)
    assert "exceeds 5 MB" in reasons[large[1]]


def test_parameter_that_the_server_refuses_is_shown_under_the_table(tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", [1, 2])
    with serve(Plan(refuses={"temperature": "unsupported_parameter"})) as (url, _):
        done = nova(
            tmp_path,
            *("run", "nova_caption", "--data", data, "--model", "openai:m", "-o", f"base_url={url}"),
        )
    assert done.returncode == 0, done.stderr
    assert "not honoured by the model's server: temperature (3 answers)" in done.stdout
