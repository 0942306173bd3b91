"""Runs with swapped demographics, set against the run that was told the truth: what changes, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fair_set import Answer, make_fair_set, rows_of, run_fair

import nova_bench as nb
from nova_bench.errors import DataError, UsageError
from nova_bench.stats import IDENTICAL

QUICK = nb.FairnessSettings(resamples=300, permutations=99)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("swap")
    make_fair_set(home / "set")
    return home


@pytest.fixture(scope="module")
def swapping(home: Path) -> Answer:
    """A model that says no to every second patient who is said to be black, and is right otherwise."""
    known = rows_of(home / "set")

    def swayed(request: nb.Request) -> str:
        base = request.sample.partition("+")[0]
        if "race=black" in request.text and int(base[1:4]) % 2:
            return "no"
        return known[base]["answer"]

    return swayed


@pytest.fixture(scope="module")
def swapped(home: Path, swapping: Answer) -> dict[str, Any]:
    for told in ("stated", "swapped"):
        run_fair(home, swapping, told, f"@demographics={told}")
    return nb.fairness([home / "stated", home / "swapped"], settings=QUICK)


def test_swapped_answers_are_set_against_the_stated_ones(home: Path, swapped: dict[str, Any]) -> None:
    rows = rows_of(home / "set").values()
    records = {(r["attribute"], r["value"]): r for r in swapped["counterfactual"]}
    assert list(records) == [("race", "black"), ("race", "white"), ("sex", "f"), ("sex", "m")]
    told_black = [row for row in rows if row["race"] in ("white", "asian")]
    changed = [row for row in told_black if int(row["patient"][1:]) % 2 and row["answer"] == "yes"]
    black = records["race", "black"]
    assert black["n"] == len(told_black)
    assert black["patients"] == len({row["patient"] for row in told_black})
    assert black["changed"]["value"] == pytest.approx(len(changed) / len(told_black))
    assert 0 < black["changed"]["low"] < black["changed"]["value"] < black["changed"]["high"] < 1
    accuracy = black["metrics"]["accuracy"]
    assert accuracy["value"] == pytest.approx(-len(changed) / len(told_black))
    assert accuracy["high"] < 0
    assert accuracy["stated"] == 1
    assert black["metrics"]["error"]["value"] == pytest.approx(-accuracy["value"])
    assert black["metrics"]["judged"]["note"] == "pip install judge"
    assert "drawn" not in black["metrics"]  # not a mean
    # Who was black and is said to be white is answered rightly now.
    assert records["race", "white"]["metrics"]["accuracy"]["value"] > 0
    for value in ("f", "m"):
        assert records["sex", value]["changed"]["value"] == 0
        same = records["sex", value]["metrics"]["accuracy"]
        assert same["value"] == 0
        assert -1 < same["low"] < 0 < same["high"] < 1  # other patients could be answered differently
        assert same["note"] == IDENTICAL
        assert records["sex", value]["changed"]["high"] > 0
    assert black["sentence"].startswith("race replaced by black: ")
    assert "accuracy 1.000 becomes" in black["sentence"]


def test_swapped_run_is_no_run_of_its_own_in_the_groups(swapped: dict[str, Any]) -> None:
    assert [run["task"] for run in swapped["runs"]] == ["fair_task@demographics=stated"]
    assert {e["task"] for e in swapped["comparisons"]} == {"fair_task@demographics=stated"}
    for record in swapped["counterfactual"]:
        for number in (record["changed"], *record["metrics"].values()):
            assert number["signature"]["protocol"]["variant"] == {"demographics": "swapped"}
            assert number["signature"]["protocol"]["against"] == "demographics=stated"


def test_swapped_run_without_its_stated_one_is_refused_with_the_command(
    home: Path, swapped: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="fair_task@demographics=stated --model swayed"):
        nb.fairness([home / "swapped"])


def test_by_and_metric_choose_among_what_was_swapped(home: Path, swapped: dict[str, Any]) -> None:
    folders = [home / "stated", home / "swapped"]
    chosen = nb.fairness(folders, by=["race"], metrics=["error"], settings=QUICK)["counterfactual"]
    assert [(r["attribute"], list(r["metrics"])) for r in chosen] == [("race", ["error"])] * 2
    assert chosen[0]["metrics"]["error"] == swapped["counterfactual"][0]["metrics"]["error"]
    assert "; error 0.000 becomes" in chosen[0]["sentence"]


def test_pair_of_which_one_failed_is_counted_and_left_out(
    home: Path, swapping: Answer, swapped: dict[str, Any]
) -> None:
    def swayed(request: nb.Request) -> str:
        if request.id.startswith("p00"):
            raise OSError("gone")
        return str(swapping(request))

    run_fair(home, swayed, "gone", "@demographics=swapped")
    made = nb.fairness([home / "stated", home / "gone"], by=["race"], settings=QUICK)["counterfactual"][0]
    gone = [row for row in rows_of(home / "set") if row.startswith("p00")]
    assert (made["n"], made["n_failed"]) == (swapped["counterfactual"][0]["n"], len(gone))
    assert f"{len(gone)} of {made['n']} pairs failed and are not counted" in made["sentence"]


def test_swapped_sample_without_its_stated_one_is_refused(
    home: Path, swapping: Answer, swapped: dict[str, Any]
) -> None:
    run_fair(home, swapping, "few", "@demographics=stated", limit=20)
    with pytest.raises(DataError, match=r"has no sample 'p.*' in the stated run; run both on the same data"):
        nb.fairness([home / "few", home / "swapped"], settings=QUICK)
