"""Where rows come from: the hub at a pinned commit, a folder in the hub's layout, or the embedded mini set; one code path.

The three differ in how a folder is found. From there on a data set is a folder with one table (Parquet or CSV) and the images that the
table names by paths relative to the folder; rows are read through Hugging Face ``datasets``, which is imported only then.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from nova_bench.data_table import batches, column, column_names, damaged, row_count
from nova_bench.errors import DataError
from nova_bench.hub import fetch_listed, fetch_snapshot
from nova_bench.images import DigestIndex, Image
from nova_bench.licenses import check_license
from nova_bench.source import Kind, Source, download_command, not_found, on_no_hub, ways_on

__all__ = ["Data", "Source", "open_data"]

_OUTWARD = re.compile(r"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:$|[/\\])|\0")
_BATCH = 1000  # rows that are Python objects at once


class Data:
    """An opened data set: rows, images and a digest of both. `open_data` makes it.

    Args:
        source: What the task declares.
        kind: Which of the three sources it is.
        folder: The folder that holds the table and the images.
        revision: The hub's commit; None for a folder and for the embedded set.
        digests: The index of image digests.
    """

    def __init__(
        self, source: Source, kind: Kind, folder: Path, revision: str | None, digests: DigestIndex
    ) -> None:
        self.source, self.kind, self.folder, self.revision, self.digests = (
            source,
            kind,
            folder,
            revision,
            digests,
        )
        self.is_synthetic = kind == "mini"
        """Whether it is the embedded sample, by whichever door it came: every table made from it says so."""
        self._roots = _roots(folder, kind)
        self._parents: dict[str, str] = {}
        self._found: dict[str, str] = {}

    @property
    def is_gated(self) -> bool:
        """Whether pictures and texts are given to approved accounts only; the embedded sample is everybody's."""
        return self.source.gated and not self.is_synthetic

    @property
    def table(self) -> Path:
        """The Parquet or CSV file."""
        return self.folder / self.source.table

    @cached_property
    def n_rows(self) -> int:
        """How many rows the table has."""
        return row_count(self.table)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows in the table's order, as Python objects; only a batch of them is held.

        Raises:
            DataError: The table is damaged.
        """
        import datasets
        import pyarrow as pa
        from datasets.iterable_dataset import ArrowExamplesIterable

        def tables() -> Iterator[tuple[int, pa.Table]]:
            # Not load_dataset(streaming=True): its reader gives Arrow's threads a Python file, and a process that ends while one of
            # them lets it go is aborted, exit code 134 with all work done (github.com/apache/arrow/issues/45214; seen here in 6 of 60).
            for i, batch in enumerate(batches(self.table, _BATCH)):
                yield i, pa.Table.from_batches([batch])

        stream = datasets.IterableDataset(ArrowExamplesIterable(tables, {})).with_format("arrow")
        try:
            for batch in stream.iter(batch_size=_BATCH):
                yield from batch.to_pylist()
        except (
            OSError,
            ValueError,
            datasets.exceptions.DatasetsError,
        ) as error:  # pyarrow's errors are one of the first two
            raise damaged(self.table, error) from error

    def image(self, relative: object) -> Image:
        """Return an image that the table names; its file is there and lies within the data set.

        Args:
            relative: The path as the table has it, relative to the data set's folder.

        Raises:
            DataError: It is no relative path, leads out of the folder (by ``..`` or by a link) or is not there.
        """
        return self._find(relative)[0]

    def _find(self, relative: object) -> tuple[Image, os.stat_result | None]:
        """Return an image and the stat of its file; None where it was looked at before."""
        if not isinstance(relative, str) or not relative:
            raise DataError(
                f"a row of {self.source.table} names no image: {self.source.images} is {relative!r}, expected a path"
            )
        # A run walks the data set several times; two looks at each of 200,000 files are most of a second.
        if (known := self._found.get(relative)) is not None:
            return self.digests.recall(known, relative), None
        if not _is_confined(relative):
            raise DataError(
                f"image path {relative!r} of {self.source.table} leads out of the data set; expected a path below {self.folder}"
            )
        folder, _, name = relative.rpartition("/")
        if folder not in self._parents:
            self._check_within(os.path.realpath(self.folder / folder), relative)
            self._parents[folder] = os.path.abspath(os.path.join(self.folder, folder)) + os.sep
        path = self._parents[folder] + name
        seen = self._look_at(path, relative)
        self._found[relative] = path
        return Image(path=path, name=relative), seen

    def _look_at(self, path: str, relative: str) -> os.stat_result:
        """Return the stat of an image's file; DataError where it is none, or a link that leads out."""
        try:
            seen = os.lstat(path)
            if stat.S_ISLNK(seen.st_mode):
                real = os.path.realpath(path)
                self._check_within(real, relative)
                seen = os.stat(real)
        except (OSError, ValueError) as error:
            raise DataError(
                f"image {relative} is missing: {path} does not exist. {self._remedy()}"
            ) from error
        if not stat.S_ISREG(seen.st_mode):
            raise DataError(f"image {relative} is no file: {path}. {self._remedy()}")
        return seen

    @cached_property
    def digest(self) -> str:
        """The sha256 of table and images, in hex; the same for a hub copy and a folder with the same files.

        It covers the table's sha256 and, sorted by path, that of each image it names; one that is not there counts as "missing".
        """
        with self.table.open("rb") as file:
            whole = hashlib.sha256(f"table {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
        for relative in _image_paths(self.source, self.table):
            try:
                found = self.digests.digest(*self._find(relative))
            except DataError:
                found = "missing"
            whole.update(f"{found} {relative}\n".encode("utf-8", "surrogatepass"))
        self.digests.save()
        return whole.hexdigest()

    def _check_within(self, real: str, relative: str) -> None:
        if not any(real == root or real.startswith(root + os.sep) for root in self._roots):
            raise DataError(
                f"image path {relative!r} leads out of the data set by a link, to {real}; put the file itself into {self.folder}"
            )

    def _remedy(self) -> str:
        if self.kind == "mini":
            return "The embedded data are incomplete; install nova-bench again."
        if self.kind == "full":
            return f"The hub's commit {self.revision} lacks it; another commit, or --data PATH with a complete copy, may have it."
        if not self.source.hub:
            return f"Put it there, or correct the table's column {self.source.images}."
        return f"Put it there, or fetch the data set again: {download_command(self.source)}"


def open_data(
    source: Source,
    where: str,
    *,
    content: Path,
    cache: Path,
    config: Path,
    accept_license: bool = False,
    pinned: str | None = None,
    digests: DigestIndex | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Data:
    """Open a data set from one of its three sources.

    Args:
        source: What the task declares.
        where: ``full`` (the hub, into its client's own cache), ``mini`` (embedded), or the path of a folder in the hub's layout.
        content: The content folder that holds the embedded sets (``tasks/data``).
        cache: The user's cache folder, for digests of images.
        config: The user's config folder, whose ``licenses.toml`` remembers accepted licences.
        accept_license: Whether the user accepts the licence now; asked for ``full`` only.
        pinned: A commit that an earlier run recorded; it is fetched whatever the branch points to now.
        digests: The index of image digests; None makes one in `cache`.
        progress: Called with (files there, files in all) while images are downloaded.

    Raises:
        DataError: The data set is not there, not accepted, not reachable, damaged, lacks columns or has duplicate keys.

    >>> source = Source("X", "owner/x", "main", "data/x.parquet", "id", None, ("id",), "MIT", "https://opensource.org/license/mit")
    >>> open_data(source, "mini", content=Path("tasks/data"), cache=Path("cache"), config=Path("config"))
    Traceback (most recent call last):
    nova_bench.errors.DataError: X has no embedded sample; use --data full or --data PATH
    """
    kind: Kind
    revision = None
    if where == "mini":
        if source.mini is None:
            ways = "--data full or --data PATH" if source.hub else "--data FOLDER"
            raise DataError(f"{source.name} has no embedded sample; use {ways}")
        kind, folder = "mini", content / source.mini
    elif where == "full":
        if not source.hub:
            raise DataError(on_no_hub(source))
        if source.shipped is not None and source.shipped.lacks:
            raise DataError(f"--data full: {source.shipped.lacks}")
        check_license(source, config, accept_license)
        kind = "full"
        if source.shipped is not None:
            folder = fetch_listed(
                source.hub,
                pinned or source.revision,
                side=source.shipped.side_files,
                files=source.shipped.needed,
                recorded=pinned is not None,
                ways=ways_on(source),
                progress=progress,
            )
            return source.shipped.open(source, kind, folder, folder.name, digests or DigestIndex(cache))
        folder = fetch_snapshot(
            source.hub,
            source.table,
            pinned or source.revision,
            recorded=pinned is not None,
            files=lambda snapshot: [
                path for path in _image_paths(source, snapshot / source.table) if _is_confined(path)
            ],
            ways=ways_on(source),
            progress=progress,
        )
        revision = folder.name
    else:
        kind, folder = "path", Path(where).expanduser()
        shipped = source.shipped
        if shipped is not None and not (folder / source.table).is_file() and shipped.recognises(folder):
            if shipped.lacks:
                raise DataError(f"--data {where}: {shipped.lacks}")
            return shipped.open(source, kind, folder, None, digests or DigestIndex(cache))
    if not (folder / source.table).is_file():
        raise DataError(not_found(source, folder, where))
    _check_table(source, folder / source.table)
    data = Data(source, kind, folder, revision, digests or DigestIndex(cache))
    embedded = None if source.mini is None else content / source.mini / source.table
    if embedded is not None and embedded.is_file():
        data.is_synthetic = filecmp.cmp(embedded, data.table, shallow=False)
    return data


def _check_table(source: Source, table: Path) -> None:
    """Raise DataError if the table is damaged, lacks a column, or its keys are missing or not unique."""
    import pyarrow.compute as pc

    columns = column_names(table)
    needed = dict.fromkeys([*source.required, source.key, *([source.images] if source.images else [])])
    if missing := [name for name in needed if name not in columns]:
        layout = (
            f"the layout of {source.hub} at revision {source.revision}"
            if source.hub
            else "what the task names"
        )
        raise DataError(
            f"{table} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; it has {', '.join(columns)}. "
            f"Expected {layout}"
        )
    keys = column(table, source.key)
    if keys.null_count:
        raise DataError(
            f"{table}: {keys.null_count} rows have no {source.key}; each row needs one of its own"
        )
    if pc.count_distinct(keys).as_py() < len(keys):
        counts = keys.value_counts()
        twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist()
        named = ", ".join(str(key) for key in sorted(twice)[:5]) + (", ..." if len(twice) > 5 else "")
        raise DataError(
            f"{table}: {len(twice)} values of {source.key} stand in several rows ({named}); each may stand once. Mend the table"
        )


def _image_paths(source: Source, table: Path) -> list[str]:
    """Return the image paths that a table names, each once, sorted."""
    if source.images is None:
        return []
    paths = column(table, source.images).unique().to_pylist()
    return sorted(path for path in paths if isinstance(path, str) and path)


def _is_confined(relative: str) -> bool:
    """Return whether a path is relative and does not climb, as POSIX and as Windows read it."""
    return _OUTWARD.search(relative) is None


def _roots(folder: Path, kind: Kind) -> tuple[str, ...]:
    """Return the real folders in which images may lie: the data set's own; for the hub's cache its store of blobs too.

    The hub's client keeps ``<cache>/<repository>/snapshots/<commit>/<path>`` as links into ``<repository>/blobs``, whose files
    may again be links into ``<cache>/blobs``, which repositories share.
    """
    own = os.path.realpath(folder)
    if kind != "full" or folder.parent.name != "snapshots":
        return (own,)
    repository = folder.parent.parent
    return (own, os.path.realpath(repository / "blobs"), os.path.realpath(repository.parent / "blobs"))
