"""A rate network in compiled code, one batch entry after the other, its state close to the arithmetic.

Everything of an entry lies in `rows [row, unit]`. What is done unit by unit (gains, synapses, leak) is machine code
made for the network (`native_code`); here stands what connects units: projections, the memory matrix, normalisation.
See `fwsim.engine.rate.step` for the scheme and `fwsim.engine.rate.rowwise` for the rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fwsim.engine.cell import EPSILON
from fwsim.engine.kernels.numba_products import GROUP, multiply
from fwsim.engine.kernels.numba_room import load_matrix, unload_matrix
from fwsim.engine.kernels.numba_team import share
from fwsim.engine.kernels.numba_vectors import active, apart, clear, copy, inlined, kernel, merged, sum_rows

FIELD, REACHED, KICK, RATE, AHEAD, STATE = range(6)  # rows; the state is followed by what is sent, and so on
NONE, LAYER, DIVISIVE, SUBTRACTIVE = range(4)
EPS = EPSILON


class Sizes(NamedTuple):
    """Sizes and conventions of a run.

    Parameters
    ----------
    units, width, steps
        Units, the same in whole vectors, and steps of the run.
    sent, constants
        First row of what is sent, and of the constants, of which two belong to the normalisation.
    normalise
        `NONE` … `SUBTRACTIVE`.
    silent
        Whether units may be silent, so that it pays to look for the others.
    self_connections
        Whether the memory keeps its diagonal.
    group
        Entries that take each step together, 1 or `GROUP`.
    predict, finish
        Addresses of the machine code.
    """

    units: int
    width: int
    steps: int
    sent: int
    constants: int
    normalise: int
    silent: bool
    self_connections: bool
    group: int
    predict: int
    finish: int


class Model(NamedTuple):
    """A network in numbers.

    Parameters
    ----------
    constants, places
        All numbers in a line; for each row of constants its first one, and its strides over batch and units,
        `[row, 3]`.
    weights, sources
        Transposed and padded, `[matrix, pre, post]`; for each source its first one, and how many there are from one
        batch entry to the next, `[source, 2]`.
    decays
        Of the memory: keep, first and second of `Matrix`, and ones, `[batch or 1, 4, timescale]`.
    """

    constants: np.ndarray
    places: np.ndarray
    weights: np.ndarray
    sources: np.ndarray
    decays: np.ndarray


class Inputs(NamedTuple):
    """What comes from outside.

    Parameters
    ----------
    drive, strides
        Numbers in a line, and the strides over batch, time and units.
    kicks
        Noise, `[time, batch, unit]`, or empty.
    """

    drive: np.ndarray
    strides: np.ndarray
    kicks: np.ndarray


class Kept(NamedTuple):
    """What is recorded.

    Parameters
    ----------
    schedule
        Step, row and place of each sample, by step, `[sample, 3]`.
    samples
        `[batch, place, unit]`.
    """

    schedule: np.ndarray
    samples: np.ndarray


class Room(NamedTuple):
    """Workspace of each thread: `[part, member of a group, row, unit]`, `[part, unit]`, `[part, 2, unit]` counting from
    0, and `[part, timescale·pre, post]`.
    """

    rows: np.ndarray
    value: np.ndarray
    lists: np.ndarray
    matrices: np.ndarray


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
        number = source[start]
        for i in range(size):
            row[i] = number
    else:
        for i in range(size):
            row[i] = source[start + i * stride]


@inlined
def normalise(field: np.ndarray, rows: np.ndarray, sizes: Sizes) -> None:
    """Normalise a field in place by the parameters in the first two rows of constants."""
    kind, units = sizes.normalise, sizes.units
    one, other = rows[sizes.constants], rows[sizes.constants + 1]
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
def receive(row: int, entry: int, last: int, sizes: Sizes, model: Model, room: Room, part: int) -> None:
    """Row += Σ over sources of weights times what they send, for all members of a group."""
    group, value, index = room.rows[part], room.value[part], room.lists[part]
    for source in range(model.sources.shape[0]):
        first, step, sent = model.sources[source, 0], model.sources[source, 1], sizes.sent + source
        if sizes.group == GROUP and step == 0:
            multiply(group[:, row], model.weights[first], group[:, sent], sizes.units, sizes.width)
            continue
        for member in range(sizes.group):
            matrix = model.weights[first + step * min(entry + member, last - 1)]
            field, values = group[member, row], group[member, sent]
            one = field.dtype.type(1)
            if sizes.silent:
                count = active(values, sizes.units, index[1], value)
                sum_rows(field, one, matrix, index[1], value, count, sizes.width)
            else:
                sum_rows(field, one, matrix, index[0], values, sizes.units, sizes.width)


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


@merged
def begin(entry: int, state: np.ndarray, sizes: Sizes, model: Model, rows: np.ndarray) -> None:
    """Fill the rows of a batch entry, which has not received anything yet."""
    for row in range(model.places.shape[0]):
        start = model.places[row, 0] + entry * model.places[row, 1]
        load(model.constants, start, model.places[row, 2], rows[sizes.constants + row], sizes.units)
    for row in range(state.shape[1]):
        copy(state[entry, row], rows[STATE + row], sizes.units)
    for row in (FIELD, REACHED, KICK):
        clear(rows[row], sizes.width)
    call(sizes.finish, rows)


@apart
def rates_part(
    part: int,
    first: int,
    last: int,
    sizes: Sizes,
    state: np.ndarray,
    memory: np.ndarray,
    model: Model,
    inputs: Inputs,
    kept: Kept,
    room: Room,
) -> None:
    """Run the batch entries `first … last−1` in the workspace of thread `part`.

    Parameters
    ----------
    state, memory
        `[batch, row, unit]` and `[batch, timescale, post, pre]` (or empty), before the run and after it.
    """
    units, group, matrices, value = sizes.units, room.rows[part], room.matrices[part], room.value[part]
    order, remembers = room.lists[part, 0], memory.size > 0
    for entry in range(first, last, sizes.group):
        decays = model.decays[min(entry, model.decays.shape[0] - 1)]
        for member in range(sizes.group):  # a last group repeats its last entry
            begin(min(entry + member, last - 1), state, sizes, model, group[member])
        if remembers:
            load_matrix(memory, entry, matrices, units)
        sample = 0
        for step in range(sizes.steps):
            for member in range(sizes.group):
                start = min(entry + member, last - 1) * inputs.strides[0] + step * inputs.strides[1]
                load(inputs.drive, start, inputs.strides[2], group[member, FIELD], units)
                copy(group[member, FIELD], group[member, REACHED], units)
            receive(FIELD, entry, last, sizes, model, room, part)
            if remembers:
                read(group[0, FIELD, : sizes.width], matrices, group[0, RATE], decays[3], order, value, units)
            for member in range(sizes.group):
                normalise(group[member, FIELD], group[member], sizes)
                call(sizes.predict, group[member])
            receive(REACHED, entry, last, sizes, model, room, part)
            if remembers:
                reached = group[0, REACHED, : sizes.width]
                read_predicted(
                    reached, group[0], matrices, decays, order, value, units, sizes.self_connections
                )
                write(group[0], matrices, decays, order, value, units, sizes.self_connections)
            for member in range(sizes.group):
                normalise(group[member, REACHED], group[member], sizes)
                if inputs.kicks.size:
                    copy(inputs.kicks[step, min(entry + member, last - 1)], group[member, KICK], units)
                call(sizes.finish, group[member])
            while sample < kept.schedule.shape[0] and kept.schedule[sample, 0] == step:
                for member in range(min(sizes.group, last - entry)):
                    target = kept.samples[entry + member, kept.schedule[sample, 2]]
                    copy(group[member, kept.schedule[sample, 1]], target, units)
                sample += 1
        for member in range(min(sizes.group, last - entry)):
            for row in range(state.shape[1]):
                copy(group[member, STATE + row], state[entry + member, row], units)
        if remembers:
            unload_matrix(matrices, memory, entry, units)


@kernel
def rates(team: int, part: int, parts: int, batch: int, *given: Any) -> None:
    """Share `rates_part` out; see `share`."""
    share(team, part, parts, batch, rates_part, given)
