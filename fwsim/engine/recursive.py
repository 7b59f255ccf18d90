"""Fast weights that hold a whole while the same network works on its parts."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from fwsim.engine.drive import Drive
from fwsim.engine.inputs import as_input
from fwsim.engine.native import library
from fwsim.engine.network import FastWeightNetwork
from fwsim.engine.precision import own_precision
from fwsim.engine.transforms import transformed
from fwsim.engine.wiring import Read
from fwsim.errors import ConfigError, choice, whole
from fwsim.names import KnownArguments
from fwsim.rules.hebbian import Hebbian

COMPILED = (torch.float32, torch.float64)


class RecursiveNetwork(KnownArguments, nn.Module):
    """A fast-weight network that is told after which steps to store its hidden state, and after which to clear it.

    Each step is that of `FastWeightNetwork`, but its state is written only if the step is `stored`, and the next step
    starts from 0 if it is `cleared`:

        h_0 = f(z),   h_{s+1} = f(LN[z + A h_s]),   A h = Σ_τ κ(age of τ) h(τ) [h(τ)ᵀ h]   over the stored states τ

    A state ages with every step, stored or not. The memory is kept in its attention form, since few states are stored.
    On a CPU, in single and double precision, the compiled engine runs the sequence and its backward pass.

    Source: Ba et al. 2016, section 4.2 ("update fast weights and wipe out hidden state").

    Parameters
    ----------
    inputs, units
        Numbers of input channels and of hidden units N.
    memory
        Time constants and strengths of a write.
    stored, cleared
        Whether the hidden state is stored, and cleared, after each step; `[time]` truth values.
    weights
        Which set of slow weights each step uses, `[time]` numbers from 0; `None`: one set for all.
    inner_steps
        S, iterations of the inner loop.
    dt
        Seconds a step.
    kernel
        `"reference"` (plain torch, which can be differentiated twice) or `"auto"` (compiled where possible).

    Examples
    --------
    >>> net = RecursiveNetwork(3, 8, Hebbian(tau=20.0, eta=0.5), [True, False, False], [True, False, False])
    >>> hidden, stored = net(torch.randn(2, 3, 3))
    >>> hidden.shape, stored.shape
    (torch.Size([2, 3, 8]), torch.Size([2, 1, 8]))
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        memory: Hebbian,
        stored: Sequence[bool],
        cleared: Sequence[bool],
        weights: Sequence[int] | None = None,
        inner_steps: int = 1,
        dt: float = 1.0,
        *,
        kernel: str = "auto",
    ) -> None:
        super().__init__()
        choice("kernel", kernel, ("auto", "reference"))
        if not isinstance(memory, Hebbian) or len(memory.shape) > 1 or memory.oja:
            raise ConfigError(
                f"memory={memory!r} is not possible here; give a Hebbian memory with constants by time scale, oja=False"
            )
        self.kernel = kernel
        stored, cleared = _truth("stored", stored), _truth("cleared", cleared)
        weights = [0] * len(stored) if weights is None else list(weights)
        for each in weights:
            whole("weights", each)
        if not len(stored) == len(cleared) == len(weights) > 0:
            raise ConfigError(
                f"stored, cleared and weights have {len(stored)}, {len(cleared)} and {len(weights)} steps; "
                "give each one value a step"
            )
        if set(weights) != set(range(max(weights) + 1)):
            raise ConfigError(f"weights={list(weights)} leaves sets out; number them 0, 1, … without gaps")
        self.inputs, self.units, self.memory, self.dt = inputs, units, memory, dt
        self.stored, self.cleared, self.weights = stored, cleared, tuple(weights)
        self.networks = nn.ModuleList(
            FastWeightNetwork(inputs, units, memory, inner_steps, dt) for _ in range(max(weights) + 1)
        )

    def forward(self, x: Tensor, blocked: Container[int] = ()) -> tuple[Tensor, Tensor]:
        """Run a sequence from rest.

        Parameters
        ----------
        x
            `[batch, time, input]`, with as many steps as were given.
        blocked
            Steps that read nothing from memory.

        Returns
        -------
        hidden
            `[batch, time, unit]`, before it is cleared.
        stored
            The states that were stored, oldest first, `[batch, past, unit]`.
        """
        x = as_input("x", x, self._sets()[0].W, self.inputs, "input")
        if x.shape[1] != len(self.stored):
            raise ConfigError(f"x has {x.shape[1]} steps, the network {len(self.stored)}; give as many")
        fits = x.device.type == "cpu" and x.dtype in COMPILED
        compiled = (
            fits
            and x.numel() > 0
            and self.kernel == "auto"
            and not transformed()
            and library.obstacle() is None
        )
        with own_precision(x.device):
            hidden = (self._compiled if compiled else self._plain)(x, blocked)
        return hidden, hidden[:, [step for step, stored in enumerate(self.stored) if stored]]

    def _plain(self, x: Tensor, blocked: Container[int]) -> Tensor:
        """Hidden states `[batch, time, unit]`, in plain torch."""
        drives = self._drives(x)
        cells = [network.cell() for network in self._sets()]
        weights = self._weights(drives[0])
        memory = drives[0].new_zeros(len(drives[0]), 0, self.units)
        hidden, states = None, []
        for step, (kind, drive) in enumerate(zip(self.weights, drives, strict=True)):
            cell = cells[kind]
            z = drive if hidden is None else torch.addmm(drive, hidden, cell.W.T)
            silent = not memory.shape[1] or step in blocked
            read = None if silent else _reader(memory, weights[step])
            hidden = cell.settle(z, cell.start(z), read)[-1]
            states.append(hidden)
            if self.stored[step]:
                memory = torch.cat([memory, hidden[:, None]], dim=1)
            if self.cleared[step]:
                hidden = None
        return torch.stack(states, dim=1)

    def _compiled(self, x: Tensor, blocked: Container[int]) -> Tensor:
        """Hidden states `[batch, time, unit]`, by the engine."""
        from fwsim.engine.native.run import run_schedule
        from fwsim.engine.native.sequence import Schedule

        written, steps = 0, []
        for step, stores in enumerate(self.stored):
            readable = 0 if step in blocked else written
            continues = step > 0 and not self.cleared[step - 1]
            steps.append((written if stores else -1, readable, continues, self.weights[step]))
            written += stores
        schedule = Schedule(*torch.tensor(steps, dtype=torch.int32, device="cpu").T.contiguous())
        sets = self._sets()
        drives = [Drive(x, network.C, network.b) for network in sets]
        return run_schedule([network.cell() for network in sets], drives, self._kernel(x).flip(0), schedule)

    def attention(self, hidden: Tensor) -> Tensor:
        """Attention κ h(τ)·h(t) of each state to those stored before, 0 elsewhere.

        Parameters
        ----------
        hidden
            `[batch, time, unit]`, as it was returned.

        Returns
        -------
        Tensor
            `[batch, time, past]`, signed and unnormalised, with a `past` for every step.
        """
        return self.readable(hidden) * torch.einsum("bti,bpi->btp", hidden, hidden)

    def readable(self, like: Tensor) -> Tensor:
        """Weight κ that each step reads a stored state with, 0 elsewhere: `[time, past]`, typed like a tensor."""
        time = torch.arange(len(self.stored), device=like.device)
        age = time[:, None] - 1 - time
        stored = (age >= 0) & torch.tensor(self.stored).to(like.device, non_blocking=True)
        return self._kernel(like)[age.clamp(min=0)] * stored

    def _sets(self) -> list[FastWeightNetwork]:
        """The sets of slow weights, as what they are."""
        return cast("list[FastWeightNetwork]", list(self.networks))

    def _kernel(self, like: Tensor) -> Tensor:
        """κ of every age, `[time]`."""
        ages = torch.arange(len(self.stored))
        return self.memory.kernel(ages, self.dt).to(like)

    def _weights(self, like: Tensor) -> tuple[Tensor, ...]:
        """κ with which each step reads the states stored before it, oldest first: a `[past]` for every step."""
        kernel = self.memory.kernel(torch.arange(len(self.stored)), self.dt)
        ages = [
            [step - 1 - time for time in range(step) if self.stored[time]] for step in range(len(self.stored))
        ]
        # Picked on the CPU and sent at once: a list of places would make a GPU wait at every step.
        flat = torch.cat([kernel[each] for each in ages]).to(like, non_blocking=True)
        return flat.split([len(each) for each in ages])

    def _drives(self, x: Tensor) -> list[Tensor]:
        """Input of every step, C x + b with its own weights: `[time]` of `[batch, unit]`."""
        drives: dict[int, Tensor] = {}
        each = x.unbind(
            1
        )  # one stack in the backward pass, where x[:, step] would fill a tensor like x a step
        for kind, network in enumerate(self._sets()):
            steps = [step for step, other in enumerate(self.weights) if other == kind]
            inputs = torch.stack([each[step] for step in steps], dim=1)
            part = nn.functional.linear(inputs, network.C, network.b)
            drives.update(zip(steps, part.unbind(1), strict=True))
        return [drives[step] for step in range(len(self.weights))]


def _truth(name: str, given: Any) -> tuple[bool, ...]:
    """Truth values of steps, from a list, an array or a tensor of them."""
    values = np.asarray(given)
    if values.ndim != 1 or (values.size and values.dtype != bool):
        raise ConfigError(f"{name}={given!r} is not allowed; give True or False for each step")
    return tuple(values.tolist())


def _reader(memory: Tensor, weight: Tensor) -> Read:
    """What the stored states `[batch, past, unit]`, weighted by `[past]`, answer to a state."""

    def read(state: Tensor) -> Tensor:
        attention = torch.einsum("bpi,bi->bp", memory, state) * weight
        return torch.einsum("bp,bpi->bi", attention, memory)

    return read
