"""Judged columns in fairness reports, counterfactuals and exported tables: what is unjudged is left out and told, and what waits is failed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fair_set import TASK, answers, make_fair_set, rows_of
from rich.console import Console
from running import settings

import nova_bench as nb
from nova_bench import fairness_plots, render_fairness
from nova_bench import fairness_view as view

JUDGED = TASK.replace("absent = nb.Scorer", '''
LIKENESS = nb.Judge(
    "likeness", 1, "Is the answer right?",
    {
        "type": "object", "properties": {"score": {"type": "integer", "minimum": 0, "maximum": 1}}, "required": ["score"],
        "additionalProperties": False,
    },
    lambda sample, prediction: {"reference": sample.target, "candidate": prediction.value} if prediction.value else None,
)


def judged_rows(items):
    for item in items:
        yield {"likeness": 0.0 if item.verdict is None else float(item.verdict["score"])}


likeness = nb.Scorer("likeness", ("likeness",), judged_rows, lambda sample: ({"likeness": 0.0}, {"likeness": 1.0}), judge=LIKENESS)
absent = nb.Scorer''').replace(", absent),", ", absent, likeness),").replace(
    'mean_of("judged", "judged"),', 'mean_of("judged", "judged"), mean_of("likeness", "likeness"),'
)  # fmt: skip
QUICK = nb.FairnessSettings(resamples=200, permutations=99)
METRIC = "likeness(judge=judge)"


def a_judge(spoil: Callable[[nb.Request], nb.Response | str | None] = lambda request: None) -> Any:
    from nova_bench.judge import texts_in

    def judge(request: nb.Request) -> nb.Response | str:
        texts = texts_in(request.parts)
        return spoil(request) or json.dumps({"score": int(texts["reference"] == texts["candidate"])})

    return judge


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("judged")
    make_fair_set(home / "set")
    (home / "set" / "fair_task.py").write_text(JUDGED)
    return home


def run(home: Path, name: str, judge: Any, model: Any = None, variant: str = "", **more: Any) -> nb.Run:
    return nb.evaluate(
        f"{home}/set/fair_task.py{variant}",
        model or answers(home / "set", {"white": 0.9, None: 0.6}),
        data=str(home / "set"),
        out=home / name,
        settings=settings(home),
        judges=[judge],
        allow_self_judge=True,
        **more,
    )


def comparison(document: dict[str, Any], metric: str, attribute: str = "race", run: str | None = None) -> Any:
    (found,) = (
        entry
        for entry in document["comparisons"]
        if (entry["metric"], entry["attribute"]) == (metric, attribute) and run in (None, entry["run"])
    )
    return found


@pytest.fixture(scope="module")
def whole(home: Path) -> nb.Run:
    return run(home, "whole", a_judge())


def test_a_judge_that_agrees_with_the_truth_gives_the_plain_metrics_fairness(whole: nb.Run) -> None:
    document = nb.fairness(whole, settings=QUICK)
    plain, judged = (comparison(document, name) for name in ("accuracy", METRIC))
    assert judged["gap"] == plain["gap"]
    assert judged["gap"]["value"] > 0.1
    for name, group in judged["groups"].items():
        assert group["value"] == plain["groups"][name]["value"]
        assert group["counts"] == {**plain["groups"][name]["counts"], "unjudged": 0}
    assert judged["signature"]["protocol"]["judge"]["model"] == "judge"
    assert plain["signature"]["protocol"]["judge"] is None
    assert judged["note"] == plain["note"]


def test_unjudged_answers_are_left_out_by_group_and_told(home: Path, whole: nb.Run) -> None:
    rows = rows_of(home / "set")
    gone = {key for key, row in rows.items() if row["race"] == "black" and int(row["patient"][1:]) % 3 == 0}
    made = run(home, "gone", a_judge(lambda request: "?" if request.sample in gone else None))
    assert made.progress is not None
    assert made.progress.error is None
    document = nb.fairness(made, settings=QUICK)
    judged = comparison(document, METRIC)
    black, white = judged["groups"]["black"], judged["groups"]["white"]
    assert black["counts"]["unjudged"] == len(gone)
    assert white["counts"]["unjudged"] == 0
    assert black["n_failed"] == 0  # final: nothing waits
    n_black = sum(row["race"] == "black" for row in rows.values())
    assert black["n"] == n_black
    assert black["shares"]["unjudged"] == pytest.approx(len(gone) / n_black)
    right = made.scored.table
    kept = [i for i in range(len(right)) if right.groups["race"][i] == "black" and right.id[i] not in gone]
    assert black["value"] == pytest.approx(right["right"][kept].mean())
    assert f"{len(gone)} answers are unjudged and left out: {len(gone)} of race=black" in judged["note"]
    plain, other = (comparison(one, "accuracy") for one in (document, nb.fairness(whole, settings=QUICK)))
    for key in ("groups", "gap", "imputed_gap", "note"):
        assert plain[key] == other[key]
    value = judged["gap"]["value"]  # unjudged ones are filled in nowhere
    assert judged["imputed_gap"]["low"] == judged["imputed_gap"]["high"] == value
    joint = nb.fairness(made, by="race*sex", metrics=METRIC, settings=QUICK)["comparisons"][0]
    assert sum(group["counts"]["unjudged"] for group in joint["groups"].values()) == len(gone)


def test_a_group_without_any_verdict_is_named(home: Path) -> None:
    rows = rows_of(home / "set")
    asian = {key for key, row in rows.items() if row["race"] == "asian"}
    made = run(home, "asian", a_judge(lambda request: "?" if request.sample in asian else None))
    judged = comparison(nb.fairness(made, settings=QUICK), METRIC)
    assert "asian" not in judged["groups"]
    assert "no answer of asian was judged" in judged["note"]


def test_what_waits_for_a_verdict_is_failed_with_bounds(home: Path) -> None:
    rows = rows_of(home / "set")
    late = {key for key, row in rows.items() if row["race"] == "black" and int(row["patient"][1:]) % 5 == 0}

    def spoil(request: nb.Request) -> nb.Response | None:
        return nb.Response(request.id, finish="error", error="not now") if request.sample in late else None

    made = run(home, "late", a_judge(spoil))
    document = nb.fairness(made, settings=QUICK)
    judged = comparison(document, METRIC)
    assert judged["groups"]["black"]["n_failed"] == len(late)
    assert judged["groups"]["white"]["n_failed"] == 0
    assert judged["imputed_gap"]["low"] < judged["gap"]["value"] < judged["imputed_gap"]["high"]
    assert comparison(document, "accuracy")["overall"]["n_failed"] == 0


def test_two_models_are_paired_on_what_was_judged_of_both(home: Path, whole: nb.Run) -> None:
    rows = rows_of(home / "set")
    gone = {key for key, row in rows.items() if int(row["patient"][1:]) % 7 == 0}
    other = run(
        home, "other", a_judge(lambda request: "?" if request.sample in gone else None),
        answers(home / "set", {None: 0.8}, seed=2),
    )  # fmt: skip
    document = nb.fairness([whole, other], by="race", settings=QUICK)
    mine = comparison(document, METRIC, run="model2")
    (paired,) = mine["paired"].values()
    assert f"without {len(gone)} answers that are unjudged in one of the runs" in paired["note"]
    tables = [made.scored.table for made in (other, whole)]
    keep = [i for i in range(len(tables[0])) if tables[0].id[i] not in gone]
    assert paired["overall"]["value"] == pytest.approx(
        tables[0]["right"][keep].mean() - tables[1]["right"][keep].mean()
    )


def test_counterfactuals_of_judged_metrics(home: Path) -> None:
    known = rows_of(home / "set")

    def swayed(request: nb.Request) -> str:
        base = request.sample.partition("+")[0]
        if "race=black" in request.text and int(base[1:4]) % 2:
            return "no"
        right = str(known[base]["answer"])
        return {"yes": "no", "no": "yes"}[right] if base in gone else right

    gone = {key for key in known if int(key[1:4]) % 11 == 0}

    def spoil(request: nb.Request) -> str | None:
        return "?" if request.sample.partition("+")[0] in gone and "+" in request.sample else None

    for told, judge in (("stated", a_judge()), ("swapped", a_judge(spoil))):
        run(home, told, judge, swayed, f"@demographics={told}")
    document = nb.fairness([home / "stated", home / "swapped"], settings=QUICK)
    (black,) = (r for r in document["counterfactual"] if (r["attribute"], r["value"]) == ("race", "black"))
    found = black["metrics"][METRIC]
    told_black = {key for key, row in known.items() if row["race"] in ("white", "asian")}
    pairs = told_black - gone
    wrong = [key for key in pairs if int(key[1:4]) % 2 and known[key]["answer"] == "yes"]
    assert found["value"] == pytest.approx(-len(wrong) / len(pairs))
    assert (found["stated"], found["swapped"]) == (1, pytest.approx(1 - len(wrong) / len(pairs)))
    assert found["unjudged"] == len(told_black & gone)
    assert found["judge_failed"] == 0
    assert found["signature"]["protocol"]["judge"]["model"] == "judge"
    assert black["metrics"]["accuracy"]["value"] != found["value"]


def test_a_stated_run_that_nobody_judged_gives_no_number(home: Path) -> None:
    def yes(request: nb.Request) -> str:
        return "yes"

    nb.evaluate(
        f"{home}/set/fair_task.py@demographics=stated", yes, data=str(home / "set"), out=home / "bare-stated", settings=settings(home)
    )  # fmt: skip
    run(home, "bare-swapped", a_judge(), yes, "@demographics=swapped")
    document = nb.fairness([home / "bare-stated", home / "bare-swapped"], settings=QUICK)
    for record in document["counterfactual"]:
        found = record["metrics"][METRIC]
        assert found["value"] is None
        assert "did not judge the stated run" in found["note"]
        assert record["metrics"]["accuracy"]["value"] == 0


def test_an_exported_table_gives_the_same_fairness(home: Path, whole: nb.Run) -> None:
    frame = whole.table()
    assert {"likeness@judge", "verdict(likeness)@judge"} <= set(frame.columns)
    table = nb.fairness_table(
        frame[["id", "cluster", "race", "status", "likeness@judge"]],
        id="id", cluster="cluster", by="race", metric="likeness@judge", settings=QUICK,
    )  # fmt: skip
    ours = comparison(nb.fairness(whole, settings=QUICK), METRIC)
    theirs = comparison(table, "likeness@judge")
    assert theirs["gap"] == ours["gap"]


@pytest.mark.parametrize("has_status", [True, False])
def test_of_an_exported_table_what_waits_is_failed_and_what_is_unjudged_left_out(
    home: Path, has_status: bool
) -> None:
    rows = rows_of(home / "set")
    gone = {key for key in rows if int(key[1:4]) % 3 == 0}
    late = {key for key in rows if int(key[1:4]) % 5 == 0} - gone

    def spoil(request: nb.Request) -> nb.Response | str | None:
        if request.sample in late:
            return nb.Response(request.id, finish="error", error="not now")
        return "?" if request.sample in gone else None

    made = run(home, f"both-{has_status}", a_judge(spoil))
    frame = made.table()
    frame = frame if has_status else frame.drop(columns="status")
    path = home / f"table-{has_status}.csv"
    frame.drop(columns=["answer_hash"]).to_csv(path, index=False)
    table = nb.fairness_table(
        path, id="id", cluster="cluster", by="race", metric="likeness@judge", settings=QUICK
    )
    ours, theirs = comparison(nb.fairness(made, settings=QUICK), METRIC), comparison(table, "likeness@judge")
    for name, group in theirs["groups"].items():
        assert group["value"] == ours["groups"][name]["value"]
        assert group["n_failed"] == ours["groups"][name]["n_failed"]
    assert theirs["overall"]["n_failed"] == len(late)
    assert f"'likeness@judge' is empty for {len(gone)} unjudged answers, which are left out" in theirs["note"]


def test_a_judges_name_is_cut_out_of_no_table_and_no_plot(home: Path, whole: nb.Run) -> None:
    """Two judges differ in the middle of a long name, which is where long names are cut."""
    document = nb.fairness([whole], settings=QUICK)
    names = [f"likeness(judge=openai:a-model-{size}-of-this-autumn)" for size in ("large", "small")]
    texts = json.dumps(document)
    for plain, name in zip(("accuracy", METRIC), names, strict=True):
        texts = texts.replace(json.dumps(plain), json.dumps(name))
    renamed = json.loads(texts)
    console = Console(width=400, file=io.StringIO())
    console.print(render_fairness.report(renamed))
    told = console.file.getvalue()  # type: ignore[attr-defined]  # it is the text above
    (part,) = view.parts(renamed)
    for name in names:
        assert name in told
        for picture in (fairness_plots.forest(part, name, "race"), fairness_plots.gaps(part, name)):
            assert picture is not None
            assert any(name in text.get_text() for text in picture.figure.texts)
