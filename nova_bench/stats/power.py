"""What a set of patients could have shown."""

from __future__ import annotations

import math

import numpy as np

POWER = 0.8


def detectable_gap(s_first: float, s_second: float, comparisons: int, *, alpha: float = 0.05) -> float:
    """Return the smallest gap between two groups that is shown at 80% power, one of K pairs being tested.

    ``(z_(1 - alpha / 2K) + z_0.8) sqrt(s_g^2 + s_h^2)``.

    Args:
        s_first: Standard error of one group's value.
        s_second: The other's.
        comparisons: K, how many pairs there are.
        alpha: The level of the test of all.

    >>> round(detectable_gap(0.02, 0.04, 3), 3)
    0.145
    """
    import scipy.special

    quantile = float(scipy.special.ndtri(1 - alpha / (2 * comparisons)) + scipy.special.ndtri(POWER))
    return quantile * math.hypot(s_first, s_second)


def planned_error(value: float, patients: int, questions: np.ndarray, correlation: float) -> float:
    """Return the standard error to expect of a share, before there is data.

    ``s^2 = M (1 - M) (1 + (m2 / m1 - 1) rho) / (m1 c)``, m1 and m2 the mean and mean square of questions a patient.

    Args:
        value: M, the share expected.
        patients: c.
        questions: int array, how many questions patients have; only their distribution counts.
        correlation: rho, between answers about one patient.

    >>> round(planned_error(0.6, 80, np.arange(1, 6), 0.3), 3)
    0.042
    """
    mean, square = float(np.mean(questions)), float(np.mean(np.square(questions)))
    return math.sqrt(value * (1 - value) * (1 + (square / mean - 1) * correlation) / (mean * patients))
