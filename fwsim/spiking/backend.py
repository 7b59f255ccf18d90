"""Import of Brian2 when it is needed, with the settings that fwsim's networks need, whatever the user has set."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from fwsim.requirements import required
from fwsim.seeds import seed_of_32_bits
from fwsim.spiking.random_state import kept_random_state

PREFERENCES = {
    "core.network.default_schedule": ["start", "groups", "thresholds", "synapses", "resets", "end"],
    "core.default_float_dtype": np.float64,
    "core.default_integer_dtype": np.int32,
    "legacy.refractory_timing": False,
}
"""Preferences that change the numbers of a run (order of events, precision). Users may have changed them."""


def brian2() -> ModuleType:
    """Import Brian2.

    Raises
    ------
    ConfigError
        It is not installed, or cannot be imported.
    """
    return required("brian2", "fwsim.spiking")


@contextmanager
def prepared(seed: int, *, short: bool = False) -> Iterator[ModuleType]:
    """Return Brian2 with seeded random streams and a code generation target that works.

    The target is Brian2's preference `codegen.target`. `"auto"` becomes numpy for a `short` run, for which
    compilation takes longer than it saves; otherwise Cython, or numpy with one warning if nothing can be compiled.
    The device is the one that runs in this process. Device, preferences and random state are restored afterwards.
    """
    seed = seed_of_32_bits(seed)
    module = brian2()
    gc.collect()  # objects of an earlier network refer to each other, and may take gigabytes
    with ExitStack() as stack:
        stack.enter_context(_runtime_device(module))
        stack.enter_context(kept_random_state())
        for name, value in PREFERENCES.items():
            stack.enter_context(_preference(module, name, value))
        if module.prefs["codegen.target"] == "auto":
            target = "cython" if not short and _compiles(module) else "numpy"
            stack.enter_context(_preference(module, "codegen.target", target))
        module.seed(seed)
        yield module


@contextmanager
def _runtime_device(module: ModuleType) -> Iterator[None]:
    """Make objects for the device that runs immediately; standalone devices write code that runs later.

    `set_device` and `reset_device` would change clock and run time of both devices.
    """
    devices: Any = import_module("brian2.devices.device")
    chosen = devices.active_device
    devices.active_device = module.all_devices["runtime"]
    try:
        yield
    finally:
        devices.active_device = chosen


@contextmanager
def _preference(module: ModuleType, name: str, value: Any) -> Iterator[None]:
    chosen = module.prefs[name]
    module.prefs[name] = value
    try:
        yield
    finally:
        module.prefs[name] = chosen


@cache
def _compiles(module: ModuleType) -> bool:
    """Try to compile, once per process; warn if it fails."""
    from brian2.codegen.runtime.cython_rt.cython_rt import CythonCodeObject

    module.BrianLogger.suppress_name("failed_compile_test")
    if CythonCodeObject.is_available():
        return True
    warnings.warn(
        "no C++ compiler that Brian2 can use was found, so it runs in numpy, more slowly; install one "
        "(e.g. apt install g++), or set brian2.prefs.codegen.target = 'numpy' to silence this",
        RuntimeWarning,
        stacklevel=2,
    )
    return False
