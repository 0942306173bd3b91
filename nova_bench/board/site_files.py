"""How the files of the leaderboard's site are written: data as scripts, a whole site beside the old one, then moved into its place.

A page opened from a disk may not fetch, so data come as classic scripts that make one call: ``nova("tasks/nova_caption", '...')``, the second
argument being JSON in a string. ``JSON.parse`` is faster than the script's own parser, and takes ``__proto__`` for a key like any other.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from nova_bench.errors import UsageError

LIST = "site-files.txt"
"""In the site's folder: what a build wrote there, so that the next one knows which files are its own."""
DOWNLOAD = "leaderboard.json"
"""All tables of a board, in its folder of the site."""

_OURS = re.compile(
    r"(?:synthetic/)?(?:(?:index|fairness|model|compare)\.html|leaderboard\.(?:json|csv)|data/(?:[a-z0-9._+=@,-]+/){0,2}[a-z0-9._+=@,-]+\.js)"
    r"|(?:assets|vendor)/[A-Za-z0-9._-]+"
)
"""What a site may consist of: a list in a stranger's folder could name any file."""

_ENCODE = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def compact(value: Any) -> str:
    """Return JSON without spaces, in ASCII; a number that is not finite becomes null, or raises ValueError beside text beyond ASCII.

    Args:
        value: Of dicts with text keys, lists, texts, numbers, booleans and None.
    """
    try:
        text = orjson.dumps(value).decode()
    except TypeError:  # halves of surrogate pairs, which a model can write
        text = ""
    return text if text and text.isascii() else _ENCODE(value)


def script(key: str, text: str) -> str:
    r"""Return a data file: a script that hands JSON to the page.

    Args:
        key: What the page asks for it by; a file's path below ``data/``, without its ending.
        text: JSON in ASCII.

    >>> print(script("board", '{"name":"it\'s"}'), end="")
    nova('board','{"name":"it\'s"}')
    """
    return f"nova({_literal(key)},{_literal(text)})\n"


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def write(path: Path, text: str) -> None:
    """Write a file of the site, with the folder that it lies in.

    Args:
        path: Where.
        text: What; ASCII where it is a script.
    """
    try:
        file = path.open("w", encoding="utf-8", newline="")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", encoding="utf-8", newline="")
    with file:
        file.write(text)


@contextlib.contextmanager
def beside(out: Path) -> Iterator[Path]:
    """Give an empty folder on the same disk as a site's, and remove it afterwards.

    Args:
        out: Where the site will be; is made where it does not exist.

    Raises:
        UsageError: It is a link or a file, or cannot be written to.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UsageError(f"--out {out} is no folder (or a link to one); give the folder itself, or a new one")
    try:
        out.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".building-", dir=out))
    except OSError as error:
        raise UsageError(
            f"--out {out} cannot be written to: {error.strerror or error}; give another folder"
        ) from error
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def put_in_place(made: Path, out: Path) -> list[str]:
    """Move a site's files to where they belong, over those of the build before; remove what that one had and this one has not.

    Files that no build wrote stay. The list of files is written first, so a build that is ended half-way is cleared up by the next one.

    Args:
        made: The folder that holds the new site, on the same disk.
        out: The site's folder.

    Returns:
        The files' paths below it, in order.

    Raises:
        UsageError: A file or folder that no build wrote, or a link, is in the way; or a file cannot be written.
    """
    new = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
    old = _listed(out)
    for folder in sorted({parent for name in [*new, *old] for parent in PurePosixPath(name).parents}):
        if (out / folder).is_symlink() or ((out / folder).exists() and not (out / folder).is_dir()):
            raise UsageError(f"{out / folder} is no folder of a site; move it away, or give another --out")
    for name in new:
        path = out / name
        if path.is_symlink() or path.is_dir() or (name not in old and path.exists()):
            raise UsageError(
                f"{path} was not written by `nova-bench leaderboard build`; move it away, or give another --out"
            )
    try:
        write(out / LIST, "".join(f"{name}\n" for name in sorted(old.union(new))))
        for name in new:
            target = out / name
            try:
                os.replace(made / name, target)
            except FileNotFoundError:
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(made / name, target)
        for name in sorted(old.difference(new)):
            (out / name).unlink(missing_ok=True)
            for folder in list(PurePosixPath(name).parents)[:-1]:
                with contextlib.suppress(OSError):  # it holds other files
                    (out / folder).rmdir()
        write(out / LIST, "".join(f"{name}\n" for name in new))
    except OSError as error:
        raise UsageError(
            f"--out {out}: {error.filename or 'a file'} cannot be written ({error.strerror or error}); give the same command again once it can"
        ) from error
    return new


def _listed(out: Path) -> set[str]:
    """Return what the build before wrote, as far as it can be a site's."""
    path = out / LIST
    if path.is_symlink() or not path.is_file():
        return set()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return {line for line in lines if _OURS.fullmatch(line) and ".." not in line.split("/")}
