"""A plain function of a table, made a metric."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nova_bench.table import Table
from nova_bench.types import Metric


def from_table(
    function: Callable[[Table], float],
    *,
    name: str,
    needs: tuple[str, ...],
    higher_is_better: bool = True,
    range: tuple[float, float] | None = (0.0, 1.0),
    about: str = "",
) -> Metric:
    """Return a metric that calls `function` on a gathered table for every resample: simple, and slow.

    Args:
        function: From a table, in which each line counts once, to a number; NaN where undefined.
        name: The metric's name.
        needs: The columns that it reads.
        higher_is_better: Direction.
        range: Lowest and highest value; None for unbounded.
        about: One line with the source.

    Raises:
        ValueError: Weights that are no whole numbers: a table can repeat a line, not split it.
    """

    def compute(table: Table, weights: np.ndarray) -> np.ndarray:
        if not np.all(weights == np.round(weights)):
            raise ValueError(f"metric {name} was made by from_table: its weights must be whole numbers")
        lines = np.arange(len(table))
        return np.array(
            [function(table.take(np.repeat(lines, line.astype(np.int64)))) for line in weights],
            dtype=np.float64,
        )

    return Metric(
        name=name, needs=needs, compute=compute, higher_is_better=higher_is_better, range=range, about=about
    )
