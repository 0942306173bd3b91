"""The test of "no difference between groups": labels permuted over patients, and Holm's correction for many tests.

A patient's rows move together. The statistic is Welch's, ``T = sum_g (M_g - M~)^2 / s~_g^2`` with M~ the precision-weighted mean and
moderated standard errors worked out anew for each permutation: a statistic that is not studentised rejects where groups are only
differently noisy (Chung & Romano 2013, Ann. Statist. 41:484).

Only sums over the patients of a group are needed. A patient has a vector z, the numerators and denominators of one ratio or more; a
group has S = sum z and Q = sum z z', its value is ``sum_t c_t S_num_t / S_den_t``, and a patient's influence on it is ``a' z``, so
``sum influence^2 = a' Q a``. One ratio with c = 1 is a mean; several are the mean over repeats, and c = -1 and 1 the difference of two
models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nova_bench.stats.moderation import moderated

PERMUTATIONS = 1999
_TIE = 1e-9  # a tie broken by rounding raised an exact test's error from .02 to .16
_CHUNK = 2**20  # drawn patients held at once, 24 MB with their matrix
_CONSTANT = 1e-12  # of the values' size: patients that differ by less score the same
_NOISE = 1e-18  # of a patient's variance: what rounding leaves of a variance that is 0


class Terms(NamedTuple):
    """Patients as vectors whose sums give a group's value.

    Attributes:
        z: float array (patients, 2 t): t numerators, then t denominators.
        coefficients: float array (t,), c.
    """

    z: np.ndarray
    coefficients: np.ndarray

    def take(self, index: np.ndarray) -> Terms:
        """Return the patients at `index`."""
        return Terms(self.z[index], self.coefficients)

    @property
    def carried(self) -> np.ndarray:
        """Boolean array (patients,): those with something in a numerator or denominator."""
        return np.asarray((self.z != 0).any(axis=1))

    @property
    def lacks_part(self) -> bool:
        """Whether some ratios have a denominator and others (a repeat of which every answer failed) have none."""
        has = self.z[:, len(self.coefficients) :].sum(axis=0) != 0
        return bool(has.any() and not has.all())

    def evaluate(self) -> tuple[float, np.ndarray]:
        """Return the value of all patients together and each one's influence on it (patients,), which add up to 0.

        NaN where a denominator adds up to 0.

        >>> value, influence = Terms(np.array([[1.0, 2], [1, 1]]), np.ones(1)).evaluate()
        >>> round(value, 4), influence.round(4)
        (0.6667, array([-0.1111, 0.1111]))
        """
        t = len(self.coefficients)
        total = self.z.sum(axis=0)
        num, den = total[:t], total[t:]
        if not den.all():
            return float("nan"), np.full(len(self.z), np.nan)
        each = num / den
        value = float(self.coefficients @ each)
        return value, (self.z[:, :t] - self.z[:, t:] * each) @ (self.coefficients / den)


def permutation_p_values(
    terms: Sequence[Terms],
    labels: np.ndarray,
    n_groups: int,
    generator: np.random.Generator,
    permutations: int = PERMUTATIONS,
) -> list[float]:
    """Return the p-value of "no difference" for several metrics on the same patients, under the same permutations.

    ``p = (1 + #{T* >= T}) / (1 + P)``, ties within 1e-9 counting; where a metric is the same for all patients p is 1.

    Args:
        terms: One a metric.
        labels: int array (patients,), the group of each, from 0; every group has at least one patient.
        n_groups: G, at least 2.
        generator: Draws the permutations.
        permutations: P.

    >>> z = np.stack([np.repeat([0.2, 0.8], 10) + np.tile([0.0, 0.1], 10), np.ones(20)], axis=1)
    >>> labels, mixed = np.repeat([0, 1], 10), np.tile([0, 1, 1, 0, 0], 4)
    >>> terms = [Terms(z, np.ones(1))]
    >>> [permutation_p_values(terms, each, 2, np.random.default_rng(0))[0] for each in (labels, mixed)]
    [0.0005, 1.0]
    """
    counts = np.bincount(labels, minlength=n_groups)
    columns = [_quadratic(_centred(each)) for each in terms]
    widths = np.cumsum([0] + [len(block[0]) for block in columns])
    stacked = np.concatenate(columns, axis=1)
    scales = [_scale(each) for each in terms]

    def statistics(sums: np.ndarray) -> np.ndarray:
        """Return T (b, metrics) of sums (b, G, columns)."""
        return np.stack(
            [
                _statistic(sums[..., widths[i] : widths[i + 1]], terms[i].coefficients, counts, scales[i])
                for i in range(len(terms))
            ],
            axis=-1,
        )

    # Both are worked out by the same code: the largest group's sums are what the others leave of the total.
    largest = int(np.argmax(counts))
    small = [g for g in range(n_groups) if g != largest]
    n_small = int(counts[small].sum())
    seen = np.concatenate([np.flatnonzero(labels == g) for g in small])[None]
    observed = statistics(_sums(stacked, seen, counts, largest))[0]
    limit = observed - _TIE * np.maximum(1.0, np.abs(observed))
    reached = np.zeros(len(terms), dtype=np.int64)
    chunk = max(1, _CHUNK // n_small)
    for start in range(0, permutations, chunk):
        drawn = np.empty((min(chunk, permutations - start), n_small), dtype=np.int64)
        for line in drawn:
            line[:] = generator.choice(len(labels), n_small, replace=False)
        permuted = statistics(_sums(stacked, drawn, counts, largest))
        reached += (~(permuted < limit)).sum(axis=0)  # NaN, a permutation without a value, counts against us
    return [
        1.0 if scale == 0 else float(1 + count) / (1 + permutations)
        for count, scale in zip(reached, scales, strict=True)
    ]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for their number by Holm's procedure: the family errs at most as often as one test would.

    The k-th smallest of m is multiplied by m - k + 1; none is smaller than that of a smaller p, and none exceeds 1.

    Args:
        p_values: Uncorrected; None, a test that was not made, stays None and is not counted.

    Source: Holm 1979, Scand. J. Statist. 6:65.

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    made = [(p, i) for i, p in enumerate(p_values) if p is not None]
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(sorted(made)):
        largest = max(largest, min(1.0, p * (len(made) - rank)))
        corrected[i] = largest
    return corrected


def _centred(terms: Terms) -> np.ndarray:
    """Return z with each numerator less the pooled ratio times its denominator: values move by a constant, rounding shrinks."""
    t = len(terms.coefficients)
    total = terms.z.sum(axis=0)
    pooled = np.divide(total[:t], total[t:], out=np.zeros(t), where=total[t:] != 0)
    return np.concatenate([terms.z[:, :t] - terms.z[:, t:] * pooled, terms.z[:, t:]], axis=1)


def _scale(terms: Terms) -> float:
    """Return the variance of a patient's influence, below which differences are rounding; 0 where all patients score the same."""
    _, influence = terms.evaluate()
    variance = float(np.square(influence).mean()) * len(influence) ** 2
    t = len(terms.coefficients)
    den = np.abs(terms.z[:, t:]).sum(axis=0)
    size = float((np.abs(terms.z[:, :t]).sum(axis=0) / np.where(den > 0, den, 1.0)).max())
    return variance if variance > (_CONSTANT * size) ** 2 else 0.0


def _quadratic(z: np.ndarray) -> np.ndarray:
    """Return (patients, 2 t + t (2 t + 1)): z and the upper triangle of z z'."""
    rows, columns = np.triu_indices(z.shape[1])
    return np.concatenate([z, z[:, rows] * z[:, columns]], axis=1)


def _sums(columns: np.ndarray, drawn: np.ndarray, counts: np.ndarray, largest: int) -> np.ndarray:
    """Return (b, G, columns), the sums over each group's patients.

    As the product of a sparse 0-1 matrix: it needs no (b, patients) array, and unlike a dense one it starts no threads of its own,
    which cost five times the work where the cores are taken.

    Args:
        columns: float array (patients, columns).
        drawn: int array (b, k), the patients of all groups but the largest, one group after the other.
        counts: int array (G,), the groups' sizes.
        largest: The group that has the rest.
    """
    import scipy.sparse

    small = np.delete(counts, largest)
    ends = np.concatenate([[0], np.cumsum(np.tile(small, len(drawn)))])
    member = scipy.sparse.csr_array(
        (np.ones(drawn.size), drawn.ravel(), ends), shape=(len(drawn) * len(small), len(columns))
    )
    of_small = (member @ columns).reshape(len(drawn), len(small), -1)
    of_largest = columns.sum(axis=0) - of_small.sum(axis=1)
    return np.insert(of_small, largest, of_largest, axis=1)


def _statistic(sums: np.ndarray, coefficients: np.ndarray, counts: np.ndarray, scale: float) -> np.ndarray:
    """Return T (b,) from sums (b, G, columns) as `_quadratic` orders them; NaN where a group has no denominator."""
    t = len(coefficients)
    total, products = sums[..., : 2 * t], sums[..., 2 * t :]
    num, den = total[..., :t], total[..., t:]
    den = np.where(den != 0, den, np.nan)
    each = num / den
    value = each @ coefficients
    a = np.concatenate([coefficients / den, -coefficients * each / den], axis=-1)
    rows, columns = np.triu_indices(2 * t)
    twice = np.where(rows == columns, 1.0, 2.0)
    squares = np.maximum((products * a[..., rows] * a[..., columns] * twice).sum(axis=-1), 0.0)
    clusters = np.maximum(counts, 2)
    variance = moderated(squares * clusters / (clusters - 1), clusters)
    variance = np.maximum(variance, _NOISE * scale / counts)
    weight = np.divide(1.0, variance, out=np.zeros_like(variance), where=variance != 0)
    together = weight.sum(axis=-1, keepdims=True)
    centre = np.divide(
        (weight * value).sum(axis=-1, keepdims=True),
        together,
        out=np.zeros_like(together),
        where=together != 0,
    )
    return np.asarray((weight * (value - centre) ** 2).sum(axis=-1))
