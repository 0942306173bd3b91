"""A run's rows as ``rows.jsonl``: a table's sufficient statistics, written so that every float comes back as it was.

The first line is a header: which columns, of what kind and dtype. Each further line is one (sample, repeat), with a value a column in the
header's order. NaN is null, infinities are the texts ``"inf"`` and ``"-inf"``; JSON writes other floats with as many digits as they need.

Lines that a judge left unjudged for good have two imputed rows as well, the worst and the best possible one: a cell's bounds are made of
these. Every other line is in both as it is.

Rows of *gated* data are masked: ids and clusters are numbers in the order of the names that they stand for, and there are no groups. The
order is kept because resamples are drawn over clusters in the order of their names, so cells come out the same. A reader who has the data
set masks the table that he made himself, and compares.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nova_bench.board.layout import ROWS_VERSION
from nova_bench.counterfactual import ANSWER
from nova_bench.errors import LogError
from nova_bench.table import Ragged, Table

Column = np.ndarray | Ragged

_DTYPES = {
    "bool",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
}
_STATE = "verdict("
"""How the columns begin that say which lines are judged (`nova_bench.judged_rows.state_column`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What ``rows.jsonl`` holds.

    Attributes:
        table: All lines, sorted by (id, repeat).
        worst: The same with the unjudged lines as the worst answers; None where the run had none, or they have no bounds.
        best: The same with them as the best.
        is_masked: Whether ids and clusters are numbers, and groups were left out.
    """

    table: Table
    worst: Table | None
    best: Table | None
    is_masked: bool


def masked(table: Table) -> Table:
    """Return a table without what tells whose lines these are, or what was answered.

    Numbers stand for ids and clusters, in the same order, and there are no groups, and no hashes of answers: an answer of a word or two
    is found again from its hash, and with it, where it is right, the gated one.

    Args:
        table: A run's rows.
    """
    ids = _numbers(table.id, "s")
    base = ids if table.base is table.id else _numbers_of(table.base, table.id, ids)
    columns = {name: column for name, column in table.columns.items() if name != ANSWER}
    return dataclasses.replace(
        table, id=ids, cluster=_numbers(table.cluster, "c"), groups={}, base=base, columns=columns
    )


def _numbers(names: np.ndarray, letter: str) -> np.ndarray:
    known, codes = np.unique(names.astype(str), return_inverse=True)
    digits = len(str(len(known)))
    made = np.empty(len(names), dtype=object)
    made[:] = [f"{letter}{code + 1:0{digits}d}" for code in codes.tolist()]
    return made


def _numbers_of(base: np.ndarray, ids: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the numbers of samples that others are copies of; one that is not there itself is numbered behind them."""
    known = dict(zip(ids.tolist(), numbers.tolist(), strict=True))
    others = {name: f"b{i:09d}" for i, name in enumerate(sorted({*base.tolist()} - {*known}), start=1)}
    made = np.empty(len(base), dtype=object)
    made[:] = [known.get(name) or others[name] for name in base.tolist()]
    return made


def write_rows(table: Table, worst: Table | None, best: Table | None, *, is_masked: bool) -> Iterator[str]:
    """Yield the lines of ``rows.jsonl``, without line ends.

    Args:
        table: A run's rows, masked where they have to be.
        worst: The same lines, imputed; None where nothing is open.
        best: The same lines, imputed; None where nothing is open.
        is_masked: Whether they are masked.
    """
    open_lines = _open_lines(table) if worst is not None and best is not None else np.zeros(len(table), bool)
    sides = (worst, best) if open_lines.any() else (None, None)
    has_copies, groups = table.base is not table.id, sorted(table.groups)
    header = {
        "schema_version": ROWS_VERSION,
        "lines": len(table),
        "masked": is_masked,
        "groups": groups,
        "copies": has_copies,
        "columns": _described(table),
        "imputed": None if sides[0] is None else _described(sides[0]),
    }
    yield _dump(header)
    own, imputed = _values(table), [None if side is None else _values(side) for side in sides]
    for i in range(len(table)):
        line: dict[str, Any] = {
            "id": table.id[i],
            "cluster": table.cluster[i],
            "repeat": int(table.repeat[i]),
            "status": table.status[i],
            "split": table.split[i],
            "groups": [table.groups[name][i] for name in groups],
            "values": [column(i) for column in own],
        }
        if has_copies:
            line["base"] = table.base[i]
        if open_lines[i]:
            line["imputed"] = [[column(i) for column in side] for side in imputed if side is not None]
        yield _dump(line)


def _open_lines(table: Table) -> np.ndarray:
    """Return a boolean array (n,): failed lines, and those that some judge left without a verdict."""
    is_open = np.asarray(table.status == "failed")
    for name, column in table.columns.items():
        if name.startswith(_STATE) and isinstance(column, np.ndarray):
            is_open = is_open | ~(column == 1.0)
    return is_open


def _described(table: Table) -> dict[str, dict[str, Any]]:
    described: dict[str, dict[str, Any]] = {}
    for name, column in table.columns.items():
        values = column.values if isinstance(column, Ragged) else column
        described[name] = {
            "ragged": isinstance(column, Ragged),
            "dtype": values.dtype.name,
            "shape": list(values.shape[1:]),
        }
    return described


def _values(table: Table) -> list[Any]:
    """Return, a column, the function from a line's number to its value as JSON."""

    def reader(column: Column) -> Any:
        values = column.values if isinstance(column, Ragged) else column
        if values.dtype.name not in _DTYPES:
            raise LogError(f"a column of dtype {values.dtype} cannot be written as rows; expected numbers")
        is_float = values.dtype.kind == "f"
        listed = _plain(values.tolist()) if is_float and not np.isfinite(values).all() else values.tolist()
        if not isinstance(column, Ragged):
            return listed.__getitem__
        offsets = column.offsets.tolist()
        return lambda i: listed[offsets[i] : offsets[i + 1]]

    return [reader(column) for column in table.columns.values()]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else "inf" if value > 0 else "-inf"


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def rows_of(header: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> Rows:
    """Return the tables of a header and its lines, parsed and checked against their schemas by whoever reads a stranger's file.

    Args:
        header: The first line.
        lines: The others.

    Raises:
        LogError: They do not fit each other; the message names the line.
    """
    columns, imputed = header["columns"], header["imputed"]
    groups: list[str] = header["groups"]
    listed: list[Mapping[str, Any]] = []
    own: list[list[Any]] = [[] for _ in columns]
    sides: list[list[list[Any]]] = [[[] for _ in imputed or ()] for _ in range(2)]
    names = list(columns)
    for number, line in enumerate(lines, start=2):
        if len(line["values"]) != len(columns) or len(line["groups"]) != len(groups):
            raise LogError(
                f"line {number}: {len(line['values'])} values and {len(line['groups'])} groups, expected {len(columns)} and {len(groups)}"
            )
        for gathered, value in zip(own, line["values"], strict=True):
            gathered.append(value)
        if imputed is not None:
            _gather_imputed(line, number, names, list(imputed), sides)
        elif "imputed" in line:
            raise LogError(f"line {number}: imputed values, but the header names no columns of them")
        if ("base" in line) != header["copies"]:
            raise LogError(
                f"line {number}: 'base' has to stand in every line, or in none, as the header says"
            )
        listed.append(line)
    if len(listed) != header["lines"]:
        raise LogError(f"{len(listed)} lines, expected {header['lines']}")
    table = _table(listed, groups, header["copies"], _built(columns, own))
    worst, best = (
        None if imputed is None else dataclasses.replace(table, columns=_built(imputed, side))
        for side in sides
    )
    return Rows(table, worst, best, header["masked"])


def _gather_imputed(
    line: Mapping[str, Any],
    number: int,
    names: Sequence[str],
    imputed: Sequence[str],
    sides: Sequence[Sequence[list[Any]]],
) -> None:
    given = line.get("imputed")
    if given is None:
        known = dict(zip(names, line["values"], strict=True))
        if lacking := [name for name in imputed if name not in known]:
            raise LogError(
                f"line {number}: no values of {', '.join(lacking)}, which the header says are imputed"
            )
        given = [[known[name] for name in imputed]] * 2
    if len(given) != 2 or any(len(side) != len(imputed) for side in given):
        raise LogError(f"line {number}: expected two imputed rows of {len(imputed)} values")
    for side, values in zip(sides, given, strict=True):
        for gathered, value in zip(side, values, strict=True):
            gathered.append(value)


def _table(
    lines: Sequence[Mapping[str, Any]], groups: Sequence[str], copies: bool, columns: Mapping[str, Column]
) -> Table:
    ids = _objects([line["id"] for line in lines])
    return Table(
        id=ids,
        cluster=_objects([line["cluster"] for line in lines]),
        repeat=np.array([line["repeat"] for line in lines], dtype=np.int64),
        status=_objects([line["status"] for line in lines]),
        split=_objects([line["split"] for line in lines]),
        groups={name: _objects([line["groups"][i] for line in lines]) for i, name in enumerate(groups)},
        columns=columns,
        base=_objects([line["base"] for line in lines]) if copies else ids,
    )


def _objects(values: list[Any]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _built(columns: Mapping[str, Mapping[str, Any]], gathered: Sequence[list[Any]]) -> dict[str, Column]:
    return {
        name: _column(name, about, values)
        for (name, about), values in zip(columns.items(), gathered, strict=True)
    }


def _column(name: str, about: Mapping[str, Any], entries: list[Any]) -> Column:
    """Return one column of its lines' values.

    Raises:
        LogError: A value is not of the column's kind.
    """
    if about["dtype"] not in _DTYPES:
        raise LogError(
            f"column {name!r}: dtype {about['dtype']!r}; expected one of {', '.join(sorted(_DTYPES))}"
        )
    dtype, shape = np.dtype(about["dtype"]), tuple(about["shape"])
    try:
        if not about["ragged"]:
            return _array(entries, dtype, (len(entries), *shape))
        lengths = np.fromiter((len(entry) for entry in entries), np.int64, len(entries))
        flat = [value for entry in entries for value in entry]
        return Ragged(_array(flat, dtype, (len(flat), *shape)), np.concatenate([[0], np.cumsum(lengths)]))
    except (TypeError, ValueError, OverflowError) as error:
        raise LogError(f"column {name!r}: {error}; expected {dtype} values of shape {shape}") from None


def _array(values: list[Any], dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    if not values:
        return np.zeros(shape, dtype)
    if dtype.kind == "f":
        return _shaped(np.array(_floats(values), dtype=np.float64), shape).astype(dtype)
    known = np.array(values, dtype=object)
    wanted = bool if dtype.kind == "b" else int
    if any(type(value) is not wanted for value in known.reshape(-1).tolist()):
        raise ValueError(f"a value that is no {wanted.__name__}")
    return _shaped(known, shape).astype(dtype)


def _shaped(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if array.shape != shape:
        raise ValueError(f"shape {array.shape[1:]}")
    return array


def _floats(value: Any) -> Any:
    if isinstance(value, list):
        return [_floats(item) for item in value]
    if value is None:
        return math.nan
    if value in ("inf", "-inf"):
        return float(value)
    if isinstance(value, (bool, str)) or not isinstance(value, (int, float)):
        raise ValueError(f"{type(value).__name__} in the place of a number")
    return float(value)
