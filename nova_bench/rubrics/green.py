"""GREEN: matched findings over matched findings and clinically significant errors of a report (Ostmeier et al. 2024).

The six categories of errors and the formula are the paper's; the wording is our own, and any model may judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nova_bench.metrics.classification import mean_of
from nova_bench.rubrics.texts import (
    MAX_REPORT_WORDS,
    READING,
    candidate_shown,
    closed,
    has_words,
    reference_shown,
)
from nova_bench.scorers.findings import answer_text, reference_text
from nova_bench.types import Item, Judge, Metric, Prediction, Row, Sample, Scorer

__all__ = ["ERRORS", "GREEN", "green_judged", "green_metrics", "green_of"]

ERRORS = (
    "false_finding",
    "missing_finding",
    "wrong_location",
    "wrong_severity",
    "false_comparison",
    "missing_comparison",
)

RUBRIC = f"""You compare a candidate report with a reference report on the same medical image or examination. `reference` is taken to be true and
complete. Count which findings both state, and which errors `candidate` makes.

{READING}

A finding is one statement about one structure or one condition, an affirmed or a denied one ("no disc hemorrhage"). Split sentences that state
several. Count each finding once, however often it is repeated.

matched_findings: findings of the reference that the candidate states too, with the same meaning and the same affirmation or denial. Wording
and order do not matter. A finding with a wrong place or degree is no match: it is one error.

Errors, each counted once and in the first category that fits:
- false_finding: the candidate reports a finding that the reference does not have or denies
- missing_finding: the reference affirms a finding that the candidate does not mention
- wrong_location: the same finding at another place, side or position
- wrong_severity: the same finding in another degree, size or stage
- false_comparison: the candidate compares with an earlier examination, and the reference does not
- missing_comparison: the reference compares with an earlier examination, and the candidate leaves it out

significant_errors are those that could change diagnosis, treatment or follow-up of the patient; insignificant_errors are all others. An error
stands in one of the two, never in both. A report about something else has no matched finding, and misses every affirmed finding of the
reference. Statements in the reference that no image shows (history, medication, appointments) are no findings.

Answer:
- reason: the matched findings and the errors in a few words each, before you count; at most 150 words, so where there are more than a
  few, name the kind and their number only
- matched_findings, significant_errors, insignificant_errors: whole numbers, 0 where there is none"""

_COUNT = {"type": "integer", "minimum": 0, "maximum": MAX_REPORT_WORDS}
_COUNTS = closed(**dict.fromkeys(ERRORS, _COUNT))
SCHEMA = closed(
    reason={"type": "string", "maxLength": 2400},
    matched_findings=_COUNT,
    significant_errors=_COUNTS,
    insignificant_errors=_COUNTS,
)


def material(sample: Sample, prediction: Prediction) -> dict[str, str] | None:
    """Return the two reports; None where no word was answered."""
    answer, reference = answer_text(prediction), reference_text(sample)
    if not has_words(answer) or not has_words(reference):
        return None
    return shown({"reference": reference, "candidate": answer})


def shown(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the two reports as the judge is shown them."""
    return {
        "reference": reference_shown(texts["reference"]),
        "candidate": candidate_shown(texts["candidate"], words=MAX_REPORT_WORDS),
    }


GREEN = Judge(
    "green",
    1,
    RUBRIC,
    SCHEMA,
    material,
    private=("reason",),
    max_tokens=3072,
    names=("reference", "candidate"),
    shown=shown,
)


def green_of(matched: int, significant: int) -> float:
    """Return GREEN of one report: ``matched / (matched + significant)``, 0 where nothing is matched.

    Args:
        matched: Matched findings.
        significant: Clinically significant errors of all six categories.

    >>> green_of(3, 1), green_of(0, 0), green_of(0, 4), green_of(2, 0)
    (0.75, 0.0, 0.0, 1.0)
    """
    return matched / (matched + significant) if matched else 0.0


_COUNT_COLUMNS = (
    "green_matched",
    *(f"green_significant({kind})" for kind in ERRORS),
    *(f"green_insignificant({kind})" for kind in ERRORS),
)


def _row(sample: Sample, verdict: Mapping[str, Any] | None) -> Row:
    unknown = dict.fromkeys(_COUNT_COLUMNS, float("nan"))
    if not has_words(reference_text(sample)):
        return {"green": float("nan"), **unknown}
    if verdict is None:
        return {"green": 0.0, **unknown, "green_matched": 0.0}
    significant, other = verdict["significant_errors"], verdict["insignificant_errors"]
    return {
        "green": green_of(verdict["matched_findings"], sum(significant[kind] for kind in ERRORS)),
        "green_matched": float(verdict["matched_findings"]),
        **{f"green_significant({kind})": float(significant[kind]) for kind in ERRORS},
        **{f"green_insignificant({kind})": float(other[kind]) for kind in ERRORS},
    }


def green_judged() -> Scorer:
    """Return the scorer of GREEN, with the counts that it is made of as columns of their own (`run.table()`).

    By rule: no word is no match, so 0; its errors were counted by nobody and are NaN. Bounds: 0 and 1. Of repeated verdicts GREEN is the
    mean of the repeats' values.
    """

    def rows(items: Iterable[Item]) -> Iterator[Row]:
        for item in items:
            yield _row(item.sample, item.verdict)

    def bounds(sample: Sample) -> tuple[Row, Row]:
        worst = _row(sample, None)
        best = worst if not has_words(reference_text(sample)) else {**worst, "green": 1.0}
        return worst, best

    return Scorer("green", ("green", *_COUNT_COLUMNS), rows, bounds, judge=GREEN)


def green_metrics() -> tuple[Metric, ...]:
    """Return the mean over samples of GREEN."""
    return (
        mean_of(
            "green",
            "green",
            about="Mean GREEN (Ostmeier et al. 2024): matched findings / (matched + significant errors), 0 where none is matched; counted by "
            "the judge, with a rubric of our own wording.",
        ),
    )
