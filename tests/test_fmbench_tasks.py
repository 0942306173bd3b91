"""The two FMBench tasks: what a model is given, what counts as what, and what a bad row gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fmbench_set import make_built
from hypothesis import given
from hypothesis import strategies as st
from running import settings

import nova_bench as nb
from nova_bench.demographics import AGE_BINS, ATTRIBUTES
from nova_bench.metrics.answers import exact_match_of, normalise_answer, token_f1_of

VQA, REPORT = "fmbench_vqa", "fmbench_report"


def run_on(home: Path, task: str, model: Any, folder: Path, **more: Any) -> nb.Run:
    return nb.evaluate(
        task, model, data=str(folder), out=home / "out" / task, settings=settings(home), **more
    )


def cells(run: nb.Run, metric: str) -> dict[str, nb.Cell]:
    return {cell.slice: cell for cell in run.cells(resamples=50) if cell.metric == metric}


# What a model is given, and what its answers are worth


def test_true_answers_score_one_and_silence_scores_nothing(tmp_path: Path) -> None:
    folder = make_built(tmp_path / "set")
    truth = {
        s.id: s.target
        for s in run_on(tmp_path / "a", VQA, lambda request: "", folder).plan.samples()
        if isinstance(s, nb.Sample)
    }
    silent = run_on(tmp_path, VQA, lambda request: "", folder)
    right = run_on(tmp_path / "b", VQA, lambda request: f"ANSWER: {truth[request.sample]}", folder)
    for metric in ("token_f1", "exact_match(short)", "rougeL"):
        assert cells(right, metric)["all"].value == 1.0
        assert cells(silent, metric)["all"].value == 0.0
    assert cells(silent, "token_f1")["all"].counts["unparsed"] == 24
    assert {"category=diagnosis", "race=asian", "language=spanish", "gender=male", "age=50-64"} <= set(
        cells(right, "token_f1")
    )


def test_requests_hold_the_question_and_the_image_and_nothing_of_the_patient(tmp_path: Path) -> None:
    seen: list[nb.Request] = []
    run_on(tmp_path, VQA, lambda request: seen.append(request) or "x", make_built(tmp_path / "set", 2))
    assert len(seen) == 6
    for request in seen:
        assert len(request.images) == 1
        assert request.ask is not None
        assert request.ask["kind"] == "question"
        assert request.ask["question"] in request.text
        for word in ("female", "male", "white", "asian", "hispanic", "english", "p0000"):
            assert word not in request.text
        assert request.params.temperature == 0.0


def test_report_is_asked_with_one_prompt_for_all(tmp_path: Path) -> None:
    seen: list[nb.Request] = []
    run = run_on(
        tmp_path, REPORT, lambda request: seen.append(request) or "x", make_built(tmp_path / "set", 3)
    )
    assert len({request.text for request in seen}) == 1
    assert [request.ask for request in seen] == [{"kind": "report"}] * 3
    assert run.plan.task.headline == "rougeL"


def test_groups_are_the_words_of_the_table_and_unknown_is_none(tmp_path: Path) -> None:
    run = run_on(tmp_path, VQA, lambda request: "x", make_built(tmp_path / "set", 10))
    table = run.scored.table
    assert set(table.groups) == {"category", "race", "ethnicity", "language", "gender", "age"}
    assert None in set(table.groups["ethnicity"])
    assert set(table.groups["age"]) - {None} <= set(AGE_BINS)
    assert len(set(table.cluster)) == 10


# Bad rows


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"question": None}, "no question"),
        ({"answer": "  "}, "no answer"),
        ({"patient_id": None}, "no patient_id"),
        (
            {"category": "weather"},
            "category is 'weather'; expected diagnosis, testing or treatment, medical condition",
        ),
        ({"race": "7"}, "race is '7'; expected asian, black, white, or null"),
        ({"gender": "unknown"}, "gender is 'unknown'; expected female, male, or null"),
        ({"age": -1}, "age is -1; expected years from 0 to 130"),
    ],
)
def test_bad_row_is_a_failed_sample_with_its_reason(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    folder = make_built(tmp_path / "set", 2, {"p0000-q1": change})
    run = run_on(tmp_path, VQA, lambda request: "x", folder)
    assert run.scored.reasons["p0000-q1"].startswith(reason)
    assert cells(run, "token_f1")["all"].n_failed == 1


def test_row_without_report_is_a_failed_sample(tmp_path: Path) -> None:
    run = run_on(
        tmp_path, REPORT, lambda request: "x", make_built(tmp_path / "set", 2, {"p0001": {"report": None}})
    )
    assert run.scored.reasons == {"p0001": "no report, so there is nothing to compare an answer with"}


def test_image_path_that_leads_out_is_a_failed_sample(tmp_path: Path) -> None:
    folder = make_built(tmp_path / "set", 2, {"p0001": {"image_path": "../secret.png"}})
    assert (
        "leads out of the data set"
        in run_on(tmp_path, REPORT, lambda request: "x", folder).scored.reasons["p0001"]
    )


def test_report_of_100_kb_is_scored(tmp_path: Path) -> None:
    long = "The disc is pale. " * 6000
    folder = make_built(tmp_path / "set", 2, {"p0001": {"report": long}})
    run = run_on(tmp_path, REPORT, lambda request: "ANSWER: The disc is pale.", folder)
    row = run.table().set_index("id").loc["p0001"]
    assert row["status"] == "ok"
    assert 0 < row["rougeL"] < 0.01


# Token F1 and exact match (Rajpurkar et al. 2016)


@pytest.mark.parametrize(
    ("answer", "reference", "f1", "exact"),
    [
        ("The glaucoma.", "glaucoma", 1.0, 1.0),
        ("open-angle glaucoma", "open angle glaucoma", 2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3), 0.0),
        ("no", "yes", 0.0, 0.0),
        ("", "yes", 0.0, 0.0),
        ("disc disc disc", "disc", 2 * (1 / 3) * 1 / (1 / 3 + 1), 0.0),
        ("a b c d e f", "b c d e f g", 2 * (5 / 5) * (5 / 6) / (5 / 5 + 5 / 6), float("nan")),
        ("0.7", "07", 1.0, 1.0),
        ("Naïve", "naïve", 1.0, 1.0),
        ("anything", "the", float("nan"), float("nan")),
    ],
)
def test_token_f1_and_exact_match_by_hand(answer: str, reference: str, f1: float, exact: float) -> None:
    assert token_f1_of(answer, reference) == pytest.approx(f1, nan_ok=True)
    assert exact_match_of(answer, reference) == pytest.approx(exact, nan_ok=True)


words = st.lists(st.sampled_from(["disc", "cup", "the", "a", "pale", "0.7", "rim,"]), max_size=8).map(
    " ".join
)


@given(words, words)
def test_token_f1_is_symmetric_bounded_and_one_only_for_equal_bags(first: str, second: str) -> None:
    forth, back = token_f1_of(first, second), token_f1_of(second, first)
    bags = [sorted(normalise_answer(text).split()) for text in (first, second)]
    if not all(bags):
        return
    assert forth == back
    assert 0 <= forth <= 1
    assert (forth == 1) == (bags[0] == bags[1])


@given(st.text(max_size=40))
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise_answer(text)
    assert normalise_answer(once) == once


def test_answer_hash_tells_same_from_other_answers(tmp_path: Path) -> None:
    said = {"p0000-q1": "The Disc.", "p0000-q2": "disc", "p0000-q3": "cup"}
    run = run_on(tmp_path, VQA, lambda request: said[request.sample], make_built(tmp_path / "set", 1))
    first, second, third = run.table()["answer_hash"]
    assert first == second != third
    assert all(float(int(code)) == code and code < 2**48 for code in (first, third))
    silent = run_on(tmp_path / "b", VQA, lambda request: "", make_built(tmp_path / "again", 1)).table()[
        "answer_hash"
    ]
    assert len(set(silent)) == 1
    assert not np.isnan(silent).any()


# The variant demographics=none|stated|swapped


def test_stated_and_swapped_runs_pair_on_the_base_id(tmp_path: Path) -> None:
    folder = make_built(tmp_path / "set", 7, {"p0000-q1": {"question": "Does this woman need drops?"}})
    seen: dict[str, nb.Request] = {}

    def remember(request: nb.Request) -> str:
        seen[request.sample] = request
        return "drops"

    stated = run_on(tmp_path / "a", VQA, remember, folder, variant={"demographics": "stated"})
    swapped = run_on(tmp_path / "b", VQA, remember, folder, variant={"demographics": "swapped"})
    table, copies = stated.scored.table, swapped.scored.table
    assert list(table.base) == list(table.id)
    assert set(copies.base) == set(table.id)
    assert set(copies.groups["swapped"]) == {
        f"{attribute}={value}" for attribute, values in ATTRIBUTES.items() for value in values
    }
    assert "swapped" not in table.groups
    own = {name: dict(zip(table.id, table.groups[name], strict=True)) for name in ATTRIBUTES}
    for line, base in enumerate(copies.base):
        assert {name: copies.groups[name][line] for name in ATTRIBUTES} == {
            name: own[name][base] for name in own
        }
        attribute, value = copies.groups["swapped"][line].split("=")
        assert own[attribute][base] not in (value, None)
        assert copies.id[line] == f"{base}+{attribute}={value}"
        assert seen[copies.id[line]].images[0].digest == seen[base].images[0].digest
    # patient 0 is a white, non-hispanic woman who speaks English; patient 6 has no known ethnicity
    assert (
        seen["p0000-q1"].text.count(
            "The patient is a White, non-Hispanic woman whose preferred language is English."
        )
        == 1
    )
    assert "Question: Does this man need drops?" in seen["p0000-q1+gender=male"].text
    assert "Question: Does this woman need drops?" in seen["p0000-q1+race=asian"].text
    assert (
        seen["p0000-q1+race=asian"].ask["patient"].startswith("The patient is an Asian, non-Hispanic woman")
    )
    assert len([line for line in copies.base if line == "p0006-q1"]) == 5
    frame = swapped.table()
    assert list(frame.columns[:3]) == ["id", "base", "cluster"]
    assert "swapped=race=asian" in cells(swapped, "token_f1")


def test_prompts_without_demographics_do_not_know_of_them(tmp_path: Path) -> None:
    folder = make_built(tmp_path / "set", 2)
    plans = {
        choice: run_on(
            tmp_path / choice, REPORT, lambda request: "x", folder, variant={"demographics": choice}
        )
        for choice in ("none", "stated", "swapped")
    }
    signatures = {run.scored.template_hash for run in plans.values()}
    assert len(signatures) == 2  # stated and swapped differ in values only
    for sample in plans["none"].plan.samples():
        assert isinstance(sample, nb.Sample)
        assert "patient" not in sample.text


def test_base_goes_through_take_and_stack_and_costs_nothing_without_copies() -> None:
    names = np.array(["a", "b", "a+race=asian"], dtype=object)
    base = np.array(["a", "b", "a"], dtype=object)
    plain = nb.Table(names, names, np.zeros(3, int), names, names, {}, {})
    assert plain.base is plain.id
    taken = plain.take(np.array([True, False, True]))
    assert taken.base is taken.id
    assert nb.Table.stack([plain, taken]).base.tolist() == [*names, names[0], names[2]]
    copies = nb.Table(names, names, np.zeros(3, int), names, names, {}, {}, base)
    assert copies.take(np.array([2, 0])).base.tolist() == ["a", "a"]
    assert nb.Table.stack([plain, copies]).base.tolist() == [*names, *base]
    assert copies.to_pandas()["base"].tolist() == [*base]
