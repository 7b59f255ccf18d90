"""Exact relaxation between spikes: s(t) = rest + exp(J t)(s − rest)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any

import torch

from fwsim.errors import ConfigError
from fwsim.rules.decays import chained
from fwsim.rules.derive.symbols import Route, structure
from fwsim.rules.derived import derives
from fwsim.rules.parameters import NEGLIGIBLE, as_tensors
from fwsim.rules.rule import SpikeRule, Values
from fwsim.units import si

if TYPE_CHECKING:
    from torch import Tensor

WORST_CONDITION = 1e3  # condition number of the modes of a coupled drift; derivatives lose twice as much
CLOSE = 1e-3  # relative difference of two modes, likewise
INSTANT = 0.5 / NEGLIGIBLE  # 1/s; faster variables have a time constant of 0
SETTLED = 45 * NEGLIGIBLE  # s; after this time they have relaxed in double precision
SILENCE = 1e15  # s; replaces an infinite interval

Pair = tuple[str, str]
"""The variable that is changed, and the variable that changes it."""


@dataclass(frozen=True)
class Transition:
    """exp(J t) of a rule for given intervals.

    Parameters
    ----------
    rest
        State of rest.
    entries
        Nonzero entries `[...]` of the matrix, by (to, from).
    blocks
        Dense parts `[..., to, from]` with the variables on which they act.
    """

    rest: Values
    entries: dict[tuple[str, str], Tensor]
    blocks: tuple[tuple[list[str], Tensor], ...]

    def __call__(self, state: Values) -> Values:
        """Apply the intervals to a state."""
        deviation = {name: state[name] - value for name, value in self.rest.items()}
        moved = dict(self.rest)
        for (i, j), entry in self.entries.items():
            moved[i] = moved[i] + entry * deviation[j]
        for names, block in self.blocks:
            vector = torch.stack(torch.broadcast_tensors(*(deviation[name] for name in names)), -1)
            parts = (block @ vector[..., None])[..., 0].unbind(-1)
            moved |= {name: self.rest[name] + part for name, part in zip(names, parts)}
        return moved

    def unbind(self, count: int) -> list[Transition]:
        """One transition for each of the `count` positions on the first axis of the intervals."""
        entries = {key: entry.unbind(0) for key, entry in self.entries.items()}
        blocks = [(names, block.unbind(0)) for names, block in self.blocks]
        return [
            Transition(
                self.rest,
                {key: entry[k] for key, entry in entries.items()},
                tuple((names, block[k]) for names, block in blocks),
            )
            for k in range(count)
        ]


def transition(rule: SpikeRule, interval: Tensor, *, still: Tensor | bool = False) -> Transition:
    """exp(J t) for intervals in s, whose shape broadcasts against that of the parameters.

    A variable with a time constant of 0 has relaxed after no time at all, so that simultaneous spikes find it at
    rest. An exception is `still`, for a postsynaptic spike that is simultaneous with a presynaptic one: they pair.
    """
    routes, slopes, loops = drift_parts(rule, dtype=interval.dtype, device=interval.device)
    rule = as_tensors(rule, dtype=interval.dtype, device=interval.device)
    rest = {name: torch.as_tensor(value, dtype=interval.dtype, device=interval.device)
            for name, value in rule.rest().items()}  # fmt: skip
    blocks = tuple((names, exact(interval)) for names, exact in loops)
    return Transition(rest, chains(routes, slopes, interval, still=still), blocks)


@derives(SpikeRule)
def propagate(rule: SpikeRule, state: Values, interval: Any) -> Values:
    """State after `interval` seconds without spikes, exact; shapes broadcast.

    Raises
    ------
    ConfigError
        A variable is missing or unknown; or an interval is negative or NaN. It may be infinite.
    """
    if state.keys() != rule.rest().keys():
        raise ConfigError(
            f"state has {', '.join(state) or 'nothing'}; {type(rule).__name__} needs {', '.join(rule.rest())}"
        )
    interval = si("interval", interval, "time")
    tensors = [value for value in (*state.values(), interval) if isinstance(value, torch.Tensor)]
    dtype = reduce(torch.promote_types, (value.dtype for value in tensors)) if tensors else torch.float64
    device = tensors[0].device if tensors else None
    state = {name: torch.as_tensor(value, dtype=dtype, device=device) for name, value in state.items()}
    elapsed = torch.as_tensor(interval, dtype=dtype, device=device)
    if not bool((elapsed >= 0).all()):
        raise ConfigError(f"interval={interval!r} is not allowed; give seconds from 0 on")
    return transition(rule, elapsed.clamp(max=SILENCE))(state)


def drift_parts(
    rule: SpikeRule, *, dtype: torch.dtype = torch.float64, device: Any = "cpu"
) -> tuple[dict[Pair, list[Route]], dict[Pair, Tensor], list[tuple[list[str], Callable[[Tensor], Tensor]]]]:
    """Arguments of `chains` for the variables without loops, and exp(J t) of the others as functions of intervals."""
    kind = structure(rule)
    slopes = drift_slopes(rule, dtype=dtype, device=device)
    routes: dict[Pair, list[Route]] = {}
    loops: list[tuple[list[str], Callable[[Tensor], Tensor]]] = []
    for component in kind.components:
        found = kind.routes(component)
        if found is None:
            loops.append((component, partial(_dense, component, drift_matrix(component, slopes))))
        else:
            routes |= found
    return routes, slopes, loops


def chains(
    routes: dict[Pair, list[Route]],
    slopes: dict[Pair, Tensor],
    interval: Tensor,
    *,
    held: int = 0,
    still: Tensor | bool = False,
) -> dict[Pair, Tensor]:
    """exp(J t) by (to, from) for variables without loops: every route is a chain of decays.

    With `held`, its integral over the interval, this many times: 1 gives the effect of a constant forcing, 2 of one
    that increases by 1 per second. `still` is as in `transition`.
    """
    zero = torch.zeros((), dtype=interval.dtype, device=interval.device)
    rate = {i: -slopes.get((i, i), zero) for i, j in routes if i == j}
    settled = torch.where(torch.as_tensor(still, device=interval.device), 0.0, SETTLED).to(interval)
    least = {name: torch.where(value > INSTANT, settled, 0.0) for name, value in rate.items()}
    entries: dict[Pair, Tensor] = {}
    for ends, ways in routes.items():
        for route in ways:
            time = reduce(torch.maximum, [least[name] for name in route], interval)
            gain = prod(slopes[pair] for pair in pairwise(route))
            part = gain * chained([*(rate[name] for name in route), *[zero] * held], time)
            entries[ends] = entries[ends] + part if ends in entries else part
    return entries


def _dense(names: list[str], matrix: Tensor, interval: Tensor) -> Tensor:
    """exp(J t), `[..., to, from]`, computed in float64."""
    matrix = matrix.double()
    instant = -matrix.detach().diagonal(dim1=-2, dim2=-1) > INSTANT
    if not bool(instant.any()):
        return _exponential(matrix, interval.double()).to(interval.dtype)
    enter, matrix, follow = without_instant(names, matrix, instant)
    return (follow @ _exponential(matrix, interval.double()) @ enter).to(interval.dtype)


def _exponential(matrix: Tensor, interval: Tensor) -> Tensor:
    """Σ_k |mode k⟩ e^{λ_k t} ⟨mode k|, or a series if modes (nearly) coincide and lose digits."""
    merged = coinciding(matrix)[..., None, None]
    apart = torch.arange(-1.0, -1.0 - matrix.shape[-1], -1.0).to(matrix).diag()
    values, right, left = modes(torch.where(merged, apart, matrix))
    decay = torch.exp(values * interval[..., None])
    moved = torch.einsum("...ik,...k,...kj->...ij", right, decay, left).real
    if bool(merged.any()):
        exponent = torch.where(merged, matrix, 0.0) * interval[..., None, None]
        series = torch.linalg.matrix_exp(exponent.contiguous())
        moved = torch.where(merged, series, moved)
    return moved


def without_instant(names: list[str], matrix: Tensor, instant: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split a drift whose `instant [..., unit]` variables follow the others at once.

    Returns
    -------
    tuple
        Effect of a state on the slow variables when the instant ones relax; the drift of the slow ones, with the
        instant ones decoupled from it; and all variables as a function of the slow ones.
    """
    size = len(names)
    eye = torch.eye(size, dtype=matrix.dtype, device=matrix.device)
    rate = torch.where(instant, -matrix.diagonal(dim1=-2, dim2=-1), 1.0)[..., None]
    to, source = instant[..., :, None], instant[..., None, :]
    among = torch.where(to & source, -matrix / rate, eye)
    try:
        released = torch.linalg.inv(among)
    except torch.linalg.LinAlgError:
        raise ConfigError(
            f"{', '.join(names)}: variables that follow each other instantly settle nowhere; "
            "give one of them a time constant above 0"
        ) from None
    follow = released @ torch.where(to & ~source, matrix / rate, 0.0)
    driven = torch.where(~to & source, matrix, 0.0)
    slow = torch.where(~to & ~source, matrix, 0.0)
    still = slow.detach().abs().amax((-2, -1), keepdim=True) + 1.0  # separate rates, away from the others
    dummy = torch.arange(size + 1.0, 2 * size + 1.0).to(matrix).diag() * still * to
    stays = eye * ~to
    return stays + driven @ (released / rate.mT) * source, slow + driven @ follow - dummy, stays + follow


def relaxation_rates(rule: SpikeRule) -> dict[str, Tensor]:
    """Slowest rate in 1/s, by the variables to which it belongs; 0 if something is never forgotten."""
    kind = structure(rule)
    slopes = drift_slopes(rule)
    slowest: dict[str, Tensor] = {}
    for component in kind.components:
        if kind.routes(component) is not None:  # triangular: the eigenvalues are on the diagonal
            slowest |= {name: -slopes.get((name, name), torch.zeros(())) for name in component}
        else:
            rates = -torch.linalg.eigvals(drift_matrix(component, slopes)).real
            rates = torch.where(rates > 1e-14 * rates.abs().amax(-1, keepdim=True), rates, 0.0)
            slowest[", ".join(component)] = rates.amin(-1)
    return slowest


def drift_slopes(
    rule: SpikeRule, *, dtype: torch.dtype = torch.float64, device: Any = "cpu"
) -> dict[tuple[str, str], Tensor]:
    """Values of the nonzero entries of the drift's Jacobian, by (to, from), in 1/s."""
    kind = structure(rule)
    values = kind.evaluate(as_tensors(rule, dtype=dtype, device=device), kind.jacobian)
    return {key: torch.as_tensor(value, dtype=dtype, device=device) for key, value in values.items()}


def drift_matrix(names: list[str], slopes: dict) -> Tensor:
    """The Jacobian as a matrix `[..., to, from]`."""
    zero = torch.zeros_like(next(iter(slopes.values())))
    flat = [slopes.get((i, j), zero) for i in names for j in names]
    return torch.stack(torch.broadcast_tensors(*flat), -1).unflatten(-1, (len(names), len(names)))


def coinciding(matrix: Tensor) -> Tensor:
    """Whether modes of a matrix `[..., to, from]` are so similar that sums over them, or derivatives, lose digits."""
    values, right = torch.linalg.eig(matrix.detach())
    size = values.abs()
    gaps = (values[..., :, None] - values[..., None, :]).abs()
    near = CLOSE * torch.minimum(size[..., :, None], size[..., None, :])
    near = near + 1e-14 * size.amax(-1)[..., None, None]
    alike = (gaps <= near).sum((-2, -1)) > matrix.shape[-1]  # every mode is similar to itself
    return alike | (torch.linalg.cond(right) > WORST_CONDITION)


def modes(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues `[..., mode]`, right `[..., unit, mode]` and left `[..., mode, unit]` vectors; real if they are.

    For matrices whose modes do not coincide (`coinciding`).
    """
    values, right = torch.linalg.eig(matrix)
    scale = values.detach().abs().max()
    if bool((values.detach().imag.abs() <= 1e-12 * scale).all()):
        values, right = values.real, right.real
    return values, right, torch.linalg.inv(right)
