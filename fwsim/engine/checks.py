"""Checks of what a user hands to a network, before any work starts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from fwsim.arrays import as_they_are
from fwsim.engine.state import State
from fwsim.engine.transforms import stands_for_others
from fwsim.errors import ConfigError, ShapeError, type_of, whole
from fwsim.units import checked

COARSEST = 60.0  # s; longer steps of a network with fast weights are probably meant in ms


def counts(**given: tuple[Any, int]) -> None:
    """Raise `ConfigError` unless each `name=(value, least)` is a whole number of at least `least`."""
    for name, (value, least) in given.items():
        whole(name, value, least=least)


def iterations(given: Any, own: int) -> tuple[int, int]:
    """Numbers of inner iterations before the last step of a run and at it.

    Parameters
    ----------
    given
        One number for both, two of them, or `None` for the network's own.
    own
        The network's number.
    """
    if given is None:
        return own, own
    pair = tuple(given) if isinstance(given, tuple | list) else (given, given)
    if len(pair) != 2:
        raise ConfigError(
            f"inner_steps={given!r} is not allowed; give one number, or two: (while storing, at the last step)"
        )
    counts(inner_steps=(pair[0], 0))
    counts(inner_steps=(pair[1], 0))
    return pair


def seconds(name: str, value: Any, usual: float = math.inf) -> float:
    """Give a time in s; raise `ConfigError` unless it is positive and finite; warn if it is above the `usual`."""
    return checked(name, value, "time", above=0, usual=usual)


def sequence(name: str, x: Any, channels: int, axis: str = "input") -> None:
    """Raise unless `x` is a finite tensor `[batch, time, channels]`, whose last axis is called `axis`."""
    if not isinstance(x, Tensor):
        raise ConfigError(f"{name} is {type_of(x)}; give a torch tensor [batch, time, {axis}]")
    if x.ndim != 3 or x.shape[-1] != channels:
        raise ShapeError(
            f"{name} has shape {list(x.shape)}; expected [batch, time, {axis}] with {axis}={channels}"
        )
    _plain(name, x)
    # One pass: the sum is finite unless an entry is not, or unless it overflows.
    if _seen(x) and not math.isfinite(x.detach().sum().item()) and not bool(x.detach().isfinite().all()):
        batch, time, channel = (~x.detach().isfinite()).nonzero()[0].tolist()
        raise ConfigError(
            f"{name} is NaN or infinite at batch {batch}, time {time}, {axis} {channel}; it must be finite"
        )


def _plain(name: str, x: Tensor) -> None:
    """Raise unless a tensor is dense and of real numbers."""
    as_they_are(name, x)
    if x.is_complex() or x.layout != torch.strided or x.is_quantized:
        kind = x.dtype if x.layout == torch.strided else x.layout
        raise ConfigError(f"{name} is {kind}; give a dense tensor of real numbers")


def finite(name: str, x: Tensor) -> None:
    """Raise `ConfigError` unless all numbers of a tensor are finite."""
    if _seen(x) and not bool(x.detach().isfinite().all()):
        raise ConfigError(f"{name} has numbers that are NaN or infinite; they must be finite")


def recordable(like: Tensor) -> None:
    """Raise `ConfigError` unless a network computes in a precision that NumPy, and so a recording, has."""
    if like.dtype not in (torch.float16, torch.float32, torch.float64):
        raise ConfigError(
            f"the network is {like.dtype}, which recordings do not have; use network.float() or .double()"
        )


def _seen(x: Tensor) -> bool:
    """Whether to look at numbers: a GPU has to finish all its work first, so there only at what a user hands in.

    What is part of a graph of gradients belongs to a training step, whose loss will tell; what runs without gradients
    is a simulation, which looks by itself. While a CUDA graph is recorded, looking would break it. Under `torch.func` a
    tensor stands for many.
    """
    if stands_for_others(x):
        return False
    if not x.is_cuda:
        return True
    return x.grad_fn is None and torch.is_grad_enabled() and not torch.cuda.is_current_stream_capturing()


def alike(name: str, x: Tensor, like: Tensor) -> None:
    """Raise `ShapeError` unless a tensor has the network's dtype and device."""
    same = x.dtype == like.dtype and (x.device == like.device or x.device.type == like.device.type)
    if not same:
        raise ShapeError(
            f"{name} is {x.dtype} on {x.device}, the network {like.dtype} on {like.device}; "
            f"convert it, or the network with network.to({name}.device, {name}.dtype)"
        )


def pattern(name: str, value: Any, batch: int, like: Tensor) -> None:
    """Raise unless `value` is a finite tensor `[batch, unit]` of the dtype and device of `like [unit, unit]`."""
    if not isinstance(value, Tensor):
        raise ConfigError(f"{name} is {type_of(value)}; give a torch tensor [batch, unit]")
    _plain(name, value)
    expected = (batch, like.shape[0])
    if tuple(value.shape) != expected:
        raise ShapeError(f"{name} has shape {list(value.shape)}; expected [batch, unit] = {list(expected)}")
    alike(name, value, like)
    if _seen(value) and not bool(value.detach().isfinite().all()):
        row, unit = (~value.detach().isfinite()).nonzero()[0].tolist()
        raise ConfigError(f"{name} is NaN or infinite at batch {row}, unit {unit}; it must be finite")


def is_state(state: Any) -> None:
    """Raise `ConfigError` unless it is the state of a network."""
    if not isinstance(state, State):
        raise ConfigError(
            f"state is {type_of(state)}; give a fwsim.State: net.initial_state(batch), or what a run returned"
        )


def state(
    given: Any,
    hidden: tuple[int, int],
    *,
    memory: tuple[int, ...] | None = None,
    variables: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
) -> State:
    """Return a state if it fits a network, in whatever form it carries its memory.

    Parameters
    ----------
    given
        What the user handed in.
    hidden, memory, variables
        Shapes that it must have; `None` for a network without memory.

    Raises
    ------
    ConfigError
        It is no state, or one of another kind of network.
    ShapeError
        It is one of another size.
    """
    is_state(given)
    if tuple(given.hidden.shape) != hidden:
        raise ShapeError(
            f"state.hidden has shape {list(given.hidden.shape)}; expected [batch, unit] = {list(hidden)}"
        )
    if (memory is None) != (given.stored is None) or given.variables.keys() != variables.keys():
        raise ConfigError(
            f"the state is of another kind of network: it carries {_carried(given.stored, given.variables)}, this "
            f"network {_carried(memory, variables)}; use net.initial_state(batch)"
        )
    if given.stored is not None and tuple(given.stored.shape) != memory:
        axes = "[batch, timescale, post, pre]" if len(memory or ()) == 4 else "[batch, unit]"
        raise ShapeError(
            f"state.memory has shape {list(given.stored.shape)}; expected {axes} = {list(memory or ())}"
        )
    for name, shape in variables.items():
        if tuple(given.variables[name].shape) != shape:
            raise ShapeError(
                f"state.variables[{name!r}] has shape {list(given.variables[name].shape)}; expected {list(shape)}"
            )
    return given


def _carried(memory: Any, variables: Iterable[str]) -> str:
    """Name what a state or a network carries beside its hidden state."""
    return ", ".join([*(["a memory"] if memory is not None else []), *variables]) or "nothing"


def device(name: str | torch.device, *, auto: bool = False) -> torch.device:
    """Turn a name (`"cpu"`, `"cuda:1"`) into a device that is there, or raise `ConfigError`.

    With `auto`, the name `"auto"` is the GPU if there is one, otherwise the CPU.
    """
    if auto and isinstance(name, str) and name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(name) if isinstance(name, (str, torch.device)) else None
    except RuntimeError:
        found = None
    if found is None or found.type == "meta":  # which has no numbers
        known = "'auto', 'cpu', 'cuda' or 'cuda:0'" if auto else "'cpu', 'cuda' or 'cuda:0'"
        raise ConfigError(f"device={name if name is None else str(name)!r} is unknown; use {known}")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device={str(name)!r} is not there: {torch.cuda.device_count()} CUDA devices found; use 'cpu'"
        )
    if found.type not in ("cpu", "cuda"):
        try:
            torch.empty(0, device=found)
        except (RuntimeError, AssertionError):  # what torch raises depends on the kind of device
            raise ConfigError(f"device={str(name)!r} is not there; use 'cpu'") from None
    return found
