"""What can be seen of a rate network while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fwsim.engine.observer import Block, Observer, locate
from fwsim.engine.rate.graph import Step, recorded
from fwsim.engine.rate.state import carried, pack, plastic, together, unpack
from fwsim.engine.rate.step import Moment, Stepper
from fwsim.engine.state import State
from fwsim.recording.schema import VARIABLES, Variable
from fwsim.rules.rule import Values

if TYPE_CHECKING:
    from fwsim.engine.rate.compiled import CompiledRun
    from fwsim.engine.rate.network import RateNetwork

NUMBERS = 8_000_000  # values that a block may hold at once
MATRICES = {"memory", "step_error"}  # what compiled code does not keep by itself
NEURONS = ("trial", "time", "projection", "unit")
SYNAPSES = ("trial", "time", "projection", "post", "pre")
REMEDY = "take a smaller dt, weaker weights, or a gain or normalisation that saturates"


def recordable(net: RateNetwork) -> tuple[str, ...]:
    """Names of the variables that can be recorded of a network."""
    kinds = {each.associative for each in plastic(net).values()}
    outputs = [name for name, associative in (("release", False), ("weight", True)) if associative in kinds]
    memory = ["memory"] if net.memory is not None else []
    return ("rate", "hidden", *outputs, *carried(net), *memory, "step_error")


class RateObserver(Observer):
    """A run of a `RateNetwork`; see `Observer`."""

    def __init__(self, net: RateNetwork, state: State, steps: int, record: Iterable[str] = ()) -> None:
        self.net, self.state, self.steps, self.record = net, state, steps, frozenset(record)
        self._first = state.step
        self._stepper = net.stepper()
        self._compiled = _compiled(self._stepper) if net.plan().kernel == "native" else None
        self._step: Step | None = None
        self._half: Stepper | None = None
        self._seed = 0
        self._noisy = bool((net.noise > 0).any())

    def seed(self, seed: int) -> None:
        """Take the seed of the noise."""
        self._seed = seed

    def sizes(self) -> dict[str, int]:
        """Dimension → size of the run."""
        units, memory = self.net.units, self.net.memory
        size = {"trial": self.state.hidden.shape[0], "unit": units, "post": units, "pre": units}
        size |= {"projection": len(plastic(self.net))}
        return size | ({"timescale": memory.timescales} if memory and memory.timescales > 1 else {})

    def coordinates(self) -> dict[str, np.ndarray]:
        """Give the plastic projections their place in the network, and the time constants of a memory in s."""
        values = {"projection": np.array(list(plastic(self.net)), dtype=np.int64)}
        memory = self.net.memory
        if memory is not None and memory.tau.numel() == memory.tau.shape[-1]:
            values["timescale"] = (
                memory.tau.detach().double().reshape(-1).expand(memory.timescales).cpu().numpy()
            )
        return values

    def populations(self) -> list[str] | None:
        """Name of the population of each unit, if the network has populations."""
        given = self.net.populations
        return None if given is None else [name for name, size in given.items() for _ in range(size)]

    def variables(self) -> dict[str, Variable]:
        """Meaning of the synapses' variables, of efficacies and of the error of a step."""
        found = {
            name: Variable(SYNAPSES if place == "synapse" else NEURONS, "1", f"{name} of the synapse")
            for name, place in carried(self.net).items()
            if name not in VARIABLES
        }
        found["weight"] = Variable(SYNAPSES, "1", "efficacy of the synapse")
        found["step_error"] = Variable(
            ("trial", "time"), "1", "largest error of the hidden state in one step"
        )
        return found

    def configuration(self) -> dict[str, Any]:
        """What the network was made from, as plain data; of weights the shape."""
        net = self.net
        return {
            "network": type(net).__name__,
            "units": net.units,
            "dt": net.dt,
            "tau": net.tau.tolist(),
            "gain": _described(net.gain),
            "normalise": None if net.normalise is None else _described(net.normalise),
            "noise": net.noise.tolist(),
            **({} if net.populations is None else {"populations": net.populations}),
            "self_connections": net.self_connections,
            **({} if net.connected is None else {"connected": net.connected.tolist()}),
            "kernel": net.kernel,
            "memory": None if net.memory is None else _described(net.memory),
            "projections": [
                {
                    "weights": list(each.weights.shape),
                    "synapse": each.synapse and _described(each.synapse),
                    **(
                        {}
                        if each.state is None
                        else {"state": {name: _plain(value) for name, value in each.state.items()}}
                    ),
                }
                for each in net.projections
            ],
        }

    def block(self) -> int:
        """Steps that a block may have to stay within a fixed amount of memory."""
        net, parts = self.net, plastic(self.net).values()
        if self._compiled is None:
            numbers = 4 + 4 * len(parts)
            matrices = net.memory is not None or any(part.associative for part in parts)
        else:
            kept = sum(len(self._rows(name)) for name in self.record - MATRICES)
            numbers = 1 + self._noisy + kept
            matrices = "memory" in self.record
        each = self.state.hidden.numel() * (numbers + matrices * net.units)
        return max(1, min(self.steps, NUMBERS // each))

    def advance(self, x: Tensor, wanted: Mapping[str, range]) -> Block:
        """Run one block; see `Observer.advance`."""
        before, steps = self.state, x.shape[1]
        start = unpack(self.net, before)
        noise = self.net.kicks(before, steps, self._seed) if self._noisy else None
        block = self._reference_block if self._compiled is None or not x.numel() else self._compiled_block
        now, samples = block(start, x, noise, wanted)
        self.state = pack(self.net, now, before.step + steps)
        located = partial(self._locate, start, x, noise, now.hidden, before.step - self._first)
        return Block(samples, now.hidden.isfinite().all(), located, steps, self.checkpoint())

    def _reference_block(
        self, now: Moment, x: Tensor, noise: Tensor | None, wanted: Mapping[str, range]
    ) -> tuple[Moment, dict[str, Tensor]]:
        step = self._step = self._step or recorded(self._stepper, now, x[:, 0])
        samples: dict[str, list[Tensor]] = {name: [] for name in wanted}
        for t, drive in enumerate(x.unbind(1)):
            last, now = now, step(now, drive)
            if noise is not None:
                now = now._replace(hidden=now.hidden + noise[t])
            for name, at in wanted.items():
                if t in at:
                    error = name == "step_error"
                    samples[name].append(self._error(last, drive) if error else self._sample(name, now))
        return now, {name: torch.stack(kept, 1) for name, kept in samples.items() if kept}

    def _compiled_block(
        self, now: Moment, x: Tensor, noise: Tensor | None, wanted: Mapping[str, range]
    ) -> tuple[Moment, dict[str, Tensor]]:
        """Run in compiled code, which stops where a matrix or the error of a step is wanted."""
        assert self._compiled is not None
        samples: dict[str, list[Tensor]] = {name: [] for name in wanted}
        errors, memories = (wanted.get(name, range(0)) for name in ("step_error", "memory"))
        rows = {name: self._rows(name) for name in wanted.keys() - MATRICES}
        stops = sorted({*errors, *(t + 1 for t in memories), 0, x.shape[1]})
        for start, stop in pairwise(stops):
            if start in errors:
                samples["step_error"].append(self._error(now, x[:, start]))
            at = {name: _within(wanted[name], start, stop) for name in rows}
            now, kept = self._compiled.advance(
                now,
                x[:, start:stop],
                None if noise is None else noise[start:stop],
                [(row, at[name]) for name, names in rows.items() for row in names if row],
            )
            for name, names in rows.items():
                found = [kept.pop(0) if row else None for row in names]
                samples[name].append(_together(found, per_projection=name not in ("rate", "hidden")))
            if stop - 1 in memories:
                samples["memory"].append(self._sample("memory", now))
        joined = {name: torch.cat(samples[name], 1) for name in rows if wanted[name]}
        stacked = {name: torch.stack(samples[name], 1) for name in wanted.keys() & MATRICES if wanted[name]}
        return now, joined | stacked

    def _rows(self, name: str) -> list[str | None]:
        """Rows of compiled code that hold a variable: one, or one a plastic projection (`None`: it has none)."""
        if name in ("rate", "hidden"):
            return [name]
        names = enumerate(plastic(self.net).values())
        if name == "release":
            return [f"release_{index}" for index, _ in names]
        return [f"state_{index}_{name}" if name in each.places else None for index, each in names]

    def final(self) -> dict[str, np.ndarray | int]:
        """Return the state as arrays by variable."""
        values: dict[str, np.ndarray | int] = {
            "hidden": self.state.hidden.cpu().numpy(),
            "step": self.state.step,
        }
        if self.state.memory is not None:
            values["memory"] = self.state.memory.cpu().numpy()
        return values | {name: value.cpu().numpy() for name, value in self.state.variables.items()}

    def _sample(self, name: str, now: Moment) -> Tensor:
        if name == "hidden":
            return now.hidden
        if name == "rate":
            return self._stepper.gain(now.hidden)
        if name == "memory":
            assert now.memory is not None
            return now.memory if now.memory.shape[1] > 1 else now.memory[:, 0]
        if name in ("release", "weight"):
            place = "synapse" if name == "weight" else "pre"
            return together(self.net, self._efficacies(name, now), {name: place})[name]
        return together(self.net, now.synapses, {name: carried(self.net)[name]})[name]

    def _efficacies(self, name: str, now: Moment) -> tuple[Values, ...]:
        """What a spike would transmit now, of the projections whose rule transmits a `name`."""
        found: list[Values] = []
        for part, state in zip(self._stepper.plastic, now.synapses):
            shape = part.weights.shape[-2:] if part.associative else (self.net.units,)
            fits = part.associative == (name == "weight")
            value = part.dynamics.release(state) if fits else None
            found.append({name: value.expand(len(now.hidden), *shape)} if value is not None else {})
        return tuple(found)

    def _error(self, now: Moment, drive: Tensor) -> Tensor:
        """Error of a step by comparison with two half steps, for a method of second order, `[batch]`."""
        self._half = self._half or self.net.stepper(self.net.dt / 2)
        whole = self._stepper.step(now, drive).hidden
        halves = self._half.step(self._half.step(now, drive), drive).hidden
        return (whole - halves).abs().amax(-1) * 4 / 3

    def _locate(self, now: Moment, x: Tensor, noise: Tensor | None, end: Tensor, done: int) -> None:
        """Repeat a block that ended in a bad value `[batch, unit]` up to the first one, and raise."""
        for t, drive in enumerate(x.unbind(1)):
            now = self._stepper.step(now, drive)
            if noise is not None:
                now = now._replace(hidden=now.hidden + noise[t])
            locate(now.hidden[:, None], done + t, REMEDY)
        locate(end[:, None], done + x.shape[1] - 1, REMEDY)


def _compiled(stepper: Stepper) -> CompiledRun:
    from fwsim.engine.rate.compiled import prepare

    return prepare(stepper)


def _within(steps: range, start: int, stop: int) -> range:
    """Those of the steps from `start` to `stop`, counted from `start`."""
    first = max(steps.start, start + (steps.start - start) % steps.step)
    return range(first - start, min(steps.stop, stop) - start, steps.step)


def _together(parts: list[Tensor | None], *, per_projection: bool) -> Tensor:
    """Samples of all plastic projections, `[batch, sample, projection, unit]`; NaN where one has no such variable."""
    example = next(part for part in parts if part is not None)
    if not per_projection:
        return example
    return torch.stack([torch.full_like(example, torch.nan) if part is None else part for part in parts], 2)


def _described(value: Any) -> dict[str, Any]:
    """Name and parameters of a rule, gain or normalisation; a function by its name."""
    name = getattr(value, "__name__", type(value).__name__)
    if not hasattr(value, "__dataclass_fields__"):
        return {"kind": name}
    return {"kind": name} | {field.name: _plain(getattr(value, field.name)) for field in fields(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().tolist()
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return _described(value) if hasattr(value, "__dataclass_fields__") else value
