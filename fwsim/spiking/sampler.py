"""What is recorded of a circuit while Brian2 runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from fwsim.rules.base import AssociativeRule, PresynapticRule, Values
from fwsim.spiking.assembly import Assembly, Carrier

if TYPE_CHECKING:
    from fwsim.recording import Recorder

EVENTS = ("spike_time", "spike_unit", "spike_trial")


class Sampler:
    """Hands what is wanted of a running assembly to its recorder.

    Parameters
    ----------
    assembly
        What runs.
    recorder, names
        Where samples go, and of which variables.
    steps
        Length of the run.
    """

    def __init__(self, assembly: Assembly, recorder: Recorder, names: list[str], steps: int) -> None:
        self._assembly, self._recorder = assembly, recorder
        self._events = [name for name in names if name in EVENTS]
        self._wanted = {name: recorder.wanted(name, 0, steps) for name in names if name not in EVENTS}
        self._written = 0
        after = [range(r.start + 1, r.stop + 1, r.step) for r in self._wanted.values() if len(r)]
        self.stride = (
            int(np.gcd.reduce([number for r in after for number in (r.start, r.step)])) if after else 0
        )

    def take(self, done: int) -> None:
        """Sample after `done` steps, where that is wanted."""
        due = [name for name, steps in self._wanted.items() if done - 1 in steps]
        states = (
            self._states(done) if any(name not in ("rate", "potential", "weight") for name in due) else {}
        )
        for name in due:
            if name == "rate":
                values = self._rates(done, self._wanted[name].step)
            elif name == "potential":
                values = by_trial(self._assembly, np.asarray(self._assembly.neurons.v))
            elif name == "weight":
                values = self._weights(done)
            else:
                values = states[name]
            self._recorder.write(name, values[:, None])
        if due and self._events:
            self._flush()

    def finish(self) -> None:
        """Write the last events."""
        if self._events:
            self._flush()

    def _flush(self) -> None:
        time, index = self._spikes(self._written)
        self._written += len(index)
        trial, unit = np.divmod(index, self._assembly.circuit.neurons)
        values = {"spike_time": time, "spike_unit": unit, "spike_trial": trial}
        for name in self._events:
            self._recorder.write(name, values[name])

    def _spikes(self, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Times and neurons of all spikes from the `first` on; a spike belongs to the end of its step."""
        variables = self._assembly.spikes.variables
        dt = self._assembly.circuit.dt
        step = np.round(variables["t"].get_value()[first:] / dt)
        return (step + 1) * dt, variables["i"].get_value()[first:]

    def _rates(self, done: int, every: int) -> np.ndarray:
        """Rates over the last `every` steps, `[trial, unit]`."""
        dt = self._assembly.circuit.dt
        times = self._assembly.spikes.variables["t"].get_value()
        first = int(np.searchsorted(times, (done - every - 0.5) * dt))
        neurons = self._assembly.spikes.variables["i"].get_value()[first:]
        counts = np.bincount(neurons, minlength=len(self._assembly.neurons))
        return by_trial(self._assembly, counts / (every * dt))

    def _states(self, done: int) -> dict[str, np.ndarray]:
        """Variables of presynaptic rules and their release, brought up to now: `[trial, projection, unit]`."""
        rows: list[dict[str, np.ndarray]] = [{} for _ in self._assembly.circuit.rules]
        for each in self._assembly.carriers:
            if isinstance(each.rule, PresynapticRule):
                state = self._now(each, (self._assembly.trials, -1), done)
                row = {**state, "release": each.rule.at_pre(state)[1]}
                rows[each.place] = {name: torch.as_tensor(value).numpy() for name, value in row.items()}
        missing = np.full((self._assembly.trials, self._assembly.circuit.neurons), np.nan)
        return {
            name: np.stack([row.get(name, missing) for row in rows], 1)
            for name in {n for row in rows for n in row}
        }

    def _weights(self, done: int) -> np.ndarray:
        """Weights of associative rules, brought up to now: `[trial, projection, post, pre]`, NaN without synapse."""
        assembly, size = self._assembly, self._assembly.circuit.neurons
        found = np.full((assembly.trials, len(assembly.circuit.rules), size, size), np.nan)
        for each in assembly.carriers:
            if isinstance(each.rule, AssociativeRule):
                weight = each.rule.strength(self._now(each, (-1,), done)).numpy()
                trial, pre = np.divmod(np.asarray(each.group.i), size)
                found[trial, each.place, np.asarray(each.group.j) % size, pre] = weight
        return found

    def _now(self, carrier: Carrier, shape: tuple[int, ...], done: int) -> Values:
        """State of a rule after `done` steps; what Brian2 holds is that after the last event."""

        def read(name: str) -> torch.Tensor:
            return torch.from_numpy(np.array(getattr(carrier.group, name))).reshape(shape)

        now = (done - 1) * self._assembly.circuit.dt  # Brian2 dates a spike at the beginning of its step
        state = {name: read(written) for name, written in carrier.code.variables.items()}
        return carrier.rule.propagate(state, now - read(f"{carrier.prefix}last_event"))


def by_trial(assembly: Assembly, values: np.ndarray) -> np.ndarray:
    """Values of all neurons as `[trial, unit]`."""
    return values.reshape(assembly.trials, assembly.circuit.neurons)
