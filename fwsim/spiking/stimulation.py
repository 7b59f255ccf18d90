"""Inputs of a circuit over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fwsim.engine.inputs import as_array
from fwsim.errors import ConfigError, ShapeError, instance, whole
from fwsim.names import KnownArguments, known_arguments
from fwsim.spiking.circuit import Circuit, check_circuit
from fwsim.spiking.population import HIGHEST
from fwsim.spiking.sources import Source
from fwsim.units import checked, nearest_step, si


@dataclass(frozen=True)
class Pulse(KnownArguments):
    """A constant input for some time.

    Parameters
    ----------
    amplitude
        In V, added to the background.
    start, stop
        In s; the input acts from `start` on, and no longer at `stop`.
    populations
        Names of the populations that receive it, or one name; `None`: all but sources.
    trials
        Indices of the trials that receive it, or one index; `None`: all.
    """

    amplitude: float
    start: float = 0.0
    stop: float = float("inf")
    populations: str | Sequence[str] | None = None
    trials: int | Sequence[int] | None = None

    def __post_init__(self) -> None:
        start = checked("Pulse: start", self.start, "time", least=0)
        stop = checked("Pulse: stop", self.stop, "time", above=start, infinite=True)
        amplitude = checked("Pulse: amplitude", self.amplitude, "voltage", usual=HIGHEST)
        for field, value in (("amplitude", amplitude), ("start", start), ("stop", stop)):
            object.__setattr__(self, field, value)
        for field in ("populations", "trials"):
            if (given := getattr(self, field)) is not None:
                object.__setattr__(self, field, tuple(np.atleast_1d(given).tolist()))
        for trial in () if self.trials is None else np.atleast_1d(self.trials).tolist():
            whole("Pulse: trials", trial)


@known_arguments
def stimulus(
    circuit: Circuit, duration: float, pulses: Pulse | Sequence[Pulse] = (), *, trials: int = 1
) -> np.ndarray:
    """Sum pulses to a drive, for the spiking and the rate version of a circuit.

    Parameters
    ----------
    circuit
        The circuit, for its populations and time step.
    duration
        In s.
    pulses
        Pulses to add, or one.
    trials
        Number of trials.

    Returns
    -------
    ndarray
        In V, `[trial, time, unit]` with populations as units.

    Raises
    ------
    ConfigError
        An unknown population, a source, or a trial that does not exist.
    """
    check_circuit(circuit)
    duration = checked("duration", duration, "time", least=0)
    whole("trials", trials, least=1)
    steps = nearest_step(duration, circuit.dt)
    drive = np.zeros((trials, steps, len(circuit.populations)))
    moved = [each.name for each in circuit.populations if not isinstance(each, Source)]
    for each in (pulses,) if isinstance(pulses, Pulse) else pulses:
        instance("pulses", each, Pulse, "a list of Pulse(amplitude, start, stop)")
        units = [circuit.index(name) for name in (moved if each.populations is None else each.populations)]
        for name in {circuit.names[unit] for unit in units}.difference(moved):
            raise ConfigError(
                f"Pulse: {name} is a source, which no input moves; give some of populations={moved}"
            )
        rows = list(range(trials)) if each.trials is None else np.atleast_1d(each.trials).tolist()
        if any(not 0 <= row < trials for row in rows):
            raise ConfigError(f"Pulse: trials={rows}; there are {trials}, counted from 0")
        first, last = (
            min(steps, nearest_step(min(t, duration), circuit.dt)) for t in (each.start, each.stop)
        )
        drive[np.ix_(rows, range(first, last), units)] += each.amplitude
    return drive


def check_given(drive: Any) -> None:
    """Raise `ConfigError` without a drive, which says how long a rate version runs."""
    if drive is None:
        raise ConfigError(
            "drive=None does not say how long to run; give [trial, time, unit], such as stimulus(circuit, 1.0)"
        )


def checked_drive(circuit: Circuit, drive: Any, trials: int | None, *, neurons: bool = False) -> np.ndarray:
    """Convert a drive to `[trial, time, unit]`; without a drive, to a single sample of 0 for each trial."""
    check_circuit(circuit)
    if trials is not None:
        whole("trials", trials, least=1)
    units = {"populations": len(circuit.populations)} | ({"neurons": circuit.neurons} if neurons else {})
    if drive is None:
        drive = np.zeros((trials or circuit.trials or 1, 1, units["populations"]))
    drive = si("drive", drive, "voltage")
    drive = (
        drive.detach().cpu().numpy() if isinstance(drive, torch.Tensor) else as_array("drive", drive, "unit")
    )
    if drive.ndim != 3 or drive.shape[-1] not in units.values() or not drive.size:
        allowed = " or ".join(f"unit={size} {name}" for name, size in units.items())
        raise ShapeError(f"drive has shape {list(drive.shape)}; expected [trial, time, unit] with {allowed}")
    if not np.isfinite(drive).all():
        raise ConfigError("drive is NaN or infinite somewhere; give finite V")
    for each in circuit.sources:
        first, size = circuit.index(each.name), 1
        if drive.shape[-1] == circuit.neurons:
            first, size = circuit.members[each.name].start, each.size
        if drive[..., first : first + size].any():
            raise ConfigError(
                f"drive is not 0 for {each.name}, which is a source that no input moves; set it to 0 there"
            )
    for given in (trials, circuit.trials):
        if given not in (None, len(drive)):
            raise ShapeError(
                f"drive has {len(drive)} trials, but there are to be {given}; give as many of both"
            )
    return drive
