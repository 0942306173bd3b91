"""Where keys go, and where they never do: what all hosted backends share, seen through OpenAI's."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import itertools
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nova_bench.backends import hosted_chat
from nova_bench.backends.hosted_chat import HostedChat
from nova_bench.backends.retry import PermanentError, TransientError
from nova_bench.errors import UsageError
from nova_bench.types import Request, Response

USUAL, OTHER = "sk-usual-0123456789", "sk-other-9876543210/+"


class Acme(HostedChat):
    """A vendor of tests: only what `HostedChat` does by itself."""

    def __init__(self, base_url: str, key_env: str | None = None) -> None:
        super().__init__(
            model="m",
            base_url=base_url,
            vendor_hosts=("api.acme.com", ".regions.acme.com"),
            key_envs=("ACME_API_KEY", "ACME_KEY"),
            key_env=key_env,
        )


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACME_API_KEY", raising=False)
    monkeypatch.setenv("ACME_KEY", USUAL)
    monkeypatch.setenv("OTHER_KEY", OTHER)


@pytest.mark.parametrize(
    ("base_url", "key_env", "key"),
    [
        ("https://api.acme.com/v1", None, USUAL),
        ("https://API.ACME.COM/v1", "", USUAL),
        ("https://eu.regions.acme.com", None, USUAL),
        ("https://api.acme.com", "OTHER_KEY", OTHER),
        ("https://api.example.com", "OTHER_KEY", OTHER),
        ("https://api.example.com", "ACME_KEY", USUAL),  # the user said so
        ("https://api.example.com", "none", ""),
        ("http://api.example.com", "none", ""),
        ("http://localhost:8000/v1", None, USUAL),
        ("http://localhost:8000/v1", "OTHER_KEY", OTHER),
        ("http://localhost:8000/v1", "NO_SUCH_KEY", ""),
        ("http://10.0.0.7:8000", "none", ""),
        ("http://[fd00::7]:8000", None, USUAL),
    ],
)
def test_a_key_goes_where_it_may(base_url: str, key_env: str | None, key: str) -> None:
    assert Acme(base_url, key_env).key == key


@pytest.mark.parametrize(
    ("base_url", "key_env", "match"),
    [
        ("https://api.example.com", None, r"is not a host of the vendor.*-o key_env=NAME"),
        ("https://api.acme.com.example.net", None, "is not a host of the vendor"),
        ("https://example.net/api.acme.com", None, "is not a host of the vendor"),
        ("https://xapi.acme.com", None, "is not a host of the vendor"),
        ("http://api.example.com", None, "is not a host of the vendor"),
        ("https://134744072/v1", None, "is not a host of the vendor"),  # 8.8.8.8
        ("http://api.acme.com", None, r"ACME_KEY would go over plain http to a public host.*https://"),
        ("http://api.example.com", "OTHER_KEY", "OTHER_KEY would go over plain http"),
        ("http://8.8.8.8:8000", "OTHER_KEY", "OTHER_KEY would go over plain http"),
        ("https://api.example.com", "NO_SUCH_KEY", "set the environment variable NO_SUCH_KEY"),
        ("https://user:hunter2@api.acme.com", None, "a user and password; give the key in ACME_API_KEY"),
        ("https://api.acme.com:port/v1", None, "expected an address"),
        ("ftp://api.acme.com", None, "expected an address"),
    ],
)
def test_a_key_goes_nowhere_else(base_url: str, key_env: str | None, match: str) -> None:
    with pytest.raises(UsageError, match=match) as raised:
        Acme(base_url, key_env)
    for secret in (USUAL, OTHER, "hunter2"):
        assert secret not in str(raised.value)


def test_the_vendor_needs_a_key_under_one_of_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "first")
    assert (Acme("https://api.acme.com").key_env, Acme("https://api.acme.com").key) == (
        "ACME_API_KEY",
        "first",
    )
    monkeypatch.delenv("ACME_API_KEY")
    monkeypatch.setenv("ACME_KEY", " ")
    with pytest.raises(UsageError, match="ACME_API_KEY or ACME_KEY"):
        Acme("https://api.acme.com")


def test_a_key_that_a_server_quotes_is_taken_out_in_every_spelling() -> None:
    chat = Acme("https://api.acme.com", "OTHER_KEY")
    assert chat.clean(f"bad key {OTHER}; url ?key=sk-other-9876543210%2F%2B") == (
        "bad key [OTHER_KEY]; url ?key=[OTHER_KEY]"
    )
    assert OTHER[:8] not in chat.clean("x" * 495 + OTHER)  # taken out before the text is cut
    assert OTHER not in repr(chat) + str(chat)


def test_a_key_in_an_answer_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(key_env: str, text: str) -> Response:
        chat = Acme("http://localhost:1/v1", key_env)

        async def attempt(*_: object) -> Response:
            return Response("1", text, reasoning=text, model=text, finish="filter", error=text)

        monkeypatch.setattr(chat, "attempt", attempt)
        return asyncio.run(chat._try(None, Request("1", "1", 0, ("?",)), None))

    long = "x" * 2_000
    found = told("OTHER_KEY", f"you sent {OTHER} {long}")
    for shown in (found.text, found.reasoning, found.model, found.error):
        assert shown == f"you sent [OTHER_KEY] {long}"
    monkeypatch.setenv("SHORT_KEY", "none")
    assert told("SHORT_KEY", "there is none").text == "there is none"


def test_what_an_error_of_the_connection_means() -> None:
    chat = Acme("https://api.acme.com/v1?key=abc")

    def told(*chain: BaseException) -> TransientError | PermanentError:
        for outer, inner in itertools.pairwise(chain):
            outer.__cause__ = inner
        return chat.disconnected(chain[0])

    lost = told(RuntimeError("Connection error."), ConnectionResetError(104, "reset by peer"))
    assert isinstance(lost, TransientError)
    assert (str(lost), lost.is_unreachable) == (
        "lost the connection to https://api.acme.com/v1: [Errno 104] reset by peer",
        False,
    )
    refused = told(
        type("ConnectError", (Exception,), {})("all failed"), ConnectionRefusedError(111, "refused")
    )
    assert isinstance(refused, TransientError)
    assert refused.is_unreachable
    untrusted = told(RuntimeError("Connection error."), ssl.SSLCertVerificationError("hostname mismatch"))
    assert isinstance(untrusted, PermanentError)
    assert untrusted.concerns_all
    assert "SSL_CERT_FILE" in str(untrusted)


@pytest.mark.parametrize("kind", [KeyError, PermanentError, ValueError])
def test_a_key_in_an_error_that_nobody_foresaw_is_taken_out(kind: type[Exception]) -> None:
    class Careless(Acme):
        @contextlib.asynccontextmanager
        async def client(self) -> AsyncIterator[None]:
            yield None

        def body(self, request: Request) -> None:
            return None

        async def attempt(self, client: None, request: Request, body: None) -> Response:
            raise kind(f"illegal header {self.key}")

    (response,) = Careless("http://localhost:1").generate([Request("1", "1", 0, ("?",))])
    assert response.finish == "error"
    assert "illegal header [ACME_KEY]" in str(response.error)


def _reads_environment(node: ast.AST) -> bool:
    """Whether a variable is looked up; to hand the environment on to a process of one's own is something else."""
    looked_up = node.value if isinstance(node, (ast.Attribute, ast.Subscript)) else None
    is_environ = isinstance(looked_up, ast.Attribute) and looked_up.attr == "environ"
    is_get = isinstance(node, ast.Attribute) and node.attr in ("get", "pop", "setdefault")
    is_getenv = isinstance(node, ast.Attribute) and node.attr == "getenv"
    return is_getenv or (is_environ and (is_get or isinstance(node, ast.Subscript)))


def test_only_one_place_reads_keys() -> None:
    """A second one would have its own rules."""
    folder = Path(inspect.getfile(hosted_chat)).parent
    readers = {
        path.name
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if _reads_environment(node)
    }
    assert readers == {"hosted_chat.py"}
