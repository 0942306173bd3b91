"""Which file a run's adapter is, and whether that file passes ``nova-bench check`` with the run's options."""

from __future__ import annotations

import hashlib
import itertools
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nova_bench.adapter import ENGINE_OPTIONS
from nova_bench.catalog import Found, adapter_options, find, split_model
from nova_bench.conformance import N_REQUESTS, check
from nova_bench.errors import NovaBenchError, UsageError
from nova_bench.signature import digest
from nova_bench.source_file import StaticOption, printable


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that a submission lacks.

    Attributes:
        what: What was found.
        remedy: What to do about it.
    """

    what: str
    remedy: str


@dataclass(slots=True, eq=False)
class Checks:
    """The checks of one command: each adapter with the same options is run once.

    Attributes:
        saved: The document of an earlier ``nova-bench check ADAPTER --json``; None: adapters are run now.
        options: Options for the check that a manifest does not have: a file's path, a server's address.
        is_dry: Whether no adapter is run.
        adapter: The adapter's file, for runs whose manifest does not say where it is.
        watch: Called with a sentence before an adapter is run.
    """

    saved: Mapping[str, Any] | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    is_dry: bool = False
    adapter: Path | None = None
    watch: Callable[[str], None] = lambda sentence: None
    last: Mapping[str, Any] = field(default_factory=dict)
    """The document that was asked for last."""
    _made: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, name: str, options: Mapping[str, str]) -> Mapping[str, Any]:
        """Return the document of a check.

        Args:
            name: The adapter's name, or its path with a slash.
            options: Texts for its ``load``.
        """
        key = digest([name, dict(options)])
        if key not in self._made:
            self.watch(f"check of {printable(name, 100)}: about {N_REQUESTS} small requests")
            self._made[key] = check(name, options).to_json()
        self.last = self._made[key]
        return self.last


def read_check(path: Path) -> dict[str, Any]:
    """Return the document of a check that was saved.

    Raises:
        UsageError: It is none, or one of a version that does not say what was checked.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--check {path}: {error}; expected what `nova-bench check ADAPTER --json` printed"
        ) from None
    wanted = {"adapter", "passed", "source", "options", "findings"}
    if not isinstance(document, dict) or not wanted <= set(document):
        raise UsageError(
            f"--check {path}: expected what `nova-bench check ADAPTER --json` prints, with {', '.join(sorted(wanted))}"
        )
    return document


def find_adapter(manifest: Mapping[str, Any], given: Path | None = None) -> Found | Gap:
    """Return the adapter of a run: by its name, or by the path that the run's last command gave.

    Args:
        manifest: The run's.
        given: The adapter's file, where the submitter names it.
    """
    model = manifest["identity"]["model"]
    head, _ = split_model(model["name"])
    places = [*_paths(manifest["starts"][-1].get("command") or ()), head]
    if given is not None:
        places = [str(Path(given).resolve())]
    reason = ""
    for place in places:
        try:
            found = find("adapters", place)
            source = found.source()
        except NovaBenchError as error:
            reason = str(error)
            continue
        if found.name != head:
            reason = f"{place} is adapter {found.name}"
            continue
        if hashlib.sha256(source.encode()).hexdigest() == model["source"]:
            return found
        if found.path is None:
            reason = f"the file of {found.whose()} cannot be read without importing it"
            continue
        return Gap(
            f"the file of adapter {printable(head, 100)} has changed since the run",
            "run again with the file as it is now, or put the file back that the run was made with",
        )
    return Gap(
        f"the model {printable(model['name'], 100)} is no adapter by name or file ({printable(reason, 300)})",
        "name its file with --adapter FILE; where it has none, write one (nova-bench new adapter) and run with --model ./FILE.py",
    )


def _paths(command: Any) -> list[str]:
    """Return the paths that a command line gave as its model."""
    words = [str(word) for word in command]
    given = [after for word, after in itertools.pairwise(words) if word == "--model"]
    given += [word.removeprefix("--model=") for word in words if word.startswith("--model=")]
    return [path for word in given if "/" in (path := split_model(word)[0])]


def check_gaps(found: Found, manifest: Mapping[str, Any], checks: Checks) -> list[Gap]:
    """Return what a check of a run's adapter leaves open; an empty list where it passed with the run's file and options, or was not made.

    Args:
        found: The adapter, whose file is the run's.
        manifest: The run's.
        checks: The checks of this command.
    """
    model = manifest["identity"]["model"]
    document = checks.saved
    given: dict[str, str] = {}
    if document is None:
        given = {**_options(found, manifest), **checks.options}
        if checks.is_dry:
            return []
        document = checks.of(_place(found), given)
    spelled = printable(model["name"], 100)
    named = ":".join([_place(found), given["model"]] if "model" in given else [_place(found)])
    words = [word for key, value in given.items() if key != "model" for word in ("-o", f"{key}={value}")]
    asked = shlex.join(["nova-bench", "check", named, *words])
    if not document["passed"]:
        open_ = [finding for finding in document["findings"] if finding["state"] != "pass"]
        first = f"{open_[0]['step']}: {open_[0]['what']}" if open_ else "nothing was checked"
        return [
            Gap(
                f"adapter {spelled} does not pass check ({len(open_)} open; {printable(first, 300)})",
                f"see all of it: {printable(asked, 500)}",
            )
        ]
    if document["source"] != model["source"]:
        return [Gap("the check is of another file than the run", "check the file that the run was made with")]
    if document["options"] != model["options"]:
        differing = _differing(document["options"], model["options"])
        return [
            Gap(
                f"the check was made with other options than the run: {printable(differing, 300)}",
                "give the run's: submit -o key=value, or nova-bench check ADAPTER -o key=value --json for --check",
            )
        ]
    return []


def _place(found: Found) -> str:
    return str(found.path) if found.door == "path" else found.name


def _options(found: Found, manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return a run's options as texts for ``load``: as its last command gave them, else as its manifest has them."""
    identity, start = manifest["identity"], manifest["starts"][-1]
    recorded = {**(start.get("transport") or {}), **identity["model"]["options"]}
    known = {key: option for key, option in (adapter_options(found) or {}).items() if not option.collects}
    texts = {
        key: _text(value)
        for key, value in recorded.items()
        if key in (*known, *ENGINE_OPTIONS) and isinstance(value, (str, int, float)) and value != "None"
    }
    texts = {key: text for key, text in texts.items() if key not in known or text != _default(known[key])}
    words = [str(word) for word in start.get("command") or ()]
    for word, after in itertools.pairwise(words):
        key, equals, value = after.partition("=")
        if word == "-o" and equals:
            texts[key] = value
        elif word == "--model" and split_model(after)[1]:
            texts["model"] = split_model(after)[1]
    return texts


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _default(option: StaticOption) -> str | None:
    """Return the text of an option's default where the file says it."""
    return _text(option.default) if option.has_default and option.is_literal else None


def _differing(checked: Mapping[str, Any] | None, run: Mapping[str, Any]) -> str:
    checked = checked or {}
    keys = sorted(key for key in {*checked, *run} if checked.get(key) != run.get(key))
    return ", ".join(f"{key} was {run.get(key)!r}, checked {checked.get(key)!r}" for key in keys)


def reproduction(found: Found, options: Mapping[str, Any]) -> list[str]:
    """Return the ``-o`` words that give an adapter these options; one that was a file stands as FILE.

    Args:
        found: The adapter.
        options: As a manifest's identity has them.
    """
    known = adapter_options(found) or {}
    passes_on = any(option.collects == "**" for option in known.values())
    said = []
    for key, value in options.items():
        if key == "model" or value is None or not (passes_on or key in known or key in ENGINE_OPTIONS):
            continue
        text = "FILE" if isinstance(value, Mapping) else _text(value)
        if key not in known or text != _default(known[key]):
            said.append(f"{key}={text}")
    return said
