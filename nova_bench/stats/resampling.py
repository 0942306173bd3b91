"""Weights for resampling clusters, and the standard errors that they show.

Clusters (cases, patients) are the unit: one patient's images and questions resemble each other, so they are drawn together. The
bootstrap gives standard errors and nothing else; formulas on (value, standard error, number of clusters) give the intervals, as
percentile intervals of 8 to 20 patients cover .39 to .94 where these cover .88 to .97 (``benchmarks/coverage.py`` measures it).

Sources: Field & Welsh 2007, J. R. Statist. Soc. B 69:369 (bootstrapping clustered data); Davison & Hinkley 1997, Bootstrap
Methods and their Application.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator

import numpy as np

RESAMPLES = 1000
"""At 1,000 resamples the standard error of a standard error is 2%."""
MAX_UNDEFINED = 0.05
"""Resamples in which the metric is undefined are dropped, but over this share of them no standard error is given."""


def resampling_weights(
    n_clusters: int, *, resamples: int = RESAMPLES, seed: int = 0, key: tuple[str, ...] = ()
) -> np.ndarray:
    """Return how often each cluster is drawn in each resample.

    Args:
        n_clusters: How many clusters there are, and how many are drawn each time.
        resamples: How many resamples.
        seed: The generator's seed.
        key: What is resampled, such as ``("plane", "axial")``; the same key gives all metrics and all models the same draws.

    Returns:
        Int array (resamples, n_clusters); each line sums to `n_clusters`.

    >>> resampling_weights(4, resamples=3).tolist()
    [[0, 1, 0, 3], [1, 2, 1, 0], [2, 1, 1, 0]]
    >>> resampling_weights(4, resamples=2, key=("plane", "axial")).sum(axis=1).tolist()
    [4, 4]
    """
    chunks = list(
        iterate_weights(n_clusters, resamples=resamples, seed=seed, key=key, chunk=max(resamples, 1))
    )
    return chunks[0] if chunks else np.zeros((0, n_clusters), np.int64)


def iterate_weights(
    n_clusters: int, *, resamples: int = RESAMPLES, seed: int = 0, key: tuple[str, ...] = (), chunk: int
) -> Iterator[np.ndarray]:
    """Yield the lines of `resampling_weights` in chunks, the same draws whatever the chunk.

    Args:
        n_clusters: As for `resampling_weights`.
        resamples: As for `resampling_weights`.
        seed: As for `resampling_weights`.
        key: As for `resampling_weights`.
        chunk: Lines at a time.

    >>> [len(weights) for weights in iterate_weights(4, resamples=5, chunk=2)]
    [2, 2, 1]
    """
    if n_clusters == 0:
        return
    generator = keyed_generator(seed, key)
    even = np.full(n_clusters, 1 / n_clusters)
    for start in range(0, resamples, chunk):
        yield generator.multinomial(n_clusters, even, size=min(chunk, resamples - start))


def keyed_generator(seed: int, key: tuple[str, ...]) -> np.random.Generator:
    """Return a generator that depends on the seed and on what is drawn, never on the model or on the order of groups.

    Args:
        seed: The seed that users set.
        key: What is drawn, such as ``("race", "asian")``.

    >>> one, other = keyed_generator(0, ("race", "asian")), keyed_generator(0, ("race", "asian"))
    >>> bool((one.random(3) == other.random(3)).all())
    True
    """
    words = np.frombuffer(hashlib.sha256(json.dumps(key).encode()).digest(), "<u4")
    return np.random.default_rng([seed, *words.tolist()])


def ratio_standard_error(
    num: np.ndarray, den: np.ndarray, codes: np.ndarray, n_clusters: int
) -> tuple[float, float]:
    """Return M = sum num / sum den and its standard error over clusters, without resampling.

    ``s = sqrt(c / (c - 1) * sum_i (num_i - M den_i)^2) / sum den`` over the c clusters i.

    Args:
        num: float array (n,), numerator of each line.
        den: float array (n,), denominator of each line.
        codes: int array (n,), the cluster of each line, from 0.
        n_clusters: c.

    Returns:
        (M, s); both NaN where the denominators sum to 0, s alone with fewer than two clusters.

    >>> value, s = ratio_standard_error(np.array([1.0, 0.0, 1.0]), np.ones(3), np.array([0, 0, 1]), 2)
    >>> round(value, 4), round(s, 4)
    (0.6667, 0.2222)
    """
    value, influence = ratio_influence(num, den, codes, n_clusters)
    return value, influence_standard_error(influence, n_clusters)


def bootstrap_standard_error(values: np.ndarray, n_clusters: int) -> tuple[float, float]:
    """Return the standard error that resamples show, and the share of them in which the metric is undefined.

    Args:
        values: float array (b,), the metric in each resample; NaN where undefined.
        n_clusters: c; the spread of resamples is short by ``sqrt((c - 1) / c)``, which is put right.

    Returns:
        (s, share); s is NaN with fewer than two clusters or defined resamples, or with more than 5% undefined.

    >>> s, undefined = bootstrap_standard_error(np.array([0.4, 0.5, 0.6]), 5)
    >>> round(s, 4), undefined
    (0.1118, 0.0)
    """
    defined = values[np.isfinite(values)]
    undefined = (len(values) - len(defined)) / len(values) if len(values) else 1.0
    if n_clusters < 2 or len(defined) < 2 or undefined > MAX_UNDEFINED:
        return math.nan, undefined
    return float(defined.std(ddof=1) * math.sqrt(n_clusters / (n_clusters - 1))), undefined


def ratio_influence(
    num: np.ndarray, den: np.ndarray, codes: np.ndarray, n_clusters: int
) -> tuple[float, np.ndarray]:
    """Return M = sum num / sum den and each cluster's influence (num_i - M den_i) / sum den."""
    total = float(den.sum())
    if not total:
        return math.nan, np.full(n_clusters, math.nan)
    value = float(num.sum()) / total
    return value, np.bincount(codes, num - value * den, n_clusters) / total


def influence_standard_error(influence: np.ndarray, n_clusters: int) -> float:
    """Return ``sqrt(c / (c - 1) * sum influence^2)``, the influences being those of a number over c clusters; they sum to 0."""
    if n_clusters < 2:
        return math.nan
    return math.sqrt(n_clusters / (n_clusters - 1)) * float(np.linalg.norm(influence))
