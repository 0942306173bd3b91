"""Rows of free text against one reference: n-gram counts, ROUGE-L, METEOR, BERTScore.

A prediction without a value (unparsed, refused, rejected) is scored as an empty text. A sample's target is the reference, a
string; an empty one or None gives a row that counts nowhere: zeros for BLEU, NaN for the others.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from nova_bench.metrics.generation import (
    BLEU_COLUMNS,
    bert_score_of,
    bert_score_remedy,
    bleu_of,
    meteor_of,
    rouge_l_of,
)
from nova_bench.metrics.wordnet import load_wordnet, wordnet_remedy
from nova_bench.scorers.findings import answer_text, findings_lexicon, reference_text
from nova_bench.types import Item, Row, Sample, Scorer

__all__ = ["bertscore", "bleu", "caption_scorers", "meteor", "rouge_l"]

NAN = float("nan")


def _pair_scorer(
    name: str,
    columns: tuple[str, ...],
    row_of: Callable[[str, str], Row],
    without_reference: Row,
    missing: Callable[[], str | None] | None = None,
) -> Scorer:
    """Lift a function from (answer, reference) to a row; the worst answer is the empty text, the best the reference itself."""

    def row(answer: str, reference: str) -> Row:
        return row_of(answer, reference) if reference else without_reference

    def rows(items: Iterable[Item]) -> Iterator[Row]:
        for item in items:
            yield row(answer_text(item.prediction), reference_text(item.sample))

    def bounds(sample: Sample) -> tuple[Row, Row]:
        reference = reference_text(sample)
        return row("", reference), row(reference, reference)

    return Scorer(name=name, columns=columns, rows=rows, bounds=bounds, missing=missing)


def bleu() -> Scorer:
    """Return the scorer of BLEU's counts, see `nova_bench.metrics.generation.bleu_of`.

    Bounds: the empty text and the reference itself. BLEU being no mean, a long wrong text can do a little worse than none.
    """
    count = functools.cache(bleu_of)

    def row_of(answer: str, reference: str) -> Row:
        return dict(zip(BLEU_COLUMNS, count()(answer, reference), strict=True))

    return _pair_scorer("bleu", BLEU_COLUMNS, row_of, dict.fromkeys(BLEU_COLUMNS, 0))


def rouge_l() -> Scorer:
    """Return the scorer of ROUGE-L F1. Bounds: the empty text, which is 0, and the reference itself, which is 1."""
    score = functools.cache(rouge_l_of)
    return _pair_scorer(
        "rougeL",
        ("rougeL",),
        lambda answer, reference: {"rougeL": score()(answer, reference)},
        {"rougeL": NAN},
    )


def meteor(cache: Path | None = None) -> Scorer:
    """Return the scorer of METEOR.

    Bounds: the empty text, which is 0, and the reference itself, which is just below 1 (one chunk costs a little).

    Args:
        cache: Where WordNet is put together from Debian's files, ``~/.cache/nova_bench/nltk_data`` by default.
    """

    @functools.cache
    def score() -> Callable[[str, str], float]:
        return meteor_of(load_wordnet(cache))

    return _pair_scorer(
        "meteor",
        ("meteor",),
        lambda answer, reference: {"meteor": score()(answer, reference)},
        {"meteor": NAN},
        missing=lambda: wordnet_remedy(cache),
    )


def bertscore(model: str = "roberta-large", batch_size: int = 64) -> Scorer:
    """Return the scorer of BERTScore F1, in batches.

    Bounds: 0 for the empty text and 1 for the reference itself; F1 of a wrong text is above 0 in practice, so the lower bound
    is generous.

    Args:
        model: The model's name on the Hugging Face hub; its files have to be on this machine.
        batch_size: Texts per pass through the model.
    """
    column = f"bertscore({model})"

    @functools.cache
    def score() -> Callable[[Sequence[str], Sequence[str]], list[float]]:
        return bert_score_of(model, batch_size)

    def rows(items: Iterable[Item]) -> Iterator[Row]:
        stream = iter(items)
        while batch := list(itertools.islice(stream, batch_size)):
            pairs = [(answer_text(item.prediction), reference_text(item.sample)) for item in batch]
            known = [(answer, reference) for answer, reference in pairs if reference]
            values = iter(
                score()([answer for answer, _ in known], [reference for _, reference in known])
                if known
                else ()
            )
            yield from ({column: next(values) if reference else NAN} for _, reference in pairs)

    def bounds(sample: Sample) -> tuple[Row, Row]:
        known = bool(reference_text(sample))
        return {column: 0.0 if known else NAN}, {column: 1.0 if known else NAN}

    return Scorer(
        name=column, columns=(column,), rows=rows, bounds=bounds, missing=lambda: bert_score_remedy(model)
    )


def caption_scorers() -> tuple[Scorer, ...]:
    """Return the scorers of a caption task that need no judge; their columns are what `caption_metrics` reads."""
    return (bleu(), rouge_l(), meteor(), bertscore(), findings_lexicon())
