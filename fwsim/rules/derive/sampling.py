"""Means for Poisson trains by simulation, if they have no closed form."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from fwsim.progress import track
from fwsim.rules.derive.propagate import relaxation_rates, transition
from fwsim.rules.derive.respond import run_events
from fwsim.rules.rule import SpikeRule
from fwsim.seeds import torch_generator

if TYPE_CHECKING:
    from torch import Tensor

TRAINS = 400
CHUNK = 200  # events between two updates of the progress bar
CHUNKS = 10  # number of chunks that are averaged
RELAXED = 5.0  # averaging begins after this many of the longest time constants


def sample_poisson(
    rule: SpikeRule, pre: Tensor, post: Tensor, start: dict[str, Tensor], *, seed: int = 0
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Mean release, its standard error over 400 independent trains, and mean state.

    Parameters
    ----------
    rule
        With tensors as parameters.
    pre, post
        Rates in Hz, of the shape of the result.
    start
        Initial state, near the mean: that of the mean field.
    seed
        Seed of the trains.
    """
    generator = torch_generator(seed)
    total = pre + post
    slowest = torch.stack([rate.min() for rate in relaxation_rates(rule).values()]).min()
    warm_up = math.ceil(RELAXED * float(total.max() / slowest) / CHUNK)
    shape = (CHUNK, TRAINS, *pre.shape)
    state = {name: value.detach().expand(shape[1:]) for name, value in start.items()}
    outputs, states = [], []
    with torch.no_grad(), track("sampling Poisson trains", warm_up + CHUNKS) as advance:
        for chunk in range(warm_up + CHUNKS):
            is_post = torch.rand(shape, generator=generator, dtype=torch.float64) * total >= pre
            output, state = run_events(rule, _intervals(total, shape, generator), is_post, state, show=False)
            if chunk >= warm_up:  # an event of a Poisson process sees the mean state
                outputs.append(output.mean(0))
                states.append(transition(rule, _intervals(total, shape[1:], generator))(state))
            advance()
    per_train = torch.stack(outputs).mean(0)
    means = {name: torch.stack([s[name] for s in states]).mean((0, 1)) for name in state}
    return per_train.mean(0), per_train.std(0) / math.sqrt(TRAINS), means


def _intervals(rate: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Exponential intervals in s; practically infinite if the rate is 0."""
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
    return -torch.log1p(-uniform) / rate.clamp(min=1e-15)
