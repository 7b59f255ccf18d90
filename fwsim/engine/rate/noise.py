"""Noise as a function of seed and step, so that a run that was cut anywhere goes on as if it was not."""

from __future__ import annotations

import torch
from torch import Tensor

from fwsim.engine.transforms import outside_transforms
from fwsim.seeds import torch_generator

CHUNK = 64  # steps drawn at once


def standard_normal(seed: int, start: int, stop: int, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Independent standard normal numbers of the steps start … stop−1, `[time, *shape]`.

    Drawn on the CPU, so that every device sees the same.
    """
    if stop <= start:
        return like.new_zeros(0, *shape)
    chunks = range(start // CHUNK, (stop - 1) // CHUNK + 1)
    with outside_transforms():
        drawn = torch.cat([_chunk(seed, index, shape, like.dtype) for index in chunks])
    first = chunks.start * CHUNK
    return drawn[start - first : stop - first].to(like.device)


def _chunk(seed: int, index: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.randn(CHUNK, *shape, generator=torch_generator(seed, index), dtype=dtype)
