"""Invented patients of FMBench-mini: what their eyes show, and, drawn apart from it, who they are.

`draw` gives both. Findings come from one stream of random numbers and demographics from another; the two are
joined by the permutation that is most balanced among `TRIES`, so that no group has sicker eyes, worse pictures or
more questions than another. Nothing here knows of a model or its answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

SEED = 20241001
PATIENTS = 240
TRIES = 400
THIN = 0.1  # of the disc's height: a rim below it at a pole is called thinned

Weights = dict[str, int]

# Group sizes as uneven as in a large eye clinic; None is unknown.
RACE = {"white": 184, "black": 36, "asian": 20}
GENDER = {"female": 137, "male": 103}
ETHNICITY = {"non-hispanic": 221, "hispanic": 10, None: 9}
LANGUAGE = {"english": 219, "other": 12, "spanish": 5, None: 4}
AGES_UNKNOWN = 3

LIMITS = ("blur", "eyelash shadow", "blink band", "uneven illumination", "eye movement")


@dataclass(frozen=True)
class Findings:
    """What one eye shows; all that picture, report, questions and answers are made of."""

    eye: str
    """right or left."""
    rims: tuple[float, float]
    """Width of the neuroretinal rim at the upper and at the lower pole, in heights of the disc."""
    haemorrhage: str | None
    """superotemporal, inferotemporal or None."""
    drusen: str
    """none, few or many."""
    atrophy: bool
    """A temporal crescent of peripapillary atrophy."""
    quality: str
    """good, fair or poor."""
    limit: str | None
    """What limits the quality: one of `LIMITS`; None if it is good."""

    @property
    def exact_ratio(self) -> float:
        """The vertical cup-to-disc ratio as drawn."""
        return 1.0 - sum(self.rims)

    @property
    def ratio(self) -> str:
        """The vertical cup-to-disc ratio as people write it: one decimal."""
        return f"{self.exact_ratio:.1f}"

    @property
    def thin(self) -> tuple[str, ...]:
        """The poles at which the rim is thinned."""
        return tuple(
            pole for pole, rim in zip(("superior", "inferior"), self.rims, strict=True) if rim < THIN
        )

    @property
    def glaucoma(self) -> str:
        """Yes with a thinned rim; suspect with a large cup or a disc haemorrhage alone; else no."""
        if self.thin:
            return "yes"
        return "suspect" if self.haemorrhage or float(self.ratio) >= 0.6 else "no"


@dataclass(frozen=True)
class Patient:
    """One patient: demographics, and the findings of one eye."""

    id: str
    findings: Findings
    gender: str | None
    race: str | None
    ethnicity: str | None
    language: str | None
    age: int | None


def _pick(rng: np.random.Generator, weights: Weights) -> str:
    """Return a key with a probability in proportion to its weight."""
    at = rng.random() * sum(weights.values())
    for key, weight in weights.items():
        at -= weight
        if at < 0:
            return key
    return key


def _rims(rng: np.random.Generator, glaucoma: str, bleeds: bool) -> tuple[float, float]:
    """Return the rim's width at both poles; the lower one is the wider in health."""
    jitter = 0.03 * (2.0 * rng.random() - 1.0)
    if glaucoma == "yes":
        where = _pick(rng, {"superior": 25, "inferior": 45, "both": 30})
        if where == "both":
            ratio = 0.82 + 0.02 * rng.random() if rng.random() < 0.5 else 0.89 + 0.03 * rng.random()
            share = 0.46 + 0.08 * rng.random()
            return (1.0 - ratio) * share, (1.0 - ratio) * (1.0 - share)
        ratio = float(_pick(rng, {"0.6": 20, "0.7": 45, "0.8": 35})) + jitter
        thinned = 0.045 + 0.025 * rng.random()
        rims = (thinned, 1.0 - ratio - thinned)
        return rims if where == "superior" else rims[::-1]
    if glaucoma == "suspect" and not bleeds:
        ratio = float(_pick(rng, {"0.6": 60, "0.7": 40})) + jitter
    elif glaucoma == "suspect":
        ratio = float(_pick(rng, {"0.4": 50, "0.5": 50})) + jitter
    else:
        ratio = float(_pick(rng, {"0.2": 20, "0.3": 30, "0.4": 30, "0.5": 20})) + jitter
    share = 0.46 + 0.05 * rng.random()
    return (1.0 - ratio) * share, (1.0 - ratio) * (1.0 - share)


def draw_findings(rng: np.random.Generator) -> Findings:
    """Draw one eye."""
    glaucoma = _pick(rng, {"yes": 42, "suspect": 20, "no": 38})
    bleeds = rng.random() < {"yes": 0.3, "suspect": 0.35, "no": 0.0}[glaucoma]
    rims = _rims(rng, glaucoma, bleeds)
    side = "inferotemporal" if rng.random() < 0.65 else "superotemporal"
    quality = _pick(rng, {"good": 64, "fair": 22, "poor": 14})
    return Findings(
        eye="right" if rng.random() < 0.5 else "left",
        rims=rims,
        haemorrhage=side if bleeds else None,
        drusen=_pick(rng, {"none": 68, "few": 16, "many": 16}),
        atrophy=bool(rng.random() < 0.25),
        quality=quality,
        limit=None if quality == "good" else LIMITS[int(rng.integers(len(LIMITS)))],
    )


def _column(counts: dict[str | None, int] | dict[str, int]) -> list[str | None]:
    return [value for value, count in counts.items() for _ in range(count)]


def _association(value: np.ndarray, outcome: np.ndarray) -> float:
    """Return how unlikely the table of two columns is by chance: 1 - p of its chi-square."""
    known = value != "None"
    table = stats.contingency.crosstab(value[known], outcome[known]).count
    return 1.0 - float(stats.chi2_contingency(table, correction=False).pvalue)


def draw(count: int = PATIENTS) -> list[Patient]:
    """Return the patients, always the same; fewer are the first of all."""
    findings = [draw_findings(np.random.default_rng([SEED, 1, i])) for i in range(PATIENTS)]
    outcomes = [
        np.array(column)
        for column in (
            [f.glaucoma for f in findings],
            [f.ratio >= "0.7" for f in findings],
            [f.haemorrhage is not None for f in findings],
            [f.drusen != "none" for f in findings],
            [f.quality for f in findings],
            [f.atrophy for f in findings],
            [f.eye for f in findings],
        )
    ]
    columns = []
    for number, counts in enumerate((GENDER, RACE, ETHNICITY, LANGUAGE, None)):
        rng = np.random.default_rng([SEED, 2, number])
        if counts is None:
            ages = np.clip(np.rint(64.0 + 15.0 * rng.standard_normal(PATIENTS)), 18, 95).astype(int)
            values = np.array([*map(str, ages[AGES_UNKNOWN:]), *["None"] * AGES_UNKNOWN])
        else:
            values = np.array([str(value) for value in _column(counts)])
        best, least = values, np.inf
        for _ in range(TRIES):
            tried = values[rng.permutation(PATIENTS)]
            coarse = tried if counts is not None else _bins(tried)
            worst = max(_association(coarse, outcome) for outcome in outcomes)
            if worst < least:
                best, least = tried, worst
        columns.append([None if value == "None" else str(value) for value in best])
    made = [
        Patient(f"p{i + 1:04d}", f, gender, race, ethnicity, language, None if age is None else int(age))
        for i, (f, gender, race, ethnicity, language, age) in enumerate(zip(findings, *columns, strict=True))
    ]
    return made[:count]


def _bins(ages: np.ndarray) -> np.ndarray:
    """Return ages, as texts, in the bins of the fairness reports."""
    edges = ((50, "<50"), (65, "50-64"), (80, "65-79"), (200, ">=80"))
    return np.array(
        [
            "None" if age == "None" else next(name for edge, name in edges if int(age) < edge)
            for age in ages.tolist()
        ]
    )
