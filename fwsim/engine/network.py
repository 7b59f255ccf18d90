"""The recurrent network with fast weights of Ba et al. 2016."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fwsim.engine import checks, storing
from fwsim.engine.cell import ACTIVATIONS, NORMALISATIONS, WRITES, Cell
from fwsim.engine.drive import Drive
from fwsim.engine.inputs import as_input, as_numbers, as_pattern
from fwsim.engine.kernels import load
from fwsim.engine.memory_parameters import HoldsMemory
from fwsim.engine.observation import FastWeightObserver
from fwsim.engine.planner import FORMS, KERNELS, Plan, home, plan
from fwsim.engine.precision import own_precision
from fwsim.engine.state import State
from fwsim.engine.trace import Trace
from fwsim.engine.trajectory import Trajectory
from fwsim.engine.wiring import BIAS, check_iterations, wiring
from fwsim.errors import ConfigError, ShapeError, choice, number, truth, type_of
from fwsim.names import KnownArguments
from fwsim.rules.memory_rule import MemoryRule


class FastWeightNetwork(KnownArguments, HoldsMemory):
    """A recurrent network whose memory matrix is written by its own states and read by an inner loop.

    Step t → t+1 with input x, hidden state h, memory A (A(0) = 0, h(0) = 0):

        z       = W h(t) + C x(t+1) + b
        h_0     = f(z)
        h_{s+1} = f(LN[z + A(t) h_s]),   s = 0 … S−1
        h(t+1)  = h_S
        A(t+1)  = λ A(t) + η h(t+1) h(t+1)ᵀ

    Source: Ba, Hinton, Mnih, Leibo & Ionescu 2016 (arXiv 1610.06258), eq. 1–2 and section 3.

    Parameters
    ----------
    inputs, units
        Numbers of input channels and of hidden units N.
    memory
        The memory rule, e.g. `Hebbian.from_decay(0.95, eta=0.5)`; `None` is the no-memory control, which keeps
        the inner loop and its normalisation.
    inner_steps
        S ≥ 0, iterations of the inner loop. 0 leaves out memory and normalisation altogether. A call may have another
        number: `net(x, inner_steps=8)`.
    dt
        Length of a time step in s.
    activation
        f: `"relu"`, `"tanh"`, or `"sign"` (no gradient passes).
    normalise
        `"inner"`: layer normalisation of the whole sum in each iteration; `"none"`; `"all"`: of h_0 as well.
    write
        `"final"`: h(t+1) is written at the end of its step. `"before"`: h(t), the state a step starts from,
        is written before the loop reads; the memory after a run then lacks its last state.
    self_connections
        Whether A keeps its diagonal.
    identity_scale
        W starts as this times the identity.
    pre
        Presynaptic side p of the memory. It is read as A p and written as h(t+1) pᵀ. `"units"`: the state of the inner
        loop, as above. `"inputs"`: x(t+1). `"previous"`: h(t), the state before the step. Several, `("inputs",
        "previous")`, are joined in this order. Without `"units"`, there is at most one inner iteration.
    read
        `"additive"`: the memory's answer is A p. `"multiplicative"`: the memory scales the static weights of the same
        connections (C for inputs, W otherwise), and its answer is (W ⊙ A) p.
    gates
        Factors in (0, 1) that the network computes in each step from x(t+1) and h(t), one number for each trial:
        `"keep"` multiplies what is left of the memory, `"store"` the strength of the write. The methods `write` and
        `store` use gates of 1.
    learn
        Names of the memory's parameters to train: `("tau", "eta")`. Positive ones are trained as logarithms, which
        keeps them positive. A strength (`eta`, `eta_rate`) with a value of 0 or below is trained as it is.
        `{"tau": "log", "eta": "signed"}` says how: a strength that is trained as it is may change its sign.
    form
        `"dense"` keeps A as a matrix, `"attention"` keeps the past states, `"hybrid"` merges past states into
        the matrix in chunks; `"auto"` lets the planner choose.
    kernel
        `"reference"` (plain torch), `"native"` (compiled for the CPU), `"triton"` (for a GPU) or `"auto"`.

    Attributes
    ----------
    W, C, b
        `[unit, unit]`, `[unit, input]`, `[unit]`.
    gain, bias
        Of the layer normalisation, `[unit]`.
    gate_weights, gate_bias
        `[gate, input + unit]` and `[gate]`, if there are gates: sigmoid(gate_weights [x(t+1); h(t)] + gate_bias).
    wiring
        The options `pre`, `read` and `gates`.

    Examples
    --------
    >>> from fwsim.rules import Hebbian
    >>> net = FastWeightNetwork(inputs=3, units=8, memory=Hebbian.from_decay(0.95, eta=0.5))
    >>> hidden, state = net(torch.randn(2, 5, 3))
    >>> hidden.shape, state.memory.shape
    (torch.Size([2, 5, 8]), torch.Size([2, 1, 8, 8]))
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        memory: MemoryRule | None = None,
        inner_steps: int = 1,
        dt: float | str = 1.0,
        *,
        activation: str = "relu",
        normalise: str = "inner",
        write: str = "final",
        self_connections: bool = True,
        identity_scale: float = 0.05,
        pre: str | Sequence[str] = "units",
        read: str = "additive",
        gates: str | Sequence[str] = (),
        learn: Sequence[str] | Mapping[str, str] = (),
        form: str = "auto",
        kernel: str = "auto",
    ) -> None:
        super().__init__()
        checks.counts(inputs=(inputs, 1), units=(units, 1), inner_steps=(inner_steps, 0))
        dt = checks.seconds("dt", dt, usual=checks.COARSEST)
        number("identity_scale", identity_scale)
        truth(self_connections=self_connections)
        if memory is not None and not isinstance(memory, MemoryRule):
            raise ConfigError(
                f"memory is {type_of(memory)}; give a memory rule such as Hebbian, "
                "or an associative rule's reduced()"
            )
        choice("activation", activation, tuple(ACTIVATIONS))
        choice("normalise", normalise, NORMALISATIONS)
        choice("write", write, WRITES)
        choice("form", form, FORMS)
        choice("kernel", kernel, KERNELS)
        self.wiring = wiring(
            pre, read, gates, write=write, self_connections=self_connections, inner_steps=inner_steps
        )
        if memory is None and self.wiring.special:
            raise ConfigError(f"{self.wiring.special} with memory=None has no meaning; give a memory rule")
        self.inputs, self.units, self.inner_steps, self.dt = inputs, units, inner_steps, dt
        self.activation, self.normalise, self.write_order = activation, normalise, write
        self.self_connections, self.form, self.kernel = self_connections, form, kernel

        bound = 1 / math.sqrt(units)
        self.W = nn.Parameter(identity_scale * torch.eye(units))
        self.C = nn.Parameter(torch.empty(units, inputs).uniform_(-bound, bound))
        self.b = nn.Parameter(torch.zeros(units))
        self.gain = nn.Parameter(torch.ones(units))
        self.bias = nn.Parameter(torch.zeros(units))
        self._register_gates(bound)
        if memory is not None:
            self._check_sizes(memory)
        self._hold(memory, learn)
        asked = "reference" if kernel == "auto" else kernel  # the choice may load a compiler, and can wait
        plan(
            memory,
            form=form,
            kernel=asked,
            batch=1,
            time=1,
            units=units,
            inner_steps=inner_steps,
            wiring=self.wiring,
            device=home(kernel),
        )

    def _register_gates(self, bound: float) -> None:
        """Hold weights of the gates; none, so that a network without gates has the parameters it always had."""
        gates = self.wiring.gates
        self.gate_weights: nn.Parameter | None = None
        self.gate_bias: nn.Parameter | None = None
        if gates:
            weights = torch.empty(len(gates), self.inputs + self.units).uniform_(-bound, bound)
            self.gate_weights = nn.Parameter(weights)
            self.gate_bias = nn.Parameter(torch.tensor([BIAS[name] for name in gates]))

    def _check_sizes(self, memory: MemoryRule) -> None:
        """Raise unless parameters by neuron or synapse are for as many as there are."""
        there = {"post": self.units, "pre": self.wiring.width(self.inputs, self.units)}
        for (axis, channels), given in zip(there.items(), memory.sizes):
            if given not in (1, channels):
                raise ShapeError(
                    f"the memory's parameters are for {given} values of {axis!r}, the network has {channels}; "
                    "give as many, or 1"
                )

    def cell(self, inner_steps: int | None = None) -> Cell:
        """Return the parameters and conventions of one step, with the network's own number of iterations or another."""
        return Cell(
            self.W,
            self.gain,
            self.bias,
            self.inner_steps if inner_steps is None else inner_steps,
            self.activation,
            self.normalise,
            self.write_order,
            self.wiring,
            self.gate_weights,
            self.gate_bias,
        )

    def plan(
        self, batch: int, time: int, past: int = 0, *, inner_steps: int | Sequence[int] | None = None
    ) -> Plan:
        """Say which form and kernel a run of these sizes would use, and why.

        `past` counts the states that were written before and are not yet merged into a matrix; `inner_steps` is as in
        `forward`. The planner reckons with their mean over the steps. Sizes may be 0: of a run without trials or steps.
        """
        checks.counts(batch=(batch, 0), time=(time, 0), past=(past, 0))
        return self._plan(batch, time, past, self.iterations(inner_steps))

    def iterations(self, inner_steps: int | Sequence[int] | None) -> tuple[int, int]:
        """Numbers of iterations before the last step of a run and at it; see `forward`."""
        numbers = checks.iterations(inner_steps, self.inner_steps)
        check_iterations(self.wiring, *numbers)
        return numbers

    def _plan(self, batch: int, time: int, past: int, iterations: tuple[int, int]) -> Plan:
        (storing, last), W = iterations, self.W
        return plan(
            self._given_memory,
            form=self.form,
            kernel=self.kernel,
            batch=batch,
            time=time,
            units=self.units,
            inner_steps=storing + (last - storing) / max(1, time),
            past=past,
            wiring=self.wiring,
            dtype=W.dtype,
            device=W.device.type,
        )

    def initial_state(self, batch: int) -> State:
        """Rest: h(0) = 0, A(0) = 0."""
        checks.counts(batch=(batch, 0))
        return State(*self._rest(batch))

    def _rest(self, batch: int) -> tuple[Tensor, Trace | None]:
        """Hidden state and memory at rest."""
        hidden = self.W.new_zeros(batch, self.units)
        rule = self.memory
        if rule is None:
            return hidden, None
        nothing = hidden.new_empty(batch, 0, self.units)
        return hidden, Trace(rule, self.dt, None, nothing, self.self_connections, self._sources())

    def _sources(self) -> int | None:
        """Number of presynaptic channels where these are not the units; see `Trace`."""
        return None if self.wiring.pre == ("units",) else self.wiring.width(self.inputs, self.units)

    def forward(
        self, x: Tensor, state: State | None = None, *, inner_steps: int | Sequence[int] | None = None
    ) -> tuple[Tensor, State]:
        """Run a sequence.

        Parameters
        ----------
        x
            `[batch, time, input]`, a tensor of the network's dtype; an array, lists, a DataArray or a DataFrame are
            converted, as in `simulate`.
        state
            Where to go on from; `None` starts at rest.
        inner_steps
            Iterations of the inner loop in this call: one number S ≥ 0, or two, `(1, 8)`: the first in all steps but
            the last, while the network stores, and the second in the last step, the query. `None` is the network's own
            number.

        Returns
        -------
        hidden
            `[batch, time, unit]`.
        state
            After the last step. Its memory may be kept as the very states in `hidden`, which therefore must not be
            changed in place.
        """
        run, state = self.run(x, state, inner_steps=inner_steps)
        return run.hidden, state

    def run(
        self,
        x: Tensor,
        state: State | None = None,
        *,
        inner: bool = False,
        plan: Plan | None = None,
        inner_steps: int | Sequence[int] | None = None,
    ) -> tuple[Trajectory, State]:
        """Like `forward`, with the inner states `[batch, time, iteration, unit]` on request, and a plan made before.

        Where the last step has another number of iterations, inner states are NaN beyond the number of their step.
        """
        x = self._input(x)
        iterations = self.iterations(inner_steps)
        if state is None:
            (hidden, trace), before = self._rest(x.shape[0]), 0
        else:
            trace = self.trace(self._check_state(state, x.shape[0]))
            hidden, before = state.hidden, state.step
        past = 0 if trace is None else trace.history.shape[1]
        chosen = plan or self._plan(x.shape[0], x.shape[1], past, iterations)
        storing, last = iterations
        if storing == last or x.shape[1] < 2:
            result = self._steps(x, hidden, trace, last, chosen, inner)
        else:
            stored = self._steps(x[:, :-1], hidden, trace, storing, chosen, inner)
            result = stored.followed_by(
                self._steps(x[:, -1:], stored.hidden[:, -1], stored.trace, last, chosen, inner)
            )
        # The state copies it, so that neither the output nor the state changes when the other is changed in place.
        hidden = result.hidden[:, -1] if x.shape[1] else hidden
        return result, State(hidden, result.trace, before + x.shape[1])

    def _steps(
        self, x: Tensor, hidden: Tensor, trace: Trace | None, inner_steps: int, plan: Plan, inner: bool
    ) -> Trajectory:
        """Run steps that all have the same number of iterations."""
        drive = Drive(x, self.C, self.b)
        with own_precision(x.device):
            return load(plan.kernel).run(
                self.cell(inner_steps), drive, hidden, trace, chunk=plan.chunk, inner=inner
            )

    def before_step(self, x: Tensor, state: State) -> Trace | None:
        """Return the memory that a step from `state` with input `x [batch, input]` reads; raise unless both fit."""
        self._input(x[:, None])
        trace = self.trace(self._check_state(state, len(x)))
        return trace.written(state.hidden) if trace is not None and self.write_order == "before" else trace

    def pairs_written(
        self, trace: Trace, x: Tensor, before: Tensor, hidden: Tensor, stop: int
    ) -> Iterator[Trace]:
        """Memory after each of the first steps of a run, from its inputs and states.

        Parameters
        ----------
        trace
            The memory before the run.
        x, hidden
            `[batch, time, input]` and `[batch, time, unit]` of the run.
        before
            The state before it, `[batch, unit]`.
        stop
            Number of steps.
        """
        cell, previous = self.cell(), before
        for given, state in zip(x[:, :stop].unbind(1), hidden[:, :stop].unbind(1)):
            post = previous if self.write_order == "before" else state
            pre = self.wiring.presynaptic(given, previous, post)
            trace = trace.stored(pre, post, **cell.gates(given, previous))
            previous = state
            yield trace

    def observer(
        self,
        state: State,
        steps: int,
        record: Iterable[str],
        inner_steps: int | Sequence[int] | None = None,
    ) -> FastWeightObserver:
        """Return a run that can be recorded; see `fwsim.engine.observer.Observer`, and `forward` for `inner_steps`."""
        return FastWeightObserver(self, self._check_state(state), steps, record, inner_steps)

    def recordable(self) -> tuple[str, ...]:
        """Names of the variables that can be recorded."""
        return FastWeightObserver.recordable(self)

    def write(self, state: State, pattern: Tensor, pre: Tensor | None = None) -> State:
        """Store a pattern without running the network; time moves on by one step.

        Parameters
        ----------
        state
            The state to write into; its hidden state is kept.
        pattern
            `[batch, unit]`; several at once are for `store`.
        pre
            Presynaptic side of the pattern, `[batch, pre]`: the channels that `pre` of the network names, in its
            order. The pattern itself by default, which only a memory with as many pre- as postsynaptic channels allows.
        """
        state = self._check_state(state)
        pattern = as_pattern("pattern", pattern, len(state.hidden), self.W)
        if pre is not None and not isinstance(pre, Tensor):
            pre = as_numbers("pre", pre, "[batch, pre]")
        if pre is not None and getattr(pre, "ndim", 0) != 2:
            raise ShapeError(
                f"pre has shape {list(getattr(pre, 'shape', []))}; give a tensor or an array [batch, pre]"
            )
        return storing.store(self, state, pattern[:, None], None if pre is None else pre[:, None])

    def store(self, state: State, patterns: Tensor, pre: Tensor | None = None) -> State:
        """Store patterns one after the other, a step each, without running the network: as `write` does, at once.

        Parameters
        ----------
        state
            The state to write into; its hidden state is kept.
        patterns
            `[batch, time, unit]`, the first one first.
        pre
            Presynaptic sides `[batch, time, pre]`; see `write`.
        """
        state = self._check_state(state)
        patterns = as_input("patterns", patterns, self.W, self.units, "unit")
        if len(patterns) != len(state.hidden):
            raise ShapeError(
                f"patterns have batch {len(patterns)}, the state {len(state.hidden)}; give as many"
            )
        return storing.store(self, state, patterns, pre)

    def recall(
        self, state: State, cue: Tensor, steps: int = 20, *, sustained: Tensor | None = None
    ) -> tuple[State, Tensor]:
        """Run the inner loop alone from a cue, with the memory held fixed.

        Each iteration reads the memory with the state of the one before; plastic inputs are 0.

        Parameters
        ----------
        state
            Whose memory is read.
        cue
            h_0, `[batch, unit]`.
        steps
            Number of iterations.
        sustained
            The input z that acts throughout, `[batch, unit]`; nothing by default.

        Returns
        -------
        state
            With the hidden state that was reached; memory and step are unchanged.
        path
            `[batch, iteration, unit]`, `steps + 1` states from the cue on.
        """
        checks.counts(steps=(steps, 0))
        state = self._check_state(state)
        cue = as_pattern("cue", cue, len(state.hidden), self.W)
        sustained = cue.new_zeros(cue.shape) if sustained is None else sustained
        sustained = as_pattern("sustained", sustained, len(cue), self.W)
        if self.wiring.pre == ("inputs",):
            raise ConfigError(
                "recall needs a memory that states read, not one with pre='inputs'; run the network"
            )
        trace = self.trace(state)
        read = None
        if trace is not None:
            trace = trace.merged() if steps > 1 else trace
            iterated = self.wiring.of_states()
            silent = cue.new_zeros(len(cue), self.inputs)
            read = iterated.reading(trace.reader(iterated.static(self.W, self.C)), silent, cue)
        with own_precision(cue.device):
            path = self.cell(steps).settle(sustained, cue, read)
        return State(path[-1], state.stored, state.step), torch.stack(path, dim=1)

    def trace(self, state: State) -> Trace | None:
        """Return the state's memory as a trace of this network's rule."""
        rule = self.memory
        if rule is None:
            return None
        stored, empty = state.stored, state.hidden[:, None][:, :0]
        if isinstance(stored, Trace):
            alike = stored.self_connections == self.self_connections and stored.sources == self._sources()
            dense = rule.dense_only is not None or self.wiring.special is not None
            if alike and _same(stored, rule, self.dt) and not (dense and stored.history.shape[1]):
                return stored
            stored = stored.memory()
        trace = Trace(rule, self.dt, stored, empty, self.self_connections, self._sources())
        return trace if stored is None else trace.masked()

    def _input(self, given: Any) -> Tensor:
        """Return an input as a tensor, if it fits."""
        x = as_input("x", given, self.W, self.inputs, "input")
        self._check_batch("x", x.shape[0])
        return x

    def _check_batch(self, name: str, batch: int) -> None:
        needed = None if self._given_memory is None else self._given_memory.batch
        if needed not in (None, 1, batch):
            raise ShapeError(
                f"{name} has batch {batch}, the memory's parameters are for {needed} batch elements; give as many"
            )

    def _check_state(self, state: State, batch: int | None = None) -> State:
        """Raise unless a state fits this network, and the batch size where there is an input."""
        batch = len(state.hidden) if batch is None and isinstance(state, State) else batch or 0
        memory = self._given_memory
        pre = self.wiring.width(self.inputs, self.units)
        sizes = None if memory is None else (batch, memory.timescales, self.units, pre)
        checks.state(state, (batch, self.units), memory=sizes)
        checks.pattern("state.hidden", state.hidden, batch, self.W)
        self._check_batch("the state", batch)
        stored = state.stored
        if isinstance(stored, Tensor):
            checks.finite("state.memory", stored)
        if stored is not None:
            checks.alike("state.memory", stored if isinstance(stored, Tensor) else stored.history, self.W)
        return state

    def _repr_html_(self) -> str:
        from fwsim.engine.display import fast_weight_html

        return fast_weight_html(self)

    def extra_repr(self) -> str:
        """Show what was chosen."""
        options = self.wiring.described() if self.wiring.special else {}
        wired = "".join(f", {name}={value!r}" for name, value in options.items())
        return f"inputs={self.inputs}, units={self.units}, memory={self.memory}, inner_steps={self.inner_steps}{wired}"


def _same(trace: Trace, rule: MemoryRule, dt: float) -> bool:
    """Whether a trace was written by this very rule (the same parameter tensors)."""
    ours, theirs = rule.values(), trace.rule.values()
    return (
        trace.dt == dt
        and rule.options() == trace.rule.options()
        and ours.keys() == theirs.keys()
        and all(ours[name] is theirs[name] for name in ours)
    )
