"""Intervals and bias correction of spreads, by test inversion.

Noise alone makes every spread positive. So the observed spread is compared with what each true spread would show: the groups'
observed pattern is stretched by k, noise is added, and those k stay with which the observed spread is nothing unusual (Carpenter
1999, Statist. Med. 18:2839 on test inversion).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nova_bench.stats.moderation import moderated_df
from nova_bench.stats.resampling import keyed_generator
from nova_bench.stats.spreads import Spread

DRAWS = 2000
"""Each is used with both signs, so that noise has no mean: a spread far above it is not corrected by chance."""
_GRID = 32
_FLAT = 1e-9  # a pattern whose spread is below has no direction in which it could be stretched


class Inverted(NamedTuple):
    """A spread as noise leaves it.

    Attributes:
        floor: What to expect of it if all groups were equal.
        corrected: The true spread at which the observed one is the median.
        low: Lower limit.
        high: Upper limit; None where there is no pattern to stretch: the observed values are all equal, or closer to each other
            than noise alone would leave them in all but alpha / 2 of the cases.
    """

    floor: float
    corrected: float
    low: float
    high: float | None


def standard_draws(attribute: str, names: tuple[str, ...], *, seed: int = 0) -> np.ndarray:
    """Return what noise is made of, float array (3, 4000, G): two sets of normal draws, and levels in (0, 1) for a chi-squared.

    The second half of the draws is the first with the other sign. Each group has a generator of its own, keyed by (seed,
    attribute, group).

    Args:
        attribute: What the groups are values of.
        names: The groups.
        seed: The generator's seed.

    >>> standard_draws("race", ("asian", "white")).shape
    (3, 4000, 2)
    """
    columns = []
    for name in names:
        generator = keyed_generator(seed, ("noise", attribute, name))
        normal, level = generator.normal(size=(2, DRAWS)), generator.random((1, DRAWS))
        columns.append(np.concatenate([np.tile(normal, 2) * np.repeat([1, -1], DRAWS), np.tile(level, 2)]))
    return np.stack(columns, axis=-1)


def t_noise(draws: np.ndarray, variance: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return E_g = s~_g t with c_g + 3 degrees of freedom, float array (draws, G).

    Args:
        draws: `standard_draws`.
        variance: float array (G,), moderated.
        clusters: int array (G,).
    """
    return np.asarray(draws[0] * np.sqrt(variance) / chi_scale(draws, clusters))


def chi_scale(draws: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return draws (4000, G) of sqrt(chi2 / df), df = c_g + 3, by which a normal draw is divided to become one of t."""
    import scipy.special

    df = moderated_df(clusters)
    half = np.sqrt(scipy.special.chdtri(df, draws[2, :DRAWS]) / df)
    return np.concatenate([half, half])


def invert(
    spread: Spread, values: np.ndarray, centre: float, noise: np.ndarray, alpha: float = 0.05
) -> Inverted:
    """Return floor, corrected value and interval of a spread.

    Along ``M(k) = centre + k (M - centre)`` those k are kept for which ``P(spread(M(k) + E) >= observed)`` lies in [alpha / 2, 1 -
    alpha / 2]; the interval is that of ``k * observed``, the corrected value is where P is a half, the floor the mean at k = 0. P
    is worked out at 32 values of k and read between them on a straight line.

    Args:
        spread: Takes values (..., G).
        values: float array (G,), M.
        centre: wmean.
        noise: float array (b, G), E.
        alpha: 1 - the coverage.

    >>> rng = np.random.default_rng(0)
    >>> from nova_bench.stats.spreads import gap_of
    >>> found = invert(gap_of, np.array([0.7, 0.5]), 0.6, rng.normal(0, 0.05, (2000, 2)))
    >>> [round(number, 2) for number in found]
    [0.06, 0.2, 0.06, 0.35]
    """
    observed = float(spread(values))
    pure = spread(noise)
    floor = float(pure.mean())
    if observed <= _FLAT:
        return Inverted(floor, 0.0, 0.0, None)
    # A spread is a seminorm: at this k all but a sliver of the draws lie above the observed spread.
    most = 1 + float(np.quantile(pure, 1 - alpha / 8)) / observed
    k = np.linspace(0, most, _GRID)
    # Groups are the slowest axis in memory, so that sums over them run along rows of draws.
    stretched = (k[:, None] * (values - centre)[:, None, None] + noise.T[:, None, :]).transpose(1, 2, 0)
    reached = spread(stretched) >= observed * (1 - 1e-12)
    share = np.maximum.accumulate(reached.mean(axis=1))

    def first(level: float) -> float:
        """Return k * observed at which P comes up to a level; 0 where it starts above."""
        if share[0] >= level:
            return 0.0
        above = int(np.argmax(share >= level)) if share[-1] >= level else _GRID - 1
        rise = share[above] - share[above - 1]
        part = (level - share[above - 1]) / rise if rise > 0 else 1.0
        return float(k[above - 1] + min(part, 1.0) * (k[above] - k[above - 1])) * observed

    high = None if share[0] > 1 - alpha / 2 else max(first(1 - alpha / 2), observed)
    return Inverted(floor, min(first(0.5), observed), first(alpha / 2), high)
