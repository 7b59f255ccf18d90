"""A circuit that the native engine runs, as `Sampler` sees it.

Every step is that of `fwsim.spiking.assembly`, so without noise all spikes are those of Brian2. Between spikes a rule
relaxes by a whole number of steps, exactly: its transition over one, two, four … steps is known, and a neuron that
spikes applies those that its interval consists of. Random releases are drawn at every synapse, from chances that follow
from the state of the neuron. Associative rules have a state for each synapse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fwsim.engine.native import library, spikes
from fwsim.engine.native.operations import unknown
from fwsim.errors import ConfigError
from fwsim.recording.in_memory import machine_memory
from fwsim.rules.derive.symbols import structure
from fwsim.rules.rule import AssociativeRule, PresynapticRule, SpikeRule, Values
from fwsim.rules.stochastic_release import StochasticRelease
from fwsim.seeds import stream_seed
from fwsim.spiking import blocks, exact_step
from fwsim.spiking.arrangement import longest_delay, synapses
from fwsim.spiking.associations import Association
from fwsim.spiking.circuit import Circuit
from fwsim.spiking.feed import Feed
from fwsim.spiking.native_sources import emitter
from fwsim.spiking.presynaptic import Presynaptic
from fwsim.spiking.sampler import Sampler
from fwsim.spiking.wiring import Kind, expected

MOST_SPIKES = 2_000_000  # of a trial that one call may list
SYNAPSE_BYTES = 13  # of a synapse without a state, while it is put in its place


def obstacle(circuit: Circuit) -> str | None:
    """Why the native engine cannot run a circuit; `None` if it can."""
    if why := library.obstacle():
        return f"it {why}"
    for rule in circuit.rules:
        if why := _rule_obstacle(rule):
            return why
    return None


def _rule_obstacle(rule: SpikeRule) -> str | None:
    name, kind = type(rule).__name__, structure(rule)
    if len(kind.names) > (most := library.library().fwsim_most_variables()):
        return f"{name} has more than {most} variables"
    for expression in (*kind.pre[0].values(), kind.pre[1], *kind.post.values()):
        if found := unknown(expression):
            return f"{name} needs {found}, which no operation of the engine stands for"
    return None


@dataclass(frozen=True, eq=False)
class _Group:
    """Synapses of one kind: fields of `SpikeSynapses`, full sites if they deplete, and an associative rule."""

    fields: dict[str, Any]
    full: np.ndarray | None
    association: Association | None


class NativeRun:
    """Runs a circuit, and says what its state is.

    Parameters
    ----------
    circuit
        The circuit; `obstacle` has none for it.
    signal
        Drive in V, `[trial, time, unit]`.
    hold
        Steps of each sample of the drive.
    seed
        Seed of synapses, delays, initial potentials, noise, random spikes and random release.
    feed
        A drive that is a function, instead of the signal.
    steps
        Number of steps of the run.

    Raises
    ------
    ConfigError
        The machine has too little memory.
    """

    def __init__(
        self, circuit: Circuit, signal: np.ndarray, hold: int, seed: int, feed: Feed | None, steps: int
    ) -> None:
        self.circuit, self.trials = circuit, len(signal)
        self._feed, self._hold = feed, hold
        self._signal = np.ascontiguousarray(signal, np.float64)
        slots, slow = 1 + longest_delay(circuit), exact_step.slow_inputs(circuit)
        _check_memory(circuit, self.trials, slots, 1 + len(slow))
        self._rules = {
            place: Presynaptic(rule, circuit, self.trials)
            for place, rule in enumerate(circuit.rules)
            if isinstance(rule, PresynapticRule)
        }
        self._groups = [self._group(kind, fields, slow) for kind, fields in synapses(circuit, seed)]
        numbers = exact_step.numbers(circuit)
        self._pause = int(numbers["pause"].min())
        self._fixed = numbers | self._constants(slow, slots, seed)
        self._sources = [emitter(each, circuit, self.trials, steps) for each in circuit.populations]
        neurons, inputs = circuit.neurons, 1 + len(slow)
        self._state = {
            "potential": exact_step.initial_potentials(circuit, self.trials, seed),
            "waiting": np.zeros(self.trials * neurons),
            "current": np.zeros((self.trials, inputs - 1, neurons)),
            "delayed": np.zeros((self.trials, slots, inputs, neurons)),
            "recent": np.zeros((self.trials, self._fixed["most_recent"], 2), np.int64),
            "recents": np.zeros(self.trials, np.int64),
        }
        self._found: list[tuple[np.ndarray, np.ndarray]] = []
        self._parts = self._structures()  # kept, since the engine gets their addresses
        places = {name: spikes.address(self._parts[name]) for name in ("rule", "synapses")}
        self._given = spikes.filled(spikes.SpikesRun, self._fixed | self._state | places)

    def run(self, sampler: Sampler, steps: int, advance: Callable[[int], None]) -> None:
        """Run from where the sampler is to the last step, and sample on the way."""
        longest = max(1, MOST_SPIKES // self.circuit.neurons) * (self._pause + 1)
        done = sampler.done
        while done < steps:
            due = [steps, blocks.begin(done) + blocks.STEPS, done + longest]
            due += [(done // sampler.stride + 1) * sampler.stride] if sampler.stride else []
            stop = min(due)
            self._advance(done, stop)
            if stop < steps and sampler.stride and stop % sampler.stride == 0:
                sampler.take(stop)
            if stop < steps and stop % blocks.STEPS == 0:
                sampler.flush(stop)
            advance(stop - done)
            done = stop

    def potential(self) -> np.ndarray:
        """Potentials in V above rest, `[trial, unit]`."""
        return self._state["potential"].reshape(self.trials, -1).copy()

    def spikes(self) -> tuple[np.ndarray, np.ndarray]:
        """Step and neuron (of all trials) of every spike since the last call."""
        found, self._found = self._found, []
        if not found:
            return np.empty(0), np.empty(0, np.int64)
        step, index = (np.concatenate(part) for part in zip(*found))
        order = np.lexsort((index, step))
        return step[order].astype(float), index[order]

    def presynaptic(self, done: int) -> Iterator[tuple[int, PresynapticRule, Values]]:
        """Place, rule and state `[trial, unit]` of each presynaptic rule after `done` steps."""
        for place, each in self._rules.items():
            yield place, each.by_neuron, each.now(done, self.circuit.dt)

    def weights(self, done: int) -> np.ndarray:
        """Weights of associative rules after `done` steps, `[trial, projection, post, pre]`, NaN without a synapse."""
        neurons, rules = self.circuit.neurons, self.circuit.rules
        found = np.full((self.trials, len(rules), neurons, neurons), np.nan)
        places = {id(rule): place for place, rule in enumerate(rules)}
        for each in self._groups:
            if pairing := each.association:
                weight = pairing.strength(done, self.circuit.dt)
                found[:, places[id(pairing.rule)], each.fields["target"], pairing.pre] = weight
        return found

    def capture(self) -> dict[str, np.ndarray]:
        """Everything that the rest of the run depends on."""
        return {name: value.copy() for name, value in self._changing().items()}

    def restore(self, kept: Mapping[str, np.ndarray], done: int) -> None:
        """Continue from what was captured after `done` steps."""
        for name, value in self._changing().items():
            value[...] = kept[name]

    def _changing(self) -> dict[str, np.ndarray]:
        """All arrays that a run changes."""
        found = dict(self._state)
        for k, rule in enumerate(self._rules.values()):
            found |= {f"state{k}": rule.state, f"last{k}": rule.last}
        for k, each in enumerate(self._groups):
            if each.association:
                found |= {f"pairing{k}": each.association.state, f"paired{k}": each.association.last}
            if each.full is not None:
                found[f"full{k}"] = each.full
        return found

    def _group(self, kind: Kind, fields: dict[str, Any], slow: list[exact_step.SlowInput]) -> _Group:
        order = [id(self.circuit.rules[place]) for place in self._rules]
        place = order.index(id(kind.rule)) if id(kind.rule) in order else -1
        rule = list(self._rules.values())[place] if place >= 0 else None
        count = len(fields["target"])
        numbers = {
            "rule": place,
            "input": 1 + slow.index(exact_step.SlowInput(kind.decay, kind.reversal)) if kind.decay else 0,
            "count": count,
        }
        full = np.full((self.trials, count), rule.sites, np.int32) if rule and rule.depletes else None
        pairing = None
        if isinstance(kind.rule, AssociativeRule):
            pairing = Association(kind.rule, self.circuit, self.trials, fields)
        return _Group(fields | numbers, full, pairing)

    def _constants(self, slow: list[exact_step.SlowInput], slots: int, seed: int) -> dict[str, Any]:
        """What does not change during the run: sizes, and parameters of populations."""
        circuit = self.circuit
        associative = any(each.association for each in self._groups)
        together = -(-slots // (self._pause + 1))  # spikes of a neuron that may be on their way
        return {
            "trials": self.trials,
            "neurons": circuit.neurons,
            "populations": len(circuit.populations),
            "seed": stream_seed(seed, 3),
            "source_seed": stream_seed(seed, 4),
            "release_seed": stream_seed(seed, 5),
            "threads": library.thread_count(self.trials),
            "inputs": 1 + len(slow),
            "slots": slots,
            "rules": len(self._rules),
            "kinds": len(self._groups),
            "most_recent": circuit.neurons * together if associative else 0,
            "hold": 1 if self._feed else self._hold,
            "first": np.cumsum([0, *(p.size for p in circuit.populations)]),
            "spread": np.stack(
                [np.zeros(circuit.neurons), *(exact_step.spread(circuit, each) for each in slow)]
            ),
            "decay": np.array([0.0, *(math.exp(-circuit.dt / each.decay) for each in slow)]),
            "conducting": exact_step.conducts(circuit).astype(np.int64),
            "varied": np.array([bool(getattr(each, "varied", ())) for each in circuit.populations], np.int64),
            "reversal": np.array([math.nan, *(math.nan if e.reversal is None else e.reversal for e in slow)]),
        }

    def _structures(self) -> dict[str, Any]:
        """Arrays of rules, and of groups of synapses with their associations, which stay where they are."""
        pairings = [each.association.structure() if each.association else None for each in self._groups]
        groups = [
            {**each.fields, "full": each.full, "association": spikes.address(pairing)}
            for each, pairing in zip(self._groups, pairings)
        ]
        return {
            "rule": spikes.array(spikes.Rule, [each.structure() for each in self._rules.values()]),
            "synapses": spikes.array(
                spikes.SpikeSynapses, [spikes.filled(spikes.SpikeSynapses, each) for each in groups]
            ),
            "associations": pairings,
        }

    def _advance(self, start: int, stop: int) -> None:
        """Run from one step to another, within a block."""
        drive, begin = self._feed.block(start) if self._feed else (self._signal, 0)
        drive = np.ascontiguousarray(drive, np.float64)
        capacity = self.circuit.neurons * -(-(stop - start) // (self._pause + 1))
        step, unit = (np.empty((self.trials, capacity), np.int32) for _ in range(2))
        count = np.zeros(self.trials, np.int64)
        emitted = [each(start, stop) if each else {} for each in self._sources]
        sources = spikes.array(
            spikes.SpikeSource, [spikes.filled(spikes.SpikeSource, each) for each in emitted]
        )
        changed = {
            "start": start,
            "stop": stop,
            "capacity": capacity,
            "drive": drive,
            "drive_units": drive.shape[2],
            "drive_times": drive.shape[1],
            "drive_start": begin,
            "spike_step": step,
            "spike_unit": unit,
            "spikes": count,
            "source": spikes.address(sources),
        }
        spikes.run(spikes.fill(self._given, changed))
        for trial, size in enumerate(count.tolist()):
            index = unit[trial, :size].astype(np.int64) + trial * self.circuit.neurons
            self._found.append((step[trial, :size].astype(np.int64) + start, index))


def _check_memory(circuit: Circuit, trials: int, slots: int, inputs: int) -> None:
    """Raise `ConfigError` unless the machine has the memory for synapses, their states, and inputs on their way."""
    counts = [expected(circuit, each) for each in circuit.connections]
    plain = SYNAPSE_BYTES * sum(counts)
    own = trials * sum(_bytes(each.synapse) * count for each, count in zip(circuit.connections, counts))
    waiting = 8 * trials * slots * inputs * circuit.neurons
    needed, present = (plain + own + waiting) / 2**30, machine_memory() / 2**30
    if needed > 0.8 * present:
        raise ConfigError(
            f"{trials} trials of {circuit.neurons} neurons need {needed:.3g} GiB and the machine has {present:.3g}: "
            f"{plain / 2**30:.3g} for {sum(counts):.3g} synapses, {own / 2**30:.3g} for states of synapses, and "
            f"{waiting / 2**30:.3g} for inputs that are up to {slots - 1} steps on their way; run fewer trials at "
            "once, scale the circuit down, or take shorter delays"
        )


def _bytes(rule: SpikeRule | None) -> int:
    """Memory of the state of one synapse in one trial."""
    if isinstance(rule, AssociativeRule):
        return 8 * (len(structure(rule).names) + 1)
    sites = isinstance(rule, StochasticRelease) and rule.depletion == "site"
    return 4 if sites else 0
