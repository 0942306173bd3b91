"""NOVA's description judge: keywords of two captions in five categories and one standard form, and whether each calls the slice abnormal.

The judge lists words; matching and counting them is done here. NOVA (arXiv 2505.14064) has the five categories and the comparison of
standardised sets; the wording is our own.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from nova_bench.metrics.findings import findings_columns, findings_row, keyword_columns
from nova_bench.metrics.radiology_lexicon import LEXICON_VERSION, Findings, extract_findings
from nova_bench.rubrics.texts import (
    MAX_CAPTION,
    MAX_KEYWORDS,
    READING,
    candidate_shown,
    closed,
    has_words,
    reference_shown,
)
from nova_bench.scorers.diagnosis import label_code
from nova_bench.scorers.findings import answer_text, reference_text
from nova_bench.types import Item, Judge, Prediction, Row, Sample, Scorer

__all__ = ["CATEGORIES", "NOVA_DESCRIPTION", "description_judged", "findings_of", "standard_keyword"]

CATEGORIES = ("anatomy", "imaging", "disease", "negated", "sequence")

_STOP = 40

RUBRIC = f"""You compare two captions of the same slice of a brain MRI: `reference`, by a radiologist, and `candidate`. Do not grade them. List
what each says, as keywords, and in such a way that the two lists can be compared string by string.

{READING}

Step 1. Take the keywords of each caption on its own, and only what it states. A keyword is one concept of one to four words. Never move a
concept from one caption to the other, and infer nothing: "lesion" does not say "tumor". Put each keyword into exactly one category:
- anatomy: structures, regions, sides ("left", "bilateral")
- imaging: what is seen: signal, enhancement, shape, extent, findings that name no disease ("hyperintense", "ring enhancement", "mass")
- disease: diagnoses, suspected ones too
- negated: anything of the three categories above that is said to be absent, with the negation in the keyword: "no edema"
- sequence: sequence, weighting and plane
A category of which a caption says nothing is an empty list. No list needs more than {_STOP} keywords: take the first {_STOP} and stop.
A keyword has at most 60 characters, a disease 100; write a longer name as its usual abbreviation. Words about the patient, the course, the
comparison of captions or the answer itself are no keywords.

Step 2. Bring all keywords to one standard form:
- lower case, singular, American spelling, no articles; abbreviations spelled out where the long form is the usual one
- synonyms, and inflections of one word, become one string, the same in both captions: "high signal" and "hyperintensity" are
  "hyperintense"; "tumour" and "neoplasm" are "tumor"; "frontal" and "frontal lobe" are "frontal lobe"
- a composite becomes its parts: "left frontal lesion" is "left", "frontal lobe" and "lesion"
- sequences and planes are written t1w, t2w, flair, dwi, adc, swi, t2*, axial, coronal, sagittal; "T2 FLAIR" is "flair" alone; T2* and
  gradient echo are "t2*" and never "t2w"; a T1 after contrast is "t1w" and "contrast-enhanced"
- concepts that differ stay different: a side, a degree or a kind more is another concept, not a synonym
- no keyword stands twice in the lists of one caption

Step 3. Label each caption. "abnormal": it affirms at least one abnormal finding or disease. "normal": it says that the slice is normal or
names nothing abnormal. For the candidate there is "neither": it says nothing about a brain image at all."""

MOST_KEYWORDS = len(CATEGORIES) * MAX_KEYWORDS
"""As many keywords as a verdict can give one caption."""


def _lists(most: int) -> dict[str, Any]:
    def listed(length: int) -> dict[str, Any]:
        words = {"type": "string", "minLength": 1, "maxLength": length}
        return {"type": "array", "maxItems": most, "items": words}

    return {category: listed(100 if category == "disease" else 60) for category in CATEGORIES}


SCHEMA = closed(
    reference=closed(**_lists(_STOP), label={"enum": ["normal", "abnormal"]}),
    candidate=closed(**_lists(MAX_KEYWORDS), label={"enum": ["normal", "abnormal", "neither"]}),
)

_WEIGHTED = re.compile(r"t([12])(?:[ -]?w(?:i|eighted)?)?(?:[ -](?:images?|imaging|sequence|mri?))?")
_T2_STAR = re.compile(
    r"t2[ -]?(?:\*+|star)[ -]?(?:w(?:i|eighted)?)?(?:[ -](?:images?|imaging|sequence|mri?))?"
)
_MARKED = re.compile(r"(\*+)(.*)\1")  # bold and italic, as markup writes them
_ENDS = " .,;:\"'()[]`"
_NEGATION = re.compile(r"(?:no|not|non|without|absent|absence of|negative for|lack of)[ -]+")


def material(sample: Sample, prediction: Prediction) -> dict[str, str] | None:
    """Return the two captions; None where no word was answered."""
    answer, reference = answer_text(prediction), reference_text(sample)
    if not has_words(answer) or not has_words(reference):
        return None
    return shown({"reference": reference, "candidate": answer})


def shown(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the two captions as the judge is shown them."""
    candidate = candidate_shown(texts["candidate"], characters=MAX_CAPTION, words=MAX_KEYWORDS)
    return {"reference": reference_shown(texts["reference"]), "candidate": candidate}


def check(verdict: Mapping[str, Any], texts: Mapping[str, str]) -> str | None:
    """Return which kind of keyword the reference's lists lack altogether, although the word list finds some in the text; None for none.

    Such a verdict says nothing of the answer. Without this, a judge who lists nothing would make every answer wrong.

    >>> said = dict.fromkeys(CATEGORIES, ()) | {"anatomy": ["thalamus"], "label": "abnormal"}
    >>> check({"reference": said}, {"reference": "Axial T2: thalamus."})
    'no modality keyword of the reference is listed, and the word list finds 2'
    >>> check({"reference": said}, {"reference": "Thalamus."})
    """
    text = "".join(char for char in texts["reference"] if char.isspace() or char.isprintable())
    known, listed = extract_findings(text), findings_of(verdict["reference"])
    for kind in ("clinical", "modality"):
        if getattr(known, kind) and not getattr(listed, kind):
            return f"no {kind} keyword of the reference is listed, and the word list finds {len(getattr(known, kind))}"
    return None


NOVA_DESCRIPTION = Judge(
    "nova_description",
    1,
    RUBRIC,
    SCHEMA,
    material,
    check,
    max_tokens=4096,
    names=("reference", "candidate"),
    shown=shown,
)


def standard_keyword(keyword: str, *, is_negated: bool = False) -> str:
    """Return a judge's keyword in the form in which two are compared; empty where nothing is left.

    Lower case, single spaces, no punctuation at the ends; every writing of T1, of T2 and of T2* weighting is one; a negated one begins with
    "no". The asterisk of T2* is part of its name, any other at an end is markup.
    No synonym is looked up here: that is what the judge was asked for.

    Args:
        keyword: As the judge wrote it.
        is_negated: Whether it stands in the category of negated ones.

    >>> [standard_keyword(word) for word in ("Frontal  lobe.", "T2-weighted", "T1", "t2 FLAIR")]
    ['frontal lobe', 't2w', 't1w', 't2 flair']
    >>> [standard_keyword(word) for word in ("T2*", "**T2**", "T2*-weighted imaging", "t2 star", "edema*")]
    ['t2*', 't2w', 't2*', 't2*', 'edema']
    >>> standard_keyword("without edema", is_negated=True), standard_keyword("edema", is_negated=True)
    ('no edema', 'no edema')
    """
    word = " ".join(unicodedata.normalize("NFKC", keyword).replace("\u2217", "*").casefold().split())
    if found := _MARKED.fullmatch(word.strip(_ENDS)):
        word = found[2]
    word = "t2*" if _T2_STAR.fullmatch(word.strip(_ENDS)) else word.strip(_ENDS + "*")
    if found := _WEIGHTED.fullmatch(word):
        word = f"t{found[1]}w"
    if is_negated and word:
        word = _NEGATION.sub("", word, count=1) if _NEGATION.match(word) else word
        return f"no {word}" if word else ""
    return word


def findings_of(said: Mapping[str, Any]) -> Findings:
    """Return what a verdict says of one caption: the union of its five lists, and its label.

    Args:
        said: ``verdict["reference"]`` or ``verdict["candidate"]``.

    >>> said = {"anatomy": ["Thalamus"], "imaging": [], "disease": [], "negated": ["edema"], "sequence": ["axial"], "label": "abnormal"}
    >>> found = findings_of(said)
    >>> sorted(found.clinical), sorted(found.modality), found.abnormal
    (['no edema', 'thalamus'], ['axial'], True)
    """
    words = {
        standard_keyword(word, is_negated=category == "negated")
        for category in CATEGORIES
        for word in said[category]
    }
    abnormal = {"normal": False, "abnormal": True, "neither": None}[said["label"]]
    return Findings(frozenset(words - {""}), abnormal)


def reference_by_rule(sample: Sample) -> Findings:
    """Return how much a reference says without a judge: what an answer without a word has missed, and in which means the image counts.

    From the word list. It matches nothing; it says how much silence weighs in the forms that are pooled, and that an image counts for
    every judge and every model alike. A reference of which the list knows no clinical word weighs as one keyword.
    """
    found = extract_findings(reference_text(sample))
    if found.clinical or found.abnormal is None:
        return found
    return dataclasses.replace(found, keywords=found.keywords | {reference_text(sample).casefold()})


def _row(reference: Findings, predicted: Findings, by_rule: Findings | None = None) -> Row:
    row: dict[str, Any] = dict(findings_row(reference, predicted, None, by_rule=by_rule))
    known = reference.abnormal is not None
    for whose, found in (("true", reference), ("predicted", predicted)):
        for kind, words in (("clinical", found.clinical), ("modality", found.modality)):
            codes = sorted(label_code(word) for word in words) if known else []
            row[f"{kind}_keywords_{whose}"] = np.array(codes, dtype=np.int64)
    return row


_SILENT = Findings(frozenset(), None)
_SCALARS = findings_columns(None)
_CALLS = ("abnormal_true", "abnormal_predicted", "abnormal_matched", "abnormality_agrees")


def description_judged() -> Scorer:
    """Return the scorer of a caption's keywords as a judge lists them; its columns are what ``findings_metrics(None)`` reads.

    By rule (no letter, no digit): no keyword, no call, so wrong; the reference's keywords are then counted with the word list.

    Bounds: of a line to come the reference's keywords and its call are not known either, since the judge lists and makes them. The
    worst has as many keywords on both sides as a verdict can hold, none of them matched, and a wrong call; the best as many, all
    matched, and a right call of abnormal. Those of the forms over the corpus are true and wide. The union has none: what a line to come does
    to it depends on the words of all others.
    """

    def rows(items: Iterable[Item]) -> Iterator[Row]:
        for item in items:
            by_rule = reference_by_rule(item.sample)
            if item.verdict is None:
                yield _row(by_rule, _SILENT)
            else:
                reference, candidate = (
                    findings_of(item.verdict[whose]) for whose in ("reference", "candidate")
                )
                yield _row(reference, candidate, by_rule)

    def bounds(sample: Sample) -> tuple[Row, Row]:
        if not has_words(reference_text(sample)):  # nobody is asked: the row is known
            row = findings_row(Findings(frozenset(), None), _SILENT, None)
            return row, row
        by_rule = reference_by_rule(sample)
        most = float(max(MOST_KEYWORDS, len(by_rule.keywords)))
        worst, best = dict.fromkeys(_SCALARS, 0.0), dict.fromkeys(_SCALARS, 1.0)
        for column in _SCALARS:
            if column.endswith(
                ("clinical_true", "modality_true", "clinical_predicted", "modality_predicted")
            ):
                worst[column] = best[column] = most
            elif column in ("clinical_matched", "modality_matched"):
                best[column] = most
        for kind in ("clinical", "modality"):  # which images count is known: the reference says it
            worst[f"{kind}_counts"] = best[f"{kind}_counts"] = float(bool(getattr(by_rule, kind)))
        # A wrong call of abnormal: it adds to the denominator of the F1 and not to the numerator.
        return {**worst, "abnormal_predicted": 1.0}, best

    return Scorer(
        name="findings(judged)",
        columns=(*findings_columns(None), *keyword_columns()),
        rows=rows,
        bounds=bounds,
        version=LEXICON_VERSION,
        judge=NOVA_DESCRIPTION,
        labels=_CALLS,
    )
