"""The verb view: pages on which every sample of a run can be looked at."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from nova_bench.cli_options import DONE, settings_of


def add_verb(verbs: Any) -> None:
    """Enter view among the verbs of a parser.

    Args:
        verbs: What ``ArgumentParser.add_subparsers`` returned.
    """
    verb = verbs.add_parser(
        "view",
        help="pages on which every sample of one or two runs can be looked at: picture, prompt, answer, what was made of it",
        description="Writes pages on which every sample of a run can be looked at, alone or beside another run's answers. See docs/viewer.md.",
    )
    verb.add_argument("run", type=Path, metavar="RUN", help="a run's folder")
    verb.add_argument(
        "other", nargs="?", type=Path, metavar="RUN2", help="another run of the same task and data set"
    )
    verb.add_argument("--out", type=Path, metavar="DIR", help="where the pages go (default: RUN/view)")
    verb.add_argument(
        "--embed-images",
        action="store_true",
        help="copy the pictures too, where the data set's licence allows it, so that the folder can be moved",
    )
    verb.add_argument("--data", help="where the data set is now, if it moved")
    verb.add_argument("--open", action="store_true", help="open the page in the browser")
    verb.add_argument("--json", action="store_true", help="print one JSON document")
    verb.set_defaults(verb=_view)


def _view(parsed: argparse.Namespace) -> int:
    from nova_bench.source_file import harmless
    from nova_bench.viewer.view import view

    document = view(
        parsed.run,
        parsed.other,
        out=parsed.out,
        embed_images=parsed.embed_images,
        data=parsed.data,
        settings=settings_of(parsed),
    )
    if parsed.json:
        print(json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False))
    else:
        for sentence in _told(document):
            print(harmless(sentence))
    if parsed.open:
        import webbrowser

        webbrowser.open(Path(document["page"]).resolve().as_uri())
    return DONE


def _told(document: dict[str, Any]) -> list[str]:
    counts = document["pictures"]
    told = [f"{document['page']}  {document['samples']:,} samples"]
    if counts["copied"]:
        told.append(f"{counts['copied']:,} pictures were copied into the folder")
    if counts["referenced"]:
        told.append(
            f"{counts['referenced']:,} pictures stay where they are; the page shows them on this computer only"
        )
    if counts["not_shown"]:
        told.append(f"{counts['not_shown']:,} pictures cannot be shown; the page says why")
    if document["private"]:
        told.append("the data are gated: the folder is for you alone, do not pass it on")
    return told
