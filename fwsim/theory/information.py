"""Information in recalled patterns."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from fwsim.errors import ConfigError
from fwsim.names import known_arguments
from fwsim.theory.values import numbers

ROUNDING = 1e-3
"""Rounding by which overlaps may exceed 1, in half precision."""


@known_arguments
def binary_information(overlap: ArrayLike) -> np.ndarray:
    """Bits that one unit of a recalled ±1 pattern carries about the stored one, 1 − H₂((1+m)/2); NaN where m is."""
    size = np.abs(numbers("overlap", overlap))
    if bool((size > 1 + ROUNDING).any()):
        raise ConfigError(f"overlaps reach {np.nanmax(size):g}; cosines lie between -1 and 1")
    wrong = (1 - np.clip(size, 0.0, 1.0)) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -wrong * np.log2(wrong) - (1 - wrong) * np.log1p(-wrong) / math.log(2.0)
    return (1.0 - np.where(wrong == 0, 0.0, entropy))[()]
