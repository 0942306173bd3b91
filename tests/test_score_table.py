"""Fairness of a user's own table: the same numbers as from a run, and what every kind of bad table gets."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fair_set import answers, make_fair_set, run_fair
from running import nova

import nova_bench as nb
from nova_bench.cli import main
from nova_bench.errors import DataError
from nova_bench.table_file import read_columns

QUICK = nb.FairnessSettings(resamples=200, permutations=199)
ROLES: dict[str, Any] = {
    "id": "id",
    "cluster": "patient",
    "by": ["sex"],
    "metric": ["correct"],
    "settings": QUICK,
}
WORDS = (
    "--id",
    "id",
    "--cluster",
    "patient",
    "--by",
    "sex",
    "--metric",
    "correct",
    "--permutations",
    "99",
    "--resamples",
    "99",
)


def scores(seed: int = 0, n: int = 90) -> pd.DataFrame:
    """Return a small table: one or two answers a patient; women are answered better."""
    dice = random.Random(seed)
    rows = []
    for i in range(n):
        sex = "f" if i % 3 else "m"
        for question in range(1 + i % 2):
            right = float(dice.random() < (0.8 if sex == "f" else 0.5))
            rows.append(
                {
                    "id": f"{i}-{question}",
                    "patient": f"p{i}",
                    "sex": sex,
                    "age": "old" if i % 4 else "young",
                    "correct": right,
                }
            )
    return pd.DataFrame(rows)


def fairness_of(table: Any, **changes: Any) -> dict[str, Any]:
    return nb.fairness_table(table, **{**ROLES, **changes})


# The same numbers as from a run


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> nb.Run:
    """A run of two repeats with a gap, in which some answers failed and some were refused."""
    home = tmp_path_factory.mktemp("failing")
    data = make_fair_set(home / "set")
    right = answers(data, {"black": 0.5, None: 0.8})

    def some(request: nb.Request) -> Any:
        if request.id.startswith(("p01", "p21")):
            raise OSError("gone")
        if request.id.startswith("p02"):
            return nb.Response(request.id, finish="filter")
        return right(request)

    return run_fair(home, some, "run", repeats=2)


def numbers_of(document: dict[str, Any], run: bool) -> list[dict[str, Any]]:
    """Return a document's numbers, without the names that differ between a run and a table."""
    dropped = {"task", "model", "run", "signature", "headline", "metric"}
    return [{key: value for key, value in e.items() if key not in dropped} for e in document["comparisons"]]


@pytest.mark.parametrize("kept", ["status", "no status"])
def test_table_of_a_run_gives_the_numbers_of_the_run(failing: nb.Run, tmp_path: Path, kept: str) -> None:
    run = nb.fairness(
        [failing], by=["race", "sex", "race*sex"], metrics=["accuracy", "points", "error"], settings=QUICK
    )
    frame = failing.table()
    assert (frame.status == "failed").sum() > 10
    if kept == "no status":
        # Without states an answer that was refused is one that was answered wrongly; only what is empty has failed.
        frame = frame.drop(columns="status")
    frame.to_csv(tmp_path / "run.csv", index=False)
    table = nb.fairness_table(
        tmp_path / "run.csv",
        id="id",
        cluster="cluster",
        by=["race", "sex", "race*sex"],
        metric=["right", "points", "wrong"],
        lower_is_better=["wrong"],
        ranges={"points": (0, 100)},
        settings=QUICK,
    )
    one, two = numbers_of(run, True), numbers_of(table, False)
    if kept == "no status":
        for e in (*one, *two):
            for group in (e["overall"], e["unknown"], *e["groups"].values()):
                if group is not None:
                    del group["counts"], group["shares"]
    assert len(one) == 9
    assert one == two


def test_command_on_the_table_of_a_run_gives_the_numbers_of_the_command_on_the_run(
    failing: nb.Run, tmp_path: Path
) -> None:
    failing.table().to_csv(tmp_path / "run.csv", index=False)
    more = ("--by", "race", "--permutations", "199", "--resamples", "200", "--json")
    run = nova(tmp_path, "fairness", failing.folder, "--metric", "accuracy", *more)
    table = nova(
        tmp_path,
        "fairness",
        "--table",
        "run.csv",
        "--id",
        "id",
        "--cluster",
        "cluster",
        "--metric",
        "right",
        *more,
    )
    assert (run.returncode, table.returncode) == (1, 1), run.stderr + table.stderr  # some answers failed
    assert numbers_of(json.loads(run.stdout), True) == numbers_of(json.loads(table.stdout), False)


# What a table may be


def test_csv_parquet_and_frame_give_the_same(tmp_path: Path) -> None:
    frame = scores()
    frame.loc[3, "correct"] = np.nan
    frame.loc[frame.patient == "p7", "sex"] = None
    frame.to_csv(tmp_path / "s.csv", index=False)
    frame.to_parquet(tmp_path / "s.parquet")
    made = [numbers_of(fairness_of(t), False) for t in (tmp_path / "s.csv", tmp_path / "s.parquet", frame)]
    assert made[0] == made[1] == made[2]
    assert made[0][0]["overall"]["n_failed"] == 1
    assert made[0][0]["unknown"]["patients"] == 1


def test_order_of_rows_and_blanks_at_the_ends_change_nothing(tmp_path: Path) -> None:
    frame = scores()
    frame.sample(frac=1, random_state=1).assign(sex=lambda f: f.sex + " ").to_csv(
        tmp_path / "s.csv", index=False
    )
    one, two = fairness_of(frame)["comparisons"][0], fairness_of(tmp_path / "s.csv")["comparisons"][0]
    assert one["signature"]["id"] == two["signature"]["id"]
    assert {**one, "model": 0, "run": 0, "signature": 0} == {**two, "model": 0, "run": 0, "signature": 0}


def test_true_and_false_are_1_and_0_and_a_spreadsheet_s_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    frame = scores()
    frame.assign(correct=frame.correct == 1).to_csv(tmp_path / "s.csv", index=False, encoding="utf-8-sig")
    assert numbers_of(fairness_of(tmp_path / "s.csv"), False) == numbers_of(fairness_of(frame), False)


def test_empty_metric_is_failed_for_that_metric_only() -> None:
    frame = scores().assign(other=1.0)
    frame.loc[:4, "correct"] = np.nan
    one, two = fairness_of(frame, metric=["correct", "other"])["comparisons"]
    assert (one["overall"]["n_failed"], two["overall"]["n_failed"]) == (5, 0)
    assert one["imputed_gap"]["low"] < one["gap"]["value"] < one["imputed_gap"]["high"]


def test_with_states_an_empty_metric_of_an_answer_says_nothing_and_has_not_failed() -> None:
    frame = scores().assign(status="ok")
    frame.loc[:4, "correct"] = np.nan
    frame.loc[0, "status"] = "failed"
    (one,) = fairness_of(frame)["comparisons"]
    assert one["overall"]["n_failed"] == 1
    assert one["overall"]["value"] == pytest.approx(frame.correct.mean())


def test_a_column_called_status_that_means_something_else_is_named_and_can_be_left() -> None:
    frame = scores().assign(status="inpatient")
    with pytest.raises(DataError, match="column 'status' is 'inpatient', expected one of ok"):
        fairness_of(frame)
    assert numbers_of(fairness_of(frame, status=""), False) == numbers_of(fairness_of(scores()), False)


def test_repeats_are_averaged_and_counted_once() -> None:
    frame = scores()
    both = pd.concat([frame.assign(repeat=0), frame.assign(repeat=1)])
    one, two = fairness_of(frame)["comparisons"][0], fairness_of(both)["comparisons"][0]
    assert two["overall"]["n"] == one["overall"]["n"]
    assert two["gap"] == pytest.approx(one["gap"])
    third = fairness_of(both.rename(columns={"repeat": "round"}), repeat="round")["comparisons"][0]
    assert third["gap"] == two["gap"]


def test_words_for_unknown_are_declared_and_else_pointed_out() -> None:
    frame = scores()
    frame.loc[frame.patient.isin([f"p{i}" for i in range(30)]), "sex"] = "Unknown"
    asis, told = (
        fairness_of(frame)["comparisons"][0],
        fairness_of(frame, unknown=["Unknown"])["comparisons"][0],
    )
    assert (
        "sex=Unknown looks like unknown and counts as a group; --unknown Unknown makes it unknown"
        in asis["note"]
    )
    assert "Unknown" in asis["groups"]
    assert "Unknown" not in told["groups"]
    assert told["unknown"]["patients"] == 30


def test_values_that_differ_in_case_only_are_pointed_out() -> None:
    frame = scores()
    frame.loc[frame.patient == "p1", "sex"] = "F"
    assert "sex has F and f, which differ in case only" in fairness_of(frame)["comparisons"][0]["note"]


def test_codes_of_groups_may_be_numbers(tmp_path: Path) -> None:
    frame = scores()
    coded = frame.assign(sex=frame.sex.map({"f": 0, "m": 1}))
    coded.loc[coded.patient == "p7", "sex"] = np.nan  # which makes the column one of floats
    assert list(fairness_of(coded)["comparisons"][0]["groups"]) == ["0", "1"]


def test_intersections_and_several_attributes_are_tested_together() -> None:
    document = fairness_of(scores(), by=["sex", "age", "sex*age"])
    assert [(e["attribute"], e["tests"]) for e in document["comparisons"]] == [
        ("sex", 3),
        ("age", 3),
        ("sex*age", 3),
    ]
    assert "f & old" in document["comparisons"][2]["groups"]


# Range


def test_metric_outside_of_0_to_1_needs_its_range() -> None:
    frame = scores()
    frame["correct"] *= 100
    with pytest.raises(nb.UsageError, match=re.escape("as in --range correct=0..100")):
        fairness_of(frame)
    hundred = fairness_of(frame, ranges={"correct": (0, 100)})["comparisons"][0]
    assert hundred["gap"]["value"] == pytest.approx(
        100 * fairness_of(scores())["comparisons"][0]["gap"]["value"]
    )
    unbounded = fairness_of(frame, ranges={"correct": None})["comparisons"][0]
    assert unbounded["range"] is None
    assert unbounded["gap"]["value"] == pytest.approx(hundred["gap"]["value"])
    with pytest.raises(DataError, match=r"column 'correct' is 100, outside of its range 0\.\.50"):
        fairness_of(frame, ranges={"correct": (0, 50)})


# Several models


def test_models_of_a_column_and_of_two_tables_are_paired_alike(tmp_path: Path) -> None:
    a, b = scores(0), scores(1)
    (tmp_path / "in").mkdir()
    a.to_csv(tmp_path / "in" / "a.csv", index=False)
    b.to_csv(tmp_path / "in" / "b.csv", index=False)
    pd.concat([a.assign(model="a"), b.assign(model="b")]).to_csv(tmp_path / "both.csv", index=False)
    two = fairness_of([tmp_path / "in" / "a.csv", tmp_path / "in" / "b.csv"])
    one = fairness_of(tmp_path / "both.csv", model="model")
    for document in (one, two):
        assert [run["label"] for run in document["runs"]] == ["a", "b"]
        first, second = document["comparisons"]
        assert first["paired"]["b"]["gap"]["value"] == pytest.approx(
            first["gap"]["value"] - second["gap"]["value"]
        )
        assert first["paired"]["b"]["gap"]["low"] == -second["paired"]["a"]["gap"]["high"]
    keep = ("gap", "worst", "paired", "p_value", "p_holm", "tests", "groups")
    assert [{k: e[k] for k in keep} for e in one["comparisons"]] == [
        {k: e[k] for k in keep} for e in two["comparisons"]
    ]


def test_tables_of_other_samples_are_not_paired_and_it_is_said() -> None:
    first, second = fairness_of([scores(0), scores(1).iloc[:-1]])["comparisons"]
    assert first["paired"] == second["paired"] == {}
    assert "not paired with table 2: they differ in their samples" in first["note"]


# Bad tables


def rewrite(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    return lambda path: change(scores()).to_csv(path, index=False)


def put(row: int, column: str, value: Any) -> Callable[[Path], None]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame[column] = frame[column].astype(object)
        frame.loc[row, column] = value
        return frame

    return rewrite(change)


BAD_TABLES: list[tuple[str, Callable[[Path], None], str]] = [
    ("id twice", put(5, "id", "0-0"), "row 7: id '0-0' stands in row 2 already"),
    ("empty id", put(5, "id", None), "row 7: column 'id' is empty; every row needs an id"),
    ("empty patient", put(5, "patient", None), "row 7: column 'patient' is empty; every row needs a patient"),
    ("word for a number", put(5, "correct", "yes"), "row 7: column 'correct' is 'yes', expected a number"),
    ("number with a comma", put(5, "correct", "0,5"), "row 7: column 'correct' is '0,5', expected a number"),
    ("underscore", put(5, "correct", "1_0"), "row 7: column 'correct' is '1_0', expected a number"),
    ("nan", put(5, "correct", "NaN"), "row 7: column 'correct' is NaN, expected a finite number"),
    ("infinity", put(5, "correct", "-inf"), "row 7: column 'correct' is -inf, expected a finite number"),
    ("two groups", put(2, "sex", "m"), "row 4: patient 'p1' has two values of 'sex': 'm', and 'f' in row 3"),
    ("group and unknown", put(2, "sex", None), "patient 'p1' has two values of 'sex': unknown, and 'f' in row 3"),
    ("out of range", put(5, "correct", 1.5), "row 7: column 'correct' is 1.5, not between 0 and 1"),
    ("no metric", rewrite(lambda f: f.rename(columns={"correct": "corect"})), "did you mean 'corect'"),
    ("no group", rewrite(lambda f: f.rename(columns={"sex": "sexe"})), "did you mean 'sexe'"),
    ("no id", rewrite(lambda f: f.drop(columns="id")), "column 'id' not found"),
    ("no patient", rewrite(lambda f: f.drop(columns="patient")), "column 'patient' not found"),
    ("bad repeat", rewrite(lambda f: f.assign(repeat=0.5)), "column 'repeat' is '0.5', expected a whole number"),
    ("failed and scored", rewrite(lambda f: f.assign(status="failed")), "the answer failed, and yet column 'correct' is"),
    ("empty file", lambda path: path.write_bytes(b""), "is empty"),
    ("header only", lambda path: path.write_text("id,patient,sex,correct\n"), "has a header and no rows"),
    ("columns of one name", lambda path: path.write_text("id,id\n1,2\n"), "has two columns 'id'"),
    ("semicolons", lambda path: path.write_text("id;patient\n1;2\n"), "is separated by semicolons; save it with commas"),
    ("short row", lambda path: path.write_text("id,patient\n1,2\n3\n"), "row 3 has 1 cells, the header has 2"),
    ("long row", lambda path: path.write_text("id,patient\n1,2,3\n"), "row 2 has 3 cells, the header has 2"),
    ("blank line", lambda path: path.write_text("id,patient\n\n1,2\n"), "has a blank line in the middle"),
    ("latin-1", lambda path: path.write_bytes("id,patient\nJos\xe9,1\n".encode("latin-1")), "is not UTF-8"),
    ("no CSV", lambda path: path.write_text('id,patient\n"a"b,1\n'), "cannot be read as CSV"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("write", "said"), [case[1:] for case in BAD_TABLES], ids=[case[0] for case in BAD_TABLES]
)
def test_bad_table_is_refused_with_its_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write: Callable[[Path], None], said: str
) -> None:
    write(tmp_path / "scores.csv")
    code = main(["fairness", "--table", str(tmp_path / "scores.csv"), *WORDS, "--json"])
    printed = capsys.readouterr()
    assert code in (1, 2)
    assert said in printed.err
    assert str(tmp_path / "scores.csv") in printed.err
    assert printed.out == ""


def test_nan_in_a_parquet_file_is_no_empty_cell(tmp_path: Path) -> None:
    frame = scores()
    table = pa.table({name: frame[name].tolist() for name in ("id", "patient", "sex")})
    values = [float("nan"), *frame.correct.tolist()[1:]]
    pq.write_table(
        table.append_column("correct", pa.array(values, from_pandas=False)), tmp_path / "s.parquet"
    )
    with pytest.raises(DataError, match="row 1: column 'correct' is nan, expected a finite number"):
        fairness_of(tmp_path / "s.parquet")


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        fairness_of(tmp_path / "s.parquet")


def test_a_note_of_100_kb_beside_the_scores_is_no_obstacle(tmp_path: Path) -> None:
    scores().assign(note='x, \n"y"' * 20_000).to_csv(tmp_path / "s.csv", index=False)
    assert numbers_of(fairness_of(tmp_path / "s.csv"), False) == numbers_of(fairness_of(scores()), False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--table", "scores.tsv"), "its name ends in .tsv, expected .csv or .parquet"),
        (("--table", "none.csv"), "none.csv does not exist"),
        (("--table", "s.csv", "--metric", "sex"), "column 'sex' cannot be a metric and a group at once"),
        (("--table", "s.csv", "--metric", "id"), "cannot be a metric"),
        (("--table", "s.csv", "--by", "patient"), "cannot be a group"),
        (("--table", "s.csv", "--metric", "correct"), "given twice as metric"),
        (("--table", "s.csv", "--by", "sex"), "given twice as by"),
        (("--table", "s.csv", "--lower-is-better", "corect"), "did you mean 'correct'"),
        (("--table", "s.csv", "--range", "corect=0..1"), "did you mean 'correct'"),
        (("--table", "s.csv", "--range", "correct=0-1"), "expected LOW..HIGH"),
        (("--table", "s.csv", "--range", "correct=1..0"), "expected the lowest value first"),
        (("--table", "s.csv", "--model-column", "modell"), "column 'modell' not found"),
        (("--table", "s.csv", "--table", "s.csv", "--model-column", "age"), "give one or the other"),
        (("--table", "s.csv", "--repeat", "raepet"), "column 'raepet' not found"),
        (("--table", "s.csv", "--status", "stauts"), "column 'stauts' not found"),
        (("--table", "s.csv", "--data", "x"), "--data belongs to runs"),
        (("--table", "s.csv", "somewhere"), "give runs or --table, not both"),
        (("--table", "s.csv", "--lambda", "-2"), "lambda is -2.0"),
    ],
)  # fmt: skip
def test_wrong_use_exits_with_2(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    scores().to_csv("s.csv", index=False)
    Path("scores.tsv").write_text("id\n")
    assert main(["fairness", *words, *WORDS, "--json"]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("left", ["id", "cluster", "by", "metric"])
def test_a_role_that_is_not_given_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], left: str
) -> None:
    scores().to_csv(tmp_path / "s.csv", index=False)
    place = WORDS.index(f"--{left}")
    assert main(["fairness", "--table", str(tmp_path / "s.csv"), *WORDS[:place], *WORDS[place + 2 :]]) == 2
    assert f"--table needs --{left} COLUMN" in capsys.readouterr().err


# Tables in which there is nothing to compare


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("one group only", lambda f: f.assign(sex="f")),
        ("all unknown", lambda f: f.assign(sex=None)),
        ("all too small", lambda f: f[f.patient.isin([f"p{i}" for i in range(30)])]),
        ("one group of one", lambda f: f[(f.sex == "f") | (f.patient == "p0")]),
        ("all failed", lambda f: f.assign(correct=np.nan)),
        ("one row", lambda f: f.iloc[:1]),
        ("a group of failures", lambda f: f.assign(correct=f.correct.where(f.sex == "f"))),
    ],
)
def test_nothing_to_compare_is_null_with_the_reason(
    name: str, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    (found,) = fairness_of(change(scores()))["comparisons"]
    for composite in ("gap", "worst", "ratio", "std", "fap", "es"):
        assert found[composite]["value"] is None
        assert found[composite]["note"]
    assert found["p_value"] is None
    assert "groups cannot be compared: " in found["sentence"]
    assert not any(group["included"] for n, group in found["groups"].items() if group["patients"] < 20)


def test_groups_that_are_all_right_are_not_called_fair(tmp_path: Path) -> None:
    (found,) = fairness_of(scores().assign(correct=1.0))["comparisons"]
    assert found["gap"]["value"] == 0
    assert found["gap"]["high"] > 0
    assert found["sentence"].startswith("sex: the groups that take part all have 1.00, 1.00 overall")
    assert "not distinguishable from 0" in found["sentence"]


def test_numbers_of_a_file_are_read_exactly(tmp_path: Path) -> None:
    dice = random.Random(5)
    values = [dice.random() for _ in range(1000)]
    (tmp_path / "s.csv").write_text("x\n" + "".join(f"{value!r}\n" for value in values))
    assert read_columns(tmp_path / "s.csv").numbers("x") == values


def test_a_table_given_twice_is_refused(tmp_path: Path) -> None:
    scores().to_csv(tmp_path / "a.csv", index=False)
    again = tmp_path / ".." / tmp_path.name / "a.csv"
    with pytest.raises(nb.UsageError, match="given twice"):
        fairness_of([tmp_path / "a.csv", again])


def test_refused_answers_without_a_score_are_pointed_out() -> None:
    table = scores()
    table["status"] = "ok"
    table.loc[:9, "status"], table["correct"] = "refused", table["correct"].astype(float)
    table.loc[:9, "correct"] = None
    note = fairness_of(table)["comparisons"][0]["note"]
    assert "'correct' is empty for answers that count as wrong (10 refused)" in note
    table.loc[:9, "correct"] = 0.0
    assert "count as wrong" not in str(fairness_of(table)["comparisons"][0]["note"])


def test_equity_scaled_score_on_a_wide_range_keeps_its_decimals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    table = scores()
    table["correct"] = 100 * table["correct"].fillna(0)
    es = fairness_of(table, ranges={"correct": (0, 100)})["comparisons"][0]["es"]["value"]
    table.to_csv(tmp_path / "a.csv", index=False)
    words = f"fairness --table {tmp_path / 'a.csv'} --id id --cluster patient --by sex --metric correct --range correct=0..100"
    main([*words.split(), "--permutations", "99"])
    assert f"{es:.3f}" in capsys.readouterr().out
