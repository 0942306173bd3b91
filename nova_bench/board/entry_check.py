"""Whether an entry is what its bundle gives, lies where it belongs, and holds no command that does something else."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nova_bench.board import layout
from nova_bench.board.bundle_reader import Bundle
from nova_bench.board.differences import differences
from nova_bench.board.entry import entry_of
from nova_bench.run import Run

_FLAGS = frozenset(
    {"--model", "-o", "-p", "--repeats", "--data", "--judge", "-J", "--judge-param", "--judge-repeats"}
)
"""Of the command that makes a run again; each takes one value."""


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
        metrics=[*run.plan.task.plain_metrics, *(one.metric for one in run.judged_metrics)],
        bundle={"file": bundle.path.name, "sha256": bundle.sha256, "bytes": bundle.size},
    )
    yield from differences(entry, expected, "entry")
    yield from command_faults(entry["reproduce"], about["task"]["spelling"])
    is_synthetic = about["data"]["synthetic"]
    place = layout.entry_path(about["model"]["name"], about["task"]["spelling"], is_synthetic=is_synthetic)
    parts = path.resolve().parts[-3:]
    if parts != place.parts:
        yield f"the entry lies at {'/'.join(parts)}, expected {place}"


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
        words = shlex.split(command)
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
