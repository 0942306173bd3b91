"""FMBench VQA: a free-form question about an SLO fundus image, in one of three categories, by demographic group.

FMBench (arXiv 2410.01089): the questions were written from the clinical notes of Harvard-FairVLMed and never published; whoever has the
data set builds them with ``nova-bench build fmbench``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import nova_bench as nb
from nova_bench.demographic_terms import CHOICES, vary
from nova_bench.demographics import demographic_groups
from nova_bench.fairvlmed import FairVLMed
from nova_bench.metrics.answers import answer_metrics
from nova_bench.parse import PARSER_VERSION, parse_text
from nova_bench.rubrics.llm_score import ANSWER_SCORE, llm_score_judged, llm_score_metrics
from nova_bench.scorers.answers import answer_scorers

SOURCE = nb.Source(
    name="FMBench",
    hub="harvardairobotics/FairVLMed",
    revision="main",
    table="vqa.parquet",
    key="id",
    images="image_path",
    required=(
        "id",
        "patient_id",
        "image_path",
        "category",
        "question",
        "answer",
        "gender",
        "race",
        "ethnicity",
        "language",
        "age",
    ),
    license="CC BY-NC-ND 4.0",
    license_url="https://creativecommons.org/licenses/by-nc-nd/4.0/",
    gated=True,
    mini="fmbench_mini",
    size="2,000 test patients, one SLO fundus image each; pairs are built",
    shipped=FairVLMed(
        lacks="Harvard-FairVLMed has no questions and answers: they were never published. Write them once from its notes with "
        "`nova-bench build fmbench --source FAIRVLMED --writer ADAPTER:MODEL --out FOLDER`, then give --data FOLDER"
    ),
)

CATEGORIES = ("diagnosis", "testing or treatment", "medical condition")


def sample(row: Mapping[str, Any], variant: Mapping[str, str]) -> Iterable[nb.Sample]:
    """Return a row's sample; under ``demographics=swapped`` its copies, one a replaced value.

    Raises:
        DataError: No question or answer, an unknown category, or an unknown code of a demographic attribute.
    """
    for name in ("patient_id", "question", "answer"):
        if not isinstance(row[name], str) or not row[name].strip():
            raise nb.DataError(f"no {name}, so there is nothing to ask or to compare an answer with")
    if row["category"] not in CATEGORIES:
        raise nb.DataError(f"category is {row['category']!r}; expected {', '.join(CATEGORIES)}")
    groups = {"category": row["category"], **demographic_groups(row)}
    text = {"question": row["question"].strip()}
    plain = nb.Sample(row["id"], (row["image"],), text, row["answer"], row["patient_id"], groups)
    yield from vary(plain, variant["demographics"])


def prompt(sample: nb.Sample, card: nb.Card) -> nb.Prompt:
    """Ask the question, with an answer of a few words up to one sentence behind a marker."""
    question, patient = sample.text["question"], sample.text.get("patient", "")
    text = f"""You assist an ophthalmologist. The picture is a scanning laser ophthalmoscopy (SLO) image of the fundus of one patient.
{patient and patient + chr(10)}
Question: {question}

Answer from the picture as well as you can, in a few words or one short sentence, behind the marker, with nothing after it:
ANSWER:"""
    ask = {"kind": "question", "question": question} | ({"patient": patient} if patient else {})
    return nb.Prompt((*sample.images, text), ask=ask)


TASK = nb.Task(
    name="fmbench_vqa",
    version=1,
    data=SOURCE,
    sample=sample,
    prompt=prompt,
    parse=parse_text,
    parser_version=PARSER_VERSION,
    scorers=(*answer_scorers(), llm_score_judged(ANSWER_SCORE)),
    metrics=(*answer_metrics(), *llm_score_metrics()),
    headline="token_f1",
    params=nb.GenParams(max_tokens=1024, temperature=0.0, seed=0),
    variants={"demographics": CHOICES},
    slices=("category", "swapped"),
    demographics=("race", "ethnicity", "language", "gender", "age"),
    about="A free-form answer to a question about an SLO fundus image, compared with the one written from the clinical note.",
    doubts=(
        "The paper's pairs are unpublished: numbers of pairs that you built with another writer are those of another test.",
        "The paper reports BLEU and METEOR, and GREEN and an LLM score by Llama-3.1-70B-Instruct, whose scale is not known. With --judge, "
        "llm_score has a scale and a rubric of our own; GREEN counts the findings of reports and is made for fmbench_report only.",
        "The headline is token_f1 because it is a mean over samples, defined for one word and for a sentence; it rewards wording, not truth: a "
        "synonym counts nothing and a negation little.",
        "The norm of FAP's deviation, its weights and lambda are not known: the member that is printed is in its name.",
        "A question written from a note may ask for what the image does not show: scores have a ceiling below 1 that is not known.",
        "Which age bins the paper uses, if any, is not known; those here are ours.",
        "Prompts are our own; the paper's were not found.",
    ),
    citation="FMBench, arXiv 2410.01089",
)
