"""What an entry keeps of its rows so that its headline number can be paired with other entries': one model's half of every difference.

Two models are compared answer by answer, and a leaderboard of 500 models cannot hold all rows. A half is a number a cluster (or a resample),
and a hash a cluster; the halves of two entries on the same lines give value, interval and test of their difference, as their rows would.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nova_bench.board.rows_file import masked
from nova_bench.errors import BundleError
from nova_bench.judged_rows import JudgedMetric, metric_name
from nova_bench.report import cell_signature
from nova_bench.run import Run
from nova_bench.stats import MIN_CLUSTERS, Differences, Half, differences_of, half_of
from nova_bench.stats.estimates import weight_chunks
from nova_bench.table import Table
from nova_bench.types import Metric

RATIO, RESAMPLED = "ratio", "resampled"
_SAME = ("signature", "lines", "kind")
"""What two pairings must have in common to be paired."""


def pairing_of_run(run: Run, *, resamples: int, seed: int) -> dict[str, Any] | None:
    """Return the pairing of a run's headline number; None where nothing can be paired.

    A headline that needs a judge has one where exactly one judge was asked.

    Args:
        run: The run, or one made from a bundle's rows: the two give the same, as ids and clusters of gated data are numbers in both.
        resamples: Of the bootstrap, for a metric that is no ratio of sums.
        seed: Of the bootstrap.
    """
    found = _headline(run)
    if found is None:
        return None
    metric, judged = found
    table = run.scored.table
    if run.plan.task.data.gated and not run.plan.data.is_synthetic:
        table = masked(table)
    table = table.take(np.asarray(table.status != "failed"))
    if judged is not None:
        table = judged.judged_lines(table)
    signature = cell_signature(
        run.plan,
        run.scored,
        metric,
        resamples=resamples,
        seed=seed,
        versions={},
        remote_code=run.remote_code,
        judged=judged,
    )
    return pairing_of(table, metric, signature["id"], resamples=resamples, seed=seed)


def _headline(run: Run) -> tuple[Metric, JudgedMetric | None] | None:
    """Return the headline metric of a run, under its judge's name where it needs one."""
    name = run.plan.task.headline
    for metric in run.plan.task.plain_metrics:
        if metric.name == name:
            return metric, None
    judged = [one for one in run.judged_metrics if one.metric.name == metric_name(name, one.asked.name)]
    return (judged[0].metric, judged[0]) if len(judged) == 1 else None


def pairing_of(
    table: Table, metric: Metric, signature: str, *, resamples: int, seed: int
) -> dict[str, Any] | None:
    """Return what has to be kept of a table for one metric's differences from other models on the same lines.

    Args:
        table: The lines that count, sorted by (id, repeat): answered ones, of a judged metric those with a verdict.
        metric: The metric.
        signature: Its id: only numbers of one protocol are paired.
        resamples: Of the bootstrap, for a metric that is no ratio of sums.
        seed: Of the bootstrap.

    Returns:
        None where the metric takes no part in comparisons, lacks a column or is undefined, or with fewer clusters than get an interval.
        Else ``metric``, ``signature``, ``lines`` (a hash of which lines these are), ``kind`` (``ratio`` or ``resampled``), ``value``,
        ``clusters`` (how many), ``numbers`` (`nova_bench.stats.Half.numbers`, every digit, null for NaN), ``silent`` (numbers of the
        clusters without weight, from 0) and ``prints`` (8 hex digits a cluster).
    """
    codes, c = table.cluster_codes()
    if not metric.infer or not set(metric.needs) <= set(table.columns) or c < MIN_CLUSTERS:
        return None
    chunks = [] if metric.sums else list(weight_chunks(table, c, resamples, seed, (), None))
    half = half_of(table, metric, codes, c, chunks)
    if not math.isfinite(half.value):
        return None
    return {
        "metric": metric.name,
        "signature": signature,
        "lines": _lines(table),
        "kind": RATIO if half.is_ratio else RESAMPLED,
        "value": half.value,
        "clusters": c,
        "numbers": [number if math.isfinite(number) else None for number in half.numbers.tolist()],
        "silent": np.flatnonzero(half.is_silent).tolist(),
        "prints": half.prints.astype(">u4").tobytes().hex(),
    }


def _lines(table: Table) -> str:
    """Return a hash over id, repeat and cluster of every line."""
    named = zip(table.id.tolist(), table.repeat.tolist(), table.cluster.tolist(), strict=True)
    content = json.dumps([[str(name), repeat, str(case)] for name, repeat, case in named])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def stored_differences(
    pairings: Sequence[Mapping[str, Any]], *, range: tuple[float, float] | None, alpha: float = 0.05
) -> Differences:
    """Return the differences of all pairs of entries, [a, b] being b's number less a's: those that `nova_bench.stats.differences` finds.

    Args:
        pairings: At least one, of `pairing_of`, each as its schema says.
        range: The metric's lowest and highest value; None for unbounded.
        alpha: 1 - the coverage.

    Raises:
        BundleError: One contradicts itself, or they are not of the same signature, lines and kind.
    """
    first = pairings[0]
    for pairing in pairings:
        fault = pairing_fault(pairing)
        if fault is not None:
            raise BundleError(f"pairing: {fault}")
        size = len(pairing["numbers"]), pairing["clusters"]
        if any(pairing[key] != first[key] for key in _SAME) or size != (
            len(first["numbers"]),
            first["clusters"],
        ):
            raise BundleError(
                f"a pairing of {pairing['metric'][:100]} is of other lines or another protocol than the first; pair those that agree in "
                + ", ".join(_SAME)
            )
    # Numbers of an entry that nobody verified may be any; those of other pairs are not touched by them.
    with np.errstate(all="ignore"):
        return differences_of([_half(pairing) for pairing in pairings], range=range, alpha=alpha)


def pairing_fault(pairing: Mapping[str, Any]) -> str | None:
    """Return how a pairing that fits its schema contradicts itself; None where it does not.

    Args:
        pairing: A stranger's.
    """
    c, numbers, silent = pairing["clusters"], pairing["numbers"], pairing["silent"]
    is_ratio = pairing["kind"] == RATIO
    if len(pairing["prints"]) != 8 * c:
        return f"prints has {len(pairing['prints'])} digits, expected {8 * c}: 8 a cluster"
    if is_ratio and (len(numbers) != c or None in numbers):
        return f"numbers has {len(numbers)} entries, expected a number for each of {c} clusters"
    with np.errstate(over="ignore"):
        known = np.array([pairing["value"], *(number for number in numbers if number is not None)])
        if not math.isfinite(float((known**2).sum())):
            return "its numbers are beyond all measure"
    if silent and (not is_ratio or silent != sorted(set(silent)) or silent[-1] >= c):
        return f"silent is no list of some of the {c} clusters, each once and in order"
    return None


def _half(pairing: Mapping[str, Any]) -> Half:
    numbers = np.array([math.nan if number is None else number for number in pairing["numbers"]], np.float64)
    is_silent = np.zeros(pairing["clusters"], bool)
    is_silent[pairing["silent"]] = True
    prints = np.frombuffer(bytes.fromhex(pairing["prints"]), ">u4").astype(np.uint32)
    return Half(float(pairing["value"]), pairing["kind"] == RATIO, numbers, is_silent, prints)
