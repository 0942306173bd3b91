"""Diagnoses and free texts in the ways in which models write them."""

from __future__ import annotations

import pytest

from nova_bench.parse import Diagnosis, parse_diagnosis, parse_text
from nova_bench.types import Context, Finish, Frame, Prediction, Response

CONTEXT = Context(Frame("xyxy/1000"), ("<think>", "</think>"), (), ())
FIVE = ("Glioma", "Abscess", "Lymphoma", "Metastasis", "Tuberculoma")


def diagnose(text: str | None, finish: Finish = "stop") -> Prediction:
    return parse_diagnosis(Response("a", text, finish), CONTEXT)


def describe(text: str | None, finish: Finish = "stop") -> Prediction:
    return parse_text(Response("a", text, finish), CONTEXT)


OTHERS = '"Abscess", "Lymphoma", "Metastasis", "Tuberculoma"'
ASKED = '{"most_likely_diagnosis": "Glioma", "other_possible_diagnoses": ["Abscess", "Lymphoma", "Metastasis", "Tuberculoma"]}'


def with_keys(first: str, others: str) -> str:
    return ASKED.replace("most_likely_diagnosis", first).replace("other_possible_diagnoses", others)


@pytest.mark.parametrize(
    "text",
    [
        ASKED,
        f"```json\n{ASKED}\n```\nThe ring enhancement [1, 2] suggests it.",
        f"Here you are:\n\n{ASKED}\n\nNote: consult [a specialist].",
        f"<think>1. Stroke 2. Cyst</think>{ASKED}",
        ASKED.replace('"]', '",]').replace("]}", "],}"),
        ASKED.replace('"', "'"),
        with_keys("Most Likely Diagnosis", "Other possible diagnoses"),
        with_keys("diagnosis", "differential"),
        with_keys("top_1", "alternatives"),
        f'{{"answer": {ASKED}}}',
        f'```json\n{{"diagnosis": "Stroke", "differential": ["Cyst"]}}\n```\nOn reflection:\n```json\n{ASKED}\n```',
        '{"top_1": "Glioma", "top_2": "Abscess", "top_3": "Lymphoma", "top_4": "Metastasis", "top_5": "Tuberculoma"}',
        '{"dx 2": "Abscess", "dx 1": "Glioma", "dx 3": "Lymphoma", "dx 4": "Metastasis", "dx 5": "Tuberculoma"}',
        '{"most_likely_diagnosis": {"name": "Glioma", "reason": "ring"}, '
        '"other_possible_diagnoses": [{"diagnosis": "Abscess", "p": 0.2}, '
        '{"diagnosis": "Lymphoma"}, {"name": "Metastasis"}, {"name": "Tuberculoma"}]}',
        '{"most_likely_diagnosis": "Glioma", "other_possible_diagnoses": "Abscess, Lymphoma, Metastasis, and Tuberculoma"}',
        '{"diagnosis": "Glioma", "others": {"1": "Abscess", "2": "Lymphoma", "3": "Metastasis", "4": "Tuberculoma"}}',
        f'{{"diagnosis": {{"most_likely": "Glioma", "alternatives": [{OTHERS}]}}}}',
        "Most likely diagnosis: Glioma\nOther possible diagnoses: Abscess, Lymphoma, Metastasis, Tuberculoma",
        "**Most Likely Diagnosis:** Glioma\n\n**Other Possible Diagnoses:**\n"
        "1. Abscess\n2. Lymphoma\n3. Metastasis\n4. Tuberculoma",
        "### Most likely diagnosis\nIt fits.\n\nMost likely diagnosis:\nGlioma\n\n"
        "Differential diagnosis:\n- Abscess\n- Lymphoma\n- Metastasis\n- Tuberculoma",
        "Final diagnosis: **Glioma** because of the ring.\n- It enhances.\n"
        "Alternatives:\n1. Abscess: has restricted diffusion\n   - pus\n"
        "2. Lymphoma - enhances\n3. Metastasis\n4. Tuberculoma",
        "The most likely diagnosis is Glioma.\nDifferential diagnoses include: Abscess; Lymphoma; Metastasis; Tuberculoma.",
        "Given all this, the most likely diagnosis is Glioma.\n1. Abscess\n2. Lymphoma\n3. Metastasis\n4. Tuberculoma",
    ],
)  # fmt: skip
def test_five_diagnoses_are_read_in_every_style(text: str) -> None:
    prediction = diagnose(text)
    assert prediction.value == Diagnosis("Glioma", FIVE)
    assert prediction.status == "ok"
    assert not prediction.warnings


@pytest.mark.parametrize(
    "text",
    [
        '["Glioma", "Abscess", "Lymphoma", "Metastasis", "Tuberculoma"]',
        '{"diagnoses": ["Glioma", "Abscess", "Lymphoma", "Metastasis", "Tuberculoma"]}',
        '{"differential_diagnosis": {"Glioma": 0.6, "Abscess": 0.2, "Lymphoma": 0.1, "Metastasis": 0.05, "Tuberculoma": 0.05}}',
        "1. Glioma 2. Abscess 3. Lymphoma 4. Metastasis 5. Tuberculoma",
        "I suggest:\n\n1. **Glioma** \u2013 ring enhancement\n2. **Abscess**: restricted diffusion\n3. Lymphoma\n"
        "4) Metastasis.\n5. *Tuberculoma*",
    ],
)  # fmt: skip
def test_a_list_without_a_most_likely_one_begins_with_it(text: str) -> None:
    prediction = diagnose(text)
    assert prediction.value == Diagnosis("Glioma", FIVE)
    assert prediction.warnings == {"no_most_likely": 1}


def test_repetitions_are_dropped_after_normalisation_and_counted() -> None:
    prediction = diagnose(
        '{"diagnosis": "Multiple sclerosis (MS)", "differential": ["multiple sclerosis", "Brain tumour", "brain tumor", ""]}'
    )
    assert prediction.value.candidates == ("Multiple sclerosis (MS)", "Brain tumour")
    assert prediction.warnings == {"few_candidates": 3, "repeated_candidates": 2}


def test_more_than_five_are_cut_and_counted() -> None:
    prediction = diagnose(
        '{"most_likely_diagnosis": "a1", "other_possible_diagnoses": ["b1", "c1", "d1", "e1", "f1", "g1"]}'
    )
    assert prediction.value.candidates == ("a1", "b1", "c1", "d1", "e1")
    assert prediction.warnings == {"extra_candidates": 2}


def test_one_diagnosis_alone_is_an_answer() -> None:
    prediction = diagnose("Diagnosis: Creutzfeldt-Jakob disease (CJD).")
    assert prediction.value == Diagnosis(
        "Creutzfeldt-Jakob disease (CJD)", ("Creutzfeldt-Jakob disease (CJD)",)
    )
    assert (prediction.status, prediction.warnings) == ("ok", {"few_candidates": 4})


@pytest.mark.parametrize("finish", ["stop", "length"])
@pytest.mark.parametrize(
    ("text", "names"),
    [
        (ASKED[: ASKED.index("Lympho") + 6], ("Glioma", "Abscess")),
        (ASKED[: ASKED.index("Metastasis")], ("Glioma", "Abscess", "Lymphoma")),
        (ASKED[:-2], FIVE),
        ("```json\n" + ASKED[:-1], FIVE),
        (ASKED[: ASKED.index("ioma")], None),
        ('{"most_likely', None),
    ],
)
def test_complete_strings_of_cut_json_are_kept(
    text: str, names: tuple[str, ...] | None, finish: Finish
) -> None:
    prediction = diagnose(text, finish)
    assert prediction.status == "truncated"
    assert prediction.value == (None if names is None else Diagnosis(names[0], names))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Most likely diagnosis: Glioma\nOther: none\n1. Abscess\n2. Lymph", ("Glioma", "Abscess")),
        (
            "Most likely diagnosis: Glioma\nDifferential: Abscess, Lymphoma, Meta",
            ("Glioma", "Abscess", "Lymphoma"),
        ),
        ("1. Glioma 2. Abscess 3. Lym", ("Glioma", "Abscess")),
        ("Most likely diagnosis: Gli", None),
    ],
)
def test_a_name_that_touches_the_cut_is_not_kept(text: str, names: tuple[str, ...] | None) -> None:
    prediction = diagnose(text, "length")
    assert prediction.status == "truncated"
    assert (prediction.value.candidates if prediction.value else None) == names


@pytest.mark.parametrize(
    ("text", "finish", "status"),
    [
        ("", "stop", "unparsed"),
        (None, "stop", "unparsed"),
        ("The image shows a ring-enhancing mass with oedema.", "stop", "unparsed"),
        ("{}", "stop", "unparsed"),
        ('{"findings": "mass"}', "stop", "unparsed"),
        ('{"most_likely_diagnosis": "", "other_possible_diagnoses": []}', "stop", "unparsed"),
        ('{"most_likely_diagnosis": null}', "stop", "unparsed"),
        ('{"bbox_2d": [1, 2, 3, 4]}', "stop", "unparsed"),
        ("See [left, right].", "stop", "unparsed"),
        ("I'm sorry, but I can't provide a medical diagnosis.", "stop", "refused"),
        (
            '{"most_likely_diagnosis": "I cannot provide a medical diagnosis.", "other_possible_diagnoses": []}',
            "stop",
            "refused",
        ),
        (ASKED, "filter", "refused"),
        (ASKED, "rejected", "rejected"),
        (None, "error", "failed"),
        (None, "length", "truncated"),
        ("<think>1. Glioma 2. Abscess", "stop", "truncated"),
    ],
)
def test_status_of_a_diagnosis_that_is_none(text: str | None, finish: Finish, status: str) -> None:
    prediction = diagnose(text, finish)
    assert (prediction.status, prediction.value) == (status, None)


def test_a_disclaimer_beside_a_diagnosis_is_no_refusal() -> None:
    assert diagnose(f"I cannot provide a medical diagnosis, but: {ASKED}").status == "ok"


@pytest.mark.parametrize(
    "text",
    [
        "Axial T2 with a lesion.",
        "  Axial T2 with a lesion.\n",
        "<think>Is it T1?</think>\nAxial T2 with a lesion.",
        "Is it T1?</think>Axial T2 with a lesion.",
        "ANSWER: Axial T2 with a lesion.",
        "**Answer:** Axial T2 with a lesion.",
        "Final answer: Axial T2 with a lesion.",
        "It is bright.\nANSWER: draft\nANSWER:\nAxial T2 with a lesion.",
        "Here is the caption.\n\nCaption: Axial T2 with a lesion.",
        "### Description:\nAxial T2 with a lesion.",
        "<answer>Axial T2 with a lesion.</answer>",
        '"Axial T2 with a lesion."',
        "```text\nAxial T2 with a lesion.\n```",
        '{"caption": "Axial T2 with a lesion."}',
        '```json\n{"description": "Axial T2 with a lesion."}\n```',
        "Axial T2 with a lesion.<|im_end|>",
        "Axial T2 with a lesion. </s> </s>",
    ],
)
def test_text_is_what_the_model_meant_to_say(text: str) -> None:
    prediction = describe(text)
    assert (prediction.status, prediction.value) == ("ok", "Axial T2 with a lesion.")


def test_a_description_among_other_labelled_lines_keeps_them() -> None:
    text = "**Modality:** MRI\n**Description:** a lesion"
    assert describe(text).value == text


def test_an_answer_within_a_line_is_no_marker() -> None:
    assert describe("There is no answer: it is bright.").value == "There is no answer: it is bright."


@pytest.mark.parametrize(
    ("text", "finish", "status", "value"),
    [
        ("", "stop", "unparsed", None),
        (None, "stop", "unparsed", None),
        ("It is bright.\nANSWER:", "stop", "unparsed", None),
        ("<think>a</think>", "stop", "unparsed", None),
        ("I'm sorry, I can't help with that.", "stop", "refused", None),
        ("ANSWER: I am unable to analyse medical images.", "stop", "refused", None),
        ("Axial T2. I cannot provide a diagnosis.", "stop", "ok", "Axial T2. I cannot provide a diagnosis."),
        ("Axial T2 with a", "length", "truncated", "Axial T2 with a"),
        ("<think>Is it", "stop", "truncated", None),
        ("<think>Is it", "length", "truncated", None),
        ("", "length", "truncated", None),
        ("Axial T2", "filter", "refused", None),
        ("Axial T2", "rejected", "rejected", None),
        (None, "error", "failed", None),
    ],
)
def test_status_of_a_text(text: str | None, finish: Finish, status: str, value: str | None) -> None:
    prediction = describe(text, finish)
    assert (prediction.status, prediction.value) == (status, value)


def test_text_has_no_lone_surrogates() -> None:
    assert describe("left \ud83d lobe").value == "left \ufffd lobe"
