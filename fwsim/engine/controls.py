"""Networks that fast weights are compared with, under one interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from fwsim.engine.network import FastWeightNetwork
from fwsim.engine.observer import Observer
from fwsim.engine.state import State
from fwsim.errors import ConfigError, choice
from fwsim.rules.memory import MemoryRule


class LSTM(nn.Module):
    """Long short-term memory (Hochreiter & Schmidhuber 1997) with the interface of `FastWeightNetwork`.

    Parameters
    ----------
    inputs, units
        Numbers of input channels and hidden units.
    dt
        Seconds a step.
    """

    def __init__(self, inputs: int, units: int, dt: float = 1.0) -> None:
        super().__init__()
        self.inputs, self.units, self.dt = inputs, units, dt
        self.lstm = nn.LSTM(inputs, units, batch_first=True)

    def initial_state(self, batch: int) -> State:
        """Rest: hidden state and cell are 0."""
        zero = next(self.parameters()).new_zeros(batch, self.units)
        return State(zero, zero)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run a sequence `[batch, time, input]` → hidden `[batch, time, unit]` and the state, its memory the cell."""
        state = self.initial_state(x.shape[0]) if state is None else state
        if not isinstance(state.stored, Tensor):
            raise ConfigError(
                "the state of an LSTM has its cell as memory; use initial_state or a state it returned"
            )
        hidden, (last, cell) = self.lstm(
            x, (state.hidden[None].contiguous(), state.stored[None].contiguous())
        )
        return hidden, State(last[0], cell[0], state.step + x.shape[1])

    def observer(self, state: State, steps: int, record: Iterable[str]) -> Observer:
        """Return a run that can be recorded; see `Observer`."""
        return LSTMObserver(self, state, steps)

    def recordable(self) -> tuple[str, ...]:
        """Names of the variables that can be recorded."""
        return ("hidden",)


class LSTMObserver(Observer):
    """A run of an `LSTM`; see `Observer`."""

    def __init__(self, net: LSTM, state: State, steps: int) -> None:
        self.net, self.state, self.steps = net, state, steps

    def sizes(self) -> dict[str, int]:
        """Dimension → size of the run."""
        return {"trial": self.state.hidden.shape[0], "unit": self.net.units}

    def configuration(self) -> dict[str, Any]:
        """What the network was made from, as plain data."""
        return {"network": "LSTM", "inputs": self.net.inputs, "units": self.net.units, "dt": self.net.dt}

    def block(self) -> int:
        """Steps that a block may have to stay within a fixed amount of memory."""
        return max(1, min(self.steps, 4_000_000 // max(1, 5 * self.net.units * self.state.hidden.shape[0])))

    def advance(self, x: Tensor, wanted: Mapping[str, range]) -> dict[str, Tensor]:
        """Run one block; see `Observer.advance`."""
        hidden, self.state = self.net(x, self.state)
        return {name: hidden[:, list(steps)] for name, steps in wanted.items()}

    def final(self) -> dict[str, np.ndarray | int]:
        """Return the hidden state `[trial, unit]`, and the number of steps."""
        return {"hidden": self.state.hidden.cpu().numpy(), "step": self.state.step}


Core = FastWeightNetwork | LSTM

CORES: dict[str, Callable[..., Core]] = {
    "fast_weights": FastWeightNetwork,
    # η = 0 at the same S and normalisation: this is RNN + LN.
    "no_memory": lambda inputs, units, memory, **options: FastWeightNetwork(inputs, units, None, **options),
    # Removes memory, normalisation and one nonlinearity at once.
    "no_inner_loop": lambda inputs, units, memory, inner_steps, **options: FastWeightNetwork(
        inputs, units, None, 0, **options
    ),
    # Le, Jaitly & Hinton 2015: a ReLU network that starts as the identity.
    "irnn": lambda inputs, units, memory, inner_steps, **options: FastWeightNetwork(
        inputs, units, None, 0, **{**options, "identity_scale": 1.0}
    ),
    "lstm": lambda inputs, units, memory, inner_steps, **options: LSTM(inputs, units),
}


def core(
    model: str, inputs: int, units: int, memory: MemoryRule, inner_steps: int = 1, **options: Any
) -> Core:
    """Make fast weights or one of their controls, of the same size.

    Parameters
    ----------
    model
        `"fast_weights"`; `"no_memory"` (RNN + LN); `"no_inner_loop"`; `"irnn"`; `"lstm"`.
    inputs, units, memory, inner_steps, options
        As for `FastWeightNetwork`; a control leaves out what it has not.
    """
    choice("model", model, tuple(CORES))
    return CORES[model](inputs, units, memory, inner_steps=inner_steps, **options)


class SequenceClassifier(nn.Module):
    """Embedding → recurrent core → ReLU layer → class scores of the last step (Ba et al. 2016, section 4.1).

    Parameters
    ----------
    core
        Any network of `core`.
    tokens
        Size of the vocabulary.
    classes
        Number of classes.
    readout
        Units of the ReLU layer.
    """

    def __init__(self, core: Core, tokens: int, classes: int, readout: int = 100) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, core.inputs)
        self.core = core
        self.readout = nn.Sequential(nn.Linear(core.units, readout), nn.ReLU(), nn.Linear(readout, classes))

    def forward(self, tokens: Tensor) -> Tensor:
        """Token numbers `[batch, time]` → class scores `[batch, class]`."""
        hidden, _ = self.core(self.embedding(tokens))
        return self.readout(hidden[:, -1])


def parameter_count(model: nn.Module) -> int:
    """Return the number of trained parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
