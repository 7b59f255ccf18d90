"""Random streams of torch, NumPy, Brian2 and scikit-learn from one seed, which is any integer of at least 0.

Brian2 and scikit-learn take 32 bits, and torch's generator on the CPU uses only the last 32 bits. So a seed
below 2³² is passed on unchanged, and `numpy.random.SeedSequence`, which uses all bits, maps a larger one
to 32 bits. NumPy's own generators take integers of any size.

One seed gives many independent streams: `stream_seed` makes the seed of a stream from its name or number. A last
number 0 changes nothing, since `SeedSequence` fills up with zeros: stream (1, 0) is stream 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from fwsim.errors import instance, whole

if TYPE_CHECKING:
    import torch

BITS = 32


def check_seed(seed: object) -> None:
    """Raise `ConfigError` unless a seed is an integer of at least 0."""
    whole("seed", seed, most=math.inf)


def check_generator(generator: object) -> None:
    """Raise `ConfigError` unless it is a generator of torch; `None` would be the global one, which has no seed here."""
    import torch

    instance("generator", generator, torch.Generator, "a torch.Generator: torch.Generator().manual_seed(0)")


def seed_of_32_bits(seed: int) -> int:
    """Seed below 2³² for generators with 32 bits, such as those of Brian2 and scikit-learn.

    Raises
    ------
    ConfigError
        The seed is no integer of at least 0.
    """
    check_seed(seed)
    if int(seed) < 2**BITS:
        return int(seed)
    return int(np.random.SeedSequence(int(seed)).generate_state(1, np.uint32)[0])


def stream_seed(seed: int, *stream: str | int) -> int:
    """Seed of one of the streams of a seed, of 63 bits; streams of other names or numbers are independent of it.

    Raises
    ------
    ConfigError
        The seed is no integer of at least 0.
    """
    check_seed(seed)
    key: list[int] = []
    for each in stream:
        key += _words(each) if isinstance(each, str) else [int(each)]
    state = np.random.SeedSequence([int(seed), *key]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))  # 63 bits fit a signed integer


def numpy_generator(seed: int, *stream: int) -> np.random.Generator:
    """NumPy's generator of a seed; integers after it name one of several streams.

    Raises
    ------
    ConfigError
        The seed is no integer of at least 0.
    """
    check_seed(seed)
    return np.random.default_rng([int(seed), *stream] if stream else int(seed))


def torch_generator(seed: int, *stream: str | int, device: Any = "cpu") -> torch.Generator:
    """Torch's generator of a seed, or of one of its streams.

    Raises
    ------
    ConfigError
        The seed is no integer of at least 0.
    """
    import torch

    own = stream_seed(seed, *stream) if stream else seed_of_32_bits(seed)
    return torch.Generator(device=device).manual_seed(own)


@contextmanager
def torch_random_state(seed: int, device: Any = "cpu") -> Iterator[None]:
    """Seed torch's global generators, of the CPU and of a GPU, and restore them afterwards.

    For modules that have no argument for a generator: initial weights of layers, dropout.
    """
    import torch

    gpu = torch.device(device).type == "cuda"
    with torch.random.fork_rng(devices=[device] if gpu else []):
        torch.default_generator.manual_seed(seed)
        if gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _words(name: str) -> list[int]:
    return np.frombuffer(sha256(name.encode()).digest(), dtype=np.uint32).tolist()
