"""What a task declares about its data set, and what users are told who do not have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from nova_bench.data import Data
    from nova_bench.images import DigestIndex

Kind = Literal["full", "path", "mini"]


class Shipped(Protocol):
    """The form in which the owners of a data set ship it, where that is not a Parquet table with images."""

    @property
    def layout(self) -> str:
        """What a folder in this form holds, for people."""

    @property
    def lacks(self) -> str:
        """What the task needs and this form does not hold, with what to do; empty where it has all."""

    @property
    def side_files(self) -> tuple[str, ...]:
        """Names of the files that say which others are needed."""

    def recognises(self, folder: Path) -> bool:
        """Return whether a folder is in this form."""

    def needed(self, folder: Path | None, names: Sequence[str] | None) -> list[str] | None:
        """Return the files that rows are made of, as relative paths; None where that cannot be told.

        Args:
            folder: The folder with the side files that there are; None where there is none.
            names: All files of the repository; None where only the folder is known.
        """

    def open(
        self, source: Source, kind: Kind, folder: Path, revision: str | None, digests: DigestIndex
    ) -> Data:
        """Return the opened data set."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a task declares about its data set."""

    name: str
    """As people call it."""
    hub: str
    """Its repository on the hub: ``owner/name``; empty for one that is on none (see `local`)."""
    revision: str
    """The branch, tag or commit that is asked for; the commit it stands for is recorded."""
    table: str
    """The table, relative to the repository: Parquet, or CSV (``.csv``), whose cells are all texts, None where empty."""
    key: str
    """The column that tells rows apart: no value may be missing or stand twice."""
    images: str | None
    """The column with the images' paths, relative to the repository; None for texts only."""
    required: tuple[str, ...]
    """Columns that must be there."""
    license: str
    license_url: str
    gated: bool = False
    """Whether the hub gives it to approved accounts only."""
    mini: str | None = None
    """Folder of the embedded sample, under the content's ``data/``."""
    size: str = ""
    """For people: "906 images, 281 cases"."""
    shipped: Shipped | None = None
    """How the owners ship it, where that is not the table above; ``full`` then means their form."""

    @classmethod
    def local(
        cls,
        name: str,
        *,
        table: str,
        key: str,
        images: str | None,
        required: tuple[str, ...] = (),
        license: str = "not published",
        license_url: str = "",
        gated: bool = True,
        size: str = "",
    ) -> Source:
        """Return what to declare of a data set of one's own, which lies in a folder and on no hub; users give ``--data FOLDER``.

        Args:
            name: As people call it.
            table: The table in that folder: ``table.csv``, or a Parquet file.
            key: The column that tells rows apart.
            images: The column with the pictures' paths, relative to the folder; None for texts only.
            required: Further columns that must be there.
            license: Under which others may use it.
            license_url: Where that is written.
            gated: Whether pictures and texts may go to a vendor only with ``--allow-hosted``; so it is unless this says False.
            size: For people: "906 images, 281 cases".

        >>> Source.local("Ward 7", table="table.csv", key="id", images="image", required=("finding",)).gated
        True
        """
        return cls(name, "", "", table, key, images, required, license, license_url, gated=gated, size=size)


def not_found(source: Source, folder: Path, where: str) -> str:
    """Return what to say of a folder without the table."""
    if where == "mini":
        return f"the embedded data of {source.name} are not in {folder}; install nova-bench again"
    if not folder.exists():
        found = f"--data {where}: there is no such folder (and it is neither mini nor full)"
    elif not folder.is_dir():
        found = f"--data {where}: this is a file; expected the folder that holds {source.table}"
    else:
        found = f"--data {where}: {folder / source.table} is missing"
    picture = (
        f"\n    {folder}/<{source.images}>   the pictures, at the paths in that column"
        if source.images
        else ""
    )
    if not source.hub:
        needed = dict.fromkeys([source.key, *([source.images] if source.images else []), *source.required])
        columns = ", ".join(needed)
        return f"{found}. Expected {source.name} as a folder:\n    {folder / source.table}   with the columns {columns}{picture}"
    shipped = f"\nor as its owners ship it: {source.shipped.layout}" if source.shipped else ""
    return (
        f"{found}. Expected {source.name} in {'the built' if source.shipped else 'the hub' + chr(39) + 's'} layout:\n    "
        f"{folder / source.table}   with the columns {', '.join(source.required)}{picture}{shipped}\n"
        f"Fetch it with: {download_command(source)}"
    )


def on_no_hub(source: Source) -> str:
    """Return what to say to somebody who asks the hub for a data set that is on none."""
    return f"{source.name} is on no hub: say where it is with --data FOLDER, the folder that holds {source.table}"


def ways_on(source: Source) -> str:
    """Return what to do where the hub gives nothing."""
    elsewhere = f"on a connected machine `{download_command(source)}` and then --data FOLDER here"
    return f"Ways on: --data mini (embedded), or {elsewhere}" if source.mini else f"Way on: {elsewhere}"


def download_command(source: Source) -> str:
    """Return the command that fetches a copy of the hub's files."""
    return f"hf download {source.hub} --repo-type dataset --revision {source.revision} --local-dir FOLDER"
