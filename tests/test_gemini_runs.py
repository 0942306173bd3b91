"""The Gemini backend with Google's own SDK, against a server on this machine: settings, and whole runs."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import loopback_gemini as loopback
import pytest
from gemini_chat import KEY, NOWHERE, no_thread_is_left, short_waits
from running import nova

from nova_bench.backends.gemini import Gemini
from nova_bench.errors import AdapterError, UsageError
from nova_bench.types import Request

pytestmark = pytest.mark.real("google-genai on a loopback server")

__all__ = ["no_thread_is_left", "short_waits"]  # fixtures

ROOT = Path(__file__).resolve().parents[1]


# Settings, and whole runs.


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"thinking": "much"}, "thinking='much'"),
        ({"thinking": "-2"}, "number of tokens"),
        ({"media_resolution": "4k"}, "low, medium, high"),
        ({"api_version": "../v1"}, "v1beta"),
        ({"model": ""}, "name"),
        ({"base_url": None, "key_env": "NO_SUCH_KEY"}, "NO_SUCH_KEY"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: Mapping[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        Gemini(**{"model": "m", "base_url": NOWHERE, **options})


@pytest.mark.parametrize("package", ["google.genai", "aiohttp"])
def test_missing_package_names_its_remedy(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(AdapterError, match=r'pip install "nova-bench\[gemini\]"'):
        Gemini(model="m", base_url=NOWHERE)


def test_vendor_package_is_imported_only_when_a_request_is_sent() -> None:
    code = (
        f"import sys, nova_bench.backends as b; b.Gemini(model='m', base_url={NOWHERE!r})\n"
        "print(sorted({'google.genai', 'aiohttp', 'pydantic', 'PIL', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


NETRC = "machine gemini.example.org login me password hunter2\ndefault login anybody password hunter2\n"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_environment_names_a_proxy_and_no_password(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text(NETRC)
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("no_proxy", raising=False)
    heard: list[bytes] = []

    def refuse(server: socket.socket) -> None:
        while len(heard) < 50:
            try:
                connection, _ = server.accept()
            except OSError:  # closed: the test is over
                return
            with connection:
                heard.append(connection.recv(65536))
                connection.sendall(
                    b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )

    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = threading.Thread(target=refuse, args=(server,), daemon=True)
        proxy.start()
        port = server.getsockname()[1]
        monkeypatch.setenv(f"{scheme}_proxy", f"http://me:pr%40xy-secret@127.0.0.1:{port}")
        chat = Gemini(model="m", base_url=f"{scheme}://gemini.example.org", key_env="none", deadline=0.2)
        (response,) = chat.generate([Request("0", "0", 0, ("?",))])
        server.shutdown(socket.SHUT_RDWR)  # wakes the thread
    proxy.join(10)
    assert response.finish == "error"
    assert "407" in str(response.error)
    assert "xy-secret" not in str(response.error)
    said = heard[0]
    assert base64.b64encode(b"me:hunter2") not in said
    login = b"Proxy-Authorization: Basic " + base64.b64encode(b"me:pr@xy-secret")
    if scheme == "https":
        assert said.startswith(b"CONNECT gemini.example.org:443 ")
        assert login in said
    else:
        assert said.startswith(b"POST http://gemini.example.org/")
        assert b"\r\nAuthorization:" not in said


def run_words(url: str, *more: str) -> tuple[str, ...]:
    return (
        "run",
        "nova_localization",
        "--data",
        "mini",
        "--model",
        "gemini:m",
        "-o",
        f"base_url={url}",
        *more,
    )


def written(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file())


def test_run_reaches_the_end_through_faults_and_holds_no_key(tmp_path: Path) -> None:
    env = {"GEMINI_API_KEY": KEY, "GOOGLE_API_KEY": f"{KEY}-2"}
    plan = loopback.Plan(first=(None, "401", None, "429", "reset", None, "500", "empty", "html"))
    with loopback.serve(plan) as (url, server):
        once = nova(tmp_path, *run_words(url, "--out", "out", "-o", "concurrency=1"), env=env)
        assert once.returncode == 1, once.stderr  # the request that was told 401
        assert "[GEMINI_API_KEY]" in once.stderr
        again = nova(tmp_path, *run_words(url, "--out", "out"), env=env)
        assert again.returncode == 0, again.stderr
    finishes = [json.loads(line) for line in (tmp_path / "out" / "responses.jsonl").read_text().splitlines()]
    final = [record for record in finishes if record["finish"] == "stop"]
    assert server.stats.answered.total() == len(final) == len({record["id"] for record in final})
    assert server.stats.keys == {KEY}
    log = written(tmp_path)
    assert b"[GEMINI_API_KEY]" in log
    assert KEY.encode() not in log
    assert KEY not in "".join((once.stdout, once.stderr, again.stdout, again.stderr))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {cell["n_failed"] for cell in report["cells"]} == {0}
    asked = loopback.prompt_of(server.stats.bodies[0])
    assert "[y_min, x_min, y_max, x_max]" in asked  # the frame of the card


def test_run_gives_every_outcome_its_state(tmp_path: Path) -> None:
    kinds = ("context", "filter", "length", "empty", None)
    seen: dict[bytes, str | None] = {}

    def outcome(body: Mapping[str, Any]) -> Mapping[str, Any]:
        images = b"".join(data for _, data in loopback.images_of(body))
        kind = seen.setdefault(images, kinds[1 + len(seen) % 4])
        plan = {
            "filter": loopback.Plan(block_reason="SAFETY"),
            "length": loopback.Plan(finish_reason="MAX_TOKENS"),
            "empty": loopback.Plan(candidate={"content": {"role": "model"}}),
            None: loopback.Plan(),
        }[kind]
        return loopback.answer(plan, "m", loopback.answer_to(body))

    plan = loopback.Plan(first=("context",), answer_of=outcome)
    with loopback.serve(plan) as (url, _):
        done = nova(tmp_path, *run_words(url, "--out", "out", "--json"), env={"GEMINI_API_KEY": KEY})
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)["cells"][0]["counts"]
    assert counts["failed"] == 0
    assert counts["rejected"] == 1
    assert all(counts[state] for state in ("refused", "truncated", "unparsed", "ok"))


def test_run_with_a_wrong_key_ends_with_one_clear_error(tmp_path: Path) -> None:
    with loopback.serve(loopback.Plan(faults={"key": 1.0})) as (url, server):
        done = nova(tmp_path, *run_words(url, "--out", "out"), env={"GEMINI_API_KEY": KEY})
    assert done.returncode == 1
    assert "API key" in done.stderr
    assert "Traceback" not in done.stderr
    assert server.stats.calls < 20
    assert KEY not in done.stdout + done.stderr


def test_adapter_without_a_model_says_how_to_name_one(tmp_path: Path) -> None:
    done = nova(tmp_path, "run", "nova_localization", "--data", "mini", "--model", "gemini")
    assert done.returncode == 2
    assert "--model gemini:" in done.stderr
