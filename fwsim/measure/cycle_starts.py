"""Where branches of limit cycles begin: at the Hopf points of a continuation, or at a simulation of a cycle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from fwsim.errors import ConfigError, ShapeError, number, type_of
from fwsim.measure.arclength import Curve, ParameterStep
from fwsim.measure.bifurcations import HOPF
from fwsim.measure.differentiation import as_tensor, checked_states, require_derivative


@dataclass(frozen=True, eq=False)
class Guess:
    """A centre and what is added to it at a phase, the period, and whether the cycle grows from a fixed point."""

    centre: np.ndarray
    around: Callable[[np.ndarray], np.ndarray]
    period: float
    parameter: float
    from_hopf: bool

    @property
    def units(self) -> int:
        """Number of units."""
        return len(self.centre)


def guesses(
    field: ParameterStep,
    start: xr.Dataset | Tensor,
    parameter: float | None,
    period: float | None,
    plain: Curve,
) -> Iterator[Guess]:
    """Where branches of cycles begin."""
    if isinstance(start, xr.Dataset):
        if parameter is not None or period is not None:
            raise ConfigError("parameter and period are for a simulation; Hopf points have their own")
        yield from _at_hopf_points(start, plain)
        return
    start = as_tensor(start)
    if not isinstance(start, Tensor) or start.ndim != 2 or start.dtype != torch.float64 or len(start) < 8:
        given = f"{start.dtype} {list(start.shape)}" if isinstance(start, Tensor) else type_of(start)
        raise ShapeError(
            f"start is {given}; give the result of continuation(..., kind='flow'), or a float64 tensor [time, unit] of "
            "at least 8 times"
        )
    if parameter is None or period is None:
        raise ConfigError("a simulation needs its parameter and its period; give parameter=..., period=...")
    number("parameter", parameter, least=plain.low, most=plain.high)
    number("period", period, above=0)
    values = _checked(field, start, torch.full_like(start[:, :1], parameter))
    times = np.arange(len(values) + 1) / len(values)
    closed = np.vstack([values, values[:1]])

    def around(phases: np.ndarray) -> np.ndarray:
        return np.stack([np.interp(phases, times, each) for each in closed.T], 1) - values.mean(0)

    yield Guess(values.mean(0), around, float(period), float(parameter), False)


def _checked(field: ParameterStep, states: Tensor, parameters: Tensor) -> np.ndarray:
    """States `[batch, unit]` as numbers, after a check of the field there."""
    checked = checked_states("start", states, lambda x: field(x, parameters[: len(x)]))
    require_derivative(checked, lambda x: field(x, parameters[: len(x)]))
    return checked.cpu().numpy()


def _at_hopf_points(found: xr.Dataset, plain: Curve) -> Iterator[Guess]:
    """Small cycles around the Hopf points of a continuation."""
    if found.attrs.get("kind") != "flow" or "bifurcation" not in found:
        raise ConfigError("start is not the result of continuation(..., kind='flow')")
    hopf = found["bifurcation"].values == HOPF
    if not hopf.any():
        raise ConfigError("the continuation has no Hopf point; widen its bounds, or give a simulation")
    hopf &= (found["parameter"].values >= plain.low) & (found["parameter"].values <= plain.high)
    if not hopf.any():
        raise ConfigError(
            f"no Hopf point of the continuation has a parameter from {plain.low:g} to {plain.high:g}; widen bounds"
        )
    parameters = found["parameter"].values[hopf]
    states = _checked(
        plain.step, torch.tensor(found["state"].values[hopf]), torch.tensor(parameters)[:, None]
    )
    for state, parameter in zip(states, parameters.tolist()):
        values, vectors = np.linalg.eig(plain.linear(np.append(state, parameter))[1][:, :-1])
        critical = np.where(values.imag > 0, np.abs(values.real), np.inf).argmin()
        vector, frequency = vectors[:, critical], values[critical].imag
        if not frequency > 0:
            raise ConfigError(
                f"field does not turn at the Hopf point at parameter={parameter:g}; give the field of the continuation"
            )

        def around(phases: np.ndarray, vector: np.ndarray = vector) -> np.ndarray:
            return (np.exp(2j * np.pi * phases)[:, None] * vector).real

        yield Guess(state, around, 2 * np.pi / frequency, parameter, True)
