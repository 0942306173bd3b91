"""Probabilities of labels, against tokens whose probabilities are planted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_bench.backends.label_probs import label_probs

LETTERS = ("A", "B", "C", "D")


def position(probs: Mapping[str, float], chosen: str | None = None) -> dict[str, Any]:
    top = [{"token": token, "logprob": math.log(p) if p else -9999.0} for token, p in probs.items()]
    chosen = chosen or max(probs, key=lambda token: probs[token])
    return {"token": chosen, "logprob": math.log(probs[chosen]), "top_logprobs": top}


def of(probs: Mapping[str, float], labels: Sequence[str] = LETTERS) -> list[float] | None:
    found = label_probs([position(probs)], labels)
    return None if found is None else found.tolist()


def test_spellings_of_a_label_are_summed_and_labels_normalised() -> None:
    found = of({"A": 0.3, " A": 0.1, "B": 0.2, " b": 0.1, "C": 0.1, "D\n": 0.0, "The": 0.1})
    assert found == pytest.approx([0.5, 0.375, 0.125, 0.0])


def test_case_counts_where_only_case_tells_labels_apart() -> None:
    assert of({"a": 0.6, "A": 0.3, "b": 0.1}, ("A", "a")) == pytest.approx([1 / 3, 2 / 3])


@given(st.lists(st.floats(0.01, 1.0), min_size=4, max_size=4), st.permutations(LETTERS))
def test_order_of_tokens_and_of_labels_changes_nothing(weights: list[float], labels: list[str]) -> None:
    probs = {label: weight / sum(weights) for label, weight in zip(LETTERS, weights, strict=True)}
    found = of(dict(reversed(probs.items())), labels)
    assert found == pytest.approx([probs[label] for label in labels])
    assert sum(found or ()) == pytest.approx(1.0)


def test_blank_positions_before_the_label_are_passed_over() -> None:
    content = [position({"\n": 0.9, "A": 0.1}), position({"B": 0.75, "A": 0.25})]
    assert label_probs(content, ("A", "B")) == pytest.approx([0.25, 0.75])


def test_unlisted_label_is_zero_only_where_hardly_any_probability_is_unlisted() -> None:
    assert of({"Yes": 0.995}, ("Yes", "No")) == [1.0, 0.0]
    assert of({"Yes": 0.97}, ("Yes", "No")) is None
    assert of({"Yes": 0.97, "yes": 0.03}, ("Yes", "No")) == pytest.approx([1.0, 0.0])


@pytest.mark.parametrize(
    ("probs", "labels"),
    [
        ({" pne": 0.6, " normal": 0.4}, ("pneumonia", "normal")),
        ({"normal": 0.9, " pne": 0.1}, ("pneumonia", "normal")),
        ({"No": 1.0}, ("No", "No finding")),  # is "No" the label or the beginning of the other?
        ({"Grade": 1.0}, ("Grade 1", "Grade 2")),
    ],
)
def test_labels_of_several_tokens_have_no_probabilities(
    probs: Mapping[str, float], labels: tuple[str, ...]
) -> None:
    assert of(probs, labels) is None


def test_label_of_several_tokens_is_zero_where_it_was_not_begun() -> None:
    assert of({"normal": 0.996, " pne": 0.004}, ("pneumonia", "normal")) == [0.0, 1.0]


@pytest.mark.parametrize("probs", [{"The": 0.6, "A": 0.4}, {'"': 1.0}, {"<think>": 0.99, "A": 0.01}])
def test_answer_that_begins_with_something_else_has_no_probabilities(probs: Mapping[str, float]) -> None:
    assert of(probs, ("A", "B")) is None


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        "A",
        [{"token": " ", "logprob": 0.0}],
        [{"token": None}],
        [{"token": "A", "logprob": None, "top_logprobs": None}],
        [{"token": "A", "logprob": math.nan}],
        [{"token": "x", "logprob": 0.0, "top_logprobs": [None, 3, {"token": 5, "logprob": 0}]}],
    ],
)
def test_what_servers_leave_out_gives_none(content: object) -> None:
    assert label_probs(content, ("A", "B")) is None


@pytest.mark.parametrize("labels", [(), ("A", "A"), ("A", " ")])
def test_labels_that_cannot_be_told_apart_have_no_probabilities(labels: tuple[str, ...]) -> None:
    assert of({"A": 1.0}, labels) is None


def test_token_drawn_from_outside_the_listed_counts() -> None:
    entry = {**position({"A": 0.7, "x": 0.1}), "token": "B", "logprob": math.log(0.2)}
    found = label_probs([entry], ("A", "B"))
    assert found is not None
    assert found.dtype == np.float64
    assert found == pytest.approx([7 / 9, 2 / 9])


def test_tokens_of_one_text_add_up_and_one_that_is_listed_twice_does_not() -> None:
    listed = [
        ("Yes", 0.6),
        ("No", 0.3),
        ("No", 0.1),
        ("Yes", 0.6),
    ]  # "No" and "\u2581No" of a SentencePiece vocabulary
    top = [{"token": token, "logprob": math.log(share)} for token, share in listed]
    found = label_probs([{**top[0], "top_logprobs": top}], ("Yes", "No"))
    assert found == pytest.approx([0.6, 0.4])
