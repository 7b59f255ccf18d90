"""Covariant Lyapunov vectors: the directions that belong to the exponents."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from fwsim.engine.state import State
from fwsim.errors import ConfigError, DivergedError, whole
from fwsim.measure.differentiation import Step, pushforward
from fwsim.measure.orbits import DrivenStep, orbit
from fwsim.measure.whole_state import Network
from fwsim.names import known_arguments
from fwsim.progress import track
from fwsim.recording.labels import labelled_dataset
from fwsim.seeds import check_seed

LARGEST = 2**31
"""Bytes of what is kept between the two passes."""


@known_arguments
def covariant_vectors(
    step: Step | DrivenStep | Network,
    start: Tensor | State | xr.Dataset | None,
    steps: int,
    dt: float | None = None,
    *,
    modes: int | None = None,
    transient: int = 100,
    drive: Tensor | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Covariant Lyapunov vectors along a trajectory, by one pass forward and one pass back.

    The vector of an exponent is the direction in which a small distance grows with that exponent, forward and back in
    time; each step maps the vectors to those of the next state. They are not orthogonal: angles near 0 between growing
    and shrinking directions say that the system is close to losing the distinction.

    Parameters
    ----------
    step, start, dt, drive, seed
        As in `lyapunov_exponents`.
    steps
        Number of steps at which vectors are wanted.
    modes
        Number of vectors, those of the largest exponents; all of them by default.
    transient
        Steps before and after these, in which the vectors align. They do so at the rate of the difference between
        neighbouring exponents. A driven system needs `drive` for `steps` and both transients.

    Returns
    -------
    Dataset
        `vector[trial, time, unit, mode]`, of length 1, the sign is arbitrary; `growth[trial, time, mode]`, the log of
        the growth in the next step, per second; `exponent[trial, mode]`, its mean; `angle[trial, time]`, the smallest
        angle between two of the vectors, in rad, NaN if there is only one. `state[trial, time, unit]` is where they
        belong.

    Raises
    ------
    ConfigError, ShapeError, RecordingError
        An argument is not allowed or does not fit; the vectors of all steps are larger than 2 GiB; or the map sets a
        direction to zero, up to rounding, which then has no vector.
    DivergedError
        The state, or the growth of a small distance to it, became infinite or NaN.

    Notes
    -----
    Ginelli et al. 2007, Phys. Rev. Lett. 99:130601.

    Examples
    --------
    The vectors of a linear map are its eigenvectors:

    >>> W = torch.tensor([[2.0, 1.0], [0.0, 0.5]], dtype=torch.float64)
    >>> found = covariant_vectors(lambda x: x @ W.T, torch.zeros(1, 2).double(), 5)
    >>> abs(found.vector.values[0, 0]).round(4)
    array([[1.    , 0.5547],
           [0.    , 0.8321]])
    """
    check_seed(seed)
    for name, count, least in (("steps", steps, 1), ("transient", transient, 0)):
        whole(name, count, least=least)
    total = steps + 2 * transient
    system = orbit(step, start, total, dt, drive, seed)
    trials, units = system.start.shape
    modes = units if modes is None else modes
    whole("modes", modes, least=1, most=units)
    kept = 8 * trials * modes * (units * (steps + 1) + modes * (steps + transient))
    if kept > LARGEST:
        raise ConfigError(
            f"steps={steps}, modes={modes} need {kept / 2**30:.1f} GiB; take fewer steps, modes or trials"
        )
    identity = torch.eye(units, dtype=system.start.dtype, device=system.start.device)
    state, frame = system.start, identity[:, :modes].expand(trials, units, modes)
    states, frames, uppers = [], [], []
    with torch.no_grad(), track("covariant vectors", total) as advance:
        for now in range(total):
            if transient <= now < transient + steps:
                states.append(state)
                frames.append(frame)
            state, moved = pushforward(system.step(now), state, frame)
            state = state if system.later is None else system.later[now]
            if not bool(moved.isfinite().all() and state.isfinite().all()):
                bad = ~(moved.isfinite().flatten(1).all(-1) & state.isfinite().all(-1))
                raise DivergedError(
                    now + 1, "tangent", int(bad.nonzero()[0, 0]), "start closer to the attractor"
                )
            frame, upper = torch.linalg.qr(moved)
            if now >= transient:
                uppers.append(upper)
            advance()
        vectors, growth = _back(frames, uppers)
    return _summary(torch.stack(states, 1), vectors, growth, system.dt)


def _back(frames: list[Tensor], uppers: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Vectors `[trial, time, unit, mode]` and logs of their growth in the next step `[trial, time, mode]`."""
    like = uppers[-1]
    mixture = torch.eye(like.shape[-1], dtype=like.dtype, device=like.device).expand_as(like)
    rounding = frames[0].shape[-2] * torch.finfo(like.dtype).eps  # of a step, relative to its largest growth
    vectors: list[Tensor] = []
    growth: list[Tensor] = []
    for now in reversed(range(len(uppers))):
        diagonal = uppers[now].diagonal(dim1=-2, dim2=-1)
        if bool((diagonal.abs() <= rounding * uppers[now].abs().amax((-2, -1))[:, None]).any()):
            raise ConfigError(
                "the map sets a direction to zero, which has no covariant vector; take fewer modes"
            )
        earlier = torch.linalg.solve_triangular(uppers[now], mixture, upper=True)
        length = earlier.norm(dim=-2, keepdim=True)
        mixture = earlier / length
        if now < len(frames):
            vectors.append(frames[now] @ mixture)
            growth.append(-length[:, 0].log())
    return torch.stack(vectors[::-1], 1), torch.stack(growth[::-1], 1)


def _summary(states: Tensor, vectors: Tensor, growth: Tensor, dt: float) -> xr.Dataset:
    found = vectors / vectors.norm(dim=-2, keepdim=True)
    overlap = (found.mT @ found).abs().cpu().numpy()
    upper = np.triu_indices(overlap.shape[-1], 1)
    between = overlap[..., upper[0], upper[1]]
    closest = between.max(-1) if between.shape[-1] else np.full(between.shape[:-1], np.nan)
    rate = growth / dt
    along = ("trial", "time")
    return labelled_dataset(
        {
            "vector": ((*along, "unit", "mode"), found.cpu().numpy(), "1", "covariant Lyapunov vector"),
            "growth": ((*along, "mode"), rate.cpu().numpy(), "1/s", "growth in the next step"),
            "exponent": (("trial", "mode"), rate.mean(1).cpu().numpy(), "1/s", "Lyapunov exponent"),
            "angle": (along, np.arccos(np.clip(closest, 0, 1)), "rad", "smallest angle between two vectors"),
            "state": ((*along, "unit"), states.cpu().numpy(), "1", "state"),
        },
        coords={
            "time": ("time", np.arange(states.shape[1]) * dt, {"units": "s", "long_name": "time"}),
        },
    )
