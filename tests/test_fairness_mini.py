"""FMBench-mini with the baseline that reads the pixels: a gap planted by its twin is found, and none where none was planted."""

from __future__ import annotations

from typing import Any

import pytest
from planted import Planted, members
from running import settings

import nova_bench as nb
from nova_bench.catalog import content_root

SETTINGS = nb.FairnessSettings(resamples=200)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The baseline, and its twin that answers three of four questions about black patients worse."""
    home = tmp_path_factory.mktemp("mini")
    table = content_root() / "tasks" / "data" / "fmbench_mini" / "vqa.parquet"
    plain, worse = (nb.load_model("cup_disc").adapter for _ in range(2))
    nb.evaluate("fmbench_vqa", plain, data="mini", out=home / "plain", settings=settings(home))
    nb.evaluate(
        "fmbench_vqa",
        Planted(worse, members(table, "race", "black"), share=0.75),
        data="mini",
        out=home / "twin",
        settings=settings(home),
    )
    return nb.fairness(
        [home / "plain", home / "twin"], by=["race", "gender", "age"], metrics="token_f1", settings=SETTINGS
    )


def of(document: dict[str, Any], place: int, attribute: str) -> dict[str, Any]:
    folder = document["runs"][place]["label"]
    (found,) = (e for e in document["comparisons"] if (e["run"], e["attribute"]) == (folder, attribute))
    return found


def test_planted_gap_is_found(document: dict[str, Any]) -> None:
    found = of(document, 1, "race")
    assert found["worst_group"] == "black"
    assert found["gap"]["low"] > 0
    assert found["p_holm"] < 0.05
    assert "this is unlikely to be chance" in found["sentence"]


def test_no_gap_is_found_where_none_was_planted(document: dict[str, Any]) -> None:
    for attribute in ("race", "gender", "age"):
        found = of(document, 0, attribute)
        assert found["gap"]["low"] == 0
        assert found["p_holm"] > 0.05
        assert "this could be chance" in found["sentence"]
        assert "not distinguishable from 0" in found["sentence"]
    # The twin's other attributes: black patients are no random part of the ages, so only the corrected test is asked.
    for attribute in ("gender", "age"):
        assert of(document, 1, attribute)["p_holm"] > 0.05


def test_the_models_differ_by_race_only(document: dict[str, Any]) -> None:
    other = document["runs"][0]["label"]
    pairs = {name: of(document, 1, name)["paired"][other] for name in ("race", "gender", "age")}
    assert pairs["race"]["interaction_p_holm"] < 0.05
    assert pairs["race"]["gap"]["low"] > 0
    assert pairs["gender"]["interaction_p_holm"] > 0.05


def test_synthetic_data_are_said_to_be(document: dict[str, Any]) -> None:
    assert all(run["synthetic"] and "FMBench-mini is synthetic" in run["caution"] for run in document["runs"])
