"""The table of a data set on the disk: Parquet, or CSV whose cells are all texts.

In a CSV file nothing is guessed: ``007`` stays a text of three characters. An empty cell is None, blanks at the ends go. Values that are
numbers are made so by the task.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nova_bench.errors import DataError

CSV = ".csv"


def column_names(table: Path) -> list[str]:
    """Return the names of a table's columns.

    Raises:
        DataError: The table is damaged, or a name stands twice.
    """
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    if table.suffix.lower() == CSV:
        return _header(table)
    try:
        return list(pq.read_schema(table).names)
    except (OSError, ValueError) as error:  # pyarrow's own errors derive from these
        raise damaged(table, error) from error


def column(table: Path, name: str) -> Any:
    r"""Return one column, a pyarrow array.

    Raises:
        DataError: The table is damaged.

    >>> table = getfixture("tmp_path") / "table.csv"
    >>> _ = table.write_text("id,sex,age\n007,female,61\n008, ,70\n")
    >>> column_names(table), column(table, "id").to_pylist(), column(table, "sex").to_pylist(), row_count(table)
    (['id', 'sex', 'age'], ['007', '008'], ['female', None], 2)
    """
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    try:
        if table.suffix.lower() == CSV:
            return _read_csv(table).column(
                name
            )  # all of it is read: a fault in any cell is known before a model is asked
        return pq.read_table(table, columns=[name]).column(name)
    except (OSError, ValueError) as error:
        raise damaged(table, error) from error


def row_count(table: Path) -> int:
    """Return how many rows a table has."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    if table.suffix.lower() == CSV:
        return len(column(table, _header(table)[0]))
    return int(pq.read_metadata(table).num_rows)


def batches(table: Path, n: int) -> Iterator[Any]:
    """Yield a table's rows as pyarrow record batches of at most `n`; errors are pyarrow's own."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    if table.suffix.lower() == CSV:
        yield from _read_csv(table).to_batches(max_chunksize=n)
        return
    with pq.ParquetFile(table) as file:
        yield from file.iter_batches(batch_size=n)


def damaged(table: Path, error: Exception) -> DataError:
    """Return what to say of a table that cannot be read."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if table.suffix.lower() == CSV:
        return DataError(f"{table} is no readable CSV file: {said}; save it as UTF-8 with commas")
    return DataError(f"{table} is no readable Parquet file: {said}; fetch it again")


def _header(table: Path) -> list[str]:
    import pyarrow.csv as pc  # type: ignore[import-untyped, unused-ignore]

    try:
        with pc.open_csv(table, **_options()) as reader:
            names = list(reader.schema.names)
    except (OSError, ValueError) as error:
        raise damaged(table, error) from error
    for separator, words in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and separator in names[0]:
            raise DataError(f"{table} is separated by {words}; save it with commas")
    for i, name in enumerate(names):
        if name in names[:i]:
            raise DataError(f"{table} has two columns {name!r}; rename one")
    return names


def _read_csv(table: Path) -> Any:
    """Return a CSV file's cells as texts, None where one is empty."""
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
    import pyarrow.compute as pc  # type: ignore[import-untyped, unused-ignore]
    import pyarrow.csv

    names = _header(table)
    convert = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
    )
    read = pyarrow.csv.read_csv(table, convert_options=convert, **_options())
    trimmed = [pc.utf8_trim_whitespace(read.column(name)) for name in names]
    return pa.table([pc.if_else(pc.equal(cells, ""), None, cells) for cells in trimmed], names=names)


def _options() -> dict[str, Any]:
    import pyarrow.csv as pc  # type: ignore[import-untyped, unused-ignore]

    return {
        "read_options": pc.ReadOptions(use_threads=False),
        "parse_options": pc.ParseOptions(newlines_in_values=True),
    }
