"""Spiking networks in the native engine: `spikes.hpp` says what a run is."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from fwsim.engine.native.library import library, team

DOUBLES = ("variation",)


def _structure(name: str, sizes: Sequence[str], pointers: Sequence[str]) -> type[ctypes.Structure]:
    fields = [
        *((each, ctypes.c_double if each in DOUBLES else ctypes.c_int64) for each in sizes),
        *((each, ctypes.c_void_p) for each in pointers),
    ]
    return type(name, (ctypes.Structure,), {"_fields_": fields})


Rule = _structure(
    "Rule",
    (
        *("variables", "parameters", "bits", "count", "numbers", "temporaries", "each"),
        *("sites", "resource", "variation"),
    ),
    ("instructions", "literals", "rest", "values", "powers", "state", "last"),
)
SpikeSynapses = _structure(
    "SpikeSynapses",
    ("rule", "input", "count"),
    ("segments", "begins", "delay", "target", "jump", "level", "full", "association"),
)
Association = _structure(
    "Association",
    ("variables", "entries", "bits", "numbers", "temporaries", "pre_count", "post_count"),
    (
        *("pre", "post", "literals", "rest", "to", "from", "powers"),
        *("begins", "incoming", "state", "last"),
    ),
)
SpikeSource = _structure(
    "SpikeSource", ("each", "times", "units", "begin", "hold"), ("chance", "begins", "due")
)
SpikesRun = _structure(
    "SpikesRun",
    (
        *(
            "trials",
            "neurons",
            "populations",
            "start",
            "stop",
            "seed",
            "source_seed",
            "release_seed",
            "threads",
        ),
        *("inputs", "slots", "rules", "kinds", "capacity", "most_recent"),
        *("drive_units", "drive_times", "drive_start", "hold"),
    ),
    (
        *("first", "leak", "kick", "threshold", "reset", "background", "rate", "pause"),
        *("conducting", "varied"),
        *("spread", "decay", "reversal", "drive"),
        *("source", "rule", "synapses", "potential", "waiting", "current", "delayed", "recent", "recents"),
        *("spike_step", "spike_unit", "spikes", "team"),
    ),
)


def filled(kind: Any, values: Mapping[str, Any]) -> Any:
    """A structure with these values; of arrays it has the addresses, so they must stay where they are."""
    return fill(kind(), values)


def fill(structure: Any, values: Mapping[str, Any]) -> Any:
    """The same structure with these values in place of what it had."""
    for name, value in values.items():
        setattr(structure, name, value.ctypes.data if isinstance(value, np.ndarray) else value)
    return structure


def array(kind: Any, structures: Sequence[Any]) -> Any:
    """Structures one after the other; at least one, so that there is an address."""
    return (kind * max(1, len(structures)))(*structures)


def address(structure: Any) -> int | None:
    """Where a structure is, `None` without one; it must live as long as what has its address."""
    return None if structure is None else ctypes.addressof(structure)


def run(given: Any) -> None:
    """Run from step `start` to `stop`, which changes the arrays of the state, and list the spikes."""
    given.team = team()
    size, call = library().fwsim_spikes_workspace, library().fwsim_spikes
    size.restype, size.argtypes = ctypes.c_int64, [ctypes.POINTER(SpikesRun)]
    call.restype, call.argtypes = None, [ctypes.POINTER(SpikesRun), ctypes.c_void_p]
    workspace = torch.empty(size(ctypes.byref(given)), dtype=torch.uint8)  # begins at a whole register
    call(ctypes.byref(given), workspace.data_ptr())


def normal(seed: int, step: int, trial: int, count: int) -> np.ndarray:
    """Standard normal numbers of one step and trial, `[neuron]` in float32."""
    found = np.empty(count, np.float32)
    call, whole = library().fwsim_normal, ctypes.c_int64
    call.restype, call.argtypes = None, [whole, whole, whole, whole, ctypes.c_void_p]
    call(seed, step, trial, count, found.ctypes.data)
    return found
