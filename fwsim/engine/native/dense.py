"""A sequence whose memory is kept as a matrix, by the compiled engine: any rule, wiring and constants of a network.

The matrix is written in each step (`dense_memory.hpp`), with one decay and one strength for each of its elements. The
constants of a rule that are the same for all presynaptic channels are read once for all.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from fwsim.engine.cell import Cell
from fwsim.engine.drive import Drive
from fwsim.engine.kernels.codes import ACTIVATIONS, NORMALISATIONS
from fwsim.engine.native.library import library, team, vector_bytes
from fwsim.engine.trace import Trace
from fwsim.engine.trajectory import Trajectory
from fwsim.engine.transforms import once_differentiable
from fwsim.rules.delta import Delta
from fwsim.rules.hebbian import Hebbian
from fwsim.rules.memory_rule import over_memory

RULES = (Hebbian, Delta)
HEBBIAN, OJA, DELTA = range(3)
ACTIVITIES = ("inputs", "previous", "units")  # as numbered in `dense_run.hpp`

GIVEN = ("x", "hidden", "weights", "gate_weights", "gain", "bias", "matrix", "decay", "strength")
RESULTS = ("states", "inner", "final", "sustained", "checkpoint")
UPSTREAM = ("d_states", "d_inner", "d_final")
GRADIENTS = tuple(f"d_{name}" for name in GIVEN)
OPTIONAL = ("x", "matrix", "decay", "strength")  # whose gradients are not computed unless they are wanted


class DenseRun(ctypes.Structure):
    """What `dense_run.hpp` says a run is, in the same order."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("batch", "time", "inputs", "units", "inner_steps")),
        *((name, ctypes.c_int64) for name in ("activation", "normalise", "self_connections")),
        *((name, ctypes.c_int64) for name in ("timescales", "sources", "parts")),
        ("activity", ctypes.c_int64 * 3),
        *((name, ctypes.c_int64) for name in ("rule", "multiplicative", "before", "gates", "keep", "store")),
        *((name, ctypes.c_int64) for name in ("rates", "decay_rows", "strength_rows")),
        *((name, ctypes.c_int64) for name in ("group", "checkpoints", "threads")),
        *((name, ctypes.c_void_p) for name in (*GIVEN, *RESULTS, *UPSTREAM)),
        *((f"d_{name}", ctypes.c_void_p) for name in GIVEN),
        *((name, ctypes.c_void_p) for name in ("workspace", "team")),
    )


class Conventions(NamedTuple):
    """Conventions of a run that are not the sizes of its tensors; see `dense_run.hpp`."""

    inner_steps: int
    activation: int
    normalise: int
    self_connections: bool
    activities: tuple[int, ...]
    rule: int
    multiplicative: bool
    before: bool
    keep: int
    store: int
    group: int


def needed(trace: Trace, cell: Cell) -> bool:
    """Whether a memory is more than h hᵀ with constants by time scale, added, which has other forms in `run.py`."""
    rule = trace.rule
    return cell.wiring.special is not None or not isinstance(rule, Hebbian) or bool(rule.axes) or rule.oja


def run(cell: Cell, drive: Drive, hidden: Tensor, trace: Trace, *, inner: bool = False) -> Trajectory:
    """Run a sequence; see `reference.run`, whose numbers and gradients these are (subnormal numbers count as 0).

    The tensors must be float32 or float64 on the CPU, with at least one step. Gradients can be taken once, not twice.
    """
    trace = trace.merged()
    x, rule, dtype = drive.x, trace.rule, hidden.dtype
    assert isinstance(rule, RULES)
    units, gates = len(cell.W), cell.gate_weights
    decay, strength = (
        _by_synapse(value, units).to(dtype) for value in (rule.decay(trace.dt), rule.strength(trace.dt))
    )
    weights = torch.cat([drive.C, cell.W, drive.b[:, None]], 1)
    if gates is None or cell.gate_bias is None:
        gate_weights = weights[:0]
    else:
        gate_weights = torch.cat([gates, cell.gate_bias[:, None]], 1)
    matrix = hidden.new_empty(0, *trace.shape[1:]) if trace.matrix is None else trace.matrix
    given = _conventions(cell, trace, x.shape[1])
    normalised = cell.normalise == "all" or (cell.normalise == "inner" and cell.inner_steps > 0)
    normal = (cell.gain, cell.bias) if normalised else (cell.gain.detach(), cell.bias.detach())
    tensors = (x, hidden, weights, gate_weights, *normal, matrix, decay, strength)
    if torch.is_grad_enabled() and any(each.requires_grad for each in tensors):
        states, every, final = cast("tuple[Tensor, ...]", DenseFunction.apply(given, inner, *tensors))
    else:
        states, every, final = _forward(given, inner, tensors, differentiable=False)[:3]
    return Trajectory(states, every if inner else None, replace(trace, matrix=final))


def _by_synapse(value: Tensor, units: int) -> Tensor:
    """Constants of a rule's shape as `[rates, timescale, 1 or pre, post]`: 1 where all channels have the same."""
    if value.ndim > 2 and value.stride(-2) == 0:  # expanded
        value = value.narrow(-2, 0, 1)
    value = over_memory(value).mT
    value = value if value.ndim == 4 else value[None]
    return value.expand(*value.shape[:-1], units)


def _conventions(cell: Cell, trace: Trace, time: int) -> Conventions:
    rule, gates = trace.rule, cell.wiring.gates
    oja = isinstance(rule, Hebbian) and rule.oja
    return Conventions(
        inner_steps=cell.inner_steps,
        activation=ACTIVATIONS[cell.activation],
        normalise=NORMALISATIONS[cell.normalise],
        self_connections=trace.self_connections,
        activities=tuple(ACTIVITIES.index(name) for name in cell.wiring.pre),
        rule=DELTA if isinstance(rule, Delta) else OJA if oja else HEBBIAN,
        multiplicative=cell.wiring.multiplicative,
        before=cell.write == "before",
        keep=gates.index("keep") if "keep" in gates else -1,
        store=gates.index("store") if "store" in gates else -1,
        group=math.isqrt(time) + 1,
    )


class DenseFunction(torch.autograd.Function):
    """A run with gradients; its outputs are states, inner states and the matrix after the last step."""

    @staticmethod
    def forward(ctx: Any, given: Conventions, inner: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run the sequence."""
        states, every, final, *saved = _forward(given, inner, tensors, differentiable=True)
        ctx.given = given
        ctx.save_for_backward(*tensors, states, *saved)
        return states, every, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, d_inner: Tensor, d_final: Tensor) -> tuple:
        """Backward pass of the sequence."""
        count = len(GIVEN)
        tensors, saved = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        wanted = dict(zip(GIVEN, ctx.needs_input_grad[2:], strict=True))
        wanted["decay"] = wanted["strength"] = wanted["decay"] or wanted["strength"]
        gradients = {
            f"d_{name}": each.new_empty(each.shape if wanted[name] or name not in OPTIONAL else 0)
            for name, each in zip(GIVEN, tensors, strict=True)
        }
        arrays = dict(zip(("states", "sustained", "checkpoint"), saved, strict=True))
        arrays |= dict(zip(UPSTREAM, (d_states, d_inner, d_final), strict=True)) | gradients
        _call("backward", ctx.given, tensors, arrays)
        found = zip(gradients.values(), ctx.needs_input_grad[2:], strict=True)
        return None, None, *(each if want else None for each, want in found)


def _forward(
    given: Conventions, inner: bool, tensors: tuple[Tensor, ...], *, differentiable: bool
) -> tuple[Tensor, ...]:
    """Return states, inner states, empty if not wanted, and the last matrix; then what the backward pass needs."""
    x = tensors[0]
    _, timescales, units, sources = tensors[6].shape
    batch, time, _ = x.shape
    new, saves = x.new_empty, batch if differentiable else 0
    width = vector_bytes() // x.element_size()
    row = -(-units // width) * width
    results = {
        "states": new(batch, time, units),
        "inner": new((batch, time, given.inner_steps + 1, units) if inner else 0),
        "final": new(batch, timescales, units, sources),
        "sustained": new(saves, time, units),
        "checkpoint": new(saves, (time - 1) // given.group, timescales * sources, row),
    }
    _call("forward", given, tensors, results)
    return tuple(results.values())


def _call(name: str, given: Conventions, tensors: tuple[Tensor, ...], arrays: dict[str, Tensor]) -> None:
    """Call a function of the library with a `DenseRun`."""
    held = dict(zip(GIVEN, tensors, strict=True)) | arrays
    held = {key: each if each.is_contiguous() else each.contiguous() for key, each in held.items()}
    x, decay, strength = held["x"], held["decay"], held["strength"]
    _, timescales, units, sources = held["matrix"].shape
    batch, time, inputs = x.shape
    run = DenseRun(
        batch=batch,
        time=time,
        inputs=inputs,
        units=units,
        timescales=timescales,
        sources=sources,
        parts=len(given.activities),
        activity=(ctypes.c_int64 * 3)(*given.activities),
        gates=len(held["gate_weights"]),
        rates=len(decay),
        decay_rows=decay.shape[2],
        strength_rows=strength.shape[2],
        checkpoints=(time - 1) // given.group,
        threads=torch.get_num_threads(),
        team=team(),
        **{key: value for key, value in given._asdict().items() if key != "activities"},
        **{key: each.data_ptr() or None for key, each in held.items()},
    )
    size, call = _functions(library(), name, str(x.dtype).removeprefix("torch."))
    workspace = torch.empty(size(ctypes.byref(run), name == "backward"), dtype=torch.uint8, device="cpu")
    run.workspace = workspace.data_ptr()
    call(ctypes.byref(run))
    del (
        held,
        workspace,
    )  # torch.compile frees what no later line names, although the engine still writes there


@cache
def _functions(compiled: ctypes.CDLL, name: str, dtype: str) -> tuple[Callable, Callable]:
    """Return a library's function of a precision, and that which knows its workspace in bytes."""
    workspace = getattr(compiled, f"fwsim_dense_workspace_{dtype}")
    workspace.argtypes, workspace.restype = (ctypes.POINTER(DenseRun), ctypes.c_int), ctypes.c_int64
    call = getattr(compiled, f"fwsim_dense_{name}_{dtype}")
    call.argtypes, call.restype = (ctypes.POINTER(DenseRun),), None
    return workspace, call
