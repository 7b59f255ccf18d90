"""What `simulate` needs of any network: run it block by block, and see what is wanted of each block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from fwsim.engine.state import State
from fwsim.recording.schema import Variable


class Observer(ABC):
    """One run of a network, made by the network's `observer(state, steps)`.

    Parameters
    ----------
    state
        Before the next block; moves on with `advance`.
    steps
        Length of the whole run.
    record
        Names of the variables that will be wanted at all.
    """

    state: State

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Dimension → size of the run."""

    def coordinates(self) -> dict[str, np.ndarray]:
        """Dimension → values, where they are not just counted from 0."""
        return {}

    def variables(self) -> dict[str, Variable]:
        """Meaning of the variables that the schema does not have."""
        return {}

    def seed(self, seed: int) -> None:  # noqa: B027  # most networks draw nothing
        """Derive the random streams of the run, if it has any, from the seed."""

    @abstractmethod
    def configuration(self) -> dict[str, Any]:
        """What the network was made from, as plain data."""

    @abstractmethod
    def block(self) -> int:
        """Steps that a block may have to stay within a fixed amount of memory."""

    @abstractmethod
    def advance(self, x: Tensor, wanted: Mapping[str, range]) -> dict[str, Tensor]:
        """Run one block.

        Parameters
        ----------
        x
            `[batch, time, input]`.
        wanted
            Variable → steps of this block, counted from 0, that are recorded.

        Returns
        -------
        dict
            Variable → `[batch, sample, …]`.
        """

    @abstractmethod
    def final(self) -> dict[str, np.ndarray | int]:
        """Return the state as arrays by variable, to store: `[trial, …]`."""
