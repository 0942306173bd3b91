"""The word list of brain-MRI captions, and the scores made with it."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_bench.metrics import radiology_lexicon
from nova_bench.metrics.findings import binary_accuracy, binary_f1, findings_metrics, keyword_f1, prevalence
from nova_bench.metrics.radiology_lexicon import (
    LEXICON_VERSION,
    MODALITY_VOCABULARY,
    extract_findings,
    load_lexicon,
    sequences_and_planes,
)
from nova_bench.scorers.findings import findings_lexicon
from nova_bench.table import Table, build_columns
from nova_bench.types import Item, Metric, Prediction, Sample


def table_of(*pairs: tuple[str | None, str]) -> Table:
    """Return the table of (answer, reference) pairs."""
    scorer = findings_lexicon()
    items = [
        Item(
            Sample(f"s{i}", (), {}, reference, "case", {}),
            Prediction("refused" if answer is None else "ok", answer),
        )
        for i, (answer, reference) in enumerate(pairs)
    ]
    names = np.array([item.sample.id for item in items], dtype=object)
    columns = build_columns(scorer.rows(items), scorer.columns)
    return Table(names, names, np.zeros(len(items), dtype=int), names, names, {}, columns)


def value_of(metric: Metric, *pairs: tuple[str | None, str]) -> float:
    table = table_of(*pairs)
    return float(metric.compute(table, table.ones())[0])


def named(caption: str) -> set[str]:
    return {name for name, present in sequences_and_planes(caption).items() if present}


@pytest.mark.parametrize(
    "wordings",
    [
        ("T1-weighted", "T1WI", "T1w", "t1 weighted images", "T1\u2011weighted", "T1"),
        ("diffusion-weighted imaging", "DWI", "b1000", "b = 1000 s/mm2", "diffusion weighted images"),
        ("T2*", "T2-star", "SWI", "susceptibility-weighted imaging", "gradient-echo"),
        ("oedema", "edema", "edematous"),
        ("tumours", "tumor", "neoplasm"),
        ("haemorrhages", "hemorrhage", "haematoma"),
        ("high signal intensity", "hyperintensities", "hyper-intense"),
        ("diffusion restriction", "restricted diffusion", "restricting diffusion"),
        ("metastases", "metastasis", "metastatic disease"),
        ("both thalami, bilateral", "bilateral thalamic"),
        ("post-contrast", "after Gd", "gadolinium-enhanced", "contrast-enhanced", "+C"),
    ],
)
def test_wordings_of_one_concept_give_equal_keywords(wordings: tuple[str, ...]) -> None:
    first, *others = [extract_findings(wording).keywords for wording in wordings]
    assert first
    assert all(other == first for other in others), others


@pytest.mark.parametrize(
    ("text", "keywords"),
    [
        ("No midline shift.", {"no midline shift"}),
        (
            "No midline shift, hydrocephalus or haemorrhage.",
            {"no midline shift", "no hydrocephalus", "no hemorrhage"},
        ),
        ("No mass effect, vasogenic oedema.", {"no mass effect", "vasogenic edema"}),
        ("Neither edema nor mass effect.", {"no edema", "no mass effect"}),
        ("Without evidence of restricted diffusion but with edema.", {"no restricted diffusion", "edema"}),
        ("Absence of hydrocephalus; atrophy.", {"no hydrocephalus", "atrophy"}),
        ("Negative for hemorrhage. Lesion.", {"no hemorrhage", "lesion"}),
        ("Enhancement is not seen.", {"no enhancement"}),
        ("The lesion does not show contrast enhancement.", {"lesion", "no enhancement"}),
        ("A non-enhancing mass.", {"no enhancement", "mass"}),
        ("No lesion in the thalamus.", {"no lesion", "thalamus"}),
        ("Hemorrhage cannot be excluded.", {"hemorrhage"}),
        ("No midline shift\nMass effect", {"no midline shift", "mass effect"}),
    ],
)
def test_negation_stays_in_the_keyword_and_ends_with_its_clause(text: str, keywords: set[str]) -> None:
    assert extract_findings(text).keywords == keywords


@pytest.mark.parametrize(
    ("text", "keywords"),
    [
        ("superior sagittal sinus", {"venous sinus"}),
        ("extra-axial", {"extra-axial"}),
        ("corona radiata", {"corona radiata"}),
        ("dural tail", {"dural tail"}),
        ("ring-enhancing", {"ring enhancement"}),
        ("white matter of the frontal lobes", {"white matter", "frontal lobe"}),
    ],
)
def test_longest_wording_wins(text: str, keywords: set[str]) -> None:
    assert extract_findings(text).keywords == keywords


@pytest.mark.parametrize(
    ("text", "abnormal"),
    [
        ("Hyperintense lesion in the pons.", True),
        ("Normal brain MRI.", False),
        ("No lesion, no mass effect.", False),
        ("No mass effect, but a hyperintense focus.", True),
        ("Axial FLAIR image.", False),
        ("", None),
        (" \n.", None),
    ],
)
def test_abnormal_means_an_affirmed_finding(text: str, abnormal: bool | None) -> None:
    assert extract_findings(text).abnormal is abnormal


def test_modality_vocabulary_is_the_papers() -> None:
    assert sorted(MODALITY_VOCABULARY) == [
        "axial",
        "coronal",
        "dwi",
        "flair",
        "sagittal",
        "t1",
        "t1w",
        "t2",
        "t2w",
        "weighted",
    ]
    found = extract_findings("Axial FLAIR and SWI of a lesion")
    assert (found.modality, found.clinical) == ({"axial", "flair"}, {"swi", "lesion"})


def test_word_list_is_what_its_version_says() -> None:
    content = (
        (Path(radiology_lexicon.__file__).parent / "radiology_lexicon.toml")
        .read_bytes()
        .replace(b"\r\n", b"\n")
    )
    digest = hashlib.sha256(content).hexdigest()[:12]
    assert (LEXICON_VERSION, digest) == (1, "c3f1e1378903"), (
        "the word list changed: raise LEXICON_VERSION, then write both here"
    )


def test_every_standard_form_is_found_as_itself() -> None:
    wrong = {
        name: extract_findings(name).keywords
        for name in load_lexicon().concepts
        if extract_findings(name).keywords != {name}
    }
    assert not wrong


def test_word_list_has_five_categories_of_some_size() -> None:
    sizes = {
        category: list(load_lexicon().concepts.values()).count(category)
        for category in set(load_lexicon().concepts.values())
    }
    assert set(sizes) == {"anatomy", "finding", "descriptor", "disease", "sequence", "plane"}
    assert sum(sizes.values()) >= 500


@given(st.text(max_size=80))
def test_any_text_is_read_without_error(text: str) -> None:
    assert isinstance(extract_findings(text).keywords, frozenset)
    assert set(sequences_and_planes(text).values()) <= {True, False}


@given(st.text(alphabet="abc T1,.no/-+*", max_size=40))
def test_case_and_surrounding_space_do_not_matter(text: str) -> None:
    assert extract_findings(text) == extract_findings(f"  {text.upper()} ")


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("T2-weighted image", {"t2"}),
        ("T2W", {"t2"}),
        ("T1WI", {"t1"}),
        ("T2/FLAIR hyperintensity", {"t2", "flair"}),
        ("T2-FLAIR hyperintensity", {"flair"}),
        ("post-contrast T1", {"t1", "t1c"}),
        ("Gd-enhanced T1-weighted", {"t1", "t1c"}),
        ("T1CE", {"t1", "t1c"}),
        ("T1+C", {"t1", "t1c"}),
        ("T1-weighted images after administration of contrast", {"t1", "t1c"}),
        ("Contrast-enhanced MRI", {"t1c"}),
        ("post-contrast FLAIR", {"flair"}),
        ("T1 shows no contrast enhancement", {"t1"}),
        ("ring-enhancing lesion on T2", {"t2"}),
        ("T1 without contrast", {"t1"}),
        ("FLAIR", {"flair"}),
        ("diffusion-weighted imaging (b1000) and ADC map", {"dwi", "adc"}),
        ("restricted diffusion", set()),
        ("T2* gradient echo", {"swi"}),
        ("susceptibility-weighted", {"swi"}),
        ("TOF MRA", {"mra"}),
        ("axial and coronal", {"axial", "coronal"}),
        ("mid-sagittal", {"sagittal"}),
        ("thrombosis of the superior sagittal sinus, extra-axial mass, corona radiata", set()),
        ("", set()),
    ],
)
def test_sequences_and_planes_of_a_caption(caption: str, expected: set[str]) -> None:
    assert named(caption) == expected


REFERENCE = "Axial FLAIR: hyperintense lesion in the thalamus."  # clinical: hyperintense, lesion, thalamus


def test_keyword_f1_by_hand() -> None:
    # Clinical: lesion of {lesion, mass} and three true ones; modality: axial of {axial} and two true ones.
    assert value_of(keyword_f1("clinical"), ("Axial lesion, mass.", REFERENCE)) == pytest.approx(2 / 5)
    assert value_of(keyword_f1("modality"), ("Axial lesion, mass.", REFERENCE)) == pytest.approx(2 / 3)


def test_keyword_f1_per_image_and_over_the_corpus_differ() -> None:
    pairs = [("A lesion.", "A lesion."), (None, REFERENCE)]
    assert value_of(keyword_f1("clinical"), *pairs) == pytest.approx(1 / 2)
    assert value_of(keyword_f1("clinical", corpus=True), *pairs) == pytest.approx(2 / (1 + 4))


def test_keyword_f1_leaves_out_references_without_keywords_whatever_is_answered() -> None:
    for answer in (None, "Axial lesion."):
        pairs = [("Axial FLAIR.", "Axial FLAIR."), (answer, "A lesion.")]
        assert value_of(keyword_f1("modality"), *pairs) == 1
    assert math.isnan(value_of(keyword_f1("modality"), ("Axial.", "A lesion.")))
    # Over the corpus the keyword that is not in the reference counts against the answer.
    assert value_of(
        keyword_f1("modality", corpus=True), ("Axial FLAIR.", "Axial FLAIR."), ("Axial.", "A lesion.")
    ) == pytest.approx(4 / 5)


def test_binary_scores_by_hand() -> None:
    # True positive, false negative, false positive, true negative, and no answer to an abnormal and to a normal one.
    pairs = [
        ("A mass.", "A mass."),
        ("Normal.", "A mass."),
        ("A mass.", "Normal."),
        ("Normal.", "Normal."),
        (None, "A mass."),
        (None, "Normal."),
    ]
    assert value_of(binary_accuracy(), *pairs) == pytest.approx(2 / 6)
    assert value_of(binary_f1(), *pairs) == pytest.approx(2 / (2 + 1 + 2))
    assert value_of(prevalence(), *pairs) == pytest.approx(3 / 6)
    assert not prevalence().infer


def test_empty_references_count_nowhere() -> None:
    for metric in findings_metrics():
        with_empty = value_of(metric, ("Axial mass.", REFERENCE), ("A mass.", ""))
        assert with_empty == value_of(metric, ("Axial mass.", REFERENCE))
        assert math.isnan(value_of(metric, ("A mass.", "")))


def test_sums_give_the_same_value_as_weights() -> None:
    table = table_of(
        ("Axial lesion.", REFERENCE),
        ("A mass.", "Coronal DWI: abscess."),
        ("Normal.", ""),
        (None, "T2: no lesion."),
    )
    weights = np.array([[1.0, 1, 1, 1], [0, 2, 1, 3]])
    for metric in findings_metrics():
        assert metric.sums is not None
        num, den = metric.sums(table)
        np.testing.assert_allclose(
            metric.compute(table, weights), (weights @ num) / (weights @ den), rtol=1e-12
        )


def test_the_worst_answer_calls_the_opposite() -> None:
    scorer = findings_lexicon()
    assert scorer.bounds is not None
    worst, best = scorer.bounds(Sample("a", (), {}, "Normal brain.", "c", {}))
    assert (worst["abnormal_predicted(lexicon)"], best["abnormal_predicted(lexicon)"]) == (1, 0)
    assert (worst["abnormality_agrees(lexicon)"], best["abnormality_agrees(lexicon)"]) == (0, 1)
