"""Why an adapter did not load, in words: what is missing, where that can be told, and how it comes."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from typing import Literal

from nova_bench.catalog import Found
from nova_bench.conformance_stream import line_of
from nova_bench.errors import NovaBenchError
from nova_bench.static_check import printable

_GPU = re.compile(r"cuda|nvidia|\bgpu\b|\brocm\b|no accelerator", re.IGNORECASE)
_SERVER = re.compile(r"connection refused|connect error|name or service not known|max retries", re.IGNORECASE)
_BLOCK = re.compile(r"(?m)^# /// script\s*$\n(?P<content>(?:^#(?:| .*)$\n)+?)^# ///\s*$")
_TELL = (
    "load has to raise nova_bench.errors.UsageError or AdapterError with a sentence that says what is missing"
)


def explain_load(error: BaseException, found: Found) -> tuple[Literal["fail", "not checked"], str, str]:
    """Return (state, what, remedy) for an exception out of an adapter's file or its ``load``.

    What is missing on this machine (a package, a key, a GPU, a server, a file) is no fault of the adapter, if it can be named: it was
    then not checked. Everything else is a failure.
    """
    at = line_of(error, found.path)
    for cause in _causes(error):
        at = at or line_of(cause, found.path)
        said = printable(str(cause), 300)
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            package = cause.name.partition(".")[0]
            return (
                "not checked",
                f"package {package!r} is not installed, which the file wants{at}",
                _install(package, found),
            )
        if isinstance(cause, KeyError) and cause.args and _is_variable(cause.args[0]):
            name = cause.args[0]
            return (
                "not checked",
                f"the environment variable {name} is not set, which the file wants{at}",
                f"export {name}=...",
            )
        if isinstance(cause, SystemExit):
            what = f"loading raised SystemExit ({printable(str(cause.code), 60)}){at}, which ends a whole run"
            return "fail", what, f"remove sys.exit(); {_TELL}"
        if isinstance(cause, FileNotFoundError):
            what = f"the file {printable(str(cause.filename or cause), 200)} is not there, which the file wants{at}"
            return "not checked", what, "give its path with -o, as the docstring of the adapter says"
        if isinstance(cause, ConnectionError) or (
            not isinstance(cause, NovaBenchError) and _SERVER.search(said)
        ):
            return (
                "not checked",
                f"a server does not answer{at}: {said}",
                "start it, or give its address with -o",
            )
        if not isinstance(cause, NovaBenchError) and isinstance(cause, RuntimeError) and _GPU.search(said):
            return "not checked", f"it wants a GPU{at}: {said}", "run the check on a machine that has one"
    if isinstance(error, NovaBenchError) and error.__cause__ is None:
        fault = "load returned " in str(error) or "needs a default" in str(error) or " has no " in str(error)
        return "fail" if fault else "not checked", printable(str(error), 500), "" if not fault else _FORM
    deepest = error.__cause__ or error
    what = f"loading raised {type(deepest).__name__}{at}: {printable(str(deepest), 300)}"
    return "fail", what, _TELL


_FORM = "CONTRIBUTING.md has the form of load: all options with defaults, and an object with generate(requests) that is returned"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__


def _is_variable(name: object) -> bool:
    return (
        isinstance(name, str) and name not in os.environ and bool(re.fullmatch(r"[A-Z][A-Z0-9_]{2,}", name))
    )


def _install(package: str, found: Found) -> str:
    """Return the command that installs what the header's dependencies name, else the package itself."""
    block = _BLOCK.search(found.source())
    wanted: list[str] = []
    if block:
        content = "".join(line[2:] or "\n" for line in block["content"].splitlines(keepends=True))
        try:
            listed = tomllib.loads(content).get("dependencies", [])
            wanted = [printable(name, 100) for name in listed if isinstance(name, str)]
        except tomllib.TOMLDecodeError:
            wanted = []
    named = " ".join(f'"{name}"' for name in wanted) if wanted else package
    more = "" if wanted else "; name it in `dependencies` of the header"
    return f"pip install {named}{more}"
