"""Numbers by which the samples of a run can be ordered: the metrics that one answer has a value in, and what they are made from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nova_bench.judged_rows import JUDGED
from nova_bench.run import Run
from nova_bench.table import Table
from nova_bench.types import Metric
from nova_bench.viewer.typeset import short


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    """One number a line.

    Attributes:
        name: Of the metric or column.
        about: One line on what it is.
        higher_is_better: None where that is not known, as of a column.
        values: float array (n,), NaN where a line has none.
        also: Other metrics of the same judge, or of none, that have the same value on every line.
        judge: Whose verdicts it is made from; empty for none.
    """

    name: str
    about: str
    higher_is_better: bool | None
    values: np.ndarray
    also: tuple[str, ...] = ()
    judge: str = ""


def numbers_of(run: Run) -> list[Number]:
    """Return the numbers of a run's lines, the headline metric first where one answer has a value in it.

    A metric is one that is a ratio of sums over lines (`nova_bench.types.Metric.sums`): its value on one line is the line's own ratio. Pooled
    forms, such as average precision or BLEU over a corpus, have no value on one sample. Columns of counts are left out; they stand with each
    sample.
    """
    table = run.scored.table
    made: list[Number] = []
    for metric, judge, lines in _metrics(run, table):
        if metric.sums is None or not metric.infer or not lines.any():
            continue
        values = np.full(len(table), np.nan)
        above, below = metric.sums(table.take(lines))
        values[lines] = np.divide(above, below, out=np.full(len(above), np.nan), where=below != 0)
        number = Number(metric.name, metric.about, metric.higher_is_better, values, judge=judge)
        if not _is_known(number, made):
            made.append(number)
    for name, column in table.columns.items():
        if not isinstance(column, np.ndarray) or name.startswith("verdict("):
            continue
        finite = column[np.isfinite(column)]
        number = Number(name, "A column of the sample's row.", None, column)
        if (finite != np.round(finite)).any() and not any(_is_same(number, one) for one in made):
            made.append(number)
    made.sort(key=lambda number: run.plan.task.headline not in (number.name, *number.also))
    return made


def _metrics(run: Run, table: Table) -> Iterator[tuple[Metric, str, np.ndarray]]:
    """Yield each metric whose columns are there, its judge, and the lines that it has a value on."""
    for metric in run.plan.task.plain_metrics:
        if set(metric.needs) <= set(table.columns):
            yield metric, "", run.scored.answered
    for judged in run.judged_metrics:
        if set(judged.metric.needs) <= set(table.columns):
            yield judged.metric, judged.asked.name, judged.states(table) == JUDGED


def _is_known(number: Number, made: list[Number]) -> bool:
    """Enter a metric's name beside that of an earlier one with the same values; return whether there is one."""
    for place, earlier in enumerate(made):
        same = (earlier.judge, earlier.higher_is_better) == (number.judge, number.higher_is_better)
        if same and _is_same(number, earlier):
            made[place] = dataclasses.replace(earlier, also=(*earlier.also, number.name))
            return True
    return False


def _is_same(one: Number, two: Number) -> bool:
    return bool(np.array_equal(one.values, two.values, equal_nan=True))


def value_at(number: Number | None, row: int | None) -> float | int | None:
    """Return a number's value on a line; None where the run has no such line or the line no value.

    Args:
        number: Of one run; None where that run lacks it.
        row: The line's place in that run's table.
    """
    return None if number is None or row is None else short(float(number.values[row]))


def shared(numbers: Sequence[Sequence[Number]]) -> list[tuple[Number, list[Number | None]]]:
    """Return the numbers of several runs by name, in the first run's order: what each is, and its values in every run."""
    names = dict.fromkeys(number.name for some in numbers for number in some)
    made = []
    for name in names:
        found = [
            next((number for number in some if name in (number.name, *number.also)), None) for some in numbers
        ]
        first = next(number for number in found if number is not None and number.name == name)
        made.append((first, found))
    return made
