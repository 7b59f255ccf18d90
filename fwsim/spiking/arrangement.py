"""Synapses in the order in which the native engine reads them: `arrange.cpp` puts them there."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fwsim.engine.native.library import library
from fwsim.spiking.circuit import Circuit
from fwsim.spiking.wiring import AT_ONCE, Drawn, Kind, draw, grouped

LEVELS = 256  # jumps that a byte can name


def synapses(circuit: Circuit, seed: int) -> list[tuple[Kind, dict[str, Any]]]:
    """Draw the synapses of a circuit; of each kind that has any, the fields of `SpikeSynapses`."""
    slots = 1 + longest_delay(circuit)
    small = np.min_scalar_type(slots)
    drawn = draw(circuit, seed, lambda delay: _steps(delay, circuit.dt).astype(small))
    found = []
    for kind, parts in grouped(circuit, drawn):
        if any(len(each.pre) for each in parts):
            found.append((kind, arranged(parts, circuit.neurons, slots)))
        parts.clear()  # so that only one kind needs its memory twice
    return found


def longest_delay(circuit: Circuit) -> int:
    """In steps."""
    longest = np.array([each.delays[1] for each in circuit.connections] or [0.0], np.float32)  # as drawn
    return int(_steps(longest, circuit.dt).max())


def _steps(delay: np.ndarray, dt: float) -> np.ndarray:
    """Delays in steps, rounded as Brian2 does."""
    return np.floor(delay.astype(np.float64) / dt + 0.5).astype(np.int32)


def arranged(parts: Sequence[Drawn], neurons: int, slots: int) -> dict[str, Any]:
    """Fields of `SpikeSynapses`: synapses by presynaptic neuron and delay, and where those of equal delay begin.

    Parameters
    ----------
    parts
        Synapses of one kind, with delays in steps.
    neurons, slots
        Number of neurons of the circuit; all delays are below `slots`.
    """
    counted = np.zeros((neurons, slots), np.int64)
    for each, part in _blocks(parts):
        pre, _ = each.neurons(part)
        _call("fwsim_count_synapses", len(pre), slots, pre, each.delay[part].astype(np.int32), counted)
    total = counted.cumsum()
    present = np.flatnonzero(counted)
    unit, delay = np.divmod(present, slots)
    next_place = np.concatenate([[0], total[:-1]])
    begins = np.append(next_place[present], total[-1])
    levels = _levels(parts)
    target = np.empty(total[-1], np.int32)
    jump = np.empty(total[-1], np.float32) if levels is None else levels
    level = None if levels is None else np.empty(total[-1], np.uint8)
    for each, part in _blocks(parts):
        pre, post = each.neurons(part)
        own = None if levels is not None else np.broadcast_to(each.jump, len(each.pre))[part].copy()
        _call(
            "fwsim_place_synapses", len(pre), slots, pre, post, each.delay[part].astype(np.int32), own,
            0 if levels is None else int(np.searchsorted(levels, each.jump)), next_place, target, jump, level,
        )  # fmt: skip
    return {
        "segments": np.searchsorted(unit, np.arange(neurons + 1)).astype(np.int64),
        "begins": begins.astype(np.int64),
        "delay": delay.astype(np.int32),
        "target": target,
        "jump": jump,
        "level": level,
    }


def _levels(parts: Sequence[Drawn]) -> np.ndarray | None:
    """All jumps that occur, ascending; `None` if synapses of a connection differ, or too many connections do."""
    if any(each.jump.ndim for each in parts):
        return None
    found = np.unique([each.jump for each in parts])
    return found if len(found) <= LEVELS else None


def _blocks(parts: Sequence[Drawn]) -> Iterator[tuple[Drawn, slice]]:
    for each in parts:
        for start in range(0, len(each.pre), AT_ONCE):
            yield each, slice(start, start + AT_ONCE)


def _call(name: str, *values: int | np.ndarray | None) -> None:
    function = getattr(library(), name)
    function.restype = None
    function(*(ctypes.c_int64(v) if isinstance(v, int) else _address(v) for v in values))


def _address(values: np.ndarray | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if values is None else values.ctypes.data)
