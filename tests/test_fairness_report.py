"""The fairness document of runs: planted gaps, groups left out, pairs, signatures, and what wrong use gets."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fair_set import Answer, answers, make_fair_set, rows_of, run_fair
from fmbench_set import make_built
from running import nova, settings

import nova_bench as nb
from nova_bench.cli import main
from nova_bench.errors import UnknownNameError, UsageError
from nova_bench.fairness_document import FairnessSettings

QUICK = FairnessSettings(resamples=300, permutations=299)
PLANTED = {"black": 0.45, None: 0.8}
METRICS = ("accuracy", "points", "error", "drawn", "judged")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the set, and runs of a model that is worse for one group (planted) and of two that are not (even, other)."""
    home = tmp_path_factory.mktemp("fair")
    data = make_fair_set(home / "set")
    run_fair(home, answers(data, PLANTED, 1), "planted")
    run_fair(home, answers(data, {None: 0.7}, 2), "even")
    run_fair(home, answers(data, {None: 0.6}, 3), "other")
    return home


@pytest.fixture(scope="module")
def planted(home: Path) -> dict[str, Any]:
    return nb.fairness([home / "planted"], settings=QUICK)


@pytest.fixture(scope="module")
def both(home: Path) -> dict[str, Any]:
    return nb.fairness([home / "planted", home / "even"], settings=QUICK, metrics=("accuracy", "drawn"))


def entry(document: Mapping[str, Any], metric: str, attribute: str, run: str | None = None) -> dict[str, Any]:
    """Return the one entry of a document."""
    (found,) = (
        e
        for e in document["comparisons"]
        if (e["metric"], e["attribute"]) == (metric, attribute) and run in (None, e["run"])
    )
    return found


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


# What is found


def test_planted_gap_is_found_and_said(planted: dict[str, Any]) -> None:
    found = entry(planted, "accuracy", "race")
    assert (found["worst_group"], found["best_group"]) == ("black", "white")
    assert found["gap"]["low"] > 0
    assert found["p_holm"] < 0.05
    assert found["gap"]["value"] == pytest.approx(
        found["groups"]["white"]["value"] - found["groups"]["black"]["value"]
    )
    black, overall = found["groups"]["black"], found["overall"]
    said = (
        f"worst group: race=black, n={black['n']} of {black['patients']} patients, {black['value']:.2f} "
        f"[{black['low']:.2f}, {black['high']:.2f}] against {overall['value']:.2f} overall; this is unlikely to be chance"
    )
    assert found["sentence"].startswith(said)


def test_no_gap_is_found_where_none_was_planted_and_none_is_denied(home: Path) -> None:
    document = nb.fairness([home / "even"], settings=QUICK)
    for found in document["comparisons"]:
        if found["metric"] == "judged":
            continue
        assert found["gap"]["value"] > 0  # noise alone makes it positive
        assert found["gap"]["low"] == 0
        assert found["p_holm"] > 0.05
        assert "this could be chance" in found["sentence"]
        assert "not distinguishable from 0: noise floor" in found["sentence"]
        assert "this set could have shown" in found["sentence"]
    assert not re.search(r"\bno gap|\bfair\b", json.dumps([e["sentence"] for e in document["comparisons"]]))


def test_groups_are_those_of_the_data_set(home: Path, planted: dict[str, Any]) -> None:
    found = entry(planted, "accuracy", "race")
    rows = rows_of(home / "set").values()
    assert list(found["groups"]) == ["white", "black", "asian"]  # the largest first
    for race, group in [*found["groups"].items(), (None, found["unknown"])]:
        mine = [row for row in rows if row["race"] == race]
        assert group["n"] == len(mine)
        assert group["patients"] == len({row["patient"] for row in mine})
        assert group["counts"]["ok"] == len(mine)
        assert group["shares"]["ok"] == 1
    assert found["overall"]["n"] == len(rows)


def test_small_and_unknown_groups_are_shown_and_left_out(home: Path, planted: dict[str, Any]) -> None:
    found = entry(planted, "accuracy", "race")
    asian = found["groups"]["asian"]
    assert (asian["included"], asian["patients"]) == (False, 12)
    assert asian["value"] is not None
    assert asian["low"] < asian["value"] < asian["high"]
    assert "20" in asian["note"]
    assert not found["unknown"]["included"]
    assert "asian" in found["note"]
    # The composites are those of the two groups that are left.
    values = [found["groups"][race]["value"] for race in ("white", "black")]
    assert found["worst"]["value"] == pytest.approx(min(values))
    assert found["ratio"]["value"] == pytest.approx(min(values) / max(values))
    more = nb.fairness(
        [home / "planted"], by=["race"], settings=FairnessSettings(min_n=12, resamples=50, permutations=19)
    )
    assert entry(more, "accuracy", "race")["groups"]["asian"]["included"]
    none = nb.fairness(
        [home / "planted"], by=["race"], settings=FairnessSettings(min_n=100, resamples=50, permutations=19)
    )
    lonely = entry(none, "accuracy", "race")
    assert lonely["gap"]["value"] is None
    assert lonely["gap"]["note"]
    assert (lonely["p_value"], lonely["p_holm"], lonely["tests"]) == (None, None, 0)
    assert lonely["sentence"].startswith("race: groups cannot be compared: ")


def test_lower_is_better_turns_worst_and_best_around(planted: dict[str, Any]) -> None:
    right, wrong = entry(planted, "accuracy", "race"), entry(planted, "error", "race")
    assert wrong["worst_group"] == right["worst_group"] == "black"
    assert wrong["worst"]["value"] == pytest.approx(1 - right["worst"]["value"])
    assert wrong["gap"]["value"] == pytest.approx(right["gap"]["value"])
    assert wrong["gap"]["low"] == pytest.approx(right["gap"]["low"])
    assert (wrong["higher_is_better"], right["higher_is_better"]) == (False, True)


def test_a_scale_of_100_gives_the_same_on_that_scale(planted: dict[str, Any]) -> None:
    one, hundred = entry(planted, "accuracy", "race"), entry(planted, "points", "race")
    assert hundred["range"] == [0, 100]
    for name in ("wmean", "gap", "worst", "std", "fap"):
        for end in ("value", "low", "high"):
            assert hundred[name][end] == pytest.approx(100 * one[name][end], abs=1e-6)
    assert hundred["ratio"]["value"] == pytest.approx(one["ratio"]["value"])
    assert hundred["p_value"] == one["p_value"]


def test_metric_without_sums_agrees_with_the_exact_one_but_for_its_errors(planted: dict[str, Any]) -> None:
    exact, drawn = entry(planted, "accuracy", "race"), entry(planted, "drawn", "race")
    assert drawn["gap"]["value"] == pytest.approx(exact["gap"]["value"])
    assert drawn["gap"]["low"] == pytest.approx(exact["gap"]["low"], abs=0.03)


def test_intersection_joins_values_and_unknown_in_one_part_is_unknown(home: Path) -> None:
    document = nb.fairness([home / "planted"], by=["race*sex", "sex"], metrics=["accuracy"], settings=QUICK)
    found = entry(document, "accuracy", "race*sex")
    assert {"white & f", "white & m", "black & f", "black & m"} <= set(found["groups"])
    rows = [row for row in rows_of(home / "set").values() if (row["race"], row["sex"]) == ("black", "m")]
    assert found["groups"]["black & m"]["n"] == len(rows)
    unknown = [row for row in rows_of(home / "set").values() if row["race"] is None]
    assert found["unknown"]["n"] == len(unknown)
    assert [e["tests"] for e in document["comparisons"]] == [2, 2]


def test_missing_resource_gives_null_and_the_remedy(planted: dict[str, Any]) -> None:
    for attribute in ("race", "sex"):
        found = entry(planted, "judged", attribute)
        assert found["note"].startswith("pip install judge")
        assert found["gap"]["note"] == "pip install judge"
        assert found["p_value"] is None
        assert all(group["value"] is None for group in found["groups"].values())
        assert sum(group["n"] for group in found["groups"].values()) > 0
        assert "pip install judge" in found["sentence"]


def test_what_takes_no_part_in_comparisons_is_not_there(planted: dict[str, Any]) -> None:
    assert {e["metric"] for e in planted["comparisons"]} == set(METRICS)
    assert {e["attribute"] for e in planted["comparisons"]} == {
        "race",
        "sex",
    }  # ward is a slice, not who a patient is
    assert [e["metric"] for e in planted["comparisons"] if e["headline"]] == ["accuracy"] * 2


# Holm


def test_tests_are_corrected_over_metrics_attributes_and_models(
    planted: dict[str, Any], both: dict[str, Any]
) -> None:
    assert {e["tests"] for e in planted["comparisons"]} == {8}  # four metrics that are there, two attributes
    assert {e["tests"] for e in both["comparisons"]} == {8}  # two metrics, two attributes, two models
    tested = sorted((e["p_value"], e["p_holm"]) for e in both["comparisons"])
    highest = 0.0
    for rank, (raw, corrected) in enumerate(tested):
        highest = max(highest, min(1.0, raw * (8 - rank)))
        assert corrected == pytest.approx(highest)


def test_too_few_permutations_for_the_tests_are_no_verdict(home: Path) -> None:
    few = FairnessSettings(resamples=50, permutations=99)
    found = entry(
        nb.fairness([home / "planted"], metrics=["accuracy", "points", "error"], settings=few),
        "accuracy",
        "race",
    )
    assert found["p_value"] == 0.01
    assert found["p_holm"] == 0.06 > 0.05
    assert (
        "p=0.06 (Holm, 6 tests) is the smallest that 99 permutations can show for so many tests"
        in found["sentence"]
    )
    assert "chance" not in found["sentence"]


# Two runs


def test_two_runs_are_paired_and_mirrored(both: dict[str, Any]) -> None:
    assert [run["label"] for run in both["runs"]] == ["model1", "model2"]
    for metric, attribute in itertools.product(("accuracy", "drawn"), ("race", "sex")):
        one = entry(both, metric, attribute, "model1")["paired"]
        two = entry(both, metric, attribute, "model2")["paired"]
        assert (list(one), list(two)) == (["model2"], ["model1"])
        mine, theirs = one["model2"], two["model1"]
        for name in ("overall", "gap", "worst", "fap", "es", "deviation"):
            assert mine[name]["value"] == -theirs[name]["value"]
            assert mine[name]["low"] == -theirs[name]["high"]
            assert mine[name]["high"] == -theirs[name]["low"]
            assert mine[name]["low"] < mine[name]["high"]
        for name in ("interaction_p", "interaction_p_holm"):
            assert mine[name] == theirs[name]
        assert mine["tests"] == theirs["tests"] == 4  # one test a metric and attribute, not two
        assert (mine["worst_group"], mine["other_worst_group"]) == (
            theirs["other_worst_group"],
            theirs["worst_group"],
        )


def test_pair_is_the_difference_of_the_two_runs(both: dict[str, Any]) -> None:
    one, two = entry(both, "accuracy", "race", "model1"), entry(both, "accuracy", "race", "model2")
    pair = one["paired"]["model2"]
    assert pair["overall"]["value"] == pytest.approx(one["overall"]["value"] - two["overall"]["value"])
    for name in ("gap", "worst", "fap", "es", "deviation"):
        assert pair[name]["value"] == pytest.approx(one[name]["value"] - two[name]["value"])
    assert pair["interaction_p_holm"] < 0.05  # the planted gap is model1's alone
    assert "does the difference depend on race? this is unlikely to be chance" in pair["sentence"]
    assert pair["sentence"].startswith("model1 minus model2: ")


def test_the_order_of_runs_changes_nothing_but_the_order(home: Path, both: dict[str, Any]) -> None:
    turned = nb.fairness([home / "even", home / "planted"], settings=QUICK, metrics=("accuracy", "drawn"))
    for label in ("model1", "model2"):
        for metric, attribute in itertools.product(("accuracy", "drawn"), ("race", "sex")):
            assert entry(turned, metric, attribute, label) == entry(both, metric, attribute, label)


def test_three_runs_are_paired_each_with_each(home: Path) -> None:
    names = ["planted", "even", "other"]
    document = nb.fairness([home / name for name in names], by=["race"], metrics=["accuracy"], settings=QUICK)
    labels = ["model1", "model2", "model3"]
    assert {e["run"]: list(e["paired"]) for e in document["comparisons"]} == {
        label: [other for other in labels if other != label] for label in labels
    }
    assert {pair["tests"] for e in document["comparisons"] for pair in e["paired"].values()} == {3}


def test_runs_of_another_protocol_are_not_paired_and_it_is_said(home: Path, tmp_path: Path) -> None:
    make_fair_set(tmp_path / "set")
    run_fair(tmp_path, answers(home / "set", {None: 0.6}, 4), "some", limit=150)
    document = nb.fairness(
        [home / "planted", tmp_path / "some"], by=["race"], metrics=["accuracy"], settings=QUICK
    )
    for found, other in zip(document["comparisons"], ("model4", "model1"), strict=True):
        assert found["paired"] == {}
        assert f"not paired with {other}: they differ in limit" in found["note"]


def test_runs_with_another_number_of_repeats_are_not_paired_and_it_is_said(home: Path) -> None:
    run_fair(home, answers(home / "set", {None: 0.6}, 5), "twice", repeats=2)
    document = nb.fairness([home / "even", home / "twice"], by=["race"], metrics=["accuracy"], settings=QUICK)
    assert [e["paired"] for e in document["comparisons"]] == [{}, {}]
    assert "not paired with model5: they differ in repeats" in document["comparisons"][0]["note"]


def test_two_runs_of_one_model_are_told_apart_by_their_folders(home: Path) -> None:
    run_fair(home, answers(home / "set", PLANTED, 1), "again")
    document = nb.fairness(
        [home / "planted", home / "again"], by=["sex"], metrics=["accuracy"], settings=QUICK
    )
    labels = [run["label"] for run in document["runs"]]
    assert labels == [f"model1 ({home / 'planted'})", f"model1 ({home / 'again'})"]
    pair = document["comparisons"][0]["paired"][labels[1]]
    assert pair["overall"]["value"] == pair["gap"]["value"] == 0


# Failures


def test_failed_answers_are_counted_imputed_and_make_the_report_incomplete(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = answers(home / "set", PLANTED, 1)

    def some(request: nb.Request) -> Any:
        if request.id.startswith(("p01", "p21")):
            raise OSError("gone")
        if request.id.startswith("p02"):
            return nb.Response(request.id, finish="filter")
        return right(request)

    run_fair(home, some, "failing")
    code = main(
        ["fairness", str(home / "failing"), "--json", "--permutations", "99", "--data", str(home / "set")]
    )
    document = json.loads(capsys.readouterr().out)
    assert code == 1
    found = entry(document, "accuracy", "race")
    failed = [row for row in rows_of(home / "set") if row.startswith(("p01", "p21"))]
    refused = [row for row in rows_of(home / "set") if row.startswith("p02")]
    assert found["overall"]["n_failed"] == found["overall"]["counts"]["failed"] == len(failed)
    assert found["groups"]["white"]["counts"]["refused"] == len(refused)
    white = found["groups"]["white"]
    assert white["shares"]["refused"] == pytest.approx(len(refused) / white["n"])
    assert sum(white["shares"].values()) == pytest.approx(1)
    imputed = found["imputed_gap"]
    assert imputed["low"] < found["gap"]["value"] < imputed["high"]
    assert imputed["interval_low"] <= imputed["low"]
    assert imputed["survives"] is (imputed["interval_low"] > 0)
    assert f"{len(failed)} of {found['overall']['n']} samples failed" in found["sentence"]
    # Against another run, both on what both have answered.
    both = nb.fairness([home / "failing", home / "even"], by=["race"], metrics=["accuracy"], settings=QUICK)
    pair = entry(both, "accuracy", "race", "some")["paired"]["model2"]
    left = found["overall"]["n"] - len(failed)
    assert pair["note"] == f"on the {left} of {found['overall']['n']} samples that both answered"
    assert pair["interaction_p"] < 0.05


def test_run_of_which_nothing_was_answered_is_not_paired(home: Path) -> None:
    def absent(request: nb.Request) -> str:
        raise OSError("gone")

    run_fair(home, absent, "absent")
    document = nb.fairness([home / "absent", home / "even"], settings=QUICK)
    assert all(e["paired"] == {} for e in document["comparisons"])
    assert all("no sample was answered by both" in e["note"] for e in document["comparisons"])


def test_all_failed_is_null_everywhere_and_no_guess(home: Path) -> None:
    def gone(request: nb.Request) -> str:
        raise OSError("gone")

    run_fair(home, gone, "gone")
    document = nb.fairness([home / "gone"], settings=QUICK)
    for found in document["comparisons"]:
        assert found["overall"]["value"] is None
        assert found["overall"]["n"] == found["overall"]["n_failed"] > 0
        for name in ("gap", "worst", "ratio", "std", "fap", "es", "wmean"):
            assert found[name]["value"] is found[name]["low"] is None
            assert found[name]["note"]
        assert found["p_holm"] is None
        assert found["worst_group"] is None


# The document


def test_document_has_the_shape_that_is_promised(both: dict[str, Any]) -> None:
    assert list(both) == ["schema_version", "kind", "settings", "runs", "comparisons", "counterfactual"]
    assert (both["schema_version"], both["kind"], both["counterfactual"]) == (1, "fairness", [])
    assert set(both["settings"]) == {
        "lambda", "deviation", "weights", "es_alpha", "min_n", "resamples", "permutations", "seed", "level",
    }  # fmt: skip
    for run in both["runs"]:
        assert set(run) == {"label", "model", "task", "folder", "synthetic", "caution"}
    number = {"value", "corrected", "floor", "low", "high", "note"}
    group = {"value", "low", "high", "patients", "n", "n_failed", "counts", "shares", "included", "note"}
    for found in both["comparisons"]:
        assert {
            "task", "model", "run", "metric", "attribute", "higher_is_better", "range", "headline", "overall", "groups",
            "unknown", "fap_name", "worst_group", "best_group", "p_value", "p_holm", "tests", "test", "detectable",
            "imputed_gap", "sentence", "paired", "signature", "note",
        } <= set(found)  # fmt: skip
        for name in ("wmean", "gap", "worst", "ratio", "std", "deviation", "fap", "es"):
            assert set(found[name]) == number
        for one in (found["overall"], found["unknown"], *found["groups"].values()):
            if one is not None:
                assert set(one) == group
                assert list(one["counts"]) == list(one["shares"])
                assert len(one["counts"]) == 6
        assert set(found["imputed_gap"]) == {
            "low",
            "high",
            "interval_low",
            "interval_high",
            "survives",
            "note",
        }
        for pair in found["paired"].values():
            assert {
                "overall", "gap", "worst", "fap", "es", "deviation", "interaction_p", "interaction_p_holm", "tests",
                "worst_group", "other_worst_group", "sentence",
            } <= set(pair)  # fmt: skip
        assert found["fap_name"] == "fap(lambda=1,dev=wstd,w=size)"
        assert set(found["signature"]) == {"id", "protocol", "provenance", "text"}


def test_document_has_no_nan_and_floats_of_12_digits(planted: dict[str, Any], both: dict[str, Any]) -> None:
    floats = [leaf for leaf in leaves([planted, both]) if isinstance(leaf, float)]
    assert len(floats) > 100
    assert all(math.isfinite(leaf) and leaf == float(f"{leaf:.12g}") for leaf in floats)
    assert json.loads(json.dumps(both, allow_nan=False)) == both


def test_settings_are_in_the_signature_and_change_its_id(home: Path, planted: dict[str, Any]) -> None:
    cell = next(c for c in nb.open_run(home / "planted").cells(resamples=300) if c.metric == "accuracy")
    found = entry(planted, "accuracy", "race")["signature"]
    protocol = dict(found["protocol"])
    fair = protocol.pop("fairness")
    assert protocol.pop("attribute") == "race"
    assert protocol == json.loads(json.dumps(cell.signature["protocol"]))
    assert fair == {
        "version": 2, "lambda": 1.0, "deviation": "wstd", "weights": "size", "es_alpha": 1.0, "min_n": 20,
        "resamples": 300, "permutations": 299, "seed": 0,
    }  # fmt: skip
    assert "fairness:version=2,lambda=1.0,deviation=wstd" in found["text"]
    ids = {found["id"]}
    for change in ({"lam": 2.0}, {"deviation": "max"}, {"weights": "uniform"}, {"min_n": 30}, {"seed": 1}):
        changed = FairnessSettings(**{"resamples": 300, "permutations": 299, **change})
        made = nb.fairness([home / "planted"], by=["race"], metrics=["accuracy"], settings=changed)
        ids.add(entry(made, "accuracy", "race")["signature"]["id"])
    assert len(ids) == 6


def test_lambda_and_deviation_are_in_the_name_and_lambda_0_is_the_mean(home: Path) -> None:
    changed = FairnessSettings(lam=0.0, deviation="max", weights="uniform", resamples=50, permutations=19)
    found = entry(
        nb.fairness([home / "planted"], by=["race"], metrics=["accuracy"], settings=changed),
        "accuracy",
        "race",
    )
    assert found["fap_name"] == "fap(lambda=0,dev=max,w=uniform)"
    assert found["fap"]["value"] == pytest.approx(found["wmean"]["value"])
    assert found["wmean"]["value"] == pytest.approx(
        (found["groups"]["white"]["value"] + found["groups"]["black"]["value"]) / 2
    )


def test_command_prints_the_same_document_each_time(home: Path, planted: dict[str, Any]) -> None:
    words = ("fairness", "planted", "--resamples", "300", "--permutations", "299", "--json")
    one, two = nova(home, *words), nova(home, *words)
    assert one.returncode == 0, one.stderr
    assert one.stdout == two.stdout
    assert one.stderr == ""
    printed = json.loads(one.stdout)
    assert printed["comparisons"] == planted["comparisons"]


def test_command_prints_tables_with_the_sentences_and_writes_a_page(home: Path) -> None:
    words = ("fairness", "planted", "even", "--by", "race", "--metric", "accuracy", "--permutations", "99")
    done = nova(home, *words, "--out", "page")
    assert done.returncode == 0, done.stderr
    assert "worst group: race=black" in done.stdout
    assert done.stdout.endswith("The page is page/index.html\n")
    page = (home / "page" / "index.html").read_text()
    assert "worst group: race=black" in page
    printed = nova(home, *words, "--json")
    assert json.loads((home / "page" / "fairness.json").read_text()) == json.loads(printed.stdout)


# FMBench


def test_gap_that_a_model_has_on_fmbench_is_found_and_its_twin_has_none(tmp_path: Path) -> None:
    data = make_built(tmp_path / "set", 120)
    rows = {row["id"]: row for row in pq.read_table(data / "vqa.parquet").to_pylist()}

    def twin(chance: Mapping[str | None, float], name: str) -> Answer:
        def answer(request: nb.Request) -> str:
            row = rows[request.sample]
            right = random.Random(row["id"]).random() < chance.get(row["language"], chance[None])
            return f"ANSWER: {row['answer'] if right else 'I cannot tell'}"

        answer.__name__ = name
        return answer

    folders = []
    for name, chance in (("worse", {"spanish": 0.3, None: 0.8}), ("alike", {None: 0.7})):
        folders.append(tmp_path / name)
        nb.evaluate(
            "fmbench_vqa",
            twin(chance, name),
            data=str(data),
            out=tmp_path / name,
            settings=settings(tmp_path),
        )
    document = nb.fairness(
        folders, metrics=["token_f1"], settings=FairnessSettings(resamples=100, permutations=999)
    )
    assert [e["attribute"] for e in document["comparisons"]] == [
        "race",
        "ethnicity",
        "language",
        "gender",
        "age",
    ] * 2
    worse = entry(document, "token_f1", "language", "worse")
    assert (worse["worst_group"], worse["groups"]["spanish"]["patients"]) == ("spanish", 30)
    assert worse["p_holm"] < 0.05
    assert worse["gap"]["low"] > 0
    assert worse["paired"]["alike"]["interaction_p_holm"] < 0.05
    # Gender goes with language in this set, so that only the twin shows what none of them has.
    assert all(
        e["p_holm"] > 0.05 and e["gap"]["low"] == 0 for e in document["comparisons"] if e["run"] == "alike"
    )
    unknown = entry(document, "token_f1", "ethnicity", "worse")["unknown"]
    assert unknown["patients"] == len({r["patient_id"] for r in rows.values() if r["ethnicity"] is None})


# Wrong use


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--by", "rcae"), "did you mean 'race'"),
        (("--by", "race*sx"), "did you mean 'sex'"),
        (("--by", "ward"), "attribute 'ward' not found"),
        (("--by", "race*race"), "has one attribute twice"),
        (("--by", "race,race"), "given twice"),
        (("--metric", "accuracyy"), "did you mean 'accuracy'"),
        (("--metric", "coverage"), "takes no part in comparisons"),
        (("--lambda", "-1"), "lambda is -1.0; expected a number from 0"),
        (("--lambda", "nan"), "lambda is nan"),
        (("--deviation", "wsdt"), "did you mean 'wstd'"),
        (("--weights", "sizes"), "did you mean 'size'"),
        (("--min-n", "1"), "min-n is 1; expected 2 or more"),
        (("--resamples", "1"), "resamples is 1"),
        (("--permutations", "0"), "permutations is 0"),
        (("--seed", "-1"), "seed is -1"),
        (("--id", "id"), "--id belongs to --table"),
        (("--lower-is-better", "x"), "--lower-is-better belongs to --table"),
    ],
)
def test_wrong_use_exits_with_2(
    home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert main(["fairness", str(home / "planted"), *words]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == ""


def test_a_run_given_twice_and_none_at_all_are_refused(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fairness", str(home / "planted"), str(home / "planted")]) == 2
    assert "is given twice" in capsys.readouterr().err
    assert main(["fairness"]) == 2
    assert "--table scores.csv" in capsys.readouterr().err


def test_one_run_and_one_name_need_no_list(home: Path) -> None:
    one = nb.fairness(home / "planted", by="race", metrics="accuracy", settings=QUICK)
    assert one == nb.fairness(
        [nb.open_run(home / "planted")], by=["race"], metrics=["accuracy"], settings=QUICK
    )


def test_task_without_demographics_is_refused(tmp_path: Path) -> None:
    nb.evaluate("nova_localization", lambda request: "[]", data="mini", out=tmp_path / "out", limit=2)
    with pytest.raises(UsageError, match="no demographics are declared"):
        nb.fairness([tmp_path / "out"])


def test_unknown_attribute_is_an_unknown_name_in_python_too(home: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'race'"):
        nb.fairness([home / "planted"], by=["rcae"])
