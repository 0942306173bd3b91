"""A plain function of one sample and its prediction, made a scorer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from nova_bench.types import Item, Prediction, Row, Sample, Scorer


def per_sample(
    function: Callable[[Sample, Prediction], Row],
    *,
    name: str,
    columns: tuple[str, ...],
    bounds: Callable[[Sample], tuple[Row, Row]] | None = None,
    version: int = 1,
) -> Scorer:
    """Return a scorer that calls `function` on one sample after the other.

    Args:
        function: From a sample and its prediction to a row with all of `columns`.
        name: The scorer's name.
        columns: The columns it makes.
        bounds: The rows of the worst and the best answer.
        version: Raised whenever a row of the same answer changes.
    """

    def rows(items: Iterable[Item]) -> Iterator[Row]:
        for item in items:
            yield function(item.sample, item.prediction)

    return Scorer(name=name, columns=columns, rows=rows, bounds=bounds, version=version)
