"""Plain torch, step by step: the reference that every other kernel is held against."""

from __future__ import annotations

import torch
from torch import Tensor

from fwsim.engine.cell import Cell
from fwsim.engine.drive import Drive
from fwsim.engine.trace import Trace
from fwsim.engine.trajectory import Trajectory
from fwsim.engine.wiring import Read


def run(
    cell: Cell, drive: Drive, hidden: Tensor, trace: Trace | None, *, chunk: int | None, inner: bool = False
) -> Trajectory:
    """Run a sequence.

    Parameters
    ----------
    cell
        Parameters and conventions of a step.
    drive
        What C x + b is made of.
    hidden
        The state before the first step, `[batch, unit]`.
    trace
        The memory before the first step; `None` for a network without memory.
    chunk
        Writes between two merges of the history into the matrix: 1 is the dense form, `None` never merges
        (attention form), anything between is the hybrid.
    inner
        Whether to return the inner states.
    """
    states, paths, given = [], [], drive.values()
    for step in range(given.shape[1]):
        x, previous = drive.x[:, step], hidden
        sustained = previous @ cell.W.T + given[:, step]
        if trace is not None and cell.write == "before":
            trace = _write(trace, cell, chunk, x, previous, previous)
        read = None if trace is None else _reader(trace, cell, drive, x, previous)
        path = cell.settle(sustained, cell.start(sustained), read)
        hidden = path[-1]
        if trace is not None and cell.write == "final":
            trace = _write(trace, cell, chunk, x, previous, hidden)
        states.append(hidden)
        if inner:
            paths.append(torch.stack(path, dim=1))
    sequence = torch.stack(states, dim=1) if states else given
    every = torch.stack(paths, dim=1) if paths else given[:, :, None].expand(-1, -1, cell.inner_steps + 1, -1)
    return Trajectory(sequence, every if inner else None, trace)


def _reader(trace: Trace, cell: Cell, drive: Drive, x: Tensor, previous: Tensor) -> Read:
    return cell.wiring.reading(trace.reader(cell.wiring.static(cell.W, drive.C)), x, previous)


def _write(trace: Trace, cell: Cell, chunk: int | None, x: Tensor, previous: Tensor, state: Tensor) -> Trace:
    if cell.wiring.special:
        return trace.stored(cell.wiring.presynaptic(x, previous, state), state, **cell.gates(x, previous))
    trace = trace.written(state)
    return trace.merged() if chunk is not None and trace.history.shape[1] >= chunk else trace
