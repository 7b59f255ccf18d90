"""Runs of a rate network in compiled code: the numbers of `Stepper.step` without its tensors between operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fwsim.engine.kernels.native_code import Code, compile_rows
from fwsim.engine.kernels.numba_products import GROUP
from fwsim.engine.kernels.numba_rates import (
    DIVISIVE,
    LAYER,
    NONE,
    SUBTRACTIVE,
    Inputs,
    Kept,
    Model,
    Room,
    Sizes,
    rates,
)
from fwsim.engine.kernels.numba_threads import share_out, thread_count
from fwsim.engine.kernels.numba_vectors import VECTOR_BYTES, padded
from fwsim.engine.rate.gains import Relu, Softplus
from fwsim.engine.rate.matrix import Matrix
from fwsim.engine.rate.normalisation import Divisive, Layer, Normalisation, Subtractive
from fwsim.engine.rate.rowwise import Program, Synapse, program, row
from fwsim.engine.rate.step import Moment, Stepper
from fwsim.rules.derive.symbols import structure
from fwsim.rules.parameters import leaves

KINDS: dict[type, int] = {type(None): NONE, Layer: LAYER, Divisive: DIVISIVE, Subtractive: SUBTRACTIVE}
"""Normalisations, and their numbers in the kernel."""

CACHE = 16_000  # bytes of weights from which on entries are faster together, well within the first level

Wanted = tuple[str, range]
"""A row, and the steps after which it is kept."""


@dataclass(frozen=True, eq=False)
class CompiledRun:
    """A stepper as the kernel reads it.

    Parameters
    ----------
    stepper
        Whose numbers these are.
    program
        What is done unit by unit.
    model
        Its numbers.
    """

    stepper: Stepper
    program: Program
    model: Model

    def advance(
        self, now: Moment, drive: Tensor, kicks: Tensor | None, wanted: Sequence[Wanted]
    ) -> tuple[Moment, list[Tensor]]:
        """Run as many steps as `drive [batch, time, unit]` has.

        Parameters
        ----------
        kicks
            Noise of each step, `[time, batch, unit]`.

        Returns
        -------
        Moment
            After the last step.
        list
            What is wanted, `[batch, sample, unit]`.
        """
        state = torch.stack([now.hidden, *(each for values in now.synapses for each in values.values())], 1)
        memory = drive.new_empty(0, 0, 0, 0) if now.memory is None else now.memory.clone().contiguous()
        kicks = drive.new_empty(0, 0, 0) if kicks is None else kicks.contiguous()
        counts = [len(steps) for _, steps in wanted]
        samples = drive.new_empty(drive.shape[0], sum(counts), drive.shape[2])
        sizes, room, code = self._sizes(drive, memory.shape[1])
        share_out(
            rates,
            drive.shape[0],
            sizes,
            state.numpy(),
            memory.numpy(),
            self.model,
            Inputs(_in_a_line(drive), np.array(drive.stride(), np.int64), kicks.numpy()),
            Kept(self._schedule(wanted), samples.numpy()),
            room,
        )
        del code  # which had to live until here
        reached = Moment(state[:, 0], self._states(now, state), None if now.memory is None else memory)
        return reached, list(samples.split(counts, 1))

    def _sizes(self, drive: Tensor, timescales: int) -> tuple[Sizes, Room, Code]:
        """Sizes of a run, its workspace, and the machine code that the sizes point to."""
        batch, steps, units = drive.shape
        itemsize, rows = drive.element_size(), self.program.rows
        lanes, width = VECTOR_BYTES // itemsize, padded(units, itemsize)
        stride = width + lanes * (width // lanes % 2 == 0)  # else many rows would share a set of the cache
        parts, silent = (self.program.predict, self.program.finish), isinstance(self.stepper.gain, Relu)
        code = compile_rows(parts, rows, itemsize, width // lanes, stride)
        sizes = Sizes(
            units=units,
            width=width,
            steps=steps,
            sent=rows.index(self.program.sent[0]),
            constants=rows.index(self.program.constants[0]),
            normalise=KINDS[type(self.stepper.normalise)],
            silent=silent,
            self_connections=self.stepper.matrix is None or self.stepper.matrix.self_connections,
            group=GROUP if self._in_groups(batch) and not silent and not timescales else 1,
            predict=code.addresses[0],
            finish=code.addresses[1],
        )
        threads = thread_count(batch)
        room = Room(
            workspace(drive, threads, sizes.group, len(rows), stride),
            workspace(drive, threads, width),
            np.tile(np.arange(width, dtype=np.int32), (threads, 2, 1)),
            workspace(drive, threads, timescales * units, width),
        )
        return sizes, room, code

    def _in_groups(self, batch: int) -> bool:
        """Whether weights that entries share are too large for the cache, and entries enough to share them."""
        shared = [first for first, step in self.model.sources if step == 0]
        size = sum(self.model.weights[first].nbytes for first in shared)
        return size > CACHE and batch >= 4 * GROUP

    def _schedule(self, wanted: Sequence[Wanted]) -> np.ndarray:
        """Step, row and place of everything that is kept, `[sample, 3]`, by step."""
        names = [symbol.name for symbol in self.program.rows]
        parts, place = [np.empty((0, 3), np.int64)], 0
        for name, steps in wanted:
            places = np.arange(place, place + len(steps))
            parts.append(
                np.stack([np.array(steps, np.int64), np.full_like(places, names.index(name)), places], 1)
            )
            place += len(steps)
        schedule = np.concatenate(parts)
        return schedule[np.argsort(schedule[:, 0], kind="stable")]

    @staticmethod
    def _states(now: Moment, state: Tensor) -> tuple[dict[str, Tensor], ...]:
        """Give the rows of the state back to the synapses."""
        rest = iter(state.unbind(1)[1:])
        return tuple({name: next(rest) for name in values} for values in now.synapses)


def prepare(stepper: Stepper) -> CompiledRun:
    """Bring a stepper of presynaptic rules, known gains and normalisations into the form that the kernel reads."""
    parts = stepper.plastic
    synapses = [
        Synapse(structure(part.dynamics.rule), tuple(part.relaxation.keep), tuple(part.relaxation.first))
        for part in parts
    ]
    gain: type = type(stepper.gain)
    described = program(gain, stepper.static is not None, tuple(synapses))
    weights = [*([] if stepper.static is None else [stepper.static]), *(part.weights for part in parts)]
    like, known = weights[0], _constants(stepper)
    values = [torch.as_tensor(known[symbol.name], dtype=like.dtype) for symbol in described.constants]
    model = Model(*_lines(values), *_matrices(weights), _decays(stepper.matrix, like))
    return CompiledRun(stepper, described, model)


def _constants(stepper: Stepper) -> Mapping[str, float | Tensor]:
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


def _decays(matrix: Matrix | None, like: Tensor) -> np.ndarray:
    """Keep, first and second of a memory, and ones, `[batch or 1, 4, timescale]`."""
    if matrix is None:
        return like.new_empty(1, 4, 0).numpy()
    parts = (matrix.keep, matrix.first, matrix.second, torch.ones_like(matrix.keep))
    return torch.stack(torch.broadcast_tensors(*parts), 1).detach().numpy()


def _lines(values: Sequence[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of all constants in a line; where each begins, and its strides over batch and units."""
    shapes = [(1,) * (2 - value.ndim) + tuple(value.shape) for value in values]
    starts = np.cumsum([0, *(value.numel() for value in values)])[:-1]
    strides = [(units * (batch > 1), int(units > 1)) for batch, units in shapes]
    places = np.array([(start, *stride) for start, stride in zip(starts, strides)], np.int64)
    return torch.cat([value.detach().reshape(-1) for value in values]).numpy(), places


def _matrices(weights: Sequence[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Transposed and padded weights of all sources, `[matrix, pre, post]`; first one and step of each source."""
    counts = [each.shape[0] if each.ndim == 3 else 1 for each in weights]
    like, units = weights[0], weights[0].shape[-1]
    matrices = like.new_zeros(sum(counts), units, padded(units, like.element_size()))
    first, sources = 0, []
    for each, count in zip(weights, counts):
        matrices[first : first + count, :, :units] = each.detach().mT
        sources.append((first, int(count > 1)))
        first += count
    return matrices.numpy(), np.array(sources, np.int64)


def workspace(like: Tensor, *shape: int) -> np.ndarray:
    """Room that begins on a cache line, as torch's does, so that no whole vector lies across two.

    What lies in it changes no result, but left-over numbers too small to be normal would slow arithmetic down.
    """
    return like.new_zeros(shape).numpy()


def _in_a_line(drive: Tensor) -> np.ndarray:
    """All numbers that a tensor of any strides lies on."""
    reach = 1 + sum((size - 1) * stride for size, stride in zip(drive.shape, drive.stride()))
    return drive.detach().as_strided((reach,), (1,)).numpy()
