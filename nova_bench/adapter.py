"""The adapter contract, and the header of an adapter file.

`generate` pulls requests lazily and yields responses in any order, each with its request's id:

1. ``next(requests)`` may block. A backend with an event loop goes through `nova_bench.backends.flow`, which pulls requests in one thread and
   runs the loop in another.
2. The request iterator ending is the only graceful stop: finish what is in flight, yield it, return.
3. ``load`` runs once a command. ``generate`` may be called again, one call at a time. An optional ``close()`` frees everything within
   5 seconds and may be called from any thread. An optional ``notes(requested)`` is asked after a run, with the ids of all its requests, for
   sentences that the user should read. An optional ``identity()`` returns, once it is loaded, what else decides whether a run may be
   continued (the commit of a checkpoint); a key of an option stands in that option's place.
4. An exception out of ``generate`` ends the run, not the process; what was answered is in the log.

A request that cannot be answered is a `Response` with ``finish="error"``: it alone is tried again by the next run.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nova_bench.errors import AdapterError, NovaBenchError, UnknownNameError, UsageError
from nova_bench.types import Adapter, Card, Frame, Request, Response

HEADER_KEYS = (
    "name",
    "license",
    "url",
    "weights",
    "parameters",
    "trained_on",
    "supervision",
    "outputs",
    "boxes",
    "native",
    "think",
    "stream",
    "only_judges",
    "sends",
    "transport",
    "resources",
)
"""The keys of ``[tool.nova-bench]``; others are refused, because a misspelt one would be a silent default."""

ENGINE_OPTIONS = ("boxes", "think")
"""Options that every adapter has: they describe the model's way of writing, and the engine uses them."""

MAX_HEADER = 20_000
"""Characters of a header."""


def read_header(source: str, where: str) -> dict[str, Any]:
    """Return the ``[tool.nova-bench]`` table of an inline-script block (PEP 723), without running the file.

    Args:
        source: The file's text.
        where: What errors call the file.

    Raises:
        AdapterError: The block is no TOML, or has a key that does not exist. A file without the block has an empty header.
    """
    content = _script_block(source, where)
    if content is None:
        return {}
    if len(content) > MAX_HEADER:
        raise AdapterError(
            f"header of {where} has {len(content):,} characters; at most {MAX_HEADER:,} are read. The docstring is the place for more"
        )
    try:
        document = tomllib.loads(content)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise AdapterError(
            f"header of {where} is not TOML: {error}; see CONTRIBUTING.md for the form"
        ) from error
    tool = document.get("tool", {})
    table = tool.get("nova-bench", {}) if isinstance(tool, dict) else tool
    if not isinstance(table, dict):
        raise AdapterError(
            f"header of {where}: tool.nova-bench is a {type(table).__name__}; expected a table"
        )
    for key in table:
        if key not in HEADER_KEYS:
            raise AdapterError(str(UnknownNameError("header key", key, HEADER_KEYS, where)))
    return dict(table)


def _script_block(source: str, where: str) -> str | None:
    """Return the TOML of the one block between ``# /// script`` and ``# ///``; None where there is none.

    Line by line: what a regular expression would try again and again in a file made for it.
    """
    lines = source.split("\n")
    starts = [number for number, line in enumerate(lines) if line.rstrip() == "# /// script"]
    if not starts:
        return None
    if len(starts) > 1:
        raise AdapterError(
            f"header of {where}: {len(starts)} lines are '# /// script' (line {starts[0] + 1} and {starts[1] + 1}); expected one block"
        )
    content: list[str] = []
    for line in lines[starts[0] + 1 :]:
        if line.rstrip() == "# ///":
            return "\n".join(content) + "\n"
        if line.rstrip() != "#" and not line.startswith("# "):
            break
        content.append(line[2:])
    raise AdapterError(
        f"header of {where}: '# /// script' in line {starts[0] + 1} is not closed; expected lines that begin with '# ', then '# ///'"
    )


def read_card(header: Mapping[str, Any], where: str, options: Mapping[str, str] | None = None) -> Card:
    """Return the card that a header and the engine's own options (``boxes``, ``think``) declare.

    Raises:
        AdapterError: A value has the wrong type or is not one of those allowed.
        UsageError: An option's value does not fit.
    """
    options = options or {}
    values = dict(header)
    try:
        declared = Frame(str(values.pop("boxes", "xyxy/1000")))
    except UsageError as error:
        raise AdapterError(f"header of {where}: {error}") from None
    frame = Frame(options["boxes"]) if "boxes" in options else declared
    tags = values.pop("think", ("<think>", "</think>"))
    if not isinstance(tags, (list, tuple)):
        raise AdapterError(
            f"header of {where}: think is two tags such as ['<think>', '</think>'], got {tags!r}"
        )
    think = _tags(options["think"]) if "think" in options else tags
    if think is not None and (len(think) != 2 or not all(isinstance(tag, str) and tag for tag in think)):
        raise AdapterError(
            f"header of {where}: think is two tags such as ['<think>', '</think>'], got {think!r}"
        )
    for key in ("stream", "only_judges"):
        if not isinstance(values.get(key, False), bool):
            raise AdapterError(f"header of {where}: {key} is true or false, got {values[key]!r}")
    if not isinstance(values.get("resources", {}), dict):
        raise AdapterError(f"header of {where}: resources is a table, got {values['resources']!r}")
    if values.get("sends", "local") not in ("local", "vendor"):
        raise AdapterError(f"header of {where}: sends is 'local' or 'vendor', got {values['sends']!r}")
    for key in ("outputs", "native", "transport", "trained_on"):
        if key in values:
            if not isinstance(values[key], list) or not all(isinstance(item, str) for item in values[key]):
                raise AdapterError(f"header of {where}: {key} is a list of texts, got {values[key]!r}")
            values[key] = tuple(values[key])
    for key in ("name", "license", "url", "weights", "parameters", "supervision"):
        if key in values and not isinstance(values[key], str):
            raise AdapterError(f"header of {where}: {key} is a text, got {values[key]!r}")
    return Card(frame=frame, think=tuple(think) if think else None, **values)


def _tags(value: str) -> tuple[str, ...] | None:
    """Read ``-o think=<think>..</think>``; ``none`` switches the stripping off."""
    if value.lower() == "none":
        return None
    tags = tuple(tag.strip() for tag in value.split("..", 1))
    if len(tags) != 2 or not all(tags):
        raise UsageError(
            f"option think={value!r}: expected two tags joined by '..', as think=<think>..</think>, or think=none"
        )
    return tags


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """An adapter, loaded and ready, with all that identifies it."""

    name: str
    """As users write it: ``openai:gpt-x``."""
    adapter: Adapter
    card: Card
    source: str
    """sha256 of the adapter's source, hex."""
    options: Mapping[str, Any]
    """Every option, defaults included."""
    identity: Mapping[str, Any]
    """The options that can change an answer; one that names a file counts by the file's sha256."""

    def close(self) -> None:
        """Free what the adapter holds; safe to call more than once, from any thread."""
        close = getattr(self.adapter, "close", None)
        if close is not None:
            close()

    def notes(self, requested: Collection[str]) -> Iterable[str]:
        """Return what the adapter wants said after a run (a replay: lines that no request used)."""
        notes = getattr(self.adapter, "notes", None)
        return () if notes is None else notes(requested)


def read_options(load: Callable[..., Any], given: Mapping[str, str], where: str) -> dict[str, Any]:
    """Return all options of a ``load`` function: its keyword defaults with `given` over them, converted to the default's type.

    A ``load`` with ``**engine: str`` takes any other option too, as the text that was given; it has to check them itself.

    Raises:
        AdapterError: ``load`` has a parameter without a default.
        UnknownNameError: A given option does not exist.
        UsageError: A value does not convert.
    """
    parameters = dict(inspect.signature(load).parameters)
    passed_on = [name for name, parameter in parameters.items() if parameter.kind is parameter.VAR_KEYWORD]
    for name in passed_on:
        del parameters[name]
    for name, parameter in parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL or parameter.default is parameter.empty:
            raise AdapterError(
                f"load() of {where}: parameter {name!r} needs a default; options are load's keywords and their defaults"
            )
    known = (*parameters, *ENGINE_OPTIONS)
    options = {name: parameter.default for name, parameter in parameters.items()}
    for name, text in given.items():
        if name in parameters:
            options[name] = _converted(name, text, parameters[name])
        elif name in ENGINE_OPTIONS:
            continue
        elif (
            passed_on and (keyword := name.replace("-", "_")) not in known
        ):  # not a way around an option's own checks
            if keyword in options:
                raise UsageError(f"option {name}={text!r} is given twice, once with - and once with _")
            options[keyword] = text
        else:
            raise UnknownNameError("option", name, known, f"adapter {where}")
    return options


def own_identity(adapter: Adapter) -> dict[str, Any]:
    """Return what an adapter that is ready says of itself that decides whether a run may be continued; most say nothing."""
    identity = getattr(adapter, "identity", None)
    return dict(identity()) if callable(identity) else {}


def remote_code(identity: Mapping[str, Any]) -> dict[str, str] | None:
    """Return whose code a model's answers come from where a checkpoint's own Python was allowed to run; None for the ordinary model.

    Args:
        identity: `Model.identity`, or what a run's manifest recorded of it.

    >>> remote_code({"model": "acme/vlm", "revision": "0" * 40, "trust_remote_code": True})
    {'model': 'acme/vlm', 'commit': '0000000000000000000000000000000000000000'}
    >>> remote_code({"model": "acme/vlm", "trust_remote_code": False})
    """
    if str(identity.get("trust_remote_code", "")).lower() not in ("true", "1", "yes"):
        return None
    said = {"model": "model", "revision": "commit", "weights": "sha256"}
    return {shown: str(identity[key]) for key, shown in said.items() if identity.get(key)}


def _converted(name: str, text: str, parameter: inspect.Parameter) -> Any:
    """Convert an option's text to the type of its default, or of its annotation where the default is None."""
    kind = type(parameter.default).__name__
    if parameter.default is None:
        kind = str(parameter.annotation).removesuffix("| None").removeprefix("None |").strip()
    try:
        if kind == "bool":
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
                text.lower()
            ]
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
    except (KeyError, ValueError):
        raise UsageError(
            f"option {name}={text!r}: expected {'true or false' if kind == 'bool' else f'a number ({kind})'}"
        ) from None
    if kind not in ("str", "Path"):
        raise UsageError(
            f"option {name}={text!r}: options of type {kind} cannot be given on the command line"
        )
    return Path(text) if kind == "Path" else text


def each(answer: Callable[[Request], str | Response]) -> Adapter:
    """Lift a plain function from a request to an answer into an adapter, one request after the other.

    Args:
        answer: Returns the answer's text (or a whole `Response`); an exception that it raises makes that request alone fail.

    >>> adapter = each(lambda request: request.text.upper())
    >>> [response.text for response in adapter.generate([Request("1", "1", 0, ("a brain",))])]
    ['A BRAIN']
    """
    return _Each(answer)


class _Each:
    def __init__(self, answer: Callable[[Request], str | Response]) -> None:
        self._answer = answer

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        for request in requests:
            try:
                answer = self._answer(request)
            except NovaBenchError as error:
                yield Response(request.id, finish="error", error=str(error))
            except Exception as error:
                yield Response(request.id, finish="error", error=f"{type(error).__name__}: {error}")
            else:
                yield answer if isinstance(answer, Response) else Response(request.id, answer)
