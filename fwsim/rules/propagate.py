"""Exact relaxation between spikes: s(t) = rest + exp(J t)(s − rest)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import torch

from fwsim.errors import ConfigError
from fwsim.rules.base import SpikeRule, Values
from fwsim.rules.parameters import as_tensors
from fwsim.rules.symbols import structure

if TYPE_CHECKING:
    from torch import Tensor

WORST_CONDITION = 1e6  # of the modes of a coupled drift; beyond, they lose more than 6 digits


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
        Dense parts `[..., to, from]` with the variables they act on.
    """

    rest: Values
    entries: dict[tuple[str, str], Tensor]
    blocks: tuple[tuple[list[str], Tensor], ...]

    def __call__(self, state: Values) -> Values:
        """Let the intervals pass."""
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


def transition(rule: SpikeRule, interval: Tensor) -> Transition:
    """exp(J t) for intervals in s, whose shape broadcasts against that of the parameters."""
    kind = structure(rule)
    slopes = drift_slopes(rule, dtype=interval.dtype, device=interval.device)
    rule = as_tensors(rule, dtype=interval.dtype, device=interval.device)
    rest = {name: torch.as_tensor(value, dtype=interval.dtype, device=interval.device)
            for name, value in rule.rest().items()}  # fmt: skip
    entries: dict[tuple[str, str], Tensor] = {}
    blocks = []
    for component in kind.components:
        if kind.is_cascade(component):
            entries |= _cascade(component, slopes, interval)
        else:
            blocks.append((component, _dense(component, slopes, interval)))
    return Transition(rest, entries, tuple(blocks))


def propagate(rule: SpikeRule, state: Values, interval: Any) -> Values:
    """State after `interval` seconds without spikes; see `SpikeRule.propagate`."""
    if state.keys() != rule.rest().keys():
        raise ConfigError(
            f"state has {', '.join(state) or 'nothing'}; {type(rule).__name__} needs {', '.join(rule.rest())}"
        )
    tensors = [value for value in (*state.values(), interval) if isinstance(value, torch.Tensor)]
    dtype = reduce(torch.promote_types, (value.dtype for value in tensors)) if tensors else torch.float64
    device = tensors[0].device if tensors else None
    state = {name: torch.as_tensor(value, dtype=dtype, device=device) for name, value in state.items()}
    return transition(rule, torch.as_tensor(interval, dtype=dtype, device=device))(state)


def _cascade(names: list[str], slopes: dict, interval: Tensor) -> dict[tuple[str, str], Tensor]:
    """Closed form where variables that nothing drives drive the others."""
    zero = torch.zeros((), dtype=interval.dtype, device=interval.device)
    rate = {name: -slopes.get((name, name), zero) for name in names}
    entries = {(name, name): torch.exp(-rate[name] * interval) for name in names}
    for (i, j), slope in slopes.items():
        if i in names and i != j:
            entries[i, j] = slope * exponential_difference(rate[i], rate[j], interval)
    return entries


def exponential_difference(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """(e^{−at} − e^{−bt})/(b − a), the overlap of two decays, also where a = b (t e^{−at})."""
    gap = (a - b).abs()
    apart = gap * t > 0
    safe = torch.where(apart, gap, torch.ones_like(gap))
    spread = torch.where(apart, -torch.expm1(-safe * t) / safe, t)
    return torch.exp(-torch.minimum(a, b) * t) * spread


def _dense(names: list[str], slopes: dict, interval: Tensor) -> Tensor:
    """Σ_k |mode k⟩ e^{λ_k t} ⟨mode k|, `[..., to, from]`."""
    values, right, left = modes(drift_matrix(names, slopes))
    decay = torch.exp(values * interval[..., None])
    return torch.einsum("...ik,...k,...kj->...ij", right, decay, left).real


def relaxation_rates(rule: SpikeRule) -> dict[str, Tensor]:
    """Slowest rate in 1/s, by the variables it belongs to; 0 where something is never forgotten."""
    kind = structure(rule)
    slopes = drift_slopes(rule)
    slowest: dict[str, Tensor] = {}
    for component in kind.components:
        if kind.is_cascade(component):  # triangular: the eigenvalues are on the diagonal
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


def modes(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues `[..., mode]`, right `[..., unit, mode]` and left `[..., mode, unit]` vectors; real if they are.

    Raises
    ------
    ConfigError
        The matrix has no complete set of modes.
    """
    values, right = torch.linalg.eig(matrix)
    if bool((torch.linalg.cond(right.detach()) > WORST_CONDITION).any()):
        raise ConfigError("two modes of the drift coincide; change a time constant by a part in a million")
    scale = values.detach().abs().max()
    if bool((values.detach().imag.abs() <= 1e-12 * scale).all()):
        values, right = values.real, right.real
    return values, right, torch.linalg.inv(right)
