"""The networks that are timed."""

from __future__ import annotations

from dataclasses import dataclass

import torch

import fwsim as fw

DECAY, STRENGTH = 0.95, 0.5  # the paper's


@dataclass(frozen=True)
class Shape:
    """Sizes of a run; there are as many inputs as units."""

    batch: int
    time: int
    units: int
    inner_steps: int
    activation: str = "relu"

    def __str__(self) -> str:
        note = "" if self.activation == "relu" else f" {self.activation}"
        return f"({self.batch}, {self.time}, {self.units}, {self.inner_steps}){note}"

    def network(self, **options: object) -> fw.FastWeightNetwork:
        """The paper's initialisation; W is a little off the identity so that its product counts."""
        torch.manual_seed(0)
        memory = fw.Hebbian.from_decay(DECAY, eta=STRENGTH)
        return fw.FastWeightNetwork(
            self.units, self.units, memory, self.inner_steps, activation=self.activation, **options
        )

    def inputs(self) -> torch.Tensor:
        """Independent normal inputs, `[batch, time, input]`."""
        generator = torch.Generator().manual_seed(1)
        return torch.randn(self.batch, self.time, self.units, generator=generator)


SHAPES = (
    Shape(128, 11, 50, 1),
    Shape(128, 50, 100, 3),
    Shape(8, 500, 100, 3),
    Shape(1, 5000, 200, 3),
)
TANH = Shape(128, 50, 100, 3, "tanh")
