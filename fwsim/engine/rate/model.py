"""Numbers of a rate network as the native engine reads them: constants in a line, weights transposed and padded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fwsim.engine.native.library import vector_bytes
from fwsim.engine.rate.gains import Softplus
from fwsim.engine.rate.matrix import Matrix
from fwsim.engine.rate.normalisation import Divisive, Layer, Normalisation, Subtractive
from fwsim.engine.rate.rows import row
from fwsim.engine.rate.step import Stepper
from fwsim.rules.parameters import leaves


@dataclass(frozen=True, eq=False)
class Model:
    """A network in numbers.

    Parameters
    ----------
    constant_values, constant_places
        Constants that differ between units or batch elements, in a line; for each row of them its first one, and its
        strides over batch and units, `[row, 3]`.
    numbers
        Constants that are the same everywhere, then the literals of the programs.
    weights, source_places
        Transposed and padded, `[matrix, pre, post]`; for each source its first one, and how many there are from one
        batch element to the next, `[source, 2]`.
    decays
        Of the memory: keep, first and second of `Matrix`, `[batch or 1, 3, timescale]`.
    """

    constant_values: Tensor
    constant_places: np.ndarray
    numbers: Tensor
    weights: Tensor
    source_places: np.ndarray
    decays: Tensor


def weights(stepper: Stepper) -> list[Tensor]:
    """Weights of all sources: the static ones, if there are any, then those of each plastic projection."""
    return [
        *([] if stepper.static is None else [stepper.static]),
        *(part.weights for part in stepper.plastic),
    ]


def constants(stepper: Stepper) -> Mapping[str, float | Tensor]:
    """Constants by the name of their row."""
    normal_1, normal_2 = _normal(stepper.normalise)
    found = {"normal_1": normal_1, "normal_2": normal_2, **stepper.membrane._asdict()}
    if isinstance(stepper.gain, Softplus):
        found |= {"alpha": stepper.gain.alpha, "steepness": 1 / stepper.gain.alpha}
    for index, part in enumerate(stepper.plastic):
        named = {row("parameter", index, name): value for name, value, _ in leaves(part.dynamics.rule)}
        named |= {row("rest", index, name): value for name, value in part.relaxation.constant.items()}
        for kind in ("keep", "first", "second"):
            entries = getattr(part.relaxation, kind)
            named |= {row(kind, index, *key): value for key, value in entries.items()}
        found |= {symbol.name: value for symbol, value in named.items()}
    return found


def _normal(given: Normalisation | None) -> tuple[float | Tensor, float | Tensor]:
    """The two rows of a normalisation."""
    if isinstance(given, Layer):
        return 1.0 if given.gain is None else given.gain, 0.0 if given.bias is None else given.bias
    if isinstance(given, Divisive):
        return given.strength, given.floor
    return (given.strength, 0.0) if isinstance(given, Subtractive) else (0.0, 0.0)


def decays(matrix: Matrix | None, like: Tensor) -> Tensor:
    """Keep, first and second of a memory, `[batch or 1, 3, timescale]`."""
    if matrix is None:
        return like.new_empty(1, 3, 0)
    parts = torch.broadcast_tensors(matrix.keep, matrix.first, matrix.second)
    return torch.stack(parts, 1)


def in_a_line(values: Sequence[Tensor]) -> tuple[Tensor, np.ndarray]:
    """Numbers of all constants in a line; where each begins, and its strides over batch and units."""
    shapes = [(1,) * (2 - value.ndim) + tuple(value.shape) for value in values]
    starts = np.cumsum([0, *(value.numel() for value in values)])[:-1]
    strides = [(units * (batch > 1), int(units > 1)) for batch, units in shapes]
    places = np.array([(start, *stride) for start, stride in zip(starts, strides)], np.int64)
    return torch.cat([value.reshape(-1) for value in values]), places


def padded(weights: Sequence[Tensor]) -> tuple[Tensor, np.ndarray]:
    """Transposed and padded weights of all sources, `[matrix, pre, post]`; first one and step of each source."""
    counts = [each.shape[0] if each.ndim == 3 else 1 for each in weights]
    like, units = weights[0], weights[0].shape[-1]
    numbers = vector_bytes() // like.element_size()
    matrices = like.new_zeros(sum(counts), units, -(-units // numbers) * numbers)
    first, sources = 0, []
    for each, count in zip(weights, counts):
        matrices[first : first + count, :, :units] = each.detach().mT
        sources.append((first, int(count > 1)))
        first += count
    return matrices, np.array(sources, np.int64)
