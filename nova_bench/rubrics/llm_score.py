"""FMBench's LLM score: how well an answer, or a report, agrees with the reference, 0 to 10 with stated anchors, as 0 to 1.

FMBench (arXiv 2410.01089) has such a score; its scale and its wording were not found, so both are our own here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from nova_bench.metrics.classification import mean_of
from nova_bench.rubrics.texts import READING, candidate_shown, closed, has_words, reference_shown
from nova_bench.scorers.findings import answer_text, reference_text
from nova_bench.types import Item, Judge, Metric, Prediction, Row, Sample, Scorer

__all__ = ["ANSWER_SCORE", "REPORT_SCORE", "SCALE", "llm_score_judged", "llm_score_metrics"]

SCALE = 10
"""The highest score; the column is the score divided by it."""

ANSWER_RUBRIC = f"""You grade an answer to a question about a medical image. `question` is what was asked, `reference` the answer that is taken to be
true, `candidate` the answer to be graded. Grade only how far the candidate agrees with the reference in content, as an answer to the
question; your own opinion of the case does not count.

{READING}

Score, a whole number from 0 to {SCALE}:
- 10: says all that the reference says in answer to the question; nothing contradicts it. Synonyms and other wording are equal.
- 8: the core is right; a detail that would change nothing for the patient is missing or wrong.
- 6: the core is right, but imprecise or incomplete in a point that matters (degree, side, number, kind).
- 4: partly right: about half of what was asked for, or right only in direction.
- 2: mostly wrong, with a related element that is right.
- 0: wrong, the contrary of the reference, about something else, or no answer to the question.
Odd numbers lie between. Statements beyond the reference cost nothing unless they contradict it. An answer that offers contrary possibilities
side by side scores at most 4. For a question that is answered by yes or no, the wrong one scores 0 whatever is said besides.

Answer:
- reason: one or two sentences on what agrees and what does not, at most 50 words
- score: the number"""

REPORT_RUBRIC = f"""You grade a report on a medical image. `reference` is what the responsible clinician wrote about the patient and is taken to
be true; `candidate` is a report written from the image alone. Grade only how far the candidate agrees with the reference in what it finds, what it
concludes and what it advises; your own opinion of the case does not count.

{READING}

The reference also holds what no image shows (history, medication, visits). That a candidate lacks this costs nothing.

Score, a whole number from 0 to {SCALE}:
- 10: the leading condition and all findings that bear on it agree, with degree and side; advice fits; nothing contradicts the reference.
- 8: the leading condition agrees and most findings do; what lacks or differs would change nothing for the patient.
- 6: the leading condition agrees, but findings that matter are missing, or one is wrong.
- 4: the leading condition is only hinted at, or one of several; some findings agree.
- 2: the leading condition is wrong or missing; a few findings agree.
- 0: nothing agrees, the contrary is said, or it is no report on such an image.
Odd numbers lie between. A candidate that calls a diseased eye healthy, or a healthy one diseased, scores at most 2.

Answer:
- reason: one or two sentences on what agrees and what does not, at most 50 words
- score: the number"""

SCHEMA = closed(
    reason={"type": "string", "maxLength": 800}, score={"type": "integer", "minimum": 0, "maximum": SCALE}
)


def answer_material(sample: Sample, prediction: Prediction) -> dict[str, str] | None:
    """Return question, reference and answer; None where no word was answered. Of demographics stated or swapped, nothing is left."""
    texts = report_material(sample, prediction)
    return None if texts is None else shown({"question": sample.text["question"], **texts})


def report_material(sample: Sample, prediction: Prediction) -> dict[str, str] | None:
    """Return reference and answer; None where no word was answered."""
    answer, reference = answer_text(prediction), reference_text(sample)
    if not has_words(answer) or not has_words(reference):
        return None
    return shown({"reference": reference, "candidate": answer})


def shown(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the texts as the judge is shown them; twice is as once."""
    return {
        name: candidate_shown(text) if name == "candidate" else reference_shown(text)
        for name, text in texts.items()
    }


def _judge(
    name: str,
    rubric: str,
    material: Callable[[Sample, Prediction], dict[str, str] | None],
    names: tuple[str, ...],
) -> Judge:
    return Judge(
        name, 1, rubric, SCHEMA, material, private=("reason",), max_tokens=1024, names=names, shown=shown
    )


ANSWER_SCORE = _judge(
    "llm_score_answer", ANSWER_RUBRIC, answer_material, ("question", "reference", "candidate")
)
REPORT_SCORE = _judge("llm_score_report", REPORT_RUBRIC, report_material, ("reference", "candidate"))


def llm_score_judged(judge: Judge) -> Scorer:
    """Return the scorer of the score divided by `SCALE`.

    By rule: no word is 0. Bounds: 0 and 1. Of repeated verdicts the mean counts.

    Args:
        judge: `ANSWER_SCORE`, which is given the question, or `REPORT_SCORE`.
    """

    def row(sample: Sample, score: Any) -> Row:
        return {"llm_score": score / SCALE if has_words(reference_text(sample)) else float("nan")}

    def rows(items: Iterable[Item]) -> Iterator[Row]:
        for item in items:
            yield row(item.sample, 0 if item.verdict is None else item.verdict["score"])

    def bounds(sample: Sample) -> tuple[Row, Row]:
        return row(sample, 0), row(sample, SCALE)

    return Scorer("llm_score", ("llm_score",), rows, bounds, judge=judge)


def llm_score_metrics() -> tuple[Metric, ...]:
    """Return the mean over samples of the LLM score."""
    return (
        mean_of(
            "llm_score",
            "llm_score",
            about=f"Mean score of agreement with the reference by the judge, 0 to {SCALE} with stated anchors, divided by {SCALE}; scale and "
            "wording are our own (FMBench, arXiv 2410.01089, does not state its own).",
        ),
    )
