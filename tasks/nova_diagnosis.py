"""NOVA diagnosis: the most likely diagnosis of a rare brain-MRI case and four alternatives.

NOVA (arXiv 2505.14064) gives the model text only: the clinical history and the radiologist's caption as findings
(``inputs=history+caption``, the default). ``history+image`` and ``image`` show how much the picture adds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import nova_bench as nb
from nova_bench.metrics.classification import diagnosis_metrics
from nova_bench.metrics.radiology_lexicon import sequences_and_planes
from nova_bench.parse import PARSER_VERSION, parse_diagnosis
from nova_bench.rubrics.nova_diagnosis import diagnosis_judged
from nova_bench.scorers.diagnosis import diagnosis_scorers

SOURCE = nb.Source(
    name="NOVA",
    hub="c-i-ber/Nova",
    revision="main",
    table="data/nova-v1.parquet",
    key="filename",
    images="image_path",
    required=("filename", "case_id", "image_path", "caption_text", "meta"),
    license="CC-BY-NC-SA-4.0",
    license_url="https://creativecommons.org/licenses/by-nc-sa/4.0/",
    mini="nova_mini",
    size="906 images, 281 cases",
)

SEQUENCES_AND_PLANES = (
    "t1",
    "t1c",
    "t2",
    "flair",
    "dwi",
    "adc",
    "swi",
    "mra",
    "axial",
    "coronal",
    "sagittal",
)
SCHEMA = {
    "type": "object",
    "properties": {
        "most_likely_diagnosis": {"type": "string"},
        "other_possible_diagnoses": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 4,
            "maxItems": 4,
        },
    },
    "required": ["most_likely_diagnosis", "other_possible_diagnoses"],
    "additionalProperties": False,
}


def sample(row: Mapping[str, Any], variant: Mapping[str, str]) -> Iterable[nb.Sample]:
    """Return a row's one sample, with what the variant shows.

    Raises:
        DataError: The row lacks the diagnosis, or a text that the variant shows.
    """
    meta = row["meta"] or {}
    known = {
        "clinical_history": meta.get("clinical_history"),
        "final_diagnosis": meta.get("final_diagnosis"),
        "caption_text": row["caption_text"],
    }
    inputs = variant["inputs"].split("+")
    shown = {"history": "clinical_history", "caption": "caption_text"}
    needed = ["final_diagnosis", *(shown[name] for name in inputs if name in shown)]
    for name in needed:
        if not isinstance(known[name], str) or not known[name].strip():
            raise nb.DataError(f"no {name}, which {variant['inputs']} needs")
    caption = row["caption_text"]

    def groups() -> dict[str, str | None]:
        named = sequences_and_planes(caption) if caption else {}
        return {name: str(named[name]).lower() if named else None for name in SEQUENCES_AND_PLANES}

    text = {shown[name]: known[shown[name]] for name in inputs if name in shown}
    images = (row["image"],) if "image" in inputs else ()
    yield nb.Sample(row["filename"], images, text, known["final_diagnosis"], row["case_id"], nb.Lazy(groups))


def prompt(sample: nb.Sample, card: nb.Card) -> nb.Prompt:
    """Ask for one diagnosis and four alternatives as JSON."""
    given = []
    if "clinical_history" in sample.text:
        given.append(f"Clinical history:\n{sample.text['clinical_history']}")
    if "caption_text" in sample.text:
        given.append(f"MRI findings:\n{sample.text['caption_text']}")
    text = "\n\n".join(
        [
            "Name the diagnosis of this brain-MRI case. It may be a rare one; be as specific as what is given allows.",
            *given,
            'Answer with JSON only, with the keys "most_likely_diagnosis" (one diagnosis) and "other_possible_diagnoses" '
            "(a list of exactly four others, the likelier first). Write the diagnosis alone, without reasons.",
        ]
    )
    return nb.Prompt((*sample.images, text), json_schema=SCHEMA, ask={"kind": "diagnose", "candidates": 5})


TASK = nb.Task(
    name="nova_diagnosis",
    version=1,
    data=SOURCE,
    sample=sample,
    prompt=prompt,
    parse=parse_diagnosis,
    parser_version=PARSER_VERSION,
    scorers=(*diagnosis_scorers(), diagnosis_judged()),
    metrics=(*diagnosis_metrics(), *diagnosis_metrics(None)),
    headline="top1(normalised)",
    params=nb.GenParams(max_tokens=2048, temperature=0.0, seed=0),
    variants={"inputs": ("history+caption", "history+image", "image")},
    sends_image=lambda variant: "image" in variant["inputs"].split("+"),
    slices=SEQUENCES_AND_PLANES,
    about="One diagnosis and four alternatives; (normalised) means equal after normalising the wording, without a judge.",
    doubts=(
        "The paper's Top-1 and Top-5 are an LLM judge's, who accepts synonyms; (normalised) accepts spelling only and is lower. "
        "With --judge, top1 and top5 are a judge's, one call for both; the wording of the rubric is ours.",
        "Whether the paper counts images or cases is not known: the plain name counts images, (...,unit=case) gives each case one vote.",
        "Coverage counts the most likely labels; which labels the paper pools there is not known.",
    ),
    references=(
        nb.Reference(
            "Gemini 2.0 Flash",
            "Top-1 (LLM judge)",
            0.221,
            "second-hand",
            "arXiv 2505.14064, as transcribed by others",
        ),
    ),
    citation="NOVA, arXiv 2505.14064",
)
