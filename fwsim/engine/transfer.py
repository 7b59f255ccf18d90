"""Copies between CPU and GPU that do not wait: inputs to a device, and blocks of a run to the recorder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from fwsim.engine.observer import Block

Arrival = Callable[[], Block]


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device; from the CPU to a GPU it goes through pinned memory, so that nothing waits for it."""
    pinned = device.type == "cuda" and values.device != device
    source = values.pin_memory() if pinned and not values.is_cuda else values
    return source.to(device, non_blocking=pinned)


def arriving(blocks: Iterator[Block], device: torch.device) -> Iterator[Block]:
    """Blocks in the order in which they are computed, with what is to be recorded in the memory of the CPU.

    From a CUDA device they arrive one late: a block is handed over when its successor has been launched, so that the
    device computes while the CPU writes. Two blocks are in pinned memory at most.
    """
    return blocks if device.type == "cpu" else one_late(blocks, pinned(device))


def one_late(blocks: Iterator[Block], send: Callable[[Block], Arrival]) -> Iterator[Block]:
    """Blocks that are sent off at once, and handed over when the next one is on its way, or could not be computed."""
    waiting: Arrival | None = None
    while True:
        try:
            sent = send(next(blocks))
        except BaseException as end:
            if waiting is not None:
                yield waiting()
            if isinstance(end, StopIteration):
                return
            raise
        if waiting is not None:
            yield waiting()
        waiting = sent


def pinned(device: torch.device) -> Callable[[Block], Arrival]:
    """Return a function that begins to copy a block on a stream of its own; what it returns waits for the copy."""
    side = torch.cuda.Stream(device)

    def copied(values: Tensor) -> Tensor:
        # The pages come from a cache that has those of the block before last.
        return torch.empty(values.shape, dtype=values.dtype, pin_memory=True).copy_(values, non_blocking=True)

    def send(block: Block) -> Arrival:
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            samples = {name: copied(values) for name, values in block.samples.items()}
            finite = copied(block.finite)
            done = side.record_event()

        def arrive() -> Block:
            done.synchronize()  # until then `block` keeps the device from using its memory again
            return replace(block, samples=samples, finite=finite)

        return arrive

    return send
