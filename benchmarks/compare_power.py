"""Measures the comparison of two models by simulation: false alarms, coverage, and the power where the formula says 80%.

Both models answer the same questions: 1 to 5 about each patient (1 to 3 images for AP50), whose answers resemble each other (correlation
0.3). A share of the second model's answers is taken over from the first (``agree``), the rest is drawn anew with the patient's probability.
Then the second model gains: it gets a share of what it would fail right after all, and the truth is known (of pooled F1 and AP50: measured on
200,000 and 50,000 patients). Without a gain a difference that is told is a false alarm; the gain of the power is the one at which the truth is the
mean of ``detectable`` over pairs that have it, so that the formula says 80%. Beside the chosen method stands +- t s.

    python benchmarks/compare_power.py            2,000 pairs a setting, some minutes on one core
    python benchmarks/compare_power.py --quick    100 pairs a setting, under half a minute: shows that it runs
"""

from __future__ import annotations

import argparse
import datetime
import platform
import time
from dataclasses import dataclass, replace

import numpy as np
import scipy
import scipy.special

from nova_bench.metrics.classification import mean_of, ratio_of
from nova_bench.metrics.detection import average_precision
from nova_bench.stats import (
    differences,
    model_difference,
    ranks,
    resampling_weights,
)
from nova_bench.table import Ragged, Table
from nova_bench.types import Metric

SEED = 20261130
"""Fixed in the first commit of this file."""
CORRELATION = 0.3
RESAMPLES = 300
"""Of AP50, which has no formula for its error; the command takes 1,000."""
SHARED = 20
"""Pairs in a row that have the same patients with the same numbers of questions: making their names takes longest."""
MOST = 0.75
"""With more of what fails put right the second model stands at the end of the range: hardly a failure is left to it."""
METRICS = {
    "accuracy": mean_of("score", "accuracy"),
    "token F1": mean_of("score", "token_f1"),
    "pooled F1": ratio_of("above", "below", "f1"),
    "AP50": average_precision(0.5),
}


@dataclass(frozen=True)
class Setting:
    """What is simulated.

    Attributes:
        kind: One of `METRICS`.
        patients: How many.
        mean: The probability of being right.
        agree: The share of answers that both models have in common by construction.
    """

    kind: str
    patients: int
    mean: float
    agree: float = 0.0

    @property
    def metric(self) -> Metric:
        """What is compared."""
        return METRICS[self.kind]


@dataclass(frozen=True)
class Found:
    """What the pairs of a setting show.

    Attributes:
        truth: The difference that there is.
        told: Share of pairs with p < .05: false alarms where the truth is 0, else the power.
        covered: Share of intervals that hold the truth.
        covered_t: The same of +- t s.
        told_t: Share of these that leave out 0.
        detectable: Mean of what is called detectable.
        differing: Mean number of patients in which the models differ.
        width: Mean width of the interval.
    """

    truth: float
    told: float
    covered: float
    covered_t: float
    told_t: float
    detectable: float
    differing: float
    width: float


SETTINGS = (
    *(
        Setting("accuracy", patients, mean)
        for patients in (20, 50, 200, 1000)
        for mean in (0.3, 0.6, 0.9)
        if (patients, mean) != (1000, 0.3)
    ),
    Setting("accuracy", 50, 0.6, 0.6),
    Setting("accuracy", 200, 0.6, 0.6),
    Setting("accuracy", 200, 0.9, 0.9),
    Setting("accuracy", 200, 0.6, 0.97),
    Setting("accuracy", 1000, 0.6, 0.97),
    Setting("token F1", 20, 0.6),
    Setting("token F1", 200, 0.9, 0.6),
    Setting("pooled F1", 20, 0.6),
    Setting("pooled F1", 200, 0.6, 0.6),
    Setting("AP50", 20, 0.6),
    Setting("AP50", 60, 0.6, 0.6),
    Setting("AP50", 200, 0.6),
)
ONE_SIDED = tuple(
    (Setting("accuracy", patients, mean, 1.0), gain)
    for patients in (20, 50, 200, 1000)
    for mean, gain in ((0.6, 0.2), (0.9, 0.2), (0.6, 0.05), (0.6, 0.01), (0.9, 0.01))
)


def skeleton(rng: np.random.Generator, setting: Setting) -> tuple[Table, np.ndarray]:
    """Return a table without columns and each line's patient."""
    most = 3 if setting.kind == "AP50" else 5
    patient = np.repeat(np.arange(setting.patients), rng.integers(1, most + 1, setting.patients))
    n = len(patient)
    names = np.array([f"{i:07d}" for i in range(n)], dtype=object)
    fine, test = np.full(n, "ok", dtype=object), np.full(n, "test", dtype=object)
    return Table(names, names[patient], np.zeros(n, np.int64), fine, test, {}, {}), patient


def draw(
    rng: np.random.Generator, setting: Setting, blank: tuple[Table, np.ndarray], gain: float, models: int = 2
) -> list[Table]:
    """Return the models' tables, the last one with the gain."""
    table, patient = blank
    n, spread = len(patient), (1 - CORRELATION) / CORRELATION
    right = rng.beta(setting.mean * spread, (1 - setting.mean) * spread, setting.patients)[patient]
    n_true = rng.integers(1, 3 if setting.kind == "AP50" else 7, n)
    made: list[dict[str, np.ndarray | Ragged]] = []
    for i in range(models):
        own = gain if i == models - 1 else 0.0
        fresh = answers(rng, setting.kind, right, n_true, own)
        if made:
            is_same = rng.random(n) < setting.agree
            index = np.where(is_same, np.arange(n), n + np.arange(n))
            for name, column in fresh.items():
                first = made[0][name]
                if isinstance(column, Ragged) and isinstance(first, Ragged):
                    fresh[name] = Ragged.stack([first, column]).take(index)
                elif isinstance(column, np.ndarray) and isinstance(first, np.ndarray):
                    fresh[name] = np.where(is_same, first, column)
        if setting.kind == "accuracy":
            fresh["score"] = np.maximum(fresh["score"], rng.random(n) < own)
        made.append(fresh)
    return [replace(table, columns=columns) for columns in made]


def answers(
    rng: np.random.Generator, kind: str, right: np.ndarray, n_true: np.ndarray, gain: float
) -> dict[str, np.ndarray | Ragged]:
    """Return one model's columns; `right` is each line's probability, and of what fails a share `gain` does not after all."""
    n = len(right)
    if kind == "accuracy":
        return {"score": (rng.random(n) < right).astype(np.float64)}
    if kind == "token F1":
        score = rng.binomial(10, right) / 10
        return {"score": np.where(rng.random(n) < gain, 1.0, score)}
    found = rng.binomial(n_true, right)
    found = found + rng.binomial(n_true - found, gain)
    if kind == "pooled F1":
        false = rng.binomial(n_true, 1 - right)
        return {"above": 2.0 * found, "below": (found + false + n_true).astype(np.float64)}
    false = rng.poisson(1.0, n)
    line = np.concatenate([np.repeat(np.arange(n), found), np.repeat(np.arange(n), false)])
    hit = np.arange(len(line)) < found.sum()
    score = rng.normal(size=len(line)) + hit
    order = np.lexsort((-score, line))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(line, minlength=n))])
    return {
        "n_true": n_true.astype(np.float64),
        "det_score": Ragged(score[order], offsets),
        "det_hit": Ragged(np.repeat(hit[order][:, None], 11, axis=1), offsets),
    }


def true_difference(setting: Setting, gain: float) -> float:
    """Return the difference that there is: by formula, or over very many patients."""
    if setting.kind in ("accuracy", "token F1"):
        reached = 1.0 if setting.kind == "accuracy" else 1 - setting.agree
        return gain * reached * (1 - setting.mean)
    if not gain:
        return 0.0
    many = replace(setting, patients=50_000 if setting.kind == "AP50" else 200_000)
    rng = np.random.default_rng(SEED)
    first, second = draw(rng, many, skeleton(rng, many), gain)
    ones = first.ones()
    return float(setting.metric.compute(second, ones)[0] - setting.metric.compute(first, ones)[0])


def simulate(setting: Setting, gain: float, pairs: int) -> Found:
    """Return what `pairs` pairs of models show."""
    rng = np.random.default_rng([SEED, setting.patients, round(100 * setting.mean), round(1e6 * gain)])
    truth = true_difference(setting, gain)
    is_sum = setting.metric.sums is not None
    weights = None if is_sum else resampling_weights(setting.patients, resamples=RESAMPLES)
    found = []
    for i in range(pairs):
        if i % SHARED == 0:
            blank = skeleton(rng, setting)
        first, second = draw(rng, setting, blank, gain)
        found.append(model_difference(first, second, setting.metric, weights=weights))
    # All settings have at least 20 patients, so that nothing but a note is None.
    value, s, low, high, p, detectable, clusters, differing = np.array([each[:8] for each in found]).T
    half = scipy.special.stdtrit(clusters - 1, 0.975) * s
    return Found(
        truth=truth,
        told=float(np.mean(p < 0.05)),
        covered=float(np.mean((low <= truth) & (truth <= high))),
        covered_t=float(np.mean(np.abs(value - truth) <= half)),
        told_t=float(np.mean(np.abs(value) > half)),
        detectable=float(np.mean(detectable)),
        differing=float(np.mean(differing)),
        width=float(np.mean(high - low)),
    )


def gain_at_80(setting: Setting, pairs: int) -> float | None:
    """Return the gain whose truth is the mean of what is detectable with it; None where not even `MOST` is enough.

    By a fixed point, as what is detectable hardly depends on the gain.
    """
    gain = 0.1
    for _ in range(4):
        found = simulate(setting, gain, pairs)
        gain *= found.detectable / found.truth
        if gain > MOST:
            return None
    return gain


def equal_models(setting: Setting, models: int, data_sets: int) -> float:
    """Return the mean share of models, all equally good, whose rank interval leaves out a place."""
    rng = np.random.default_rng([SEED, models])
    blank = skeleton(rng, setting)
    cut = []
    for _ in range(data_sets):
        found = differences(draw(rng, setting, blank, 0.0, models), setting.metric)
        cut += [
            each is not None and (each.low, each.high) != (1, models) for each in ranks(found.p, found.value)
        ]
    return float(np.mean(cut))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="100 pairs a setting, some of the settings")
    parser.add_argument("--pairs", type=int, help="how many instead")
    given = parser.parse_args()
    pairs = given.pairs or (100 if given.quick else 2000)
    began = time.perf_counter()
    print(
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"SciPy {scipy.__version__}; {pairs} pairs a setting, seed {SEED}, alpha .05"
    )
    print(f"{'':<30}{'no difference':^25}{'difference that the formula shows at 80%':^50}")
    print(
        f"{'metric':<10}{'patients':>8}{'right':>6}{'agree':>6}{'differ':>9}{'told':>8}{'+-ts':>8}"
        f"{'gain':>7}{'truth':>9}{'formula':>9}{'power':>8}{'covered':>9}{'+-ts':>8}"
    )
    for setting in SETTINGS[1::5] if given.quick else SETTINGS:
        none, gain = simulate(setting, 0.0, pairs), gain_at_80(setting, max(40, pairs // 5))
        line = (
            f"{setting.kind:<10}{setting.patients:>8}{setting.mean:>6.1f}{setting.agree:>6.2f}{none.differing:>9.1f}"
            f"{none.told:>8.3f}{none.told_t:>8.3f}"
        )
        if gain is None:
            print(f"{line}   no second model is that much better", flush=True)
            continue
        some = simulate(setting, gain, pairs)
        print(
            f"{line}{gain:>7.2f}{some.truth:>9.4f}{some.detectable:>9.4f}{some.told:>8.3f}{some.covered:>9.3f}{some.covered_t:>8.3f}",
            flush=True,
        )
    print("\nfew patients differ, all one way: the second model is right wherever the first is")
    print(
        f"{'patients':>8}{'right':>6}{'truth':>9}{'differ':>9}{'told':>8}{'+-ts':>8}{'covered':>9}{'+-ts':>8}{'width':>8}"
    )
    for setting, gain in ONE_SIDED[::7] if given.quick else ONE_SIDED:
        found = simulate(setting, gain, pairs)
        print(
            f"{setting.patients:>8}{setting.mean:>6.1f}{found.truth:>9.4f}{found.differing:>9.1f}{found.told:>8.3f}{found.told_t:>8.3f}"
            f"{found.covered:>9.3f}{found.covered_t:>8.3f}{found.width:>8.3f}",
            flush=True,
        )
    print("\nequally good models whose rank interval leaves out a place (at most .05)")
    for models in (2, 5, 20):
        share = equal_models(Setting("accuracy", 200, 0.6), models, max(20, pairs // models))
        print(f"{models:>8} models{share:>8.3f}", flush=True)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
