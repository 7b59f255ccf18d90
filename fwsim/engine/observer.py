"""What `simulate` needs of any network: run it block by block, and see what is wanted of each block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fwsim.engine.state import State
from fwsim.engine.trace import Trace
from fwsim.errors import DivergedError
from fwsim.recording.schema import Variable


@dataclass(frozen=True)
class Block:
    """What a block of a run leaves, all of it still where it was computed.

    Parameters
    ----------
    samples
        Variable → `[batch, sample, …]`.
    finite
        `[]`, whether everything is finite as far as one look can say.
    locate
        To be called if not: raises `DivergedError` at the first bad step, if there is one.
    steps
        Length of the block.
    state
        The observer's `checkpoint` after it.
    """

    samples: dict[str, Tensor]
    finite: Tensor
    locate: Callable[[], None]
    steps: int
    state: dict[str, Tensor]


GROWING = ("history", "past")
"""What of a state grows with time, along its second axis."""


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

    def populations(self) -> list[str] | None:
        """Name of the population of each unit, if there are populations."""
        return None

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
    def advance(self, x: Tensor, wanted: Mapping[str, range]) -> Block:
        """Run one block, without asking the device for anything.

        Parameters
        ----------
        x
            `[batch, time, input]`.
        wanted
            Variable → steps of this block, counted from 0, that are recorded.
        """

    @abstractmethod
    def final(self) -> dict[str, np.ndarray | int]:
        """Return the state as arrays by variable, to store: `[trial, …]`."""

    def checkpoint(self) -> dict[str, Tensor]:
        """Return all that the next blocks depend on, in the form that the run carries it, for the same bits."""
        stored, arrays = self.state.stored, {"hidden": self.state.hidden}
        if isinstance(stored, Trace):
            arrays["history"] = stored.history
            arrays |= {} if stored.matrix is None else {"matrix": stored.matrix}
        elif stored is not None:
            arrays["memory"] = stored
        arrays |= {f"variable/{name}": value for name, value in self.state.variables.items()}
        return arrays | {"step": torch.tensor(self.state.step)}

    def resume(self, kept: Mapping[str, np.ndarray]) -> None:
        """Take up the `arrays` of a `checkpoint`, which an observer of the same network and run made.

        Raises
        ------
        ValueError, KeyError
            They are of another network.
        """
        like, stored = self.state.hidden, self.state.stored
        _check_kept(kept, self.checkpoint(), list(stored.shape) if isinstance(stored, Trace) else [])
        arrays = {name: torch.from_numpy(value).to(like.device) for name, value in kept.items()}
        if isinstance(stored, Trace):
            stored = replace(stored, matrix=arrays.get("matrix"), history=arrays["history"])
        elif stored is not None:
            stored = arrays["memory"]
        variables = {name: arrays[f"variable/{name}"] for name in self.state.variables}
        self.state = State(arrays["hidden"], stored, int(kept["step"]), variables)


def _check_kept(kept: Mapping[str, np.ndarray], begun: Mapping[str, Tensor], matrix: list[int]) -> None:
    """Raise unless what was kept has the names, types and shapes that the run begins with.

    `matrix` is the shape that a matrix has, without which the run may begin.
    """
    for name, value in kept.items():
        like = begun.get("hidden" if name == "matrix" else name)
        if like is None:
            raise ValueError(f"{name} is not of this run")
        given, expected = list(value.shape), list(like.shape)
        if name in GROWING:
            given[1:2] = expected[1:2]
        expected = matrix if name == "matrix" else expected
        if given != expected or value.dtype != arrays({name: like})[name].dtype:
            raise ValueError(f"{name} is {value.dtype} {list(value.shape)}, the run has {expected}")
    if (
        "history" in kept and "matrix" not in kept
    ):  # then no state was merged: every step since is in the history
        steps = int(kept["step"]) - int(begun["step"])
        if "matrix" in begun or kept["history"].shape[1] != begun["history"].shape[1] + steps:
            raise ValueError("matrix is missing")


def arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Tensors as arrays of the CPU."""
    return {name: value.detach().cpu().numpy() for name, value in tensors.items()}


def at(values: Tensor, steps: range) -> Tensor:
    """View of `values [batch, time, …]` at some steps, which are not sent to a device as a list."""
    return values[:, steps.start : steps.stop : steps.step] if steps else values[:, :0]


def locate(hidden: Tensor, first_step: int, remedy: str) -> None:
    """Raise `DivergedError` at the first step at which `hidden [batch, time, unit]` is not finite, if there is one."""
    bad = (~hidden.isfinite()).any(-1).nonzero()
    if len(bad):
        trial, step = min(bad.tolist(), key=lambda place: place[1])
        raise DivergedError(first_step + step, "hidden", trial, remedy)
