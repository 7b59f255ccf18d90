"""The state of Brian2's random streams as plain data, to restore it in this or another process.

Compiled code draws from two buffers. Brian2's own `get_random_state` describes these by their addresses.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from fwsim.requirements import required

STREAMS = ("rand", "randn")


def random_state() -> dict[str, Any]:
    """State of NumPy's global stream, and of the buffers: position and remaining numbers."""
    device = _device()
    found: dict[str, Any] = {"numpy": np.random.get_state()}  # noqa: NPY002  # what Brian2 draws from
    for name in STREAMS:
        place = int(getattr(device, f"{name}_buffer_index")[0])
        found[name] = {
            "place": place,
            "numbers": _numbers(int(getattr(device, f"{name}_buffer")[0])).copy() if place else [],
        }
    return found


def set_random_state(state: Mapping[str, Any]) -> None:
    """Restore a state of the streams."""
    device = _device()
    np.random.set_state(state["numpy"])  # noqa: NPY002
    for name in STREAMS:
        address, place = getattr(device, f"{name}_buffer"), state[name]["place"]
        getattr(device, f"{name}_buffer_index")[0] = place
        if place and address[0]:
            _numbers(int(address[0]))[:] = state[name]["numbers"]
        elif place:
            address[0] = _given_away(np.array(state[name]["numbers"], float))


@contextmanager
def kept_random_state() -> Iterator[None]:
    """Restore the streams afterwards."""
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)


def _device() -> Any:
    return required("brian2", "fwsim.spiking").all_devices["runtime"]


def _numbers(address: int) -> np.ndarray:
    """A view of a buffer, without copying."""
    from brian2.codegen.generators.cython_generator import _BUFFER_SIZE

    return np.ctypeslib.as_array((ctypes.c_double * _BUFFER_SIZE).from_address(address))


def _given_away(numbers: np.ndarray) -> int:
    """Address of an array that Python never frees. The compiled code frees it, like arrays of its own."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(numbers))
    return numbers.ctypes.data
