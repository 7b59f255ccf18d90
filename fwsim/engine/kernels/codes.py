"""Numbers of the conventions, as compiled kernels are told them."""

from __future__ import annotations

ACTIVATIONS = {"relu": 0, "tanh": 1, "sign": 2}
NORMALISATIONS = {"none": 0, "inner": 1, "all": 2}
