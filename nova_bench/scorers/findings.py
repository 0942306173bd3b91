"""Rows of what a caption says by a word list: keywords, normal or abnormal; and the texts that all caption scorers compare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nova_bench.metrics.findings import findings_columns, findings_row
from nova_bench.metrics.radiology_lexicon import (
    LEXICON_VERSION,
    Findings,
    all_keywords,
    extract_findings,
)
from nova_bench.types import Item, Prediction, Row, Sample, Scorer

__all__ = ["answer_text", "findings_lexicon", "reference_text"]


def answer_text(prediction: Prediction) -> str:
    """Return what is scored of a prediction: its text, empty where there is none.

    Examples:
        >>> answer_text(Prediction("refused")), answer_text(Prediction("ok", "A lesion."))
        ('', 'A lesion.')
    """
    if prediction.value is None:
        return ""
    if not isinstance(prediction.value, str):
        raise TypeError(
            f"a caption's prediction holds a text, but got {type(prediction.value).__name__}: check the task's parse"
        )
    return prediction.value


def reference_text(sample: Sample) -> str:
    """Return a sample's reference text, empty where there is none."""
    if sample.target is None:
        return ""
    if not isinstance(sample.target, str):
        raise TypeError(
            f"a caption's target is a text, but sample {sample.id} has {type(sample.target).__name__}: check the task's sample"
        )
    return sample.target.strip()


def findings_lexicon() -> Scorer:
    """Return the scorer of keywords and abnormality by the word list of `nova_bench.metrics.radiology_lexicon`.

    The target is the reference caption, a string, and the prediction's value a string; no value is an empty text, and an empty
    reference gives NaN. Bounds: the best answer is the reference itself; the worst has every keyword that the word list knows but
    the reference's, and the opposite call of normal or abnormal.
    """

    def rows(items: Iterable[Item]) -> Iterator[Row]:
        for item in items:
            yield findings_row(
                extract_findings(reference_text(item.sample)), extract_findings(answer_text(item.prediction))
            )

    def bounds(sample: Sample) -> tuple[Row, Row]:
        reference = extract_findings(reference_text(sample))
        wrong = all_keywords() - reference.keywords
        opposite = Findings(wrong, None if reference.abnormal is None else not reference.abnormal)
        return findings_row(reference, opposite), findings_row(reference, reference)

    return Scorer(
        name="findings(lexicon)",
        columns=findings_columns(),
        rows=rows,
        bounds=bounds,
        version=LEXICON_VERSION,
    )
