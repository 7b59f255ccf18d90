"""The inner loop of a network as a map, with memory and input fixed at one moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fwsim.engine import checks
from fwsim.engine.cell import Cell
from fwsim.engine.network import FastWeightNetwork
from fwsim.engine.state import State
from fwsim.errors import ConfigError, RecordingError, ShapeError, instance
from fwsim.measure.recorded import recorded, require_dims
from fwsim.names import KnownArguments, known_arguments
from fwsim.recording.timing import at_time

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, eq=False)
class InnerLoop(KnownArguments):
    """The map h → f(LN[z + A h]) that a step iterates. Call it on states `[batch, unit]`.

    Parameters
    ----------
    cell
        Activation and normalisation.
    matrix
        A, the sum of all time scales, `[post, pre]`.
    sustained
        z, `[unit]`.
    """

    cell: Cell
    matrix: Tensor
    sustained: Tensor

    def __post_init__(self) -> None:
        instance(
            "cell", self.cell, Cell, "a network's cell; InnerLoop.of(net, ...) makes the loop of a network"
        )
        if not all(isinstance(each, Tensor) for each in (self.matrix, self.sustained)):
            raise ConfigError("matrix or sustained is no tensor; give torch tensors [post, pre] and [unit]")

    def __call__(self, states: Tensor) -> Tensor:
        """One iteration: `[batch, unit]` → `[batch, unit]`."""
        return self.cell.iterate(self.sustained.expand_as(states), states @ self.matrix.mT)

    @property
    def start(self) -> Tensor:
        """h_0, the state before the first iteration, `[1, unit]`."""
        return self.cell.start(self.sustained[None])

    def __repr__(self) -> str:
        """Show sizes, not numbers."""
        return f"InnerLoop({len(self.sustained)} units, {self.cell.activation}, normalise={self.cell.normalise!r})"

    def _repr_html_(self) -> str:
        from fwsim import notebook

        rows = [
            ("units", len(self.sustained)),
            ("activation", self.cell.activation),
            ("normalise", self.cell.normalise),
            ("matrix A", self.matrix),
            ("sustained input z", self.sustained),
        ]
        return notebook.card(
            self,
            notebook.table(("", "value"), rows),
            notebook.panels(
                notebook.heat(self.matrix, "A", "pre", "post"),
                notebook.heat(self.sustained[None], "z", "unit", ""),
            ),
        )

    def double(self) -> InnerLoop:
        """Return the same map in float64, for precise fixed points and eigenvalues."""
        cell = _changed(self.cell, Tensor.double)
        return InnerLoop(cell, self.matrix.double(), self.sustained.double())

    @classmethod
    def of(cls, net: FastWeightNetwork, state: State, x: Tensor, trial: int = 0) -> InnerLoop:
        """Return the inner loop of a step from `state` with input `x [input]`, for one trial."""
        _check(net, state, x, "[input]")
        if x.shape != (net.inputs,):
            raise ShapeError(f"x has shape {list(x.shape)}; give a tensor [input] with input={net.inputs}")
        if not bool(x.isfinite().all()):
            raise ConfigError("x is NaN or infinite somewhere; give finite numbers")
        _require_trial(trial, state.hidden.shape[0])
        with torch.no_grad():
            memory = _stored(net, state).memory
            hidden = state.hidden[trial]
            matrix = torch.zeros_like(net.W) if memory is None else memory[trial].sum(0)
            sustained = net.W @ hidden + net.C @ x.to(net.C) + net.b
        return cls(_changed(net.cell(), _kept), matrix.detach(), sustained.detach())

    @classmethod
    def at(cls, net: FastWeightNetwork, run: xr.Dataset, time: float, x: Tensor, trial: int = 0) -> InnerLoop:
        """Return the inner loop of a step with input `x [input]` after the recorded `time` (s).

        The recording must contain `hidden` and `memory` at that time: `simulate(..., record=["hidden", "memory"])`.
        """
        hidden = _sample(run, "hidden", time, trial, ("unit",))
        memory = _sample(run, "memory", time, trial, ("post", "pre"))
        memory = memory if memory.ndim == 3 else memory[None]
        units = {len(hidden), *memory.shape[1:]}
        if units != {net.units}:
            raise ShapeError(
                f"the recording has {sorted(units)} units, the network {net.units}; they do not belong"
            )
        state = State(hidden[None].to(net.W), memory[None].to(net.W), step=1)
        return cls.of(net, state, x)


@known_arguments
@torch.no_grad()
def inner_path(net: FastWeightNetwork, state: State, x: Tensor, iterations: int) -> Tensor:
    """Run the inner loop of a step for longer than the network does, with memory and input held fixed.

    Parameters
    ----------
    net
        The network.
    state
        From which the step would go on.
    x
        Input of the step, `[batch, input]`.
    iterations
        Number of iterations.

    Returns
    -------
    Tensor
        States of the inner loop from h_0 on, `[batch, iteration, unit]`; `iterations + 1` of them.

    Raises
    ------
    ConfigError, ShapeError
        State or input do not fit the network, or `iterations` is not allowed.
    """
    _check(net, state, x, "[batch, input]")
    expected = (len(state.hidden), net.inputs)
    if x.shape != expected:
        raise ShapeError(
            f"x has shape {list(x.shape)}; give a tensor [batch, input] = {list(expected)}, "
            "the input of one step"
        )
    before = _stored(net, state)
    sustained = state.hidden @ net.W.T + x.to(net.C) @ net.C.T + net.b
    _, path = net.recall(before, net.cell().start(sustained), iterations, sustained=sustained)
    return path


def _check(net: FastWeightNetwork, state: State, x: Tensor, axes: str) -> None:
    """Raise `ConfigError` unless network, state and input are what they are called."""
    instance("net", net, FastWeightNetwork, "a FastWeightNetwork")
    checks.is_state(state)
    instance("x", x, Tensor, f"a tensor {axes}, the input of one step")


def _stored(net: FastWeightNetwork, state: State) -> State:
    """The state whose memory a step reads: with its hidden state written first where the network does so."""
    if net.wiring.special:
        raise ConfigError(
            f"the inner loop of a network with {net.wiring.special} is not a map of its state and the memory alone; "
            "record 'inner' instead"
        )
    return net.write(state, state.hidden) if net.write_order == "before" and state.step else state


def _changed(cell: Cell, change: Callable[[Tensor], Tensor]) -> Cell:
    """The same step with other tensors."""
    return replace(cell, W=change(cell.W), gain=change(cell.gain), bias=change(cell.bias))


def _sample(run: xr.Dataset, name: str, time: float, trial: int, dims: tuple[str, ...]) -> Tensor:
    """Values at one time along `dims`, after time scales if there are any."""
    if name not in run:
        raise RecordingError(
            f"the recording has no {name!r}; record it: simulate(..., record=['hidden', 'memory'])"
        )
    values = recorded(run, name)
    require_dims(values, "trial", "time", *dims)
    _require_trial(trial, values.sizes["trial"])
    moment = values.isel(time=at_time(values["time"].values, time, name), trial=trial)
    sample = moment.transpose(*(("timescale",) if "timescale" in moment.dims else ()), *dims).values
    if not np.isfinite(sample).all():
        raise RecordingError(f"{name} is NaN or infinite at {time:g} s in trial {trial}; take another moment")
    return torch.tensor(sample)


def _require_trial(trial: int, trials: int) -> None:
    if isinstance(trial, bool) or not isinstance(trial, Integral) or not 0 <= trial < trials:
        raise ConfigError(f"trial={trial!r} is not there; there are {trials}, counted from 0")


def _kept(tensor: Tensor) -> Tensor:
    """A copy that later training does not change."""
    return tensor.detach().clone()
