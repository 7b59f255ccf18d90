"""A drive that is a function: it is passed to the neurons step by step, so that no run stores it as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fwsim.errors import ShapeError
from fwsim.spiking.assembly import Assembly
from fwsim.spiking.circuit import Circuit
from fwsim.spiking.stimulation import checked_drive

BLOCK = 1000  # steps for which the function is called at once


class Feed:
    """A function that drives the neurons of a circuit.

    Parameters
    ----------
    circuit
        The circuit whose populations or neurons are the units.
    drive
        `(start, stop)` → steps `start … stop−1` of the input in addition to the background in V, `[trial, time, unit]`.
    steps
        Number of steps of the run.
    trials
        Number of trials; `None`: as many as the function returns.

    Raises
    ------
    ConfigError, ShapeError
        The first steps do not fit; errors in later steps are raised while the network runs.
    """

    def __init__(
        self, circuit: Circuit, drive: Callable[[int, int], Any], steps: int, trials: int | None
    ) -> None:
        self._circuit, self._drive, self._steps, self._trials = circuit, drive, steps, trials
        self._start, self._block = 0, self._asked(0)
        self._trials = len(self._block)

    @property
    def silence(self) -> np.ndarray:
        """One sample of 0 for each trial, `[trial, time, unit]`, from which the network is built."""
        return np.zeros((len(self._block), 1, len(self._circuit.populations)))

    def into(self, assembly: Assembly) -> Callable[[int], None]:
        """Return the operation that adds the drive of a step to the background of the neurons."""
        background = assembly.neurons.variables["background"].get_value()
        alone = background.copy()
        population = np.repeat(
            np.arange(len(self._circuit.populations)), [p.size for p in self._circuit.populations]
        )

        def step(number: int) -> None:
            if number >= self._steps:
                return
            if not self._start <= number < self._start + BLOCK:
                self._start = number // BLOCK * BLOCK
                self._block = self._asked(self._start)
            units = self._block[:, number - self._start]
            units = units if units.shape[-1] == self._circuit.neurons else units[:, population]
            background[:] = alone + units.ravel()

        return step

    def _asked(self, start: int) -> np.ndarray:
        stop = min(start + BLOCK, self._steps)
        block = checked_drive(self._circuit, self._drive(start, stop), self._trials, neurons=True)
        if block.shape[1] != stop - start:
            raise ShapeError(
                f"drive({start}, {stop}) has {block.shape[1]} time steps; expected {stop - start}, [trial, time, unit]"
            )
        return block
