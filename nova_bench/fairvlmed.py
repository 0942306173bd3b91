"""Harvard-FairVLMed as its owners ship it: one NPZ file a patient, in folders of a split, with ``data_summary.csv`` beside them.

Facts by the owners' own descriptions of the data set (Luo et al. 2024, "FairCLIP"): files ``data_XXXXX.npz`` with the fields
``slo_fundus, md, tds, age, gender, race, ethnicity, language, maritalstatus, glaucoma, note, note_extra``; folders ``Training``,
``Validation`` and ``Test`` (``Testing`` in an older description, one folder ``data`` with ``split_files.csv`` in the oldest);
``data_summary.csv`` at the root or in ``ReadMe`` with the columns ``filename`` and ``use``. All of these are read.

Nothing of a note is ever part of a message: what is wrong with a file is said by its name and its field's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nova_bench.array_images import ArrayImage
from nova_bench.data import Data
from nova_bench.demographics import ATTRIBUTES
from nova_bench.errors import DataError
from nova_bench.images import DigestIndex, Image
from nova_bench.source import Kind, Source

PICTURE = "slo_fundus"
UNKNOWN = -1

_SUMMARIES = ("data_summary.csv", "split_files.csv")
_USE_COLUMNS = ("use", "file_type")
_TEST = frozenset({"test", "testing"})
_DEPTH = 3
_CSV_ROWS = 1000


@dataclass(frozen=True, slots=True)
class FairVLMed:
    """The form in which the owners ship Harvard-FairVLMed; `nova_bench.source.Shipped` says what each part is for.

    >>> FairVLMed().recognises(Path("tasks"))
    False
    """

    lacks: str = ""

    @property
    def layout(self) -> str:
        """What a folder in this form holds, for people."""
        return "a folder with data_summary.csv and one NPZ file a patient, all in one folder or in Training, Validation and Test"

    @property
    def side_files(self) -> tuple[str, ...]:
        """The files that say which patients are for testing."""
        return tuple(f"{folder}{name}" for name in _SUMMARIES for folder in ("", "ReadMe/"))

    def recognises(self, folder: Path) -> bool:
        """Return whether a folder holds a summary or an NPZ file."""
        return any(name in self.side_files or name.endswith(".npz") for name in _names_in(folder))

    def needed(self, folder: Path | None, names: Sequence[str] | None) -> list[str] | None:
        """Return the summaries and the NPZ files of the test patients, of all patients where no split is known.

        None where nothing on the disk says which patients there are.

        Args:
            folder: Holds the summaries.
            names: All files of the repository; None where only the folder is known.
        """
        uses = {} if folder is None else _uses(folder)
        if names is None:
            if folder is None or not uses:
                return None
            names = _names_in(folder)
        there = set(names)
        side = [name for name in self.side_files if name in there]
        paths, _ = _chosen(list(names), uses)
        return side + paths if paths else []

    def open(
        self, source: Source, kind: Kind, folder: Path, revision: str | None, digests: DigestIndex
    ) -> Data:
        """Return the opened data set.

        Raises:
            DataError: It holds no patients, or a patient twice, or its split names nobody for testing.
        """
        paths, split = _chosen(_names_in(folder), _uses(folder))
        if not paths:
            raise DataError(f"{folder} holds no NPZ files; expected {self.layout}")
        return _Patients(source, kind, folder, revision, digests, paths, split)


class _Patients(Data):
    """The test patients of a shipped folder: a row each, the note as ``report``, the demographics as words."""

    def __init__(
        self,
        source: Source,
        kind: Kind,
        folder: Path,
        revision: str | None,
        digests: DigestIndex,
        paths: Sequence[str],
        split: str,
    ) -> None:
        super().__init__(source, kind, folder, revision, digests)
        self.paths, self.split = paths, split
        self._damaged: dict[str, str] = {}

    @cached_property
    def n_rows(self) -> int:
        """How many patients there are."""
        return len(self.paths)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row a patient, by name; one file is open at a time, and its picture is not read.

        A file that cannot be read gives a row whose `image` raises DataError.
        """
        for path in self.paths:
            name = Path(path).stem
            row: dict[str, Any] = {"id": name, "patient_id": name, "image_path": path, "split": self.split}
            try:
                self.image(path)
                row |= _read(self.folder / path)
            except DataError as error:
                self._damaged[path] = str(error)
            yield row

    def image(self, relative: object) -> Image:
        """Return a patient's picture.

        Raises:
            DataError: The file is missing, leads out of the folder, or could not be read.
        """
        if isinstance(relative, str) and relative in self._damaged:
            raise DataError(self._damaged[relative])
        found = super().image(relative)
        assert found.path is not None  # images of a folder are files
        return ArrayImage(found.path, PICTURE, name=found.name)

    @cached_property
    def digest(self) -> str:
        """The sha256 of the split's name and, sorted by path, each file's sha256; one that is not there counts as "missing"."""
        whole = hashlib.sha256(f"fairvlmed {self.split}\n".encode())
        for path in sorted(self.paths):
            try:
                found = self.digests.digest(*self._find(path))
            except DataError:
                found = "missing"
            whole.update(f"{found} {Path(path).name}\n".encode("utf-8", "surrogatepass"))
        self.digests.save()
        return whole.hexdigest()


# Which files


def _names_in(folder: Path) -> list[str]:
    """Return the summaries and NPZ files of a folder and the folders in it, as sorted relative paths."""
    found: list[str] = []
    root = os.path.abspath(folder)
    for where, below, files in os.walk(root):
        inner = os.path.relpath(where, root)
        depth = 0 if inner == "." else inner.count(os.sep) + 1
        below[:] = [] if depth >= _DEPTH - 1 else [name for name in below if not name.startswith(".")]
        prefix = "" if inner == "." else inner.replace(os.sep, "/") + "/"
        found += [prefix + name for name in files if name.endswith(".npz") or name in _SUMMARIES]
    return sorted(found)


def _uses(folder: Path) -> dict[str, str]:
    """Return what each file is for, by the summaries: file name to ``test``, ``training`` ...; empty where none says.

    Only the two columns are kept: the summary holds every note as well.
    """
    import pandas as pd

    for side in FairVLMed().side_files:
        path = folder / side
        if not path.is_file():
            continue
        uses: dict[str, str] = {}
        try:
            chunks = pd.read_csv(
                path,
                usecols=lambda column: column in ("filename", *_USE_COLUMNS),
                dtype=str,
                keep_default_na=False,
                chunksize=_CSV_ROWS,
                encoding_errors="replace",
            )
            with chunks:
                for chunk in chunks:
                    column = next((name for name in _USE_COLUMNS if name in chunk.columns), None)
                    if column is None or "filename" not in chunk.columns:
                        break
                    names = (name if name.endswith(".npz") else f"{name}.npz" for name in chunk["filename"])
                    uses.update(zip(names, chunk[column].str.strip().str.lower(), strict=True))
        except (OSError, ValueError) as error:  # pandas' own errors derive from these
            raise DataError(
                f"{path} is no readable CSV file ({type(error).__name__}); fetch it again"
            ) from None
        if uses:
            return uses
    return {}


def _chosen(names: Sequence[str], uses: dict[str, str]) -> tuple[list[str], str]:
    """Return the paths of the patients to be asked about, sorted by name, and their split.

    The summary decides; without one, the folders' names; without those, all patients are taken and the split is ``all``. A test
    patient whose file is not there keeps a place, so that it counts as failed and not as absent.
    """
    paths: dict[str, str] = {}
    for name in names:
        if not name.endswith(".npz"):
            continue
        file = name.rpartition("/")[2]
        if file in paths:
            raise DataError(
                f"patient {file} is there twice, as {paths[file]} and {name}; each may stand once"
            )
        paths[file] = name
    if uses:
        chosen = sorted(file for file, use in uses.items() if use in _TEST)
        if not chosen:
            shown = ", ".join(sorted(set(uses.values()))[:5])
            raise DataError(f"the summary names no patient for testing: it has {shown}; expected test")
        return [paths.get(file, file) for file in chosen], "test"
    tested = sorted(
        file for file, path in paths.items() if _TEST & {part.lower() for part in path.split("/")[:-1]}
    )
    if tested:
        return [paths[file] for file in tested], "test"
    return [paths[file] for file in sorted(paths)], "all"


# What one file holds


def _read(path: Path) -> dict[str, Any]:
    """Return what a row has of one file: ``report``, the demographics as words, ``age``.

    Raises:
        DataError: It is no NPZ file or lacks a field.
    """
    import numpy as np

    needed = ("note", "age", *ATTRIBUTES)
    values: dict[str, Any] = {}
    field = ""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))  # np.load leaves a damaged one open
            opened = stack.enter_context(np.load(file, allow_pickle=False))
            there = set(opened.files)
            for field in needed:
                if field in there:
                    values[field] = opened[field].item()
        # zipfile's, zlib's and NumPy's errors have no class in common; their texts could quote what they read
        except Exception as error:
            where = f" in its field {field!r}" if field else ""
            raise DataError(
                f"{path.name} is no readable NPZ file{where} ({type(error).__name__}); replace the file"
            ) from None
    if missing := [field for field in needed if field not in values]:
        raise DataError(f"{path.name} has no field {', '.join(missing)}; it has {', '.join(sorted(there))}")
    note = values["note"]
    if isinstance(note, bytes):
        note = note.decode("utf-8", "replace")
    if not isinstance(note, str):
        raise DataError(f"{path.name}: its note is a {type(note).__name__}; expected a text")
    row: dict[str, Any] = {"report": note.strip() or None, "age": _age(values["age"])}
    row |= {name: _word(values[name], words) for name, words in ATTRIBUTES.items()}
    return row


def _word(code: object, words: Sequence[str]) -> str | None:
    """Return the word of a code, None for unknown; a code that there is not stays as it is, for the task to refuse."""
    if isinstance(code, (int, float)) and code == UNKNOWN:
        return None
    if isinstance(code, (int, float)) and code in range(len(words)):
        return words[int(code)]
    return f"code {code}"[:40]


def _age(value: object) -> object:
    """Return whole years, None for unknown; anything else stays as it is, for the task to refuse."""
    if isinstance(value, (int, float)) and value == UNKNOWN:
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value
