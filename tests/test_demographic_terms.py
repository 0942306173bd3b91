"""The lexicon of demographic words: what it states, what it swaps and masks, and above all what it leaves alone."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nova_bench as nb
from nova_bench.demographic_terms import blind, state, swap, vary
from nova_bench.demographics import ATTRIBUTES

EVERYONE = [dict(zip(ATTRIBUTES, values, strict=True)) for values in itertools.product(*ATTRIBUTES.values())]


# Words that mean something else


@pytest.mark.parametrize(
    "text",
    [
        "Is the white matter affected?",
        "A black spot and a white lesion near the disc, cotton-wool white.",
        "White blood cell count and white-to-white distance.",
        "The vessels are black, the background white.",
        "white patches in the macula of the patient",
        "the whites of the eyes; Whites of an egg",
        "a non-white background",
        "Her mother's manual: human, Goldmann, mention, amen".replace("Her", "The"),
        "MS and MR with HE stain, SHE model",
        "Polish the lens; the Greek letter; Chinese herbs; the French press",
        "English",
        "a Caucasianoid, Hispanicised, femaleness, man-made, male-pattern",
        "the cataract is white, and dense",
        "a black Friday for the patients",
    ],
)
def test_words_of_medicine_are_no_hits(text: str) -> None:
    assert blind(text) == text
    for attribute, values in ATTRIBUTES.items():
        for old, new in itertools.permutations(values, 2):
            assert swap(text, attribute, old, new) == text


# Blinding


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("a Black woman", "a [race] [gender]"),
        ("a white, non-Hispanic, 67-year-old man", "a [race], [ethnicity], [age] [gender]"),
        ("BLACK MALE PATIENT", "[race] [gender] PATIENT"),
        ("Race: white. Race is Black.", "Race: [race]. Race is [race]."),
        ("The patient is black and uses drops.", "The patient is [race] and uses drops."),
        ("An African American with glaucoma", "A [race] with glaucoma"),
        ("Asians and Caucasians, Blacks and Whites", "[race] and [race], [race] and [race]"),
        ("of African descent, a South Asian", "[race], a [race]"),
        ("Latina, Latinos, non Hispanic", "[ethnicity], [ethnicity], [ethnicity]"),
        (
            "a Spanish-speaking lady, an English speaker",
            "a [language]-speaking [gender], a [language] speaker",
        ),
        ("instructions in Spanish; language: Portuguese", "instructions in [language]; language: [language]"),
        (
            "a Spanish man, a Chinese woman, of Haitian descent",
            "a [ethnicity] [gender], a [race] [gender], of [race] descent",
        ),
        ("Mr. Smith and Mrs Jones", "[gender] Smith and [gender] Jones"),
        (
            "She sees. Is it hers? Tell her. Her eye, his, himself.",
            "[gender] sees. Is it [gender]? Tell [gender]. [gender] eye, [gender], [gender].",
        ),
        ("68 yo F, aged 54, age 71, an octogenarian", "[age] [gender], aged [age], age [age], a [age]"),
    ],
)
def test_blind_masks_what_tells_demographics(text: str, masked: str) -> None:
    assert blind(text) == masked


def test_blinded_statements_of_all_patients_are_one() -> None:
    assert len(EVERYONE) == 36
    assert {blind(state(groups)) for groups in EVERYONE} == {
        "The patient is a [race], [ethnicity] [gender] whose preferred language is [language]."
    }


# Swapping


@pytest.mark.parametrize(
    ("attribute", "old", "new", "text", "swapped"),
    [
        (
            "gender",
            "female",
            "male",
            "She said her eyes hurt her; the drops are hers.",
            "He said his eyes hurt him; the drops are his.",
        ),
        (
            "gender",
            "male",
            "female",
            "He said his IOP worried him; it is his.",
            "She said her IOP worried her; it is hers.",
        ),
        ("gender", "female", "male", "WOMAN, Women, lady, Ladies", "MAN, Men, man, Men"),
        ("gender", "female", "male", "Latina woman, Ms. Ortiz, 50 yo F", "Latino man, Mr. Ortiz, 50 yo M"),
        (
            "race",
            "black",
            "asian",
            "a Black woman, African-Americans, a black spot",
            "an Asian woman, Asian people, a black spot",
        ),
        ("race", "white", "black", "a white man; A White man; Caucasian", "a black man; A Black man; Black"),
        (
            "race",
            "asian",
            "black",
            "An Asian American patient of Asian descent",
            "A Black patient of African descent",
        ),
        ("ethnicity", "hispanic", "non-hispanic", "a Hispanic man", "a non-Hispanic man"),
        (
            "ethnicity",
            "non-hispanic",
            "hispanic",
            "a non-Hispanic man, not Latino",
            "a Hispanic man, Hispanic",
        ),
        (
            "language",
            "spanish",
            "english",
            "a Spanish-speaking, Spanish man",
            "an English-speaking, Spanish man",
        ),
        ("language", "english", "other", "speaks English", "speaks Portuguese"),
        (
            "language",
            "other",
            "spanish",
            "a Russian interpreter, the Greek letter",
            "a Spanish interpreter, the Greek letter",
        ),
        ("race", "white", "asian", "Does this black man see white?", "Does this black man see white?"),
    ],
)
def test_swap_writes_the_other_value(attribute: str, old: str, new: str, text: str, swapped: str) -> None:
    assert swap(text, attribute, old, new) == swapped


PIECES = (
    "a Black woman", "the white, 67-year-old man", "An Asian lady", "his left eye", "her IOP", "tell him", "she", "Is it hers?", "African Americans",
    "Hispanic", "non-Hispanic", "speaks Spanish", "English-speaking", "a Russian interpreter", "white matter", "the black spot", "glaucoma,", "Mr. X",
    "of European descent", "women", "GENTLEMAN", "a Latina woman", "Race: white", "The patient is black.", "68 yo F", "in Spanish",
)  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_a_swapped_text_blinds_to_what_the_text_blinds_to(pieces: list[str], dice: random.Random) -> None:
    text = ". ".join(pieces)
    attribute = dice.choice(list(ATTRIBUTES))
    old, new = dice.sample(ATTRIBUTES[attribute], 2)
    assert blind(swap(text, attribute, old, new)) == blind(text)


@given(st.text(max_size=200))
def test_nothing_breaks_on_any_text(text: str) -> None:
    blind(text)
    for attribute, values in ATTRIBUTES.items():
        swap(text, attribute, values[0], values[1])


def test_a_text_of_a_megabyte_is_read_in_one_pass() -> None:
    text = "a white lesion in a black, white, black and white, or black field; " * 15_000
    assert blind(text) == text


# Stating, and the samples of a variant


def sample(**groups: str | None) -> nb.Sample:
    known = dict.fromkeys(ATTRIBUTES) | groups
    return nb.Sample("p1", (), {"question": "Does this woman need drops?"}, "yes", "p1", known)


def test_statement_leaves_out_what_is_unknown() -> None:
    assert state(dict.fromkeys(ATTRIBUTES)) == ""
    assert state(sample(gender="male").groups) == "The patient is a man."
    assert state(sample(ethnicity="hispanic").groups) == "The patient is a Hispanic person."
    assert (
        state(sample(race="white", language="english").groups)
        == "The patient is a White person whose preferred language is English."
    )


def test_swapped_gives_one_copy_a_replaced_value_and_keeps_the_rest() -> None:
    plain = sample(race="black", gender="female")
    copies = list(vary(plain, "swapped"))
    assert [copy.id for copy in copies] == ["p1+race=asian", "p1+race=white", "p1+gender=male"]
    for copy in copies:
        assert (copy.base, copy.cluster, copy.target, copy.images) == ("p1", "p1", "yes", ())
        assert {name: copy.groups[name] for name in ATTRIBUTES} == dict(plain.groups)
        assert f"p1+{copy.groups['swapped']}" == copy.id
    assert [copy.text["patient"] for copy in copies] == [
        "The patient is an Asian woman.", "The patient is a White woman.", "The patient is a Black man.",
    ]  # fmt: skip
    assert [copy.text["question"] for copy in copies] == [plain.text["question"]] * 2 + [
        "Does this man need drops?"
    ]


def test_a_patient_of_whom_all_is_known_has_six_copies_and_one_of_whom_nothing_is_has_none() -> None:
    assert all(len(list(vary(sample(**groups), "swapped"))) == 6 for groups in EVERYONE)
    assert list(vary(sample(), "swapped")) == []
    (stated,) = vary(sample(), "stated")
    assert stated.text["patient"] == ""
    (none,) = vary(sample(race="asian"), "none")
    assert dict(none.text) == {"question": "Does this woman need drops?"}
