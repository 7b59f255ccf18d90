"""Synapses from one population to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from fwsim.arrays import as_they_are
from fwsim.errors import ConfigError, number
from fwsim.names import KnownArguments
from fwsim.rules.initial_state import checked_state
from fwsim.rules.rule import AssociativeRule, PresynapticRule, SpikeRule
from fwsim.spiking.population import HIGHEST, LONGEST
from fwsim.spiking.sources import check_name
from fwsim.units import checked, si, unusual

SLOWEST = 0.2  # s; delays above are probably meant in ms
STRONGEST = 0.05  # V; an efficacy above is probably meant in mV: the threshold is at 20 mV


@dataclass(frozen=True, eq=False)
class Connection(KnownArguments):
    """Synapses from one population to another.

    A spike changes the postsynaptic potential by `efficacy` times the release of the synapse's rule; or, with
    `decay`, causes an exponential current with the same charge; or, with `decay` and `reversal`, opens a conductance.

    Parameters
    ----------
    pre, post
        Names of the populations.
    efficacy
        In V, negative for inhibition; or a matrix `[post, pre]` over the neurons, with 0 for pairs without a synapse.
        With `reversal`, the conductance that a release of 1 opens, over that of the leak, not negative.
    probability
        Probability that a pair of neurons is connected (never a neuron with itself).
    synapse
        A presynaptic or associative rule, `None` for static synapses. Connections with the same instance share
        its state. Parameters are scalars or `[trial, 1]`, or (presynaptic rules) `[unit]` or `[trial, unit]`. Units are
        the circuit's populations or the neurons of `pre`, whichever are so many; equal numbers are refused.
    delay
        In s, 0 by default; or the bounds between which delays are drawn uniformly. Postsynaptic spikes reach the
        synapse without delay.
    state
        Values of the rule's variables when a run begins (time 0), such as `{"u": 0.8, "x": 0.3}`: numbers, or for
        presynaptic rules `[unit]`, `[trial, 1]` or `[trial, unit]` with the neurons of `pre` as units. The last sample
        of a recording continues its run. Variables that are not named, and all with `None`, are at rest. Give the
        state to one of the connections that share a rule and `pre`.
    decay
        Time constant of the synaptic current in s; 0 is an instantaneous jump. A jump takes effect at the beginning of
        the step after the one in which the spike arrives, and has decayed by exp(−dt/tau) when the threshold is tested.
    reversal
        Potential in V above rest to which a conductance drives the neuron, such as 0.07 for excitation and -0.01 for
        inhibition; `None`: the synapse is a current. During a step conductances and currents of a population that has
        conductances count with their mean, which is exact up to dt².
    """

    pre: str
    post: str
    efficacy: Any
    probability: float = 1.0
    synapse: SpikeRule | None = None
    delay: float | tuple[float, float] = 0.0
    decay: float = 0.0
    state: Mapping[str, Any] | None = None
    reversal: float | None = None

    def __post_init__(self) -> None:
        for name in (self.pre, self.post):
            check_name("Connection", name)
        where = f"{self.pre}→{self.post}"
        if self.reversal is None:
            unusual(f"{where}: efficacy", self.efficacy, "voltage", STRONGEST)
        as_they_are(f"{where}: efficacy", self.efficacy, ("post", "pre"))
        efficacy = si(f"{where}: efficacy", self.efficacy, "voltage" if self.reversal is None else "number")
        object.__setattr__(self, "efficacy", efficacy)
        if not isinstance(efficacy, (int, float)):
            efficacy = _matrix(where, efficacy)
            object.__setattr__(self, "efficacy", efficacy)
        if not np.isfinite(efficacy).all():
            raise ConfigError(f"{where}: efficacy is NaN or infinite; give finite V")
        if np.ndim(efficacy) and self.probability != 1.0:
            raise ConfigError(f"{where}: a matrix says which pairs connect; leave probability out")
        number(f"{where}: probability", self.probability, above=0, most=1)
        if isinstance(self.delay, list):
            object.__setattr__(self, "delay", tuple(self.delay))
        if isinstance(self.delay, tuple) and len(self.delay) != 2:
            raise ConfigError(f"{where}: delay={self.delay!r} is not allowed; give s, or (shortest, longest)")
        low = checked(f"{where}: delay", self.delays[0], "time", least=0)
        high = checked(f"{where}: delay", self.delays[1], "time", least=low, usual=SLOWEST)
        object.__setattr__(self, "delay", (low, high) if isinstance(self.delay, tuple) else low)
        object.__setattr__(
            self, "decay", checked(f"{where}: decay", self.decay, "time", least=0, usual=LONGEST)
        )
        if self.reversal is not None:
            self._check_reversal(where)
        if self.synapse is not None and not isinstance(self.synapse, PresynapticRule | AssociativeRule):
            raise ConfigError(
                f"{where}: synapse={type(self.synapse).__name__} has no response to spikes; give a presynaptic or "
                "an associative rule, or None"
            )
        if self.state is not None:
            if self.synapse is None:
                raise ConfigError(f"{where}: state is for plastic synapses; give synapse= too")
            object.__setattr__(self, "state", checked_state(where, self.synapse, self.state))

    def _check_reversal(self, where: str) -> None:
        reversal = checked(f"{where}: reversal", self.reversal, "voltage", usual=HIGHEST)
        object.__setattr__(self, "reversal", reversal)
        if self.decay == 0:
            raise ConfigError(
                f"{where}: reversal={reversal} V is for synapses that last; give decay= too, in s"
            )
        if np.min(self.efficacy) < 0:
            raise ConfigError(
                f"{where}: efficacy={np.min(self.efficacy):g} is a conductance and must not be negative; for "
                "inhibition give a reversal below the threshold"
            )

    @property
    def delays(self) -> tuple[float, float]:
        """Shortest and longest delay in s."""
        return self.delay if isinstance(self.delay, tuple) else (self.delay, self.delay)


def _matrix(where: str, efficacy: Any) -> np.ndarray:
    try:
        plain = efficacy.detach().cpu().double().numpy() if isinstance(efficacy, Tensor) else efficacy
        return np.array(plain, float)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"{where}: efficacy={efficacy!r} is not allowed; give V, or [post, pre]") from None
