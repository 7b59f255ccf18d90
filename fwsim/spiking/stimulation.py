"""Inputs of a circuit over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fwsim.errors import ConfigError
from fwsim.spiking.circuit import Circuit


@dataclass(frozen=True)
class Pulse:
    """A constant input for some time.

    Parameters
    ----------
    amplitude
        In V, added to the background.
    start, stop
        In s; the input acts from `start` on and no longer at `stop`.
    populations
        Names of the populations that get it; `None`: all.
    trials
        Indices of the trials that get it; `None`: all.
    """

    amplitude: float
    start: float = 0.0
    stop: float = float("inf")
    populations: Sequence[str] | None = None
    trials: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ConfigError(f"Pulse: start={self.start} s must be at least 0 and before stop={self.stop} s")
        if not np.isfinite(self.amplitude):
            raise ConfigError(f"Pulse: amplitude={self.amplitude} is not allowed; give finite V")


def stimulus(
    circuit: Circuit, duration: float, pulses: Sequence[Pulse] = (), *, trials: int = 1
) -> np.ndarray:
    """Add up pulses to a drive, for the spiking and for the rate version of a circuit.

    Parameters
    ----------
    circuit
        Whose populations and time step.
    duration
        In s.
    pulses
        What is added.
    trials
        Number of trials.

    Returns
    -------
    ndarray
        In V, `[trial, time, unit]` with populations as units.

    Raises
    ------
    ConfigError
        An unknown population, or a trial that there is not.
    """
    steps = round(duration / circuit.dt)
    drive = np.zeros((trials, steps, len(circuit.populations)))
    for each in pulses:
        units = [
            circuit.index(name) for name in (circuit.names if each.populations is None else each.populations)
        ]
        rows = list(range(trials) if each.trials is None else each.trials)
        if any(not 0 <= row < trials for row in rows):
            raise ConfigError(f"Pulse: trials={rows}; there are {trials}, counted from 0")
        first, last = (min(steps, round(min(t, duration) / circuit.dt)) for t in (each.start, each.stop))
        drive[np.ix_(rows, range(first, last), units)] += each.amplitude
    return drive
