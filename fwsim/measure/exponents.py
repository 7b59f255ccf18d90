"""Lyapunov exponents by repeated orthogonalisation: of maps, of systems with an input, and of networks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from fwsim.engine.state import State
from fwsim.errors import ConfigError, DivergedError, number, whole
from fwsim.measure.differentiation import Step, pushforward
from fwsim.measure.orbits import DrivenStep, Orbit, orbit
from fwsim.measure.whole_state import Network
from fwsim.names import known_arguments
from fwsim.progress import track
from fwsim.seeds import check_seed

SAMPLES = 20
"""The running estimate has this many samples, and the error is estimated from this many blocks."""

ROUNDING = 8
"""Growth below so many rounding errors is none: the map sets that direction to zero."""


@known_arguments
def lyapunov_exponents(
    step: Step | DrivenStep | Network,
    start: Tensor | State | xr.Dataset | None,
    steps: int,
    dt: float | None = None,
    *,
    modes: int | None = None,
    transient: int = 0,
    drive: Tensor | None = None,
    response: Sequence[int] | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Lyapunov exponents of a map from products of its Jacobians, orthogonalised (QR) at every step.

    Parameters
    ----------
    step
        One step of `dt` seconds, `[batch, unit]` → `[batch, unit]` in torch, the same for every row: a map,
        or the integrator of a flow. It is differentiated in forward mode. With a `drive` it is called with the input
        of the step too, `step(states, input)`. A `RateNetwork` or `FastWeightNetwork` is taken as it is; its exponents
        are those of activity, synapses and memory together (`fwsim.measure.NetworkMap`), computed in plain torch.
        A step may have kinks and jumps. Where a flow is reset or switched within a step, compute the time of that
        event from the state; otherwise what the event does to small distances is lost.
    start
        `[trial, unit]`; its dtype and device are used. For a network: a `State`, `None` for rest, or a recording, along
        whose states the exponents are taken. It must have `hidden` and all variables of synapses and memory at every
        step, and the whole `drive` that it was made with, also if it begins later than its run.
    steps
        Number of steps that are averaged.
    dt
        Seconds per step, 1 by default; a network has its own.
    modes
        Number of exponents, the largest first; all of them by default.
    transient
        Steps before averaging begins, in which the tangent vectors align.
    drive
        Input, `[trial, time, input]`, or `[1, time, input]` for all trials, of at least `transient + steps` steps. It
        may be the time itself, of a system that depends on it. Exponents under an input are conditional on it: they
        tell whether states with the same input approach each other.
    response
        Units of the vector `[unit]` whose exponents are wanted while all others drive them (conditional exponents);
        they must not act on the others.
    seed
        Of a rate network's noise.

    Returns
    -------
    Dataset
        `exponent[trial, mode]`, descending, per second (−∞ for a direction that the map sets to zero, up to
        rounding);
        `error[trial, mode]`, its standard error from 20 blocks of the run;
        `running[trial, sample, mode]`, the estimate after `time[sample]` seconds, to judge convergence;
        `dimension[trial]`, the Kaplan–Yorke dimension, in which exponents within two standard errors of 0 count as
        0, so that a limit cycle has dimension 1; NaN if more modes are needed for it.
        With all modes, Σ exponent = ⟨log |det J|⟩/dt to rounding.

    Raises
    ------
    ConfigError, ShapeError, RecordingError
        An argument is not allowed or does not fit; or units of the `response` act on others.
    DivergedError
        The state, or the growth of a small distance to it, became infinite or NaN.

    Notes
    -----
    Benettin et al. 1980, Meccanica 15:9; Geist, Parlitz & Lauterborn 1990, Prog. Theor. Phys. 83:875. Conditional
    exponents: Pecora & Carroll 1990, Phys. Rev. Lett. 64:821.
    """
    check_seed(seed)
    for name, count, least in (("steps", steps, 1), ("transient", transient, 0)):
        whole(name, count, least=least)
    system = orbit(step, start, transient + steps, dt, drive, seed)
    tangents = _tangents(system, modes, response)
    ends = (
        [math.ceil(steps * (i + 1) / SAMPLES) for i in range(SAMPLES)]
        if steps >= SAMPLES
        else range(1, steps + 1)
    )
    state, fixed = system.start, None if response is None else _others(system, response)
    blocks, block = [], torch.zeros_like(tangents[:, 0])
    with torch.no_grad(), track("Lyapunov exponents", transient + steps) as advance:
        for t in range(1 - transient, steps + 1):
            now = t + transient - 1
            before = tangents
            state, tangents = pushforward(system.step(now), state, before)
            state = state if system.later is None else system.later[now]
            if not bool(tangents.isfinite().all()):
                _require_finite(tangents.flatten(1), t + transient, "tangent")
            if fixed is not None:
                _require_driven(tangents, fixed)
            moved = tangents
            tangents, upper = torch.linalg.qr(moved)
            if fixed is not None:
                tangents[:, fixed] = 0.0  # rounding there would grow with the exponents of the driving system
            if t > 0:
                block = block + _growth(before, moved, tangents, upper).log()
            if t in ends:
                _require_finite(state, t + transient)
                blocks.append(block)
                block = torch.zeros_like(block)
            advance()
    return _summary(torch.stack(blocks).cpu(), torch.tensor(list(ends), dtype=torch.float64), system.dt)


def _tangents(system: Orbit, modes: int | None, response: Sequence[int] | None) -> Tensor:
    """First tangent vectors `[trial, unit, mode]`: along units, or along those of the response."""
    trials, units = system.start.shape
    chosen = list(range(units)) if response is None else _units(response, units)
    modes = len(chosen) if modes is None else modes
    whole("modes", modes, least=1)
    number("modes", modes, most=len(chosen))
    identity = torch.eye(units, dtype=system.start.dtype, device=system.start.device)
    return identity[:, chosen[:modes]].expand(trials, units, modes)


def _units(response: Sequence[int], units: int) -> list[int]:
    """Units of the response as numbers, checked."""
    given = np.asarray(response)
    allowed = given.ndim == 1 and given.size and given.dtype.kind in "iu"
    if not allowed or given.min() < 0 or given.max() >= units or len({*given.tolist()}) < len(given):
        raise ConfigError(f"response={response!r} is not allowed; give different units of 0 … {units - 1}")
    return given.tolist()


def _others(system: Orbit, response: Sequence[int]) -> list[int]:
    units = system.start.shape[1]
    return [unit for unit in range(units) if unit not in _units(response, units)]


def _growth(before: Tensor, moved: Tensor, after: Tensor, upper: Tensor) -> Tensor:
    """Factors by which directions grow, `[trial, mode]`; 0 instead of the rounding errors of a singular map.

    `moved` = J · `before` = `after` · `upper`. A factor is rounding if it is below that of the sums of products
    `after`ᵀ · J · `before`, in which a small component that has no larger one beside it keeps its digits.
    """
    size = upper.diagonal(dim1=-2, dim2=-1).abs()
    rounding = ROUNDING * torch.finfo(size.dtype).eps
    if bool((size > rounding * moved.shape[1] * moved.abs().sum((1, 2))[:, None]).all()):
        return size
    jacobian = (moved @ before.mT).abs()
    return torch.where(size > rounding * (after.abs() * (jacobian @ before.abs())).sum(1), size, 0.0)


def _require_driven(tangents: Tensor, others: list[int]) -> None:
    """Raise unless a change of the response leaves all other units as they are."""
    if bool((tangents[:, others].abs() > 1e-9 * tangents.abs().amax((1, 2), keepdim=True)).any()):
        raise ConfigError(
            "units of the response act on others in a step; give the response as units of its own, beside those of the "
            "system that drives it"
        )


def _require_finite(state: Tensor, step: int, name: str = "state") -> None:
    bad = ~state.isfinite().all(-1)
    if bad.any():
        trial = int(bad.nonzero()[0, 0])
        raise DivergedError(step, name, trial, "start closer to the attractor or shorten the step")


def _summary(logs: Tensor, ends: Tensor, dt: float) -> xr.Dataset:
    """Dataset of sums of log growth `[sample, trial, mode]` over the steps between `ends [sample]`."""
    lengths = torch.diff(ends, prepend=torch.zeros(1, dtype=ends.dtype))[:, None, None]
    running = logs.cumsum(0) / (ends[:, None, None] * dt)
    exponent, order = running[-1].sort(dim=-1, descending=True)
    rates = (logs / (lengths * dt)).gather(-1, order.expand_as(logs))
    spread = rates.std(0) / math.sqrt(len(rates)) if len(rates) > 1 else torch.full_like(exponent, math.nan)
    per_second = {"units": "1/s"}
    return xr.Dataset(
        {
            "exponent": (
                ("trial", "mode"),
                exponent.numpy(),
                per_second | {"long_name": "Lyapunov exponent"},
            ),
            "error": (("trial", "mode"), spread.numpy(), per_second | {"long_name": "standard error"}),
            "running": (
                ("trial", "sample", "mode"),
                running.gather(-1, order.expand_as(running)).movedim(0, 1).numpy(),
                per_second | {"long_name": "running estimate of the Lyapunov exponent"},
            ),
            "dimension": (
                ("trial",),
                [
                    _kaplan_yorke(row)
                    for row in torch.where(exponent.abs() <= 2 * spread, 0.0, exponent).tolist()
                ],
                {"units": "1", "long_name": "Kaplan–Yorke dimension"},
            ),
        },
        coords={"time": ("sample", ends.numpy() * dt, {"units": "s", "long_name": "time"})},
    )


def _kaplan_yorke(exponents: list[float]) -> float:
    total = 0.0
    for count, exponent in enumerate(exponents):
        if total + exponent < 0:
            return count + total / -exponent
        total += exponent
    return math.nan
