"""States with several parts (activity, synapses, a memory matrix) as one vector, and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fwsim.errors import ConfigError, ShapeError, whole
from fwsim.names import KnownArguments

Parts = dict[str, Tensor]


@dataclass(frozen=True)
class Composite(KnownArguments):
    """Names and shapes of the parts of a state, in the order in which the vector contains them.

    Parameters
    ----------
    shapes
        Shape of each part without the batch axis, e.g. `{"rate": (10,), "u": (10,), "memory": (10, 10)}`.

    Examples
    --------
    >>> whole = Composite({"rate": (2,), "x": (2,)})
    >>> step = whole.step(lambda parts: {"rate": parts["rate"] * parts["x"], "x": parts["x"] / 2})
    >>> step(torch.ones(1, 4))
    tensor([[1.0000, 1.0000, 0.5000, 0.5000]])
    """

    shapes: Mapping[str, tuple[int, ...]]

    def __post_init__(self) -> None:
        shapes = self.shapes.values() if isinstance(self.shapes, Mapping) else ()
        if not shapes or not all(isinstance(each, tuple | list) for each in shapes):
            raise ConfigError(
                f"shapes={self.shapes!r} is not allowed; give the shape of each part by its name, "
                "such as {'rate': (10,), 'memory': (10, 10)}"
            )
        for name, shape in self.shapes.items():
            for size in shape:
                whole(f"shapes[{name!r}]", size, least=1)

    def flatten(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Join `{name: [batch, …]}` to `[batch, unit]`."""
        for name, shape in self.shapes.items():
            if name not in parts or tuple(parts[name].shape[1:]) != tuple(shape):
                given = list(parts[name].shape) if name in parts else "missing"
                raise ShapeError(f"part {name!r} is {given}; expected [batch, {', '.join(map(str, shape))}]")
        return torch.cat([parts[name].flatten(1) for name in self.shapes], dim=1)

    def split(self, states: Tensor) -> Parts:
        """Split `[batch, unit]` into `{name: [batch, …]}`."""
        sizes = [math.prod(shape) for shape in self.shapes.values()]
        if states.shape[-1] != sum(sizes):
            raise ShapeError(
                f"states have {states.shape[-1]} units; the parts {dict(self.shapes)} need {sum(sizes)}"
            )
        pieces = states.split(sizes, dim=-1)
        return {
            name: piece.reshape(*piece.shape[:-1], *shape)
            for (name, shape), piece in zip(self.shapes.items(), pieces)
        }

    def step(self, step: Callable[[Parts], Parts]) -> Callable[[Tensor], Tensor]:
        """Turn a map of parts into a map `[batch, unit]` → `[batch, unit]`."""
        return lambda states: self.flatten(step(self.split(states)))
