"""Keys and where they end: sent to the server they are for, and in nothing that is written, whatever goes wrong.

Commands run as processes of their own, with a key planted in every variable that a vendor's package or this project reads. Then
everything that they printed and every file that they left is searched, in each spelling in which a key could be there.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from loopback import Loopback, Plan, serve
from running import environment, log_of, make_set, nova

pytest.importorskip("openai")

NAMES = (
    "OPENAI_API_KEY",
    "OPENAI_ADMIN_KEY",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
    "OPENAI_WEBHOOK_SECRET",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "AZURE_OPENAI_API_KEY",
    "MY_SERVERS_KEY",
    "HF_TOKEN",
)
SECRETS = {name: f"sk-{name.lower().replace('_', '-')}-4f/9+Zq7" for name in NAMES}
ENV = {
    **SECRETS,
    "OPENAI_CUSTOM_HEADERS": "X-Secret: sk-custom-header-4f/9+Zq7\nAuthorization: Bearer sk-custom-auth-4f/9+Zq7",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/nobody",
}
PLANTED = {**SECRETS, "header": "sk-custom-header-4f/9+Zq7", "auth": "sk-custom-auth-4f/9+Zq7"}


def spellings(secret: str) -> Iterator[bytes]:
    """Yield a key as it could stand in a file."""
    yield secret.encode()
    yield secret[3:].encode()
    yield json.dumps(secret)[1:-1].replace("/", "\\/").encode()
    yield urllib.parse.quote(secret, safe="").encode()
    for shift in range(
        3
    ):  # where in a base64 text it stands decides its letters; those at the ends depend on its neighbours
        coded = base64.b64encode(b"x" * shift + secret.encode())
        yield coded[4:-4]


def search(home: Path, *printed: str) -> list[str]:
    """Return where any key is found, and check that there was something to search."""
    places = {f"printed {i}": text.encode() for i, text in enumerate(printed)}
    places |= {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert len(places) > len(printed)
    return [
        f"{variable} in {place}"
        for place, content in places.items()
        for variable, secret in PLANTED.items()
        if any(spelling in content for spelling in spellings(secret))
    ]


def test_the_search_finds_keys(tmp_path: Path) -> None:
    secret = SECRETS["MY_SERVERS_KEY"]
    for i, text in enumerate(
        (secret, urllib.parse.quote(secret, safe=""), json.dumps({"k": f"Bearer {secret}"}))
    ):
        (tmp_path / f"{i}.txt").write_text(text)
        (tmp_path / f"{i}.b64").write_bytes(base64.b64encode(f"{'y' * i}{secret} and more".encode()))
    found = search(tmp_path)
    assert len([place for place in found if place.startswith("MY_SERVERS_KEY")]) == len(found) == 6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("keys") / "set", [1, 2, 1, 2])


def words(data: Path, url: str, *more: str) -> tuple[str | Path, ...]:
    return (
        *("run", "nova_localization", "--data", data, "--model", "openai:m", "--out", "out"),
        *("-o", f"base_url={url}", *more),
    )


def sent(server: Loopback) -> set[str]:
    """Return the planted secrets that the server was sent, in whatever header."""
    texts = [f"{name}: {value}" for headers in server.stats.headers for name, value in headers.items()]
    assert texts
    return {name for name, secret in PLANTED.items() if any(secret in text for text in texts)}


def a_third_fails() -> Plan:
    """Faults that quote the key, among those that heal."""
    return Plan(faults={"429": 0.2, "500": 0.1, "html": 0.1}, retry_after="0.01")


QUOTED = "faults that quote the key"
PLANS: Mapping[str, Callable[[], Plan]] = {
    "all goes well": Plan,
    QUOTED: a_third_fails,
    "wrong key": lambda: Plan(faults={"401": 1.0}),
    "unknown model": lambda: Plan(faults={"404": 1.0}),
    "the answer quotes it": lambda: Plan(faults={"error-200": 0.3}),
}


@pytest.mark.parametrize(
    ("plan", "api"), [*zip(PLANS, ("responses", "chat", "responses", "chat", "chat"), strict=True)]
)
def test_no_key_is_in_anything_written(tmp_path: Path, data: Path, plan: str, api: str) -> None:
    with serve(PLANS[plan]()) as (url, server):
        done = nova(tmp_path, *words(data, url, "-o", f"api={api}"), env={**ENV, "OPENAI_LOG": "debug"})
        assert sent(server) == {"OPENAI_API_KEY"}
        assert server.stats.keys == {SECRETS["OPENAI_API_KEY"]}
    assert done.returncode == (1 if plan in ("wrong key", "unknown model") else 0), done.stderr[-2000:]
    later = (("report", "out", "--json"), ("report", "out"), ("doctor",)) if plan == QUOTED else ()
    steps = [done, *(nova(tmp_path, *verb, env=ENV) for verb in later)]
    texts = [text for step in steps for text in (step.stdout, step.stderr)]
    assert search(tmp_path, *texts) == []
    assert (tmp_path / "out" / "manifest.json").exists()
    if plan == "wrong key":
        assert "[OPENAI_API_KEY]" in done.stderr + str(
            log_of(tmp_path / "out")
        )  # it was quoted, and taken out


def test_the_named_variable_is_sent_and_no_other(tmp_path: Path, data: Path) -> None:
    with serve(a_third_fails()) as (url, server):
        done = nova(tmp_path, *words(data, url, "-o", "key_env=MY_SERVERS_KEY"), env=ENV)
        assert sent(server) == {"MY_SERVERS_KEY"}
    assert done.returncode == 0
    assert search(tmp_path, done.stdout, done.stderr) == []


@pytest.mark.parametrize("key_env", ["none", "NOT_SET_ANYWHERE"])
def test_a_private_server_is_asked_without_a_key(tmp_path: Path, data: Path, key_env: str) -> None:
    with serve() as (url, server):
        done = nova(tmp_path, *words(data, url, "-o", f"key_env={key_env}"), env=ENV)
        assert sent(server) == set()
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("url", "more", "said"),
    [
        ("https://api.example.com/v1", (), "-o key_env=NAME"),
        ("https://api.openai.com.example.com/v1", (), "-o key_env=NAME"),
        ("http://api.openai.com/v1", (), "plain http"),
        ("http://api.example.com/v1", ("-o", "key_env=MY_SERVERS_KEY"), "plain http"),
        ("https://api.openai.com/v1", ("-o", "key_env=NOT_SET_ANYWHERE"), "NOT_SET_ANYWHERE"),
        ("https://u:sk-my-servers-key-4f@localhost/v1", (), "user and password"),
    ],
)
def test_where_a_key_must_not_go_nothing_is_sent(
    tmp_path: Path, data: Path, url: str, more: tuple[str, ...], said: str
) -> None:
    done = nova(tmp_path, *words(data, url, *more), env=ENV)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    (tmp_path / "something").touch()
    assert search(tmp_path, done.stdout, done.stderr) == []
    assert "sk-my" not in done.stderr


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_redirect_is_not_followed(tmp_path: Path, data: Path, api: str) -> None:
    with serve() as (other, elsewhere), serve(Plan(faults={"redirect": 1.0})) as (url, server):
        server.plan.redirect_to = f"{other}/chat/completions"
        done = nova(tmp_path, *words(data, url, "-o", f"api={api}"), env=ENV)
        assert elsewhere.stats.calls == 0
    assert done.returncode == 1
    assert f"{other}/chat/completions; give that one as base_url" in done.stderr


CRASH = """
import traceback, sys
import nova_bench as nb
from nova_bench.backends import OpenAIChat, OpenAIResponses
from nova_bench.types import Request

def requests():
    for i in range(50):
        yield Request(str(i), str(i), 0, (f"question {i}",))
    raise ValueError("the requests broke")

for backend in (OpenAIChat, OpenAIResponses):
    model = backend(model="m", base_url=sys.argv[1], deadline=0.5)
    print(model, vars(type(model)))
    for stream in (requests(), (Request("x", "x", 0, (object(),)) for _ in range(1))):
        try:
            for response in model.generate(stream):
                print(response)
        except BaseException as error:
            traceback.print_exc()
            print(repr(error), error.__cause__, error.__context__)
"""


def test_no_key_is_in_a_traceback(tmp_path: Path) -> None:
    plan = Plan(faults={"401": 0.2, "429": 0.2, "reset": 0.2, "not-json": 0.2}, retry_after="0.01")
    with serve(plan) as (url, server):
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-c", CRASH, url],
            env={**environment(tmp_path), **ENV},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert sent(server) == {"OPENAI_API_KEY"}
    assert "Traceback" in done.stderr
    (tmp_path / "something").touch()
    assert search(tmp_path, done.stdout, done.stderr) == []
