"""Times the comparison of groups: 10,000 patients, 4 attributes, 6 metrics (five means and BLEU), 1,000 resamples, 1,999 permutations.

Patients have 1 to 5 questions each; race, ethnicity, language and gender are as uneven as in life, some unknown. BLEU, which has no
formula for its error, is resampled in every group; all else is exact. Budget: 10 s on two cores. Then 1,000, 10,000 and 100,000
patients: time a patient may not grow, memory neither by more than the table itself.

    python benchmarks/fairness_speed.py
    python benchmarks/fairness_speed.py --quick     1,000 and 4,000 patients: shows that it runs
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import resource
import time

import numpy as np
import scipy

from nova_bench.metrics.classification import mean_of
from nova_bench.metrics.generation import BLEU_COLUMNS, bleu4
from nova_bench.stats import compare_models, compare_table
from nova_bench.table import Ragged, Table

ATTRIBUTES: dict[str, dict[str | None, float]] = {
    "race": {"white": 0.77, "black": 0.15, "asian": 0.08},
    "ethnicity": {"non-hispanic": 0.92, "hispanic": 0.04, None: 0.04},
    "language": {"english": 0.92, "spanish": 0.02, "other": 0.03, None: 0.03},
    "gender": {"female": 0.57, "male": 0.43},
}
MEANS = ("token_f1", "exact_match", "rougeL", "meteor", "bertscore")
METRICS = (*(mean_of(name, name) for name in MEANS), bleu4())
BUDGET_SECONDS = 10.0


def answers_table(n_patients: int, seed: int = 0) -> Table:
    """Return a table of 1 to 5 questions a patient, with the columns of six metrics."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n_patients), rng.integers(1, 6, n_patients))
    n = len(patient)
    probability = rng.beta(1.4, 0.93, n_patients)[patient]
    columns: dict[str, np.ndarray | Ragged] = {name: rng.binomial(10, probability) / 10 for name in MEANS}
    length = rng.integers(5, 20, n)
    for order in range(1, 5):
        total = np.maximum(length - order + 1, 0).astype(np.float64)
        columns[f"bleu_total{order}"] = total
        columns[f"bleu_correct{order}"] = np.floor(total * probability**order)
    columns["bleu_sys_len"] = length.astype(np.float64)
    columns["bleu_ref_len"] = rng.integers(5, 20, n).astype(np.float64)
    assert set(BLEU_COLUMNS) <= set(columns)
    groups = {}
    for attribute, shares in ATTRIBUTES.items():
        names = np.array(list(shares), dtype=object)
        groups[attribute] = names[rng.choice(len(names), n_patients, p=list(shares.values()))][patient]
    return Table(
        id=np.array([f"p{p:06d}-q{i:07d}" for i, p in enumerate(patient)], dtype=object),
        cluster=np.array([f"p{p:06d}" for p in patient], dtype=object),
        repeat=np.zeros(n, np.int64),
        status=np.full(n, "ok", dtype=object),
        split=np.full(n, "test", dtype=object),
        groups=groups,
        columns=columns,
    )


def seconds(table: Table) -> float:
    """Return how long the whole comparison takes."""
    began = time.perf_counter()
    compare_table(table, METRICS, list(ATTRIBUTES))
    return time.perf_counter() - began


def memory_mb() -> float:
    """Return the largest memory that this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1,000 and 4,000 patients")
    quick = parser.parse_args().quick
    sizes = (1000, 4000) if quick else (1000, 10_000, 100_000)
    print(
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"SciPy {scipy.__version__}, {os.cpu_count()} cores; {len(ATTRIBUTES)} attributes, {len(METRICS)} metrics"
    )
    compare_table(answers_table(200), METRICS, list(ATTRIBUTES))  # imports and first calls
    print(
        f"{'patients':>9}{'samples':>9}{'seconds':>9}{'ms a patient':>14}{'of linear':>11}{'memory, MB':>12}"
    )
    last = None
    for n in sizes:
        table = answers_table(n)
        took = seconds(table)
        linear = "" if last is None else f"{took / last[1] / (n / last[0]):.2f}"
        print(
            f"{n:>9,}{len(table):>9,}{took:>9.2f}{1000 * took / n:>14.3f}{linear:>11}{memory_mb():>12.0f}",
            flush=True,
        )
        if n == 10_000:
            print(f"budget {BUDGET_SECONDS:.0f} s: {took / BUDGET_SECONDS:.2f} of it")
        last = n, took
    a, b = (compare_table(answers_table(sizes[0], seed), METRICS[:1], ["race"])[0] for seed in (0, 0))
    began = time.perf_counter()
    compare_models(a, b)
    print(
        f"two models, one metric, one attribute, {sizes[0]:,} patients: {time.perf_counter() - began:.2f} s"
    )


if __name__ == "__main__":
    main()
