"""Measures how often the paired comparison of two models over groups is right, by simulation.

Both models answer the same questions about the same patients (1 to 5 each, correlation within a patient 0.3, and what is hard for one
model is hard for the other: a patient's probabilities under both are the same quantile of their two beta distributions). Truths as in
``fairness_coverage.py``: weights of the data set, accuracies p_g of each model; a difference is the second model's number less the
first's. "rejects" is how often the test of "the difference is the same in every group" has p < .05: a false alarm where both models
have the same gaps in the same groups, else the power. Nothing here is demanded by an issue; the coverage is for the docs.

    python benchmarks/fairness_paired_coverage.py            1,000 data sets a scenario
    python benchmarks/fairness_paired_coverage.py --quick    12 data sets: shows that it runs
"""

from __future__ import annotations

import argparse
import datetime
import math
import multiprocessing.pool
import os
import platform
import time
from dataclasses import dataclass

import numpy as np
import scipy
import scipy.special

from nova_bench.metrics.classification import mean_of
from nova_bench.stats import Bounded, compare_groups, compare_models
from nova_bench.table import Table

SEED = 20250918
"""Fixed in the first commit of this file."""
CORRELATION = 0.3
ACCURACY = mean_of("right", "accuracy")
PRINTED = ("overall", "gap", "worst", "wstd", "FAP", "ES", "max")


@dataclass(frozen=True)
class Scenario:
    """Shares of the groups, patients, and the accuracies of both models in each group."""

    name: str
    shares: tuple[float, ...]
    patients: int
    first: tuple[float, ...]
    second: tuple[float, ...]


SCENARIOS = (
    Scenario("both fair", (0.77, 0.15, 0.08), 1000, (0.6, 0.6, 0.6), (0.6, 0.6, 0.6)),
    Scenario("both fair, one better", (0.77, 0.15, 0.08), 1000, (0.6, 0.6, 0.6), (0.7, 0.7, 0.7)),
    Scenario("same gap", (0.77, 0.15, 0.08), 1000, (0.61, 0.61, 0.51), (0.61, 0.61, 0.51)),
    Scenario("gap .1 and none", (0.77, 0.15, 0.08), 1000, (0.61, 0.61, 0.51), (0.6, 0.6, 0.6)),
    Scenario("gaps in other groups", (0.77, 0.15, 0.08), 1000, (0.61, 0.61, 0.51), (0.61, 0.51, 0.61)),
    Scenario("both fair, halves", (0.5, 0.5), 300, (0.6, 0.6), (0.6, 0.6)),
    Scenario("gap .1 and none, halves", (0.5, 0.5), 300, (0.65, 0.55), (0.6, 0.6)),
    Scenario("opposite gaps, halves", (0.5, 0.5), 300, (0.65, 0.55), (0.55, 0.65)),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="12 data sets a scenario instead of 1,000")
    parser.add_argument("--data-sets", type=int, help="how many instead")
    given = parser.parse_args()
    data_sets = given.data_sets or (12 if given.quick else 1000)
    began = time.perf_counter()
    print(
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"SciPy {scipy.__version__}; {data_sets} data sets a scenario, seed {SEED}, nominal coverage .95"
    )
    print(f"{'coverage':<26}" + "".join(f"{name:>9}" for name in PRINTED) + f"{'rejects':>9}")
    os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1"))  # read by the children
    with multiprocessing.get_context("spawn").Pool() as pool:
        for scenario in SCENARIOS:
            found = pool.starmap(simulate, [(scenario, i) for i in range(data_sets)], chunksize=4)
            covered = [float(np.mean([each[0][name] for each in found])) for name in PRINTED]
            rejects = float(np.mean([each[1] < 0.05 for each in found]))
            print(
                f"{scenario.name:<26}" + "".join(f"{share:>9.3f}" for share in covered) + f"{rejects:>9.3f}",
                flush=True,
            )
    print(f"{time.perf_counter() - began:.0f} s")


def simulate(scenario: Scenario, i: int) -> tuple[dict[str, bool], float]:
    """Return which intervals hold the truth in one data set, and the test's p-value."""
    rng = np.random.default_rng([SEED, SCENARIOS.index(scenario), i])
    tables = two_models(rng, scenario)
    a, b = (compare_groups(table, ACCURACY, "group", permutations=499) for table in tables)
    largest = [compare_groups(table, ACCURACY, "group", deviation="max", permutations=0) for table in tables]
    found = compare_models(a, b)
    n = {str(group.name): group.n for group in a.groups}
    w = np.array([n[f"g{g}"] for g in range(len(scenario.shares))], dtype=float)
    truth_a, truth_b = (numbers(w / w.sum(), np.array(each)) for each in (scenario.first, scenario.second))
    truth = {name: truth_b[name] - truth_a[name] for name in PRINTED}
    pairs = {
        "overall": found.overall,
        "gap": found.gap,
        "worst": found.worst,
        "wstd": found.deviation,
        "FAP": found.fap,
        "ES": found.es,
        "max": compare_models(*largest).deviation,
    }
    p = 1.0 if found.interaction_p is None else found.interaction_p
    return {name: covers(bounded, truth[name]) for name, bounded in pairs.items()}, p


def numbers(w: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """Return what a model's numbers estimate, from weights and accuracies of its groups."""
    mean = float(w @ p)
    wstd = math.sqrt(float(w @ (p - mean) ** 2))
    return {
        "overall": mean,
        "gap": float(p.max() - p.min()),
        "worst": float(p.min()),
        "wstd": wstd,
        "FAP": mean - wstd,
        "ES": mean / (1 + float(np.abs(p - mean).sum())),
        "max": float(np.abs(p - mean).max()),
    }


def covers(bounded: Bounded, target: float) -> bool:
    """Return whether an interval holds the truth; none does not."""
    if bounded.low is None or bounded.high is None:
        return False
    return bounded.low - 1e-9 <= target <= bounded.high + 1e-9


def two_models(rng: np.random.Generator, scenario: Scenario) -> tuple[Table, Table]:
    """Return the answers of both models, right or wrong, in the column ``right``."""
    sizes = [round(share * scenario.patients) for share in scenario.shares]
    group = np.repeat(np.arange(len(sizes)), sizes)
    patient = np.repeat(np.arange(len(group)), rng.integers(1, 6, len(group)))
    ease = rng.random(len(group))
    words = np.array([f"g{g}" for g in range(len(sizes))], dtype=object)
    tables = []
    spread = (1 - CORRELATION) / CORRELATION
    for accuracies in (scenario.first, scenario.second):
        p = np.array(accuracies)[group]
        probability = scipy.special.betaincinv(p * spread, (1 - p) * spread, ease)
        n = len(patient)
        tables.append(
            Table(
                id=np.array([f"{i:06d}" for i in range(n)], dtype=object),
                cluster=np.array([f"{i:05d}" for i in patient], dtype=object),
                repeat=np.zeros(n, np.int64),
                status=np.full(n, "ok", dtype=object),
                split=np.full(n, "test", dtype=object),
                groups={"group": words[group][patient]},
                columns={"right": (rng.random(n) < probability[patient]).astype(np.float64)},
            )
        )
    return tables[0], tables[1]


if __name__ == "__main__":
    main()
