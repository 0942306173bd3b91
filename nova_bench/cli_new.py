"""The verb new: an adapter or task file to start from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_bench.cli_options import DONE

if TYPE_CHECKING:
    from nova_bench.scaffold import Written

_KINDS = ("openai", "vllm", "transformers", "python")


def add_verb(verbs: Any) -> None:
    """Enter new among the verbs of a parser.

    Args:
        verbs: What ``ArgumentParser.add_subparsers`` returned.
    """
    new = verbs.add_parser("new", help="write a commented adapter or task file to start from")
    whats = new.add_subparsers(title="what", metavar="adapter|task", required=True)
    adapter = whats.add_parser("adapter", help="one file that asks a model; see adapters/README.md")
    task = whats.add_parser(
        "task", help="one file that asks about your data, and made-up data; see tasks/README.md"
    )
    for what in (adapter, task):
        what.add_argument(
            "name", metavar="NAME", help="the file's name without .py: small letters, digits and _"
        )
        what.add_argument(
            "--into", type=Path, default=Path(), metavar="FOLDER", help="where to (default: here)"
        )
    adapter.add_argument(
        "--kind",
        choices=_KINDS,
        default="python",
        help="what it asks: a server, a checkpoint by vLLM or transformers, a plain function (default: python)",
    )
    adapter.set_defaults(verb=_adapter)
    task.set_defaults(verb=_task)


def _adapter(parsed: argparse.Namespace) -> int:
    from nova_bench.scaffold import write_adapter

    return _say(write_adapter(parsed.name, parsed.kind, parsed.into))


def _task(parsed: argparse.Namespace) -> int:
    from nova_bench.scaffold import write_task

    return _say(write_task(parsed.name, parsed.into))


def _say(written: Written) -> int:
    for path in written.paths:
        print(f"wrote {path}{'/ (made up; put your own there)' if path.is_dir() else ''}")
    print("next:")
    for command in written.commands:
        print(f"  {command}")
    return DONE
