"""Rows of a diagnosis with alternatives against the true one, by equal strings: a stand-in for a judge, who accepts synonyms."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from nova_bench.text import NORMALISATION_VERSION, normalise_diagnosis, without_surrogates
from nova_bench.types import Item, Row, Sample, Scorer

__all__ = ["candidates_of", "diagnosis_match", "diagnosis_scorers", "label_code"]

N_CANDIDATES = 5
"""One most likely diagnosis and four alternatives (NOVA, arXiv 2505.14064); what a model names beyond them is not scored."""


def label_code(label: str) -> int:
    """Return a number for a label, the same on every machine, below 2**48 so that a float holds it exactly.

    Two of 1,000 different labels share a code with a probability of 2e-9.

    Examples:
        >>> label_code("glioma") == label_code("glioma"), label_code("glioma") == label_code("lymphoma")
        (True, False)
    """
    return int.from_bytes(hashlib.blake2b(without_surrogates(label).encode(), digest_size=6).digest(), "big")


def candidates_of(value: Any) -> tuple[str, ...]:
    """Return the diagnoses that are scored of a prediction's value: the most likely one first, five at most, blank ones left out.

    Args:
        value: Has ``most_likely: str`` and ``candidates: tuple[str, ...]``, the latter with or without the most likely one;
            None for no answer.

    Examples:
        >>> from types import SimpleNamespace
        >>> candidates_of(SimpleNamespace(most_likely="Glioma", candidates=("Lymphoma", "glioma", "Abscess")))
        ('Glioma', 'Lymphoma', 'Abscess')
        >>> candidates_of(None)
        ()
    """
    if value is None:
        return ()
    others = list(value.candidates)
    first = normalise_diagnosis(value.most_likely)
    if first:
        # The most likely one may be listed again among the candidates: once is enough.
        repeated = next((i for i, other in enumerate(others) if normalise_diagnosis(other) == first), None)
        if repeated is not None:
            del others[repeated]
        others.insert(0, value.most_likely)
    return tuple(label for label in others if label.strip())[:N_CANDIDATES]


def diagnosis_match() -> Scorer:
    """Return the scorer of equality after `nova_bench.text.normalise_diagnosis`.

    The target is the final diagnosis, a string; the prediction's value is a diagnosis with alternatives (see `candidates_of`).
    Columns:

    - ``top1(normalised)``, ``top5(normalised)``: 1 where the most likely one, or any of the five, equals the target; 0 for no
      answer, and for top1 where no most likely one was given. NaN where the sample has no diagnosis.
    - ``predicted_label``, ``true_label``: codes of the normalised most likely and true diagnosis, for coverage; NaN where there
      is none.
    - ``candidate_labels``: ragged, codes of all five, lower-cased, for entropy.

    Bounds: no answer at all, and the true diagnosis alone.
    """

    def row(target: str | None, value: Any) -> Row:
        truth = normalise_diagnosis(target or "")
        labels = candidates_of(value)
        normalised = [normalise_diagnosis(label) for label in labels]
        first = normalise_diagnosis(value.most_likely) if value is not None else ""
        return {
            "top1(normalised)": float(first == truth) if truth else float("nan"),
            "top5(normalised)": float(truth in normalised) if truth else float("nan"),
            "predicted_label": float(label_code(first)) if first else float("nan"),
            "true_label": float(label_code(truth)) if truth else float("nan"),
            "candidate_labels": np.array(
                [label_code(label.strip().lower()) for label in labels], dtype=np.int64
            ),
        }

    def rows(items: Iterable[Item]) -> Iterator[Row]:
        for item in items:
            yield row(item.sample.target, item.prediction.value)

    def bounds(sample: Sample) -> tuple[Row, Row]:
        best = dict(row(sample.target, None))
        truth = normalise_diagnosis(sample.target or "")
        if truth:
            best["top1(normalised)"] = best["top5(normalised)"] = 1.0
            best["predicted_label"] = best["true_label"]
            best["candidate_labels"] = np.array([label_code(sample.target.strip().lower())], dtype=np.int64)
        return row(sample.target, None), best

    return Scorer(
        name="diagnosis(normalised)",
        columns=("top1(normalised)", "top5(normalised)", "predicted_label", "true_label", "candidate_labels"),
        rows=rows,
        bounds=bounds,
        version=NORMALISATION_VERSION,
    )


def diagnosis_scorers() -> tuple[Scorer, ...]:
    """Return the scorers of a diagnosis task that need no judge; their columns are what `diagnosis_metrics` reads."""
    return (diagnosis_match(),)
