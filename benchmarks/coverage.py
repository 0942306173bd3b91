"""Measures how often the intervals of `nova_bench.stats` cover the truth, by simulation.

Patients have 1 to 5 questions (or 1 to 3 images) each, which resemble each other (intra-patient correlation 0.3). Every cell
draws data sets, computes the interval of each with the public functions, and counts. Beside it stands the percentile bootstrap,
which is what most codes print. The error of a coverage near .95 is .007 at 1,000 data sets: look at cells, not at their minimum.

    python benchmarks/coverage.py            1,000 data sets a cell, some three minutes
    python benchmarks/coverage.py --quick    60 data sets a cell, some seconds: shows that it runs, not what the coverage is
"""

from __future__ import annotations

import argparse
import datetime
import platform
import time
from collections.abc import Callable

import numpy as np
import scipy

from nova_bench.metrics.detection import average_precision
from nova_bench.stats import estimate, model_difference, resampling_weights
from nova_bench.table import Ragged, Table
from nova_bench.types import Metric

CORRELATION = 0.3


def mean_metric(range: tuple[float, float] | None = (0.0, 1.0)) -> Metric:
    """Return the mean of the column ``score``."""
    return Metric(
        name="mean",
        needs=("score",),
        compute=lambda table, weights: (weights @ table["score"]) / weights.sum(axis=1),
        sums=lambda table: (table["score"], np.ones(len(table))),
        range=range,
    )


def pooled_f1() -> Metric:
    """Return 2 TP / (2 TP + FP + FN) over all lines."""
    return Metric(
        name="f1",
        needs=("above", "below"),
        compute=lambda table, weights: (weights @ table["above"]) / (weights @ table["below"]),
        sums=lambda table: (table["above"], table["below"]),
    )


def clustered_table(cluster: np.ndarray, columns: dict[str, np.ndarray | Ragged]) -> Table:
    """Return a table whose lines belong to the clusters that int array (n,) `cluster` names."""
    n = len(cluster)
    return Table(
        id=np.array([f"{i:07d}" for i in range(n)], dtype=object),
        cluster=np.array([f"{i:07d}" for i in cluster], dtype=object),
        repeat=np.zeros(n, np.int64),
        status=np.full(n, "ok", dtype=object),
        split=np.full(n, "test", dtype=object),
        groups={},
        columns=columns,
    )


def patients(
    rng: np.random.Generator, n_clusters: int, mean: float, most: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Return each line's cluster and probability: beta over patients, so that a patient's lines correlate by `CORRELATION`."""
    cluster = np.repeat(np.arange(n_clusters), rng.integers(1, most + 1, n_clusters))
    spread = (1 - CORRELATION) / CORRELATION
    return cluster, rng.beta(mean * spread, (1 - mean) * spread, n_clusters)[cluster]


def binary_table(rng: np.random.Generator, n_clusters: int, mean: float) -> Table:
    """Return right and wrong answers in the column ``score``."""
    cluster, probability = patients(rng, n_clusters, mean)
    return clustered_table(cluster, {"score": (rng.random(len(cluster)) < probability).astype(np.float64)})


def token_f1_table(rng: np.random.Generator, n_clusters: int, mean: float) -> Table:
    """Return scores between 0 and 1 in steps of a tenth, as token F1 gives them."""
    cluster, probability = patients(rng, n_clusters, mean)
    return clustered_table(cluster, {"score": rng.binomial(10, probability) / 10})


def pooled_f1_table(rng: np.random.Generator, n_clusters: int, mean: float) -> Table:
    """Return 1 to 6 findings a line, found with the patient's probability; on average as many false ones as are missed."""
    cluster, probability = patients(rng, n_clusters, mean)
    n_true = rng.integers(1, 7, len(cluster))
    found = rng.binomial(n_true, probability)
    false = rng.binomial(n_true, 1 - probability)
    return clustered_table(
        cluster, {"above": 2.0 * found, "below": (found + false + n_true).astype(np.float64)}
    )


def unbounded_table(rng: np.random.Generator, n_clusters: int, mean: float) -> Table:
    """Return an unbounded score, half of whose variance lies between patients."""
    cluster, _ = patients(rng, n_clusters, 0.5)
    return clustered_table(
        cluster, {"score": mean + rng.normal(size=n_clusters)[cluster] + rng.normal(size=len(cluster))}
    )


def detection_table(rng: np.random.Generator, n_clusters: int, mean: float) -> Table:
    """Return images with 1 or 2 true boxes, found with the patient's probability, and one false box on average."""
    cluster, probability = patients(rng, n_clusters, mean, most=3)
    n = len(cluster)
    n_true = rng.integers(1, 3, n)
    n_found, n_false = rng.binomial(n_true, probability), rng.poisson(1.0, n)
    line = np.concatenate([np.repeat(np.arange(n), n_found), np.repeat(np.arange(n), n_false)])
    hit = np.arange(len(line)) < n_found.sum()
    score = rng.normal(size=len(line)) + hit
    order = np.lexsort((-score, line))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(line, minlength=n))])
    columns: dict[str, np.ndarray | Ragged] = {
        "n_true": n_true.astype(np.float64),
        "det_score": Ragged(score[order], offsets),
        "det_hit": Ragged(np.repeat(hit[order][:, None], 11, axis=1), offsets),
    }
    return clustered_table(cluster, columns)


def paired_tables(
    rng: np.random.Generator, n_clusters: int, mean: float, independent: bool = True
) -> tuple[Table, Table]:
    """Return two models' answers to the same questions, the second better by 0.2 (1 - mean).

    Both fail at the same patients, independently question by question; or, not `independent`, the second gets right all that the
    first does and a fifth of the rest, so that few patients tell them apart and all in one direction.
    """
    cluster, probability = patients(rng, n_clusters, mean)
    first = rng.random(len(cluster)) < probability
    again = rng.random(len(cluster)) < probability if independent else first
    second = again | (rng.random(len(cluster)) < 0.2)
    first_table = clustered_table(cluster, {"score": first.astype(np.float64)})
    return first_table, clustered_table(cluster, {"score": second.astype(np.float64)})


def coverage(
    draw: Callable[[np.random.Generator, int, float], Table],
    metric: Metric,
    truth: float,
    *,
    mean: float,
    n_clusters: int,
    data_sets: int,
    resamples: int = 1000,
    seed: int = 0,
    percentile: bool = False,
) -> dict[str, float]:
    """Return the share of intervals that cover `truth`, their mean width, the value's bias and, if asked, the percentile's."""
    rng = np.random.default_rng([seed, n_clusters, round(1000 * mean)])
    weights = resampling_weights(n_clusters, resamples=resamples)
    covered, width, bias, covered_percentile = [], [], [], []
    for _ in range(data_sets):
        table = draw(rng, n_clusters, mean)
        value, _, low, high, *_ = estimate(table, metric, weights=weights)
        assert value is not None  # all cells have at least 8 clusters
        assert low is not None
        assert high is not None
        covered.append(low <= truth <= high)
        width.append(high - low)
        bias.append(value - truth)
        if percentile:
            codes, _ = table.cluster_codes()
            ends = np.quantile(metric.compute(table, weights[:, codes].astype(np.float64)), (0.025, 0.975))
            covered_percentile.append(ends[0] <= truth <= ends[1])
    found = {
        "coverage": float(np.mean(covered)),
        "width": float(np.mean(width)),
        "bias": float(np.mean(bias)),
    }
    return {**found, "percentile": float(np.mean(covered_percentile))} if percentile else found


def paired_coverage(
    *, mean: float, n_clusters: int, data_sets: int, independent: bool = True, seed: int = 0
) -> dict[str, float]:
    """Return the same for the paired difference of two accuracies."""
    rng = np.random.default_rng([seed, n_clusters, round(1000 * mean)])
    truth, metric = 0.2 * (1 - mean), mean_metric()
    covered, width, bias = [], [], []
    for _ in range(data_sets):
        value, _, low, high, *_ = model_difference(*paired_tables(rng, n_clusters, mean, independent), metric)
        assert value is not None  # all cells have at least 8 clusters
        assert low is not None
        assert high is not None
        covered.append(low <= truth <= high)
        width.append(high - low)
        bias.append(value - truth)
    return {"coverage": float(np.mean(covered)), "width": float(np.mean(width)), "bias": float(np.mean(bias))}


def true_average_precision(metric: Metric, mean: float) -> float:
    """Return the AP of 100,000 patients, which is what a data set's AP estimates."""
    table = detection_table(np.random.default_rng(1), 100_000, mean)
    return float(metric.compute(table, table.ones())[0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="60 data sets a cell instead of 1,000")
    quick = parser.parse_args().quick
    data_sets = 60 if quick else 1000
    began = time.perf_counter()
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}"
    print(
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {versions}; {data_sets} data sets a cell, nominal coverage .95"
    )
    print(
        f"{'metric':<12}{'truth':>7}{'patients':>10}{'coverage':>10}{'percentile':>12}{'width':>8}{'bias':>8}"
    )

    def line(name: str, truth: float, n_clusters: int, found: dict[str, float]) -> None:
        percentile = f"{found['percentile']:>12.3f}" if "percentile" in found else " " * 12
        rest = f"{found['width']:>8.3f}{found['bias']:>+8.3f}"
        print(
            f"{name:<12}{truth:>7.3f}{n_clusters:>10}{found['coverage']:>10.3f}{percentile}{rest}", flush=True
        )

    sizes = (8, 20, 50, 200)
    ratios = (
        ("accuracy", binary_table, mean_metric(), (0.3, 0.6, 0.9, 0.97)),
        ("token F1", token_f1_table, mean_metric(), (0.6, 0.9)),
        ("pooled F1", pooled_f1_table, pooled_f1(), (0.6, 0.9)),
        ("unbounded", unbounded_table, mean_metric(None), (0.0,)),
    )
    for name, draw, metric, means in ratios:
        for mean in means:
            for c in sizes:
                line(
                    name,
                    mean,
                    c,
                    coverage(
                        draw, metric, mean, mean=mean, n_clusters=c, data_sets=data_sets, percentile=True
                    ),
                )
    ap50 = average_precision(0.5)
    for mean in (0.5,) if quick else (0.5, 0.9):
        truth = true_average_precision(ap50, mean)
        for c in (10, 20, 60):
            found = coverage(
                detection_table, ap50, truth, mean=mean, n_clusters=c, data_sets=data_sets, percentile=True
            )
            line("ap50", truth, c, found)
    for independent, name in ((True, "difference"), (False, "one-sided")):
        for mean in (0.6, 0.9):
            for c in sizes:
                found = paired_coverage(mean=mean, n_clusters=c, data_sets=data_sets, independent=independent)
                line(name, 0.2 * (1 - mean), c, found)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
