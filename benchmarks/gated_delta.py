"""Claim: a gated delta layer takes at most twice as long as the plain recurrence of flash-linear-attention.

    python benchmarks/gated_delta.py [--quick]

The layer has no recurrence but that of its memory: keys, values, queries and gates are projections of the input. The
guide writes it as a loop over `Delta` (docs/guide/other_memories.md). The rival has the same projections and the
equation in plain torch. Forward and training, in alternating rounds; ratios are to the rival.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

import fwsim as fw
from dense_memories import SHAPES, compared
from engine.report import arguments, publish
from engine.rivals import gated_delta_recurrence, torch_works
from engine.shapes import Shape


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    rows = [row for shape in SHAPES for row in of_layer(shape, 0.5 if options.quick else 4)]
    publish("gated_delta", rows, quick=options.quick)


class GatedDelta(nn.Module):
    """Projections of the input, and a `recurrence` over keys, values, queries and two gates."""

    def __init__(self, size: int, recurrence: Callable) -> None:
        super().__init__()
        self.parts, self.recurrence = [size, size, size, 2], recurrence
        self.project = nn.Linear(size, sum(self.parts))

    def forward(self, x: Tensor) -> Tensor:
        """Inputs `[batch, time, input]` → answers `[batch, time, unit]`."""
        key, value, query, gates = self.project(x).split(self.parts, dim=-1)
        return self.recurrence(key, value, query, *gates.sigmoid().unbind(-1))


def with_rule(key: Tensor, value: Tensor, query: Tensor, keep: Tensor, store: Tensor) -> Tensor:
    """The recurrence as the guide writes it: a loop over the rule."""
    rule = fw.Delta(beta=1.0)
    S, answers = value.new_zeros(len(value), 1, value.shape[-1], key.shape[-1]), []
    for t in range(value.shape[1]):
        S = rule.write(S, key[:, t], value[:, t], 1.0, keep=keep[:, t], store=store[:, t])
        answers.append(rule.read(S, query[:, t]))
    return torch.stack(answers, dim=1)


def of_layer(shape: Shape, seconds: float) -> list[dict]:
    layers = {}
    for name, recurrence in (("plain recurrence", gated_delta_recurrence), ("loop over the rule", with_rule)):
        torch.manual_seed(0)
        layers[name] = GatedDelta(shape.units, recurrence)
    with torch.no_grad():
        rival, ours = (layer(shape.inputs()) for layer in layers.values())
    torch.testing.assert_close(ours, rival, rtol=1e-4, atol=1e-5)  # else they would not do the same work
    works = {name: torch_works(layer, layer, shape.inputs()) for name, layer in layers.items()}
    return compared(shape, "gated delta layer", works, seconds)


if __name__ == "__main__":
    main()
