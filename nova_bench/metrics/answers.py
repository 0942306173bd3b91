"""Short free answers against one reference: token F1 and exact match, as SQuAD defines them.

Rajpurkar et al. 2016 ("SQuAD: 100,000+ Questions for Machine Comprehension of Text"): both texts are lower-cased, ASCII punctuation is
deleted (not replaced by a space, so "cup-to-disc" is one token and "0.7" is "07"), the articles a, an and the are dropped, and the rest
is cut at white space. Exact match asks for equal strings, F1 is the harmonic mean of precision and recall over the bags of tokens.
"""

from __future__ import annotations

import re
import string
from collections import Counter

from nova_bench.metrics.classification import mean_of
from nova_bench.metrics.generation import bertscore, bleu4, meteor, rouge_l
from nova_bench.text import without_surrogates
from nova_bench.types import Metric

__all__ = [
    "NORMALISATION_VERSION",
    "SHORT_TOKENS",
    "answer_metrics",
    "exact_match",
    "exact_match_of",
    "normalise_answer",
    "report_metrics",
    "token_f1",
    "token_f1_of",
]

NORMALISATION_VERSION = 1
"""Of `normalise_answer`; part of the signature of all that is made from it."""

SHORT_TOKENS = 5
"""A reference of at most so many tokens after normalisation is a short answer; only those count for exact match. The bound is ours."""

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


def normalise_answer(text: str) -> str:
    """Return an answer in the form in which two are compared: lower-cased, without ASCII punctuation and English articles, single spaces.

    >>> normalise_answer("The cup-to-disc ratio is 0.7.")
    'cuptodisc ratio is 07'
    """
    bare = without_surrogates(text).lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLE.sub(" ", bare).split())


def token_f1_of(answer: str, reference: str) -> float:
    """Return SQuAD's token F1 of one answer, in [0, 1].

    0 where no token is shared, so for an empty answer too. A reference of which normalisation leaves nothing has no F1: NaN.

    Args:
        answer: What was said.
        reference: What was expected.

    >>> token_f1_of("glaucoma suspect", "the glaucoma"), token_f1_of("", "glaucoma")
    (0.6666666666666666, 0.0)
    """
    said, expected = normalise_answer(answer).split(), normalise_answer(reference).split()
    if not expected:
        return float("nan")
    shared = sum((Counter(said) & Counter(expected)).values())
    return 2 * shared / (len(said) + len(expected))


def exact_match_of(answer: str, reference: str) -> float:
    """Return 1 where answer and reference are equal after normalisation, else 0; NaN where the reference is not short.

    Short is a reference of 1 to `SHORT_TOKENS` tokens: a sentence is hardly ever matched word by word, and a mean over sentences would only
    say how many references are short.

    Args:
        answer: What was said.
        reference: What was expected.

    >>> exact_match_of("Yes.", "yes"), exact_match_of("yes", "yes, there is a haemorrhage near the disc")
    (1.0, nan)
    """
    expected = normalise_answer(reference)
    if not 1 <= len(expected.split()) <= SHORT_TOKENS:
        return float("nan")
    return float(normalise_answer(answer) == expected)


def token_f1() -> Metric:
    """Return the mean over samples of token F1.

    No answer counts 0; references of which normalisation leaves nothing are left out; NaN where none is left.
    """
    return mean_of(
        "token_f1",
        "token_f1",
        about="Mean F1 over the bags of tokens of answer and reference, normalised as SQuAD does (Rajpurkar et al. 2016).",
        version=NORMALISATION_VERSION,
    )


def exact_match() -> Metric:
    """Return the share of short references that are matched exactly.

    No answer counts 0; references of more than `SHORT_TOKENS` tokens are left out; NaN where no reference is short.
    """
    return mean_of(
        "exact_match(short)",
        "exact_match(short)",
        about=f"Share of answers equal to the reference, normalised as SQuAD does (Rajpurkar et al. 2016), among references of at most "
        f"{SHORT_TOKENS} tokens.",
        version=NORMALISATION_VERSION,
    )


def answer_metrics() -> tuple[Metric, ...]:
    """Return the metrics of free-form answers that need no judge.

    >>> [metric.name for metric in answer_metrics()]
    ['token_f1', 'exact_match(short)', 'bleu4', 'rougeL', 'meteor', 'bertscore(roberta-large)']
    """
    return (token_f1(), exact_match(), bleu4(), rouge_l(), meteor(), bertscore())


def report_metrics() -> tuple[Metric, ...]:
    """Return the metrics of a report that need no judge.

    >>> [metric.name for metric in report_metrics()]
    ['rougeL', 'bleu4', 'meteor', 'token_f1', 'bertscore(roberta-large)']
    """
    return (rouge_l(), bleu4(), meteor(), token_f1(), bertscore())
