"""From verdicts written by hand, and rows made by rule, to metrics computed by hand."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import pytest
from written_verdicts import FIRST, SECOND, green_verdict, item_of, said, sample_of, table_of, values_of

import nova_bench as nb
from nova_bench.judge_reading import read_verdict
from nova_bench.judged_rows import joined_rows
from nova_bench.metrics.classification import diagnosis_metrics
from nova_bench.metrics.findings import findings_metrics
from nova_bench.metrics.radiology_lexicon import extract_findings
from nova_bench.rubrics.green import ERRORS, green_judged, green_metrics
from nova_bench.rubrics.llm_score import (
    ANSWER_SCORE,
    REPORT_SCORE,
    SCALE,
    llm_score_judged,
    llm_score_metrics,
)
from nova_bench.rubrics.nova_description import NOVA_DESCRIPTION, description_judged, standard_keyword
from nova_bench.rubrics.nova_diagnosis import NOVA_DIAGNOSIS, diagnosis_judged

# NOVA description


def test_worked_example_of_the_page_is_what_comes_out() -> None:
    items = [item_of("Left thalamus.", "x", FIRST), item_of("Abscess.", "x", SECOND)]
    values = values_of(description_judged(), findings_metrics(None), items)
    found = [values[f"clinical_f1{form}"] for form in ("", "(corpus)", "(union)")]
    assert found == pytest.approx([0.625, 8 / 12, 8 / 11])


def test_description_metrics_are_those_computed_by_hand() -> None:
    caption = "Axial T2: hyperintense left thalamus, no edema."  # 4 clinical words and 2 of modality, by the word list too
    items = [
        item_of(caption, "x", FIRST),
        item_of("Abscess.", "x", SECOND),
        item_of(caption, None, None),
    ]
    values = values_of(description_judged(), findings_metrics(None), items)
    assert values == pytest.approx(
        {
            "clinical_f1": (6 / 8 + 2 / 4 + 0) / 3,
            "clinical_f1(corpus)": 2 * (3 + 1) / ((4 + 1) + (4 + 3 + 4)),
            # true: left thalamus hyperintense no-edema abscess cerebellum; answers: thalamus right hyperintense no-edema cerebellum
            "clinical_f1(union)": 2 * 4 / (6 + 5),
            "modality_f1": (4 / 5 + 0) / 2,
            "modality_f1(corpus)": 2 * 2 / ((3 + 1) + (2 + 2)),
            "modality_f1(union)": 2 * 2 / (2 + 4),
            "binary_accuracy": 1 / 3,
            "binary_f1": 2 * 1 / (1 + 3),
            "prevalence": 1.0,
        }
    )


def test_silence_never_beats_a_wrong_caption() -> None:
    reference = "Axial T2: hyperintense left thalamus, no edema."
    wrong = {
        "reference": FIRST["reference"],
        "candidate": said("neither", anatomy=["spleen"], sequence=["sagittal"]),
    }
    metrics = findings_metrics(None)
    silent = values_of(description_judged(), metrics, [item_of(reference, None, None)] * 2)
    babble = values_of(description_judged(), metrics, [item_of(reference, "x", wrong)] * 2)
    for name in ("clinical_f1", "clinical_f1(corpus)", "modality_f1", "binary_accuracy", "binary_f1"):
        assert silent[name] == babble[name] == 0.0


def test_silence_before_a_reference_that_the_word_list_cannot_read_counts() -> None:
    values = values_of(
        description_judged(), findings_metrics(None), [item_of("Qwertyism of the zxcv.", None, None)]
    )
    assert values["clinical_f1"] == values["clinical_f1(corpus)"] == values["clinical_f1(union)"] == 0.0
    assert math.isnan(values["modality_f1"])


LAZY = {"reference": said("abnormal"), "candidate": FIRST["candidate"]}
"""A judge that lists nothing of the reference."""
CAPTION = "Axial T2: hyperintense left thalamus, no edema."


@pytest.mark.parametrize(
    ("caption", "reference", "fault"),
    [
        (CAPTION, said("abnormal"), "clinical"),
        (CAPTION, said("abnormal", sequence=["axial"]), "clinical"),
        (CAPTION, said("abnormal", anatomy=["thalamus"]), "modality"),
        (CAPTION, said("abnormal", anatomy=["thalamus"], sequence=["swi"]), "modality"),
        (CAPTION, said("abnormal", anatomy=["", " . "], sequence=["t2"]), "clinical"),
        (CAPTION, FIRST["reference"], None),
        ("Abscess.", said("abnormal", disease=["abscess"]), None),
        ("Axial T2.", said("normal", sequence=["axial"]), None),
        ("Qwertyism of the zxcv.", said("abnormal"), None),
    ],
)
def test_verdict_that_lists_nothing_of_the_reference_is_broken(
    caption: str, reference: dict[str, Any], fault: str | None
) -> None:
    verdict = {"reference": reference, "candidate": FIRST["candidate"]}
    texts = {"reference": caption, "candidate": "x"}
    read = NOVA_DESCRIPTION.check(verdict, texts)
    assert (read is None) is (fault is None)
    assert fault is None or f"no {fault} keyword" in str(read)


def test_which_images_count_is_decided_without_the_judge() -> None:
    """Whatever a judge lists of the references: the same images are in the mean, and an empty list is no way out of it."""
    captions = [CAPTION, CAPTION, "Abscess.", "Qwertyism of the zxcv.", "Axial T2."]
    eager = {**FIRST, "reference": said("abnormal", anatomy=["left"], sequence=["axial", "t2w"])}
    for verdicts, clinical, modality in (
        ([FIRST] * 5, 6 / 8, 4 / 5),
        ([FIRST, LAZY, FIRST, FIRST, FIRST], 4 / 5 * 6 / 8, 2 / 3 * 4 / 5),
        ([FIRST, FIRST, LAZY, LAZY, LAZY], 2 / 5 * 6 / 8, 2 / 3 * 4 / 5),
        ([FIRST, FIRST, eager, LAZY, FIRST], 3 / 5 * 6 / 8, 4 / 5),
        ([{name: said("abnormal") for name in FIRST}] * 5, 0.0, 0.0),
    ):
        items = [item_of(caption, "x", verdict) for caption, verdict in zip(captions, verdicts, strict=True)]
        values = values_of(description_judged(), findings_metrics(None), items)
        assert values["clinical_f1"] == pytest.approx(clinical)
        assert values["modality_f1"] == pytest.approx(modality)


def test_negation_makes_another_keyword() -> None:
    verdict = {
        "reference": said("abnormal", imaging=["edema"]),
        "candidate": said("normal", negated=["edema"]),
    }
    values = values_of(
        description_judged(), findings_metrics(None), [item_of("Edema.", "No edema.", verdict)]
    )
    assert values["clinical_f1"] == 0.0


def calls(*pairs: tuple[str, str]) -> dict[str, float]:
    """Return the calls of one line whose repeats gave these labels of reference and candidate."""
    items = [
        item_of("A lesion.", "x", {"reference": said(true), "candidate": said(predicted)})
        for true, predicted in pairs
    ]
    row = joined_rows(description_judged(), list(description_judged().rows(items)))
    return {name: float(value) for name, value in row.items() if name.startswith("abnormal")}


A, N, X = "abnormal", "normal", "neither"


@pytest.mark.parametrize(
    ("pairs", "expected"),  # reference, answer, both abnormal, both the same
    [
        ([(A, A), (A, N), (A, A)], (1, 1, 1, 1)),
        ([(A, A), (A, N), (A, N)], (1, 0, 0, 0)),
        ([(A, A), (A, N)], (1, 1 / 2, 1 / 2, 1 / 2)),
        ([(A, A), (N, N)], (1 / 2, 1 / 2, 1 / 2, 1)),
        ([(A, A), (N, N), (A, N)], (2 / 3, 1 / 3, 1 / 3, 2 / 3)),
        ([(N, X), (N, N), (N, N)], (0, 0, 0, 1)),
        ([(A, A), (A, A), (N, X), (N, X), (N, N)], (1 / 2, 1 / 2, 1 / 2, 1 / 2)),
    ],
)
def test_labels_of_a_verdict_are_voted_as_one(
    pairs: list[tuple[str, str]], expected: tuple[float, ...]
) -> None:
    names = ("abnormal_true", "abnormal_predicted", "abnormal_matched", "abnormality_agrees")
    assert calls(*pairs) == pytest.approx(dict(zip(names, expected, strict=True)))


def test_binary_f1_of_a_torn_line_is_that_of_its_halves() -> None:
    torn = [item_of("A lesion.", "x", {"reference": said(a), "candidate": said(a)}) for a in (A, N)]
    row = joined_rows(description_judged(), list(description_judged().rows(torn)))
    table = table_of([item_of("A lesion.", "x", None)], [row], description_judged().columns)
    (f1,) = (metric for metric in findings_metrics(None) if metric.name == "binary_f1")
    assert f1.compute(table, table.ones())[0] == 1.0


@pytest.mark.parametrize(
    ("keyword", "other", "is_same"),
    [
        ("T2*", "T2", False),
        ("T2*-weighted", "T2-weighted", False),
        ("T2\u2217", "t2w", False),
        ("T2-star", "T2*w", True),
        ("T2 *", "t2*", True),
        ("**T2*-weighted imaging**", "T2*", True),
        ("***T2***", "T2", True),
        ("**T2***", "T2*", True),
        ("*T2*", "T2", True),
        ("*edema*", "edema", True),
        ("edema*", "edema", True),
    ],
)
def test_t2_star_is_no_t2(keyword: str, other: str, is_same: bool) -> None:
    assert (standard_keyword(keyword) == standard_keyword(other)) is is_same
    assert ("t2w" in (standard_keyword(keyword), standard_keyword(other))) is (
        "*" not in other and "edema" not in other
    )


@pytest.mark.parametrize("name", ["T2*", "T2*-weighted", "T2 star", "T2*w", "gradient echo T2*"])
def test_word_list_never_took_t2_star_for_t2(name: str) -> None:
    assert extract_findings(f"Axial {name} image.").keywords == {"axial", "swi"}


# NOVA diagnosis


def test_repeats_of_a_diagnosis_are_averaged() -> None:
    verdicts = [{"top1": "correct", "top5": "correct"}, {"top1": "wrong", "top5": "correct"}]
    items = [item_of("Glioma", diagnosis("A", "B"), verdict) for verdict in verdicts]
    row = joined_rows(diagnosis_judged(), list(diagnosis_judged().rows(items)))
    assert row == {"top1": 0.5, "top5": 1.0}


def diagnosis(first: str, *others: str) -> Any:
    return SimpleNamespace(most_likely=first, candidates=(first, *others))


def test_top1_and_top5_come_from_one_verdict() -> None:
    verdicts = [("correct", "correct"), ("wrong", "correct"), ("wrong", "wrong"), None]
    items = [
        item_of(
            "Glioma",
            None if top is None else diagnosis("A", "B"),
            None if top is None else {"top1": top[0], "top5": top[1]},
            cluster="one" if i == 0 else "two",
        )
        for i, top in enumerate(verdicts)
    ]
    values = values_of(diagnosis_judged(), diagnosis_metrics(None), items)
    assert values == pytest.approx(
        {
            "top1": 1 / 4,
            "top5": 2 / 4,
            "top1(unit=case)": (1 + 0) / 2,
            "top5(unit=case)": (1 + 1 / 3) / 2,
        }
    )


def test_candidate_cannot_smuggle_a_second_one_onto_a_line_of_its_own() -> None:
    texts = NOVA_DIAGNOSIS.material(
        sample_of("Glioma"), nb.Prediction("ok", diagnosis("Abscess\n2. Glioma\u2028x", "Cyst"))
    )
    assert texts == {"reference": "Glioma", "candidate": "1. Abscess 2. Glioma x\n2. Cyst"}


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (SimpleNamespace(most_likely="", candidates=("Glioma", "Cyst")), "1. -\n2. Glioma\n3. Cyst"),
        (diagnosis("A", "B", "C", "D", "E", "F"), "1. A\n2. B\n3. C\n4. D\n5. E"),
        (diagnosis("Glioma", "...", "Cyst"), "1. Glioma\n2. -\n3. Cyst"),
        (
            SimpleNamespace(most_likely="", candidates=("a", "b", "c", "d", "e")),
            "1. -\n2. a\n3. b\n4. c\n5. d",
        ),
    ],
)
def test_candidates_are_numbered_lines(value: Any, lines: str) -> None:
    texts = NOVA_DIAGNOSIS.material(sample_of("Glioma"), nb.Prediction("ok", value))
    assert texts is not None
    assert texts["candidate"] == lines


@pytest.mark.parametrize("value", [None, SimpleNamespace(most_likely="", candidates=()), diagnosis("...")])
def test_no_diagnosis_is_not_sent_and_counts_as_wrong(value: Any) -> None:
    item = item_of("Glioma", value, None)
    assert NOVA_DIAGNOSIS.material(item.sample, item.prediction) is None
    assert next(iter(diagnosis_judged().rows([item]))) == {"top1": 0.0, "top5": 0.0}


@pytest.mark.parametrize(
    ("top1", "top5", "candidate", "is_whole"),
    [
        ("correct", "correct", "1. A\n2. B", True),
        ("wrong", "correct", "1. A\n2. B", True),
        ("wrong", "wrong", "1. A", True),
        ("correct", "wrong", "1. A\n2. B", False),
        ("wrong", "correct", "1. A", False),
        ("correct", "correct", "1. -\n2. B", False),
    ],
)
def test_contradictory_diagnosis_verdict_is_broken(
    top1: str, top5: str, candidate: str, is_whole: bool
) -> None:
    answer = json.dumps({"reason": "x", "top1": top1, "top5": top5})
    read = read_verdict(NOVA_DIAGNOSIS, nb.Response("a", answer), {"reference": "A", "candidate": candidate})
    assert (read.value is not None) is is_whole
    assert (read.fault is None) is is_whole


@pytest.mark.parametrize("label", ["INCORRECT", "Correct", "not correct", "correct.", "", None, True])
def test_label_is_one_of_two_words_and_nothing_near_it(label: Any) -> None:
    answer = json.dumps({"reason": "", "top1": label, "top5": "correct"})
    assert (
        read_verdict(
            NOVA_DIAGNOSIS, nb.Response("a", answer), {"reference": "A", "candidate": "1. A\n2. B"}
        ).value
        is None
    )


# GREEN


@pytest.mark.parametrize("kind", ERRORS)
def test_each_kind_of_significant_error_counts_and_no_other_does(kind: str) -> None:
    for verdict, expected in (
        (green_verdict(3, {kind: 2}, {}), 3 / 5),
        (green_verdict(3, {}, {kind: 2}), 1.0),
        (green_verdict(0, {}, {kind: 2}), 0.0),
        (green_verdict(0, {}, {}), 0.0),
    ):
        row = next(iter(green_judged().rows([item_of("A disc.", "x", verdict)])))
        assert row["green"] == pytest.approx(expected)
        assert row[f"green_significant({kind})"] == verdict["significant_errors"][kind]
        assert row[f"green_insignificant({kind})"] == verdict["insignificant_errors"][kind]


def test_green_is_the_mean_of_reports_with_silence_as_zero() -> None:
    items = [
        item_of("A disc.", "x", green_verdict(3, {"false_finding": 1}, {"wrong_severity": 4})),
        item_of("A disc.", "x", green_verdict(2, {"missing_finding": 1, "wrong_location": 1}, {})),
        item_of("A disc.", None, None),
    ]
    assert values_of(green_judged(), green_metrics(), items) == pytest.approx({"green": (3 / 4 + 2 / 4) / 3})


# LLM score


@pytest.mark.parametrize("judge", [ANSWER_SCORE, REPORT_SCORE])
def test_llm_score_is_normalised_to_one(judge: nb.Judge) -> None:
    items = [item_of("Yes", "x", {"score": score}) for score in (0, 7, SCALE)] + [item_of("Yes", None, None)]
    values = values_of(llm_score_judged(judge), llm_score_metrics(), items)
    assert values == pytest.approx({"llm_score": (0 + 0.7 + 1 + 0) / 4})


@pytest.mark.parametrize("score", [-1, 11, 7.5, "7", True, None])
def test_score_off_the_scale_is_broken(score: Any) -> None:
    answer = json.dumps({"reason": "x", "score": score})
    texts = {"question": "Q", "reference": "A", "candidate": "B"}
    assert read_verdict(ANSWER_SCORE, nb.Response("a", answer), texts).value is None


def test_question_goes_to_the_judge_of_answers_only() -> None:
    sample, prediction = sample_of("Yes", question="Is it pale?"), nb.Prediction("ok", "no")
    assert ANSWER_SCORE.material(sample, prediction) == {
        "question": "Is it pale?",
        "reference": "Yes",
        "candidate": "no",
    }
    assert REPORT_SCORE.material(sample, prediction) == {"reference": "Yes", "candidate": "no"}
    assert ANSWER_SCORE.rubric != REPORT_SCORE.rubric


@pytest.mark.parametrize("scorer", [green_judged(), llm_score_judged(REPORT_SCORE), diagnosis_judged()])
def test_row_without_a_reference_counts_nowhere(scorer: nb.Scorer) -> None:
    row = next(iter(scorer.rows([item_of("", None, None)])))
    assert set(row) == set(scorer.columns)
    assert all(math.isnan(value) for value in row.values())
