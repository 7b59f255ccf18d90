"""Claim: a gated delta layer takes at most twice as long as the plain reference of flash-linear-attention.

    python benchmarks/gated_delta.py [--quick]

The layer has no recurrence but that of its memory: keys, values, queries and gates are projections of the input. The
guide writes it with `Delta.scan` (docs/guide/other_memories.md). All contenders have the same projections. Ratios are
to the equation step by step in plain torch. Beside it run the loop over `Delta.write` and `Delta.read`, and, where
flash-linear-attention is installed (it needs `einops`), both its references in plain torch, step by step and by
chunks. Forward and training, in alternating rounds.
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
from fwsim.rules.memory_rule import step_by_step


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    recurrences = {
        "plain recurrence": gated_delta_recurrence,
        "fwsim": with_rule(fw.Delta.scan),
        "loop over the rule": with_rule(step_by_step),
    } | flash_linear_attention()
    rows = [row for shape in SHAPES for row in of_layer(shape, recurrences, 0.5 if options.quick else 4)]
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


def with_rule(scan: Callable) -> Callable:
    """The recurrence by fwsim: `Delta.scan`, or the loop that rules without a closed form have."""
    rule = fw.Delta(beta=1.0)

    def recurrence(key: Tensor, value: Tensor, query: Tensor, keep: Tensor, store: Tensor) -> Tensor:
        memory = value.new_zeros(len(value), 1, value.shape[-1], key.shape[-1])
        return scan(rule, memory, key, value, query, 1.0, keep=keep, store=store)[0]

    return recurrence


def flash_linear_attention() -> dict[str, Callable]:
    """That library's references in plain torch; none where it is not installed."""
    try:
        from fla.ops.gated_delta_rule import naive
    except ImportError as error:
        print(f"without flash-linear-attention: {error}")
        return {}

    def of(function: Callable) -> Callable:
        def recurrence(key: Tensor, value: Tensor, query: Tensor, keep: Tensor, store: Tensor) -> Tensor:
            q, k, v, beta, g = (each[:, :, None] for each in (query, normal(key), value, store, keep.log()))
            return function(q=q, k=k, v=v, beta=beta, g=g, scale=1.0)[0][:, :, 0]  # one head

        return recurrence

    return {
        "flash-linear-attention, naive": of(naive.naive_recurrent_gated_delta_rule),
        "flash-linear-attention, naive chunks": of(naive.naive_chunk_gated_delta_rule),
    }


def normal(key: Tensor) -> Tensor:
    return nn.functional.normalize(key, dim=-1)


def of_layer(shape: Shape, recurrences: dict[str, Callable], seconds: float) -> list[dict]:
    layers = {}
    for name, recurrence in recurrences.items():
        torch.manual_seed(0)
        layers[name] = GatedDelta(shape.units, recurrence)
    with torch.no_grad():
        rival, *others = (layer(shape.inputs()) for layer in layers.values())
    for other in others:  # else they would not do the same work
        torch.testing.assert_close(other, rival, rtol=1e-4, atol=1e-5)
    works = {name: torch_works(layer, layer, shape.inputs()) for name, layer in layers.items()}
    return compared(shape, "gated delta layer", works, seconds)


if __name__ == "__main__":
    main()
