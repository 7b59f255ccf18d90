"""A whole sequence by the compiled engine, and its gradients, as one `torch.autograd.Function`."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from fwsim.engine.native.library import library, team, vector_bytes
from fwsim.engine.transforms import once_differentiable

# Numbers saved for the backward pass, in units of batch·time·unit; beyond, the inner loop is run again.
SAVED_STATES = 3

SIZES = (
    "batch",
    "time",
    "inputs",
    "units",
    "inner_steps",
    "activation",
    "normalise",
    "self_connections",
    "sets",
    "before",
    "writes",
    "ages",
    "chunk",
    "matrices",
    "decays",
    "rates",
    "symmetric",
    "group",
    "checkpoints",
    "saved_fields",
    "threads",
)
GIVEN = ("x", "C", "b", "hidden", "W", "gain", "bias", "written", "matrix")
TABLES = ("age_weight", "write_weight", "decayed")
SCHEDULE = ("slot", "readable", "continues", "set")
RESULTS = ("states", "inner", "final")
SAVED = ("sustained", "normal", "scale", "checkpoint")
UPSTREAM = ("d_states", "d_inner", "d_final")
GRADIENTS = tuple(
    f"d_{name}" for name in ("x", "C", "b", "hidden", "W", "gain", "bias", "written", "matrix", *TABLES)
)
ARRAYS = (*GIVEN, *TABLES, *SCHEDULE, *RESULTS, *SAVED, *UPSTREAM, *GRADIENTS)
NULL = (0,) * len(ARRAYS)

RUN = struct.Struct(f"{len(SIZES) + 2 + len(ARRAYS)}q")
"""A `SequenceRun` of `sequence_run.hpp`: sizes, addresses of team and workspace, addresses of arrays."""

Arrays = Sequence[Tensor | None]
Shape = tuple[int, ...]


class Schedule(NamedTuple):
    """What happens in each step, `[time]` in int32; all empty where there is no schedule.

    Parameters
    ----------
    slot
        Place among the written states that the step's state is written to; −1 for none.
    readable
        How many written states the step reads.
    continues
        Whether the step starts from the state before, else from 0.
    set
        Number of its set of slow weights.
    """

    slot: Tensor
    readable: Tensor
    continues: Tensor
    set: Tensor


NO_SCHEDULE = (None,) * len(SCHEDULE)


class Conventions(NamedTuple):
    """Sizes and conventions of a run that are not the sizes of its tensors; see `sequence_run.hpp`.

    `batch_layout`: whether a register holds one unit of several batch elements, else several units of one.
    """

    inner_steps: int
    activation: int
    normalise: int
    self_connections: bool
    writes: int
    chunk: int
    matrices: int
    symmetric: bool
    group: int
    checkpoints: int
    batch_layout: bool


def run_forward(
    given: Conventions, schedule: Schedule | None, inner: bool, *tensors: Tensor, differentiable: bool
) -> tuple[Any, ...]:
    """Run a sequence.

    Parameters
    ----------
    given, schedule
        Sizes and conventions, and what happens in each step if that is not the same in all.
    inner
        Whether inner states are wanted.
    tensors
        x, C, b, hidden, W, gain, bias, the states written before, the matrix, and three tables (`Memory`). With a
        schedule, C, b, W, gain and bias have an axis for their sets.
    differentiable
        Whether a backward pass may follow.

    Returns
    -------
    tuple
        States, inner states and the matrix after the last step, the last two `None` where there are none; then, if it
        is differentiable, what is saved for the backward pass.
    """
    x, units = tensors[0], tensors[3].shape[1]
    batch, time, _ = x.shape
    S, K, new = given.inner_steps, given.matrices, x.new_empty
    merges = K > 0 and tensors[7].shape[1] + given.writes >= given.chunk
    results = (
        new(batch, time, units),
        new(batch, time, S + 1, units) if inner else None,
        new(batch, K, units, units) if merges else None,
    )
    fields = 0
    saved: tuple[Tensor, ...] = ()
    if differentiable:
        padding = batch
        if given.batch_layout:
            width = vector_bytes() // x.element_size()
            padding = -(-batch // width) * width
        fields = S if not given.checkpoints and batch + S * padding <= SAVED_STATES * batch else 0
        saved = (
            new(batch, time, units),
            new(padding * time * fields * units),
            new(padding * time * fields),
            new(batch, given.checkpoints, K * units, units),
        )
    _call("forward", given, fields, (*tensors, *(schedule or NO_SCHEDULE), *results, *saved))
    return *results, *saved


class SequenceFunction(torch.autograd.Function):
    """`run_forward` with gradients; its outputs are states, inner states and the matrix after the last step."""

    @staticmethod
    def forward(
        ctx: Any, given: Conventions, schedule: Schedule | None, inner: bool, *tensors: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Run the sequence."""
        states, every, final, *saved = run_forward(given, schedule, inner, *tensors, differentiable=True)
        ctx.given, ctx.schedule = given, schedule
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, states, *saved)
        return states, every, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple:
        """Backward pass of the sequence."""
        held, wanted = ctx.saved_tensors, ctx.needs_input_grad[3:]
        tensors, (states, *saved) = held[:12], held[12:]
        batch, rates = len(states), any(wanted[9:])
        gradients = [
            None if place in (0, 8) and not wanted[place] else each.new_empty(each.shape)
            for place, each in enumerate(tensors[:9])
        ]
        tables = [each.new_zeros(batch, *each.shape[1:]) for each in tensors[9:]] if rates else []
        d_states = torch.zeros_like(states) if upstream[0] is None else upstream[0]
        fields = ctx.given.inner_steps if saved[1].numel() else 0
        results = (states, None, None, *saved, d_states, *upstream[1:], *gradients, *tables)
        _call("backward", ctx.given, fields, (*tensors, *(ctx.schedule or NO_SCHEDULE), *results))
        found = [*gradients, *(each[: len(table)] for each, table in zip(tables, tensors[9:]))]
        return None, None, None, *(each if want else None for each, want in zip_longest(found, wanted))


def _call(name: str, given: Conventions, fields: int, arrays: Arrays) -> None:
    """Call a function of the library with arrays in the order of `ARRAYS`, of which the last may be missing."""
    held = [each if each is None or each.is_contiguous() else each.contiguous() for each in arrays]
    x, C, written, age_weight, decayed = (cast("Tensor", held[place]) for place in (0, 1, 7, 9, 11))
    shapes = (x.shape, C.shape, written.shape, age_weight.shape, decayed.shape)
    scheduled = held[12] is not None
    threads = torch.get_num_threads()
    function, size, sizes = _prepared(library(), name, x.dtype, given, fields, shapes, scheduled, threads)
    workspace = torch.empty(size, dtype=torch.uint8, device="cpu")
    pointers = [0 if each is None else each.data_ptr() for each in held]
    function(RUN.pack(*sizes, team(), workspace.data_ptr(), *pointers, *NULL[len(pointers) :]))
    del (
        held,
        workspace,
    )  # torch.compile frees what no later line names, although the engine still writes there


@lru_cache(maxsize=256)
def _prepared(
    compiled: ctypes.CDLL,
    name: str,
    dtype: torch.dtype,
    given: Conventions,
    fields: int,
    shapes: tuple[Shape, ...],
    scheduled: bool,
    threads: int,
) -> tuple[Callable, int, tuple[int, ...]]:
    """Function of the library, bytes of its workspace, and sizes in the order of `SIZES`; the same for many calls.

    `shapes` are those of x, C, the states written before, κ and what decay leaves of matrices.
    """
    (batch, time, inputs), C, written, age_weight, decayed = shapes
    values = given._asdict() | {
        "batch": batch,
        "time": time,
        "inputs": inputs,
        "units": C[-2],
        "sets": C[0] if len(C) == 3 else 1,
        "before": written[1],
        "ages": age_weight[1],
        "decays": decayed[1],
        "rates": age_weight[0],
        "saved_fields": fields,
        "threads": threads,
    }
    sizes = tuple(int(values[size]) for size in SIZES)
    suffix = f"{str(dtype).removeprefix('torch.')}_{'batch' if given.batch_layout else 'units'}"
    workspace = getattr(compiled, f"fwsim_workspace_{suffix}")
    workspace.argtypes, workspace.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_int64
    function = getattr(compiled, f"fwsim_{name}_{suffix}")
    function.argtypes, function.restype = (ctypes.c_char_p,), None
    known = [int(scheduled and array == "slot") for array in ARRAYS]
    return function, workspace(RUN.pack(*sizes, 0, 0, *known), name == "backward"), sizes
