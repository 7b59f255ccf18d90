"""Synapses in the order in which the native engine reads them: `arrange.cpp` puts them there."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import numpy as np

from fwsim.engine.native.library import library


class Placed(NamedTuple):
    """Synapses of one connection, `[synapse]`: neurons on both sides, delay in steps, and jump."""

    pre: np.ndarray
    post: np.ndarray
    delay: np.ndarray
    jump: np.ndarray


def arranged(parts: list[Placed], neurons: int, slots: int) -> dict[str, np.ndarray]:
    """Synapses by presynaptic neuron and delay, and where those of equal delay begin: fields of `SpikeSynapses`."""
    counted = np.zeros((neurons, slots), np.int64)
    for each in parts:
        _call("fwsim_count_synapses", len(each.pre), slots, each.pre, each.delay, counted)
    total = counted.cumsum()
    present = np.flatnonzero(counted)
    pre, delay = np.divmod(present, slots)
    next_place = np.concatenate([[0], total[:-1]])
    begins = np.append(next_place[present], total[-1])
    target, jump = np.empty(total[-1], np.int32), np.empty(total[-1], np.float32)
    for each in parts:
        own = each.jump.strides != (0,)
        jumps = np.ascontiguousarray(each.jump if own else each.jump[:1])
        _call(
            "fwsim_place_synapses", len(each.pre), slots, each.pre, each.post, each.delay, jumps, int(own),
            next_place, target, jump,
        )  # fmt: skip
    return {
        "segments": np.searchsorted(pre, np.arange(neurons + 1)).astype(np.int64),
        "begins": begins.astype(np.int64),
        "delay": delay.astype(np.int32),
        "target": target,
        "jump": jump,
    }


def _call(name: str, *values: int | np.ndarray) -> None:
    function = getattr(library(), name)
    function.restype = None
    function(*(ctypes.c_int64(v) if isinstance(v, int) else ctypes.c_void_p(v.ctypes.data) for v in values))
