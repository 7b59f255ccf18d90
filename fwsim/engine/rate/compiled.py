"""Runs of a rate network by the native engine: the numbers of `Stepper.step` without its tensors between operations."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fwsim._allocator import in_large_pages
from fwsim.engine.native.library import library, team, thread_count, vector_bytes
from fwsim.engine.native.program import Adjoint, Assignments, Programs, adjoint, compile_programs
from fwsim.engine.rate.gains import Relu
from fwsim.engine.rate.model import Model, constants, decays, in_a_line, padded, weights
from fwsim.engine.rate.normalisation import Divisive, Layer, Subtractive
from fwsim.engine.rate.rows import KICK, NORMAL, Synapse, gain_expression, step_rows
from fwsim.engine.rate.step import Moment, Stepper
from fwsim.rules.derive.symbols import structure

KINDS: dict[type, int] = {type(None): 0, Layer: 1, Divisive: 2, Subtractive: 3}
"""Normalisations, and their numbers in `rates.hpp`."""

CACHE = 16_000  # bytes of matrices that stay in the first-level cache beside everything else
GROUP = 8  # batch elements that share one pass over the weights

Wanted = tuple[str, range]
"""A row, and the steps after which it is recorded."""

PARTS = ("predict", "correct", "emit", "predict_backward", "correct_backward", "emit_backward")
"""Programs, in the order of `Part` in `rates.hpp`."""

SIZES = (
    *("batch", "steps", "units", "group", "rows", "states", "sent", "constants", "row_constants", "sources"),
    *("normalise", "sparse", "timescales", "decay_sets", "self_connections", "number_count", "block_count"),
    *("samples", "drive_batch", "drive_time", "drive_unit", "width", "stride", "threads"),
    *("adjoints", "sums", "sum_count", "first_normal_sum", "second_normal_sum"),
    *("saved_rows", "segment", "together", *(f"{part}_count" for part in PARTS)),
)
POINTERS = (
    *("drive", "kicks", "state", "memory", "constant_values", "constant_places", "weights", "source_places"),
    *("decays", "numbers", "instructions", "schedule", "sampled"),
    *("row_space", "block_space", "list_values", "matrix_space", "address_space", "list_places"),
    *("checkpoints", "memory_checkpoints", "d_rates", "d_state", "d_memory", "d_drive", "d_kicks"),
    *("d_constants", "d_weights", "d_decays", "transposed_weights", "gradient_places"),
    *("saved_space", "matrix_steps", "adjoint_space", "pair_space", "team"),
)


class RatesRun(ctypes.Structure):
    """What `rates.hpp` says a run is, in the same order."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in SIZES),
        *((name, ctypes.c_void_p) for name in POINTERS),
    )


@dataclass(frozen=True, eq=False)
class CompiledRun:
    """A stepper as the native engine reads it.

    Parameters
    ----------
    stepper
        Whose numbers these are.
    rows
        Names of the rows of a batch element.
    states, sent
        How many of them are the state; place of the first that is sent.
    adjoints
        How many of them have an adjoint, in a run with gradients.
    programs
        What is done unit by unit: the first three of `PARTS`, or all in a run with gradients.
    model
        Its numbers.
    trained
        Constants whose gradient is wanted, by name.
    """

    stepper: Stepper
    rows: tuple[str, ...]
    states: int
    sent: int
    adjoints: int
    programs: Programs
    model: Model
    trained: Mapping[str, Tensor]

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
        state = stacked(now)
        memory = None if now.memory is None else now.memory.clone(memory_format=torch.contiguous_format)
        samples = self.run(state, memory, drive, kicks, wanted)
        return Moment(state[:, 0], unstacked(now, state), memory), samples

    def run(
        self,
        state: Tensor,
        memory: Tensor | None,
        drive: Tensor,
        kicks: Tensor | None,
        wanted: Sequence[Wanted],
        checkpoints: Mapping[str, Tensor] = MappingProxyType({}),
        **sizes: int,
    ) -> list[Tensor]:
        """Bring `state [batch, variable, unit]` and the memory to after the steps; see `advance`.

        What segments begin with is written to the checkpoints.
        """
        counts = [len(steps) for _, steps in wanted]
        samples = workspace(drive, drive.shape[0], sum(counts), drive.shape[2])
        arrays = {"state": state, "memory": memory, "sampled": samples, "schedule": self._schedule(wanted)}
        self.call("rates", drive, kicks, arrays | dict(checkpoints), samples=sum(counts), **sizes)
        return list(samples.split(counts, 1))

    def call(
        self, name: str, drive: Tensor, kicks: Tensor | None, arrays: Mapping[str, Any], **sizes: int
    ) -> None:
        """Call a function of the library with a `RatesRun`."""
        drive = drive.detach()
        sizes = self.sizes(drive) | sizes
        arrays = {
            "drive": drive,
            "kicks": None if kicks is None else kicks.detach().contiguous(),
            "instructions": np.concatenate(self.programs.instructions),
            **vars(self.model),
            **self._workspace(sizes, drive),
            **arrays,
        }
        run = RatesRun(**sizes, **{name: _address(each) for name, each in arrays.items()}, team=team())
        function = getattr(library(), f"fwsim_{name}_{str(drive.dtype).removeprefix('torch.')}")
        function.restype, function.argtypes = None, [ctypes.POINTER(RatesRun)]
        function(ctypes.byref(run))
        del arrays  # torch.compile frees what no later line names, although the engine still writes there

    def sizes(self, drive: Tensor) -> dict[str, int]:
        """Sizes of a run; nothing of them depends on the number of threads, so that no bit of the results does."""
        batch, steps, units = drive.shape
        states, timescales = self.states, self.model.decays.shape[2]
        width, programs = self.model.weights.shape[2] * drive.element_size() // vector_bytes(), self.programs
        sparse = isinstance(self.stepper.gain, Relu)
        group = _group(batch, width, timescales * units)
        total = group * width
        constants, sources = len(self.model.constant_places), len(self.model.source_places)
        adjoints = len(self.rows) + constants
        names = list(self.trained)
        normals = (names.index(each.name) if each.name in names else -1 for each in NORMAL)
        return {
            "batch": batch,
            "steps": steps,
            "units": units,
            "group": group,
            "rows": adjoints + self.adjoints + len(names),
            "states": states,
            "sent": self.sent,
            "constants": len(self.rows),
            "row_constants": constants,
            "sources": sources,
            "normalise": KINDS[type(self.stepper.normalise)],
            "sparse": sparse,
            "timescales": timescales,
            "decay_sets": len(self.model.decays),
            "self_connections": self.stepper.matrix is None or self.stepper.matrix.self_connections,
            "number_count": len(self.model.numbers),
            "block_count": len(self.model.numbers) + programs.temporaries,
            **{f"{part}_count": len(each) for part, each in zip(PARTS, programs.instructions)},
            **dict(zip(("drive_batch", "drive_time", "drive_unit"), drive.stride())),
            "width": width,
            "stride": total + (total % 2 == 0),  # else many rows would share a set of the cache
            "threads": thread_count(-(-batch // group)),
            "adjoints": adjoints,
            "sums": adjoints + self.adjoints,
            "sum_count": len(names),
            **dict(zip(("first_normal_sum", "second_normal_sum"), normals)),
            "saved_rows": states + 3 + 2 * sources + (timescales > 0),
        }

    def _workspace(self, sizes: Mapping[str, int], like: Tensor) -> dict[str, Tensor]:
        threads, numbers = sizes["threads"], vector_bytes() // like.element_size()
        matrices = sizes["group"] * sizes["timescales"] * sizes["units"] * sizes["width"]
        places = sizes["rows"] + sizes["block_count"]
        return {
            "row_space": workspace(like, threads, sizes["rows"] * sizes["stride"] * numbers),
            "block_space": workspace(
                like, threads, sizes["block_count"] * block_bytes() // like.element_size()
            ),
            "list_values": workspace(like, threads, sizes["width"] * numbers),
            "matrix_space": workspace(like, threads, matrices * numbers),
            "address_space": torch.empty(threads, places, dtype=torch.int64),
            "list_places": torch.empty(threads, sizes["width"] * numbers, dtype=torch.int32),
        }

    def _schedule(self, wanted: Sequence[Wanted]) -> np.ndarray:
        """Step, row and place of everything that is recorded, `[sample, 3]`, by step."""
        parts, place = [np.empty((0, 3), np.int64)], 0
        for name, steps in wanted:
            places = np.arange(place, place + len(steps))
            rows = np.full_like(places, self.rows.index(name))
            parts.append(np.stack([np.array(steps, np.int64), rows, places], 1))
            place += len(steps)
        schedule = np.concatenate(parts)
        return np.ascontiguousarray(schedule[np.argsort(schedule[:, 0], kind="stable")])


def stacked(now: Moment) -> Tensor:
    """Rows of the state, `[batch, variable, unit]`, hidden first."""
    return torch.stack([now.hidden, *(each for values in now.synapses for each in values.values())], 1)


def unstacked(like: Moment, state: Tensor) -> tuple[dict[str, Tensor], ...]:
    """Give the rows of the state back to the synapses, named as in another moment."""
    rest = iter(state.unbind(1)[1:])
    return tuple({name: next(rest) for name in values} for values in like.synapses)


def block_bytes() -> int:
    """Length of the blocks in which programs run."""
    return library().fwsim_block_bytes()


def _group(batch: int, width: int, matrix_rows: int) -> int:
    """Batch elements that take each step together.

    Enough to fill the blocks of the programs, and to share the weights; but their memories stay in the cache, and there
    are two groups at least for two threads.
    """
    row_bytes = width * vector_bytes()
    wanted = max(block_bytes() // row_bytes, GROUP)
    if matrix_rows:
        wanted = min(wanted, CACHE // (matrix_rows * row_bytes))
    return max(1, min(wanted, batch // 2))


def workspace(like: Tensor, *shape: int) -> Tensor:
    """Memory for what a run holds or gives; what lies in it changes no result."""
    return in_large_pages(like.new_empty(shape))


def _address(array: Tensor | np.ndarray | None) -> int | None:
    if array is None:
        return None
    return array.data_ptr() if isinstance(array, Tensor) else array.ctypes.data


def prepare(stepper: Stepper, *, gradients: bool = False) -> CompiledRun:
    """Bring a stepper of presynaptic rules and of a gain and normalisation that can be compiled into rows.

    With `gradients` its runs can be differentiated; see `fwsim.engine.rate.gradient`.
    """
    gain, parts = gain_expression(stepper.gain), stepper.plastic
    assert gain is not None
    synapses = [
        Synapse(structure(part.dynamics.rule), tuple(part.relaxation.keep), tuple(part.relaxation.first))
        for part in parts
    ]
    rows = step_rows(gain, stepper.static is not None, tuple(synapses))
    given = weights(stepper)
    like, known = given[0], constants(stepper)
    values = {each: torch.as_tensor(known[each.name], dtype=like.dtype) for each in rows.constants}
    same = tuple(each for each in rows.constants if values[each].numel() == 1 and each not in NORMAL)
    differing = tuple(each for each in rows.constants if each not in same)
    trained = [each for each in rows.constants if gradients and values[each].requires_grad]
    forward: tuple[Assignments, ...] = (rows.predict, rows.correct, rows.emit)
    functions: tuple[Assignments | Adjoint, ...] = forward
    symbols, adjoints = (*rows.variables, *differing), ()
    if gradients:
        adjoints = tuple(map(adjoint, rows.differentiable))
        followed = (*(each for each in rows.differentiable if each != KICK), *trained)
        functions += tuple(Adjoint(each, followed) for each in forward)
        symbols += (*adjoints, *map(adjoint, trained))
    programs = compile_programs(functions, symbols, same)
    numbers = [values[each].detach().reshape(1) for each in same]
    model = Model(
        *in_a_line([values[each].detach() for each in differing]),
        torch.cat([*numbers, like.new_tensor(programs.literals)]).detach(),
        *padded(given),
        decays(stepper.matrix, like).detach().contiguous(),
    )
    names = tuple(each.name for each in rows.variables)
    return CompiledRun(
        stepper,
        names,
        len(rows.state),
        rows.variables.index(rows.sent[0]),
        len(adjoints),
        programs,
        model,
        {each.name: values[each] for each in trained},
    )
