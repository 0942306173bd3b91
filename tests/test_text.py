"""Reasoning blocks, refusals, "nothing abnormal" and the names of diseases."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nova_bench.text import (
    is_refusal,
    normalise_diagnosis,
    says_nothing_abnormal,
    strip_thinking,
    without_surrogates,
)

TAGS = ("<think>", "</think>")


@pytest.mark.parametrize(
    ("text", "left", "unclosed"),
    [
        ("no reasoning", "no reasoning", False),
        ("  unchanged  ", "  unchanged  ", False),
        ("<think>a</think>\n\nb", "b", False),
        ("<think></think>b", "b", False),
        ("a</think>b", "b", False),
        ("r1</think>r2</think>b", "b", False),
        ("<think>a</think>b <think>c</think>d", "b d", False),
        ("<think>a <think> b</think> c</think>d", "d", False),
        ("<think>I think <think> is a tag</think>d", "d", False),
        ("b<think>c", "b", True),
        ("<think>all of it", "", True),
        ("a</think>b<think>c", "b", True),
        ("", "", False),
    ],
)
def test_thinking_is_removed(text: str, left: str, unclosed: bool) -> None:
    assert strip_thinking(text, TAGS) == (left, unclosed)


def test_thinking_stays_where_the_model_has_no_tags() -> None:
    assert strip_thinking("<think>a</think>b", None) == ("<think>a</think>b", False)


def test_thinking_with_other_tags_and_with_equal_tags() -> None:
    assert strip_thinking("[THINK]a[/THINK]b", ("[THINK]", "[/THINK]")) == ("b", False)
    assert strip_thinking("%%a%%b%%c", ("%%", "%%")) == ("b", True)


@given(st.lists(st.sampled_from(["<think>", "</think>", "a", "b "]), max_size=12).map("".join))
def test_no_tag_survives_where_blocks_are_removed(text: str) -> None:
    left, unclosed = strip_thinking(text, TAGS)
    assert "</think>" not in left
    assert "<think>" not in left
    assert unclosed == (text.rfind("<think>") > text.rfind("</think>"))


@given(st.text(alphabet=st.characters(), max_size=20))
@example("\ud83d")
@example("\ude00\ud83d")
def test_text_without_surrogates_can_be_encoded(text: str) -> None:
    clean = without_surrogates(text)
    clean.encode("utf-8")
    if not any(unicodedata.category(char) == "Cs" for char in text):
        assert clean == text


def test_lone_surrogates_become_replacement_characters() -> None:
    assert without_surrogates("a\ud800b\udfffc") == "a\ufffdb\ufffdc"


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that.",
        "I\u2019m sorry, but I can\u2019t assist with that.",
        "As an AI I cannot provide a medical diagnosis.",
        "As an AI language model, I am not able to diagnose medical conditions.",
        "I am unable to analyse medical images.",
        "I am unable to analyze medical images",
        "I'm unable to provide a diagnosis. Please consult a qualified healthcare professional.",
        "I'm not able to interpret medical images such as MRI scans. A radiologist should review them for lesions.",
        "I can't help with identifying abnormalities in medical images.",
        "Unfortunately, I cannot view images.",
        "I won't be able to help with that.",
        "I must decline to provide medical advice.",
        "I'm sorry, but I cannot provide medical diagnoses. However, I can provide general information about brain MRI.",
        "I cannot identify abnormalities in medical images.",
        "Thank you for sharing this image. I'm sorry, but I'm unable to help with it.",
        "Sorry, but I am not a doctor and cannot provide a diagnosis.",
        '{"error": "I\'m sorry, I cannot assist with that request."}',
    ],
)
def test_refusal_is_recognised(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Glioma",
        "I cannot exclude a small infarct.",
        "The cause cannot be determined.",
        "cannot be determined",
        "No lesion can be seen, sorry.",
        "Sorry, no abnormality found.",
        "I cannot identify any abnormality.",
        "I cannot see a lesion in this image.",
        "I cannot determine the cause.",
        "The patient is unable to provide a history.",
        "I can't provide a definitive diagnosis, but the image shows an enhancing mass in the left lobe.",
        "I'm unable to provide a diagnosis, but I can describe it. Axial T2 image with a hyperintense lesion.",
        "Axial FLAIR shows a lesion. I cannot provide a diagnosis.",
        "I'm sorry for the delay. There is a mass in the pons.",
    ],
)
def test_answer_is_no_refusal(text: str) -> None:
    assert not is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "no abnormality",
        "No target.",
        "**No target**",
        "`no target`",
        "none",
        "None.",
        "unremarkable",
        "normal",
        "normal brain MRI",
        "Normal brain MRI.",
        "I do not see any abnormal area",
        "I don\u2019t see any abnormality.",
        "I am unable to identify any abnormality.",
        "I cannot see a lesion in this image",
        "no lesion can be seen, sorry",
        "There is no visible abnormality in this image.",
        "No significant abnormality is identified on this image.",
        "No evidence of abnormality",
        "The MRI appears normal.",
        "The brain MRI is unremarkable",
        "This is a normal axial T2-weighted image of the brain.",
        "No abnormality detected. The ventricles are normal in size.",
        "The image does not show any obvious signs of haemorrhage, masses, oedema, or other significant pathological findings. "
        "The sulci appear clear. However, a radiologist should review it.",
        "There is nothing abnormal.",
        "Answer: none",
    ],
)
def test_nothing_abnormal_is_recognised(text: str) -> None:
    assert says_nothing_abnormal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abnormal",
        "The image is abnormal.",
        "Abnormal signal in the pons.",
        "not normal",
        "no abnormality except a lesion in the left frontal lobe",
        "No abnormality in the left hemisphere; a mass is seen on the right.",
        "No abnormality apart from a small cyst.",
        "No abnormality, but a cyst.",
        "no other abnormality",
        "There is a lesion. No other abnormalities.",
        "No hemorrhage.",
        "No midline shift",
        "No abnormal enhancement. Tumour in the left lobe.",
        "The ventricles are normal.",
        "normal pressure hydrocephalus",
        "I cannot exclude an abnormality",
        "I'm sorry, I can't help with that.",
        "none of the ventricles is spared",
    ],
)
def test_something_abnormal_or_unsaid_is_not_nothing(text: str) -> None:
    assert not says_nothing_abnormal(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("multiple sclerosis (MS)", "Multiple Sclerosis"),
        ("Neuromyelitis optica spectrum disorder (NMOSD)", "neuromyelitis optica spectrum disorder"),
        ("GLIOBLASTOMA (GBM)", "glioblastoma"),
        ("Creutzfeldt\u2013Jakob disease (CJD)", "creutzfeldt jakob disease"),
        ("Intracerebral haemorrhage", "intracerebral hemorrhage"),
        ("ischaemic stroke", "Ischemic stroke"),
        ("cerebral oedema", "cerebral edema"),
        ("cerebral \u0153dema", "cerebral edema"),
        ("brain tumour.", "brain tumor"),
        ("metachromatic leucodystrophy", "metachromatic leukodystrophy"),
        ("Likely meningioma", "meningioma"),
        ("suspected the lymphoma", "lymphoma"),
        ("Findings consistent with an abscess", "abscess"),
        ("Alzheimer's disease", "Alzheimer disease"),
        ("Alzheimer\u2019s disease", "Alzheimer's disease"),
        ("Sj\u00f6gren syndrome", "Sjogren syndrome"),
        ("\uff27lioma", "glioma"),
        ("T-cell lymphoma", "t cell  lymphoma"),
    ],
)
def test_diagnoses_that_are_the_same_become_equal(one: str, other: str) -> None:
    assert normalise_diagnosis(one) == normalise_diagnosis(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hepatitis A", "hepatitis B"),
        ("hepatitis A", "hepatitis"),
        ("glioma (left)", "glioma (right)"),
        ("astrocytoma grade 2", "astrocytoma grade 3"),
        ("multiple sclerosis", "tuberous sclerosis"),
        ("diffuse astrocytoma (IV)", "diffuse astrocytoma"),
    ],
)
def test_diagnoses_that_differ_stay_different(one: str, other: str) -> None:
    assert normalise_diagnosis(one) != normalise_diagnosis(other)


def test_diagnosis_is_never_emptied_by_its_qualifiers() -> None:
    assert normalise_diagnosis("likely") == "likely"
    assert normalise_diagnosis("...") == ""


WORDS = st.sampled_from(
    [
        "likely",
        "the",
        "haemangioma",
        "left-sided",
        "(HG)",
        "Oedema",
        "a",
        "\u0153dema",
        "disc",
        "ised",
        "'s",
        "\u00e9",
        "&",
    ]
)


@given(st.lists(WORDS, max_size=6).map(" ".join))
def test_normalisation_is_idempotent_and_ignores_case(text: str) -> None:
    once = normalise_diagnosis(text)
    assert normalise_diagnosis(once) == once
    assert normalise_diagnosis(text.upper()) == once


@given(st.text(max_size=80))
def test_text_rules_take_any_text(text: str) -> None:
    assert isinstance(is_refusal(text), bool)
    assert isinstance(says_nothing_abnormal(text), bool)
    assert set(normalise_diagnosis(text)) <= {" "} | {
        char for char in normalise_diagnosis(text) if char.isalnum()
    }
