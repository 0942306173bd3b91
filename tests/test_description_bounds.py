"""Bounds of description cells hold whatever the answers and verdicts that are to come will say."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from written_verdicts import item_of, said, table_of

import nova_bench as nb
from nova_bench.judged_rows import joined_rows
from nova_bench.metrics.findings import findings_metrics
from nova_bench.metrics.radiology_lexicon import load_lexicon
from nova_bench.rubrics.nova_description import CATEGORIES, MOST_KEYWORDS, SCHEMA, description_judged
from nova_bench.scorers.findings import findings_lexicon

TEXTS = ("Axial FLAIR: abscess.", "Normal brain.", "Qwertyism of the zxcv.", "Edema.", "2", "-")
WORDS = st.lists(
    st.one_of(
        st.sampled_from(["lesion", "edema", "flair", "axial", "t2w"]), st.integers(0, 99).map("w{}".format)
    ),
    max_size=30,
    unique=True,
)


def captions(labels: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda label, lists: said(label, **lists), st.sampled_from(labels), st.fixed_dictionaries(
        dict.fromkeys(CATEGORIES, WORDS)
    ))  # fmt: skip


VERDICTS = st.builds(
    lambda reference, candidate: {"reference": reference, "candidate": candidate},
    captions(["normal", "abnormal"]),
    captions(["normal", "abnormal", "neither"]),
)
LINES = st.tuples(st.sampled_from(TEXTS[:5]), st.lists(st.none() | VERDICTS, min_size=1, max_size=3))


def row_of(text: str, verdicts: list[Any]) -> nb.Row:
    """Return the row of one line with all its repeats; a line of which one is by rule is by rule altogether."""
    if None in verdicts:
        verdicts = [None]
    items = [item_of(text, None if verdict is None else "x", verdict) for verdict in verdicts]
    return joined_rows(description_judged(), list(description_judged().rows(items)))


def values(scorer: nb.Scorer, metrics: tuple[nb.Metric, ...], rows: list[nb.Row]) -> dict[str, float]:
    columns = [column for column in scorer.columns if all(column in row for row in rows)]
    table = table_of([item_of("a", None, None)] * len(rows), rows, columns)
    return {
        metric.name: float(metric.compute(table, table.ones())[0])
        for metric in metrics
        if set(metric.needs) <= set(columns)
    }


def check(
    scorer: nb.Scorer,
    metrics: tuple[nb.Metric, ...],
    known: list[nb.Row],
    texts: list[str],
    completed: list[nb.Row],
) -> None:
    assert scorer.bounds is not None
    imputed = [scorer.bounds(item_of(text, None, None).sample) for text in texts]
    worst, best = (values(scorer, metrics, [*known, *(sides[side] for sides in imputed)]) for side in (0, 1))
    for name, value in values(scorer, metrics, [*known, *completed]).items():
        if name in worst and not math.isnan(value):
            assert not worst[name] - 1e-9 > value, name
            assert not value > best[name] + 1e-9, name  # NaN: the bound is not known, and none is printed


RICH = {
    "reference": said("abnormal", imaging=["lesion"], anatomy=[f"part {i}" for i in range(30)]),
    "candidate": said("abnormal", imaging=["lesion"], anatomy=[f"part {i}" for i in range(30)]),
}
WORDY = {
    "reference": said("normal", imaging=["lesion"]),
    "candidate": said("normal", imaging=["lesion"], disease=[f"wrong {i}" for i in range(30)]),
}
PLAIN = {
    "reference": said("abnormal", imaging=["lesion"], sequence=["axial"]),
    "candidate": said("abnormal", imaging=["lesion", "mass"], sequence=["axial"]),
}


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, max_size=3), st.lists(LINES, min_size=1, max_size=3))
@example([("Edema.", [PLAIN])], [("Edema.", [RICH])])
@example([("Edema.", [PLAIN])], [("Edema.", [WORDY])])
@example([("Edema.", [PLAIN])], [("Normal brain.", [None])])
@example([], [("Edema.", [RICH, WORDY])])
def test_bounds_enclose_whatever_a_judge_may_say(known: list[Any], to_come: list[Any]) -> None:
    check(
        description_judged(),
        findings_metrics(None),
        [row_of(*line) for line in known],
        [text for text, _ in to_come],
        [row_of(*line) for line in to_come],
    )


def test_which_cells_have_bounds() -> None:
    sides = description_judged().bounds(item_of(TEXTS[0], None, None).sample)  # type: ignore[misc]
    for row in sides:
        assert set(values(description_judged(), findings_metrics(None), [row])) == {
            metric.name for metric in findings_metrics(None) if "union" not in metric.name
        }
    worst, best = (values(description_judged(), findings_metrics(None), [row]) for row in sides)
    assert set(worst.values()) == {0.0}
    assert set(best.values()) == {1.0}


def test_the_bounds_know_how_much_a_verdict_can_hold() -> None:
    most = {
        schema["maxItems"]
        for side in SCHEMA["properties"].values()
        for schema in side["properties"].values()
        if "maxItems" in schema
    }
    assert max(most) == MOST_KEYWORDS // len(CATEGORIES)
    full = said("abnormal", **{kind: [f"{kind} {i}" for i in range(max(most))] for kind in CATEGORIES})
    row = row_of("Edema.", [{"reference": full, "candidate": full}])
    worst, best = description_judged().bounds(item_of("Edema.", None, None).sample)  # type: ignore[misc]
    assert row["clinical_true"] == worst["clinical_predicted"] == best["clinical_matched"] == MOST_KEYWORDS


def test_a_line_without_a_reference_is_known_already() -> None:
    worst, best = description_judged().bounds(item_of("-", None, None).sample)  # type: ignore[misc]
    assert all(math.isnan(value) for row in (worst, best) for value in row.values())


PHRASES = [" ".join(phrase) for phrase in sorted(load_lexicon().phrases)]
CAPTIONS = st.lists(st.sampled_from([*PHRASES, "no", ".", "without", "-"]), max_size=40).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(CAPTIONS, CAPTIONS), max_size=3),
    st.lists(st.tuples(CAPTIONS, CAPTIONS), min_size=1, max_size=3),
)
@example([("lesion", "lesion")], [("lesion", " . ".join(PHRASES))])
def test_bounds_of_the_word_list_enclose_every_answer(known: list[Any], to_come: list[Any]) -> None:
    def rows(pairs: list[Any]) -> list[nb.Row]:
        return list(findings_lexicon().rows([item_of(*pair, None) for pair in pairs]))

    metrics = tuple(
        metric for metric in findings_metrics() if not metric.name.startswith("prevalence")
    )  # of the references, which are known
    check(findings_lexicon(), metrics, rows(known), [text for text, _ in to_come], rows(to_come))


@pytest.mark.parametrize("side", [0, 1])
def test_prevalence_by_the_word_list_is_known(side: int) -> None:
    row = findings_lexicon().bounds(item_of("Normal brain.", None, None).sample)[side]  # type: ignore[misc]
    assert row["abnormal_true(lexicon)"] == 0.0
