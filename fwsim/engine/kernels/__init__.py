"""Ways to run a whole sequence: `reference` is plain torch and the truth for all others."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol

from torch import Tensor

from fwsim.engine.cell import Cell
from fwsim.engine.trace import Trace
from fwsim.engine.trajectory import Trajectory

MODULES = {"reference": "reference", "numba": "numba_run", "triton": "triton_run"}


class Run(Protocol):
    """What every kernel is; see `reference.run`."""

    def __call__(
        self,
        cell: Cell,
        drive: Tensor,
        hidden: Tensor,
        trace: Trace | None,
        *,
        chunk: int | None,
        inner: bool,
    ) -> Trajectory:
        """Run a sequence."""


def runner(kernel: str) -> Run:
    """Return the function that runs a sequence, and load what it needs only now."""
    return import_module(f"{__name__}.{MODULES[kernel]}").run
