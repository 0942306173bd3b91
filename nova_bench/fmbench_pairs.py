"""How questions and answers are written from clinical notes: the prompts, their schemas, and how the answers are read.

FMBench (arXiv 2410.01089) let Llama-3.1-70B-Instruct write pairs from the notes of Harvard-FairVLMed in three categories, and then
check, refine or drop each. Its prompts and pairs are unpublished; these are our own. Both passes are tasks of the ordinary engine, so they
resume, count failures and take any adapter. `nova_bench.fmbench_build` puts them together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nova_bench.demographics import demographic_groups
from nova_bench.discreet import LEFT_OUT
from nova_bench.errors import DataError
from nova_bench.parse import PARSER_VERSION, parse_object
from nova_bench.signature import digest
from nova_bench.source import Source
from nova_bench.task import Task
from nova_bench.types import Card, Context, GenParams, Prediction, Prompt, Response, Sample

CATEGORIES = ("diagnosis", "testing or treatment", "medical condition")
MOST_PER_CATEGORY = 2

Verdict = Literal["keep", "mend", "drop"]
VERDICTS: tuple[Verdict, ...] = ("keep", "mend", "drop")

WRITE = """You prepare an examination for ophthalmologists. Below is the clinical note of one patient. Those who are examined will see the
patient's fundus image and not the note.

Write questions with their answers from the note, one or two in each of these categories:
- "diagnosis": what the patient has, may have, or does not have.
- "testing or treatment": which tests, treatment or follow-up the note gives or plans.
- "medical condition": what was found or is known of the eyes and of the patient's health, such as the optic disc or the eye pressure.

Rules:
- Leave a category out if the note says nothing about it. Never guess or add knowledge of your own.
- Each question stands on its own and asks for one thing. It mentions neither the note nor its author, and does not contain its answer.
- Each answer is a few words or one short sentence, and the note supports it.
- Say "the patient". Name no person, place or date, and neither age, sex, race, ethnicity nor language.

Answer with JSON only: {"pairs": [{"category": ..., "question": ..., "answer": ...}, ...]}"""

CHECK = """You check an examination for ophthalmologists. Below are the clinical note of one patient and one question with its answer, which was
written from the note. Those who are examined will see the patient's fundus image and not the note.

Decide:
- "keep": the note supports the answer, the question asks for one thing, stands on its own, does not contain its answer and tells nobody's
  name, age, sex, race, ethnicity or language.
- "mend": it would be right after a change of words. Write the mended question and answer.
- "drop": the note does not support the answer, or nothing can mend it.

Answer with JSON only: {"verdict": "keep" or "mend" or "drop", "question": ..., "answer": ...}, with question and answer as they should
stand; empty for "drop"."""

_TEXT = {"type": "string"}
WRITE_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "pairs": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "category": {"type": "string", "enum": list(CATEGORIES)},
                    "question": _TEXT,
                    "answer": _TEXT,
                },
                "required": ["category", "question", "answer"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["pairs"],
    "additionalProperties": False,
}
CHECK_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "verdict": {"type": "string", "enum": list(VERDICTS)},
        "question": _TEXT,
        "answer": _TEXT,
    },
    "required": ["verdict", "question", "answer"],
    "additionalProperties": False,
}

PROMPTS_HASH = digest([WRITE, WRITE_SCHEMA, CHECK, CHECK_SCHEMA])[:12]
"""Of both prompts and schemas; stands in the data card."""

_PARAMS = GenParams(max_tokens=2048, temperature=0.0, seed=0)


@dataclass(frozen=True, slots=True)
class Pair:
    """A question with its answer."""

    category: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a pair; question and answer as they should stand."""

    verdict: Verdict
    question: str
    answer: str


def write_task(source: Source) -> Task:
    """Return the task that writes pairs: a sample a patient, whose prediction's value is a tuple of `Pair`.

    Args:
        source: Has a row a patient with ``report``, the note.
    """

    def sample(row: Mapping[str, Any], variant: Mapping[str, str]) -> Iterable[Sample]:
        yield _patient(row)

    def prompt(sample: Sample, card: Card) -> Prompt:
        return Prompt((f"{WRITE}\n\nThe note:\n\n{sample.text['note']}",), json_schema=WRITE_SCHEMA)

    return _task("fmbench_write", source, sample, prompt, parse_pairs)


def check_task(source: Source, pairs: Mapping[str, Sequence[Pair]]) -> Task:
    """Return the task that checks pairs: a sample a pair, with the id of `pair_id`, whose prediction's value is a `Checked`.

    Args:
        source: As for `write_task`.
        pairs: Patient to the pairs that were written.
    """

    def sample(row: Mapping[str, Any], variant: Mapping[str, str]) -> Iterable[Sample]:
        written = pairs.get(row["id"], ())
        patient = _patient(row) if written else None
        for number, pair in enumerate(written, 1):
            assert patient is not None  # as there are pairs
            text = {
                **patient.text,
                "category": pair.category,
                "question": pair.question,
                "answer": pair.answer,
            }
            yield Sample(
                pair_id(patient.id, number), patient.images, text, None, patient.cluster, patient.groups
            )

    def prompt(sample: Sample, card: Card) -> Prompt:
        text = sample.text
        shown = f"Category: {text['category']}\nQuestion: {text['question']}\nAnswer: {text['answer']}"
        return Prompt((f"{CHECK}\n\nThe note:\n\n{text['note']}\n\n{shown}",), json_schema=CHECK_SCHEMA)

    return _task("fmbench_check", source, sample, prompt, parse_verdict)


def pair_id(patient: str, number: int) -> str:
    """Return the id of a patient's pair, counted from 1 in the order in which they were written.

    >>> pair_id("data_00007", 2)
    'data_00007-q2'
    """
    return f"{patient}-q{number}"


def parse_pairs(response: Response, context: Context) -> Prediction:
    """Return the pairs of a writer's answer; an empty tuple is an answer too, None is none.

    Warnings: ``unusable`` pairs lack a text or have another category; ``extra`` are beyond `MOST_PER_CATEGORY`; ``repeated`` ask the same
    again. All these are left out.
    """
    found = parse_object(response, context)
    listed = found.value.get("pairs") if isinstance(found.value, dict) else None
    if not isinstance(listed, list):
        return Prediction("unparsed" if found.status == "ok" else found.status)
    kept: list[Pair] = []
    warnings = {"unusable": 0, "extra": 0, "repeated": 0}
    for entry in listed:
        pair = _pair(entry)
        if pair is None:
            warnings["unusable"] += 1
        elif any(pair.question == other.question for other in kept):
            warnings["repeated"] += 1
        elif sum(pair.category == other.category for other in kept) == MOST_PER_CATEGORY:
            warnings["extra"] += 1
        else:
            kept.append(pair)
    return Prediction(found.status, tuple(kept), {name: count for name, count in warnings.items() if count})


def parse_verdict(response: Response, context: Context) -> Prediction:
    """Return what a checker says of a pair as `Checked`; None where it says nothing that can be followed."""
    found = parse_object(response, context)
    if not isinstance(found.value, dict):
        return Prediction(found.status)
    said = str(found.value.get("verdict", "")).strip().lower()
    question, answer = (_text(found.value.get(name)) for name in ("question", "answer"))
    verdict = next((known for known in VERDICTS if known == said), None)
    if verdict is None or (
        verdict == "mend" and (not question or not answer or LEFT_OUT in question + answer)
    ):
        return Prediction("unparsed" if found.status == "ok" else found.status)
    return Prediction(found.status, Checked(verdict, question, answer))


def _task(name: str, source: Source, sample: Any, prompt: Any, parse: Any) -> Task:
    return Task(
        name=name,
        version=1,
        data=source,
        sample=sample,
        prompt=prompt,
        parse=parse,
        parser_version=PARSER_VERSION,
        scorers=(),
        metrics=(),
        headline="",
        params=_PARAMS,
        variants={},
    )


def _patient(row: Mapping[str, Any]) -> Sample:
    """Return a patient's note as a sample.

    Raises:
        DataError: No note, no picture, or an unknown code: the patient is left out before anyone is asked.
    """
    note = row.get("report")
    if not isinstance(note, str) or not note.strip():
        raise DataError("no note, so there is nothing to write questions from")
    if not re.fullmatch(r"[\w][\w.+=@ -]*", row["id"]):
        raise DataError(f"id {row['id']!r} cannot be the name of a picture's file")
    groups = demographic_groups(row)
    row["image"].size  # noqa: B018  (a picture that is none is known here, before its questions are paid for)
    return Sample(row["id"], (row["image"],), {"note": note}, None, row["patient_id"], groups)


def _pair(entry: object) -> Pair | None:
    if not isinstance(entry, dict):
        return None
    category, question, answer = (_text(entry.get(name)) for name in ("category", "question", "answer"))
    if category.lower() not in CATEGORIES or not question or not answer or LEFT_OUT in question + answer:
        return None
    return Pair(category.lower(), question, answer)


def _text(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""
