"""Measures how often the intervals and tests of `nova_bench.stats.compare_groups` are right, by simulation.

Patients have 1 to 5 questions each, whose answers are right with the patient's own probability (beta over patients, so that two
answers about one patient correlate by 0.3). Eight scenarios: shares of the groups 77/15/8 or 50/50 per cent, 300 or 1,000 patients,
all groups equal or a gap of 0.1. Group sizes are the shares, rounded. What the numbers estimate, and are held against:

    group    p_g. The accuracy over all groups is 0.6 in expectation; with a gap the smallest group (the second of two) is 0.1
             below all others, which are equal, such that sum_g share_g p_g = 0.6.
    wmean    sum_g w_g p_g, w_g = n_g / n of this data set's questions: the weights are fixed, as in the product.
    gap      max p - min p: 0 or 0.1. worst: min p. ratio: min p / max p.
    D        wstd and max of p under w_g. FAP: wmean - D. std: over groups, unweighted.
    ES       wmean / (1 + sum_g |p_g - wmean|): the pooled accuracy estimates wmean.
    false    p < .05 where all groups are equal, of accuracy over the first attribute; "right" where there is a gap.
    family   Holm-corrected p < .05 for any of nine tests, where all groups are equal: accuracy, token F1 and pooled F1, which go
             together within a patient, over three attributes (the shares above; 55/45; 70/20/10, at random).

The error of a coverage near .95 is .007 at 1,000 data sets. Average precision has four cells with a quarter of them. Demanded: at
least .92 for group (the worst covered one), wmean, gap, worst, ratio and .90 for FAP and max; the corrected gap's bias within .01 at
a gap of 0.1; false and family at most .07. Exit code 1 where one is missed (with all data sets). The rest is shown.

    python benchmarks/fairness_coverage.py            1,000 data sets a scenario, some eight minutes on two cores of their own
    python benchmarks/fairness_coverage.py --quick    12 data sets: shows that it runs, not what the coverage is
"""

from __future__ import annotations

import argparse
import datetime
import math
import multiprocessing.pool
import os
import platform
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy

from nova_bench.metrics.classification import mean_of, ratio_of
from nova_bench.metrics.detection import average_precision
from nova_bench.stats import Bounded, Comparison, compare_groups, compare_table, holm
from nova_bench.table import Ragged, Table

SEED = 20250917
"""Fixed in the first commit of this file."""
ACCURACY = 0.6
CORRELATION = 0.3
GAP = 0.1
METRICS = (
    mean_of("right", "accuracy"),
    mean_of("token_f1", "token_f1"),
    ratio_of("above", "below", "pooled_f1"),
)
PRINTED = ("group", "wmean", "gap", "worst", "ratio", "FAP", "FAP(max)", "max", "std", "wstd", "ES")
DEMANDED = dict.fromkeys(("group", "wmean", "gap", "worst", "ratio"), 0.92) | dict.fromkeys(
    ("FAP", "FAP(max)", "max"), 0.90
)


@dataclass(frozen=True)
class Scenario:
    """One cell of the table."""

    shares: tuple[float, ...]
    patients: int
    gap: float
    metric: str = "accuracy"

    @property
    def name(self) -> str:
        """Shares, patients and gap."""
        return f"{'/'.join(f'{100 * share:.0f}' for share in self.shares)}, {self.patients:,}, {self.gap:g}"

    @property
    def sizes(self) -> list[int]:
        """Patients a group."""
        return [round(share * self.patients) for share in self.shares]

    @property
    def truth(self) -> np.ndarray:
        """Float array (G,), p_g."""
        below = np.zeros(len(self.shares))
        below[-1] = self.gap
        return ACCURACY + self.gap * self.shares[-1] - below


SCENARIOS = tuple(
    Scenario(shares, patients, gap)
    for shares in ((0.77, 0.15, 0.08), (0.5, 0.5))
    for patients in (300, 1000)
    for gap in (0.0, GAP)
)
DETECTION = tuple(
    Scenario(shares, 300, gap, "ap50") for shares in ((0.77, 0.15, 0.08), (0.5, 0.5)) for gap in (0.0, GAP)
)


class Outcome(NamedTuple):
    """What one data set gave."""

    covered: dict[str, bool]
    width: dict[str, float]
    bias: dict[str, float]
    """Raw and corrected gap and FAP, less the truth; and the floor of the gap."""
    p_value: float
    smallest_holm: float


def main() -> int:
    """Print the tables; return 1 where something demanded was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="12 data sets a scenario instead of 1,000")
    parser.add_argument("--data-sets", type=int, help="how many instead")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    data_sets = given.data_sets or (12 if given.quick else 1000)
    began = time.perf_counter()
    print(
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"SciPy {scipy.__version__}; {data_sets} data sets a scenario, seed {SEED}, nominal coverage .95"
    )
    os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1"))  # read by the children
    with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
        missed = _accuracy(pool, data_sets)
        _detection(pool, max(4, data_sets // 4))
    print(f"{time.perf_counter() - began:.0f} s on {given.processes} processes")
    if data_sets < 1000:
        return 0
    for line in missed:
        print("missed:", line)
    return 1 if missed else 0


def _accuracy(pool: multiprocessing.pool.Pool, data_sets: int) -> list[str]:
    """Print the eight scenarios; return what was missed."""
    missed = []
    print(f"\n{'coverage':<22}" + "".join(f"{name:>9}" for name in PRINTED))
    cells = []
    for scenario in SCENARIOS:
        cell = summarise(pool.starmap(simulate, [(scenario, i) for i in range(data_sets)], chunksize=4))
        cells.append((scenario, cell))
        print(
            f"{scenario.name:<22}" + "".join(f"{cell['covered'][name]:>9.3f}" for name in PRINTED), flush=True
        )
        missed += [
            f"{scenario.name}: {name} {cell['covered'][name]:.3f}, expected at least {least}"
            for name, least in DEMANDED.items()
            if cell["covered"][name] < least
        ]
    print(f"\n{'width':<22}" + "".join(f"{name:>9}" for name in PRINTED))
    for scenario, cell in cells:
        print(f"{scenario.name:<22}" + "".join(f"{cell['width'][name]:>9.3f}" for name in PRINTED))
    names = (
        "gap raw",
        "gap corr.",
        "floor",
        "FAP raw",
        "FAP corr.",
        "std raw",
        "std corr.",
        "ES raw",
        "ES corr.",
    )
    print(
        f"\n{'bias (floor: mean)':<22}"
        + "".join(f"{name:>10}" for name in names)
        + "     false/right    family"
    )
    for scenario, cell in cells:
        rate = f"{cell['rejected']:.3f} {'false' if scenario.gap == 0 else 'right'}"
        family = f"{cell['family']:.3f}" if scenario.gap == 0 else ""
        print(
            f"{scenario.name:<22}"
            + "".join(f"{cell['bias'][name]:>+10.3f}" for name in names)
            + f"{rate:>16}{family:>10}"
        )
        if scenario.gap and abs(cell["bias"]["gap corr."]) > 0.01:
            missed.append(
                f"{scenario.name}: bias of the corrected gap {cell['bias']['gap corr.']:+.4f}, at most .01"
            )
        if not scenario.gap:
            missed += [
                f"{scenario.name}: {what} {cell[key]:.3f}, at most .07"
                for what, key in (("false alarms", "rejected"), ("family error", "family"))
                if cell[key] > 0.07
            ]
    return missed


def _detection(pool: multiprocessing.pool.Pool, data_sets: int) -> None:
    """Print the cells of average precision."""
    print(
        f"\nap50, {data_sets} data sets (reported, not demanded); gap: of the patients' probabilities to find a box"
    )
    printed = [name for name in PRINTED if name not in ("ES", "FAP(max)", "max")]
    print(f"{'coverage':<22}" + "".join(f"{name:>9}" for name in printed) + "     false/right")
    for scenario in DETECTION:
        truth = pool.map(true_average_precision, sorted(set(scenario.truth.tolist())))
        targets = [truth[sorted(set(scenario.truth.tolist())).index(p)] for p in scenario.truth.tolist()]
        cell = summarise(
            pool.starmap(simulate_detection, [(scenario, i, targets) for i in range(data_sets)], chunksize=2)
        )
        rate = f"{cell['rejected']:.3f} {'false' if scenario.gap == 0 else 'right'}"
        print(
            f"{scenario.name:<22}"
            + "".join(f"{cell['covered'][name]:>9.3f}" for name in printed)
            + f"{rate:>16}",
            flush=True,
        )


def simulate(scenario: Scenario, i: int) -> Outcome:
    """Return what the product says of one data set, against the truth."""
    rng = np.random.default_rng([SEED, SCENARIOS.index(scenario), i])
    table = accuracy_table(rng, scenario)
    if scenario.gap == 0:
        made = compare_table(table, METRICS, ("first", "second", "third"))
        found = made[0]
        smallest = min(p for p in holm([each.p_value for each in made]) if p is not None)
    else:
        found, smallest = compare_groups(table, METRICS[0], "first"), math.nan
    largest = compare_groups(table, METRICS[0], "first", deviation="max", permutations=0)
    return outcome(
        found, largest, dict(zip(group_names(scenario), scenario.truth.tolist(), strict=True)), smallest
    )


def simulate_detection(scenario: Scenario, i: int, truth: list[float]) -> Outcome:
    """Return the same for average precision."""
    rng = np.random.default_rng([SEED, 100 + DETECTION.index(scenario), i])
    found = compare_groups(
        detection_table(rng, scenario.truth, scenario.sizes), average_precision(0.5), "first"
    )
    return outcome(found, found, dict(zip(group_names(scenario), truth, strict=True)), math.nan)


def outcome(found: Comparison, largest: Comparison, truth: dict[str, float], smallest_holm: float) -> Outcome:
    """Hold a comparison against the truth of its groups.

    Args:
        found: With the default deviation.
        largest: With ``deviation="max"``.
        truth: Group to p_g.
        smallest_holm: The smallest corrected p-value of the family.
    """
    groups = [group for group in found.groups if group.included]
    assert len(groups) == len(truth)
    p = np.array([truth[str(group.name)] for group in groups])
    w = np.array([group.n for group in groups]) / sum(group.n for group in groups)
    mean = float(w @ p)
    wstd, most = math.sqrt(float(w @ (p - mean) ** 2)), float(np.abs(p - mean).max())
    pairs = {
        "wmean": (found.wmean, mean),
        "gap": (found.gap, float(p.max() - p.min())),
        "worst": (found.worst, float(p.min())),
        "ratio": (found.ratio, float(p.min() / p.max())),
        "FAP": (found.fap, mean - wstd),
        "FAP(max)": (largest.fap, mean - most),
        "max": (largest.deviation, most),
        "std": (found.std, float(p.std())),
        "wstd": (found.deviation, wstd),
        "ES": (found.es, mean / (1 + float(np.abs(p - mean).sum()))),
    }
    covered = {name: covers(bounded, target) for name, (bounded, target) in pairs.items()}
    width = {name: float(bounded.high or 0) - float(bounded.low or 0) for name, (bounded, _) in pairs.items()}
    for group in groups:
        assert group.low is not None
        assert group.high is not None
        covered[f"group {group.name}"] = group.low <= truth[str(group.name)] <= group.high
        width[f"group {group.name}"] = group.high - group.low
    bias = {"floor": float(found.gap.floor or 0)}
    for name in ("gap", "FAP", "std", "ES"):
        bounded, target = pairs[name]
        assert bounded.value is not None
        bias[f"{name} raw"] = bounded.value - target
        bias[f"{name} corr."] = math.nan if bounded.corrected is None else bounded.corrected - target
    return Outcome(covered, width, bias, 1.0 if found.p_value is None else found.p_value, smallest_holm)


def covers(bounded: Bounded, target: float) -> bool:
    """Return whether an interval holds the truth; none does not."""
    low, high = bounded.low, bounded.high
    return low is not None and high is not None and low - 1e-9 <= target <= high + 1e-9


def summarise(outcomes: Iterable[Outcome]) -> dict[str, dict[str, float] | float]:
    """Return shares and means over data sets; "group" is that of the group covered worst."""
    listed = list(outcomes)

    def means(each: list[dict[str, float]] | list[dict[str, bool]]) -> dict[str, float]:
        return {name: float(np.mean([one[name] for one in each])) for name in each[0]}

    covered, width = (means([getattr(each, which) for each in listed]) for which in ("covered", "width"))
    worst = min((name for name in covered if name.startswith("group ")), key=lambda name: covered[name])
    covered["group"], width["group"] = covered[worst], width[worst]
    return {
        "covered": covered,
        "width": width,
        "bias": means([each.bias for each in listed]),
        "rejected": float(np.mean([each.p_value < 0.05 for each in listed])),
        "family": float(np.mean([each.smallest_holm < 0.05 for each in listed])),
    }


def group_names(scenario: Scenario) -> list[str]:
    """Return the groups' names, in the order of the shares."""
    return [f"g{i}" for i in range(len(scenario.shares))]


def beta(rng: np.random.Generator, mean: np.ndarray) -> np.ndarray:
    """Return each patient's probability, so that two draws with it correlate by `CORRELATION`."""
    spread = (1 - CORRELATION) / CORRELATION
    return rng.beta(mean * spread, (1 - mean) * spread)


def table_of(
    rng: np.random.Generator, group: np.ndarray, patient: np.ndarray, columns: dict[str, np.ndarray | Ragged]
) -> Table:
    """Return a table of questions about patients, with three attributes.

    Args:
        rng: Draws the second and third attribute.
        group: int array (patients,), the first attribute.
        patient: int array (n,), the patient of each question.
        columns: Of the table.
    """
    n, c = len(patient), len(group)
    words = np.array([f"g{i}" for i in range(5)], dtype=object)
    drawn = {
        "first": group,
        "second": rng.choice(2, c, p=(0.55, 0.45)),
        "third": rng.choice(3, c, p=(0.7, 0.2, 0.1)),
    }
    return Table(
        id=np.array([f"{i:06d}" for i in range(n)], dtype=object),
        cluster=np.array([f"{i:05d}" for i in patient], dtype=object),
        repeat=np.zeros(n, np.int64),
        status=np.full(n, "ok", dtype=object),
        split=np.full(n, "test", dtype=object),
        groups={name: words[codes][patient] for name, codes in drawn.items()},
        columns=columns,
    )


def accuracy_table(rng: np.random.Generator, scenario: Scenario) -> Table:
    """Return right and wrong answers, token F1 in tenths, and counts of findings, all with the patient's probability."""
    group = np.repeat(np.arange(len(scenario.shares)), scenario.sizes)
    patient = np.repeat(np.arange(len(group)), rng.integers(1, 6, len(group)))
    probability = beta(rng, scenario.truth[group])[patient]
    n_true = rng.integers(1, 7, len(patient))
    found, false = rng.binomial(n_true, probability), rng.binomial(n_true, 1 - probability)
    return table_of(
        rng,
        group,
        patient,
        {
            "right": (rng.random(len(patient)) < probability).astype(np.float64),
            "token_f1": rng.binomial(10, probability) / 10,
            "above": 2.0 * found,
            "below": (found + false + n_true).astype(np.float64),
        },
    )


def detection_table(rng: np.random.Generator, truth: np.ndarray, sizes: list[int]) -> Table:
    """Return images with 1 or 2 true boxes, found with the patient's probability, and one false box on average."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    patient = np.repeat(np.arange(len(group)), rng.integers(1, 4, len(group)))
    probability = beta(rng, truth[group])[patient]
    n = len(patient)
    n_true = rng.integers(1, 3, n)
    n_found, n_false = rng.binomial(n_true, probability), rng.poisson(1.0, n)
    line = np.concatenate([np.repeat(np.arange(n), n_found), np.repeat(np.arange(n), n_false)])
    hit = np.arange(len(line)) < n_found.sum()
    score = rng.normal(size=len(line)) + hit
    order = np.lexsort((-score, line))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(line, minlength=n))])
    return table_of(
        rng,
        group,
        patient,
        {
            "n_true": n_true.astype(np.float64),
            "det_score": Ragged(score[order], offsets),
            "det_hit": Ragged(np.repeat(hit[order][:, None], 11, axis=1), offsets),
        },
    )


def true_average_precision(probability: float) -> float:
    """Return the AP of 60,000 patients with one mean probability, which is what a group's AP estimates."""
    table = detection_table(np.random.default_rng([SEED, 1]), np.array([probability]), [60_000])
    return float(average_precision(0.5).compute(table, table.ones())[0])


if __name__ == "__main__":
    sys.exit(main())
