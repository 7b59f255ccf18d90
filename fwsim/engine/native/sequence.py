"""A whole sequence by the compiled engine, and its gradients, as one `torch.autograd.Function`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fwsim.engine.native.library import library, team
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
POINTERS = (
    *GIVEN,
    *TABLES,
    *SCHEDULE,
    *RESULTS,
    *SAVED,
    *UPSTREAM,
    *GRADIENTS,
    "workspace",
    "team",
)


class SequenceRun(ctypes.Structure):
    """What `sequence_run.hpp` says a run is, in the same order."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in SIZES),
        *((name, ctypes.c_void_p) for name in POINTERS),
    )


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
    schedule: Schedule | None = None


def lanes(itemsize: int) -> int:
    """Numbers that a register holds."""
    return library().fwsim_vector_bytes() // itemsize


def run_forward(
    given: Conventions, inner: bool, *tensors: Tensor, differentiable: bool
) -> tuple[Tensor, ...]:
    """Run a sequence.

    Parameters
    ----------
    given
        Sizes and conventions.
    inner
        Whether inner states are wanted.
    tensors
        x, C, b, hidden, W, gain, bias, the states written before, the matrix, and three tables (`Memory`). C, b, W,
        gain and bias have an axis for their sets.
    differentiable
        Whether a backward pass may follow.

    Returns
    -------
    tuple
        States, inner states and the matrix after the last step, the last two empty where there are none; then what
        is saved for the backward pass.
    """
    x, units = tensors[0], tensors[3].shape[1]
    batch, time, _ = x.shape
    S, K = given.inner_steps, given.matrices
    padding = batch
    if given.batch_layout:
        width = lanes(x.element_size())
        padding = -(-batch // width) * width
    fits = differentiable and not given.checkpoints and batch + S * padding <= SAVED_STATES * batch
    fields = S if fits else 0
    merges = K > 0 and tensors[7].shape[1] + given.writes >= given.chunk
    new, saves = x.new_empty, batch if differentiable else 0
    states = new(batch, time, units)
    every = new((batch, time, S + 1, units) if inner else 0)
    final = new((batch, K, units, units) if merges else 0)
    saved = (
        new(saves, time, units),
        new(padding * time * fields * units),
        new(padding * time * fields),
        new(saves, given.checkpoints, K * units, units),
    )
    results = dict(zip((*RESULTS, *SAVED), (states, every, final, *saved), strict=True))
    _call("forward", given, tensors, results, saved_fields=fields)
    return states, every, final, *saved


class SequenceFunction(torch.autograd.Function):
    """`run_forward` with gradients; its outputs are states, inner states and the matrix after the last step."""

    @staticmethod
    def forward(ctx: Any, given: Conventions, inner: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run the sequence."""
        states, every, final, *saved = run_forward(given, inner, *tensors, differentiable=True)
        ctx.given = given
        ctx.save_for_backward(*tensors, states, *saved)
        return states, every, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, d_inner: Tensor, d_final: Tensor) -> tuple:
        """Backward pass of the sequence."""
        tensors, (states, *saved) = ctx.saved_tensors[:12], ctx.saved_tensors[12:]
        wanted, batch, rates = ctx.needs_input_grad[2:], len(states), any(ctx.needs_input_grad[11:])
        tables = tensors[9:]
        gradients = [each.new_empty(each.shape) for each in tensors[:9]]
        gradients += [
            each.new_zeros(batch, *each.shape[1:]) if rates else each.new_empty(0) for each in tables
        ]
        for place in (0, 8):
            if not wanted[place]:
                gradients[place] = states.new_empty(0)
        arrays = dict(zip(("states", *SAVED), (states, *saved), strict=True))
        arrays |= dict(zip(UPSTREAM, (d_states, d_inner, d_final), strict=True))
        arrays |= dict(zip(GRADIENTS, gradients, strict=True))
        fields = ctx.given.inner_steps if saved[1].numel() else 0
        _call("backward", ctx.given, tensors, arrays, saved_fields=fields)
        gradients[9:] = [each[: len(table)] for each, table in zip(gradients[9:], tables, strict=True)]
        return None, None, *(each if want else None for each, want in zip(gradients, wanted, strict=True))


def _call(
    name: str, given: Conventions, tensors: tuple[Tensor, ...], arrays: dict[str, Tensor], **sizes: int
) -> None:
    """Call a function of the library with a `SequenceRun`."""
    x, C, _, _, _, _, _, written, _, age_weight, _, decayed = tensors
    held = dict(zip((*GIVEN, *TABLES), tensors, strict=True)) | arrays
    if given.schedule is not None:
        held |= given.schedule._asdict()
    held = {key: each if each.is_contiguous() else each.contiguous() for key, each in held.items()}
    run = SequenceRun(
        batch=x.shape[0],
        time=x.shape[1],
        inputs=x.shape[2],
        units=C.shape[1],
        inner_steps=given.inner_steps,
        activation=given.activation,
        normalise=given.normalise,
        self_connections=given.self_connections,
        sets=C.shape[0],
        before=written.shape[1],
        writes=given.writes,
        ages=age_weight.shape[1],
        chunk=given.chunk,
        matrices=given.matrices,
        decays=decayed.shape[1],
        rates=len(age_weight),
        symmetric=given.symmetric,
        group=given.group,
        checkpoints=given.checkpoints,
        threads=torch.get_num_threads(),
        team=team(),
        **sizes,
        **{key: each.data_ptr() or None for key, each in held.items()},
    )
    size, call = _functions(library(), name, x.dtype, given.batch_layout)
    workspace = torch.empty(size(ctypes.byref(run), name == "backward"), dtype=torch.uint8, device="cpu")
    run.workspace = workspace.data_ptr()
    call(ctypes.byref(run))


@cache
def _functions(
    compiled: ctypes.CDLL, name: str, dtype: torch.dtype, batch_layout: bool
) -> tuple[Callable, Callable]:
    """Return a library's function of a precision and layout, and that which knows its workspace in bytes."""
    suffix = f"{str(dtype).removeprefix('torch.')}_{'batch' if batch_layout else 'units'}"
    workspace = getattr(compiled, f"fwsim_workspace_{suffix}")
    workspace.argtypes, workspace.restype = (ctypes.POINTER(SequenceRun), ctypes.c_int), ctypes.c_int64
    call = getattr(compiled, f"fwsim_{name}_{suffix}")
    call.argtypes, call.restype = (ctypes.POINTER(SequenceRun),), None
    return workspace, call
