"""Lyapunov exponents of maps by repeated orthogonalisation."""

from __future__ import annotations

import math

import torch
import xarray as xr
from torch import Tensor

from fwsim.errors import DivergedError, number, whole
from fwsim.measure.differentiation import Step, checked_states, pushforward, require_derivative
from fwsim.progress import track
from fwsim.units import checked

SAMPLES = 20
"""The running estimate has this many samples, and the error is estimated from this many blocks."""


def lyapunov_exponents(
    step: Step,
    start: Tensor,
    steps: int,
    dt: float = 1.0,
    *,
    modes: int | None = None,
    transient: int = 0,
) -> xr.Dataset:
    """Lyapunov exponents of a map from products of its Jacobians, orthogonalised (QR) at every step.

    Parameters
    ----------
    step
        One step of `dt` seconds, `[batch, unit]` → `[batch, unit]` in torch, the same for every row: a map,
        or the integrator of a flow. It is differentiated in forward mode.
    start
        `[trial, unit]`; its dtype and device are used.
    steps
        Number of steps that are averaged.
    dt
        Seconds per step.
    modes
        Number of exponents, the largest first; all of them by default.
    transient
        Steps before averaging begins, in which the tangent vectors align.

    Returns
    -------
    Dataset
        `exponent[trial, mode]`, descending, per second (−∞ for a direction that the map sets to zero);
        `error[trial, mode]`, its standard error from 20 blocks of the run;
        `running[trial, sample, mode]`, the estimate after `time[sample]` seconds, to judge convergence;
        `dimension[trial]`, the Kaplan–Yorke dimension, in which exponents within two standard errors of 0 count as
        0, so that a limit cycle has dimension 1; NaN if more modes are needed for it.
        With all modes, Σ exponent = ⟨log |det J|⟩/dt to rounding.

    Raises
    ------
    DivergedError
        The state, or the growth of a small distance to it, became infinite or NaN.

    Notes
    -----
    Benettin et al. 1980, Meccanica 15:9; Geist, Parlitz & Lauterborn 1990, Prog. Theor. Phys. 83:875.
    """
    state = checked_states("start", start, step)
    require_derivative(state, step)
    trials, units = state.shape
    modes = units if modes is None else modes
    for name, count, least in (("modes", modes, 1), ("steps", steps, 1), ("transient", transient, 0)):
        whole(name, count, least=least)
    number("modes", modes, most=units)
    dt = checked("dt", dt, "time", above=0)
    tangents = torch.eye(units, modes, dtype=state.dtype, device=state.device).expand(trials, units, modes)
    ends = (
        [math.ceil(steps * (i + 1) / SAMPLES) for i in range(SAMPLES)]
        if steps >= SAMPLES
        else range(1, steps + 1)
    )
    blocks, block = [], torch.zeros(trials, modes, dtype=state.dtype, device=state.device)
    with torch.no_grad(), track("Lyapunov exponents", transient + steps) as advance:
        for t in range(1 - transient, steps + 1):
            state, tangents = pushforward(step, state, tangents)
            if not bool(tangents.isfinite().all()):
                _require_finite(tangents.flatten(1), t + transient, "tangent")
            tangents, upper = torch.linalg.qr(tangents)
            if t > 0:
                block = block + upper.diagonal(dim1=-2, dim2=-1).abs().log()
            if t in ends:
                _require_finite(state, t + transient)
                blocks.append(block)
                block = torch.zeros_like(block)
            advance()
    return _summary(torch.stack(blocks).cpu(), torch.tensor(list(ends), dtype=torch.float64), dt)


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
