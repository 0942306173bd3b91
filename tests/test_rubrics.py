"""The four rubrics: what goes to the judge, what does not, and the columns of a whole run."""

from __future__ import annotations

import collections
import copy
import dataclasses
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from written_verdicts import FIRST, green_verdict, said, sample_of

import nova_bench as nb
from nova_bench.backends.strict_schema import strict_faults
from nova_bench.catalog import expand
from nova_bench.demographic_terms import vary
from nova_bench.judge import check_judge, open_texts, render_parts, rubric_id, texts_in
from nova_bench.judge_reading import read_verdict
from nova_bench.rubrics.green import ERRORS, GREEN, MAX_REPORT_WORDS
from nova_bench.rubrics.llm_score import (
    ANSWER_SCORE,
    REPORT_SCORE,
)
from nova_bench.rubrics.nova_description import (
    CATEGORIES,
    MAX_CAPTION,
    MAX_KEYWORDS,
    NOVA_DESCRIPTION,
    description_judged,
)
from nova_bench.rubrics.nova_diagnosis import NOVA_DIAGNOSIS
from nova_bench.rubrics.texts import MAX_CANDIDATE
from nova_bench.verdict_schema import fault_of

ALL = (NOVA_DESCRIPTION, NOVA_DIAGNOSIS, GREEN, ANSWER_SCORE, REPORT_SCORE)
TASKS = ("nova_caption", "nova_diagnosis", "fmbench_vqa", "fmbench_report")


# What is asked


@pytest.mark.parametrize("judge", ALL, ids=lambda judge: judge.name)
def test_rubrics_and_schemas_may_be_asked_of_every_backend(judge: nb.Judge) -> None:
    check_judge(judge)
    assert strict_faults(judge.schema) == []


def longest(schema: Mapping[str, Any]) -> str:
    """Return the longest verdict that a schema allows, as JSON."""

    def value(part: Mapping[str, Any]) -> Any:
        if "enum" in part:
            return max(part["enum"], key=len)
        return {
            "object": lambda: {key: value(inner) for key, inner in part["properties"].items()},
            "array": lambda: [value(part["items"])] * part["maxItems"],
            "string": lambda: "x" * part["maxLength"],
            "integer": lambda: part["maximum"],
        }[part["type"]]()

    return json.dumps(value(schema))


@pytest.mark.parametrize(
    "judge", [judge for judge in ALL if judge is not NOVA_DESCRIPTION], ids=lambda judge: judge.name
)
def test_longest_verdict_fits_the_tokens_of_an_answer(judge: nb.Judge) -> None:
    """A judge under its schema is cut nowhere, at a token a character. NOVA's lists hold more than an honest judge can write: see below."""
    assert len(longest(judge.schema)) < judge.max_tokens


@pytest.mark.parametrize("task", TASKS)
def test_tasks_on_gated_data_keep_no_open_text(task: str) -> None:
    made = nb.load_task(task)
    assert made.judges
    if made.data.gated:
        assert [key for judge in made.judges for key in open_texts(judge)] == []


def test_a_rubric_has_one_name_and_a_name_one_rubric() -> None:
    """A label, a log and a signature name a rubric without its task."""
    found = {(judge.name, rubric_id(judge)) for task in TASKS for judge in nb.load_task(task).judges}
    assert len({name for name, _ in found}) == len(found) == len(ALL)


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


@pytest.mark.parametrize("judge", [ANSWER_SCORE, REPORT_SCORE], ids=lambda judge: judge.name)
def test_long_answer_is_judged_by_its_beginning(judge: nb.Judge) -> None:
    texts = shown(judge, "Pale disc. " * 9_000)
    assert texts["candidate"] == ("Pale disc. " * 9_000)[:MAX_CANDIDATE]


# No length and no form of an answer may break an honest judge's verdict: it would be unjudged, and leave the mean that it should lower.


def words_of(count: int) -> list[str]:
    """Return different words of two letters and more, the shortest first."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return ["".join(pair) for size in (2, 3) for pair in itertools.product(letters, repeat=size)][:count]


def shown(judge: nb.Judge, answer: str, reference: str = "A left lesion.") -> dict[str, str]:
    texts = judge.material(sample_of(reference, question="Which?"), nb.Prediction("ok", answer))
    assert texts is not None
    return dict(texts)


@pytest.mark.parametrize("between", [" ", ", ", "/", "-", "\n", "_"])
@pytest.mark.parametrize("category", CATEGORIES)
def test_honest_lists_of_a_shotgun_caption_are_a_verdict(category: str, between: str) -> None:
    """The worst there is: every word is a keyword, and all are of one category."""
    texts = shown(NOVA_DESCRIPTION, between.join(words_of(5_000)))
    keywords = re.findall("[a-z]+", texts["candidate"])
    assert len(keywords) > 50
    found = {**FIRST, "candidate": said("abnormal", **{category: keywords})}
    read = read_verdict(NOVA_DESCRIPTION, nb.Response("a", json.dumps(found)), texts)
    assert read.fault is None
    items = [nb.Item(sample_of("Left."), nb.Prediction("ok", "x"), verdict=read.value)]
    (row,) = description_judged().rows(items)
    assert row["clinical_predicted"] == len(keywords)


def test_caption_in_a_script_without_spaces_has_no_more_keywords_than_lists_hold() -> None:
    for script, letters in (("\u8111", 2), ("\u0e2a", 4)):
        texts = shown(NOVA_DESCRIPTION, script * 5_000)
        assert 50 < len(texts["candidate"]) / letters <= MAX_KEYWORDS


def test_caption_of_three_sentences_is_judged_whole() -> None:
    caption = (
        "Axial T2-weighted FLAIR image at the level of the basal ganglia shows an ill-defined hyperintense lesion in the left frontal lobe "
        "with extension across the genu of the corpus callosum. There is moderate surrounding vasogenic edema with effacement of the "
        "adjacent sulci and mild mass effect on the frontal horn of the left lateral ventricle. No midline shift, hydrocephalus, or "
        "hemorrhage is seen; the appearance favors glioma."
    )
    assert shown(NOVA_DESCRIPTION, caption)["candidate"] == caption


def test_tokens_of_a_description_hold_the_longest_honest_verdict() -> None:
    """Every word of both captions a keyword, each spelled out to twice its length; three characters a token, the signs around one."""
    characters = 2 * MAX_CAPTION + MAX_KEYWORDS * len('"", ')
    assert 2 * characters / 3 + 100 < NOVA_DESCRIPTION.max_tokens


@pytest.mark.parametrize(
    "name",
    [
        "Cerebral autosomal dominant arteriopathy with subcortical infarcts and leukoencephalopathy",
        "chronic lymphocytic inflammation with pontine perivascular enhancement responsive to steroids",
    ],
)
def test_longest_names_of_rare_diseases_are_keywords(name: str) -> None:
    verdict = {**FIRST, "candidate": said("abnormal", disease=[name])}
    assert fault_of(verdict, NOVA_DESCRIPTION.schema) is None


@pytest.mark.parametrize("kind", ["false_finding", "wrong_location"])
def test_honest_counts_of_a_report_with_endless_findings_are_a_verdict(kind: str) -> None:
    texts = shown(GREEN, ", ".join(words_of(5_000)))
    count = len(re.findall("[a-z]+", texts["candidate"]))
    verdict = green_verdict(count, {kind: count}, {kind: count})
    assert count > 200
    assert read_verdict(GREEN, nb.Response("a", json.dumps(verdict)), texts).fault is None


@pytest.mark.parametrize("judge", ALL, ids=lambda judge: judge.name)
def test_reason_has_room_for_more_than_it_is_asked_for(judge: nb.Judge) -> None:
    """Twice the words that the rubric asks for, at eight characters each; and tokens for them at two characters each."""
    room = judge.schema["properties"].get("reason", {}).get("maxLength")
    if judge is NOVA_DESCRIPTION:
        assert room is None
        return
    asked = re.search(r"- reason: [^-]*at most (\d+) words", judge.rubric)
    assert asked is not None
    assert 2 * 8 * int(asked[1]) <= room <= 2 * (judge.max_tokens - 200)


@pytest.mark.parametrize("judge", [NOVA_DESCRIPTION, GREEN], ids=lambda judge: judge.name)
@pytest.mark.parametrize("who", ["A 67-year-old Black woman", "A man"])
def test_where_an_answer_is_cut_does_not_depend_on_the_patient(judge: nb.Judge, who: str) -> None:
    rest = " ".join(words_of(2_000))
    plain = shown(judge, f"A patient. {rest}")["candidate"].split()[-1]
    cut = shown(judge, f"{who}. {rest}")["candidate"].split()[-1]
    assert abs(words_of(2_000).index(plain) - words_of(2_000).index(cut)) <= 3
    assert shown(judge, f"A woman. {rest}") == shown(judge, f"A man. {rest}")


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
    assert f"{MAX_REPORT_WORDS} words of a report" in page
    assert f"{MAX_KEYWORDS} words" in page
    assert f"{MAX_CAPTION:,} characters" in page


# Through the whole engine


class Scripted:
    """A judge that gives each rubric one verdict, and keeps what it was asked."""

    VERDICTS: Mapping[str, Any] = {
        "nova_description": FIRST,
        "nova_diagnosis": {"reason": "line 2", "top1": "wrong", "top5": "correct"},
        "green": green_verdict(3, {"false_finding": 1}, {}),
        "llm_score_answer": {"reason": "about", "score": 7},
        "llm_score_report": {"reason": "about", "score": 7},
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


def test_nova_suite_sends_two_judge_calls_an_image_at_most(tmp_path: Path) -> None:
    tasks, _ = expand("nova")
    judge = Scripted()
    images = set()
    for i, task in enumerate(tasks):
        run = nb.evaluate(task, "prior", data="mini", limit=3, out=tmp_path / str(i), judges=[judge])
        images |= set(run.table()["id"])
    asked = collections.Counter(request.sample for request in judge.asked)
    assert set(asked) == images
    assert max(asked.values()) <= 2
