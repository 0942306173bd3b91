"""The verb export: runs as files for other people's tools."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from nova_bench.cli_options import DONE, settings_of

_FORMATS = ("csv", "parquet", "coco", "model-card", "evaluate")


def add_verb(verbs: Any) -> None:
    """Enter export among the verbs of a parser.

    Args:
        verbs: What ``ArgumentParser.add_subparsers`` returned.
    """
    verb = verbs.add_parser(
        "export",
        help="numbers or rows as CSV or Parquet, boxes for pycocotools, a model card's metadata, inputs of Hugging Face evaluate",
        description="Writes runs as files for other tools. See docs/export.md.",
    )
    verb.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="a run's folder, or one with runs below it"
    )
    verb.add_argument("--format", required=True, choices=_FORMATS)
    verb.add_argument(
        "--what", choices=("cells", "rows"), default="cells", help="of csv and parquet (default: cells)"
    )
    verb.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="a file (csv, parquet), a folder (coco, evaluate), a folder or a .md file (model-card); without it csv and model-card are printed",
    )
    verb.add_argument(
        "--with-groups",
        action="store_true",
        help="of a gated data set also what is its own: groups, case names, texts, true boxes",
    )
    verb.add_argument("--data", help="where the data set is now, if it moved")
    verb.add_argument("--json", action="store_true", help="print one JSON document")
    verb.set_defaults(verb=_export)


def _export(parsed: argparse.Namespace) -> int:
    from nova_bench.export.formats import export_run
    from nova_bench.run import open_run
    from nova_bench.run_folders import find_runs
    from nova_bench.source_file import harmless

    folders = list(dict.fromkeys(folder for given in parsed.runs for folder in find_runs(given)))
    runs = [open_run(folder, data=parsed.data, settings=settings_of(parsed)) for folder in folders]
    document = export_run(
        runs,
        parsed.format,
        out=parsed.out,
        what=parsed.what,
        with_groups=parsed.with_groups,
        say=lambda words: print(f"nova-bench: {harmless(words)}", file=sys.stderr),
    )
    if parsed.json:
        print(json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False))
        return DONE
    for note in document["notes"]:
        print(f"nova-bench: {harmless(note)}", file=sys.stderr)
    if document["text"] is not None:
        print(harmless(document["text"]), end="")
    for file in document["files"]:
        print(f"{harmless(file['path'])}  {file['bytes']:,} bytes")
    return DONE
