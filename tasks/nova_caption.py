"""NOVA description: a short radiological caption of a rare brain-MRI slice, from the image alone.

NOVA (arXiv 2505.14064): the reference is the caption of a radiologist. Without a judge the clinical columns are lexical stand-ins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import nova_bench as nb
from nova_bench.metrics.findings import findings_metrics
from nova_bench.metrics.generation import caption_metrics
from nova_bench.metrics.radiology_lexicon import sequences_and_planes
from nova_bench.parse import PARSER_VERSION, parse_text
from nova_bench.rubrics.nova_description import description_judged
from nova_bench.scorers.generation import caption_scorers

SOURCE = nb.Source(
    name="NOVA",
    hub="c-i-ber/Nova",
    revision="main",
    table="data/nova-v1.parquet",
    key="filename",
    images="image_path",
    required=("filename", "case_id", "image_path", "caption_text"),
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


def sample(row: Mapping[str, Any], variant: Mapping[str, str]) -> Iterable[nb.Sample]:
    """Return a row's one sample.

    Raises:
        DataError: The row has no caption to compare with.
    """
    caption = row["caption_text"]
    if not isinstance(caption, str) or not caption.strip():
        raise nb.DataError("no caption_text, so there is nothing to compare an answer with")

    def groups() -> dict[str, str | None]:
        named = sequences_and_planes(caption)
        return {name: str(named[name]).lower() for name in SEQUENCES_AND_PLANES}

    yield nb.Sample(row["filename"], (row["image"],), {}, caption, row["case_id"], nb.Lazy(groups))


def prompt(sample: nb.Sample, card: nb.Card) -> nb.Prompt:
    """Ask for a caption behind a marker."""
    text = """You assist a radiologist. Describe this slice of a brain MRI as the caption of a teaching case: precise, concise,
in the terms of the field.
Say the sequence or weighting, the plane, and the most notable finding with its location and signal.

Answer in one to three sentences behind the marker, with nothing after them:
ANSWER:"""
    return nb.Prompt((*sample.images, text), ask={"kind": "caption"})


TASK = nb.Task(
    name="nova_caption",
    version=1,
    data=SOURCE,
    sample=sample,
    prompt=prompt,
    parse=parse_text,
    parser_version=PARSER_VERSION,
    scorers=(*caption_scorers(), description_judged()),
    metrics=(*caption_metrics(), *findings_metrics(None)),
    headline="clinical_f1(lexicon)",
    params=nb.GenParams(max_tokens=2048, temperature=0.0, seed=0),
    variants={},
    slices=SEQUENCES_AND_PLANES,
    about="A caption of one to three sentences, compared with the radiologist's.",
    doubts=(
        "The paper's clinical, modality and binary F1 come from an LLM judge's keywords; the columns marked (lexicon) use a "
        "fixed word list instead and are not comparable with them. With --judge the columns (judge=NAME) have a judge's keywords; the "
        "wording of the rubric is ours and the judge is yours, so they are near the paper's and not the same.",
        "Whether the paper's F1 is a mean over images, pooled, or between the vocabularies of the whole corpus is not known: a judge's "
        "columns come in all three forms, plain, (corpus) and (union).",
        "Clinical and modality F1 are means over images; the form pooled over the corpus stands beside them as (lexicon,corpus).",
        "The paper's tokenisation for BLEU and METEOR is not known: bleu4 is sacrebleu's 13a, bleu4(evaluate) the form of Hugging Face evaluate.",
        "Nearly all images are abnormal: read binary_f1 beside binary_accuracy and prevalence.",
    ),
    references=(
        nb.Reference(
            "Gemini 2.0 Flash",
            "Clinical F1",
            0.198,
            "second-hand",
            "arXiv 2505.14064, as transcribed by others",
        ),
        nb.Reference(
            "GPT-4o", "Clinical F1", 0.157, "second-hand", "arXiv 2505.14064, as transcribed by others"
        ),
        nb.Reference(
            "Qwen2.5-VL-72B",
            "Clinical F1",
            0.136,
            "second-hand",
            "arXiv 2505.14064, as transcribed by others",
        ),
        nb.Reference(
            "Gemini 2.0 Flash", "BLEU-4", 0.0183, "second-hand", "arXiv 2505.14064, as transcribed by others"
        ),
    ),
    citation="NOVA, arXiv 2505.14064",
)
