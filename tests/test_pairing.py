"""Pairings: that halves kept in JSON give the differences of the rows, for every kind of metric, and what none can be paired with."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import judged_runs
import numpy as np
import pytest
from jsonschema import Draft202012Validator
from judged_task import FakeJudge, judged
from running import SIZE, make_set, settings, truth

import nova_bench as nb
from nova_bench.board.layout import schema_path
from nova_bench.board.pairing import pairing_fault, pairing_of, pairing_of_run, stored_differences
from nova_bench.board.rows_file import masked
from nova_bench.compare import compare
from nova_bench.errors import BundleError
from nova_bench.metrics.classification import mean_of, ratio_of
from nova_bench.metrics.detection import average_precision
from nova_bench.stats import RESAMPLES, Differences, differences
from nova_bench.table import Ragged, Table
from nova_bench.types import Metric

ID = "0123456789ab"
RATIO = ratio_of("above", "below", "ratio")
AP = average_precision(0.5)
SHOWN = ("value", "s", "low", "high", "p", "detectable", "n_clusters", "n_differing", "undefined")


def table_of(seed: int, quality: float, *, cases: int = 40, repeats: int = 2) -> Table:
    """Return answers of a model: one to three images a case, and cases of which nothing counts."""
    dice, layout = np.random.default_rng(seed), np.random.default_rng(99)
    case = np.repeat(np.arange(cases), layout.integers(1, 4, cases))
    n = len(case) * repeats
    case, repeat = np.repeat(case, repeats), np.tile(np.arange(repeats), len(case))
    found = dice.integers(0, 4, n)
    below = np.where(case % 7 == 0, 0.0, dice.integers(3, 6, n) / 3)
    score = np.round(dice.random(found.sum()), 1)
    hit = np.repeat((dice.random(found.sum()) < quality)[:, None], 11, axis=1)
    offsets = np.concatenate([[0], np.cumsum(found)])
    columns: dict[str, np.ndarray | Ragged] = {
        "above": np.where(below > 0, dice.random(n) < quality, 0).astype(float),
        "below": below,
        "n_true": np.full(n, 2.0),
        "det_score": Ragged(score, offsets),
        "det_hit": Ragged(hit, offsets),
    }
    return Table(
        id=np.array([f"s{i // repeats:03d}" for i in range(n)], dtype=object),
        cluster=np.array([f"c{i}" for i in case.tolist()], dtype=object),  # c10 stands before c2
        repeat=repeat,
        status=np.full(n, "ok", dtype=object),
        split=np.full(n, "test", dtype=object),
        groups={},
        columns=columns,
    )


def kept(table: Table, metric: Metric, resamples: int = 200) -> dict[str, Any]:
    """Return a pairing as it comes back from a file."""
    made = pairing_of(table, metric, ID, resamples=resamples, seed=0)
    assert made is not None
    written = json.dumps(made, allow_nan=False)
    schema = json.loads(schema_path("pairing").read_text())
    Draft202012Validator(schema).validate(json.loads(written))
    return dict(json.loads(written))


def assert_same(found: Differences, expected: Differences) -> None:
    for name in SHOWN:
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-12, err_msg=name
        )


@pytest.mark.parametrize("metric", [RATIO, AP], ids=["ratio", "resampled"])
@pytest.mark.parametrize("repeats", [1, 3])
def test_kept_halves_give_the_differences_of_the_rows(metric: Metric, repeats: int) -> None:
    tables = [table_of(seed, quality, repeats=repeats) for seed, quality in enumerate((0.45, 0.5, 0.6))]
    tables.append(tables[1])
    found = stored_differences([kept(table, metric) for table in tables], range=metric.range)
    expected = differences(tables, metric, resamples=200)
    assert_same(found, expected)
    assert found.n_differing[1, 3] == 0
    assert found.pair(1, 3) == expected.pair(1, 3)
    assert np.isfinite(found.p).all()
    assert len({*found.p.ravel().tolist()}) > 3
    if metric is RATIO:
        assert found.n_clusters[0, 1] < 40 == kept(tables[0], metric)["clusters"]


def test_resamples_without_a_value_come_back_as_such() -> None:
    """The truth of one case of nine alone makes AP undefined in a third of the resamples."""
    tables = []
    for seed in (1, 2):
        table = table_of(seed, 0.6, cases=9)
        n_true = np.where(table.cluster == "c3", 2.0, 0.0)
        tables.append(dataclasses.replace(table, columns={**table.columns, "n_true": n_true}))
    pairings = [kept(table, AP) for table in tables]
    assert None in pairings[0]["numbers"]
    found, expected = stored_differences(pairings, range=AP.range), differences(tables, AP, resamples=200)
    assert_same(found, expected)
    assert found.undefined[0, 1] > 0.2
    assert str(found.pair(0, 1).note).startswith("no interval: undefined in ")


def test_what_rounding_leaves_is_no_difference_and_what_it_does_not_is_one() -> None:
    table = table_of(1, 0.5)
    below = table["below"]

    def print_of(changed: np.ndarray) -> str:
        return str(
            kept(dataclasses.replace(table, columns={**table.columns, "below": changed}), RATIO)["prints"]
        )

    assert print_of(below * (1 + 1e-15)) == print_of(np.where(below == 0, -0.0, below)) == print_of(below)
    one = below.copy()
    one[-1] *= 1 + 1e-7
    prints = [print_of(below), print_of(one)]
    parts = [{text[i : i + 8] for i in range(0, len(text), 8)} for text in prints]
    assert len(parts[0] ^ parts[1]) == 2  # one case, before and after
    halves = (
        np.arange(len(below)) / 2**20
    )  # a count over a power of two has a short mantissa, and many decimals
    assert print_of(halves) == print_of(halves * (1 + 1e-15)) == print_of(halves * (1 - 1e-15))


def test_masked_rows_give_the_same_numbers_under_a_hash_of_their_own() -> None:
    table = table_of(3, 0.5)
    for metric in (RATIO, AP):
        plain, hidden = kept(table, metric), kept(masked(table), metric)
        assert plain.pop("lines") != hidden.pop("lines")
        assert plain == hidden


@pytest.mark.parametrize(
    "other",
    [
        kept(table_of(2, 0.5), RATIO) | {"signature": "f" * 12},
        kept(table_of(2, 0.5).take(np.arange(1, 60)), RATIO),
        kept(table_of(2, 0.5), AP),
        kept(table_of(2, 0.5), RATIO) | {"lines": "0" * 16},
    ],
    ids=["protocol", "lines", "kind", "hash"],
)
def test_only_the_same_lines_of_one_protocol_are_paired(other: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="of other lines or another protocol"):
        stored_differences([kept(table_of(1, 0.5), RATIO), other], range=(0, 1))


@pytest.mark.parametrize(
    "change",
    [
        {"prints": "0" * 8},
        {"numbers": [0.1] * 12},
        {"numbers": [None] * 40},
        {"silent": [3, 2]},
        {"silent": [2, 2]},
        {"silent": [40]},
        {"kind": "resampled"},
        {"numbers": [1e300] * 40},
        {"value": -1e300},
        {"clusters": 41},
    ],
)
def test_pairing_that_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    honest = kept(table_of(1, 0.5), RATIO)
    assert pairing_fault(honest) is None
    assert honest["silent"]
    assert pairing_fault(honest | change)
    with pytest.raises(BundleError, match="pairing: "):
        stored_differences([honest, honest | change], range=(0, 1))


def test_wild_numbers_of_one_entry_touch_no_pair_of_others() -> None:
    tables = [table_of(seed, 0.5) for seed in (1, 2)]
    wild = kept(table_of(3, 0.5), RATIO) | {"numbers": [1e150] * 40, "value": -1e150}
    found = stored_differences([*(kept(table, RATIO) for table in tables), wild], range=(0, 1))
    assert found.pair(0, 1) == differences(tables, RATIO).pair(0, 1)


def test_no_pairing_where_nothing_can_be_told() -> None:
    table = table_of(1, 0.5)

    def made(metric: Metric, table: Table = table) -> dict[str, Any] | None:
        return pairing_of(table, metric, ID, resamples=10, seed=0)

    assert made(dataclasses.replace(RATIO, infer=False)) is None
    assert made(mean_of("gone", "gone")) is None  # a column that a missing resource takes away
    assert made(RATIO, table_of(1, 0.5, cases=4)) is None
    assert made(RATIO, table.take(np.zeros(len(table), bool))) is None
    zeros = dataclasses.replace(table, columns={**table.columns, "below": np.zeros(len(table))})
    assert made(RATIO, zeros) is None
    assert made(RATIO) is not None


def test_schema_of_the_entry_is_that_of_the_file() -> None:
    own, entry = (json.loads(schema_path(name).read_text()) for name in ("pairing", "entry"))
    for key in ("$schema", "title", "description"):
        del own[key]
    assert entry["$defs"]["pairing"] == own


class Detector:
    """Marks the first true box of some pictures, and a corner of the others."""

    def __init__(self, boxes: dict[str, list[list[float]]], hits: int) -> None:
        self.boxes, self.hits = boxes, hits

    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        for request in requests:
            is_right = sum(request.id.encode()) % 10 < self.hits
            box = self.boxes[request.id][0] if is_right else [40, 40, 47, 47]
            thousandths = [round(1000 * edge / SIZE) for edge in box]
            yield nb.Response(request.id, json.dumps([{"bbox_2d": thousandths, "label": "a"}]))


class Terse:
    """Says nothing of pictures whose case is one of some, and of the others more or less the same."""

    def __init__(self, silent: range) -> None:
        self.silent = silent

    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        for request in requests:
            case = int(request.id[4:8])
            text = "Axial T2 image with a lesion."[: 10 + 4 * (case % 5)]
            yield nb.Response(request.id, "" if case in self.silent else f"ANSWER: {text}")


def assert_as_compared(runs: list[nb.Run], headline: str) -> None:
    """The pairings of runs say what `compare` says of the runs."""
    pairings = [pairing_of_run(one, resamples=RESAMPLES, seed=0) for one in runs]
    kept = json.loads(json.dumps(pairings))
    found = stored_differences(kept, range=(0.0, 1.0))
    entries = compare(runs, metrics=headline, by="none")["tasks"][0]["comparisons"]
    assert len(entries) == len(runs) * (len(runs) - 1) // 2
    labels = list(dict.fromkeys([entry[side] for entry in entries for side in ("a", "b")]))
    for entry in entries:
        pair = found.pair(labels.index(entry["a"]), labels.index(entry["b"]))
        assert pair.value
        assert (pair.n_clusters, pair.n_differing) == (entry["clusters"], entry["n_differing"])
        stated = [entry[key] for key in ("difference", "low", "high", "p")]
        assert [pair.value, pair.low, pair.high, pair.p] == pytest.approx(stated, rel=1e-9)
    assert len({pairing["signature"] for pairing in kept}) == 1


def test_runs_are_compared_as_their_rows_would_be(tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", [1, 2, 3] * 8)
    boxes = truth(data)
    more: dict[str, Any] = {"data": str(data), "settings": settings(tmp_path)}
    runs = [
        nb.evaluate("nova_localization", Detector(boxes, hits), out=tmp_path / str(hits), **more)
        for hits in (3, 6, 8)
    ]
    assert_as_compared(runs, "ap50")


def test_lines_that_a_judge_left_out_take_no_part(tmp_path: Path) -> None:
    task = dataclasses.replace(judged(), headline="likeness")
    data = make_set(tmp_path / "set", [1, 2] * 8)

    def made(name: str, unjudged: str, silent: range) -> nb.Run:
        judge = FakeJudge(spoil=lambda request, nth: "I had rather not" if unjudged in request.id else None)
        return judged_runs.run(tmp_path, data, [judge], Terse(silent), task=task, out=tmp_path / name)

    runs = [made("a", "case0005", range(2)), made("b", "case0005", range(8, 15))]
    table = runs[0].scored.table
    pairings = [pairing_of_run(one, resamples=RESAMPLES, seed=0) for one in runs]
    assert all(pairing is not None and pairing["clusters"] == 15 for pairing in pairings)
    assert len(set(table.cluster)) == 16
    assert_as_compared(runs, judged_runs.LIKENESS)
    other = pairing_of_run(made("c", "case0007", range(3)), resamples=RESAMPLES, seed=0)
    with pytest.raises(BundleError, match="of other lines"):
        stored_differences([pairings[0], other], range=(0, 1))  # type: ignore[list-item]
    without = judged_runs.run(tmp_path, data, [], task=task, out=tmp_path / "d")
    assert pairing_of_run(without, resamples=RESAMPLES, seed=0) is None
