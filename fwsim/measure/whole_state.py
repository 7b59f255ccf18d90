"""One step of a network as a map of its whole state: activity, synapses and memory as one vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
import xarray as xr
from torch import Tensor

from fwsim.engine.drive import Drive
from fwsim.engine.kernels import reference
from fwsim.engine.network import FastWeightNetwork
from fwsim.engine.rate.network import RateNetwork
from fwsim.engine.rate.state import pack, plastic, unpack
from fwsim.engine.rate.step import Moment, Stepper
from fwsim.engine.state import State
from fwsim.errors import ConfigError, RecordingError, ShapeError, type_of
from fwsim.measure.composite import Composite, Parts
from fwsim.measure.recorded import recorded
from fwsim.names import KnownArguments

Network = RateNetwork | FastWeightNetwork


@dataclass(frozen=True, eq=False)
class NetworkMap(KnownArguments):
    """One step of a network, without noise, as a map of its whole state.

    The state is one vector for each trial: `hidden`, then the variables of plastic synapses (`u`, `x`, …), then the
    `memory`. The map can be given to `fixed_points`, `continuation` and `basins`. It is computed in plain torch, which
    can be differentiated any number of times, whatever the network's own kernel.

    Parameters
    ----------
    net
        A `RateNetwork` or `FastWeightNetwork`, in float64 for precise results (`net.double()`). Make a new map after
        its parameters have changed.

    Examples
    --------
    >>> import fwsim as fw
    >>> synapse = fw.TsodyksMarkram(U=0.2, tau_rec=0.2, tau_facil=1.5)
    >>> net = fw.RateNetwork([fw.Projection([[0.5]], synapse=synapse)], tau=0.01, dt=0.001).double()
    >>> step = fw.measure.NetworkMap(net)
    >>> step.composite.shapes
    {'hidden': (1,), 'u': (1,), 'x': (1,)}
    >>> point = fw.measure.fixed_points(lambda states: step(states, torch.ones(1).double()), step.rest(1))
    >>> step.split(torch.as_tensor(point.state.values)).variables["u"].shape
    torch.Size([1, 1, 1])
    """

    net: Network

    def __post_init__(self) -> None:
        if not isinstance(self.net, Network):
            raise ConfigError(f"net is {type_of(self.net)}; give a RateNetwork or a FastWeightNetwork")

    @cached_property
    def composite(self) -> Composite:
        """Names and shapes of the parts of the vector."""
        parts = self._parts(self.net.initial_state(self.trials))
        return Composite({name: tuple(value.shape[1:]) for name, value in parts.items()})

    def __call__(self, states: Tensor, drive: Tensor | None = None, kick: Tensor | None = None) -> Tensor:
        """The states after one step.

        Parameters
        ----------
        states
            `[batch, unit]`.
        drive
            Input during the step, `[batch, input]` or `[input]`; `None` is an input of 0.
        kick
            Added to `hidden` after the step, as noise is, `[batch, unit]`.
        """
        parts = self.composite.split(states)
        hidden = parts["hidden"]
        if self.trials > 1 and len(hidden) != self.trials:
            raise ShapeError(
                f"states has shape {list(states.shape)}; the network's parameters are for {self.trials} trials, give "
                "as many"
            )
        drive = hidden.new_zeros(self.net.inputs) if drive is None else drive
        if drive.shape[-1] != self.net.inputs:
            raise ShapeError(
                f"drive has shape {list(drive.shape)}; give [batch, input] with input={self.net.inputs}"
            )
        drive = drive.expand(len(hidden), self.net.inputs)
        moved = (
            self._rate(parts, drive)
            if isinstance(self.net, RateNetwork)
            else self._fast_weights(parts, drive)
        )
        if kick is not None:
            moved["hidden"] = moved["hidden"] + kick
        return self.composite.flatten(moved)

    def join(self, state: State) -> Tensor:
        """A network's state as vectors `[batch, unit]`."""
        return self.composite.flatten(self._parts(state)).detach()

    def split(self, states: Tensor) -> State:
        """Vectors `[batch, unit]` as a state of the network, at step 0."""
        parts = self.composite.split(states)
        if isinstance(self.net, RateNetwork):
            return pack(self.net, self._moment(parts), 0)
        return State(parts["hidden"], parts.get("memory"))

    def rest(self, batch: int) -> Tensor:
        """The state of rest, `[batch, unit]`."""
        return self.join(self.net.initial_state(batch))

    def first_step(self, run: xr.Dataset) -> int:
        """Number of steps of a recording's own run that had passed at the first recorded state."""
        time = float(recorded(run, "hidden")["time"].values[0])
        passed = round(time / self.net.dt) - int(run.attrs.get("first_step", 0))
        if passed < 0:
            raise RecordingError(f"the first recorded time, {time:g} s, lies before the recording's own run")
        return passed

    def path(self, run: xr.Dataset) -> Tensor:
        """States of a recording as vectors `[time, trial, unit]`; all their variables must be recorded at every step.

        Raises
        ------
        RecordingError
            A variable is missing, or not recorded at every step of the network.
        """
        if "hidden" not in run:
            raise RecordingError("the recording has no 'hidden'; record it: simulate(..., record=['hidden'])")
        hidden = recorded(run, "hidden")
        names = list(self.net.initial_state(self.trials).variables)
        names += ["memory"] if "memory" in self.composite.shapes else []
        parts = {name: _every_step(run, name, self.net.dt, hidden) for name in ("hidden", *names)}
        return torch.stack([self._recorded(parts, time) for time in range(hidden.sizes["time"])])

    def _recorded(self, parts: Mapping[str, xr.DataArray], time: int) -> Tensor:
        """The vectors at one recorded time."""
        like = self.net.weights[0] if isinstance(self.net, RateNetwork) else self.net.W
        values = {name: torch.tensor(part.isel(time=time).values).to(like) for name, part in parts.items()}
        return self.join(State(values.pop("hidden"), values.pop("memory", None), 1, values))

    @property
    def trials(self) -> int:
        """Number of trials that the network's parameters are for, 1 if they are the same for all."""
        if isinstance(self.net, RateNetwork):
            return self.net.batch or 1
        return 1 if self.net.memory is None else self.net.memory.batch or 1

    def _parts(self, state: State) -> Parts:
        if not isinstance(self.net, RateNetwork):
            return {"hidden": state.hidden} | ({} if state.memory is None else {"memory": state.memory})
        now = unpack(self.net, state)
        parts = {"hidden": now.hidden}
        for suffix, values in zip(self._suffixes, now.synapses):
            parts |= {f"{name}{suffix}": value for name, value in values.items()}
        return parts if now.memory is None else parts | {"memory": now.memory}

    @property
    def _suffixes(self) -> list[str]:
        """What tells the variables of several plastic projections apart."""
        count = len(plastic(self.net)) if isinstance(self.net, RateNetwork) else 0
        return [""] if count == 1 else [f"_{row}" for row in range(count)]

    def _moment(self, parts: Mapping[str, Tensor]) -> Moment:
        assert isinstance(self.net, RateNetwork)
        synapses = tuple(
            {name: parts[f"{name}{suffix}"] for name in each.places}
            for suffix, each in zip(self._suffixes, plastic(self.net).values())
        )
        return Moment(parts["hidden"], synapses, parts.get("memory"))

    @cached_property
    def _stepper(self) -> Stepper:
        assert isinstance(self.net, RateNetwork)
        return self.net.stepper()

    def _rate(self, parts: Parts, drive: Tensor) -> Parts:
        now = self._stepper.step(self._moment(parts), drive)
        moved = {"hidden": now.hidden}
        for suffix, values in zip(self._suffixes, now.synapses):
            moved |= {f"{name}{suffix}": value for name, value in values.items()}
        return moved if now.memory is None else moved | {"memory": now.memory}

    def _fast_weights(self, parts: Parts, drive: Tensor) -> Parts:
        net = self.net
        assert isinstance(net, FastWeightNetwork)
        hidden = parts["hidden"]
        trace = net.trace(State(hidden, parts.get("memory")))
        result = reference.run(net.cell(), Drive(drive[:, None], net.C, net.b), hidden, trace, chunk=1)
        moved = {"hidden": result.hidden[:, -1]}
        return moved if result.trace is None else moved | {"memory": result.trace.memory()}


def _every_step(run: xr.Dataset, name: str, dt: float, hidden: xr.DataArray) -> xr.DataArray:
    """A recorded variable with all axes of a state, after a check that it is there at every step."""
    values = recorded(run, name)
    times = values["time"].values
    same = len(times) == hidden.sizes["time"] and bool((times == hidden["time"].values).all())
    if not same or (abs(times[1:] - times[:-1] - dt) > 1e-6 * dt).any():
        raise RecordingError(
            f"{name} is not recorded at every step of {dt:g} s; exponents along a recording need every=1"
        )
    optional = {"hidden": (), "memory": ("timescale",)}.get(name, ("projection",))
    values = values.expand_dims([dim for dim in ("trial", *optional) if dim not in values.dims])
    return values.transpose("trial", "time", *optional, ...)
