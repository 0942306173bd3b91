"""Rows of a free answer against one reference by its tokens, and a code of the answer that tells whether it changed."""

from __future__ import annotations

from nova_bench.metrics.answers import (
    NORMALISATION_VERSION,
    exact_match_of,
    normalise_answer,
    token_f1_of,
)
from nova_bench.scorers.diagnosis import label_code
from nova_bench.scorers.findings import answer_text, reference_text
from nova_bench.scorers.generation import bertscore, bleu, meteor, rouge_l
from nova_bench.scorers.lifted import per_sample
from nova_bench.types import Prediction, Row, Sample, Scorer

__all__ = ["answer_match", "answer_scorers", "report_scorers"]

_COLUMNS = ("token_f1", "exact_match(short)", "answer_hash")


def answer_match() -> Scorer:
    """Return the scorer of token F1 and exact match, see `nova_bench.metrics.answers`.

    The target is the reference, a string; a prediction without a value (unparsed, refused, rejected) is an empty text. Columns:

    - ``token_f1``: in [0, 1]; NaN where the reference is empty after normalisation.
    - ``exact_match(short)``: 0 or 1; NaN where the reference is no short one.
    - ``answer_hash``: 48 bits of a hash of the normalised answer, the same on every machine, exact in a float: two samples have the same
      code where the same was said. An answer that is none has the code of the empty text, so that falling silent is a change.

    Bounds: the empty text and the reference itself.
    """

    def row(answer: str, reference: str) -> Row:
        return {
            "token_f1": token_f1_of(answer, reference),
            "exact_match(short)": exact_match_of(answer, reference),
            "answer_hash": float(label_code(normalise_answer(answer))),
        }

    def of(sample: Sample, prediction: Prediction) -> Row:
        return row(answer_text(prediction), reference_text(sample))

    def bounds(sample: Sample) -> tuple[Row, Row]:
        reference = reference_text(sample)
        return row("", reference), row(reference, reference)

    return per_sample(of, name="answers", columns=_COLUMNS, bounds=bounds, version=NORMALISATION_VERSION)


def answer_scorers() -> tuple[Scorer, ...]:
    """Return the scorers of free-form answers that need no judge; their columns are what `answer_metrics` reads."""
    return (answer_match(), bleu(), rouge_l(), meteor(), bertscore())


def report_scorers() -> tuple[Scorer, ...]:
    """Return the scorers of a report that need no judge; their columns are what `report_metrics` reads."""
    return (rouge_l(), bleu(), meteor(), answer_match(), bertscore())
