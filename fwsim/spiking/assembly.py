"""A circuit as an explicit Brian2 network, with independent trials as blocks of one network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fwsim.errors import ConfigError, whole
from fwsim.names import known_arguments
from fwsim.recording.in_memory import machine_memory
from fwsim.rules.derive.brian2_code import Brian2Code
from fwsim.rules.rule import AssociativeRule, PresynapticRule, SpikeRule, Values
from fwsim.rules.stochastic_release import StochasticRelease
from fwsim.seeds import check_seed
from fwsim.spiking import exact_step
from fwsim.spiking.backend import brian2
from fwsim.spiking.brian2_sources import sources
from fwsim.spiking.circuit import Circuit
from fwsim.spiking.parameters import by_neuron, by_synapse, initial_states
from fwsim.spiking.stimulation import checked_drive
from fwsim.spiking.wiring import Wiring, expected, wirings

SYNAPSE_BYTES = 60  # memory of Brian2 for one synapse with a weight and a delay

NEURONS = """
v : volt
arriving : volt
waiting : integer
pause : integer (constant)
block : integer (constant)
background : volt
theta : volt (constant)
bottom : volt (constant)
leak : 1 (constant)
rate : 1 (constant)
conducting : 1 (constant)
kick : volt (constant)
"""

STEP = """
aim = background + drive(t, block)
free = int(waiting == 0)
v += free*(aim + (v + arriving - aim)*leak + kick*randn(){currents} - v)
waiting -= 1 - free
arriving = 0*volt
"""

CONDUCTANCES = """
total = 1{opened}
aim = (background + drive(t, block){aimed} + conducting*(0*volt{currents}))/total
left = exp(-rate*total)
noisy = 1 + conducting*(sqrt((1 - left**2)/total) - 1)
free = int(waiting == 0)
v += free*(aim + (v + arriving - aim)*left + kick*noisy*randn() + (1 - conducting)*(0*volt{currents}) - v)
waiting -= 1 - free
arriving = 0*volt
"""
"""The same for a circuit with conductances; populations without them have a total of 1."""


@dataclass(frozen=True, eq=False)
class Carrier:
    """Objects of Brian2 that carry the state of a rule.

    Parameters
    ----------
    place
        Index of the rule in `circuit.rules`.
    rule
        The rule, with one parameter value for all, or with `[trial, neuron]`.
    group
        Neurons (presynaptic rules) or synapses (associative rules).
    code
        Brian2 code of the rule.
    """

    place: int
    rule: SpikeRule
    group: Any
    code: Brian2Code


@dataclass(frozen=True, eq=False)
class Assembly:
    """Brian2 objects of a circuit.

    Parameters
    ----------
    circuit, trials
        The circuit, and the number of trials.
    network
        The explicit `brian2.Network` of all other objects; add to it, then run it.
    neurons
        All neurons of trial 0, then those of trial 1, and so on: potential `v` in V above rest, the variables of
        presynaptic rules with the prefix `rule<k>_`.
    synapses
        One `Synapses` for each kind of synapse.
    spikes
        Monitor of all spikes.
    carriers
        Where the state of each rule is, except for presynaptic rules whose synapses have their own state.
    """

    circuit: Circuit
    trials: int
    network: Any
    neurons: Any
    synapses: list[Any]
    spikes: Any
    carriers: list[Carrier]


@known_arguments
def build(
    circuit: Circuit,
    drive: np.ndarray | None = None,
    *,
    hold: int = 1,
    trials: int | None = None,
    seed: int = 0,
    steps: int | None = None,
) -> Assembly:
    """Make the Brian2 network of a circuit.

    One step is exact for a constant drive: potentials and currents are propagated as in Rotter & Diesmann 1999 (Biol.
    Cybern. 81:381), and the noise as the Ornstein–Uhlenbeck process that it is; with conductances it is exact up to dt²
    (`Connection`). The state of a presynaptic rule is
    stored in the neuron, if it is still the state at the spike when the spike arrives.

    Parameters
    ----------
    circuit
        The circuit.
    drive
        Input in addition to the background in V, `[trial, time, unit]` with populations or neurons as units.
    hold
        Number of steps for which each sample of the drive stays constant.
    trials
        Number of copies with the same synapses and independent noise, if `drive` does not determine it.
    seed
        Seed of synapses, delays and initial potentials, which are uniform between rest and threshold; noise and random
        spikes follow `brian2.seed`.
    steps
        Number of steps of the run, at whose end no function is asked for rates any more; `None`: without end.

    Raises
    ------
    ConfigError, ShapeError
        The drive does not fit, the machine has too little memory, or Brian2 is missing.
    """
    check_seed(seed)
    whole("hold", hold, least=1)
    if steps is not None:
        whole("steps", steps, least=1)
    b = brian2()
    drive = checked_drive(circuit, drive, trials, neurons=True)
    trials = len(drive)
    _check_memory(circuit, trials)
    rules = _rules(circuit, trials)
    code = {place: rule.brian2(prefix=prefix(place)) for place, rule in rules.items()}
    drawn = wirings(circuit, seed)
    neurons = _neurons(b, circuit, drive, hold, code, seed)
    synapses = [_synapses(b, circuit, each, neurons, trials, index) for index, each in enumerate(drawn)]
    spikes = b.SpikeMonitor(neurons, name="spikes")
    network = b.Network(neurons, spikes, *synapses, *sources(b, circuit, trials, steps, neurons))
    carriers = [Carrier(place, rules[place], neurons, code[place]) for place in rules]
    carriers += [
        Carrier(_place(circuit, each.rule), each.rule, group, each.rule.brian2())
        for each, group in zip(drawn, synapses)
        if isinstance(each.rule, AssociativeRule)
    ]
    return Assembly(circuit, trials, network, neurons, synapses, spikes, carriers)


def _neurons(
    b: Any,
    circuit: Circuit,
    drive: np.ndarray,
    hold: int,
    code: dict[int, Brian2Code],
    seed: int,
) -> Any:
    trials = len(drive)
    slow = exact_step.slow_inputs(circuit)
    declared = [
        f"current{k} : {'volt' if kind.reversal is None else 1}\nspread{k} : 1 (constant)"
        for k, kind in enumerate(slow)
    ]
    flat = drive.transpose(1, 0, 2).reshape(drive.shape[1], -1)
    step = _step(slow)
    step += "".join(
        f"current{k} *= {float(np.exp(-circuit.dt / kind.decay))!r}\n" for k, kind in enumerate(slow)
    )
    neurons = b.NeuronGroup(
        circuit.neurons * trials,
        "\n".join([NEURONS, *declared, *(each.model for each in code.values())]),
        threshold="v > theta",
        reset="\n".join(["v = bottom", "waiting = pause", *(each.on_pre for each in code.values())]),
        dt=circuit.dt * b.second,
        namespace={"drive": b.TimedArray(flat * b.volt, dt=hold * circuit.dt * b.second, name="drive")},
        name="neurons",
    )
    neurons.resetter["spike"].when = "after_thresholds"  # synapses read what the spike released
    neurons.run_regularly(step, dt=circuit.dt * b.second, when="groups", name="step")
    for place, each in code.items():
        state = initial_states(circuit.rules[place], circuit, trials)
        each.initialise(
            neurons, _flat(state), -circuit.dt
        )  # Brian2 dates a spike at the beginning of its step
    _initialise(b, circuit, neurons, trials, slow, seed)
    if drive.shape[-1] == circuit.neurons:
        neurons.block = np.arange(circuit.neurons * trials)
    return neurons


def _step(slow: list[exact_step.SlowInput]) -> str:
    """What moves the potentials."""
    summed = [f" + spread{k}*current{k}" for k in range(len(slow))]
    currents = "".join(each for each, kind in zip(summed, slow) if kind.reversal is None)
    opened = [(each, kind.reversal) for each, kind in zip(summed, slow) if kind.reversal is not None]
    if not opened:
        return STEP.format(currents=currents)
    return CONDUCTANCES.format(
        opened="".join(each for each, _ in opened),
        aimed="".join(f"{each}*({reversal!r}*volt)" for each, reversal in opened),
        currents=currents,
    )


def _initialise(
    b: Any, circuit: Circuit, neurons: Any, trials: int, slow: list[exact_step.SlowInput], seed: int
) -> None:
    sizes = [p.size for p in circuit.populations]
    found = {name: np.tile(values, trials) for name, values in exact_step.numbers(circuit).items()}
    neurons.block = np.repeat(np.arange(trials * len(sizes)), np.tile(sizes, trials))
    neurons.theta, neurons.bottom = found["threshold"] * b.volt, found["reset"] * b.volt
    neurons.background, neurons.kick = found["background"] * b.volt, found["kick"] * b.volt
    neurons.leak, neurons.pause = found["leak"], found["pause"].astype(int)
    neurons.rate = found["rate"]
    neurons.conducting = np.tile(exact_step.by_neuron(circuit, exact_step.conducts(circuit)), trials)
    neurons.v = exact_step.initial_potentials(circuit, trials, seed) * b.volt
    for k, kind in enumerate(slow):
        setattr(neurons, f"spread{k}", np.tile(exact_step.spread(circuit, kind), trials))


def _synapses(b: Any, circuit: Circuit, each: Wiring, neurons: Any, trials: int, index: int) -> Any:
    kind = exact_step.SlowInput(each.decay, each.reversal)
    target = f"current{exact_step.slow_inputs(circuit).index(kind)}_post" if each.decay else "arriving_post"
    unit = "volt" if each.reversal is None else "1"
    model, on_pre, on_post = f"jump : {unit} (constant)", f"{target} += jump", None
    code = None
    if each.rule is not None and each.own_state:
        rule = each.rule
        if isinstance(rule, PresynapticRule):
            rule = by_synapse(rule, circuit, trials, each.pre)
        code = rule.brian2()
        model, on_pre, on_post = (
            f"{model}\n{code.model}",
            f"{code.on_pre}\n{on_pre}*{code.output}",
            code.on_post,
        )
    elif each.rule is not None:
        on_pre = f"{on_pre}*{prefix(_place(circuit, each.rule))}release_pre"
    synapses = b.Synapses(
        neurons, neurons, model=model, on_pre=on_pre, on_post=on_post, dtype={"jump": np.float32},
        dt=circuit.dt * b.second, name=f"synapses{index}",
    )  # fmt: skip
    offset = np.repeat(np.arange(trials, dtype=np.int32) * circuit.neurons, len(each.pre))
    synapses.connect(i=np.tile(each.pre, trials) + offset, j=np.tile(each.post, trials) + offset)
    synapses.jump = np.tile(each.jump, trials) * (b.volt if each.reversal is None else 1)
    if len(each.delay):
        synapses.pre.delay = np.tile(each.delay, trials) * b.second
    if code is not None and each.rule is not None:
        state = initial_states(each.rule, circuit, trials)
        of_pre = state and {name: value[:, each.pre] for name, value in state.items()}
        code.initialise(synapses, _flat(of_pre), 0.0 if state is None else _arrival(circuit, each, trials))
    return synapses


def _flat(state: Values | None) -> dict[str, np.ndarray] | None:
    return state and {name: value.flatten().numpy() for name, value in state.items()}


def _arrival(circuit: Circuit, each: Wiring, trials: int) -> np.ndarray:
    """When a spike at time 0 would reach each synapse, in Brian2's time in s, `[trial · synapse]`.

    The state of a presynaptic rule is that of the neuron, whose spikes change it here when they arrive.
    """
    delay = np.floor(each.delay.astype(np.float64) / circuit.dt + 0.5) * circuit.dt
    return np.tile(delay * isinstance(each.rule, PresynapticRule) - circuit.dt, trials)


def _place(circuit: Circuit, rule: SpikeRule) -> int:
    return next(k for k, each in enumerate(circuit.rules) if each is rule)


def prefix(place: int) -> str:
    """Prefix of the names of a rule's variables in the neurons, by its index in the circuit."""
    return f"rule{place}_"


def _rules(circuit: Circuit, trials: int) -> dict[int, PresynapticRule]:
    """Presynaptic rules by their index, with parameters for every neuron if they differ between neurons.

    Random releases belong to synapses; neurons have the mean state.
    """
    spread = {
        place: by_neuron(rule, circuit, trials)
        for place, rule in enumerate(circuit.rules)
        if isinstance(rule, PresynapticRule)
    }
    return {k: rule.rule if isinstance(rule, StochasticRelease) else rule for k, rule in spread.items()}


def _check_memory(circuit: Circuit, trials: int) -> None:
    synapses = trials * sum(expected(circuit, each) for each in circuit.connections)
    needed, present = synapses * SYNAPSE_BYTES, machine_memory()
    if needed > 0.8 * present:
        raise ConfigError(
            f"{synapses:.3g} synapses need {needed / 2**30:.0f} GiB and the machine has {present / 2**30:.0f}; "
            "run fewer trials at once (with other seeds), or scale the circuit down"
        )
