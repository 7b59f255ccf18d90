"""Confidence intervals."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from fwsim.errors import ShapeError, number, whole
from fwsim.measure.recorded import numbers
from fwsim.seeds import check_seed, numpy_generator


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


def bootstrap(
    values: ArrayLike,
    statistic: Callable[[np.ndarray], Any] = lambda mean: mean,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> np.ndarray:
    """Statistic of a mean over repetitions, with its percentile interval over resampled repetitions.

    Parameters
    ----------
    values
        `[repetition, ...]`.
    statistic
        Of the mean over repetitions, a number or an array.
    level
        Probability of the interval.
    draws, seed
        Number of resamplings, and their seed.

    Returns
    -------
    ndarray
        Estimate, low, high along the first axis; all NaN if a repetition is NaN. The ends are NaN also if no
        resampling gives a number. With few repetitions the interval is not wider than their range.

    Raises
    ------
    ConfigError, ShapeError
        There is nothing to resample, or `level` or `draws` is not allowed.
    """
    number("level", level, above=0, below=1)
    whole("draws", draws, least=1)
    check_seed(seed)
    repeated = numbers(values, "values").astype(float)
    if not repeated.ndim or not repeated.size:
        raise ShapeError(f"values have shape {list(repeated.shape)}; give one or more, [repetition, ...]")
    random = numpy_generator(seed)
    chosen = random.integers(len(repeated), size=(draws, len(repeated)))
    weights = np.apply_along_axis(np.bincount, 1, chosen, minlength=len(repeated)) / len(repeated)
    with np.errstate(invalid="ignore"):  # infinity times 0 is NaN
        means = np.tensordot(weights, repeated, 1)
    found = np.array([statistic(mean) for mean in means], float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN
        low, high = np.nanquantile(found, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.array([statistic(repeated.mean(0)), low, high], float)
