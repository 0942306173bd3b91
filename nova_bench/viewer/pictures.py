"""How a sample's pictures come onto a page: by reference to the user's own copy, or as copies where the licence allows those.

A page that shows a picture by a ``file:`` address gives nobody the picture. A copy in a folder that can be sent around does, so copies are
made of synthetic data, and else only on request and where the data set's licence allows to pass its pictures on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nova_bench.data import Data
from nova_bench.errors import DataError
from nova_bench.images import Image

FOLDER = "images"
NOTICE = "NOTICE.txt"

_MAY_BE_PASSED_ON = re.compile(
    r"CC0(-1\.0)?|PDDL(-1\.0)?|ODC-BY(-1\.0)?|CDLA-PERMISSIVE-[12]\.0|MIT|APACHE-2\.0"
    r"|CC-BY(-NC)?(-SA)?-[1-4]\.[05]"
)
"""Licences that let anybody pass pictures on, with name and licence beside them. Those without derivatives (ND) are not among them: some of
what is copied is turned into a PNG first."""

_SHOWN_BY_BROWSERS = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/bmp": ".bmp",
}


def why_not_copied(data: Data) -> str | None:
    """Return why copies of a data set's pictures may not be made; None where they may.

    Args:
        data: The opened data set.
    """
    if data.is_synthetic:
        return None
    if data.is_gated:
        return f"{data.source.name} is given to approved accounts only, so its pictures are not copied"
    if may_be_passed_on(data.source.license):
        return None
    return (
        f"the licence of {data.source.name} ({data.source.license}) is not among those known to allow "
        "that its pictures are passed on"
    )


def may_be_passed_on(license: str) -> bool:
    """Return whether a licence, by its name, lets anybody pass pictures on.

    >>> [may_be_passed_on(name) for name in ("CC-BY-NC-SA-4.0", "cc by 4.0", "CC BY-NC-ND 4.0", "not published")]
    [True, True, False, False]
    """
    return _MAY_BE_PASSED_ON.fullmatch(re.sub(r"[\s_]+", "-", license.strip().upper())) is not None


def notice_of(data: Data) -> str:
    """Return the text that stands beside copied pictures: whose they are, and under which terms."""
    if data.is_synthetic:
        return f"Pictures of {data.source.name}-mini, the made-up sample that comes with nova-bench. They show no patient.\n"
    return (
        f"Pictures of {data.source.name}{f' ({data.source.hub})' if data.source.hub else ''}.\n"
        f"Licence: {data.source.license} {data.source.license_url}\n"
        "Copied as they are; those in a format that browsers do not show were turned into 8-bit PNG.\n"
        "Whoever passes them on is bound by that licence.\n"
    )


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Gives pictures their place on the page.

    Attributes:
        folder: The page's folder.
        copies: Whether they are copied into it.
        known: The entries that were given, by the picture's file.
    """

    folder: Path
    copies: bool
    known: dict[str, dict[str, Any]] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """Return how many pictures were copied, are referred to, and cannot be shown."""
        shown = sum(entry["src"] is not None for entry in self.known.values())
        kind = "copied" if self.copies else "referenced"
        return {"copied": 0, "referenced": 0, "not_shown": len(self.known) - shown, kind: shown}

    def entry(self, image: Image) -> dict[str, Any]:
        """Return a picture as the page's data have it: ``name``, ``size``, ``src`` (None where it cannot be shown) and ``note``.

        Args:
            image: Of a sample; one that is missing or damaged gets a note that says so.
        """
        key = image.name if image.path is None else f"{image.path}{image.part}"
        if key in self.known:
            return self.known[key]
        made: dict[str, Any] = {"name": image.name, "size": None, "src": None, "note": None}
        try:
            made["size"] = list(image.size)
            made["src"], made["note"] = self._copied(image) if self.copies else _referenced(image)
        except DataError as error:
            made["note"] = str(error)
        except OSError as error:
            made["note"] = f"image {image.name} cannot be copied: {error.strerror or error}"
        self.known[key] = made
        return made

    def _copied(self, image: Image) -> tuple[str, str | None]:
        suffix = None if image.part else _SHOWN_BY_BROWSERS.get(image.media_type)
        content, note = image.read(), None
        if suffix is None or _is_deep(content):
            content, suffix = image.png(), ".png"
            note = "Shown as the 8-bit PNG that models are sent."
        name = f"{image.digest[:24]}{suffix}"
        path = self.folder / FOLDER / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        return f"{FOLDER}/{name}", note


def _referenced(image: Image) -> tuple[str | None, str | None]:
    """Return the address of a picture's own file, and what to say beside it."""
    if image.path is None:
        return None, "The picture is not a file of its own, so there is nothing to refer to."
    where = image.path.absolute()
    if image.part:
        return None, f"The picture is an array in {where}, which no browser shows."
    if image.media_type not in _SHOWN_BY_BROWSERS:
        return None, f"The picture is {image.media_type} in {where}, which no browser shows."
    with where.open("rb") as file:
        is_deep = _is_deep(file.read(32))
    note = (
        "A 16-bit picture: your browser shows it darker or lighter than the model was sent it."
        if is_deep
        else None
    )
    return where.as_uri(), note


def _is_deep(content: bytes) -> bool:
    """Return whether bytes begin a PNG with 16 bits a channel, which browsers scale otherwise than `nova_bench.images` does."""
    return content[:4] == b"\x89PNG" and content[12:16] == b"IHDR" and content[24:25] == b"\x10"
