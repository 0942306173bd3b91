"""What every hosted model has in common: its address, its key, bodies made off the loop, and the scheduler.

A vendor's backend is a subclass that says how its SDK opens (`HostedChat.client`), what a request looks like there
(`HostedChat.body`) and what one try gives (`HostedChat.attempt`). All else is here, so that no vendor has a retry of its own.

Keys come from the environment alone, and where one goes is decided before anything is sent:

- to this machine or a private network: the variable that the user named, or the vendor's usual one, if it is set; none is needed;
- to the vendor's own hosts: the same variable, over https;
- to any other public host: only the variable that ``-o key_env=NAME`` names, over https. ``-o key_env=none`` sends no key.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import importlib.util
import os
import ssl
import time
import urllib.parse
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, ClassVar

from nova_bench.backends.addresses import is_private_host, is_vendor_host
from nova_bench.backends.breaker import Breaker
from nova_bench.backends.flow import Stream, answer
from nova_bench.backends.pace import Pace
from nova_bench.backends.retry import Patience, PermanentError, TransientError
from nova_bench.errors import AdapterError, UsageError
from nova_bench.types import Request, Response

NO_KEY = "none"
"""``-o key_env=none``: a server that takes requests without a key."""

_LONGEST_ERROR = 500
_SHORTEST_SECRET = 12
_BODY_THREADS = 4
_SLOW_BODY_SECONDS = 0.02
_UNREACHABLE = {
    "aiohttp": frozenset({"ClientConnectorError", "ConnectionTimeoutError"}),
    "httpx": frozenset({"ConnectError", "ConnectTimeout"}),
}
"""How HTTP libraries say that nobody listens at an address."""


class HostedChat:
    """A model behind a vendor's API, or a server that speaks it.

    Args:
        model: The model's name, as the server knows it.
        base_url: The server's address.
        vendor_hosts: Hosts that the vendor's key may go to; one that begins with a dot stands for all hosts below it.
        key_envs: The vendor's usual environment variables for a key; the first that is set counts.
        key_env: The variable that the user named; none or empty for the usual ones, ``"none"`` for no key.
        concurrency: Requests in flight, at most.
        deadline: Seconds that a request may take with its retries; after that it failed, and is asked again by the next run.
        attempt_timeout: Seconds that one attempt may take; long, because what was being answered by then is paid and lost.
        start_patience: Seconds after which an address where nobody ever listened ends the run.
        outage_patience: Seconds after which a server that answered before, and then nothing any more, ends the run.

    Raises:
        AdapterError: A package of the vendor is not installed.
        UsageError: A value does not fit, or a key is missing, or would go where it must not.
    """

    packages: ClassVar[tuple[str, ...]] = ()
    """What must be installed, by its import name."""
    extra: ClassVar[str] = ""
    """The extra of nova-bench that installs it."""

    def __init__(
        self,
        *,
        model: str,
        base_url: str,
        vendor_hosts: tuple[str, ...],
        key_envs: tuple[str, ...],
        key_env: str | None = None,
        concurrency: int = 16,
        deadline: float = 600.0,
        attempt_timeout: float = 300.0,
        start_patience: float = 10.0,
        outage_patience: float = 60.0,
    ) -> None:
        for package in self.packages:
            if not _is_installed(package):
                raise AdapterError(
                    f'package {package!r} is not installed; install it with: pip install "nova-bench[{self.extra}]"'
                )
        if not model:
            raise UsageError("the model's name is empty; expected a name that the server knows")
        if concurrency < 1 or deadline <= 0 or attempt_timeout <= 0:
            raise UsageError(
                f"concurrency={concurrency}, deadline={deadline}, attempt_timeout={attempt_timeout}: expected positive numbers"
            )
        try:
            address = urllib.parse.urlsplit(base_url)
            is_address = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
        except ValueError:  # brackets or a port that are none
            is_address = False
        if not is_address:
            shown = base_url.rpartition("@")[2]
            raise UsageError(f"base_url={shown!r}: expected an address such as http://localhost:8000/v1")
        host = address.hostname or ""
        self.url = base_url
        self.shown_url = urllib.parse.urlunsplit(
            address._replace(netloc=address.netloc.rpartition("@")[2], query="", fragment="")
        )
        """The address for messages: no password, no query."""
        if "@" in address.netloc:
            raise UsageError(
                f"base_url={self.shown_url} came with a user and password; give the key in {key_env or key_envs[0]} instead"
            )
        self.model = model
        self.is_private = is_private_host(host)
        """Whether the server is this machine or in a private network: what is sent stays there."""
        self.key_env, self.key = self._read_key(
            host, address.scheme == "https", vendor_hosts, key_envs, key_env or ""
        )
        """The key ("" for none) and the variable that it came from."""
        self.concurrency = concurrency
        self.deadline = deadline
        self.attempt_timeout = attempt_timeout
        self._start_patience = start_patience
        self._outage_patience = outage_patience
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()

    # What a vendor's backend says.

    def client(self) -> AbstractAsyncContextManager[Any]:
        """Open the vendor's client on the running event loop, with its own retries off; closed at the exit."""
        raise NotImplementedError

    def body(self, request: Request) -> Any:
        """Return what is sent for a request, made once for all its attempts.

        Raises:
            DataError: An image cannot be read.
        """
        raise NotImplementedError

    async def attempt(self, client: Any, request: Request, body: Any) -> Response:
        """Make one try and no more.

        Returns:
            A response whose ``finish`` is ``stop``, ``length``, ``filter`` or ``rejected``.

        Raises:
            TransientError: It may heal.
            PermanentError: It does not.
        """
        raise NotImplementedError

    # What the engine calls.

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer requests as they come; see `nova_bench.adapter` for the contract."""
        stream = answer(requests, self._connect, concurrency=self.concurrency)
        self._streams.add(stream)
        return stream

    def close(self) -> None:
        """Cancel what is in flight and free everything within 5 seconds; from any thread."""
        for stream in list(self._streams):
            stream.close()

    # What vendors' backends share.

    def clean(self, text: str) -> str:
        """Take the key out of a text, should a server have quoted it, and then cut the text."""
        text = self._redacted(text)
        return text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]} ..."

    def disconnected(self, error: BaseException) -> TransientError | PermanentError:
        """Tell what an error of the connection means; raise the result ``from None``: causes can quote headers."""
        causes = list(_causes(error))
        untrusted = [cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)]
        if untrusted:
            reason = getattr(untrusted[-1], "verify_message", None) or str(untrusted[-1])
            return PermanentError(
                self.clean(
                    f"the certificate of {self.shown_url} is not trusted: {reason}. If it is your own authority's, name its file in "
                    "the environment variable SSL_CERT_FILE"
                ),
                concerns_all=True,
            )
        kinds = {kind for cause in causes for kind in type(cause).__mro__}
        # Where httpx rides on aiohttp, it calls a lost connection one that was not made; only the causes below tell.
        library = "aiohttp" if any(kind.__module__.startswith("aiohttp.") for kind in kinds) else "httpx"
        is_unreachable = not _UNREACHABLE[library].isdisjoint(kind.__name__ for kind in kinds)
        deepest = causes[-1]
        what = "nobody answers at" if is_unreachable else "lost the connection to"
        detail = str(deepest) or type(deepest).__name__
        return TransientError(self.clean(f"{what} {self.shown_url}: {detail}"), is_unreachable=is_unreachable)

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Callable[[Request], Awaitable[Response]]]:
        async with self.client() as client:
            patience = Patience(
                deadline=self.deadline,
                attempt_timeout=self.attempt_timeout,
                pace=Pace(self.concurrency),
                breaker=Breaker(
                    start_patience=self._start_patience,
                    outage_patience=self._outage_patience,
                    concurrency=self.concurrency,
                    remedy=self._remedy(),
                ),
            )
            bodies = _Bodies(self.body)

            async def send(request: Request) -> Response:
                body = await bodies.make(request)
                return await patience.answer(request.id, lambda: self._try(client, request, body))

            with contextlib.closing(bodies):
                yield send

    async def _try(self, client: Any, request: Request, body: Any) -> Response:
        """Make one attempt; neither its errors nor its answer hold the key, even where the vendor's backend forgot it."""
        try:
            return self._without_key(await self.attempt(client, request, body))
        except (TransientError, PermanentError) as error:
            error.args = (self.clean(str(error)),)
            raise
        except (AdapterError, TimeoutError):
            raise
        except OSError as error:
            raise self.disconnected(error) from None
        except Exception as error:  # nobody foresaw it: it concerns this request, or is a fault of ours
            raise PermanentError(self.clean(f"{type(error).__name__}: {error}")) from None

    def _redacted(self, text: str) -> str:
        if self.key:
            for spelling in (self.key, urllib.parse.quote(self.key, safe="")):
                text = text.replace(spelling, f"[{self.key_env}]")
        return text

    def _without_key(self, response: Response) -> Response:
        """Return an answer without the key: a gateway may show what it was sent, and answers are logged, cached and shared."""
        if len(self.key) < _SHORTEST_SECRET:  # "none", "EMPTY": a word that an answer may well hold
            return response
        said: dict[str, Any] = {
            field: text
            for field in ("text", "reasoning", "error", "model")
            if isinstance(text := getattr(response, field), str)
        }
        said = {field: self._redacted(text) for field, text in said.items()}
        return replace(response, **said)

    def _remedy(self) -> str:
        key = f"the key in {self.key_env}" if self.key else f"the key (none is set in {self.key_env})"
        return f"check the server at base_url={self.shown_url}, {key} and the model's name {self.model!r}"

    def _read_key(
        self,
        host: str,
        is_encrypted: bool,
        vendor_hosts: tuple[str, ...],
        key_envs: tuple[str, ...],
        named: str,
    ) -> tuple[str, str]:
        """Return the variable and the key for this address; see the module's description for the rules."""
        if named == NO_KEY:
            return NO_KEY, ""
        if not (named or self.is_private or is_vendor_host(host, vendor_hosts)):
            raise UsageError(
                f"base_url={self.shown_url} is not a host of the vendor whose key is in {key_envs[0]}, so that key is not sent there; name the "
                f"server's own key with -o key_env=NAME, or say -o key_env={NO_KEY} if it needs none"
            )
        names = (named,) if named else key_envs
        name = next((name for name in names if os.environ.get(name, "").strip()), names[0])
        key = os.environ.get(name, "").strip()
        if not self.is_private and not is_encrypted:
            raise UsageError(
                f"base_url={self.shown_url}: the key in {name} would go over plain http to a public host, where anybody on the way can read it; "
                f"use https://, or say -o key_env={NO_KEY} if the server needs no key"
            )
        if not key and not self.is_private:
            raise UsageError(
                f"{self.shown_url} wants a key; set the environment variable {' or '.join(names)}, or name another one with -o key_env=NAME"
            )
        if not (key.isascii() and key.isprintable()):
            raise UsageError(
                f"the key in the environment variable {name} holds characters that no key has; copy it again"
            )
        return name, key


class _Bodies:
    """Makes bodies on the event loop as long as that is quick, and in other threads once it was not.

    A stored picture takes a millisecond; to hand it to another thread and back costs as much again, because each of the small
    steps waits for the interpreter's lock. A picture that must be encoded anew, or a file on a slow disk, would stall the loop.
    """

    def __init__(self, make: Callable[[Request], Any]) -> None:
        self._make = make
        self._is_slow = False
        self._pool = concurrent.futures.ThreadPoolExecutor(
            _BODY_THREADS, thread_name_prefix="nova-bench-body"
        )

    async def make(self, request: Request) -> Any:
        if self._is_slow:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._make, request)
        began = time.monotonic()
        body = self._make(request)
        self._is_slow = time.monotonic() - began > _SLOW_BODY_SECONDS
        return body

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # a parent of a dotted name
        return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it was raised from, outermost first."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
