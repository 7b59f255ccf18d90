"""A rate network in compiled code, one batch entry after the other, its state close to the arithmetic.

Everything of an entry lies in `rows [row, unit]`. What is done unit by unit (gains, synapses, leak) is machine code made
for the network (`native_code`); here stands what connects units: projections, the memory matrix, normalisation. See
`fwsim.engine.rate.step` for the scheme and `fwsim.engine.rate.rowwise` for the rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fwsim.engine.cell import EPSILON
from fwsim.engine.kernels.numba_room import load_matrix, unload_matrix
from fwsim.engine.kernels.numba_vectors import active, clear, copy, inlined, kernel, merged, sum_rows

FIELD, REACHED, KICK, RATE, AHEAD, STATE = range(6)  # rows; the state is followed by what is sent, and so on
NONE, LAYER, DIVISIVE, SUBTRACTIVE = range(4)
EPS = EPSILON


class Sizes(NamedTuple):
    """Numbers that a run is described by; the kernel reads them in this order.

    Parameters
    ----------
    units, width, steps
        Units, the same in whole vectors, and steps of the run.
    states, sent
        Number of rows of the state, and the first row of what is sent.
    constants
        First row of the constants, the first two of which belong to the normalisation.
    normalise
        `NONE` … `SUBTRACTIVE`.
    silent
        Whether units may be silent, so that it pays to look for the others.
    self_connections
        Whether the memory keeps its diagonal.
    predict, finish
        Addresses of the machine code.
    batch_stride, time_stride, unit_stride
        Of the drive.
    """

    units: int
    width: int
    steps: int
    states: int
    sent: int
    constants: int
    normalise: int
    silent: int
    self_connections: int
    predict: int
    finish: int
    batch_stride: int
    time_stride: int
    unit_stride: int


def _call(typingctx: Any, address: Any, rows: Any) -> tuple:
    """Call `void f(number *rows)` at an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[1])(context, builder, args[1]).data
        kind = ir.FunctionType(ir.VoidType(), [data.type])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [data])
        return context.get_dummy_value()

    return types.void(types.int64, rows), codegen


call: Any = intrinsic(_call)


@inlined
def load(source: np.ndarray, start: int, stride: int, row: np.ndarray, size: int) -> None:
    """Row ← every `stride`-th number from `start` on; of stride 0 the same for all."""
    if stride == 1:
        for i in range(size):
            row[i] = source[start + i]
    elif stride == 0:
        for i in range(size):
            row[i] = source[start]
    else:
        for i in range(size):
            row[i] = source[start + i * stride]


@inlined
def normalise(field: np.ndarray, one: np.ndarray, other: np.ndarray, units: int, kind: int) -> None:
    """Normalise a field in place; `one` and `other` are the rows of its parameters."""
    if kind == NONE:
        return
    number, total = field.dtype.type(units), field.dtype.type(0)
    if kind == LAYER:
        for i in range(units):
            total += field[i]
        mean, square = total / number, field.dtype.type(0)
        for i in range(units):
            square += (field[i] - mean) ** 2
        scale = field.dtype.type(1) / np.sqrt(square / number + field.dtype.type(EPS))
        for i in range(units):
            field[i] = (field[i] - mean) * scale * one[i] + other[i]
        return
    for i in range(units):
        total += max(field[i], field.dtype.type(0))
    pool = total / number
    if kind == DIVISIVE:
        for i in range(units):
            field[i] = field[i] / (other[i] + one[i] * pool)
    else:
        for i in range(units):
            field[i] -= one[i] * pool


@merged
def receive(
    field: np.ndarray,
    rows: np.ndarray,
    sizes: np.ndarray,
    weights: np.ndarray,
    sources: np.ndarray,
    entry: int,
    index: np.ndarray,
    value: np.ndarray,
) -> None:
    """Field += Σ over sources of weights times what they send."""
    one = field.dtype.type(1)
    for source in range(sources.shape[0]):
        sent = rows[sizes[4] + source]
        matrix = weights[sources[source, 0] + entry * sources[source, 1]]
        if sizes[7]:
            count = active(sent, sizes[0], index[1], value)
            sum_rows(field, one, matrix, index[1], value, count, sizes[1])
        else:
            sum_rows(field, one, matrix, index[0], sent, sizes[0], sizes[1])


@inlined
def read(
    field: np.ndarray,
    matrices: np.ndarray,
    rate: np.ndarray,
    weight: np.ndarray,
    index: np.ndarray,
    value: np.ndarray,
    units: int,
) -> None:
    """Field += Σ_k weight_k A_k rate, for matrices `[timescale·pre, post]`."""
    for k in range(weight.shape[0]):
        for i in range(units):
            value[i] = weight[k] * rate[i]
        part = matrices[k * units : (k + 1) * units]
        sum_rows(field, field.dtype.type(1), part, index, value, units, field.shape[0])


@merged
def read_predicted(
    field: np.ndarray,
    rows: np.ndarray,
    matrices: np.ndarray,
    decays: np.ndarray,
    index: np.ndarray,
    value: np.ndarray,
    units: int,
    self_connections: bool,
) -> None:
    """Field += what the memory will answer to the rates ahead; see `Matrix.read_predicted`."""
    rate, ahead = rows[RATE], rows[AHEAD]
    read(field, matrices, ahead, decays[0], index, value, units)
    overlap, written = field.dtype.type(0), field.dtype.type(0)
    for i in range(units):
        overlap += rate[i] * ahead[i]
    for k in range(decays.shape[1]):
        written += decays[1, k]
    for i in range(units):
        own = field.dtype.type(0) if self_connections else rate[i] * ahead[i]
        field[i] += written * (overlap - own) * rate[i]


@merged
def write(
    rows: np.ndarray,
    matrices: np.ndarray,
    decays: np.ndarray,
    index: np.ndarray,
    value: np.ndarray,
    units: int,
    self_connections: bool,
) -> None:
    """Advance the memory by a step from the rates to those ahead; see `Matrix.write`."""
    ends = rows[RATE : AHEAD + 1]
    for k in range(decays.shape[1]):
        keep, late = decays[0, k], decays[2, k]
        early = decays[1, k] - late
        for j in range(units):
            row = matrices[k * units + j]
            own = keep * row[j]
            value[0], value[1] = early * ends[0, j], late * ends[1, j]
            sum_rows(row, keep, ends, index, value, 2, row.shape[0])
            if not self_connections:
                row[j] = own


@kernel
def rates(
    part: int,
    first: int,
    last: int,
    sizes: np.ndarray,
    rows: np.ndarray,
    value: np.ndarray,
    index: np.ndarray,
    state: np.ndarray,
    constants: np.ndarray,
    places: np.ndarray,
    weights: np.ndarray,
    sources: np.ndarray,
    drive: np.ndarray,
    kicks: np.ndarray,
    memory: np.ndarray,
    matrices: np.ndarray,
    decays: np.ndarray,
    schedule: np.ndarray,
    samples: np.ndarray,
) -> None:
    """Run the batch entries `first … last−1` in the workspace of thread `part`.

    Parameters
    ----------
    sizes
        See `Sizes`.
    rows, value, index
        Workspace `[part, row, unit]`, `[part, unit]`, and lists `[part, 2, unit]`, the first in order.
    state
        `[batch, row, unit]`, before the run and after it.
    constants, places
        All numbers in a line, and for each row of constants its first one, and its strides over batch and units.
    weights, sources
        Transposed and padded, `[matrix, pre, post]`; for each source its first one, and how many there are from one
        batch entry to the next, `[source, 2]`.
    drive, kicks
        Inputs in a line, with strides as in `Sizes`; noise `[time, batch, unit]`, or empty.
    memory, matrices, decays
        `[batch, timescale, post, pre]` before and after the run, or empty; workspace `[part, timescale·pre, post]`;
        keep, first and second of `Matrix`, and ones, `[batch or 1, 4, timescale]`.
    schedule, samples
        What is kept: step, row and place, ascending, `[sample, 3]`; where to, `[batch, place, unit]`.
    """
    units, width, steps, states = sizes[0], sizes[1], sizes[2], sizes[3]
    for entry in range(first, last):
        work, mine, held = rows[part], matrices[part], value[part]
        order, listed = index[part, 0], index[part]
        decay, remembers = decays[min(entry, decays.shape[0] - 1)], memory.size > 0
        ones = decay[3]
        for row in range(places.shape[0]):
            start = places[row, 0] + entry * places[row, 1]
            load(constants, start, places[row, 2], work[sizes[5] + row], units)
        for row in range(states):
            copy(state[entry, row], work[STATE + row], units)
        for row in (FIELD, REACHED, KICK):
            clear(work[row], width)
        if remembers:
            load_matrix(memory, entry, mine, units)
        field, reached = work[FIELD, :width], work[REACHED, :width]
        normal, other = work[sizes[5], work[sizes[5] + 1]
        call(sizes[10], rows[part])
        sample = 0
        for step in range(steps):
            start = entry * sizes[11] + step * sizes[12]
            load(drive, start, sizes[13], field, units)
            copy(field, reached, units)
            receive(field, work, sizes, weights, sources, entry, listed, held)
            if remembers:
                read(field, mine, work[RATE], ones, order, held, units)
            normalise(field, normal, other, units, sizes[6])
            call(sizes[9], rows[part])
            receive(reached, work, sizes, weights, sources, entry, listed, held)
            if remembers:
                read_predicted(reached, work, mine, decay, order, held, units, sizes[8] != 0)
                write(work, mine, decay, order, held, units, sizes[8] != 0)
            normalise(reached, normal, other, units, sizes[6])
            if kicks.size:
                copy(kicks[step, entry], work[KICK], units)
            call(sizes[10], rows[part])
            while sample < schedule.shape[0] and schedule[sample, 0] == step:
                copy(work[schedule[sample, 1]], samples[entry, schedule[sample, 2]], units)
                sample += 1
        for row in range(states):
            copy(work[STATE + row], state[entry, row], units)
        if remembers:
            unload_matrix(mine, memory, entry, units)
