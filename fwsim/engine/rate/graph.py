"""The step of a rate network as a CUDA graph: dozens of small kernels, launched as one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fwsim.engine.rate.step import Moment, Stepper

Step = Callable[[Moment, Tensor], Moment]
WARM_UP = 3  # steps before the one that is recorded, in which libraries make what they need


def recorded(stepper: Stepper, now: Moment, drive: Tensor) -> Step:
    """Return `stepper.step`, on a GPU as a graph that is recorded here and replayed in each step.

    Parameters
    ----------
    stepper
        The network.
    now, drive
        A state and an input `[batch, unit]` as the steps will be given them.

    Returns
    -------
    Step
        `stepper.step` itself off a GPU, with gradients, and where a step cannot be recorded, as with a gain that asks
        the CPU for a number.
    """
    if drive.device.type != "cuda" or torch.is_grad_enabled():
        return stepper.step
    try:
        with torch.cuda.device(drive.device):
            return _record(stepper, now, drive)
    except RuntimeError:
        return stepper.step


def _record(stepper: Stepper, now: Moment, drive: Tensor) -> Step:
    before, held = _copied(now), drive.clone()
    side, main = torch.cuda.Stream(drive.device), torch.cuda.current_stream(drive.device)
    side.wait_stream(main)
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            stepper.step(before, held)
    main.wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        after = stepper.step(before, held)

    def step(now: Moment, drive: Tensor) -> Moment:
        for place, value in zip(_tensors(before), _tensors(now)):
            place.copy_(value)
        held.copy_(drive)
        graph.replay()
        return _copied(after)  # the next replay writes over it

    return step


def _tensors(now: Moment) -> list[Tensor]:
    synapses = [value for state in now.synapses for value in state.values()]
    return [now.hidden, *synapses, *([] if now.memory is None else [now.memory])]


def _copied(now: Moment) -> Moment:
    def copy(value: Tensor) -> Tensor:
        return value.clone(memory_format=torch.contiguous_format)

    synapses = tuple({name: copy(value) for name, value in state.items()} for state in now.synapses)
    return Moment(copy(now.hidden), synapses, None if now.memory is None else copy(now.memory))
