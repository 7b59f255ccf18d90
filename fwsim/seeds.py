"""From one seed, any integer of at least 0, to the random streams of torch, NumPy, Brian2 and scikit-learn.

Brian2 and scikit-learn take 32 bits, and of more bits torch's generator on the CPU uses the last 32 only. So a seed
below 2³² is handed on as it is, and a larger one folded by `numpy.random.SeedSequence`, for which all its bits count.
NumPy's own generators take integers of any size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fwsim.errors import whole

if TYPE_CHECKING:
    import torch

BITS = 32


def check_seed(seed: object) -> None:
    """Raise `ConfigError` unless a seed is an integer of at least 0."""
    whole("seed", seed)


def folded(seed: int) -> int:
    """The seed below 2³², as Brian2 and scikit-learn take it.

    Raises
    ------
    ConfigError
        The seed is no integer of at least 0.
    """
    check_seed(seed)
    if int(seed) < 2**BITS:
        return int(seed)
    return int(np.random.SeedSequence(int(seed)).generate_state(1, np.uint32)[0])


def numpy_generator(seed: int, *stream: int) -> np.random.Generator:
    """NumPy's generator of a seed; integers after it name one of several streams.

    Raises
    ------
    ConfigError
        The seed is no integer of at least 0.
    """
    check_seed(seed)
    return np.random.default_rng([int(seed), *stream] if stream else int(seed))


def torch_generator(seed: int, device: Any = "cpu") -> torch.Generator:
    """Torch's generator of a seed.

    Raises
    ------
    ConfigError
        The seed is no integer of at least 0.
    """
    import torch

    return torch.Generator(device=device).manual_seed(folded(seed))
