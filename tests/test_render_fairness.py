"""Fairness tables in the terminal: every number is the document's, small groups are marked, nothing is claimed that no set can show."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator
from typing import Any

import fairness_documents
import pytest
from rich.console import Console

from nova_bench.render_fairness import Bar, report

CLAIMS = re.compile(r"\b(un)?fair(er|ly)?\b|\bno gap\b|\bunbiased\b|\bbiased\b|\bequally\b", re.IGNORECASE)


def text(document: dict[str, Any], *, width: int = 140, full: bool = False) -> str:
    written = io.StringIO()
    Console(file=written, width=width, force_terminal=False).print(report(document, full=full))
    return written.getvalue()


def line_after(shown: str, title: str, start: str) -> list[str]:
    """Return the cells of the first line below a title that begins with some words."""
    below = shown[shown.index(title) :].splitlines()
    return re.split(r"\s{2,}", next(line for line in below if line.startswith(start)).strip())


@pytest.fixture
def numbered() -> dict[str, Any]:
    """A document of one run, one metric and one attribute in which no two numbers are the same."""
    made = fairness_documents.document(runs=1, counterfactual=False)
    made["comparisons"] = [
        e for e in made["comparisons"] if (e["metric"], e["attribute"]) == ("token_f1", "race")
    ]
    (entry,) = made["comparisons"]
    fresh = _fresh()
    for part in (*entry["groups"].values(), entry["overall"]):
        part |= {key: next(fresh) for key in ("value", "low", "high")}
    for name in ("wmean", "gap", "worst", "ratio", "std", "deviation", "fap", "es"):
        entry[name] |= {key: next(fresh) for key in ("value", "low", "high", "floor", "corrected")}
    entry |= {
        "detectable": next(fresh),
        "p_value": next(fresh),
        "p_holm": 0.0123,
        "worst_group": "black",
        "best_group": "white",
    }
    return made


def _fresh() -> Iterator[float]:
    return (round(0.1001 + 0.0013 * i, 4) for i in itertools.count())


def three(number: float) -> str:
    return f"{number:.3f}"


def limits(entry: dict[str, Any]) -> str:
    return f"[{three(entry['low'])}, {three(entry['high'])}]"


def test_every_number_of_the_overview_is_the_documents(numbered: dict[str, Any]) -> None:
    (entry,) = numbered["comparisons"]
    shown = text(numbered)
    values = line_after(shown, "worst group", "race")
    assert values == [
        "race",
        f"black {three(entry['worst']['value'])}",
        three(entry["gap"]["value"]),
        three(entry["gap"]["floor"]),
        three(entry["gap"]["corrected"]),
        three(entry["ratio"]["value"]),
        three(entry["fap"]["value"]),
        three(entry["es"]["value"]),
        "0.012",
        three(entry["detectable"]),
    ]
    below = shown.splitlines()[shown[: shown.index("\nrace ")].count("\n") + 2]
    assert re.findall(r"\[[^]]*\]", below) == [
        limits(entry[name]) for name in ("worst", "gap", "ratio", "fap", "es")
    ]


def test_every_number_of_the_group_table_is_the_documents(numbered: dict[str, Any]) -> None:
    (entry,) = numbered["comparisons"]
    shown = text(numbered)
    for name, group in {**entry["groups"], "all": entry["overall"]}.items():
        cells = [c for c in line_after(shown, "token_f1 by race", f"{name} ") if not set(c) & set("●├┤┊")]
        counts, n = group["counts"], group["n"]
        states = ("failed", "refused", "unparsed", "truncated")
        percent = [f"{100 * counts[s] / n:.1f}%" if counts[s] else "0" for s in states]
        expected = [name, three(group["value"]), limits(group), str(group["patients"]), str(n), *percent]
        assert cells == expected + (["greyed"] if name == "asian" else [])


def test_small_and_unknown_groups_are_marked_with_the_reason() -> None:
    shown = text(fairness_documents.document())
    assert line_after(shown, "token_f1 by language", "            other")[-1] == "greyed"
    assert line_after(shown, "token_f1 by language", "            unknown")[-1] == "greyed"
    assert line_after(shown, "token_f1 by language", "            spanish")[-1] != "greyed"
    assert "other (9 patients, under the minimum of 20)" in shown
    assert "unknown (unknown: reported, never part of a composite)" in shown


def test_undefined_composites_show_their_reason() -> None:
    shown = text(fairness_documents.document(runs=1))
    assert line_after(shown, "worst group", "ethnicity") == ["ethnicity", "undefined", *"--------"]
    assert "ethnicity: groups cannot be compared: 1 group of at least 20 patients; two are needed" in shown
    full = text(fairness_documents.document(runs=1), full=True)
    assert "asian (no question here has a short answer)" in full


def test_every_sentence_is_under_a_table() -> None:
    document = fairness_documents.document()
    shown = " ".join(text(document, full=True).split())
    for entry in document["comparisons"]:
        assert f"{entry['run']}: {' '.join(entry['sentence'].split())}" in shown
        for pair in entry["paired"].values():
            later = entry["run"] == "reader_27b"
            assert (pair["sentence"] in shown) is later  # each pair once: the later run minus the earlier
    for record in document["counterfactual"]:
        assert record["sentence"] in shown


def test_failed_shares_and_pairs_are_shown() -> None:
    shown = text(fairness_documents.document())
    assert "7.5%" in shown  # 7 of 93 answers for spanish
    assert "reader_27b minus reader_8b, same samples" in shown
    assert "demographics in the prompt replaced" in shown


@pytest.mark.parametrize("runs", [1, 2, 4])
@pytest.mark.parametrize("full", [False, True])
def test_nothing_is_claimed_that_no_set_can_show(runs: int, full: bool) -> None:
    assert not CLAIMS.findall(text(fairness_documents.document(runs=runs), full=full))


@pytest.mark.parametrize("width", [60, 80, 109, 140])
def test_no_number_is_cut_off_at_the_edge(width: int) -> None:
    document = fairness_documents.document()
    shown = text(document, width=width)
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width
    (entry,) = [
        e
        for e in document["comparisons"]
        if (e["run"], e["metric"], e["attribute"]) == ("reader_8b", "token_f1", "language")
    ]
    joined = re.sub(r"\s", "", shown)
    for name in ("value", "low", "high"):
        assert three(entry["gap"][name]) in joined


def test_hostile_names_reach_no_terminal() -> None:
    shown = text(fairness_documents.document(hostile=True, runs=2), full=True)
    assert not re.findall(r"[\x00-\x09\x0b-\x1f\u202a-\u202e\u2066-\u2069\u200e\u200f]", shown)
    assert "⟨U+202E⟩" in shown
    assert "<script>" in shown
    assert len(shown) < 200_000  # a name of 10 kB is shortened


def test_empty_document_says_so() -> None:
    document = {**fairness_documents.document(), "comparisons": [], "counterfactual": []}
    assert "nothing to compare" in text(document)


def test_bar_has_ascii_form() -> None:
    entry = {"value": 0.5, "low": 0.25, "high": 0.75}
    assert Bar(entry, (0.0, 1.0), mark=0.0, width=9).text(ascii_only=True) == "| [-o-]  "
    assert Bar({"value": None, "low": None, "high": None}, (0.0, 1.0), width=9).text() == " " * 9


def test_metric_without_any_value_is_one_line() -> None:
    document = fairness_documents.document()
    for entry in document["comparisons"]:
        if entry["metric"] == "rouge_l":
            nothing = {
                "value": None,
                "low": None,
                "high": None,
                "note": "needs a package: run `pip install x`",
            }
            for part in (entry["overall"], *entry["groups"].values(), entry["gap"]):
                part |= nothing
    shown = text(document)
    assert shown.count("rouge_l") == 1
    assert "rouge_l: needs a package: run `pip install x`" in shown


def test_numbers_that_need_more_room_are_not_cut(numbered: dict[str, Any]) -> None:
    (entry,) = numbered["comparisons"]
    for part in (
        entry["overall"],
        *entry["groups"].values(),
        *(entry[name] for name in ("worst", "gap", "fap", "es")),
    ):
        for key, number in part.items():
            if isinstance(number, float):
                part[key] = round(number / 20, 12)  # four decimals from here on
    for run in ("a_model_with_a_long_name", "b"):
        numbered["comparisons"].append({**entry, "run": run})
    shown = text(numbered)
    values = line_after(shown, "worst group", "race")
    gap = entry["gap"]
    assert values[2] == f"black {entry['worst']['value']:.4f}"
    assert values[3:6] == [f"{gap[key]:.4f}" for key in ("value", "floor", "corrected")]
