"""Standard errors of small groups, moderated: each borrows from the pooled variance of a patient.

A group of eight patients who are all right shows no variance at all; taken at its word it would decide every test. Four patients'
worth of the pooled variance is mixed in, as Smyth 2004 (Stat. Appl. Genet. Mol. Biol. 3:3) does for genes with few arrays.
"""

from __future__ import annotations

import numpy as np

PRIOR = 4
"""Weight of the pooled variance, in patients."""


def moderated(variance: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return the moderated variances of the groups' values, to be used with c_g + 3 degrees of freedom.

    ``s~_g^2 = ((c_g - 1) s_g^2 + 4 v / c_g) / (c_g + 3)``, ``v = sum (c_g - 1) c_g s_g^2 / sum (c_g - 1)``.

    Args:
        variance: float array (..., G), s_g^2.
        clusters: int array (G,), c_g, at least one of them above 1.

    >>> moderated(np.array([0.01, 0.0]), np.array([21, 9])).round(5)
    array([0.00952, 0.00556])
    """
    weight = clusters - 1
    pooled = (weight * clusters * variance).sum(axis=-1, keepdims=True) / weight.sum()
    return np.asarray((weight * variance + PRIOR * pooled / clusters) / (weight + PRIOR))


def moderated_df(clusters: np.ndarray) -> np.ndarray:
    """Return the degrees of freedom of `moderated` variances, c_g + 3."""
    return clusters - 1 + PRIOR


def combined_df(variance: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Return the degrees of freedom of a sum of independent variances (Welch 1947): ``(sum v)^2 / sum v^2 / df``.

    Args:
        variance: float array (..., G), the parts; where all are 0 the smallest of `df` is returned.
        df: float array (G,), theirs.

    >>> float(combined_df(np.array([1.0, 1.0]), np.array([10, 10])))
    20.0
    """
    total = variance.sum(axis=-1)
    parts = (variance**2 / df).sum(axis=-1)
    return np.asarray(
        np.where(parts > 0, np.divide(total**2, parts, where=parts > 0, out=np.ones_like(total)), df.min())
    )
