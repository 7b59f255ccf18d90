"""Choose form and kernel of a run: what `native.cost` or `triton_cost` expects to be fastest."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import torch

from fwsim.engine.kernels import triton_cost
from fwsim.engine.native import cost as native_cost
from fwsim.engine.native import library
from fwsim.engine.transforms import transformed
from fwsim.engine.wiring import PLAIN, MemoryWiring
from fwsim.errors import ConfigError, choice
from fwsim.requirements import obstacle
from fwsim.rules.delta import Delta
from fwsim.rules.hebbian import Hebbian
from fwsim.rules.memory_rule import MemoryRule

FORMS = ("auto", "dense", "attention", "hybrid")
KERNELS = ("auto", "reference", "native", "triton")

RUNS = {
    "native": "Hebbian memory h hᵀ with constants by time scale, and any Hebbian or Delta memory in the dense form, in "
    "float32 or float64 on the CPU",
    "triton": "Hebbian memory h hᵀ with constants by time scale, in float32, float64 or bfloat16 on a CUDA device",
}
DTYPES = {
    "native": (torch.float32, torch.float64),
    "triton": (torch.float32, torch.float64, torch.bfloat16),
}


@dataclass(frozen=True)
class Plan:
    """What a network will do, and why.

    Parameters
    ----------
    form
        `"dense"`, `"attention"`, `"hybrid"`, or `"none"` for a network without memory.
    kernel
        Name of the kernel.
    chunk
        Writes between two merges of the history into the matrix; `None` never merges.
    why
        One sentence.
    """

    form: str
    kernel: str
    chunk: int | None
    why: str


def plan(
    rule: MemoryRule | None,
    *,
    form: str,
    kernel: str,
    batch: int,
    time: int,
    units: int,
    inner_steps: float,
    past: int = 0,
    wiring: MemoryWiring = PLAIN,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Plan:
    """Choose form and kernel from the sizes of a run, or check the ones that were asked for.

    Parameters
    ----------
    rule
        The memory rule; `None` for a network without memory.
    form, kernel
        As given by the user; `"auto"` is chosen here.
    batch, time, units, inner_steps
        Sizes of the run; `inner_steps` may be a mean over its steps.
    past
        States that were written before the run and are not merged into a matrix.
    wiring
        What the memory connects.
    dtype, device
        Of the network.

    Raises
    ------
    ConfigError
        A name is unknown, or the form or kernel cannot run this network.
    """
    choice("form", form, FORMS)
    choice("kernel", kernel, KERNELS)
    reason = rule and (
        rule.dense_only or (wiring.special and f"a memory with {wiring.special} is kept as a matrix")
    )
    if reason and form not in ("auto", "dense"):
        raise ConfigError(f"form={form!r} is not possible: {reason}; use form='dense'")
    kernel = _kernel(rule, wiring, form, kernel, dtype, device)
    if rule is None:
        return Plan("none", kernel, None, "the network has no memory")
    if rule.axes and kernel == "native":
        reason = reason or "the native kernel keeps a memory with constants by neuron as a matrix"
    if reason:
        return Plan("dense", kernel, 1, reason)

    sizes = (time, units, inner_steps, rule.timescales, past)
    return _choose(form, kernel, batch, dtype.itemsize, *sizes)


@lru_cache(maxsize=256)
def _choose(
    form: str,
    kernel: str,
    batch: int,
    itemsize: int,
    time: int,
    units: int,
    inner_steps: float,
    timescales: int,
    past: int,
) -> Plan:
    """Take the candidate with the lowest cost."""
    estimates: dict[str, Callable[..., float]] = {
        "triton": triton_cost.cost,
        "native": partial(native_cost.cost, batch=batch, itemsize=itemsize),
        "reference": native_cost.cost,
    }
    costs = {
        (name, chunk): estimates[kernel](
            chunk=chunk, time=time, units=units, inner_steps=inner_steps, timescales=timescales, past=past
        )
        for name, chunk in _candidates(kernel, units)
        if form in ("auto", name)
    }
    if form == "auto" and past > 2 * max(native_cost.CHUNKS) + units:
        # one step after the other, attention would never merge, and slow down for ever
        costs.pop(("attention", None))
    name, chunk = min(costs, key=lambda candidate: costs[candidate])
    if form != "auto":
        return Plan(name, kernel, chunk, "asked for")
    best: dict[str, float] = {}
    for (candidate, _), nanoseconds in costs.items():
        best[candidate] = min(nanoseconds, best.get(candidate, float("inf")))
    times = ", ".join(f"{candidate} {value / 1e3:.3g} µs" for candidate, value in best.items())
    return Plan(name, kernel, chunk, f"estimated for a batch element: {times}")


def home(kernel: str) -> str:
    """Return the kind of device that a kernel is for."""
    return "cuda" if kernel == "triton" else "cpu"


def _kernel(
    rule: MemoryRule | None, wiring: MemoryWiring, form: str, kernel: str, dtype: torch.dtype, device: str
) -> str:
    """Choose the kernel, or check the one that was asked for."""
    if kernel == "auto":
        fastest = "triton" if device == "cuda" else "native"
        return "reference" if _obstacle(fastest, rule, wiring, form, dtype, device) else fastest
    obstacle = _obstacle(kernel, rule, wiring, form, dtype, device) if kernel in RUNS else None
    if obstacle:
        raise ConfigError(
            f"kernel={kernel!r} cannot run {obstacle}; it runs {RUNS[kernel]}, use kernel='auto' or 'reference'"
        )
    return kernel


def _obstacle(
    kernel: str,
    rule: MemoryRule | None,
    wiring: MemoryWiring,
    form: str,
    dtype: torch.dtype,
    device: str,
) -> str | None:
    """Name what a compiled kernel cannot run, if there is something."""
    known = (Hebbian, Delta) if kernel == "native" else (Hebbian,)
    if rule is not None and not any(rule.has_equations_of(kind) for kind in known):
        return f"the memory rule {type(rule).__name__}"
    special = _special(rule, wiring)
    if special and kernel != "native":
        return special
    if special and form not in ("auto", "dense"):
        return f"{special} in the form {form!r}"
    if dtype not in DTYPES[kernel]:
        return str(dtype)
    if transformed():
        return "under torch.func or forward-mode differentiation"
    if device != home(kernel) and not (kernel == "triton" and _interpreted()):
        return f"the device {device!r}"
    if kernel == "native":
        missing = library.obstacle()
        return missing and f"without the native engine, which {missing} ({library.remedy()})"
    missing = obstacle(kernel)
    if missing:
        return f"without {kernel}, which {missing}"
    from fwsim.engine.kernels import triton_check

    return triton_check.obstacle(device, dtype)


def _special(rule: MemoryRule | None, wiring: MemoryWiring) -> str | None:
    """Name what makes a memory more than h hᵀ with constants by time scale, if there is something."""
    if rule is not None and (rule.axes or getattr(rule, "oja", False)):
        return "constants by neuron or synapse" if rule.axes else "a memory with oja=True"
    return f"a memory with {wiring.special}" if wiring.special else None


def _interpreted() -> bool:
    """Whether Triton's kernels are run by its interpreter, which needs no GPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def _candidates(kernel: str, units: int) -> list[tuple[str, int | None]]:
    """Forms and chunks to choose from; plain torch wants long chunks, since each step costs it the same."""
    chunks = {"native": native_cost.CHUNKS, "triton": triton_cost.CHUNKS}.get(kernel, (max(2, units),))
    return [("attention", None), ("dense", 1), *(("hybrid", chunk) for chunk in chunks)]
