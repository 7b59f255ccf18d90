"""Brian2, imported when needed, and the code generation that this machine allows."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType

import numpy as np

from fwsim.errors import ConfigError


def brian2() -> ModuleType:
    """Import Brian2.

    Raises
    ------
    ConfigError
        It is not installed.
    """
    try:
        import brian2 as module
    except ImportError as error:
        raise ConfigError(
            f"fwsim.spiking needs Brian2, which cannot be imported ({error}); install it: pip install brian2"
        ) from error
    return module


@contextmanager
def prepared(seed: int, *, short: bool = False) -> Iterator[ModuleType]:
    """Give Brian2 with its random streams seeded and a code generation target that works.

    The target is Brian2's preference `codegen.target`; `"auto"` becomes numpy for a `short` run, which compiling would
    only delay; else Cython, or numpy where nothing can be compiled, with one warning. Preference and numpy's global
    random state are put back afterwards.
    """
    module = brian2()
    gc.collect()  # the objects of an earlier network refer to each other, and may fill gigabytes
    chosen, state = module.prefs.codegen.target, np.random.get_state()  # noqa: NPY002  # what Brian2 draws from
    if chosen == "auto":
        module.prefs.codegen.target = "cython" if not short and _compiles(module) else "numpy"
    module.seed(seed)
    try:
        yield module
    finally:
        module.prefs.codegen.target = chosen
        np.random.set_state(state)  # noqa: NPY002


@cache
def _compiles(module: ModuleType) -> bool:
    """Try to compile, once a process; warn if it fails."""
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
