"""The classical baseline reads the picture: it beats guessing, and some lesions defeat it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import nova_bench as nb
from nova_bench.stats import model_difference

MINI = Path(__file__).parent.parent / "tasks" / "data" / "nova_mini"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, nb.Run]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: nb.evaluate("nova_localization", name, data="mini", out=folder / name)
        for name in ("symmetry", "prior")
    }


def test_symmetry_scores_between_chance_and_perfection(runs: dict[str, nb.Run]) -> None:
    (cell,) = [cell for cell in runs["symmetry"].cells() if cell.metric == "ap50" and cell.slice == "all"]
    assert cell.value is not None
    assert 0.1 <= cell.value <= 0.7
    assert cell.n_failed == 0


def test_symmetry_beats_prior_in_a_paired_cluster_bootstrap(runs: dict[str, nb.Run]) -> None:
    metric = next(metric for metric in runs["prior"].plan.task.metrics if metric.name == "ap50")
    found = model_difference(runs["prior"].scored.table, runs["symmetry"].scored.table, metric)
    assert found.low is not None
    assert found.low > 0


def test_at_least_two_kinds_of_lesion_defeat_symmetry(runs: dict[str, nb.Run]) -> None:
    rows = pq.read_table(MINI / "data" / "nova-v1.parquet").to_pylist()
    kinds = {row["filename"]: row["meta"]["lesion_kind"] for row in rows}
    found: dict[str, list[float]] = defaultdict(list)
    table = runs["symmetry"].scored.table
    for name, n_true, hits in zip(table.id, table["n_true"], table["tp50"], strict=True):
        if n_true:
            found[kinds[name]].append(hits)
    assert sum(sum(hits) == 0 for hits in found.values()) >= 2
    assert any(sum(hits) > 0 for hits in found.values())


def test_prior_answers_alike_whatever_it_is_shown(runs: dict[str, nb.Run], tmp_path: Path) -> None:
    blind = nb.evaluate("nova_localization@image=none", "prior", data="mini", out=tmp_path / "blind")
    assert blind.scored.table["n_true"].sum() == runs["prior"].scored.table["n_true"].sum()
    assert (
        blind.scored.table.ragged("det_hit").values.tolist()
        == runs["prior"].scored.table.ragged("det_hit").values.tolist()
    )
