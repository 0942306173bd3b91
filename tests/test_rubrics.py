"""The four rubrics: what goes in, what is made by rule, and from verdicts written by hand to rows and metrics computed by hand."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import nova_bench as nb
from nova_bench.backends.strict_schema import strict_faults
from nova_bench.demographic_terms import vary
from nova_bench.judge import check_judge, open_texts, read_verdict, render_parts, texts_in
from nova_bench.metrics.classification import diagnosis_metrics
from nova_bench.metrics.findings import findings_metrics
from nova_bench.rubrics.green import ERRORS, GREEN, green_judged, green_metrics
from nova_bench.rubrics.llm_score import (
    ANSWER_SCORE,
    REPORT_SCORE,
    SCALE,
    llm_score_judged,
    llm_score_metrics,
)
from nova_bench.rubrics.nova_description import CATEGORIES, NOVA_DESCRIPTION, description_judged
from nova_bench.rubrics.nova_diagnosis import NOVA_DIAGNOSIS, diagnosis_judged
from nova_bench.rubrics.texts import MAX_CANDIDATE
from nova_bench.table import Table, build_columns

ALL = (NOVA_DESCRIPTION, NOVA_DIAGNOSIS, GREEN, ANSWER_SCORE, REPORT_SCORE)
TASKS = ("nova_caption", "nova_diagnosis", "fmbench_vqa", "fmbench_report")
Metrics = Iterable[nb.Metric]


def sample_of(target: Any, id: str = "a", cluster: str = "c", **text: str) -> nb.Sample:
    return nb.Sample(id, (), text, target, cluster, {})


def item_of(target: Any, value: Any, verdict: Mapping[str, Any] | None, cluster: str = "c") -> nb.Item:
    status = "unparsed" if value is None else "ok"
    return nb.Item(sample_of(target, cluster=cluster), nb.Prediction(status, value), verdict=verdict)


def values_of(scorer: nb.Scorer, metrics: Metrics, items: list[nb.Item]) -> dict[str, float]:
    """Return each metric's value over the rows of some items."""
    names = np.array([f"s{i}" for i in range(len(items))], dtype=object)
    cases = np.array([item.sample.cluster for item in items], dtype=object)
    columns = build_columns(list(scorer.rows(items)), scorer.columns)
    table = Table(names, cases, np.zeros(len(items), int), names, names, {}, columns)
    return {metric.name: float(metric.compute(table, table.ones())[0]) for metric in metrics}


def said(label: str, **lists: list[str]) -> dict[str, Any]:
    return {**{name: lists.get(name, []) for name in CATEGORIES}, "label": label}


# What is asked


@pytest.mark.parametrize("judge", ALL, ids=lambda judge: judge.name)
def test_rubrics_and_schemas_may_be_asked_of_every_backend(judge: nb.Judge) -> None:
    check_judge(judge)
    assert strict_faults(judge.schema) == []


@pytest.mark.parametrize("task", TASKS)
def test_tasks_on_gated_data_keep_no_open_text(task: str) -> None:
    made = nb.load_task(task)
    assert made.judges
    if made.data.gated:
        assert [key for judge in made.judges for key in open_texts(judge)] == []


def test_judged_nova_suite_asks_twice_an_image() -> None:
    assert sum(len(nb.load_task(name).judges) for name in TASKS if name.startswith("nova")) == 2
    assert nb.load_task("nova_localization").judges == ()


@pytest.mark.parametrize("task", TASKS)
def test_judged_metrics_read_columns_that_only_the_judge_makes(task: str) -> None:
    made = nb.load_task(task)
    plain = {column for scorer in made.scorers if scorer.judge is None for column in scorer.columns}
    judged = made.judged_columns
    assert len(set(judged)) == len(judged)
    assert not plain & set(judged)
    assert made.headline in {metric.name for metric in made.plain_metrics}
    for metric in made.judged_metrics:
        assert set(metric.needs) <= set(judged)
    assert {need for metric in made.metrics for need in metric.needs} <= plain | set(judged)


@pytest.mark.parametrize("judge", [NOVA_DESCRIPTION, GREEN, REPORT_SCORE], ids=lambda judge: judge.name)
@pytest.mark.parametrize("answer", [None, "", "  \n", "...", "\u200b\u2060", "\U000e0041"])
def test_answer_without_a_word_is_not_sent(judge: nb.Judge, answer: str | None) -> None:
    status = "ok" if answer else "unparsed"
    assert judge.material(sample_of("A normal disc."), nb.Prediction(status, answer)) is None


@pytest.mark.parametrize("judge", [NOVA_DESCRIPTION, GREEN, REPORT_SCORE], ids=lambda judge: judge.name)
def test_long_answer_is_judged_by_its_beginning(judge: nb.Judge) -> None:
    texts = judge.material(sample_of("A disc."), nb.Prediction("ok", "Pale disc. " * 9_000))
    assert texts is not None
    assert texts["candidate"] == ("Pale disc. " * 9_000)[:MAX_CANDIDATE]


@pytest.mark.parametrize("judge", [NOVA_DESCRIPTION, GREEN, ANSWER_SCORE, REPORT_SCORE], ids=lambda j: j.name)
def test_judge_sees_no_demographics(judge: nb.Judge) -> None:
    texts = []
    for who, pronoun in (("Black woman", "her"), ("White man", "his")):
        reference = f"The patient is a 67-year-old {who}. Cupping of {pronoun} left disc."
        question = f"Does this {who} have glaucoma?"
        sample = sample_of(reference, question=question, patient=f"The patient is a {who}.")
        texts.append(judge.material(sample, nb.Prediction("ok", f"A {who} with cupping.")))
    assert texts[0] == texts[1]
    assert texts[0] is not None
    assert "woman" not in json.dumps(texts[0])
    assert "cupping" in texts[0]["candidate"]


@pytest.mark.parametrize("name", ["fmbench_vqa@demographics=swapped", "fmbench_report@demographics=stated"])
def test_judge_of_a_swapped_copy_is_asked_the_same(name: str) -> None:
    task = nb.load_task(name.partition("@")[0])
    groups: dict[str, str | None] = dict.fromkeys(("race", "ethnicity", "language", "gender", "age"))
    groups |= {"gender": "female", "race": "black"}
    plain = sample_of("Glaucoma.", question="Does this Black woman need her drops?")
    copies = list(vary(dataclasses.replace(plain, groups=groups), name.partition("=")[2]))
    asked = {
        json.dumps(judge.material(copy, nb.Prediction("ok", "Yes, she has glaucoma.")))
        for copy in copies
        for judge in task.judges[-1:]
    }
    assert len(asked) == 1


def test_texts_come_back_out_of_the_request_as_they_went_in() -> None:
    texts = {"question": "Which?", "reference": "Glaucoma.", "candidate": "1. A\n2. B"}
    assert texts_in(render_parts(ANSWER_SCORE, texts)) == texts


def test_page_of_judges_knows_every_rubric_column_and_bound() -> None:
    page = (Path(__file__).parent.parent / "docs" / "judges.md").read_text(encoding="utf-8")
    for task in map(nb.load_task, TASKS):
        words = {f"`{metric.name.partition('(')[0]}`" for metric in task.judged_metrics}
        for word in {f"`{task.name}`", *(f"`{judge.name}`" for judge in task.judges), *words}:
            assert word in page, word
    for word in (*ERRORS, *CATEGORIES):
        assert f"`{word}`" in page, word
    assert f"{MAX_CANDIDATE:,} characters" in page


def test_worked_example_of_the_page_is_what_comes_out() -> None:
    items = [item_of("Left thalamus.", "x", FIRST), item_of("Abscess.", "x", SECOND)]
    values = values_of(description_judged(), findings_metrics(None), items)
    found = [values[f"clinical_f1{form}"] for form in ("", "(corpus)", "(union)")]
    assert found == pytest.approx([0.625, 8 / 12, 8 / 11])


# NOVA description

FIRST = {
    "reference": said(
        "abnormal",
        anatomy=["left", "Thalamus"],
        imaging=["hyperintense"],
        negated=["no edema"],
        sequence=["T2-weighted", "axial"],
    ),
    "candidate": said(
        "abnormal",
        anatomy=["thalamus", "right"],
        imaging=["hyperintense", "hyperintense "],
        negated=["edema"],
        sequence=["t2w", "flair", "axial"],
    ),
}
"""Clinical: {left, thalamus, hyperintense, no edema} and {thalamus, right, hyperintense, no edema}: 3 of 4 and 4, F1 6/8.
Modality: {t2w, axial} and {t2w, flair, axial}: 2 of 2 and 3, F1 4/5."""

SECOND = {
    "reference": said("abnormal", disease=["abscess"], anatomy=["left", "cerebellum"]),
    "candidate": said("normal", anatomy=["cerebellum"], sequence=["dwi"]),
}
"""Clinical: 1 of 3 and 1, F1 2/4. Modality: the reference has none; the answer's one counts against it in the pooled form only."""


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


def test_negation_makes_another_keyword() -> None:
    verdict = {
        "reference": said("abnormal", imaging=["edema"]),
        "candidate": said("normal", negated=["edema"]),
    }
    values = values_of(
        description_judged(), findings_metrics(None), [item_of("Edema.", "No edema.", verdict)]
    )
    assert values["clinical_f1"] == 0.0


def test_description_bounds_enclose_every_row() -> None:
    worst, best = description_judged().bounds(sample_of("Axial FLAIR: abscess."))  # type: ignore[misc]
    assert set(worst) == set(best) == set(description_judged().columns)
    assert (worst["clinical_matched"], worst["abnormality_agrees"]) == (0.0, 0.0)
    assert best["clinical_matched"] == best["clinical_true"] == best["clinical_predicted"] > 0
    assert best["abnormality_agrees"] == 1.0


# NOVA diagnosis


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


def green_verdict(matched: int, significant: Mapping[str, int], other: Mapping[str, int]) -> dict[str, Any]:
    none = dict.fromkeys(ERRORS, 0)
    return {
        "reason": "",
        "matched_findings": matched,
        "significant_errors": {**none, **significant},
        "insignificant_errors": {**none, **other},
    }


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


# Through the whole engine


class Scripted:
    """A judge that gives each rubric one verdict, and keeps what it was asked."""

    VERDICTS: Mapping[str, Any] = {
        "nova_description": FIRST,
        "nova_diagnosis": {"reason": "line 2", "top1": "wrong", "top5": "correct"},
        "green": green_verdict(3, {"false_finding": 1}, {}),
        "llm_score": {"reason": "about", "score": 7},
    }

    def __init__(self) -> None:
        self.asked: list[nb.Request] = []

    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        for request in requests:
            self.asked.append(request)
            verdict = self.VERDICTS[request.id.split("|")[1]]
            yield nb.Response(request.id, json.dumps(copy.deepcopy(verdict)))


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (
            "nova_caption",
            {
                "clinical_f1": 6 / 8,
                "clinical_f1(corpus)": 6 / 8,
                "modality_f1": 4 / 5,
                "binary_accuracy": 1.0,
                "clinical_f1(union)": 6 / 8,
            },
        ),
        ("nova_diagnosis", {"top1": 0.0, "top5": 1.0, "top5(unit=case)": 1.0}),
        ("fmbench_vqa", {"llm_score": 0.7}),
        ("fmbench_report", {"green": 0.75, "llm_score": 0.7}),
    ],
)
def test_judged_columns_of_a_run(task: str, expected: Mapping[str, float], tmp_path: Path) -> None:
    judge = Scripted()
    given = nb.evaluate(task, "prior", data="mini", limit=2, out=tmp_path / "plain")
    run = nb.evaluate(task, "prior", data="mini", limit=2, out=tmp_path / "run", judges=[judge])
    cells = {cell.metric: cell for cell in run.cells() if cell.slice == "all"}
    (name,) = run.scored.judges
    for metric, value in expected.items():
        word, opening, options = metric.partition("(")
        key = f"{word}(judge={name}" + (f",{options}" if opening else ")")
        assert cells[key].value == pytest.approx(value), key
        assert cells[key].signature["protocol"]["judge"]["model"] == name
    plain = {cell.metric: cell.value for cell in given.cells() if cell.slice == "all"}
    assert {metric: cells[metric].value for metric in plain} == plain
    assert not any("judge=" in metric for metric in plain)
    n_lines = len(run.table())
    assert len(judge.asked) == n_lines * len(run.plan.task.judges)
    assert not any(request.images for request in judge.asked)
