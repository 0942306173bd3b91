r"""A sheet: named columns of one type each, written as CSV or as Parquet.

In CSV a *text* is guarded, because spreadsheets run a cell that begins with ``= + - @``, a tab or a line break as a formula (OWASP, "CSV
Injection"): an apostrophe is put before it. Texts that begin with an apostrophe get one too, so that dropping the first apostrophe of a
cell always gives the text back. Numbers are never guarded: what is a number is known from the column's type and not from how it looks, so
the number -0.5 stays ``-0.5`` and a case that somebody called ``-0.5`` becomes ``'-0.5``.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nova_bench.errors import DataError
from nova_bench.table import Ragged

Type = Literal["text", "number", "whole", "flag", "numbers", "flags", "texts"]
"""``number`` is a float and ``whole`` an int; ``numbers``, ``flags`` and ``texts`` are lists, or lists of lists."""

_LISTS = ("numbers", "flags", "texts")
_FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "'",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)  # the last four are full-width = + - @


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column.

    Attributes:
        type: Of all its values.
        values: One a row: Python values; None where there is none.
    """

    type: Type
    values: Sequence[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """Named columns of one length.

    Attributes:
        columns: Name to column, in order.
        about: What Parquet keeps beside them, JSON values: signatures among them.
    """

    columns: Mapping[str, Column]
    about: Mapping[str, Any]

    def __len__(self) -> int:
        return max((len(column.values) for column in self.columns.values()), default=0)


def guarded(text: str) -> str:
    r"""Return a text as a spreadsheet takes it for a text, whatever it begins with.

    >>> [guarded(text) for text in ("axial", "=1+1", "-0.5", "'quoted'", "\t=1", "")]
    ['axial', "'=1+1", "'-0.5", "''quoted'", "'\t=1", '']
    """
    return "'" + text if text.startswith(_FORMULA) else text


def readable(text: str) -> str:
    r"""Return a text that UTF-8 can hold: half of a surrogate pair, which a model may answer with, is written as its escape.

    >>> readable("a\ud800b")
    'a\\ud800b'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def column_of(values: np.ndarray | Ragged) -> Column:
    """Return a table's column, dense or ragged: NaN is None, and what is neither a number nor a boolean is a text."""
    if isinstance(values, Ragged):
        kind = values.values.dtype.kind
        if kind == "b":
            return Column("flags", [values[i].tolist() for i in range(len(values))])
        if kind in "iuf":
            return Column("numbers", [_floats(values[i].tolist()) for i in range(len(values))])
        return Column(
            "texts", [[readable(str(entry)) for entry in values[i].tolist()] for i in range(len(values))]
        )
    if values.dtype.kind == "f":
        return Column("number", [None if math.isnan(value) else value for value in values.tolist()])
    if values.dtype.kind == "b":
        return Column("flag", values.tolist())
    if values.dtype.kind in "iu":
        return Column("whole", values.tolist())
    return Column("text", [None if value is None else str(value) for value in values.tolist()])


def _floats(entries: list[Any]) -> list[Any]:
    """Return nested lists of floats, None for NaN."""
    return [
        _floats(entry) if isinstance(entry, list) else None if entry != entry else float(entry)
        for entry in entries
    ]


def joined(sheets: Sequence[Sheet], about: Mapping[str, Any]) -> Sheet:
    """Return the rows of several sheets, one sheet after the other; a column that one lacks is empty there.

    Args:
        sheets: Columns of one name have one type.
        about: Of the whole.

    Raises:
        DataError: Two columns of one name have two types.
    """
    types: dict[str, Type] = {}
    for sheet in sheets:
        for name, column in sheet.columns.items():
            if types.setdefault(name, column.type) != column.type:
                raise DataError(
                    f"column {name!r} is {column.type} in one run and {types[name]} in another; export the runs into files of their own"
                )
    columns: dict[str, Column] = {}
    for name, kind in types.items():
        values: list[Any] = []
        for sheet in sheets:
            found = sheet.columns.get(name)
            values += [None] * len(sheet) if found is None else found.values
        columns[name] = Column(kind, values)
    return Sheet(columns, about)


def csv_text(sheet: Sheet) -> str:
    """Return a sheet as CSV: commas, a header, UTF-8 when written; an empty cell where there is no value.

    Floats have as many digits as it takes to read the same number back. Lists are JSON.

    >>> print(csv_text(Sheet({"case": Column("text", ["=1", None]), "value": Column("number", [-0.5, None])}, {})), end="")
    case,value
    '=1,-0.5
    ,
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([guarded(readable(name)) for name in sheet.columns])
    writer.writerows(zip(*(_csv_cells(column) for column in sheet.columns.values()), strict=True))
    return buffer.getvalue()


def _csv_cells(column: Column) -> Iterator[str]:
    for value in column.values:
        if value is None:
            yield ""
        elif column.type == "text":
            yield guarded(readable(value))
        elif column.type in ("flag", *_LISTS):
            yield json.dumps(value, allow_nan=False)
        else:
            yield repr(value)


def parquet_table(sheet: Sheet) -> Any:
    """Return a sheet as a pyarrow table with typed columns; its schema's metadata has `about` as JSON under ``nova_bench``.

    >>> table = parquet_table(Sheet({"value": Column("number", [-0.5, None])}, {"signatures": {}}))
    >>> str(table.schema.field("value").type), table.schema.metadata
    ('double', {b'nova_bench': b'{"signatures": {}}'})
    """
    import pyarrow as pa

    scalar = {"text": pa.string(), "number": pa.float64(), "whole": pa.int64(), "flag": pa.bool_()}
    inner = {"numbers": pa.float64(), "flags": pa.bool_(), "texts": pa.string()}
    arrays, fields = [], []
    for name, column in sheet.columns.items():
        values = column.values
        if column.type == "text":
            values = [value if value is None else readable(value) for value in values]
        if column.type in _LISTS:
            type_ = inner[column.type]
            for _ in range(_depth(values)):
                type_ = pa.list_(type_)
        else:
            type_ = scalar[column.type]
        arrays.append(pa.array(values, type_))
        fields.append(pa.field(readable(name), type_))
    about = json.dumps(sheet.about, ensure_ascii=True, allow_nan=False)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata={"nova_bench": about}))


def _depth(values: Sequence[Any]) -> int:
    """Return how deep a column's lists are: 2 where some entry is a list of lists, else 1."""
    return 2 if any(entry and isinstance(entry[0], list) for entry in values if entry) else 1
