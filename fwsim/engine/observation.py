"""What can be seen of a fast-weight network while it runs.

Kernels return hidden states and, on request, inner states; attention and memory follow from these
by matrix products, so recording them needs no other kernel and does not change the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fwsim.engine.observer import Block, Observer, at, locate
from fwsim.engine.products import matmul
from fwsim.engine.state import State
from fwsim.engine.trace import Trace
from fwsim.engine.trajectory import lengthened
from fwsim.errors import DivergedError
from fwsim.rules.hebbian import Hebbian

if TYPE_CHECKING:
    from fwsim.engine.network import FastWeightNetwork

NUMBERS = 2_000_000  # values that a block may hold at once
LISTED = 1000  # largest number of values by neuron or synapse that a configuration lists
REMEDY = "lower eta, or normalise the inner loop"
OPTIONS = (
    "inputs",
    "units",
    "inner_steps",
    "dt",
    "activation",
    "normalise",
    "self_connections",
    "form",
    "kernel",
)


class FastWeightObserver(Observer):
    """A run of a `FastWeightNetwork`; see `Observer`, and `FastWeightNetwork.forward` for `inner_steps`."""

    def __init__(
        self,
        net: FastWeightNetwork,
        state: State,
        steps: int,
        record: Iterable[str],
        inner_steps: int | Sequence[int] | None = None,
    ) -> None:
        self.net, self.state, self.steps, self.record = net, state, steps, frozenset(record)
        self._first = state.step
        storing, last = net.iterations(inner_steps)
        self._iterations = (storing if steps > 1 else last, last)
        self._plan = net.plan(state.hidden.shape[0], steps, inner_steps=self._iterations)
        self._past = state.hidden[:, None][:, :0]  # states of this run, kept only if attention is recorded

    @staticmethod
    def recordable(net: FastWeightNetwork) -> tuple[str, ...]:
        """Names of the variables that can be recorded of a network."""
        if net.memory is None:
            return ("hidden", "inner")
        if isinstance(net.memory, Hebbian) and not (net.memory.axes or net.memory.oja or net.wiring.special):
            return ("hidden", "inner", "attention", "memory")
        return ("hidden", "inner", "memory")

    def sizes(self) -> dict[str, int]:
        """Dimension → size of the run."""
        units, memory = self.net.units, self.net.memory
        size = {"trial": self.state.hidden.shape[0], "unit": units, "iteration": max(self._iterations) + 1}
        size["past"] = self.steps
        if memory is not None:
            size |= {"post": units, "pre": self.net.wiring.width(self.net.inputs, units)}
            size |= {"timescale": memory.timescales} if memory.timescales > 1 else {}
        return size

    def coordinates(self) -> dict[str, np.ndarray]:
        """Give the steps that can be attended to and the time constants in s (numbers, if trials differ in them)."""
        values = {"past": np.arange(self._first + 1, self._first + self.steps + 1)}
        tau = getattr(self.net.memory, "tau", None)
        if isinstance(tau, Tensor) and tau.numel() == tau.shape[-1]:
            assert self.net.memory is not None
            values["timescale"] = (
                tau.detach().double().reshape(-1).expand(self.net.memory.timescales).cpu().numpy()
            )
        return values

    def configuration(self) -> dict[str, Any]:
        """What the network was made from, as plain data."""
        rule = self.net.memory
        memory: dict[str, Any] | None = None
        if rule is not None:
            values = {name: _described(value) for name, value in rule.values().items()}
            memory = {"rule": type(rule).__name__, **values, **rule.options()}
        options = {name: getattr(self.net, name) for name in OPTIONS}
        if self.net.wiring.special:
            options["wiring"] = self.net.wiring.described()
        storing, last = self._iterations
        options["inner_steps"] = last if storing == last else [storing, last]
        return {
            "network": type(self.net).__name__,
            **options,
            "write": self.net.write_order,
            "memory": memory,
        }

    def block(self) -> int:
        """Steps that a block may have to stay within a fixed amount of memory."""
        batch, units, inner = self.state.hidden.shape[0], self.net.units, max(self._iterations) + 1
        each = 2 * units
        each += inner * units if self.record & {"inner", "attention"} else 0
        each += inner * self.steps if "attention" in self.record else 0
        return max(1, min(self.steps, NUMBERS // max(1, each * batch)))

    def advance(self, x: Tensor, wanted: Mapping[str, range]) -> Block:
        """Run one block; see `Observer.advance`."""
        before = self.state
        ends = before.step - self._first + x.shape[1] == self.steps
        result, self.state = self.net.run(
            x,
            before,
            inner=bool(self.record & {"inner", "attention"}),
            plan=self._plan,
            inner_steps=self._iterations if ends else self._iterations[0],
        )
        samples: dict[str, Tensor] = {}
        for name, steps in wanted.items():
            if name == "hidden":
                samples[name] = at(result.hidden, steps)
            elif name == "memory":
                samples[name] = self._memory(before, x, result.hidden, steps)
            elif result.inner is not None:
                inner = lengthened(at(result.inner, steps), max(self._iterations) + 1)
                samples[name] = inner if name == "inner" else self._attention(result.hidden, inner, steps)
        if "attention" in self.record:
            self._past = torch.cat([self._past, result.hidden], dim=1)
        finite = result.hidden.sum().isfinite()  # one pass; a sum may overflow where no state did
        matrix = self.state.stored.matrix if isinstance(self.state.stored, Trace) else None
        if matrix is not None:
            finite = finite & matrix.isfinite().all()
        located = partial(self._locate, before, x, result.hidden, matrix)
        return Block(samples, finite, located, x.shape[1], self.checkpoint())

    def final(self) -> dict[str, np.ndarray | int]:
        """Return the state as arrays: `hidden [trial, unit]`, `memory [trial, timescale, post, pre]`, `step`."""
        values: dict[str, np.ndarray | int] = {
            "hidden": self.state.hidden.cpu().numpy(),
            "step": self.state.step,
        }
        memory = self.state.memory
        return values if memory is None else values | {"memory": memory.cpu().numpy()}

    def checkpoint(self) -> dict[str, Tensor]:
        """Return all that the next blocks depend on; see `Observer.checkpoint`."""
        return super().checkpoint() | {"past": self._past}

    def resume(self, kept: Mapping[str, np.ndarray]) -> None:
        """Take up the state of a `checkpoint`; see `Observer.resume`."""
        self.state = State(self.state.hidden, self.net.trace(self.state), self.state.step)
        super().resume(kept)
        self._past = torch.from_numpy(kept["past"]).to(self.state.hidden.device)

    def _locate(self, before: State, x: Tensor, hidden: Tensor, matrix: Tensor | None) -> None:
        """Raise at the first step of a block at which the hidden state or the memory is not finite."""
        done = before.step - self._first
        locate(hidden, done, REMEDY)
        if matrix is not None and not bool(matrix.isfinite().all()):
            for step in range(hidden.shape[1]):
                memory = self._memory(before, x, hidden, range(step, step + 1))
                bad = (~memory.isfinite()).flatten(1).any(1)
                if bool(bad.any()):
                    raise DivergedError(done + step, "memory", int(bad.nonzero()[0]), REMEDY)

    def _attention(self, hidden: Tensor, inner: Tensor, steps: range) -> Tensor:
        """κ(t−τ) h(τ)·h_s for every step τ of the run, zero where it is not past: `[batch, sample, s, past]`."""
        rule = self.net.memory
        assert isinstance(rule, Hebbian)
        past = torch.cat([self._past, hidden], dim=1)
        # At step t (from 0) the state h(t+1) is computed; h(τ) is past for τ ≤ t and stands at index τ−1.
        present = (
            self._past.shape[1] + steps.start + steps.step * torch.arange(len(steps), device=past.device)
        )
        lag = present[:, None] - 1 - torch.arange(past.shape[1], device=past.device)
        weight = rule.kernel(lag.clamp(min=0).flatten(), self.net.dt).unflatten(-1, lag.shape) * (lag >= 0)
        products = matmul(inner.flatten(1, 2), past.mT).unflatten(1, inner.shape[1:3])
        attention = products * weight.to(products.dtype)[..., None, :]
        return torch.nn.functional.pad(attention, (0, self.steps - past.shape[1]))

    def _memory(self, before: State, x: Tensor, hidden: Tensor, steps: range) -> Tensor:
        """Memory after the writes of some steps: `[batch, sample, (timescale,) post, pre]`."""
        trace = self.net.trace(before)
        assert trace is not None
        if self.net.wiring.special:
            return self._memory_of_pairs(trace, before, x, hidden, steps)
        written = hidden
        if self.net.write_order == "before":
            written = torch.cat([before.hidden[:, None], hidden[:, :-1]], dim=1)
        memory = hidden.new_empty(
            hidden.shape[0], len(steps), trace.rule.timescales, self.net.units, self.net.units
        )
        start = 0
        for sample, step in enumerate(steps):
            trace, start = trace.extended(written[:, start : step + 1]).merged(), step + 1
            memory[:, sample] = trace.memory()
        return memory if trace.rule.timescales > 1 else memory.squeeze(2)

    def _memory_of_pairs(
        self, trace: Trace, before: State, x: Tensor, hidden: Tensor, steps: range
    ) -> Tensor:
        """The same, for pre- and postsynaptic sides that differ, or with gates."""
        memory = hidden.new_empty(len(hidden), len(steps), *trace.shape[1:])
        stop = steps[-1] + 1 if steps else 0
        after = self.net.pairs_written(trace, x, before.hidden, hidden, stop)
        for step, trace in enumerate(after):
            if step in steps:
                memory[:, steps.index(step)] = trace.memory()
        return memory if memory.shape[2] > 1 else memory.squeeze(2)


def _described(value: Tensor) -> Any:
    """A parameter of the memory as plain data; of values by synapse, which are as many as weights, only the range."""
    if value.ndim > 2 and value.numel() > LISTED:
        return f"{list(value.shape)} from {value.min().item():g} to {value.max().item():g}"
    return value.tolist()
