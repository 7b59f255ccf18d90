"""Ways to run a whole sequence: `reference` is plain torch, and every other is held against it."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Protocol, cast

from torch import Tensor

from fwsim.engine.cell import Cell
from fwsim.engine.drive import Drive
from fwsim.engine.trace import Trace
from fwsim.engine.trajectory import Trajectory

MODULES = {
    "reference": "fwsim.engine.kernels.reference",
    "native": "fwsim.engine.native.run",
    "triton": "fwsim.engine.kernels.triton_run",
}


class Kernel(Protocol):
    """What every kernel has; see `reference`."""

    def run(
        self,
        cell: Cell,
        drive: Drive,
        hidden: Tensor,
        trace: Trace | None,
        *,
        chunk: int | None,
        inner: bool,
    ) -> Trajectory:
        """Run a sequence."""
        ...


@cache
def load(kernel: str) -> Kernel:
    """Return the kernel of a name, and load what it needs only now."""
    return cast("Kernel", import_module(MODULES[kernel]))
