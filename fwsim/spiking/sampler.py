"""Recording of a circuit while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from fwsim.errors import DivergedError
from fwsim.rules.rule import PresynapticRule, Values
from fwsim.spiking.circuit import Circuit

if TYPE_CHECKING:
    from fwsim.recording import Recorder

EVENTS = ("spike_time", "spike_unit", "spike_trial")


class Running(Protocol):
    """A circuit that runs, in Brian2 or in the native engine."""

    circuit: Circuit
    trials: int

    def run(self, sampler: Sampler, steps: int, advance: Callable[[int], None]) -> None:
        """Run from where the sampler is to the last step; call its `take` and `flush` on the way."""

    def potential(self) -> np.ndarray:
        """Potentials in V above rest, `[trial, unit]`."""

    def spikes(self) -> tuple[np.ndarray, np.ndarray]:
        """Step and neuron (of all trials) of every spike since the last call."""

    def presynaptic(self, done: int) -> Iterator[tuple[int, PresynapticRule, Values]]:
        """Place, rule and state `[trial, unit]` of each presynaptic rule after `done` steps."""

    def weights(self, done: int) -> np.ndarray:
        """Weights of associative rules after `done` steps, `[trial, projection, post, pre]`, NaN without a synapse."""

    def capture(self) -> dict[str, np.ndarray]:
        """Everything that the rest of the run depends on."""

    def restore(self, kept: Mapping[str, np.ndarray], done: int) -> None:
        """Continue from what was captured after `done` steps."""


class Sampler:
    """Passes the recorded variables of a running circuit to its recorder.

    Parameters
    ----------
    running
        The circuit.
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

    def __init__(self, running: Running, recorder: Recorder, steps: int) -> None:
        self._running, self._recorder = running, recorder
        self._events = [name for name in recorder.variables if name in EVENTS]
        self._wanted = {
            name: recorder.wanted(name, 0, steps) for name in recorder.variables if name not in EVENTS
        }
        neurons = running.trials * running.circuit.neurons
        self._counts = np.zeros(neurons, dtype=np.int64)  # spikes since the last rate
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
                values = self._potential()
            elif name == "weight":
                values = self._running.weights(done)
            else:
                values = states[name]
            self._recorder.write(name, values[:, None])

    def flush(self, done: int) -> None:
        """Pass on all spikes after `done` steps, so that only those since the last call are stored.

        Raises
        ------
        DivergedError
            A potential became NaN or infinite.
        """
        self._drain()
        if done <= self.done:
            return
        bad = np.nonzero(~np.isfinite(self._running.potential()).all(1))[0]
        if len(bad):
            raise DivergedError(done - 1, "potential", int(bad[0]), "take weaker synapses or a smaller dt")
        self.done = done
        self._recorder.checkpoint(self._checkpoint)

    def resume(self, kept: Mapping[str, np.ndarray]) -> None:
        """Restore the circuit to the last checkpoint of an interrupted run."""
        self.done, self._counts = int(kept["done"]), kept["counts"]
        self._running.restore(kept, self.done)

    def _checkpoint(self) -> dict[str, np.ndarray]:
        kept = {"done": np.array(self.done), "counts": self._counts.copy()}
        return kept | self._running.capture()

    def _drain(self) -> None:
        """Take the spikes; a spike has the time of the end of its step."""
        circuit = self._running.circuit
        step, index = self._running.spikes()
        if not len(index):
            return
        self._counts += np.bincount(index, minlength=len(self._counts))
        trial, unit = np.divmod(index, circuit.neurons)
        values = {"spike_time": (step + 1) * circuit.dt, "spike_unit": unit, "spike_trial": trial}
        for name in self._events:
            self._recorder.write(name, values[name])

    def _potential(self) -> np.ndarray:
        """Potentials in V, `[trial, unit]`, NaN of sources."""
        circuit = self._running.circuit
        values = self._running.potential()
        for each in circuit.sources:
            values[:, circuit.members[each.name]] = np.nan
        return values

    def _rates(self, done: int) -> np.ndarray:
        """Rates since the last sample of the rate, `[trial, unit]`."""
        every = self._wanted.get("rate", range(1)).step
        rates = self._counts
        if done % every == 0:
            self._drain()
            rates, self._counts = self._counts, np.zeros_like(self._counts)
        return rates.reshape(self._running.trials, -1) / (every * self._running.circuit.dt)

    def _states(self, done: int) -> dict[str, np.ndarray]:
        """Variables of presynaptic rules and their release at the present time: `[trial, projection, unit]`."""
        circuit = self._running.circuit
        rows: list[dict[str, np.ndarray]] = [{} for _ in circuit.rules]
        for place, rule, state in self._running.presynaptic(done):
            row = {**state, "release": rule.at_pre(state)[1]}
            rows[place] = {name: torch.as_tensor(value).numpy() for name, value in row.items()}
        missing = np.full((self._running.trials, circuit.neurons), np.nan)
        return {
            name: np.stack([row.get(name, missing) for row in rows], 1)
            for name in {n for row in rows for n in row}
        }
