"""Merging of states that are equal up to rounding."""

from __future__ import annotations

import torch
from torch import Tensor


def merged(states: Tensor, group: Tensor, same: float) -> Tensor:
    """Number, from 0, of the distinct point to which each of `states [row, unit]` belongs.

    The first row of a point represents it, so give rows in order of preference. Rows of different
    `group [row]` never merge; `same` is a distance relative to 1 + |state|.
    """
    owner = torch.full((len(states),), -1, dtype=torch.long, device=states.device)
    reach = same * (1 + states.norm(dim=-1))
    number = 0
    while bool((free := owner < 0).any()):
        first = int(free.nonzero()[0, 0])
        near = (states - states[first]).norm(dim=-1) <= reach[first]
        owner[free & near & (group == group[first])] = number
        number += 1
    return owner


def representatives(owner: Tensor) -> Tensor:
    """Row that represents each point, `[point]`, from the numbers that `merged` returns."""
    points = int(owner.max()) + 1 if owner.numel() else 0
    rows = torch.arange(len(owner), device=owner.device)
    first = torch.full((points,), len(owner), dtype=torch.long, device=owner.device)
    return first.scatter_reduce(0, owner, rows, "amin")
