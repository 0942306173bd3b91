"""Metrics of what a caption finds: F1 of its keywords, and whether it calls the image normal or abnormal.

They read counts, and do not mind whether a word list or a judge found the keywords: `by` says which, and is part of every name.
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
    "keyword_f1",
    "prevalence",
]

_KINDS = ("clinical", "modality")


def _version(by: str) -> int:
    return LEXICON_VERSION if by == "lexicon" else 1


def findings_columns(by: str = "lexicon") -> tuple[str, ...]:
    """Return the columns of `findings_row`.

    Args:
        by: Who found the keywords.
    """
    counts = tuple(f"{kind}_{what}({by})" for kind in _KINDS for what in ("matched", "predicted", "true"))
    return (*counts, f"abnormal_true({by})", f"abnormal_predicted({by})", f"abnormality_agrees({by})")


def findings_row(reference: Findings, predicted: Findings, by: str = "lexicon") -> dict[str, float]:
    """Return one sample's counts of keywords, and its two calls of normal or abnormal.

    A reference without a word has NaN throughout and counts nowhere. A prediction without a word calls nothing abnormal and
    agrees with no reference.

    Args:
        reference: What the reference says.
        predicted: What the answer says.
        by: Who found the keywords; part of the columns' names.
    """
    if reference.abnormal is None:
        return dict.fromkeys(findings_columns(by), float("nan"))
    row: dict[str, float] = {}
    for kind in _KINDS:
        true: frozenset[str] = getattr(reference, kind)
        found: frozenset[str] = getattr(predicted, kind)
        row[f"{kind}_matched({by})"] = float(len(true & found))
        row[f"{kind}_predicted({by})"] = float(len(found))
        row[f"{kind}_true({by})"] = float(len(true))
    row[f"abnormal_true({by})"] = float(reference.abnormal)
    row[f"abnormal_predicted({by})"] = float(bool(predicted.abnormal))
    row[f"abnormality_agrees({by})"] = float(predicted.abnormal == reference.abnormal)
    return row


def keyword_f1(kind: str, by: str = "lexicon", corpus: bool = False) -> Metric:
    """Return the F1 between the sets of keywords of answer and reference (NOVA, arXiv 2505.14064).

    Per image, the default: the mean of ``2 matched / (predicted + true)`` over the images whose reference has a keyword of this
    kind. The others are left out whatever was answered, so that the denominator is the same for every model and silence earns
    nothing. Over the corpus: the three counts are added up first, and keywords predicted where the reference has none count
    against the answer. NaN where nothing counts.

    Args:
        kind: ``clinical`` or ``modality``.
        by: Who found the keywords.
        corpus: Whether to pool the counts over the corpus.
    """
    matched, predicted, true = needs = tuple(
        f"{kind}_{what}({by})" for what in ("matched", "predicted", "true")
    )

    def per_image(table: Table) -> tuple[np.ndarray, np.ndarray]:
        counts = table[true] > 0
        f1 = divide(2.0 * table[matched], table[predicted] + table[true])
        return np.where(counts, f1, 0.0), counts.astype(np.float64)

    def pooled(table: Table) -> tuple[np.ndarray, np.ndarray]:
        return np.nan_to_num(2.0 * table[matched]), np.nan_to_num(table[predicted] + table[true])

    words = "words of modality and plane" if kind == "modality" else "clinical keywords"
    how = "counts pooled over the corpus" if corpus else "mean over images"
    return ratio_of_sums(
        f"{kind}_f1({by}{',corpus' if corpus else ''})",
        needs,
        pooled if corpus else per_image,
        version=_version(by),
        about=f"Set F1 over {words}, {how} (NOVA, arXiv 2505.14064); keywords by {by}.",
    )


def binary_accuracy(by: str = "lexicon") -> Metric:
    """Return the share of samples whose answer and reference are both normal or both abnormal.

    An empty answer is neither, so wrong; samples with an empty reference are left out; NaN where none is left.

    Args:
        by: Who decided.
    """
    return mean_of(
        f"abnormality_agrees({by})",
        f"binary_accuracy({by})",
        version=_version(by),
        about=f"Share of captions that agree with the reference on normal or abnormal (NOVA, arXiv 2505.14064); decided by {by}.",
    )


def binary_f1(by: str = "lexicon") -> Metric:
    """Return F1 with abnormal as the positive class, ``2 TP / (2 TP + FP + FN)`` over the corpus.

    NaN where neither side has anything abnormal. An empty answer calls nothing abnormal: a false negative where the reference
    is abnormal. With nearly all references abnormal, a model that always says "lesion" comes near 1: read it beside
    `binary_accuracy` and `prevalence`.

    Args:
        by: Who decided.
    """
    true, predicted = f"abnormal_true({by})", f"abnormal_predicted({by})"

    def sums(table: Table) -> tuple[np.ndarray, np.ndarray]:
        return np.nan_to_num(2.0 * table[true] * table[predicted]), np.nan_to_num(
            table[true] + table[predicted]
        )

    return ratio_of_sums(
        f"binary_f1({by})",
        (true, predicted),
        sums,
        version=_version(by),
        about=f"F1 of calling a caption abnormal (NOVA, arXiv 2505.14064); decided by {by}.",
    )


def prevalence(by: str = "lexicon") -> Metric:
    """Return the share of references that are abnormal: what a model that always says "abnormal" gets as `binary_accuracy`.

    Args:
        by: Who decided.
    """
    return mean_of(
        f"abnormal_true({by})",
        f"prevalence({by})",
        version=_version(by),
        infer=False,
        about=f"Share of references that are abnormal, to read the binary scores by; decided by {by}.",
    )


def findings_metrics(by: str = "lexicon") -> tuple[Metric, ...]:
    """Return the metrics that read `findings_row`: Clinical F1 and Modality F1 in both forms, binary accuracy and F1, prevalence.

    Args:
        by: ``lexicon`` for the stand-in without a judge, or ``judge=NAME``.
    """
    return (
        keyword_f1("clinical", by),
        keyword_f1("clinical", by, corpus=True),
        keyword_f1("modality", by),
        keyword_f1("modality", by, corpus=True),
        binary_accuracy(by),
        binary_f1(by),
        prevalence(by),
    )
