"""Description of a circuit, from which a spiking network and a rate network are made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fwsim.errors import ConfigError, ShapeError, choice, number, whole
from fwsim.names import KnownArguments
from fwsim.rules.initial_state import checked_state
from fwsim.rules.parameters import batch_shape
from fwsim.rules.rule import AssociativeRule, PresynapticRule, SpikeRule, Values
from fwsim.spiking.sources import PoissonGenerator, Source, SpikeGenerator, check_name
from fwsim.units import checked, si, unusual

NEURON = ("tau", "threshold", "reset", "refractory", "background", "noise")  # parameters of a neuron
LONGEST, COARSEST = 1.0, 0.02  # s; time constants, delays and steps above are probably meant in ms
HIGHEST = 1.0  # V, likewise


@dataclass(frozen=True, eq=False)
class Population(KnownArguments):
    """Leaky integrate-and-fire neurons.

        τ dV/dt = −V + background + drive + synaptic input + noise √(2τ) ξ(t)

    Potentials are relative to the resting potential. A neuron above `threshold` (V > θ, not V = θ) spikes and stays
    at `reset` for the refractory period; input during this time is lost. Connections with a `reversal` add
    Σ g (reversal − V), where g is their conductance over that of the leak.

    Parameters
    ----------
    name
        Name for connections and stimuli.
    size
        Number of neurons. All parameters that follow are numbers, or have one value for each neuron, `[unit]`.
    tau, refractory
        Membrane time constant and refractory period in s.
    threshold, reset
        In V above rest.
    background
        Potential in V that the constant external input alone would cause.
    noise
        Standard deviation of the potential in V that external noise alone would cause without threshold.
    """

    name: str
    size: int
    tau: Any = 0.02
    threshold: Any = 0.02
    reset: Any = 0.01
    refractory: Any = 0.002
    background: Any = 0.0
    noise: Any = 0.0

    def __post_init__(self) -> None:
        check_name("Population", self.name)
        whole(f"{self.name}: size", self.size, least=1)
        self._check("time", tau={"above": 0}, refractory={"least": 0}, usual=LONGEST)
        self._check("voltage", noise={"least": 0}, threshold={}, reset={}, background={}, usual=HIGHEST)
        if (above := np.greater_equal(self.reset, self.threshold)).any():
            reset, threshold = (
                np.broadcast_to(each, above.shape)[above][0] for each in (self.reset, self.threshold)
            )
            raise ConfigError(f"{self.name}: reset={reset} V is not below threshold={threshold} V")

    @property
    def varied(self) -> tuple[str, ...]:
        """Parameters that have a value for each neuron."""
        return tuple(field for field in NEURON if np.ndim(getattr(self, field)))

    def _check(self, dimension: str, *, usual: float, **bounds: dict[str, float]) -> None:
        for field, limits in bounds.items():
            where, value = (
                f"{self.name}: {field}",
                si(f"{self.name}: {field}", getattr(self, field), dimension),
            )
            if np.ndim(value):
                value = _of_neurons(where, value, self.size)
                for extreme in (value.min(), value.max()):
                    checked(where, float(extreme), dimension, usual=usual, **limits)
            else:
                value = checked(where, getattr(self, field), dimension, usual=usual, **limits)
            object.__setattr__(self, field, value)


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
        where = f"{self.pre}→{self.post}"
        if self.reversal is None:
            unusual(f"{where}: efficacy", self.efficacy, "voltage", HIGHEST)
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
        high = checked(f"{where}: delay", self.delays[1], "time", least=low, usual=LONGEST)
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


@dataclass(frozen=True, eq=False)
class Circuit(KnownArguments):
    """Populations and their connections: one description for a spiking and for a rate network.

    Parameters
    ----------
    populations
        In the order in which neurons are counted: `Population`, or a `SpikeGenerator` or `PoissonGenerator`, to which
        nothing connects. In the rate version each population is a unit.
    connections
        Connections between populations; several from one population to another add up.
    dt
        Time step in s.

    Raises
    ------
    ConfigError, ShapeError
        Unknown or repeated names, or parameters that do not fit.

    Examples
    --------
    >>> noisy = Population("E", 100, background=0.018, noise=0.003)
    >>> circuit = Circuit([noisy], [Connection("E", "E", 0.0002, probability=0.1)])
    >>> circuit.neurons
    100
    """

    populations: Sequence[Population | Source]
    connections: Sequence[Connection] = ()
    dt: float = 1e-4

    def __post_init__(self) -> None:
        kinds = {"populations": (Population, SpikeGenerator, PoissonGenerator), "connections": (Connection,)}
        for field, allowed in kinds.items():
            given = getattr(self, field)
            parts = tuple(given) if isinstance(given, Iterable) else (given,)
            if not all(isinstance(each, allowed) for each in parts):
                raise ConfigError(f"{field}={given!r} is not allowed; give a list of {allowed[0].__name__}s")
            object.__setattr__(self, field, parts)
        if not self.populations or len(set(self.names)) < len(self.names):
            raise ConfigError(
                f"populations are named {list(self.names)}; give one or more, with different names"
            )
        object.__setattr__(self, "dt", checked("dt", self.dt, "time", above=0, usual=COARSEST))
        for source in self.sources:
            source.check(self.dt)
        for each in self.connections:
            choice("pre", each.pre, self.names)
            choice("post", each.post, self.names)
            if isinstance(post := self.populations[self.index(each.post)], Source):
                raise ConfigError(
                    f"{each.pre}→{each.post}: {each.post} is a {type(post).__name__}, which receives nothing; "
                    "connect to a Population"
                )
            self._check_sizes(each)
            self._check_state(each)
        _ = self.trials

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the populations."""
        return tuple(each.name for each in self.populations)

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return sum(each.size for each in self.populations)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Populations whose spikes are given or random."""
        return tuple(each for each in self.populations if isinstance(each, Source))

    def index(self, name: str) -> int:
        """Index of a population."""
        choice("population", name, self.names)
        return self.names.index(name)

    @cached_property
    def members(self) -> dict[str, slice]:
        """Indices of the neurons of every population."""
        ends = np.cumsum([each.size for each in self.populations]).tolist()
        return {each.name: slice(end - each.size, end) for each, end in zip(self.populations, ends)}

    @cached_property
    def rules(self) -> tuple[SpikeRule, ...]:
        """Rules of the plastic connections, each instance once, in order of first use."""
        return tuple({id(each.synapse): each.synapse for each in self.connections if each.synapse}.values())

    @cached_property
    def trials(self) -> int | None:
        """Number of trials that have their own rules, states or sources, `None` if they are the same for all."""
        shapes = [batch_shape(rule) for rule in self.rules]
        shapes += [torch.as_tensor(v).shape for each in self.connections for v in (each.state or {}).values()]
        found = {shape[0] for shape in shapes if len(shape) == 2 and shape[0] > 1}
        found |= {each.trials for each in self.sources if each.trials}
        if len(found) > 1:
            raise ShapeError(
                f"rules have parameters or states, or sources spikes or rates, for {sorted(found)} trials; give one "
                "number for all"
            )
        return found.pop() if found else None

    def source(self, rule: SpikeRule) -> Population | Source | None:
        """The population whose neurons each have their own parameters of a rule, `None` if they do not."""
        if batch_shape(rule)[-1:] in (torch.Size(), (1,), (len(self.populations),)):
            return None
        for each in self.connections:
            if each.synapse is rule:
                return self.populations[self.index(each.pre)]
        raise ConfigError(
            f"{type(rule).__name__} is the rule of no connection of this circuit; give one of its rules"
        )

    def states(self, rule: SpikeRule) -> dict[str, Values]:
        """Given initial values of a rule's variables, by the name of the presynaptic population."""
        return {
            each.pre: dict(each.state) for each in self.connections if each.synapse is rule and each.state
        }

    def scaled(self, factor: float) -> Circuit:
        """The circuit with `factor` times as many neurons, each with as many inputs as before.

        Mean and variance of every input stay the same, since efficacies and numbers of inputs do. Two neurons share
        more of their inputs, and population rates fluctuate more (as 1/√size). Fewer inputs with
        larger efficacies would preserve only the mean.

        Raises
        ------
        ConfigError
            Neurons would need more inputs than there are neurons, or connections are given as matrices, or rules,
            states, spikes or rates by neuron.
        """
        densest = max((each.probability for each in self.connections), default=0.0)
        if not densest <= factor < math.inf:
            raise ConfigError(
                f"scaled by {factor} is not allowed: neurons keep their inputs, so connection probabilities of "
                f"{densest} leave no factor below {densest}"
            )
        for each in self.populations:
            if isinstance(each, Population) and each.varied:
                raise ConfigError(
                    f"a circuit whose neurons differ ({each.name}: {each.varied[0]}) cannot be scaled; draw them anew"
                )
        if any(np.ndim(each.efficacy) for each in self.connections):
            raise ConfigError("a circuit with efficacy matrices cannot be scaled; make the matrices anew")
        for each in self.sources:
            if (
                isinstance(each, SpikeGenerator)
                or callable(each.rate)
                or np.shape(each.rate)[-1:] not in ((), (1,))
            ):
                raise ConfigError(
                    f"a circuit with {each.name}, whose neurons have their own spikes or rates, cannot be scaled; make "
                    "it anew"
                )
        own = [np.shape(v)[-1:] for each in self.connections for v in (each.state or {}).values()]
        if any(self.source(rule) for rule in self.rules) or any(size not in ((), (1,)) for size in own):
            raise ConfigError(
                "a circuit whose neurons have their own parameters or states of a rule cannot be scaled; draw them anew"
            )
        return replace(
            self,
            populations=[
                replace(p, size=max(1, round(p.size * factor)))
                for p in self.populations
                if not isinstance(p, SpikeGenerator)  # refused above
            ],
            connections=[replace(c, probability=c.probability / factor) for c in self.connections],
        )

    def _repr_html_(self) -> str:
        from fwsim.spiking.display import circuit_html

        return circuit_html(self)

    def configuration(self) -> dict[str, Any]:
        """The circuit as plain data; matrices are replaced by their shape."""
        return {"network": "Circuit", **_plain(self)}

    def _check_sizes(self, each: Connection) -> None:
        where = f"{each.pre}→{each.post}"
        expected = tuple(self.populations[self.index(name)].size for name in (each.post, each.pre))
        if np.ndim(each.efficacy) and each.efficacy.shape != expected:
            raise ShapeError(
                f"{where}: efficacy has shape {list(each.efficacy.shape)}; give [post, pre] = {list(expected)}"
            )
        if each.synapse is None:
            return
        shape = batch_shape(each.synapse)
        last = {1, len(self.populations), expected[1]}
        if isinstance(each.synapse, AssociativeRule) and shape:
            raise ShapeError(
                f"{where}: parameters of {type(each.synapse).__name__} must be scalars in a circuit"
            )
        if len(shape) > 2 or (shape and shape[-1] not in last):
            raise ShapeError(
                f"{where}: parameters of {type(each.synapse).__name__} have shape {list(shape)}; give scalars, "
                f"[trial, 1], [unit] or [trial, unit] with unit={len(self.populations)} populations or {expected[1]} "
                f"neurons of {each.pre}"
            )
        if shape and 1 < shape[-1] == len(self.populations) == expected[1]:
            raise ConfigError(
                f"{where}: {shape[-1]} values of {type(each.synapse).__name__} may be those of the populations or of "
                f"the neurons of {each.pre}; give each connection a rule of its own with one value, or {each.pre} "
                "another number of neurons"
            )
        if (source := self.source(each.synapse)) and source.name != each.pre:
            raise ConfigError(
                f"{where} and {source.name} share {type(each.synapse).__name__} with parameters for each neuron; give "
                "each presynaptic population its own rule"
            )

    def _check_state(self, each: Connection) -> None:
        where = f"{each.pre}→{each.post}"
        size = self.populations[self.index(each.pre)].size
        for name, value in (each.state or {}).items():
            shape = torch.as_tensor(value).shape
            if isinstance(each.synapse, AssociativeRule) and shape:
                raise ShapeError(
                    f"{where}: state of {name} has shape {list(shape)}; {type(each.synapse).__name__} takes numbers"
                )
            if len(shape) > 2 or (shape and shape[-1] not in (1, size)):
                raise ShapeError(
                    f"{where}: state of {name} has shape {list(shape)}; give a number, [unit], [trial, 1] or "
                    f"[trial, unit] with unit={size} neurons of {each.pre}"
                )
        same = [c for c in self.connections if c.synapse is each.synapse and c.pre == each.pre and c.state]
        if len(same) > 1:
            raise ConfigError(
                f"{' and '.join(f'{c.pre}→{c.post}' for c in same)} share {type(each.synapse).__name__} and its state; "
                "give the state to one of them"
            )


def _of_neurons(where: str, value: Any, size: int) -> np.ndarray:
    try:
        found = np.array(value.detach().cpu() if isinstance(value, Tensor) else value, float)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(
            f"{where}={value!r} is not allowed; give a number, or one for each neuron"
        ) from None
    if found.shape != (size,):
        raise ShapeError(
            f"{where} has shape {list(found.shape)}; give a number, or [unit] with unit={size} neurons"
        )
    if not np.isfinite(found).all():
        raise ConfigError(f"{where} is NaN or infinite for some neurons; give finite numbers")
    return found


def _matrix(where: str, efficacy: Any) -> np.ndarray:
    try:
        plain = efficacy.detach().cpu().double().numpy() if isinstance(efficacy, Tensor) else efficacy
        return np.array(plain, float)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"{where}: efficacy={efficacy!r} is not allowed; give V, or [post, pre]") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Source):
        return value.configuration()
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, np.ndarray):
        return {"shape": list(value.shape)}
    if isinstance(value, (tuple, list)):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if is_dataclass(value):
        kind = {"rule": type(value).__name__} if isinstance(value, SpikeRule) else {}
        return kind | {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value
