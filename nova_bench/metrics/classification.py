"""Metrics that are a ratio of two weighted sums, and those of a list of diagnoses.

A mean, an accuracy and a pooled F1 are all ``sum(num) / sum(den)`` over the rows, so they have an exact standard error and
share one `compute`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nova_bench.table import Table
from nova_bench.text import NORMALISATION_VERSION
from nova_bench.types import Metric

__all__ = [
    "accuracy",
    "case_mean_of",
    "coverage",
    "diagnosis_metrics",
    "divide",
    "entropy_of",
    "mean_of",
    "ratio_of",
    "ratio_of_sums",
]


def divide(num: np.ndarray, den: np.ndarray) -> np.ndarray:
    """Return ``num / den``, NaN where `den` is 0.

    Args:
        num: float array (b,).
        den: float array (b,).

    Examples:
        >>> divide(np.array([1.0, 3.0]), np.array([2.0, 0.0]))
        array([0.5, nan])
    """
    num, den = np.broadcast_arrays(np.asarray(num, dtype=np.float64), np.asarray(den, dtype=np.float64))
    quotient = np.full(num.shape, np.nan)
    np.divide(num, den, out=quotient, where=den != 0)
    return quotient


def ratio_of_sums(
    name: str,
    needs: tuple[str, ...],
    sums: Callable[[Table], tuple[np.ndarray, np.ndarray]],
    *,
    higher_is_better: bool = True,
    range: tuple[float, float] | None = (0.0, 1.0),
    infer: bool = True,
    about: str = "",
    version: int = 1,
) -> Metric:
    """Return the metric ``sum(w * num) / sum(w * den)``.

    Args:
        name: The metric's name.
        needs: The columns that `sums` reads.
        sums: From a table to numerator and denominator, float arrays (n,), finite; a row that does not count has 0 in both.
        higher_is_better: Direction.
        range: Bounds of the value, None where it has none.
        infer: Whether intervals and comparisons make sense.
        about: One line with the source.
        version: Raised when the same rows give another number.
    """

    def compute(table: Table, weights: np.ndarray) -> np.ndarray:
        num, den = sums(table)
        return divide(weights @ num, weights @ den)

    return Metric(
        name=name,
        needs=needs,
        compute=compute,
        sums=sums,
        version=version,
        higher_is_better=higher_is_better,
        range=range,
        infer=infer,
        about=about,
    )


def ratio_of(
    num: str, den: str, name: str, *, higher_is_better: bool = True, infer: bool = True, about: str = ""
) -> Metric:
    """Return the ratio of two columns' sums (pooled F1: ``2 TP`` over ``2 TP + FP + FN``).

    A row with NaN in either column is left out; NaN where the denominators add up to 0.

    Args:
        num: The numerator's column.
        den: The denominator's column.
        name: The metric's name.
        higher_is_better: Direction.
        infer: Whether intervals and comparisons make sense.
        about: One line with the source.
    """

    def sums(table: Table) -> tuple[np.ndarray, np.ndarray]:
        known = ~(np.isnan(table[num]) | np.isnan(table[den]))
        return np.where(known, table[num], 0.0), np.where(known, table[den], 0.0)

    return ratio_of_sums(name, (num, den), sums, higher_is_better=higher_is_better, infer=infer, about=about)


def mean_of(
    column: str,
    name: str,
    *,
    higher_is_better: bool = True,
    range: tuple[float, float] | None = (0.0, 1.0),
    infer: bool = True,
    about: str = "",
    version: int = 1,
) -> Metric:
    """Return the weighted mean of a column over the rows where it is not NaN; NaN where there is none.

    Args:
        column: A dense column.
        name: The metric's name.
        higher_is_better: Direction.
        range: Bounds of the value, None where it has none.
        infer: Whether intervals and comparisons make sense.
        about: One line with the source.
        version: Raised when the same rows give another number.

    Examples:
        >>> from nova_bench.table import Table
        >>> blank = np.array(["a", "b", "c"], dtype=object)
        >>> table = Table(blank, blank, np.zeros(3, int), blank, blank, {}, {"right": np.array([1.0, 0.0, np.nan])})
        >>> mean_of("right", "accuracy").compute(table, table.ones())
        array([0.5])
    """

    def sums(table: Table) -> tuple[np.ndarray, np.ndarray]:
        known = ~np.isnan(table[column])
        return np.where(known, table[column], 0.0), known.astype(np.float64)

    return ratio_of_sums(
        name,
        (column,),
        sums,
        higher_is_better=higher_is_better,
        range=range,
        infer=infer,
        about=about,
        version=version,
    )


def accuracy(
    column: str = "correct", name: str = "accuracy", *, about: str = "Share of answers that are right."
) -> Metric:
    """Return the share of rows whose `column` is 1; NaN rows are left out, NaN where none is left.

    Args:
        column: A column of 0 and 1.
        name: The metric's name.
        about: One line with the source.
    """
    return mean_of(column, name, about=about)


def case_mean_of(column: str, name: str, *, about: str = "", version: int = 1) -> Metric:
    """Return the mean over cases of a column's mean within the case: each case weighs the same, whatever its number of images.

    A case is the table's cluster. With weights, a case's value is the weighted mean of its lines and its weight is the largest
    of its lines' weights, so a resample of whole cases counts each as often as it was drawn. Lines with NaN (failed ones among
    them) are left out; a case of which nothing is left does not count; NaN where no case does. `sums` gives the same number as
    long as the lines of a case that count have one weight: a row's numerator is ``value / m`` and its denominator ``1 / m``, m
    being how many lines of its case the table has a value for.

    Args:
        column: A dense column.
        name: The metric's name.
        about: One line with the source.
        version: Raised when the same rows give another number.
    """

    def compute(table: Table, weights: np.ndarray) -> np.ndarray:
        if not len(table):
            return np.full(len(weights), np.nan)
        codes, n_cases = table.cluster_codes()
        order = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[order], np.arange(n_cases))
        used = (weights * ~np.isnan(table[column]))[:, order]
        num = np.add.reduceat(used * np.nan_to_num(table[column])[order], starts, axis=1)
        den = np.add.reduceat(used, starts, axis=1)
        case_weight = np.maximum.reduceat(used, starts, axis=1)
        share = np.divide(num, den, out=np.zeros_like(num), where=den > 0)
        return divide((case_weight * share).sum(axis=1), case_weight.sum(axis=1))

    def sums(table: Table) -> tuple[np.ndarray, np.ndarray]:
        codes, n_cases = table.cluster_codes()
        known = (~np.isnan(table[column])).astype(np.float64)
        lines = np.bincount(codes, weights=known, minlength=n_cases)[codes]
        den = np.divide(known, lines, out=np.zeros_like(known), where=lines > 0)
        return np.nan_to_num(table[column]) * den, den

    return Metric(name=name, needs=(column,), compute=compute, sums=sums, about=about, version=version)


def coverage(predicted: str, truth: str, name: str, *, about: str = "", version: int = 1) -> Metric:
    """Return how many different labels were predicted over how many different labels are true.

    Counted among the rows with a positive weight; NaN in a column is no label. Can exceed 1. NaN where there is no true label,
    0 where nothing was predicted.

    Args:
        predicted: A dense column of label codes.
        truth: The same for the truth.
        name: The metric's name.
        about: One line with the source.
        version: Raised when the same rows give another number.
    """

    def different(codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
        known = ~np.isnan(codes)
        _, label = np.unique(codes[known], return_inverse=True)
        there = weights[:, known] > 0
        return np.asarray([len(np.unique(label[line])) for line in there], dtype=np.float64)

    def compute(table: Table, weights: np.ndarray) -> np.ndarray:
        return divide(different(table[predicted], weights), different(table[truth], weights))

    return Metric(
        name=name,
        needs=(predicted, truth),
        compute=compute,
        range=None,
        infer=False,
        about=about,
        version=version,
    )


def entropy_of(column: str, name: str, *, about: str = "") -> Metric:
    """Return the Shannon entropy, in bits, of the labels in a ragged column, pooled over the rows with the row's weight.

    0 where all labels are one; NaN where there is no label.

    Args:
        column: A ragged column of label codes.
        name: The metric's name.
        about: One line with the source.
    """

    def compute(table: Table, weights: np.ndarray) -> np.ndarray:
        ragged = table.ragged(column)
        _, label = np.unique(ragged.values, return_inverse=True)
        values = np.full(len(weights), np.nan)
        for i, line in enumerate(weights):
            counts = np.bincount(label, weights=line[ragged.row]) if len(label) else np.zeros(0)
            shares = counts[counts > 0] / counts.sum() if counts.sum() > 0 else counts[:0]
            if len(shares):
                values[i] = max(0.0, -float(np.sum(shares * np.log2(shares))))
        return values

    return Metric(name=name, needs=(column,), compute=compute, range=None, infer=False, about=about)


def diagnosis_metrics(match: str | None = "normalised") -> tuple[Metric, ...]:
    """Return the metrics of a diagnosis task: top1, top5, both with the unit case, and coverage and entropy.

    NOVA (arXiv 2505.14064) prints Top-1, Top-5, Coverage and Entropy, each image weighing the same; ``unit=case`` is the other
    unit in circulation and is never to be compared with it. Coverage is taken over the most likely diagnoses, because the paper
    does not say over which; entropy over all five.

    Args:
        match: How a candidate was found right: ``normalised``, or None for a judge, whose name the engine writes into the names. The
            columns read are ``top1(MATCH)`` and ``top5(MATCH)``, of a judge ``top1`` and ``top5``. Coverage and entropy do not depend on
            a judge and come with ``normalised`` only.

    Examples:
        >>> [metric.name for metric in diagnosis_metrics()][:3]
        ['top1(normalised)', 'top5(normalised)', 'top1(normalised,unit=case)']
        >>> [metric.name for metric in diagnosis_metrics(None)]
        ['top1', 'top5', 'top1(unit=case)', 'top5(unit=case)']
    """
    how = (
        "equal strings after normalisation, a stand-in for a judge who would accept synonyms"
        if match == "normalised"
        else "as the judge found, synonyms allowed"
    )
    version = NORMALISATION_VERSION if match == "normalised" else 1
    plain, by_case = (f"({match})", f"({match},unit=case)") if match else ("", "(unit=case)")
    hits = (
        ("top1", "Share of images whose most likely diagnosis is right"),
        ("top5", "Share of images with the right diagnosis among the five candidates"),
    )
    metrics = [
        mean_of(
            f"{k}{plain}",
            f"{k}{plain}",
            about=f"{text} (NOVA, arXiv 2505.14064): {how}.",
            version=version,
        )
        for k, text in hits
    ]
    metrics += [
        case_mean_of(
            f"{k}{plain}",
            f"{k}{by_case}",
            about=f"{text}, averaged within a case first, each case weighing the same: {how}.",
            version=version,
        )
        for k, text in hits
    ]
    if match == "normalised":
        about = "Different most likely diagnoses over different true ones, normalised (NOVA, arXiv 2505.14064); can exceed 1."
        metrics.append(
            coverage("predicted_label", "true_label", "coverage(normalised)", about=about, version=version)
        )
        about = "Shannon entropy in bits of the pooled predicted labels, all five, lower-cased (NOVA, arXiv 2505.14064)."
        metrics.append(entropy_of("candidate_labels", "entropy", about=about))
    return tuple(metrics)
