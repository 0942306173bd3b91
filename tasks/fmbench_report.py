"""FMBench report generation: the clinical note of a patient, from the SLO fundus image alone, by demographic group.

FMBench (arXiv 2410.01089) on Harvard-FairVLMed: the reference is the patient's de-identified clinical note.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import nova_bench as nb
from nova_bench.demographic_terms import CHOICES, vary
from nova_bench.demographics import demographic_groups
from nova_bench.fairvlmed import FairVLMed
from nova_bench.metrics.answers import report_metrics
from nova_bench.parse import PARSER_VERSION, parse_text
from nova_bench.rubrics.green import green_judged, green_metrics
from nova_bench.rubrics.llm_score import REPORT_SCORE, llm_score_judged, llm_score_metrics
from nova_bench.scorers.answers import report_scorers

SOURCE = nb.Source(
    name="FMBench",
    hub="harvardairobotics/FairVLMed",
    revision="main",
    table="report.parquet",
    key="id",
    images="image_path",
    required=("id", "patient_id", "image_path", "report", "gender", "race", "ethnicity", "language", "age"),
    license="CC BY-NC-ND 4.0",
    license_url="https://creativecommons.org/licenses/by-nc-nd/4.0/",
    gated=True,
    mini="fmbench_mini",
    size="2,000 test patients, one SLO fundus image and note each",
    shipped=FairVLMed(),
)


def sample(row: Mapping[str, Any], variant: Mapping[str, str]) -> Iterable[nb.Sample]:
    """Return a row's sample; under ``demographics=swapped`` its copies, one a replaced value.

    Raises:
        DataError: No report to compare with, or an unknown code of a demographic attribute.
    """
    for name in ("patient_id", "report"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise nb.DataError(f"no {name}, so there is nothing to compare an answer with")
    groups = demographic_groups(row)
    split = row.get("split") or "test"
    plain = nb.Sample(row["id"], (row["image"],), {}, row["report"], row["patient_id"], groups, split)
    yield from vary(plain, variant["demographics"])


def prompt(sample: nb.Sample, card: nb.Card) -> nb.Prompt:
    """Ask for a short report behind a marker."""
    patient = sample.text.get("patient", "")
    text = f"""You assist an ophthalmologist. The picture is a scanning laser ophthalmoscopy (SLO) image of the fundus of one patient.
{patient and patient + chr(10)}
Write the report that belongs to it, in plain prose: what the optic disc and cup, the vessels, the macula and the background show, the
most likely condition (say so if the eye looks healthy), and what should follow, such as tests, treatment or a next visit.
Write at most 200 words behind the marker, with nothing after them:
ANSWER:"""
    ask = {"kind": "report"} | ({"patient": patient} if patient else {})
    return nb.Prompt((*sample.images, text), ask=ask)


TASK = nb.Task(
    name="fmbench_report",
    version=1,
    data=SOURCE,
    sample=sample,
    prompt=prompt,
    parse=parse_text,
    parser_version=PARSER_VERSION,
    scorers=(*report_scorers(), green_judged(), llm_score_judged(REPORT_SCORE)),
    metrics=(*report_metrics(), *green_metrics(), *llm_score_metrics()),
    headline="rougeL",
    params=nb.GenParams(max_tokens=2048, temperature=0.0, seed=0),
    variants={"demographics": CHOICES},
    slices=("swapped",),
    demographics=("race", "ethnicity", "language", "gender", "age"),
    about="A report from an SLO fundus image, compared with the patient's clinical note.",
    doubts=(
        "The reference is the whole de-identified note, with history and plan that no picture shows; whether the paper compared with the note, "
        "a summary or a part of it is not known. Scores have a ceiling far below 1.",
        "The paper reports BLEU and METEOR, and GREEN and an LLM score by Llama-3.1-70B-Instruct, whose scale is not known. With --judge, "
        "green follows GREEN's formula and llm_score has a scale of our own; the rubrics' wording is ours.",
        "The headline is rougeL because it is a mean over samples, which BLEU is not, needs no resource, which METEOR does, and follows the "
        "order of words, which token_f1 does not; it measures wording, not clinical truth.",
        "The norm of FAP's deviation, its weights and lambda are not known: the member that is printed is in its name.",
        "Which age bins the paper uses, if any, is not known; those here are ours.",
        "Prompts are our own; the paper's were not found.",
    ),
    citation="FMBench, arXiv 2410.01089",
)
