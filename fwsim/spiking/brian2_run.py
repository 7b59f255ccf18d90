"""A circuit that Brian2 runs, as `Sampler` sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from fwsim.rules.rule import AssociativeRule, PresynapticRule, Values
from fwsim.spiking import blocks, exact_step
from fwsim.spiking.assembly import Assembly, Carrier
from fwsim.spiking.feed import Feed
from fwsim.spiking.sampler import Sampler
from fwsim.spiking.snapshot import capture, restore


class Brian2Run:
    """Runs an assembly, and says what its state is.

    Parameters
    ----------
    b
        The module Brian2, prepared.
    assembly
        The network.
    feed
        A drive that is a function, if there is one.
    """

    def __init__(self, b: Any, assembly: Assembly, feed: Feed | None) -> None:
        self._b, self._assembly = b, assembly
        self.circuit, self.trials = assembly.circuit, assembly.trials
        if feed is not None:
            self._call_every(1, self._fed(feed), order=-1)

    def run(self, sampler: Sampler, steps: int, advance: Callable[[int], None]) -> None:
        """Run from where the sampler is to the last step, and sample on the way."""
        dt, first = self.circuit.dt, sampler.done
        self._call_every(blocks.STEPS, sampler.flush, order=1)
        if sampler.stride:
            self._call_every(sampler.stride, sampler.take, order=0)
        done = first

        def report(elapsed: Any, completed: float, start: Any, duration: Any) -> None:
            nonlocal done
            now = first + round(completed * (steps - first))
            advance(now - done)
            done = now

        second = self._b.second
        self._assembly.network.run(
            (steps - first) * dt * second, report=report, report_period=0.5 * second, namespace={}
        )

    def potential(self) -> np.ndarray:
        """Potentials in V above rest, `[trial, unit]`."""
        return np.array(self._assembly.neurons.v).reshape(self.trials, -1)

    def spikes(self) -> tuple[np.ndarray, np.ndarray]:
        """Step and neuron (of all trials) of every spike since the last call."""
        spikes = self._assembly.spikes
        index = np.array(spikes.variables["i"].get_value())
        step = np.round(np.array(spikes.variables["t"].get_value()) / self.circuit.dt)
        if len(index):
            spikes.resize(0)
            spikes.variables["N"].set_value(0)
        return step, index

    def presynaptic(self, done: int) -> Iterator[tuple[int, PresynapticRule, Values]]:
        """Place, rule and state `[trial, unit]` of each presynaptic rule after `done` steps."""
        for each in self._assembly.carriers:
            if isinstance(each.rule, PresynapticRule):
                yield each.place, each.rule, self._now(each, (self.trials, -1), done)

    def weights(self, done: int) -> np.ndarray:
        """Weights of associative rules after `done` steps, `[trial, projection, post, pre]`, NaN without a synapse."""
        size = self.circuit.neurons
        found = np.full((self.trials, len(self.circuit.rules), size, size), np.nan)
        for each in self._assembly.carriers:
            if isinstance(each.rule, AssociativeRule):
                weight = each.rule.strength(self._now(each, (-1,), done)).numpy()
                trial, pre = np.divmod(np.asarray(each.group.i), size)
                found[trial, each.place, np.asarray(each.group.j) % size, pre] = weight
        return found

    def capture(self) -> dict[str, np.ndarray]:
        """Everything that the rest of the run depends on."""
        return capture(self._assembly.network)

    def restore(self, kept: Mapping[str, np.ndarray], done: int) -> None:
        """Continue from what was captured after `done` steps."""
        restore(self._assembly.network, kept, done * self.circuit.dt)
        for each in self._assembly.network.objects:
            if isinstance(each, self._b.SpikeGeneratorGroup):
                each._previous_dt = None  # so that it finds the steps of its spikes, which are no state

    def _now(self, carrier: Carrier, shape: tuple[int, ...], done: int) -> Values:
        """State of a rule after `done` steps; Brian2 stores the state after the last event."""

        def read(name: str) -> torch.Tensor:
            return torch.from_numpy(np.array(getattr(carrier.group, name))).reshape(shape)

        now = (done - 1) * self.circuit.dt  # Brian2 dates a spike at the beginning of its step
        state = {name: read(written) for name, written in carrier.code.variables.items()}
        elapsed = (now - read(carrier.code.last_event)).clamp(
            min=0
        )  # before the first step all is at its start
        return carrier.rule.propagate(state, elapsed)

    def _fed(self, feed: Feed) -> Callable[[int], None]:
        """The operation that adds the drive of a step to the background of the neurons."""
        background = self._assembly.neurons.variables["background"].get_value()
        alone = background.copy()
        population = exact_step.by_neuron(self.circuit, range(len(self.circuit.populations)))

        def step(number: int) -> None:
            if number >= feed.steps:
                return
            block, start = feed.block(number)
            units = block[:, number - start]
            units = units if units.shape[-1] == self.circuit.neurons else units[:, population]
            background[:] = alone + units.ravel()

        return step

    def _call_every(self, stride: int, function: Callable[[int], None], order: int) -> None:
        """Call a function with the number of finished steps, every `stride` steps, before the next one."""
        dt = self.circuit.dt

        @self._b.network_operation(dt=stride * dt * self._b.second, when="start", order=order)
        def call(t: Any) -> None:
            function(round(float(np.asarray(t)) / dt))

        self._assembly.network.add(call)
