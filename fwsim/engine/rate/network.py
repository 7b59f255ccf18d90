"""Leaky rate networks whose projections carry any rule, and fast weights in continuous time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fwsim.arrays import as_they_are
from fwsim.engine import checks
from fwsim.engine.inputs import as_input
from fwsim.engine.precision import own_precision
from fwsim.engine.rate.exponential import Weights, decay_weights
from fwsim.engine.rate.gains import Gain, relu, siegert, softplus
from fwsim.engine.rate.matrix import check, checked_connections, matrix
from fwsim.engine.rate.noise import standard_normal
from fwsim.engine.rate.normalisation import Normalisation, normalisation
from fwsim.engine.rate.plan import KERNELS, RatePlan, plan
from fwsim.engine.rate.projection import Projection, synapses
from fwsim.engine.rate.state import initial, pack, unpack
from fwsim.engine.rate.step import Stepper
from fwsim.engine.state import State
from fwsim.engine.transforms import stands_for_others
from fwsim.errors import ConfigError, ShapeError, choice, truth, type_of, whole
from fwsim.names import KnownArguments
from fwsim.rules.hebbian import Hebbian
from fwsim.rules.parameters import own
from fwsim.seeds import check_seed
from fwsim.units import si, unusual

if TYPE_CHECKING:
    from fwsim.engine.rate.observer import RateObserver

COARSEST = 0.02  # s; steps that are longer than this and than tau are probably meant in ms
SLOWEST = 5.0
"""Membrane time constant in s above which it is probably meant in ms; models without units have 1."""


class RateNetwork(KnownArguments, nn.Module):
    """Leaky units that send rates through plastic projections, and a memory matrix if wanted.

        τ dh/dt   = −h + N[Σ_p W_p (e_p · r) + Σ_k A_k r + input],   r = gain(h)
        dA_k/dt   = −A_k/τ_k + η_k r rᵀ

    with the efficacies e_p (release) of each projection's rule under the rates r, and N a normalisation of the
    whole field. One step is exact for everything linear (leak, relaxation of synapses, decay of the memory) and
    second order for the rest; the input is held during a step.

    Its fixed points are those of τ dr/dt = −r + gain(N[W r + A r + input]), the form in which fast weights in
    continuous time are often written; for N = 1 and a constant input the two are the same dynamics in other
    variables (Miller & Fumarola 2012, Neural Computation 24:25).

    Parameters
    ----------
    projections
        One `Projection` or several, over the same units. Their weights become parameters of the module, trained
        only where they were given as `nn.Parameter` or require a gradient.
    tau
        Membrane time constant in s: a number, `[unit]` or `[batch, unit]`. An `nn.Parameter` is trained, another tensor
        that requires a gradient stays part of its graph; so do `noise` and the parameters of rules, gain and memory.
    gain
        `fwsim.relu`, `fwsim.softplus(alpha)`, `fwsim.tanh`, `fwsim.siegert(...)` or any function of a tensor. Where
        synapses are plastic it must not be negative, as `tanh` can be: a negative rate takes spikes away, and resources
        and release leave [0, 1].
    memory
        `Hebbian` with `eta_rate` in 1/s, or `None`.
    dt
        Step in s.
    normalise
        `"none"`, `"layer"`, `"divisive"`, `"subtractive"`, or one made by `fwsim.layer_norm`, `fwsim.divisive`,
        `fwsim.subtractive` with parameters of its own.
    noise
        Standard deviation that white noise alone gives to h: a number, `[unit]` or `[batch, unit]`.
    self_connections
        Whether the memory keeps its diagonal.
    connected
        Pairs of units that the memory connects, booleans `[post, pre]`; all by default. Between others it neither holds
        nor transmits anything. In a `Projection`, weights of 0 do the same. Such a memory runs in plain torch.
    populations
        Names of populations and their numbers of units, in the order of the units: `{"E": 80, "I": 20}`. Recordings
        then have the coordinate `population`, as those of spiking circuits.
    kernel
        `"reference"` (plain torch), `"native"` (compiled code for CPUs; its gradients can be taken once) or
        `"auto"`; see `plan`.

    Raises
    ------
    ConfigError, ShapeError
        A value is not allowed, or batch sizes or numbers of units differ.

    Examples
    --------
    >>> import fwsim as fw
    >>> synapse = fw.TsodyksMarkram(U=0.2, tau_rec=0.2, tau_facil=1.5)
    >>> net = fw.RateNetwork([fw.Projection([[0.5]], synapse=synapse)], tau=0.01, dt=0.001)
    >>> rate, state = net(torch.ones(1, 100, 1, dtype=torch.float64))
    >>> rate.shape, list(state.variables)
    (torch.Size([1, 100, 1]), ['u', 'x'])
    """

    tau: Tensor
    noise: Tensor
    connected: Tensor | None
    input_axis = "unit"  # what a drive's last axis is called

    def __init__(
        self,
        projections: Projection | Sequence[Projection],
        tau: float | str | Tensor,
        gain: Gain = relu,
        memory: Hebbian | None = None,
        dt: float | str = 1e-4,
        *,
        normalise: str | Normalisation = "none",
        noise: float | Tensor = 0.0,
        self_connections: bool = True,
        connected: Any = None,
        populations: Mapping[str, int] | None = None,
        kernel: str = "auto",
    ) -> None:
        super().__init__()
        choice("kernel", kernel, KERNELS)
        self.kernel = kernel
        self.projections = _projections(projections)
        self.units = self.inputs = self.projections[0].units
        self.populations = None if populations is None else _populations(populations, self.units)
        if not callable(gain):
            raise ConfigError(
                f"gain={gain!r} is not a function; use fwsim.relu, softplus(alpha), tanh, siegert(...)"
            )
        if gain is softplus or gain is siegert:
            raise ConfigError(
                f"gain={gain.__name__} is no gain but makes one; call it: fwsim.{gain.__name__}()"
            )
        truth(self_connections=self_connections)
        self.gain, self.memory = gain, check(memory)
        self.normalise, self.self_connections = normalisation(normalise), self_connections
        self.register_buffer("connected", checked_connections(connected, self.units, self.memory), False)
        dtype = reduce(torch.promote_types, (each.weights.dtype for each in self.projections))
        self.weights = nn.ParameterList(_parameter(each.weights, dtype) for each in self.projections)
        self._keep("tau", self._per_unit("tau", si("tau", tau, "time"), dtype, positive=True))
        unusual("tau", tau, "time", SLOWEST)
        self.dt = checks.seconds("dt", dt, usual=max(COARSEST, float(self.tau.detach().min())))
        self._keep("noise", self._per_unit("noise", si("noise", noise, "voltage"), dtype, positive=False))
        self.batch = self._batch()
        if kernel == "native":
            self.plan()

    def _keep(self, name: str, value: Tensor) -> None:
        """Make a value a parameter of the module if it was given as one, else a buffer."""
        if isinstance(value, nn.Parameter):
            self.register_parameter(name, value)
        else:
            self.register_buffer(name, value)

    def _per_unit(self, name: str, value: float | Tensor, dtype: torch.dtype, *, positive: bool) -> Tensor:
        as_they_are(name, value)
        try:
            tensor = own(value)
            tensor = _parameter(tensor, dtype) if isinstance(tensor, nn.Parameter) else tensor.to(dtype)
        except (TypeError, ValueError, RuntimeError):
            raise ConfigError(
                f"{name}={value!r} is not a number or tensor; give SI numbers, e.g. 8*ms"
            ) from None
        if tensor.ndim > 2 or (tensor.ndim and tensor.shape[-1] not in (1, self.units)):
            raise ShapeError(
                f"{name} has shape {list(tensor.shape)}; expected a number, [unit] or [batch, unit] "
                f"with unit={self.units}"
            )
        seen = tensor.detach()
        good = seen > 0 if positive else seen >= 0
        if not bool((good & seen.isfinite()).all()):
            raise ConfigError(
                f"{name}={value!r} is not allowed; it must be {'above 0' if positive else 'at least 0'}"
            )
        return tensor

    def _batch(self) -> int | None:
        """Return the number of batch elements that parameters are given for, `None` for all alike."""
        sizes = {size for each in self.projections for size in each.batch if size > 1}
        shaped = [self.tau, self.noise, *_tensors(self.gain), *_tensors(self.normalise)]
        sizes |= {value.shape[0] for value in shaped if value.ndim == 2 and value.shape[0] > 1}
        remembered = None if self.memory is None else self.memory.batch
        sizes |= {remembered} if remembered is not None and remembered > 1 else set()
        if len(sizes) > 1:
            raise ShapeError(f"parameters are for {sorted(sizes)} batch elements; give one number for all")
        return sizes.pop() if sizes else None

    def initial_state(self, batch: int) -> State:
        """Fields 0, synapses at rest or in the state of their projection, empty memory."""
        checks.counts(batch=(batch, 0))
        if self.batch not in (None, batch):
            raise ShapeError(
                f"the drive or state has batch {batch}, parameters are for {self.batch}; "
                f"repeat it with drive.expand({self.batch}, -1, -1)"
            )
        return initial(self, batch)

    def stepper(self, dt: float | None = None) -> Stepper:
        """Prepare the network for steps of `dt` seconds (its own by default), with its present parameters.

        Raises
        ------
        ConfigError, ShapeError
            `dt` is no time, or the gain gives something else than a rate for each unit.
        """
        dt = self.dt if dt is None else checks.seconds("dt", dt)
        like = self.weights[0]
        still = [w for w, each in zip(self.weights, self.projections) if each.synapse is None]
        plastic = [
            synapses(each, w, dt)
            for w, each in zip(self.weights, self.projections)
            if each.synapse is not None
        ]
        leak = decay_weights(self.tau, dt)
        return Stepper(
            gain=_rates(_placed(self.gain, like), like, self.units),
            normalise=_placed(self.normalise, like),
            membrane=Weights(leak.keep, leak.first / self.tau, leak.second / self.tau),
            static=sum(still[1:], still[0]) if still else None,
            plastic=tuple(plastic),
            matrix=None
            if self.memory is None
            else matrix(self.memory, dt, self.self_connections, like, self.connected),
        )

    def plan(self) -> RatePlan:
        """Say which kernel a call and `simulate` would use, and why."""
        return plan(self)

    def kicks(self, state: State, steps: int, seed: int) -> Tensor | None:
        """Noise that each of the next steps adds to h, `[time, batch, unit]`; `None` without noise."""
        if not stands_for_others(self.noise) and not bool((self.noise > 0).any()):
            return None
        normal = standard_normal(
            seed, state.step, state.step + steps, tuple(state.hidden.shape), self.weights[0]
        )
        return self.noise * torch.sqrt(-torch.expm1(-2 * self.dt / self.tau)) * normal

    def forward(self, drive: Tensor, state: State | None = None, *, seed: int = 0) -> tuple[Tensor, State]:
        """Run under an input; gradients flow to all parameters.

        Parameters
        ----------
        drive
            `[batch, time, unit]`, each value held for one step: a tensor of the network's dtype; an array, lists, a
            DataArray or a DataFrame are converted, as in `simulate`.
        state
            Where to go on from; `None` starts at rest.
        seed
            Of the noise, which is a function of seed and step.

        Returns
        -------
        rate
            After each step, `[batch, time, unit]`, in Hz where synapses are plastic.
        state
            After the last step.
        """
        check_seed(seed)
        drive = as_input("drive", drive, self.weights[0], self.units, "unit")
        state = (
            self.initial_state(drive.shape[0]) if state is None else self.check_state(state, drive.shape[0])
        )
        now, noise = unpack(self, state), self.kicks(state, drive.shape[1], seed)
        if drive.numel() and self.plan().kernel == "native":
            from fwsim.engine.rate.gradient import run
        else:
            from fwsim.engine.rate.step import run
        with own_precision(drive.device):
            rate, now = run(self.stepper(), now, drive, noise)
        return rate, pack(self, now, state.step + drive.shape[1])

    def observer(self, state: State, steps: int, record: Iterable[str]) -> RateObserver:
        """Return a run that can be recorded; see `fwsim.engine.observer.Observer`."""
        from fwsim.engine.rate.observer import RateObserver

        return RateObserver(self, self.check_state(state, state.hidden.shape[0]), steps, record)

    def recordable(self) -> tuple[str, ...]:
        """Names of the variables that can be recorded."""
        from fwsim.engine.rate.observer import recordable

        return recordable(self)

    def check_state(self, state: State, batch: int) -> State:
        """Raise unless a state fits this network and this batch size."""
        rest = self.initial_state(batch)
        shapes = {name: tuple(value.shape) for name, value in rest.variables.items()}
        memory = None if rest.stored is None else tuple(rest.stored.shape)
        checks.state(state, (batch, self.units), memory=memory, variables=shapes)
        checks.finite("state.hidden", state.hidden)
        return state

    def _repr_html_(self) -> str:
        from fwsim.engine.display import rate_network_html

        return rate_network_html(self)

    def extra_repr(self) -> str:
        """Show what was chosen."""
        rules = ", ".join(
            type(each.synapse).__name__ if each.synapse else "static" for each in self.projections
        )
        return f"units={self.units}, projections=[{rules}], gain={self.gain}, memory={self.memory}, dt={self.dt:g}"


def _populations(given: Any, units: int) -> dict[str, int]:
    if not isinstance(given, Mapping) or not all(isinstance(name, str) and name for name in given):
        raise ConfigError(
            f"populations={given!r} is not allowed; give names and numbers of units, e.g. {{'E': 80, 'I': 20}}"
        )
    for name, size in given.items():
        whole(f"populations[{name!r}]", size, least=1)
    if sum(given.values()) != units:
        raise ShapeError(
            f"populations have {sum(given.values())} units, the network has {units}; name all units"
        )
    return {name: int(size) for name, size in given.items()}


def _projections(given: Any) -> tuple[Projection, ...]:
    projections = tuple(given) if isinstance(given, Iterable) else (given,)
    if not projections or not all(isinstance(each, Projection) for each in projections):
        raise ConfigError(
            "projections must be one fwsim.Projection or several; for none give Projection(zeros)"
        )
    if len({each.units for each in projections}) > 1:
        raise ShapeError(
            f"projections have {[each.units for each in projections]} units; give [post, pre] over all units each"
        )
    placed: dict[str, str] = {}
    for each in projections:
        for name, place in each.places.items():
            if placed.setdefault(name, place) != place:
                raise ConfigError(f"{name} lives at {placed[name]} in one projection and at {place} in another; "
                                  "combine rules whose names differ")  # fmt: skip
    return projections


def _parameter(weights: Tensor, dtype: torch.dtype) -> nn.Parameter:
    if isinstance(weights, nn.Parameter) and weights.dtype == dtype:
        return weights
    return nn.Parameter(weights.detach().to(dtype, copy=True), requires_grad=weights.requires_grad)


def _tensors(value: Any) -> list[Tensor]:
    """Tensor parameters of a gain or a normalisation."""
    if not is_dataclass(value):
        return []
    found = [getattr(value, field.name) for field in fields(value)]
    return [each for each in found if isinstance(each, Tensor)]


def _placed(value: Any, like: Tensor) -> Any:
    """Give a gain or a normalisation with its tensors in the precision and on the device of `like`."""
    if not is_dataclass(value) or isinstance(value, type):
        return value
    moved = {field.name: getattr(value, field.name) for field in fields(value)}
    return replace(value, **{name: each.to(like) for name, each in moved.items() if isinstance(each, Tensor)})


def _rates(gain: Gain, like: Tensor, units: int) -> Gain:
    """Return the gain, after a check that it gives a rate for each unit; a random one draws nothing for it."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        rate = gain(like.new_zeros(1, units))
    if not isinstance(rate, Tensor) or rate.ndim != 2 or rate.shape[-1] != units:
        given = list(rate.shape) if isinstance(rate, Tensor) else type_of(rate)
        raise ShapeError(
            f"gain gives {given} for fields [1, {units}]; give a function that makes rates [batch, unit] of fields "
            "[batch, unit]"
        )
    return gain
