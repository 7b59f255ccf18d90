"""Recurrent networks with which fast weights are compared, with one interface."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear

from fwsim.engine import checks
from fwsim.engine.inputs import as_input
from fwsim.engine.network import FastWeightNetwork
from fwsim.engine.observer import Block, Observer, at, locate
from fwsim.engine.state import State
from fwsim.engine.transforms import transformed
from fwsim.errors import choice, instance
from fwsim.names import KnownArguments, known_arguments
from fwsim.recording.schema import BY_UNIT, Variable
from fwsim.rules.memory_rule import MemoryRule


class Control(KnownArguments, nn.Module, ABC):
    """A recurrent network with the interface of `FastWeightNetwork`, whose hidden states can be recorded.

    Parameters
    ----------
    inputs, units
        Numbers of input channels and hidden units.
    dt
        Length of a time step in s.
    """

    def __init__(self, inputs: int, units: int, dt: float | str = 1.0) -> None:
        super().__init__()
        checks.counts(inputs=(inputs, 1), units=(units, 1))
        self.inputs, self.units, self.dt = inputs, units, checks.seconds("dt", dt, usual=checks.COARSEST)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run a sequence `[batch, time, input]` → hidden `[batch, time, unit]`, and the state after it."""
        x = as_input("x", x, next(self.parameters()), self.inputs, "input")
        state = self.initial_state(x.shape[0]) if state is None else self.check_state(state, x.shape[0])
        return self.run(x, state) if x.shape[1] else (x.new_zeros(x.shape[0], 0, self.units), state)

    @abstractmethod
    def run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Like `forward`, from a given state, without checks, for at least one step."""

    def initial_state(self, batch: int) -> State:
        """Rest: hidden state 0."""
        return State(next(self.parameters()).new_zeros(batch, self.units))

    def check_state(self, state: State, batch: int) -> State:
        """Raise unless a state fits this network and this batch size."""
        rest = self.initial_state(batch)
        variables = {name: tuple(value.shape) for name, value in rest.variables.items()}
        checks.state(state, (batch, self.units), variables=variables)
        checks.alike("state.hidden", state.hidden, rest.hidden)
        return state

    def observer(self, state: State, steps: int, record: Iterable[str]) -> Observer:
        """Return a run that can be recorded; see `Observer`."""
        return ControlObserver(self, self.check_state(state, len(state.hidden)), steps)

    def recordable(self) -> tuple[str, ...]:
        """Names of the variables that can be recorded."""
        return ("hidden",)

    def options(self) -> dict[str, Any]:
        """Settings of the network besides its sizes, as plain data."""
        return {}


class GatedControl(Control):
    """A network whose state has a cell `[batch, unit]` in addition to the hidden units."""

    def initial_state(self, batch: int) -> State:
        """Rest: hidden state and cell 0."""
        zero = next(self.parameters()).new_zeros(batch, self.units)
        return self.state(zero, zero, 0)

    def state(self, hidden: Tensor, cell: Tensor, step: int) -> State:
        """Return the state with this hidden state and this cell, both `[batch, unit]`."""
        return State(hidden, step=step, variables={"cell": cell})


class LSTM(GatedControl):
    """Long short-term memory (Hochreiter & Schmidhuber 1997); parameters as in `Control`."""

    def __init__(self, inputs: int, units: int, dt: float = 1.0) -> None:
        super().__init__(inputs, units, dt)
        self.lstm = nn.LSTM(inputs, units, batch_first=True)

    def run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Control.run`."""
        if transformed():
            return self._plain(x, state)
        before = state.hidden[None].contiguous(), state.variables["cell"][None].contiguous()
        hidden, (last, cell) = self.lstm(x, before)
        return hidden, self.state(last[0], cell[0], state.step + x.shape[1])

    def _plain(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The same, computed step by step: torch's own does not support vmap."""
        hidden, cell, states = state.hidden, state.variables["cell"], []
        from_input, from_hidden, *biases = (weight for _, weight in self.lstm.named_parameters())
        for drive in linear(x, from_input, biases[0] + biases[1]).unbind(1):
            take, forget, new, read = (drive + hidden @ from_hidden.T).chunk(4, dim=1)
            cell = forget.sigmoid() * cell + take.sigmoid() * new.tanh()
            hidden = read.sigmoid() * cell.tanh()
            states.append(hidden)
        return torch.stack(states, dim=1), self.state(hidden, cell, state.step + x.shape[1])


class LayerNormLSTM(GatedControl):
    """Long short-term memory with layer normalisation; parameters as in `Control`.

        [f, i, o, g] = LN(W_h h(t)) + LN(W_x x(t+1)) + b
        c(t+1)       = σ(f) c(t) + σ(i) tanh(g)
        h(t+1)       = σ(o) tanh(LN(c(t+1)))

    Every LN has its own gain and bias, except the first two, whose biases would be the same as b.

    Source: Ba, Kiros & Hinton 2016 (arXiv 1607.06450), supplementary eqs. 20–22.
    """

    def __init__(self, inputs: int, units: int, dt: float = 1.0) -> None:
        super().__init__(inputs, units, dt)
        self.from_hidden, self.from_input = (
            nn.Linear(size, 4 * units, bias=False) for size in (units, inputs)
        )
        self.bias = nn.Parameter(torch.zeros(4 * units))
        self.hidden_gain, self.input_gain = (nn.Parameter(torch.ones(4 * units)) for _ in range(2))
        self.cell_norm = nn.LayerNorm(units)
        for weight in (self.from_hidden.weight, self.from_input.weight):
            nn.init.uniform_(weight, -1 / math.sqrt(units), 1 / math.sqrt(units))

    def run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Control.run`."""
        hidden, cell = state.hidden, state.variables["cell"]
        sizes = (4 * self.units,)
        # Everything that does not depend on the state is computed for all steps at once, since the loop takes most
        # time.
        driven = layer_norm(self.from_input(x), sizes, self.input_gain, self.bias).unbind(1)
        recurrent, states = self.from_hidden.weight.T, []
        for drive in driven:
            gates = drive + layer_norm(hidden @ recurrent, sizes, self.hidden_gain)
            opened, new = gates[:, : 3 * self.units].sigmoid(), gates[:, 3 * self.units :].tanh()
            forget, write, read = opened.chunk(3, dim=1)
            cell = forget * cell + write * new
            hidden = read * self.cell_norm(cell).tanh()
            states.append(hidden)
        return torch.stack(states, dim=1), self.state(hidden, cell, state.step + x.shape[1])


class DeepTransitionRNN(Control):
    """A plain recurrent network with the same number of nonlinear stages per step as fast weights.

        z       = W h(t) + C x(t+1) + b
        h_0     = f(z)
        h_{s+1} = f(N[z + V_s h_s]),   s = 0 … S−1
        h(t+1)  = h_S

    This is the fast-weight network with a trained matrix V_s for each iteration instead of its memory A(t). It is
    equally deep, with S N² more trained weights, and writes nothing while it runs. N is layer normalisation
    or nothing, f = ReLU; W starts at `identity_scale` times the identity, the others uniform in ±1/√N.

    Source: Orhan 2017 for depth as the control that Ba et al. 2016 lack. Networks of this form are the deep transition
    RNNs of Pascanu, Gulcehre, Cho & Bengio 2014 (arXiv 1312.6026), section 3.3, with z as their shortcut.

    Parameters
    ----------
    inputs, units, dt
        As in `Control`.
    inner_steps
        S ≥ 0; 0 is an ordinary recurrent network.
    normalise
        `"inner"`: layer normalisation, with one gain and bias for all stages, as in fast weights; `"none"`.
    identity_scale
        Initial value of W, as a multiple of the identity.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        inner_steps: int = 1,
        dt: float | str = 1.0,
        *,
        normalise: str = "none",
        identity_scale: float = 0.05,
    ) -> None:
        super().__init__(inputs, units, dt)
        checks.counts(inner_steps=(inner_steps, 0))
        choice("normalise", normalise, ("inner", "none"))
        self.inner_steps, self.normalise = inner_steps, normalise
        bound = 1 / math.sqrt(units)
        self.W = nn.Parameter(identity_scale * torch.eye(units))
        self.C = nn.Parameter(torch.empty(units, inputs).uniform_(-bound, bound))
        self.b = nn.Parameter(torch.zeros(units))
        self.V = nn.Parameter(torch.empty(inner_steps, units, units).uniform_(-bound, bound))
        self.norm = nn.LayerNorm(units) if normalise == "inner" and inner_steps else nn.Identity()

    def run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Control.run`."""
        hidden, states = state.hidden, []
        stages = self.V.transpose(1, 2).unbind()
        for drive in linear(x, self.C, self.b).unbind(1):
            sustained = torch.addmm(drive, hidden, self.W.T)
            hidden = sustained.relu()
            for V in stages:
                hidden = self.norm(torch.addmm(sustained, hidden, V)).relu()
            states.append(hidden)
        return torch.stack(states, dim=1), State(hidden, None, state.step + x.shape[1])

    def options(self) -> dict[str, Any]:
        """See `Control.options`."""
        return {"inner_steps": self.inner_steps, "normalise": self.normalise}


class ControlObserver(Observer):
    """A run of a control; see `Observer`."""

    def __init__(self, net: Control, state: State, steps: int) -> None:
        self.net, self.state, self.steps = net, state, steps
        self._first = state.step

    def sizes(self) -> dict[str, int]:
        """Dimension → size of the run."""
        return {"trial": self.state.hidden.shape[0], "unit": self.net.units}

    def variables(self) -> dict[str, Variable]:
        """Meaning of the cell of gated networks."""
        return {"cell": Variable(BY_UNIT, "1", "cell")} if "cell" in self.state.variables else {}

    def configuration(self) -> dict[str, Any]:
        """Settings of the network, as plain data."""
        net = self.net
        sizes = {"inputs": net.inputs, "units": net.units, "dt": net.dt}
        return {"network": type(net).__name__, **sizes, **net.options()}

    def block(self) -> int:
        """Number of steps in a block, for a fixed amount of memory."""
        return max(1, min(self.steps, 4_000_000 // max(1, 5 * self.net.units * self.state.hidden.shape[0])))

    def advance(self, x: Tensor, wanted: Mapping[str, range]) -> Block:
        """Run one block; see `Observer.advance`."""
        done = self.state.step - self._first
        hidden, self.state = self.net(x, self.state)
        samples = {name: at(hidden, steps) for name, steps in wanted.items()}
        located = partial(locate, hidden, done, "take smaller weights or inputs")
        return Block(samples, hidden.sum().isfinite(), located, x.shape[1], self.checkpoint())

    def final(self) -> dict[str, np.ndarray | int]:
        """Return the hidden state `[trial, unit]`, the number of steps, and the rest of the state."""
        carried = {name: value.cpu().numpy() for name, value in self.state.variables.items()}
        return {"hidden": self.state.hidden.cpu().numpy(), "step": self.state.step, **carried}


Core = FastWeightNetwork | Control


def _without_memory(options: dict[str, Any]) -> dict[str, Any]:
    """Options of a network, but those that are about its memory."""
    return {name: value for name, value in options.items() if name not in ("pre", "read", "gates")}


def _only(options: dict[str, Any], *names: str) -> dict[str, Any]:
    """Those options that a control has too."""
    return {name: value for name, value in options.items() if name in names}


CORES: dict[str, Callable[..., Core]] = {
    "fast_weights": FastWeightNetwork,
    # η = 0 at the same S and normalisation: this is RNN + LN.
    "no_memory": lambda inputs, units, memory, **options: FastWeightNetwork(
        inputs, units, None, **_without_memory(options)
    ),
    # Removes memory, normalisation and one nonlinearity at once.
    "no_inner_loop": lambda inputs, units, memory, inner_steps, **options: FastWeightNetwork(
        inputs, units, None, 0, **_without_memory(options)
    ),
    # Le, Jaitly & Hinton 2015: a ReLU network that starts as the identity.
    "irnn": lambda inputs, units, memory, inner_steps, **options: FastWeightNetwork(
        inputs, units, None, 0, **{**_without_memory(options), "identity_scale": 1.0}
    ),
    "lstm": lambda inputs, units, memory, inner_steps, **options: LSTM(inputs, units, **_only(options, "dt")),
    "layer_norm_lstm": lambda inputs, units, memory, inner_steps, **options: LayerNormLSTM(
        inputs, units, **_only(options, "dt")
    ),
    # Depth without memory and without normalisation, and with it.
    "deep_rnn": lambda inputs, units, memory, inner_steps, **options: DeepTransitionRNN(
        inputs, units, inner_steps, **_only(options, "dt", "identity_scale")
    ),
    "layer_norm_deep_rnn": lambda inputs, units, memory, inner_steps, **options: DeepTransitionRNN(
        inputs, units, inner_steps, normalise="inner", **_only(options, "dt", "identity_scale")
    ),
}


def core(
    model: str, inputs: int, units: int, memory: MemoryRule, inner_steps: int = 1, **options: Any
) -> Core:
    """Make fast weights or one of their controls, of the same size.

    Parameters
    ----------
    model
        `"fast_weights"`; `"no_memory"` (RNN + LN); `"no_inner_loop"`; `"irnn"`; `"lstm"`; `"layer_norm_lstm"`;
        `"deep_rnn"` (as many nonlinear stages per step) and `"layer_norm_deep_rnn"`.
    inputs, units, memory, inner_steps, options
        As in `FastWeightNetwork`; a control ignores those that it does not have, and those that its name decides:
        `normalise` of the deep networks, `identity_scale` of `"irnn"`.
    """
    choice("model", model, tuple(CORES))
    return CORES[model](inputs, units, memory, inner_steps=inner_steps, **options)


@known_arguments
def parameter_count(model: nn.Module) -> int:
    """Return the number of trained parameters."""
    instance("model", model, nn.Module, "a torch module")
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
