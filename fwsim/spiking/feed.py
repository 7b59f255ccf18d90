"""A drive that is a function: it is passed to the neurons step by step, so that no run stores it as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fwsim.errors import ShapeError
from fwsim.spiking import blocks
from fwsim.spiking.circuit import Circuit
from fwsim.spiking.stimulation import checked_drive


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
        self._circuit, self._drive, self.steps, self._trials = circuit, drive, steps, trials
        self._start, self._block = 0, self._asked(0)
        self._trials = len(self._block)

    @property
    def silence(self) -> np.ndarray:
        """One sample of 0 for each trial, `[trial, time, unit]`, from which the network is built."""
        return np.zeros((len(self._block), 1, len(self._circuit.populations)))

    def block(self, step: int) -> tuple[np.ndarray, int]:
        """Drive of the block that a step belongs to, `[trial, time, unit]`, and the step at which it begins."""
        start = blocks.begin(step)
        if start != self._start:
            self._start, self._block = start, self._asked(start)
        return self._block, start

    def _asked(self, start: int) -> np.ndarray:
        stop = min(start + blocks.STEPS, self.steps)
        block = checked_drive(self._circuit, self._drive(start, stop), self._trials, neurons=True)
        if block.shape[1] != stop - start:
            raise ShapeError(
                f"drive({start}, {stop}) has {block.shape[1]} time steps; expected {stop - start}, [trial, time, unit]"
            )
        return block
