"""One step of the network, all but its memory: the sustained input and the inner loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fwsim.engine.wiring import PLAIN, MemoryWiring, Read

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sign": torch.sign,
}
NORMALISATIONS = ("inner", "none", "all")
WRITES = ("final", "before")
EPSILON = 1e-5  # of layer normalisation


@dataclass(frozen=True, eq=False)
class Cell:
    """Parameters and conventions of a step; see `FastWeightNetwork` for their meaning.

    `W [unit, unit]`, `gain [unit]`, `bias [unit]` are tensors of one dtype and device, and so are `gate_weights
    [gate, input + unit]` and `gate_bias [gate]` if there are gates.
    """

    W: Tensor
    gain: Tensor
    bias: Tensor
    inner_steps: int
    activation: str
    normalise: str
    write: str
    wiring: MemoryWiring = PLAIN
    gate_weights: Tensor | None = None
    gate_bias: Tensor | None = None

    def gates(self, x: Tensor, previous: Tensor) -> dict[str, Tensor]:
        """Gates of a step, in (0, 1), from its input and the state before it, `[…, input]` and `[…, unit]`: `[…]`."""
        if self.gate_weights is None:
            return {}
        field = torch.nn.functional.linear(torch.cat([x, previous], -1), self.gate_weights, self.gate_bias)
        return dict(zip(self.wiring.gates, field.sigmoid().unbind(-1)))

    def normal(self, field: Tensor) -> Tensor:
        """Layer normalisation over the last axis: biased variance, learned gain and bias."""
        return torch.nn.functional.layer_norm(field, field.shape[-1:], self.gain, self.bias, EPSILON)

    def start(self, sustained: Tensor) -> Tensor:
        """h_0 from the sustained input z `[batch, unit]`; normalised only if `normalise` is `"all"`."""
        field = self.normal(sustained) if self.normalise == "all" else sustained
        return ACTIVATIONS[self.activation](field)

    def iterate(self, sustained: Tensor, answer: Tensor) -> Tensor:
        """h_{s+1} from z and the memory's answer A h_s, both `[batch, unit]`."""
        field = sustained + answer
        field = field if self.normalise == "none" else self.normal(field)
        return ACTIVATIONS[self.activation](field)

    def settle(self, sustained: Tensor, state: Tensor, read: Read | None) -> list[Tensor]:
        """Run the inner loop from h_0 = `state` with the memory held fixed: the S+1 states h_0 … h_S."""
        path = [state]
        for _ in range(self.inner_steps):
            answer = read(path[-1]) if read is not None else torch.zeros_like(sustained)
            path.append(self.iterate(sustained, answer))
        return path
