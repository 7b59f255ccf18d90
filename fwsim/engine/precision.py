"""Networks under `torch.autocast`: they keep the precision of their parameters, since a memory sums up many writes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

UNCHANGED: AbstractContextManager[None] = nullcontext()


def automatic(device: torch.device) -> bool:
    """Whether `torch.autocast` is under way on a device."""
    return device.type != "meta" and torch.is_autocast_enabled(device.type)


def own_precision(device: torch.device) -> AbstractContextManager[None]:
    """Return a context without `torch.autocast`, of which kernels and states would get numbers of another width."""
    return torch.autocast(device.type, enabled=False) if automatic(device) else UNCHANGED
