"""A user's own table, CSV, Parquet or DataFrame, read so that every complaint can name the row."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_bench.errors import DataError, UnknownNameError, UsageError

if TYPE_CHECKING:
    import pandas as pd

FORMATS = (".csv", ".parquet")
_TRUTH = {"true": 1.0, "false": 0.0}
_FIELD = 2**24  # characters; a note of 100 kB in a column that is not asked for must not stop the reading


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """The cells of a table, column by column.

    Attributes:
        name: The file's path, or what else the messages call the table.
        cells: Column to its values, None where a cell is empty; texts are stripped of blanks at their ends.
        n: How many rows there are.
        first_row: The number of the first row in messages: 2 in a CSV file, whose header is row 1, else 1.
    """

    name: str
    cells: Mapping[str, Sequence[Any]]
    n: int
    first_row: int

    def column(self, name: str) -> Sequence[Any]:
        """Return the values of a column.

        Raises:
            UnknownNameError: There is none of that name.
        """
        if name not in self.cells:
            raise UnknownNameError("column", name, self.cells, self.name)
        return self.cells[name]

    def row(self, i: int) -> str:
        """Return what messages call row `i`, counted from 0.

        >>> Columns("scores.csv", {}, 3, 2).row(0)
        'scores.csv row 2'
        """
        return f"{self.name} row {i + self.first_row}"

    def words(self, name: str) -> list[str | None]:
        """Return a column as texts, None where a cell is empty; whole numbers stand without decimals.

        >>> Columns("t", {"age": [60.0, " x ", None, True]}, 4, 1).words("age")
        ['60', 'x', None, 'true']
        """
        return [_word(value) for value in self.column(name)]

    def required(self, name: str, what: str) -> list[str]:
        """Return a column of texts none of which may be empty.

        Args:
            name: The column.
            what: What it holds, for the message.

        Raises:
            DataError: A cell is empty.
        """
        words = self.words(name)
        for i, word in enumerate(words):
            if word is None:
                raise DataError(f"{self.row(i)}: column {name!r} is empty; every row needs {what}")
        return [word for word in words if word is not None]

    def numbers(self, name: str) -> list[float | None]:
        """Return a column as finite numbers, None where a cell is empty; ``true`` and ``false`` are 1 and 0.

        Raises:
            DataError: A cell holds anything else.

        >>> Columns("t", {"right": ["1", "True", "", None]}, 4, 1).numbers("right")
        [1.0, 1.0, None, None]
        """
        return [self._number(name, i, value) for i, value in enumerate(self.column(name))]

    def whole_numbers(self, name: str) -> list[int]:
        """Return a column of whole numbers, 0 or more, none of them empty.

        Raises:
            DataError: A cell holds anything else.
        """
        found = []
        for i, value in enumerate(self.numbers(name)):
            if value is None or value < 0 or value != int(value):
                raise DataError(
                    f"{self.row(i)}: column {name!r} is {self.cells[name][i]!r}, expected a whole number from 0"
                )
            found.append(int(value))
        return found

    def _number(self, name: str, i: int, value: Any) -> float | None:
        if isinstance(value, str):
            value = value.strip()
        if value is None or value == "":
            return None
        try:
            number = (
                _TRUTH[value.lower()] if isinstance(value, str) and value.lower() in _TRUTH else float(value)
            )
            if (
                isinstance(value, str) and "_" in value
            ):  # Python reads 1_0 as ten; nobody who writes tables does
                raise ValueError(value)
        except (TypeError, ValueError):
            raise DataError(
                f"{self.row(i)}: column {name!r} is {value!r}, expected a number (or nothing, for an answer that failed)"
            ) from None
        if not math.isfinite(number):
            raise DataError(
                f"{self.row(i)}: column {name!r} is {value}, expected a finite number; leave the cell empty for an answer that failed"
            )
        return number


def read_columns(table: Path | str | pd.DataFrame, name: str | None = None) -> Columns:
    """Return the cells of a table.

    Args:
        table: The path of a CSV file (UTF-8, commas, a header) or Parquet file, or a DataFrame, in which NaN is an empty cell.
        name: What messages call a DataFrame.

    Raises:
        UsageError: There is no such file, or its name ends in something else.
        DataError: The file is empty, damaged, or two of its columns have one name.

    >>> import pandas as pd
    >>> read_columns(pd.DataFrame({"id": ["a", "b"], "right": [1.0, None]})).cells["right"]
    [1.0, None]
    """
    if not isinstance(table, (str, Path)):
        return _of_frame(table, name or "table")
    path = Path(table)
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: its name ends in {path.suffix or 'nothing'}, expected .csv or .parquet")
    if not path.is_file():
        raise UsageError(f"{path} does not exist, or is no file")
    return _of_csv(path) if path.suffix.lower() == ".csv" else _of_parquet(path)


def _of_frame(frame: pd.DataFrame, name: str) -> Columns:
    import pandas as pd

    columns = [str(column) for column in frame.columns]
    _check_header(columns, name)
    if not len(frame):
        raise DataError(f"{name} has columns and no rows")
    cells = {
        column: [
            None if value is pd.NA or value is pd.NaT or _is_nan(value) else value
            for value in frame.iloc[:, i].tolist()
        ]
        for i, column in enumerate(columns)
    }
    return Columns(name, cells, len(frame), 1)


def _of_parquet(path: Path) -> Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.stat().st_size:
        raise DataError(f"{path} is empty")
    try:
        # read_table would take folders called sex=f for columns.
        with pq.ParquetFile(path) as file:
            table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    _check_header(table.column_names, str(path))
    if not table.num_rows:
        raise DataError(f"{path} has columns and no rows")
    cells = {column: table.column(column).to_pylist() for column in table.column_names}
    return Columns(str(path), cells, table.num_rows, 1)


def _of_csv(path: Path) -> Columns:
    limit = csv.field_size_limit(_FIELD)
    try:
        # A byte order mark is what spreadsheets write before UTF-8.
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = _rows(csv.reader(file, strict=True), path)
            header = next(rows, None)
            if header is None:
                raise DataError(f"{path} is empty")
            header = [name.strip() for name in header]
            _check_header(header, str(path))
            cells: list[list[str | None]] = [[] for _ in header]
            n = 0
            for n, row in enumerate(rows, start=1):
                if len(row) != len(header):
                    raise DataError(f"{path} row {n + 1} has {len(row)} cells, the header has {len(header)}")
                for column, cell in zip(cells, row, strict=True):
                    column.append(cell.strip() or None)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    finally:
        csv.field_size_limit(limit)
    if not n:
        raise DataError(f"{path} has a header and no rows")
    return Columns(str(path), dict(zip(header, cells, strict=True)), n, 2)


def _rows(reader: Iterator[list[str]], path: Path) -> Iterator[list[str]]:
    """Yield the rows of a reader less blank lines at its end, and turn its complaints into ours."""
    blank = 0
    try:
        for row in reader:
            if not row:
                blank += 1
                continue
            if blank:
                raise DataError(f"{path} has a blank line in the middle")
            yield row
    except csv.Error as error:
        line = getattr(reader, "line_num", 0)
        raise DataError(f"{path} line {line} cannot be read as CSV: {error}") from None


def _check_header(header: Sequence[str], name: str) -> None:
    if len(header) == 1:
        for separator, words in ((";", "semicolons"), ("\t", "tabs")):
            if separator in header[0]:
                raise DataError(f"{name} is separated by {words}; save it with commas")
    for i, column in enumerate(header):
        if column in header[:i]:
            raise DataError(f"{name} has two columns {column!r}; rename one")


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _word(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if _is_nan(value):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip() or None
