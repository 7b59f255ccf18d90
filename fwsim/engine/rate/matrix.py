"""The memory matrix of a rate network: dA_k/dt = −A_k/τ_k + η_k r rᵀ, in continuous time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fwsim.arrays import as_they_are
from fwsim.engine.rate.exponential import decay_weights
from fwsim.errors import ConfigError, ShapeError, instance, type_of
from fwsim.names import known_arguments
from fwsim.rules.hebbian import Hebbian
from fwsim.units import checked


@dataclass(frozen=True, eq=False)
class Matrix:
    """A Hebbian memory prepared for steps of one length; see `fwsim.engine.rate.exponential` for the scheme.

    `keep`, `first` and `second` are `[1 or batch, timescale]`; the last two contain η. `connected [post, pre]` is 1 for
    pairs that are connected and 0 for others; `None` if only self-connections may be missing.
    """

    keep: Tensor
    first: Tensor
    second: Tensor
    self_connections: bool
    connected: Tensor | None = None

    def read(self, memory: Tensor, rate: Tensor) -> Tensor:
        """Σ_k A_k r, `[batch, unit]`, for a memory `[batch, timescale, post, pre]`."""
        return self._answer(memory.sum(1) if memory.shape[1] > 1 else memory[:, 0], rate)

    def read_predicted(self, memory: Tensor, written: Tensor, rate: Tensor) -> Tensor:
        """Read what the memory will be after a step in which `written` is held, without making that matrix."""
        kept = torch.einsum("bk,bkij->bij", self.keep.expand(len(memory), -1), memory)
        return self._answer(kept, rate) + self.first.sum(-1, keepdim=True) * self._overlap(written, rate)

    def write(self, memory: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """Advance the memory over a step at whose ends the rates were `before` and `after`, `[batch, unit]`."""
        early, late = (value[..., None, None] for value in (self.first - self.second, self.second))
        outer = early * self._outer(before) + late * self._outer(after)
        return torch.addcmul(outer, self.keep[..., None, None], memory)

    def _answer(self, matrices: Tensor, rate: Tensor) -> Tensor:
        """What matrices `[batch, post, pre]` answer through the connections that there are."""
        matrices = matrices if self.connected is None else matrices * self.connected
        return torch.matmul(matrices, rate[..., None])[..., 0]

    def _overlap(self, written: Tensor, rate: Tensor) -> Tensor:
        """What the outer product of `written` answers."""
        if self.connected is not None:
            return written * ((written * rate) @ self.connected.T)
        overlap = (written * rate).sum(-1, keepdim=True) * written
        return overlap if self.self_connections else overlap - written.square() * rate

    def _outer(self, rate: Tensor) -> Tensor:
        outer = rate[:, :, None] * rate[:, None, :]
        if self.connected is not None:
            outer = outer * self.connected
        elif not self.self_connections:
            outer = outer - torch.diag_embed(rate.square())
        return outer[:, None]


def matrix(
    memory: Hebbian, dt: float, self_connections: bool, like: Tensor, connected: Tensor | None = None
) -> Matrix:
    """Prepare a memory for steps of `dt` seconds, of the dtype and on the device of `like`."""
    shape = torch.broadcast_shapes(memory.tau.shape, memory.eta_rate.shape)
    keep, first, second = decay_weights(memory.tau.double().expand(shape), dt)
    eta = memory.eta_rate.to(first)
    keep, first, second = (v.reshape(-1, shape[-1]).to(like) for v in (keep, first * eta, second * eta))
    if connected is not None:
        connected = connected.to(like)
        connected = connected if self_connections else connected * (1 - torch.eye(len(connected)).to(like))
    return Matrix(keep, first, second, self_connections, connected)


def checked_connections(given: object, units: int, memory: Hebbian | None) -> Tensor | None:
    """Pairs of units that a memory connects, booleans `[post, pre]`.

    Raises
    ------
    ConfigError, ShapeError
        They are no booleans, of another shape, or there is no memory.
    """
    if given is None:
        return None
    if memory is None:
        raise ConfigError("connected= says which pairs a memory connects, but memory=None; leave it out")
    as_they_are("connected", given, ("post", "pre"))
    try:
        connected = given if isinstance(given, Tensor) else torch.from_numpy(np.array(given))
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"connected is {type_of(given)}; give booleans [post, pre]") from None
    if connected.dtype != torch.bool:
        raise ConfigError(f"connected is {connected.dtype}; give booleans [post, pre]")
    if connected.shape != (units, units):
        raise ShapeError(
            f"connected has shape {list(connected.shape)}; give booleans [post, pre] over all {units} units"
        )
    return connected.clone()


def check(memory: object) -> Hebbian | None:
    """Accept what can be a memory in continuous time.

    Raises
    ------
    ConfigError
        It is no `Hebbian`, its strength is given per write, or it has constants by neuron or synapse.
    """
    if memory is None:
        return None
    if not isinstance(memory, Hebbian):
        raise ConfigError(
            f"memory is {type_of(memory)}, which has no continuous form; give Hebbian, an associative rule's "
            "reduced(), or use the rule as the synapse of a Projection"
        )
    _by_time_scale(memory)
    if memory.eta_rate is None:
        raise ConfigError(
            "memory has eta, a strength per write, but a rate network writes all the time; give eta_rate in 1/s, "
            "or turn it with fwsim.per_second(memory, dt)"
        )
    return memory


def _by_time_scale(memory: Hebbian) -> None:
    if memory.axes or memory.oja:
        given = "oja=True" if memory.oja else f"axes={memory.axes!r}"
        remedy = "oja=False" if memory.oja else "constants by time scale"
        raise ConfigError(f"memory has {given}, which a rate network cannot run; give {remedy}")


@known_arguments
def per_second(memory: Hebbian, dt: float) -> Hebbian:
    """Give the strength of a memory that is written every `dt` seconds as a rate.

    η_rate = η / (τ (1 − e^{−dt/τ})): what a held state writes during `dt` is then one write of η.

    Parameters
    ----------
    memory
        Of a network in discrete time.
    dt
        Seconds a step there.
    """
    instance("memory", memory, Hebbian, "a Hebbian memory")
    dt = checked("dt", dt, "time", above=0)
    _by_time_scale(memory)
    if memory.eta_rate is not None:
        return memory
    tau, eta = torch.broadcast_tensors(memory.tau, memory.eta)
    if bool((tau == 0).any()):
        raise ConfigError("tau=0 holds the last write only, which has no continuous form; give tau > 0")
    return Hebbian(tau=tau, eta_rate=eta / decay_weights(tau, dt).first)
