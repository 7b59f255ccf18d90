"""Recording of a circuit while Brian2 runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from fwsim.errors import DivergedError
from fwsim.rules.rule import AssociativeRule, PresynapticRule, Values
from fwsim.spiking.assembly import Assembly, Carrier
from fwsim.spiking.snapshot import capture, restore

if TYPE_CHECKING:
    from fwsim.recording import Recorder

EVENTS = ("spike_time", "spike_unit", "spike_trial")


class Sampler:
    """Passes the recorded variables of a running assembly to its recorder.

    Parameters
    ----------
    assembly
        The running assembly.
    recorder
        Receives the samples.
    steps
        Number of steps of the run.

    Attributes
    ----------
    stride
        Steps between two times at which something may be recorded; 0 if only spikes are.
    done
        Number of steps when everything was last passed on.
    """

    def __init__(self, assembly: Assembly, recorder: Recorder, steps: int) -> None:
        self._assembly, self._recorder = assembly, recorder
        self._events = [name for name in recorder.variables if name in EVENTS]
        self._wanted = {
            name: recorder.wanted(name, 0, steps) for name in recorder.variables if name not in EVENTS
        }
        self._counts = np.zeros(len(assembly.neurons), dtype=np.int64)  # spikes since the last rate
        self.done = 0
        after = [range(r.start + 1, r.stop + 1, r.step) for r in self._wanted.values() if len(r)]
        self.stride = (
            int(np.gcd.reduce([number for r in after for number in (r.start, r.step)])) if after else 0
        )

    def take(self, done: int) -> None:
        """Sample after `done` steps, if anything is recorded then."""
        if done <= self.done:  # the run continues from here
            return
        due = [name for name, steps in self._wanted.items() if done - 1 in steps]
        states = (
            self._states(done) if any(name not in ("rate", "potential", "weight") for name in due) else {}
        )
        rates = self._rates(done)
        for name in due:
            if name == "rate":
                values = rates
            elif name == "potential":
                values = by_trial(self._assembly, np.asarray(self._assembly.neurons.v))
            elif name == "weight":
                values = self._weights(done)
            else:
                values = states[name]
            self._recorder.write(name, values[:, None])

    def flush(self, done: int) -> None:
        """Pass on all spikes after `done` steps, so that Brian2 stores only those since the last call.

        Raises
        ------
        DivergedError
            A potential became NaN or infinite.
        """
        self._drain()
        if done <= self.done:
            return
        bad = np.nonzero(~np.isfinite(by_trial(self._assembly, np.asarray(self._assembly.neurons.v))).all(1))[
            0
        ]
        if len(bad):
            raise DivergedError(done - 1, "potential", int(bad[0]), "take weaker synapses or a smaller dt")
        self.done = done
        self._recorder.checkpoint(self._checkpoint)

    def resume(self, kept: Mapping[str, np.ndarray]) -> None:
        """Restore the assembly to the last checkpoint of an interrupted run."""
        self.done, self._counts = int(kept["done"]), kept["counts"]
        restore(self._assembly.network, kept, self.done * self._assembly.circuit.dt)

    def _checkpoint(self) -> dict[str, np.ndarray]:
        kept = {"done": np.array(self.done), "counts": self._counts.copy()}
        return kept | capture(self._assembly.network)

    def _drain(self) -> None:
        """Take the spikes from Brian2's monitor; a spike has the time of the end of its step."""
        spikes, dt = self._assembly.spikes, self._assembly.circuit.dt
        index = np.array(spikes.variables["i"].get_value())
        if not len(index):
            return
        step = np.round(np.array(spikes.variables["t"].get_value()) / dt)
        spikes.resize(0)
        spikes.variables["N"].set_value(0)
        self._counts += np.bincount(index, minlength=len(self._counts))
        trial, unit = np.divmod(index, self._assembly.circuit.neurons)
        values = {"spike_time": (step + 1) * dt, "spike_unit": unit, "spike_trial": trial}
        for name in self._events:
            self._recorder.write(name, values[name])

    def _rates(self, done: int) -> np.ndarray:
        """Rates since the last sample of the rate, `[trial, unit]`."""
        every = self._wanted.get("rate", range(1)).step
        rates = self._counts
        if done % every == 0:
            self._drain()
            rates, self._counts = self._counts, np.zeros_like(self._counts)
        return by_trial(self._assembly, rates / (every * self._assembly.circuit.dt))

    def _states(self, done: int) -> dict[str, np.ndarray]:
        """Variables of presynaptic rules and their release at the present time: `[trial, projection, unit]`."""
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
        """Weights of associative rules at the present time: `[trial, projection, post, pre]`, NaN without a synapse."""
        assembly, size = self._assembly, self._assembly.circuit.neurons
        found = np.full((assembly.trials, len(assembly.circuit.rules), size, size), np.nan)
        for each in assembly.carriers:
            if isinstance(each.rule, AssociativeRule):
                weight = each.rule.strength(self._now(each, (-1,), done)).numpy()
                trial, pre = np.divmod(np.asarray(each.group.i), size)
                found[trial, each.place, np.asarray(each.group.j) % size, pre] = weight
        return found

    def _now(self, carrier: Carrier, shape: tuple[int, ...], done: int) -> Values:
        """State of a rule after `done` steps; Brian2 stores the state after the last event."""

        def read(name: str) -> torch.Tensor:
            return torch.from_numpy(np.array(getattr(carrier.group, name))).reshape(shape)

        now = (done - 1) * self._assembly.circuit.dt  # Brian2 dates a spike at the beginning of its step
        state = {name: read(written) for name, written in carrier.code.variables.items()}
        return carrier.rule.propagate(state, now - read(carrier.code.last_event))


def by_trial(assembly: Assembly, values: np.ndarray) -> np.ndarray:
    """Values of all neurons as `[trial, unit]`."""
    return values.reshape(assembly.trials, assembly.circuit.neurons)
