"""Confidence intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri


def wilson(successes: ArrayLike, trials: ArrayLike, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a probability from counts: lower and upper ends, of the counts' shape.

    Source: Wilson 1927, J. Am. Stat. Assoc. 22:209.
    """
    successes, trials = np.asarray(successes, float), np.asarray(trials, float)
    z = ndtri((1 + level) / 2)
    share, weight = successes / trials, z**2 / trials
    centre = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * np.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    return np.clip(centre - half, 0, share), np.clip(centre + half, share, 1)
