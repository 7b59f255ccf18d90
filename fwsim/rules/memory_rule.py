"""The kind of rule whose state is the matrix of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, cast

import torch

from fwsim.arrays import as_they_are
from fwsim.errors import ConfigError, ShapeError
from fwsim.names import KnownArguments
from fwsim.rules import open_loop
from fwsim.rules.derived import Derived
from fwsim.rules.parameters import own
from fwsim.units import checked, si

if TYPE_CHECKING:
    from torch import Tensor

    from fwsim.rules.open_loop import Writes


AXES = ("batch", "post", "pre", "timescale")  # that the parameters of a memory may have, in this order


class MemoryRule(KnownArguments, Derived, ABC):
    """How the memory matrix of a network is written and read.

    A memory is `[batch, timescale, post, pre]`. Parameters are scalars, `[timescale]` or `[batch, timescale]`. Where
    they differ between neurons or synapses, `axes` names the axes of their values, and the rule keeps them as
    `[post, pre, timescale]` or `[batch, post, pre, timescale]`, with size 1 where they do not differ. Rules only know
    seconds. The time between two writes, `dt`, belongs to the network and is passed in.
    """

    axes: Any = None

    underived = (
        "it is written by network states and has no response to spikes; use an associative rule such as HebbianTraces, "
        "whose reduced() is a memory rule"
    )

    def values(self) -> dict[str, Tensor]:
        """Return the parameters that were given, by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, torch.Tensor)}

    @cached_property
    def shape(self) -> torch.Size:
        """Common shape of the parameters: `[timescale]` or `[batch, timescale]`; with `axes` see the class."""
        return broadcast(**self.values())

    @property
    def timescales(self) -> int:
        """Number of time scales K."""
        return self.shape[-1]

    @property
    def batch(self) -> int | None:
        """Number of batch elements for which there are parameters, `None` if they are the same for all."""
        return self.shape[0] if len(self.shape) in (2, 4) else None

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of post- and presynaptic neurons that parameters are given for; 1 if all have the same."""
        return (1, 1) if self.axes is None else (self.shape[-3], self.shape[-2])

    @property
    def dense_only(self) -> str | None:
        """Why the memory must be kept as a matrix, if past states cannot stand for it."""
        return f"what {type(self).__name__} writes depends on what it stores"

    @abstractmethod
    def write(
        self,
        memory: Tensor,
        pre: Tensor,
        post: Tensor,
        dt: float,
        *,
        keep: Tensor | None = None,
        store: Tensor | None = None,
    ) -> Tensor:
        """Decay for `dt` seconds, then store one pair of patterns.

        Parameters
        ----------
        memory
            `[batch, timescale, post, pre]`.
        pre, post
            `[batch, pre]` and `[batch, post]`.
        dt
            Time since the last write in s.
        keep, store
            Gates of this step, `[batch]`: factors of what is left of the memory, and of the strength of the write.
        """

    def read(self, memory: Tensor, state: Tensor) -> Tensor:
        """Answer of the memory to a state of the network, Σ_k A_k state.

        Parameters
        ----------
        memory
            `[batch, timescale, post, pre]`.
        state
            `[batch, pre]`; the answer is `[batch, post]`.
        """
        return torch.einsum("bkij,bj->bi", memory, state)

    def scan(
        self,
        memory: Tensor,
        pre: Tensor,
        post: Tensor,
        query: Tensor,
        dt: float,
        *,
        keep: Tensor | None = None,
        store: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Write a sequence of pairs, and read after each write: a layer without recurrence but that of its memory.

        `Hebbian` and `Delta` compute many steps at once, as products of matrices, unless parameters are by neuron or
        synapse, `oja` is set, or numbers have half precision. Otherwise this is a loop over `write` and `read`.

        Parameters
        ----------
        memory
            `[batch, timescale, post, pre]` before the first write.
        pre, post
            `[batch, time, pre]` and `[batch, time, post]`.
        query
            States that the memory answers, `[batch, time, pre]`.
        dt
            Time between two writes in s.
        keep, store
            Gates of the steps, `[batch, time]`; see `write`.

        Returns
        -------
        Tensor, Tensor
            Answers `[batch, time, post]`, and the memory after the last write.

        Raises
        ------
        ConfigError, ShapeError
            `dt` is not positive; shapes, precisions or devices do not fit.
        """
        dt = checked("dt", dt, "time", above=0)
        check_scan(self, memory, pre, post, query, keep, store)
        writes = self.all_writes(pre, dt, keep, store) if memory.dtype in open_loop.DTYPES else None
        if writes is not None:
            return open_loop.scan(memory, post, query, writes)
        return step_by_step(self, memory, pre, post, query, dt, keep=keep, store=store)

    def all_writes(self, pre: Tensor, dt: float, keep: Tensor | None, store: Tensor | None) -> Writes | None:
        """The writes of a sequence, if products of matrices can compute it; arguments as in `scan`."""
        return None

    def has_equations_of(self, kind: type[MemoryRule]) -> bool:
        """Whether this is a rule of a kind, and does not have equations of its own in place of the kind's."""
        if type(self) is kind:
            return True
        equations = ("write", "read", "kernel", "decay", "strength")
        return isinstance(self, kind) and all(
            getattr(type(self), name, None) is getattr(kind, name, None) for name in equations
        )

    def with_values(self, **values: Tensor) -> Self:
        """Return the same rule with other parameter tensors, without checks, for values that are known to be valid."""
        other = object.__new__(type(self))  # a network calls this in every run, and copy.copy is slow
        vars(other).update(vars(self), **values)
        vars(other).pop("shape", None)
        return other

    def options(self) -> dict[str, Any]:
        """Return what was given besides parameters, where it differs from the default."""
        given = {f.name: getattr(self, f.name) for f in fields(cast("Any", self))}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in given.items()
            if not isinstance(value, torch.Tensor) and value not in (None, False)
        }

    def __repr__(self) -> str:
        """Show parameters as plain numbers, and many of them as shape and range."""
        shown = []
        for name, value in self.values().items():
            value = value.detach()
            many = self.axes is not None and value.numel() > 1
            text = str(value.tolist() if value.numel() > 1 else value.item())
            if many:
                text = f"{list(value.shape)} from {value.min().item():.4g} to {value.max().item():.4g}"
            shown.append(f"{name}={text}")
        shown += [f"{name}={value!r}" for name, value in self.options().items()]
        return f"{type(self).__name__}({', '.join(shown)})"


def named_axes(axes: Any) -> tuple[str, ...] | None:
    """Check names of axes: some of `AXES` in their order, as a tuple; `None` if none are given.

    Raises
    ------
    ConfigError
        A name is unknown, or they are in another order.
    """
    if axes is None:
        return None
    names = (axes,) if isinstance(axes, str) else axes
    if not isinstance(names, list | tuple) or list(names) != [name for name in AXES if name in names]:
        raise ConfigError(f"axes={axes!r} is not allowed; name some of {', '.join(AXES)}, in this order")
    return tuple(names)


def parameter(
    name: str,
    value: object,
    dimension: str = "number",
    *,
    at_least: float = -float("inf"),
    infinite: bool = False,
    axes: tuple[str, ...] | None = None,
) -> Tensor:
    """Convert the values of a parameter to a checked tensor (float64 unless it is a tensor).

    The result is a copy, unless it is a tensor that requires a gradient.

    Parameters
    ----------
    name, dimension
        What messages call it; as in `fwsim.units.si`.
    value
        A scalar, `[timescale]` or `[batch, timescale]`; with `axes` a scalar or with these axes.
    at_least, infinite
        Smallest value; whether infinity has a meaning.
    axes
        Names of the axes, from `named_axes`.

    Returns
    -------
    Tensor
        `[timescale]` or `[batch, timescale]`; if `axes` has `"post"` or `"pre"`, `[post, pre, timescale]` or
        `[batch, post, pre, timescale]`, with size 1 for axes that were not named.

    Raises
    ------
    ConfigError
        A value is NaN, below `at_least`, infinite where this has no meaning, or has other axes.
    """
    return placed(name, numbers(name, value, dimension, at_least=at_least, infinite=infinite), axes)


def numbers(
    name: str, value: object, dimension: str, *, at_least: float = -float("inf"), infinite: bool = False
) -> Tensor:
    """Convert to a checked tensor of any shape; see `parameter`."""
    as_they_are(name, value)
    value = si(name, value, dimension)
    try:
        tensor = own(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{name}={value!r} is not a number, list of numbers or tensor") from error
    good = tensor.detach() >= at_least
    good &= ~tensor.detach().isnan() if infinite else tensor.detach().isfinite()
    if not bool(good.all()):
        bad = tensor.detach()[~good][0].item()
        limit = f"at least {at_least:g}" if at_least > -float("inf") else "a finite number"
        raise ConfigError(f"{name}={bad:g} is not allowed; it must be {limit}")
    return tensor


def placed(name: str, tensor: Tensor, axes: tuple[str, ...] | None) -> Tensor:
    """Bring the axes of a parameter into the order of the rules; see `parameter`."""
    given = list(tensor.shape)
    if axes is None:
        if tensor.ndim > 2 or 0 in given[-1:]:
            raise ConfigError(
                f"{name} has shape {given}; give a scalar, [timescale] or [batch, timescale], or name other axes: "
                "axes=('post', 'pre')"
            )
        return tensor[None] if tensor.ndim == 0 else tensor
    if tensor.ndim not in (0, len(axes)) or 0 in given:
        raise ConfigError(f"{name} has shape {given}; axes={axes!r} needs a scalar or [{', '.join(axes)}]")
    size = dict(zip(axes, given)) if given else {}
    return tensor.reshape([size.get(axis, 1) for axis in kept_axes(axes)])


def kept_axes(axes: tuple[str, ...]) -> tuple[str, ...]:
    """Axes with which a rule keeps its parameters, if these are named."""
    local = ("post", "pre") if {"post", "pre"} & set(axes) else ()
    return (*(("batch",) if "batch" in axes else ()), *local, "timescale")


def given_axes(axes: Any) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """Axes as they were named, and those that a rule notes: `None` unless they are of neurons or synapses."""
    named = named_axes(axes)
    kept = None if named is None else kept_axes(named)
    return named, kept if kept is not None and "post" in kept else None


def over_memory(value: Tensor) -> Tensor:
    """Bring a parameter into a shape that broadcasts against a memory `[batch, timescale, post, pre]`."""
    return value[..., None, None] if value.ndim <= 2 else value.movedim(-1, -3)


def gated(value: Tensor, gate: Tensor | None) -> Tensor:
    """Multiply a value that broadcasts against a memory by a gate `[batch]`."""
    return value if gate is None else value * gate[:, None, None, None]


def by_step(value: Tensor, gate: Tensor | None, like: Tensor) -> Tensor:
    """Bring a parameter by time scale, and a gate `[batch, time]`, to `[1 or batch, timescale, time]`.

    `like [batch, time, …]` has the dtype and the number of steps.
    """
    values = value.to(like.dtype).reshape(-1, value.shape[-1], 1)
    return values.expand(-1, -1, like.shape[1]) if gate is None else values * gate[:, None]


def step_by_step(
    rule: MemoryRule,
    memory: Tensor,
    pre: Tensor,
    post: Tensor,
    query: Tensor,
    dt: float,
    *,
    keep: Tensor | None = None,
    store: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`MemoryRule.scan` as a loop over `write` and `read`, for any rule."""
    answers = []
    for t in range(pre.shape[1]):
        gates = {name: gate[:, t] for name, gate in (("keep", keep), ("store", store)) if gate is not None}
        memory = rule.write(memory, pre[:, t], post[:, t], dt, **gates)
        answers.append(rule.read(memory, query[:, t]))
    return torch.stack(answers, 1) if answers else post, memory


def check_scan(
    rule: MemoryRule,
    memory: Tensor,
    pre: Tensor,
    post: Tensor,
    query: Tensor,
    keep: Tensor | None,
    store: Tensor | None,
) -> None:
    """Raise `ShapeError` unless arguments of `MemoryRule.scan` fit together."""
    sequences = {"pre": pre, "post": post, "query": query, "keep": keep, "store": store}
    for name, each in {"memory": memory, **sequences}.items():
        if each is not None and not (isinstance(each, torch.Tensor) and each.is_floating_point()):
            kind = getattr(each, "dtype", type(each).__name__)
            raise ShapeError(f"{name} is {kind}; give a torch tensor of real numbers")
        if each is not None and (each.dtype, each.device) != (memory.dtype, memory.device):
            raise ShapeError(
                f"{name} is {each.dtype} on {each.device}, memory {memory.dtype} on {memory.device}; convert one"
            )
    if memory.ndim != 4 or memory.shape[1] != rule.timescales:
        raise ShapeError(
            f"memory has shape {list(memory.shape)}; give [batch, {rule.timescales}, post, pre], with the time scales "
            "of the rule"
        )
    batch, _, rows, columns = memory.shape
    if rule.batch not in (None, 1, batch):
        raise ShapeError(
            f"memory has batch {batch}, the rule's parameters are for {rule.batch}; give as many"
        )
    time = pre.shape[1] if pre.ndim == 3 else 0
    units = {"pre": [columns], "post": [rows], "query": [columns], "keep": [], "store": []}
    for name, each in sequences.items():
        shape = [batch, time, *units[name]]
        if each is not None and list(each.shape) != shape:
            raise ShapeError(
                f"{name} has shape {list(each.shape)}; beside this memory and pre it must be {shape}"
            )


def decay(tau: Tensor, dt: float) -> Tensor:
    """Fraction that remains after `dt` seconds, e^{−dt/τ}: 0 for τ = 0, with a gradient of 0, and 1 for infinity."""
    return torch.exp(-dt / tau.clamp(min=1e-3 * dt))  # e^{−1000} is 0, and its derivative finite


def broadcast(**parameters: Tensor) -> torch.Size:
    """Common shape of parameters, or a `ConfigError` that names them all."""
    first, *others = (value.shape for value in parameters.values())
    if all(shape == first for shape in others):
        return first  # a network calls this in every run, and torch needs 20 µs
    try:
        return torch.broadcast_shapes(*(value.shape for value in parameters.values()))
    except RuntimeError as error:
        given = ", ".join(f"{name} {list(value.shape)}" for name, value in parameters.items())
        raise ConfigError(
            f"parameters do not fit together: {given}; axes must have the same size, or size 1"
        ) from error
