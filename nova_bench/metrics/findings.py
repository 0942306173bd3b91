"""Metrics of what a caption finds: F1 of its keywords, and whether it calls the image normal or abnormal.

They read counts, and do not mind whether a word list or a judge found the keywords: `by` says which, and is part of every name. For a
judge `by` is None here: the engine writes his name into the names of columns and metrics (`nova_bench.judged_rows`). The version is the word
list's for a judge too: it counts how much an answer without a word weighs.
"""

from __future__ import annotations

import numpy as np

from nova_bench.metrics.classification import divide, mean_of, ratio_of_sums
from nova_bench.metrics.radiology_lexicon import LEXICON_VERSION, Findings
from nova_bench.table import Table
from nova_bench.types import Metric

__all__ = [
    "binary_accuracy",
    "binary_f1",
    "findings_columns",
    "findings_metrics",
    "findings_row",
    "keyword_columns",
    "keyword_f1",
    "keyword_union_f1",
    "prevalence",
]

_KINDS = ("clinical", "modality")


def _named(name: str, *options: str | None) -> str:
    """Return ``name(option,option)``, without those that are None.

    >>> _named("clinical_f1", "lexicon", "corpus"), _named("clinical_f1", None, None)
    ('clinical_f1(lexicon,corpus)', 'clinical_f1')
    """
    given = ",".join(option for option in options if option)
    return f"{name}({given})" if given else name


def findings_columns(by: str | None = "lexicon") -> tuple[str, ...]:
    """Return the columns of `findings_row`.

    Args:
        by: Who found the keywords.
    """
    # Which images count is the reference's to say: the word list finds the same each time, a judge need not.
    whats = ("matched", "predicted", "true", *(() if by else ("counts",)))
    counts = tuple(_named(f"{kind}_{what}", by) for kind in _KINDS for what in whats)
    return (
        *counts,
        _named("abnormal_true", by),
        _named("abnormal_predicted", by),
        _named("abnormal_matched", by),
        _named("abnormality_agrees", by),
    )


def findings_row(
    reference: Findings,
    predicted: Findings,
    by: str | None = "lexicon",
    *,
    by_rule: Findings | None = None,
) -> dict[str, float]:
    """Return one sample's counts of keywords, and its two calls of normal or abnormal.

    A reference without a word has NaN throughout and counts nowhere. A prediction without a word calls nothing abnormal and
    agrees with no reference.

    Args:
        reference: What the reference says.
        predicted: What the answer says.
        by: Who found the keywords; part of the columns' names.
        by_rule: For a judge, what the reference says without him: an image whose reference has a keyword of a kind here counts in that
            kind's mean. By default `reference`.
    """
    if reference.abnormal is None:
        return dict.fromkeys(findings_columns(by), float("nan"))
    row: dict[str, float] = {}
    for kind in _KINDS:
        true: frozenset[str] = getattr(reference, kind)
        found: frozenset[str] = getattr(predicted, kind)
        row[_named(f"{kind}_matched", by)] = float(len(true & found))
        row[_named(f"{kind}_predicted", by)] = float(len(found))
        row[_named(f"{kind}_true", by)] = float(len(true))
        if by is None:
            row[f"{kind}_counts"] = float(bool(getattr(by_rule or reference, kind)))
    row[_named("abnormal_true", by)] = float(reference.abnormal)
    row[_named("abnormal_predicted", by)] = float(bool(predicted.abnormal))
    row[_named("abnormal_matched", by)] = float(bool(predicted.abnormal) and reference.abnormal)
    row[_named("abnormality_agrees", by)] = float(predicted.abnormal == reference.abnormal)
    return row


def keyword_f1(kind: str, by: str | None = "lexicon", corpus: bool = False) -> Metric:
    """Return the F1 between the sets of keywords of answer and reference (NOVA, arXiv 2505.14064).

    Per image, the default: the mean of ``2 matched / (predicted + true)`` over the images whose reference has a keyword of this
    kind. The others are left out whatever was answered, so that the denominator is the same for every model and silence earns
    nothing. For a judge too the reference alone says which images count: where he lists nothing of it, F1 is 0. Over the corpus: the three
    counts are added up first, and keywords predicted where the reference has none count against the answer. NaN where
    nothing counts.

    Args:
        kind: ``clinical`` or ``modality``.
        by: Who found the keywords.
        corpus: Whether to pool the counts over the corpus.
    """
    matched, predicted, true = needs = tuple(
        _named(f"{kind}_{what}", by) for what in ("matched", "predicted", "true")
    )
    known = true if by or corpus else f"{kind}_counts"

    def per_image(table: Table) -> tuple[np.ndarray, np.ndarray]:
        counts = table[known] > 0
        f1 = divide(2.0 * table[matched], table[predicted] + table[true])
        return np.where(counts, np.nan_to_num(f1), 0.0), counts.astype(np.float64)

    def pooled(table: Table) -> tuple[np.ndarray, np.ndarray]:
        return np.nan_to_num(2.0 * table[matched]), np.nan_to_num(table[predicted] + table[true])

    words = "words of modality and plane" if kind == "modality" else "clinical keywords"
    how = "counts pooled over the corpus" if corpus else "mean over images"
    return ratio_of_sums(
        _named(f"{kind}_f1", by, "corpus" if corpus else None),
        tuple(dict.fromkeys((*needs, known))),
        pooled if corpus else per_image,
        version=LEXICON_VERSION,
        about=f"Set F1 over {words}, {how} (NOVA, arXiv 2505.14064); keywords by {by or 'the judge'}.",
    )


def keyword_columns() -> tuple[str, ...]:
    """Return the ragged columns that `keyword_union_f1` reads: codes of the keywords, as `nova_bench.scorers.diagnosis.label_code` gives."""
    return tuple(f"{kind}_keywords_{whose}" for kind in _KINDS for whose in ("true", "predicted"))


def keyword_union_f1(kind: str) -> Metric:
    """Return the F1 between two vocabularies: all keywords of all references, and all of all answers, each counted once.

    A keyword of one image that an answer to another image has is a match, so this says which concepts a model ever uses and not whether it
    uses them where they belong. NaN where there is no keyword. It grows with the number of images and has no interval.

    Args:
        kind: ``clinical`` or ``modality``.
    """
    needs = tuple(f"{kind}_keywords_{whose}" for whose in ("true", "predicted"))

    def compute(table: Table, weights: np.ndarray) -> np.ndarray:
        columns = [table.ragged(name) for name in needs]
        values = np.full(len(weights), np.nan)
        for i, line in enumerate(weights):
            true, found = (np.unique(column.values[line[column.row] > 0]) for column in columns)
            if len(true) + len(found):
                values[i] = 2.0 * len(np.intersect1d(true, found)) / (len(true) + len(found))
        return values

    return Metric(
        name=f"{kind}_f1(union)",
        needs=needs,
        compute=compute,
        version=LEXICON_VERSION,
        infer=False,
        about=f"F1 between the {kind} vocabularies of all references and of all answers, each keyword once (NOVA, arXiv 2505.14064, as one "
        "of the readings in circulation); keywords by the judge.",
    )


def binary_accuracy(by: str | None = "lexicon") -> Metric:
    """Return the share of samples whose answer and reference are both normal or both abnormal.

    An empty answer is neither, so wrong; samples with an empty reference are left out; NaN where none is left.

    Args:
        by: Who decided.
    """
    return mean_of(
        _named("abnormality_agrees", by),
        _named("binary_accuracy", by),
        version=LEXICON_VERSION,
        about=f"Share of captions that agree with the reference on normal or abnormal (NOVA, arXiv 2505.14064); decided by {by or 'the judge'}.",
    )


def binary_f1(by: str | None = "lexicon") -> Metric:
    """Return F1 with abnormal as the positive class, ``2 TP / (2 TP + FP + FN)`` over the corpus.

    NaN where neither side has anything abnormal. An empty answer calls nothing abnormal: a false negative where the reference
    is abnormal. With nearly all references abnormal, a model that always says "lesion" comes near 1: read it beside
    `binary_accuracy` and `prevalence`.

    Args:
        by: Who decided.
    """
    # Both abnormal has a column of its own: of a line whose verdicts differ it is no product of the other two.
    needs = true, predicted, matched = tuple(
        _named(f"abnormal_{what}", by) for what in ("true", "predicted", "matched")
    )

    def sums(table: Table) -> tuple[np.ndarray, np.ndarray]:
        return np.nan_to_num(2.0 * table[matched]), np.nan_to_num(table[true] + table[predicted])

    return ratio_of_sums(
        _named("binary_f1", by),
        needs,
        sums,
        version=LEXICON_VERSION,
        about=f"F1 of calling a caption abnormal (NOVA, arXiv 2505.14064); decided by {by or 'the judge'}.",
    )


def prevalence(by: str | None = "lexicon") -> Metric:
    """Return the share of references that are abnormal: what a model that always says "abnormal" gets as `binary_accuracy`.

    Args:
        by: Who decided.
    """
    return mean_of(
        _named("abnormal_true", by),
        _named("prevalence", by),
        version=LEXICON_VERSION,
        infer=False,
        about=f"Share of references that are abnormal, to read the binary scores by; decided by {by or 'the judge'}.",
    )


def findings_metrics(by: str | None = "lexicon") -> tuple[Metric, ...]:
    """Return the metrics that read `findings_row`: Clinical F1 and Modality F1 in both forms, binary accuracy and F1, prevalence.

    Args:
        by: ``lexicon`` for the stand-in without a judge, or None for a judge; then the form over the corpus's vocabulary is there too.

    Examples:
        >>> [metric.name for metric in findings_metrics(None)][:3]
        ['clinical_f1', 'clinical_f1(corpus)', 'clinical_f1(union)']
    """
    union = {kind: () if by else (keyword_union_f1(kind),) for kind in _KINDS}
    return (
        keyword_f1("clinical", by),
        keyword_f1("clinical", by, corpus=True),
        *union["clinical"],
        keyword_f1("modality", by),
        keyword_f1("modality", by, corpus=True),
        *union["modality"],
        binary_accuracy(by),
        binary_f1(by),
        prevalence(by),
    )
