"""Confidence intervals."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

from fwsim.errors import ConfigError, ShapeError, number, whole
from fwsim.measure.recorded import numbers
from fwsim.names import known_arguments
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


@known_arguments
def bootstrap(
    values: ArrayLike,
    statistic: Callable[[np.ndarray], Any] | None = None,
    *,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> np.ndarray:
    """Statistic of a mean over repetitions, with the interval that Student's t gives.

    This is a parametric bootstrap: means are drawn around the measured one from the t distribution with the covariance
    of the repetitions, and the interval has the percentiles of their statistics. Resampling the repetitions themselves
    covers the true value in only 75 % for three of them, and 85 % for five. The interval of the mean itself is the
    usual one, without draws.

    Parameters
    ----------
    values
        `[repetition, ...]`. Repetitions are independent: networks, subjects or seeds, not points of a grid.
    statistic
        Of the mean over repetitions, a number or an array; by default the mean itself.
    level
        Probability of the interval.
    draws, seed
        Number of means that are drawn, and their seed.

    Returns
    -------
    ndarray
        Estimate, low, high along the first axis; all NaN if a repetition is NaN. The ends are NaN also for a single
        repetition, which says nothing about others, or if no draw gives a number. The interval supposes means that are
        normally distributed, and may go beyond the limits of a quantity. Repetitions that are all alike have one of
        width 0, which says nothing if they are few.

    Raises
    ------
    ConfigError, ShapeError
        There is nothing to average, or `level` or `draws` is not allowed.

    Notes
    -----
    Student 1908, Biometrika 6:1.
    """
    number("level", level, above=0, below=1)
    whole("draws", draws, least=1)
    check_seed(seed)
    if statistic is not None and not callable(statistic):
        raise ConfigError(
            f"statistic={statistic!r} is not a function; give one of a mean, or None for the mean itself"
        )
    repeated = numbers(values, "values").astype(float)
    if not repeated.ndim or not repeated.size:
        raise ShapeError(f"values have shape {list(repeated.shape)}; give one or more, [repetition, ...]")
    count, mean = len(repeated), repeated.mean(0)
    try:
        estimate = np.asarray(mean if statistic is None else statistic(mean), float)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"statistic fails for the mean: {error}; give a function of a mean to numbers"
        ) from error
    if count == 1:
        return np.array([estimate, estimate * np.nan, estimate * np.nan])
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN
        deviation = (repeated - mean) / math.sqrt(count * (count - 1))
        if statistic is None:
            half = stdtrit(count - 1, (1 + level) / 2) * np.sqrt((deviation**2).sum(0))
            return np.array([mean, mean - half, mean + half])
        random = numpy_generator(seed)
        weights = random.standard_normal((draws, count))
        weights /= np.sqrt(random.chisquare(count - 1, (draws, 1)) / (count - 1))
        means = mean + np.tensordot(weights, deviation, 1)
    found = np.array([statistic(each) for each in means], float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN
        low, high = np.nanquantile(found, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.array([estimate, low, high], float)


@known_arguments
def welch(values: ArrayLike, others: ArrayLike, *, level: float = 0.95) -> np.ndarray:
    """Difference of the means of two independent groups, with Welch's t interval.

    Parameters
    ----------
    values, others
        `[repetition]`, independent; their variances may differ. Repetitions that are NaN are left out.
    level
        Probability of the interval.

    Returns
    -------
    ndarray
        Mean of `values` minus mean of `others`, low, high; NaN without repetitions, and ends that are NaN for a
        single one. If all repetitions within each group are alike, the interval has width 0, which says nothing if they
        are few.

    Raises
    ------
    ConfigError, ShapeError
        `level` is not between 0 and 1, or a group is not an array of real numbers.

    Notes
    -----
    Welch 1947, Biometrika 34:28.

    Examples
    --------
    >>> welch([3.0, 4.0, 5.0], [1.0, 2.0, 3.0]).round(2).tolist()
    [2.0, -0.27, 4.27]
    """
    number("level", level, above=0, below=1)
    one, other = (
        np.ravel(numbers(given, name).astype(float))
        for name, given in (("values", values), ("others", others))
    )
    one, other = one[np.isfinite(one)], other[np.isfinite(other)]
    if not (len(one) and len(other)):
        return np.full(3, np.nan)
    change = one.mean() - other.mean()
    if min(len(one), len(other)) < 2:
        return np.array([change, np.nan, np.nan])
    squares = np.array([each.var(ddof=1) / len(each) for each in (one, other)])
    if not squares.any():  # repetitions that are all alike
        return np.array([change, change, change])
    freedom = squares.sum() ** 2 / (squares[0] ** 2 / (len(one) - 1) + squares[1] ** 2 / (len(other) - 1))
    half = stdtrit(freedom, (1 + level) / 2) * math.sqrt(squares.sum())
    return np.array([change, change - half, change + half])
