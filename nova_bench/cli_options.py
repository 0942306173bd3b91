"""What the verbs of the command line share: exit codes, settings, ``key=value`` words."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nova_bench.errors import UsageError

if TYPE_CHECKING:
    from nova_bench.catalog import Found
    from nova_bench.prepare import Settings

DONE, INCOMPLETE, WRONG_USE = 0, 1, 2

ALLOW_HOSTED = "let pictures and texts of a gated data set go to a vendor; your access to it must allow that"


def settings_of(parsed: argparse.Namespace) -> Settings:
    """Return where nova_bench keeps what is not a result, from the user's environment."""
    from nova_bench.prepare import Settings

    home = Path.home()
    return Settings(
        cache=Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "nova_bench",
        config=Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "nova_bench",
        accept_license=getattr(parsed, "accept_license", False),
        command=["nova-bench", *parsed.words],
    )


def say_whose(everything: Iterable[Found]) -> None:
    """Say, before it runs, whose code that is which did not come with nova-bench."""
    told = [found.whose() for found in everything if found.door != "content"]
    for whose in dict.fromkeys(told):
        print(f"nova-bench: runs code of {whose}, with your rights", file=sys.stderr)


def pairs(given: Sequence[str], flag: str) -> dict[str, str]:
    """Return the mapping of ``key=value`` words."""
    pairs: dict[str, str] = {}
    for word in given:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(f"{flag} {word!r}: expected key=value")
        if key in pairs:
            raise UsageError(f"{flag} {key} is given twice")
        pairs[key] = value
    return pairs


def folder_of(out: Path | None, task: str, n_tasks: int) -> Path | None:
    """Return the folder of one of a command's runs: ``--out`` itself where there is one task, else one below it."""
    return out if out is None or n_tasks == 1 else out / task.replace("/", "_")
