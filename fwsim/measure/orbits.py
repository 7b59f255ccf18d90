"""Systems with an input as a step for each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import xarray as xr
from torch import Tensor

from fwsim.engine.inputs import as_drive
from fwsim.engine.rate.network import RateNetwork
from fwsim.engine.state import State
from fwsim.errors import ConfigError, ShapeError, type_of
from fwsim.measure.differentiation import Step, as_tensor, checked_states, require_derivative
from fwsim.measure.whole_state import Network, NetworkMap
from fwsim.units import checked

DrivenStep = Callable[[Tensor, Tensor], Tensor]
"""A map of states `[batch, unit]` and input `[batch, input]`, applied to every row separately."""


@dataclass(frozen=True, eq=False)
class Orbit:
    """Where tangent vectors are moved along.

    Parameters
    ----------
    step
        Time step, from 0, → the map `[trial, unit]` → `[trial, unit]` of that step.
    start
        `[trial, unit]`.
    dt
        Seconds per step.
    later
        States after each step, `[time, trial, unit]`, if they are given; otherwise the maps produce them.
    """

    step: Callable[[int], Step]
    start: Tensor
    dt: float
    later: Tensor | None = None


def orbit(
    step: Callable[..., Tensor] | Network, start: Any, steps: int, dt: float | None, drive: Any, seed: int
) -> Orbit:
    """Check a system, its start and its input for a run of some steps; see `lyapunov_exponents`."""
    if isinstance(step, Network):
        return _of_network(NetworkMap(step), start, steps, dt, drive, seed)
    dt = checked("dt", 1.0 if dt is None else dt, "time", above=0)
    if drive is None:
        start = checked_states("start", start, step)
        require_derivative(start, step)
        return Orbit(lambda t: step, start, dt)
    drive, start = as_tensor(drive), as_tensor(start)
    if not isinstance(drive, Tensor) or drive.ndim != 3:
        raise ShapeError(f"drive is {_described(drive)}; give a tensor [trial, time, input]")
    if not callable(step):
        raise ConfigError(
            f"step is {step!r}; give a function of states [batch, unit] and input [batch, input]"
        )
    if not isinstance(start, Tensor) or start.ndim != 2:
        raise ShapeError(f"start is {_described(start)}; give a tensor [trial, unit]")
    drive = _as_long(drive, len(start), steps).to(start)

    def at(t: int) -> Step:
        return lambda x: step(x, drive[: len(x), t])

    start = checked_states("start", start, at(0))
    require_derivative(start, at(0))
    return Orbit(at, start, dt)


def _of_network(system: NetworkMap, start: Any, steps: int, dt: float | None, drive: Any, seed: int) -> Orbit:
    net = system.net
    if dt is not None and dt != net.dt:
        raise ConfigError(f"dt={dt!r} differs from the network's {net.dt:g} s; leave it out")
    like = net.weights[0] if isinstance(net, RateNetwork) else net.W
    if drive is not None:
        drive = as_drive(
            "drive", drive, like, net.inputs, net.input_axis if isinstance(net, RateNetwork) else "input"
        )
    later, passed = None, 0
    if isinstance(start, xr.Dataset):
        path = system.path(start)
        if len(path) < steps + 1:
            raise ShapeError(f"the recording has {len(path)} times; {steps} steps need {steps + 1}")
        passed = system.first_step(start)  # 1, unless the recording begins later
        start, later = path[0], path[1:]
    elif start is None:
        start = net.initial_state(system.trials if drive is None or len(drive) == 1 else len(drive))
    vectors = _vectors(system, start)
    drive = None if drive is None else _as_long(drive, len(vectors), passed + steps)[:, passed:]
    kicks = None
    if isinstance(net, RateNetwork) and later is None:
        begun = start if isinstance(start, State) else net.initial_state(len(vectors))
        kicks = net.kicks(begun, steps, seed)
        kicks = None if kicks is None else kicks.detach()

    def at(t: int) -> Step:
        given, kick = None if drive is None else drive[:, t], None if kicks is None else kicks[t]
        return lambda x: system(x, given, kick)

    return Orbit(at, checked_states("start", vectors, at(0)), net.dt, later)


def _vectors(system: NetworkMap, start: Any) -> Tensor:
    if isinstance(start, State):
        return system.join(start)
    start = as_tensor(start)
    if isinstance(start, Tensor):
        return start
    raise ConfigError(f"start is {type_of(start)}; give a State, a recording, None or a tensor [trial, unit]")


def _as_long(drive: Tensor, trials: int, steps: int) -> Tensor:
    """A drive for all trials, after a check that it is long enough."""
    if len(drive) not in (1, trials) or drive.shape[1] < steps:
        raise ShapeError(
            f"drive has shape {list(drive.shape)}; {trials} trials and {steps} steps, transient included, need "
            f"[{trials} or 1, at least {steps}, input]"
        )
    return drive.expand(trials, -1, -1)


def _described(value: Any) -> str:
    return f"a tensor {list(value.shape)}" if isinstance(value, Tensor) else type_of(value)
