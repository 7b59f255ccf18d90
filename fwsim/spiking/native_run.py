"""A circuit that the native engine runs, as `Sampler` sees it.

Every step is that of `fwsim.spiking.assembly`, so without noise all spikes are those of Brian2. Between spikes a rule
relaxes by a whole number of steps, exactly: its transition over one, two, four … steps is known, and a neuron that
spikes applies those that its interval consists of. Random releases are drawn at every synapse, from chances that follow
from the state of the neuron. Associative rules have a state for each synapse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import sympy
import torch

from fwsim.engine.native import library, spikes
from fwsim.engine.native.program import compile_programs, unknown
from fwsim.errors import ConfigError
from fwsim.recording.in_memory import machine_memory
from fwsim.rules.derive.sites import resource_of
from fwsim.rules.derive.symbols import structure
from fwsim.rules.parameters import as_tensors, leaves
from fwsim.rules.rule import AssociativeRule, PresynapticRule, SpikeRule, Values
from fwsim.rules.stochastic_release import StochasticRelease
from fwsim.seeds import stream_seed
from fwsim.spiking import exact_step
from fwsim.spiking.arrangement import Placed, arranged
from fwsim.spiking.associations import BITS, Association, powers
from fwsim.spiking.circuit import Circuit
from fwsim.spiking.feed import Feed
from fwsim.spiking.parameters import by_neuron, by_population, initial_states
from fwsim.spiking.sampler import BLOCK, Sampler
from fwsim.spiking.sources import PoissonGenerator, SpikeChances, SpikeGenerator
from fwsim.spiking.wiring import Kind, draw, grouped

MOST_SPIKES = 2_000_000  # of a trial that one call may list
RELEASE = sympy.Symbol("release", real=True)


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
    """

    def __init__(
        self, circuit: Circuit, signal: np.ndarray, hold: int, seed: int, feed: Feed | None, steps: int
    ) -> None:
        self.circuit, self.trials = circuit, len(signal)
        self._feed, self._hold = feed, hold
        self._signal = np.ascontiguousarray(signal, np.float64)
        longest = np.array([each.delays[1] for each in circuit.connections] or [0.0], np.float32)  # as drawn
        self._slots = 1 + int(_steps(longest, circuit.dt).max())
        slow = exact_step.slow_inputs(circuit)
        drawn = _drawn(circuit, seed)
        self._check_memory(1 + len(slow), drawn)
        self._places = [
            place for place, rule in enumerate(circuit.rules) if isinstance(rule, PresynapticRule)
        ]
        presynaptic = [circuit.rules[place] for place in self._places]
        self._rules = [_Lowered(rule, circuit, self.trials) for rule in presynaptic]
        self._synapses = [arranged(parts, circuit.neurons, self._slots) for _, parts in drawn]
        places = {id(rule): place for place, rule in enumerate(presynaptic)}
        self._kinds = [
            (places.get(id(kind.rule), -1), 1 + slow.index(_slow(kind)) if kind.decay else 0)
            for kind, _ in drawn
        ]
        self._associations = [
            Association(kind.rule, circuit, self.trials, each)
            if isinstance(kind.rule, AssociativeRule)
            else None
            for (kind, _), each in zip(drawn, self._synapses)
        ]
        self._fixed = self._constants(slow, seed)
        self._full = [
            self._rules[rule].full(self.trials, len(each["target"])) if rule >= 0 else None
            for each, (rule, _) in zip(self._synapses, self._kinds)
        ]
        self._sources = [_emitter(each, circuit, self.trials, steps) for each in circuit.populations]
        neurons, inputs = circuit.neurons, 1 + len(slow)
        self._state = {
            "potential": exact_step.initial_potentials(circuit, self.trials, seed),
            "waiting": np.zeros(self.trials * neurons),
            "current": np.zeros((self.trials, inputs - 1, neurons)),
            "delayed": np.zeros((self.trials, self._slots, inputs, neurons)),
            "recent": np.zeros((self.trials, self._fixed["most_recent"], 2), np.int64),
            "recents": np.zeros(self.trials, np.int64),
        }
        self._found: list[tuple[np.ndarray, np.ndarray]] = []

    def run(self, sampler: Sampler, steps: int, advance: Callable[[int], None]) -> None:
        """Run from where the sampler is to the last step, and sample on the way."""
        pause = int(self._fixed["pause"].min())
        longest = max(1, MOST_SPIKES // self.circuit.neurons) * (pause + 1)
        done = sampler.done
        while done < steps:
            due = [steps, (done // BLOCK + 1) * BLOCK, done + longest]
            due += [(done // sampler.stride + 1) * sampler.stride] if sampler.stride else []
            stop = min(due)
            self._advance(done, stop, pause)
            if stop < steps and sampler.stride and stop % sampler.stride == 0:
                sampler.take(stop)
            if stop < steps and stop % BLOCK == 0:
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
        for place, each in zip(self._places, self._rules):
            yield place, each.by_neuron, each.now(done, self.circuit.dt)

    def weights(self, done: int) -> np.ndarray:
        """Weights of associative rules after `done` steps, `[trial, projection, post, pre]`, NaN without a synapse."""
        neurons, rules = self.circuit.neurons, self.circuit.rules
        found = np.full((self.trials, len(rules), neurons, neurons), np.nan)
        places = {id(rule): place for place, rule in enumerate(rules)}
        for each, synapses in zip(self._associations, self._synapses):
            if each is not None:
                weight = each.strength(done, self.circuit.dt)
                found[:, places[id(each.rule)], synapses["target"], each.pre] = weight
        return found

    def capture(self) -> dict[str, np.ndarray]:
        """Everything that the rest of the run depends on."""
        kept = {name: value.copy() for name, value in self._state.items()}
        for place, each in enumerate(self._rules):
            kept |= {f"state{place}": each.state.copy(), f"last{place}": each.last.copy()}
        for k, pairing in enumerate(self._associations):
            if pairing is not None:
                kept |= {f"pairing{k}": pairing.state.copy(), f"paired{k}": pairing.last.copy()}
        return kept | {f"full{k}": full.copy() for k, full in enumerate(self._full) if full is not None}

    def restore(self, kept: Mapping[str, np.ndarray], done: int) -> None:
        """Continue from what was captured after `done` steps."""
        for name, value in self._state.items():
            value[...] = kept[name]
        for place, each in enumerate(self._rules):
            each.state[...], each.last[...] = kept[f"state{place}"], kept[f"last{place}"]
        for k, pairing in enumerate(self._associations):
            if pairing is not None:
                pairing.state[...], pairing.last[...] = kept[f"pairing{k}"], kept[f"paired{k}"]
        for k, full in enumerate(self._full):
            if full is not None:
                full[...] = kept[f"full{k}"]

    def _check_memory(self, inputs: int, drawn: list[tuple[Kind, list[Placed]]]) -> None:
        """Raise `ConfigError` unless the machine has the memory for inputs on their way and states of synapses."""
        waiting = 8 * self.trials * self._slots * inputs * self.circuit.neurons
        own = self.trials * sum(_bytes(kind.rule) * len(each.pre) for kind, parts in drawn for each in parts)
        if (needed := waiting + own) > 0.8 * machine_memory():
            raise ConfigError(
                f"{self.trials} trials of {self.circuit.neurons} neurons with delays of up to {self._slots - 1} steps "
                f"need {needed / 2**30:.0f} GiB, {own / 2**30:.0f} of it for states of synapses, and the machine has "
                f"{machine_memory() / 2**30:.0f}; run fewer trials at once, or take shorter delays"
            )

    def _constants(self, slow: list[exact_step.SlowInput], seed: int) -> dict[str, Any]:
        """What does not change during the run: sizes, and parameters of populations."""
        circuit = self.circuit
        none, numbers = np.zeros(circuit.neurons), exact_step.numbers(circuit)
        pause = int(numbers["pause"].min())
        associative = any(each is not None for each in self._associations)
        return {
            "trials": self.trials,
            "neurons": circuit.neurons,
            "populations": len(circuit.populations),
            "seed": stream_seed(seed, 3),
            "source_seed": stream_seed(seed, 4),
            "release_seed": stream_seed(seed, 5),
            "threads": library.thread_count(self.trials),
            "inputs": 1 + len(slow),
            "slots": self._slots,
            "rules": len(self._rules),
            "kinds": len(self._synapses),
            "most_recent": circuit.neurons * -(-self._slots // (pause + 1)) if associative else 0,
            "hold": 1 if self._feed else self._hold,
            "first": np.cumsum([0, *(p.size for p in circuit.populations)]),
            "spread": np.stack([none, *(exact_step.spread(circuit, each) for each in slow)]),
            "decay": np.array([0.0, *(math.exp(-circuit.dt / each.decay) for each in slow)]),
            "conducting": exact_step.conducts(circuit).astype(np.int64),
            "varied": np.array([bool(getattr(each, "varied", ())) for each in circuit.populations], np.int64),
            "reversal": np.array([math.nan, *(math.nan if e.reversal is None else e.reversal for e in slow)]),
            **numbers,
        }

    def _advance(self, start: int, stop: int, pause: int) -> None:
        drive = (
            self._signal if self._feed is None else np.ascontiguousarray(self._feed.block(start), np.float64)
        )
        capacity = self.circuit.neurons * -(-(stop - start) // (pause + 1))
        step, unit = (np.empty((self.trials, capacity), np.int32) for _ in range(2))
        count = np.zeros(self.trials, np.int64)
        emitted = [each and each(start, stop) for each in self._sources]
        sources = (spikes.SpikeSource * len(emitted))(
            *(spikes.filled(spikes.SpikeSource, each or {}) for each in emitted)
        )
        rules = (spikes.Rule * max(1, len(self._rules)))(*(each.structure() for each in self._rules))
        associations = [None if each is None else each.structure() for each in self._associations]
        synapses = (spikes.SpikeSynapses * max(1, len(self._synapses)))(
            *(
                spikes.filled(
                    spikes.SpikeSynapses,
                    {
                        **{**each, "rule": rule, "input": place, "count": len(each["target"]), "full": full},
                        "association": None if pairing is None else spikes.ctypes.addressof(pairing),
                    },
                )
                for each, (rule, place), full, pairing in zip(
                    self._synapses, self._kinds, self._full, associations
                )
            )
        )
        given = {
            **self._fixed,
            **self._state,
            "start": start,
            "stop": stop,
            "capacity": capacity,
            "drive": drive,
            "drive_units": drive.shape[2],
            "drive_times": drive.shape[1],
            "drive_start": 0 if self._feed is None else start // BLOCK * BLOCK,
            "spike_step": step,
            "spike_unit": unit,
            "spikes": count,
        }
        made = spikes.filled(spikes.SpikesRun, given)
        made.source, made.rule, made.synapses = map(spikes.ctypes.addressof, (sources, rules, synapses))
        spikes.run(made)
        for trial, size in enumerate(count.tolist()):
            index = unit[trial, :size].astype(np.int64) + trial * self.circuit.neurons
            self._found.append((step[trial, :size].astype(np.int64) + start, index))


def _slow(kind: Kind) -> exact_step.SlowInput:
    return exact_step.SlowInput(kind.decay, kind.reversal)


def _emitter(
    source: Any, circuit: Circuit, trials: int, steps: int
) -> Callable[[int, int], dict[str, Any]] | None:
    """What `spikes.hpp` calls a source, from one step to another; `None` for a population that is none."""
    if isinstance(source, PoissonGenerator):
        chances = SpikeChances(source, circuit.dt, trials, BLOCK, steps)

        def random(start: int, stop: int) -> dict[str, Any]:
            chance, begin = chances.block(start)
            each, times, units = chance.shape
            return {
                **{"each": each > 1, "times": times, "units": units, "begin": begin, "hold": chances.hold},
                "chance": np.ascontiguousarray(chance),
            }

        return random
    if isinstance(source, SpikeGenerator):
        trial, step, unit = source.spikes(circuit.dt, trials)
        inside = step < steps
        when = (trial * steps + step)[inside]  # in the order of trials
        due = (unit + circuit.members[source.name].start)[inside].astype(np.int32)

        def given(start: int, stop: int) -> dict[str, Any]:
            edges = np.arange(trials)[:, None] * steps + np.arange(start, stop + 1)
            return {"begins": np.searchsorted(when, edges).astype(np.int64), "due": due}

        return given
    return None


class _Lowered:
    """A rule as the engine takes it, and its state in every neuron."""

    def __init__(self, rule: Any, circuit: Circuit, trials: int) -> None:
        self.by_neuron = by_neuron(rule, circuit, trials)
        begin = initial_states(rule, circuit, trials)
        alike = circuit.source(rule) is None
        rule = by_population(rule, circuit, trials) if alike else self.by_neuron
        units = len(circuit.populations) if alike else circuit.neurons
        kind, numeric, shape = structure(rule), as_tensors(rule), (trials, units)
        names = kind.names
        random = rule if isinstance(rule, StochasticRelease) else None
        resource = resource_of(structure(random.rule)) if random and random.depletion == "site" else None
        release = kind.pre[1]
        if resource is not None:
            release = release.subs(kind.state[resource], 1)  # of a full site
        symbols = [symbol for _, symbol, _ in leaves(kind.rule)]
        self._program = compile_programs(
            (((*((kind.state[n], kind.pre[0][n]) for n in names), (RELEASE, release))),),
            (*(kind.state[n] for n in names), *symbols, RELEASE),
            (),
        )
        rest = numeric.rest()
        self._names = names
        self._sites, self._variation = (random.sites, float(random.cv)) if random else (0, 0.0)
        self._resource = -1 if resource is None else names.index(resource)
        self._rest = _stacked([rest[name] for name in names], shape)
        self._values = _stacked([value for _, value, _ in leaves(numeric)], shape)
        self._powers = np.ascontiguousarray(np.moveaxis(powers(rule, names, circuit.dt, shape), 0, 2))
        self._code = np.ascontiguousarray(self._program.instructions[0])
        self._literals = np.array(self._program.literals or [0.0])
        sizes = [each.size for each in circuit.populations] if alike else 1
        self.state = np.repeat(self._rest, sizes, axis=1)
        self._each = int(not alike)
        self.last = np.zeros((trials, circuit.neurons), np.int64)
        if begin is not None:
            self.state = np.stack([begin[name].numpy() for name in names], -1)
            self.last -= 1  # time 0 is the end of the step before the first

    def structure(self) -> Any:
        """What `spikes.hpp` calls a rule."""
        return spikes.filled(
            spikes.Rule,
            {
                "variables": len(self._names),
                "parameters": self._values.shape[-1],
                "bits": BITS,
                "count": len(self._code),
                "numbers": len(self._program.literals),
                "temporaries": self._program.temporaries,
                "each": self._each,
                "sites": self._sites,
                "resource": self._resource,
                "variation": self._variation,
                "instructions": self._code,
                "literals": self._literals,
                "rest": self._rest,
                "values": self._values,
                "powers": self._powers,
                "state": self.state,
                "last": self.last,
            },
        )

    def full(self, trials: int, synapses: int) -> np.ndarray | None:
        """Full sites `[trial, synapse]` when a run begins; `None` if sites do not deplete."""
        return None if self._resource < 0 else np.full((trials, synapses), self._sites, np.int32)

    def now(self, done: int, dt: float) -> Values:
        """State of every neuron after `done` steps, `[trial, unit]`."""
        state = {name: torch.from_numpy(self.state[..., k].copy()) for k, name in enumerate(self._names)}
        elapsed = np.maximum(done - 1 - self.last, 0)  # before the first step all is at its start
        return self.by_neuron.propagate(state, torch.from_numpy(elapsed * dt))


def _stacked(values: list[Any], shape: tuple[int, int]) -> np.ndarray:
    """Values as `[trial, unit, value]`, with populations or neurons as units."""
    if not values:
        return np.zeros((*shape, 0))
    parts = [torch.as_tensor(value, dtype=torch.float64).detach().expand(shape) for value in values]
    return torch.stack(parts, -1).numpy().copy()


def _bytes(rule: SpikeRule | None) -> int:
    """Memory of the state of one synapse in one trial."""
    if isinstance(rule, AssociativeRule):
        return 8 * (len(structure(rule).names) + 1)
    sites = isinstance(rule, StochasticRelease) and rule.depletion == "site"
    return 4 if sites else 0


def _steps(delay: np.ndarray, dt: float) -> np.ndarray:
    """Delays in steps, rounded as Brian2 does."""
    return np.floor(delay.astype(np.float64) / dt + 0.5).astype(np.int32)


def _drawn(circuit: Circuit, seed: int) -> list[tuple[Kind, list[Placed]]]:
    """Synapses of each kind with their delays in steps, in the order of connections; kinds without any are left out."""
    parts = (
        Placed(each.pre, each.post, _steps(each.delay, circuit.dt), each.jump) for each in draw(circuit, seed)
    )
    return [(kind, found) for kind, found in grouped(circuit, parts) if any(len(each.pre) for each in found)]
