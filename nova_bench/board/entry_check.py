"""Whether an entry is what its bundle gives, lies where it belongs, and holds no command that does something else."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nova_bench.board import layout
from nova_bench.board.bundle_reader import Bundle
from nova_bench.board.differences import differences
from nova_bench.board.entry import entry_of
from nova_bench.catalog import split_model
from nova_bench.run import Run

_FLAGS = frozenset(
    {"--model", "-o", "-p", "--repeats", "--data", "--judge", "-J", "--judge-param", "--judge-repeats"}
)
"""Of the command that makes a run again; each takes one value."""
_PLAIN = re.compile(r"[\w@%+=:,./ -]+", re.ASCII)


def entry_faults(entry: Mapping[str, Any], path: Path, bundle: Bundle, run: Run) -> Iterator[str]:
    """Yield where an entry is not the one that its bundle gives.

    Args:
        entry: It fits its schema.
        path: Its file.
        bundle: Its bundle, whose documents were compared with the numbers.
        run: Made from the bundle's rows.
    """
    about = bundle.about
    expected = entry_of(
        about,
        bundle.report,
        bundle.fairness,
        bundle.pairing,
        metrics=[*run.plan.task.plain_metrics, *(one.metric for one in run.judged_metrics)],
        bundle={"file": bundle.path.name, "sha256": bundle.sha256, "bytes": bundle.size},
    )
    yield from differences(entry, expected, "entry")
    wrong = list(command_faults(entry["reproduce"], about["task"]["spelling"]))
    yield from wrong or other_run(entry["reproduce"], about)
    is_synthetic = about["data"]["synthetic"]
    place = layout.entry_path(about["model"]["name"], about["task"]["spelling"], is_synthetic=is_synthetic)
    parts = path.resolve().parts[-3:]
    if parts != place.parts:
        yield f"the entry lies at {'/'.join(parts)}, expected {place}"


def other_run(command: str, about: Mapping[str, Any]) -> Iterator[str]:
    """Yield where a command makes another run than a bundle states: another model, or options that this one did not have.

    Args:
        command: Without `command_faults`.
        about: ``bundle.json``.
    """
    model, judges = about["model"], about["judges"]
    head, tail = split_model(model["name"])
    own = [judge["identity"] for judge in judges]
    known = {
        "--model": {model["name"], f"./adapters/{head}.py" + (f":{tail}" if tail else "")},
        "-o": _words(model["options"]),
        "-p": _words(model["params"]),
        "--repeats": {str(model["repeats"])},
        "--data": {"mini" if about["data"]["synthetic"] else "PATH"},
        "--judge": {identity["adapter"] for identity in own},
        "-J": {word for identity in own for word in _words(identity["options"])},
        "--judge-param": {word for identity in own for word in _words(identity["params"])},
        "--judge-repeats": {str(judge["repeats"]) for judge in judges},
    }
    words = _split(command)[3:]
    if words.count("--model") != 1:
        yield "reproduce names no model, or several"
    for flag, value in zip(words[::2], words[1::2], strict=True):
        key, _, text = value.partition("=")
        is_left_out = flag == "-p" and text == "none" and key not in model["params"]
        plain = f"{key.partition('@')[0]}={text}" if flag == "-J" else value
        if plain not in known[flag] and not is_left_out:
            yield f"reproduce has {flag} {value[:100]}, and the run was made otherwise"


def _words(options: Mapping[str, Any]) -> set[str]:
    """Return options as a command has them; what was a file stands as FILE."""
    listed = ((key, one) for key, value in options.items() for one in _each(value))
    return {f"{key}={str(one).lower() if isinstance(one, bool) else one}" for key, one in listed}


def _each(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return ["FILE", value]
    return [*value, value] if isinstance(value, list) else [value]


def _split(command: str) -> list[str]:
    """Return the words of a command. Of characters that no shell acts upon, blanks part them: no need to read it as slowly as `shlex` does."""
    return command.split(" ") if _PLAIN.fullmatch(command) else shlex.split(command)


def command_faults(command: str, spelling: str) -> Iterator[str]:
    """Yield why a command is not one that only makes a run again: people copy it into their shell.

    Args:
        command: As the entry has it.
        spelling: The task.

    >>> list(command_faults("nova-bench run nova_caption --model prior", "nova_caption"))
    []
    >>> list(command_faults("nova-bench run nova_caption --model prior; rm -rf ~", "nova_caption"))
    ['reproduce holds more than words: a shell would do something else with it than start nova-bench']
    """
    try:
        words = _split(command)
    except ValueError:
        words = []
    # Quoted by the same rule as it was written by, so whatever a shell acts upon stands in quotes.
    if shlex.join(words) != command or not command.isprintable():
        yield "reproduce holds more than words: a shell would do something else with it than start nova-bench"
        return
    rest = words[3:]
    if words[:3] != ["nova-bench", "run", spelling] or len(rest) % 2 or not set(rest[::2]) <= _FLAGS:
        yield f"reproduce is no `nova-bench run {spelling}` with options of a run"
    elif any(value.startswith("-") for value in rest[1::2]):
        yield "reproduce has an option in the place of a value"
