"""Runs against each other: identical ones, better ones, ranks, families of tests; what the verb prints is what the function returns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import nova, settings

import nova_bench as nb
from nova_bench.compare import compare
from nova_bench.stats import holm
from nova_bench.stats.models import model_difference

FEW = 100
CLAIMS = ("equal", "as good as", "equivalent", "no worse", "the same model")


def one_place(request: nb.Request) -> str:
    """Mark one place of a picture; which one depends on the sample."""
    x, y = np.random.default_rng([*request.id.encode()]).integers(0, 300, 2).tolist()
    return json.dumps([{"bbox_2d": [x, y, x + 120, y + 120], "label": "abnormality"}])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs of three baselines on localization; symmetry twice."""
    made = tmp_path_factory.mktemp("compare")
    for model, where in (("prior", "prior"), ("symmetry", "symmetry"), ("symmetry", "again")):
        nb.evaluate("nova_localization", model, data="mini", out=made / where, settings=settings(made))
    return made


@pytest.fixture(scope="module")
def two(home: Path) -> dict[str, Any]:
    return compare([home / "prior", home / "symmetry"], resamples=FEW, settings=settings(home))


def overall(document: dict[str, Any], metric: str) -> dict[str, Any]:
    (found,) = (
        e
        for task in document["tasks"]
        for e in task["comparisons"]
        if e["metric"] == metric and e["slice"] == "all"
    )
    return found


def test_two_runs_of_one_deterministic_model_show_no_difference(home: Path) -> None:
    document = compare([home / "symmetry", home / "again"], resamples=FEW, settings=settings(home))
    (task,) = document["tasks"]
    assert len({run["label"] for run in task["runs"]}) == 2
    defined = [e for e in task["comparisons"] if e["difference"] is not None]
    assert len(defined) > 100
    for entry in defined:
        assert (entry["difference"], entry["outcome"], entry["n_differing"]) == (0.0, "identical", 0)
        assert entry["sentence"].partition("no difference between ")[2].startswith("symmetry (")
        assert "every answer scored the same" in entry["sentence"]
        assert entry["p"] in (None, 1.0)
    assert not [claim for e in task["comparisons"] for claim in CLAIMS if claim in e["sentence"]]
    assert {(rank["low"], rank["high"]) for rank in task["ranks"]} == {(1, 2)}
    done = nova(home, "compare", "symmetry", "again", "--by", "none", "--resamples", "100")
    assert done.returncode == 0, done.stderr
    assert (
        "no difference between symmetry (symmetry) and symmetry (again): every answer scored the same"
        in " ".join(done.stdout.split())
    )


def test_numbers_are_those_of_the_statistics_on_the_same_lines(home: Path, two: dict[str, Any]) -> None:
    runs = [nb.open_run(home / name, settings=settings(home)) for name in ("prior", "symmetry")]
    tables = [run.scored.table for run in runs]
    cells = [{(c.metric, c.slice): c for c in run.cells()} for run in runs]
    metrics = {metric.name: metric for metric in runs[0].plan.task.metrics}
    checked = 0
    for entry in two["tasks"][0]["comparisons"]:
        attribute, _, value = entry["slice"].partition("=")
        mask = np.ones(len(tables[0]), bool) if not value else tables[0].groups[attribute] == value
        key = (attribute, value) if value else ()
        expected = model_difference(
            tables[0].take(mask), tables[1].take(mask), metrics[entry["metric"]], key=key, resamples=FEW
        )
        for name, number in (
            ("difference", expected.value),
            ("low", expected.low),
            ("high", expected.high),
            ("p", expected.p),
        ):
            assert entry[name] == pytest.approx(number, abs=1e-11), (entry["metric"], entry["slice"], name)
        for side, of_run in zip("ab", cells, strict=True):
            cell = of_run[entry["metric"], entry["slice"]]
            assert entry[f"value_{side}"] == pytest.approx(cell.value, abs=1e-11)
            assert entry["n"] == cell.n
        checked += entry["p"] is not None
    assert checked > 200


def test_headline_comes_first_and_each_family_is_corrected_apart(two: dict[str, Any]) -> None:
    (task,) = two["tasks"]
    entries = task["comparisons"]
    assert (entries[0]["metric"], entries[0]["slice"]) == (task["headline"], "all")
    families: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        families.setdefault(entry["family"], []).append(entry)
    assert {name: group[0]["tests"] for name, group in families.items()} == {
        name: sum(e["p"] is not None for e in group) for name, group in families.items()
    }
    assert list(families) == ["headline", "other metrics", "headline by slice", "other metrics by slice"]
    for group in families.values():
        for entry, p in zip(group, holm([e["p"] for e in group]), strict=True):
            assert entry["p_holm"] == (None if p is None else pytest.approx(p, abs=1e-11))
            if entry["outcome"] in ("better", "worse"):
                assert p is not None
                assert p < 0.05
                assert entry["low"] * entry["high"] > 0


def test_turned_round_every_number_changes_its_sign_and_no_outcome_its_meaning(
    home: Path, two: dict[str, Any]
) -> None:
    turned = compare([home / "symmetry", home / "prior"], resamples=FEW, settings=settings(home))
    opposite = {"better": "worse", "worse": "better"}
    pairs = list(zip(two["tasks"][0]["comparisons"], turned["tasks"][0]["comparisons"], strict=True))
    told = 0
    for one, other in pairs:
        assert (one["metric"], one["slice"], one["a"], one["b"]) == (
            other["metric"],
            other["slice"],
            other["b"],
            other["a"],
        )
        for here, there in (("difference", "difference"), ("low", "high"), ("high", "low")):
            assert (one[here] is None) == (other[there] is None)
            if one[here] is not None:
                assert one[here] == pytest.approx(-other[there], abs=1e-9)
        assert other["outcome"] == opposite.get(one["outcome"], one["outcome"])
        told += one["outcome"] in opposite
    assert told > 10


def test_lower_is_better_is_better(two: dict[str, Any]) -> None:
    entry = overall(two, "fnr50")
    assert not entry["higher_is_better"]
    assert entry["difference"] < 0
    assert entry["outcome"] == "better"
    low, high = round(-100 * entry["high"]), round(-100 * entry["low"])
    assert entry["sentence"].startswith(
        f"symmetry finds {low} to {high} more lesions per 100 than prior: fnr50, p="
    )
    ranked = {rank["model"]: rank for rank in two["tasks"][0]["ranks"] if rank["metric"] == "fnr50"}
    assert ranked["symmetry"]["high"] < ranked["prior"]["low"]


def test_three_runs_have_ranks_with_limits(home: Path, two: dict[str, Any]) -> None:
    document = compare([home], by="none", resamples=FEW, settings=settings(home))
    (task,) = document["tasks"]
    assert {e["slice"] for e in task["comparisons"]} == {"all"}
    ranked = {
        rank["model"]: (rank["low"], rank["high"]) for rank in task["ranks"] if rank["metric"] == "ap50"
    }
    assert ranked.pop("prior") == (3, 3)
    assert set(ranked.values()) == {(1, 2)}
    # Pairs of one protocol share a signature, which says nothing of one pair alone.
    assert len(task["signatures"]) == len({e["metric"] for e in task["comparisons"]})
    alike = overall(two, "ap50")["signature"]
    assert task["signatures"][alike] == two["tasks"][0]["signatures"][alike]
    assert task["signatures"][alike]["protocol"]["repeats"] == 1
    # Three at once are resampled together, and each pair is what it is alone.
    alone = overall(two, "ap50")
    for entry in task["comparisons"]:
        if entry["metric"] == "ap50" and entry["a"] == "prior":
            for name in ("difference", "low", "high", "p", "detectable"):
                assert entry[name] == pytest.approx(alone[name], abs=1e-9)
    done = nova(home, "compare", ".", "--by", "none")
    assert done.returncode == 0, done.stderr
    assert " 1-2  symmetry" in done.stdout


def test_every_comparison_is_signed(two: dict[str, Any]) -> None:
    (task,) = two["tasks"]
    ids = [entry["signature"] for entry in task["comparisons"]]
    assert len(set(ids)) == len(ids) == len(task["signatures"])
    for entry in task["comparisons"]:
        protocol = task["signatures"][entry["signature"]]["protocol"]
        assert (protocol["metric"], protocol["slice"], protocol["forced"]) == (
            entry["metric"],
            entry["slice"],
            None,
        )


def test_the_verb_prints_the_document(home: Path, two: dict[str, Any]) -> None:
    done = nova(
        home, "compare", "prior", "symmetry", "--json", "--resamples", "100", "--out", "kept/compared.json"
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout, parse_constant=lambda word: pytest.fail(f"{word} in JSON"))
    assert json.loads((home / "kept" / "compared.json").read_text()) == document
    (printed,), (returned,) = document["tasks"], two["tasks"]
    assert [run.pop("folder") for run in printed["runs"]] == ["prior", "symmetry"]
    runs = [{key: value for key, value in run.items() if key != "folder"} for run in returned["runs"]]
    assert printed == {**returned, "runs": runs}
    assert document["settings"] == two["settings"]


def test_chosen_metrics_and_attributes(home: Path) -> None:
    runs = [home / "prior", home / "symmetry"]
    document = compare(runs, metrics=["hit50", "fnr50"], by=["axial"], settings=settings(home))
    entries = document["tasks"][0]["comparisons"]
    assert {(e["metric"], e["slice"]) for e in entries} == {
        (metric, name) for metric in ("hit50", "fnr50") for name in ("all", "axial=true", "axial=false")
    }
    for words, message in (
        ({"metrics": "hit5O"}, "metric 'hit5O' not found in the tasks of these runs; did you mean 'hit50'"),
        ({"metrics": "tp30"}, "metric 'tp30' is not made for comparisons"),
        ({"by": "axal"}, "attribute 'axal' not found in the tasks of these runs; did you mean 'axial'"),
        ({"alpha": 1.0}, "alpha is 1.0, expected a number between 0 and 1"),
        ({"resamples": 1}, "resamples is 1, expected at least 2"),
        ({"seed": -1}, "the seed is -1, expected at least 0"),
    ):
        with pytest.raises(nb.UsageError, match=message.replace("(", r"\(")):
            compare(runs, settings=settings(home), **words)


def test_alpha_widens_intervals_and_decides(home: Path) -> None:
    runs = [home / "prior", home / "symmetry"]
    plain, strict = (
        overall(compare(runs, metrics="ap50", by="none", alpha=alpha, settings=settings(home)), "ap50")
        for alpha in (0.05, 1e-6)
    )
    assert strict["high"] - strict["low"] > plain["high"] - plain["low"]
    assert (plain["outcome"], strict["outcome"]) == ("better", "no difference told")
    assert "no difference can be told" in strict["sentence"]


def test_tasks_with_one_run_are_named(home: Path, tmp_path: Path) -> None:
    alone = nb.evaluate(
        "nova_diagnosis", "prior", data="mini", out=tmp_path / "alone", settings=settings(home)
    )
    document = compare([home / "prior", home / "symmetry", alone], by="none", settings=settings(home))
    assert [task["task"] for task in document["tasks"]] == ["nova_localization"]
    assert document["notes"] == [f"left out: nova_diagnosis has one run, {tmp_path / 'alone'}"]
    with pytest.raises(
        nb.UsageError,
        match="no task has two runs to compare: there is nova_localization by prior, nova_diagnosis by prior",
    ):
        compare([home / "prior", alone], settings=settings(home))
    with pytest.raises(nb.UsageError, match="is given twice"):
        compare([home / "prior", home / "symmetry", home / "prior"], settings=settings(home))


def test_demographics_are_compared_when_asked_for(home: Path, tmp_path: Path) -> None:
    runs = [
        nb.evaluate("fmbench_vqa", model, data="mini", limit=8, out=tmp_path / model, settings=settings(home))
        for model in ("prior", "cup_disc")
    ]
    slices = {
        by: {
            e["slice"].partition("=")[0]
            for e in compare(runs, metrics="token_f1", by=by)["tasks"][0]["comparisons"]
        }
        for by in (None, "race")
    }
    assert slices == {None: {"all", "category"}, "race": {"all", "race"}}


@pytest.mark.real("openai on a loopback server")
def test_two_runs_of_a_served_model_at_temperature_0_show_no_difference(home: Path, tmp_path: Path) -> None:
    pytest.importorskip("openai")
    loopback = pytest.importorskip("loopback")
    with loopback.serve() as (url, server):
        runs = [
            nb.evaluate(
                "nova_localization",
                "openai:loopback",
                options={"base_url": url},
                params={"temperature": 0},
                data="mini",
                out=tmp_path / name,
                settings=settings(home),
            )
            for name in ("first", "second")
        ]
        assert server.stats.calls >= 2 * 68  # the second run was asked too
    assert [run.progress.error for run in runs if run.progress] == [None, None]
    document = compare(runs, by="none")
    entries = [e for e in document["tasks"][0]["comparisons"] if e["difference"] is not None]
    assert {e["outcome"] for e in entries} == {"identical"}
    assert entries[0]["sentence"].startswith("no difference between openai:loopback (")
    # The same server with other answers is told apart, so the sameness above is that of the answers.
    other = nb.evaluate(
        "nova_localization", one_place, data="mini", out=tmp_path / "other", settings=settings(home)
    )
    assert "identical" not in {
        overall(compare([runs[0], other], by="none", resamples=FEW), m)["outcome"] for m in ("ap50", "hit30")
    }
