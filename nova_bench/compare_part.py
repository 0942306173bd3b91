"""One slice of a comparison: every metric of every two runs on it, each with its signature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nova_bench.compare_matches import Match
from nova_bench.compare_pairing import Lines, Side
from nova_bench.compare_words import BETTER, IDENTICAL, NOT_TOLD, UNDEFINED, WORSE
from nova_bench.errors import UsageError
from nova_bench.report import value_of
from nova_bench.signature import seal
from nova_bench.stats import resampling_weights
from nova_bench.stats.models import Difference, Differences, differences, model_difference
from nova_bench.table import Table
from nova_bench.types import Metric

Entry = dict[str, Any]

COMPARISON_VERSION = 2
"""Raised whenever an unchanged pair of runs can give another number."""
_NONE = Difference(
    None, None, None, None, None, None, 0, 0, "no sample has an answer of both that can be compared"
)


@dataclass(frozen=True, slots=True)
class Choices:
    """What was chosen for a comparison, checked."""

    metrics: tuple[str, ...]
    by: tuple[str, ...] | None
    force: bool
    alpha: float
    resamples: int
    seed: int

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise UsageError(f"alpha is {self.alpha}, expected a number between 0 and 1, such as 0.05")
        if self.resamples < 2:
            raise UsageError(f"resamples is {self.resamples}, expected at least 2; 1000 is the default")
        if self.seed < 0:
            raise UsageError(f"the seed is {self.seed}, expected at least 0")


class Part:
    """The comparisons on one slice; resamples are drawn once for all metrics and pairs, and each run is resampled once where it can be.

    Args:
        sides: The runs.
        matches: What is compared.
        name: The slice's name.
        key: Its attribute and value; empty for the whole.
        chosen: The settings.
    """

    def __init__(
        self,
        sides: Sequence[Side],
        matches: Sequence[Match],
        name: str,
        key: tuple[str, ...],
        chosen: Choices,
    ) -> None:
        self.sides, self.name, self.key, self.chosen = sides, name, key, chosen
        self._lines: dict[int, Lines] = {}
        self._weights: dict[int, np.ndarray] = {}
        self._of_all: dict[str, Differences | None] = {}
        self._by_name: dict[str, list[Match]] = {}
        for match in matches:
            self._by_name.setdefault(match.name, []).append(match)

    def entry(self, match: Match) -> Entry | None:
        """Return one comparison, without what is known of all together only; None where no line of the two runs is in the slice."""
        lines = self._lines_of(match)
        if not len(lines.a):
            return None
        a, b = lines.tables()
        metric = match.a.metric
        found = self._difference(match, a, b) if len(a) else _NONE
        return {
            "metric": match.name,
            "written": match.a.written,
            "slice": self.name,
            "a": self.sides[match.i].label,
            "b": self.sides[match.j].label,
            "value_a": value_of(a, metric) if len(a) else None,
            "value_b": value_of(b, metric) if len(a) else None,
            "difference": found.value,
            "low": found.low,
            "high": found.high,
            "p": found.p,
            "p_holm": None,
            "tests": 0,
            "family": None,
            "detectable": found.detectable,
            "higher_is_better": metric.higher_is_better,
            "range": None if metric.range is None else list(metric.range),
            "n": len(set(a.id)),
            "clusters": found.n_clusters,
            "n_differing": found.n_differing,
            "left_out": lines.left_out(),
            "outcome": None,
            "sentence": "",
            "forced": list(match.forced) or None,
            "note": found.note,
        }

    def _lines_of(self, match: Match) -> Lines:
        """Return the lines of a match in this slice; metrics share them."""
        if not self.key:
            return match.lines
        if id(match.lines) not in self._lines:
            self._lines[id(match.lines)] = match.lines.slice(*self.key)
        return self._lines[id(match.lines)]

    def _difference(self, match: Match, a: Table, b: Table) -> Difference:
        if match.name not in self._of_all:
            self._of_all[match.name] = self._differences(match.name)
        together = self._of_all[match.name]
        if together is not None:
            return together.pair(match.i, match.j)
        return model_difference(a, b, match.a.metric, **self._settings(a, match.a.metric))

    def _differences(self, name: str) -> Differences | None:
        """Return a metric's differences of all runs at once; None where some two were not asked, or did not answer, the same."""
        matches, n = self._by_name[name], len(self.sides)
        lines = [self._lines_of(match) for match in matches]
        is_whole = all(each.kept.all() and not any(map(len, each.missing)) for each in lines)
        if (
            n == 2
            or len(matches) < n * (n - 1) // 2
            or any(match.forced for match in matches)
            or not is_whole
        ):
            return None
        of_first = {match.j: each for match, each in zip(matches, lines, strict=True) if match.i == 0}
        tables = [of_first[1].a, *(of_first[j].b for j in range(1, n))]
        metric = matches[0].a.metric
        return differences(tables, metric, **self._settings(tables[0], metric))

    def _settings(self, table: Table, metric: Metric) -> dict[str, Any]:
        """Return how a difference is measured, with the resamples of this slice."""
        n_clusters = len(set(table.cluster))
        if metric.sums is None and n_clusters not in self._weights:
            self._weights[n_clusters] = resampling_weights(
                n_clusters, resamples=self.chosen.resamples, seed=self.chosen.seed, key=self.key
            )
        return {
            "resamples": self.chosen.resamples,
            "seed": self.chosen.seed,
            "key": self.key,
            "alpha": self.chosen.alpha,
            "weights": self._weights.get(n_clusters) if metric.sums is None else None,
        }


def outcome_of(entry: Entry, alpha: float) -> str:
    """Return what a comparison came to, said of the second run."""
    if entry["difference"] is not None and not entry["n_differing"]:
        return IDENTICAL
    if entry["difference"] is None or entry["low"] is None or entry["p_holm"] is None:
        return UNDEFINED
    if entry["p_holm"] >= alpha:
        return NOT_TOLD
    return BETTER if (entry["difference"] > 0) == entry["higher_is_better"] else WORSE


def signature_of(match: Match, name: str, chosen: Choices) -> dict[str, Any]:
    """Return a comparison's signature: what both numbers share, with both values where that was forced; their cells are its provenance.

    Pairs of one protocol share it, so it says nothing that is of one pair of runs alone.
    """
    shared = {key: value for key, value in match.a.signature["protocol"].items() if key not in match.forced}
    protocol = {
        **shared,
        "slice": name,
        "comparison": f"paired difference {COMPARISON_VERSION}",
        "alpha": chosen.alpha,
        "repeats": None if "repeats" in match.forced else match.a.signature["provenance"]["repeats"],
        "forced": {key: list(values) for key, values in match.forced.items()} or None,
    }
    provenance = {
        "a": match.a.signature["id"],
        "b": match.b.signature["id"],
        "resamples": None if match.a.metric.sums is not None else chosen.resamples,
        "seed": None if match.a.metric.sums is not None else chosen.seed,
        "versions": match.a.signature["provenance"]["versions"],
    }
    return seal(protocol, provenance)
