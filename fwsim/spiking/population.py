"""Populations of neurons that a network moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from fwsim.arrays import as_they_are
from fwsim.errors import ConfigError, ShapeError, whole
from fwsim.names import KnownArguments
from fwsim.spiking.sources import check_name
from fwsim.units import checked, si

NEURON = ("tau", "threshold", "reset", "refractory", "background", "noise")  # parameters of a neuron
LONGEST = 1.0  # s; time constants above are probably meant in ms
HIGHEST = 1.0  # V, likewise


@dataclass(frozen=True, eq=False)
class Population(KnownArguments):
    """Leaky integrate-and-fire neurons.

        τ dV/dt = −V + background + drive + synaptic input + noise √(2τ) ξ(t)

    Potentials are relative to the resting potential. A neuron above `threshold` (V > θ, not V = θ) spikes and stays
    at `reset` for the refractory period; input during this time is lost. Connections with a `reversal` add
    Σ g (reversal − V), where g is their conductance over that of the leak.

    Parameters
    ----------
    name
        Name for connections and stimuli.
    size
        Number of neurons. All parameters that follow are numbers, or have one value for each neuron, `[unit]`.
    tau, refractory
        Membrane time constant and refractory period in s.
    threshold, reset
        In V above rest.
    background
        Potential in V that the constant external input alone would cause.
    noise
        Standard deviation of the potential in V that external noise alone would cause without threshold.
    """

    name: str
    size: int
    tau: Any = 0.02
    threshold: Any = 0.02
    reset: Any = 0.01
    refractory: Any = 0.002
    background: Any = 0.0
    noise: Any = 0.0

    def __post_init__(self) -> None:
        check_name("Population", self.name)
        whole(f"{self.name}: size", self.size, least=1)
        self._check("time", tau={"above": 0}, refractory={"least": 0}, usual=LONGEST)
        self._check("voltage", noise={"least": 0}, threshold={}, reset={}, background={}, usual=HIGHEST)
        if (above := np.greater_equal(self.reset, self.threshold)).any():
            reset, threshold = (
                np.broadcast_to(each, above.shape)[above][0] for each in (self.reset, self.threshold)
            )
            raise ConfigError(f"{self.name}: reset={reset} V is not below threshold={threshold} V")

    @property
    def varied(self) -> tuple[str, ...]:
        """Parameters that have a value for each neuron."""
        return tuple(field for field in NEURON if np.ndim(getattr(self, field)))

    def _check(self, dimension: str, *, usual: float, **bounds: dict[str, float]) -> None:
        for field, limits in bounds.items():
            where, value = (
                f"{self.name}: {field}",
                si(f"{self.name}: {field}", getattr(self, field), dimension),
            )
            if np.ndim(value):
                value = _of_neurons(where, value, self.size)
                for extreme in (value.min(), value.max()):
                    checked(where, float(extreme), dimension, usual=usual, **limits)
            else:
                value = checked(where, getattr(self, field), dimension, usual=usual, **limits)
            object.__setattr__(self, field, value)


def _of_neurons(where: str, value: Any, size: int) -> np.ndarray:
    as_they_are(where, value)
    try:
        found = np.array(value.detach().cpu() if isinstance(value, Tensor) else value, float)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(
            f"{where}={value!r} is not allowed; give a number, or one for each neuron"
        ) from None
    if found.shape != (size,):
        raise ShapeError(
            f"{where} has shape {list(found.shape)}; give a number, or [unit] with unit={size} neurons"
        )
    if not np.isfinite(found).all():
        raise ConfigError(f"{where} is NaN or infinite for some neurons; give finite numbers")
    return found
