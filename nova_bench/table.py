"""A table of rows: one line a sample and repeat, columns as NumPy arrays, ragged ones as values and offsets.

A resample, and an imputation of failed rows, is a matter of weights or of a column; nothing is copied a thousand times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from nova_bench.types import Row


@dataclass(frozen=True, slots=True, eq=False)
class Ragged:
    """A column whose entries differ in length: ``values[offsets[i]:offsets[i + 1]]`` is entry i.

    Attributes:
        values: (m, ...) all entries, one after the other.
        offsets: int array (n + 1,), from 0 to m.
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, entries: Sequence[Any]) -> Ragged:
        """Build from one array or sequence a row; empty ones take the others' shape."""
        arrays = [np.asarray(entry) for entry in entries]
        lengths = np.fromiter((len(array) for array in arrays), np.int64, len(arrays))
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        filled = [array for array in arrays if len(array)]
        empty = arrays[0][:0] if arrays else np.zeros(0)
        values = np.concatenate(filled) if filled else empty
        return cls(values, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> np.ndarray:
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Int array (n,): how many values each entry has."""
        return np.diff(self.offsets)

    @property
    def row(self) -> np.ndarray:
        """Int array (m,): the row to which each value belongs."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @classmethod
    def stack(cls, columns: Sequence[Ragged]) -> Ragged:
        """Return the entries of several ragged columns, one column after the other."""
        filled = [column.values for column in columns if len(column.values)]
        values = np.concatenate(filled) if filled else columns[0].values
        return cls(
            values, np.concatenate([[0], np.cumsum(np.concatenate([column.lengths for column in columns]))])
        )

    def take(self, index: np.ndarray) -> Ragged:
        """Return the entries at `index`, in that order."""
        lengths = self.lengths[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        where = np.repeat(self.offsets[:-1][index] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Ragged(self.values[where], offsets)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows of a run, columnar; n lines, sorted by (id, repeat).

    Attributes:
        id: object array (n,), sample ids.
        cluster: object array (n,), case or patient.
        repeat: int array (n,).
        status: object array (n,), one of `nova_bench.types.STATUSES`.
        split: object array (n,).
        groups: Attribute to object array (n,); None where unknown.
        columns: Column name to array (n,) or `Ragged` of n entries.
        base: object array (n,), the id of the sample of which a line's sample is a counterfactual copy; its own id where it is none
            (the default).
    """

    id: np.ndarray
    cluster: np.ndarray
    repeat: np.ndarray
    status: np.ndarray
    split: np.ndarray
    groups: Mapping[str, np.ndarray]
    columns: Mapping[str, np.ndarray | Ragged]
    base: np.ndarray = None  # type: ignore[assignment]  # set below where it is not given

    def __post_init__(self) -> None:
        if self.base is None:
            object.__setattr__(self, "base", self.id)  # the same array: nearly no table has copies

    def __len__(self) -> int:
        return len(self.id)

    def __getitem__(self, column: str) -> np.ndarray:
        """Return a dense column."""
        found = self.columns[column]
        if isinstance(found, Ragged):
            raise TypeError(f"column {column!r} is ragged: use table.ragged({column!r})")
        return found

    def ragged(self, column: str) -> Ragged:
        """Return a ragged column."""
        found = self.columns[column]
        if not isinstance(found, Ragged):
            raise TypeError(f"column {column!r} is dense: use table[{column!r}]")
        return found

    def take(self, index: np.ndarray) -> Table:
        """Return the lines at `index` (ints, or a boolean mask), in that order."""
        if index.dtype == bool:
            index = np.flatnonzero(index)
        ids = self.id[index]
        return Table(
            ids,
            self.cluster[index],
            self.repeat[index],
            self.status[index],
            self.split[index],
            {name: values[index] for name, values in self.groups.items()},
            {
                name: column.take(index) if isinstance(column, Ragged) else column[index]
                for name, column in self.columns.items()
            },
            ids if self.base is self.id else self.base[index],
        )

    @classmethod
    def stack(cls, tables: Sequence[Table]) -> Table:
        """Return the lines of several tables, one table after the other.

        A group that a table lacks is None there; all tables that have lines have the same columns.
        """
        groups = dict.fromkeys(name for table in tables for name in table.groups)
        filled = [table for table in tables if len(table)] or list(tables[:1])
        ids = np.concatenate([table.id for table in tables])
        has_copies = any(table.base is not table.id for table in tables)
        return cls(
            ids,
            np.concatenate([table.cluster for table in tables]),
            np.concatenate([table.repeat for table in tables]),
            np.concatenate([table.status for table in tables]),
            np.concatenate([table.split for table in tables]),
            {
                name: np.concatenate(
                    [table.groups.get(name, np.full(len(table), None, dtype=object)) for table in tables]
                )
                for name in groups
            },
            {name: stack_columns([table.columns[name] for table in filled]) for name in filled[0].columns},
            np.concatenate([table.base for table in tables]) if has_copies else ids,
        )

    def cluster_codes(self) -> tuple[np.ndarray, int]:
        """Return an int array (n,) that numbers the clusters in sorted order, and how many there are."""
        names, codes = np.unique(self.cluster.astype(str), return_inverse=True)
        return codes, len(names)

    def ones(self) -> np.ndarray:
        """Return weights (1, n) that count every line once."""
        return np.ones((1, len(self)))

    def to_pandas(self) -> pd.DataFrame:
        """Return a DataFrame: id, base, cluster, repeat, split, status, the groups, the columns (ragged ones as lists)."""
        import pandas as pd

        data: dict[str, Any] = {
            "id": self.id,
            "base": self.base,
            "cluster": self.cluster,
            "repeat": self.repeat,
            "split": self.split,
            "status": self.status,
        }
        data.update(self.groups)
        for name, column in self.columns.items():
            if isinstance(column, Ragged):
                data[name] = [column[i].tolist() for i in range(len(self))]
            else:
                data[name] = column
        return pd.DataFrame(data)


def stack_columns(columns: Sequence[np.ndarray | Ragged]) -> np.ndarray | Ragged:
    """Return several columns of one kind, one after the other.

    Raises:
        TypeError: Some are ragged and some are dense.
    """
    ragged = [column for column in columns if isinstance(column, Ragged)]
    if not ragged:
        return np.concatenate([column for column in columns if not isinstance(column, Ragged)])
    if len(ragged) < len(columns):
        raise TypeError("a column is ragged in some rows and dense in others")
    return Ragged.stack(ragged)


def build_columns(rows: Iterable[Row], columns: Sequence[str]) -> dict[str, np.ndarray | Ragged]:
    """Return columnar arrays of a stream of rows.

    Args:
        rows: One mapping a line, each with all of `columns`: numbers or booleans make a dense float column, sequences and arrays a ragged one.
        columns: The names to take.

    Raises:
        KeyError: A row lacks a column.
    """
    gathered: dict[str, list[Any]] = {name: [] for name in columns}
    for row in rows:
        for name in columns:
            gathered[name].append(row[name])
    built: dict[str, np.ndarray | Ragged] = {}
    for name, values in gathered.items():
        if values and isinstance(values[0], (list, tuple, np.ndarray)):
            built[name] = Ragged.of(values)
        else:
            built[name] = np.asarray(values, dtype=np.float64)
    return built
