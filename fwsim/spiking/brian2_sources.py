"""Sources of a circuit in Brian2.

The neurons of a source are neurons of the network like all others: they carry the state of rules and are recorded. A
group of Brian2 emits the spikes, each of which puts its neuron above the threshold before the thresholds are tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fwsim.spiking.circuit import Circuit
from fwsim.spiking.sources import SpikeChances, SpikeGenerator

SLOT = "before_thresholds"


def sources(b: Any, circuit: Circuit, trials: int, steps: int | None, neurons: Any) -> Iterator[Any]:
    """Make the groups that emit the spikes of sources, and what they need.

    Parameters
    ----------
    b
        The module Brian2.
    circuit, trials, steps
        The circuit, and the numbers of trials and steps of the run.
    neurons
        Its neurons, of trial 0, then of trial 1, and so on.
    """
    for index, each in enumerate(circuit.sources):
        name = f"source{index}"
        if isinstance(each, SpikeGenerator):
            group = _generator(b, each, circuit.dt, trials, name)
        else:
            chances = SpikeChances(each, circuit.dt, trials, steps)
            group = b.PoissonGroup(trials * each.size, 0 * b.Hz, dt=circuit.dt * b.second, name=name)
            group.thresholder["spike"].when = SLOT
            rates = group.variables["rates"].get_value().reshape(trials, -1)
            rates[:] = chances.of(0) / circuit.dt
            if not chances.constant:
                yield _changing(b, rates, chances, circuit.dt)
        relay = b.Synapses(
            group, neurons, on_pre="v_post = 1*volt", dt=circuit.dt * b.second, name=f"relay{index}"
        )
        first = circuit.members[each.name].start
        trial, unit = np.divmod(np.arange(trials * each.size), each.size)
        relay.connect(i=np.arange(trials * each.size), j=trial * circuit.neurons + first + unit)
        relay.pre.when, relay.pre.order = SLOT, 1
        yield from (group, relay)


def _generator(b: Any, source: SpikeGenerator, dt: float, trials: int, name: str) -> Any:
    trial, step, unit = source.spikes(dt, trials)
    index = trial * source.size + unit
    order = np.lexsort((index, step))
    return b.SpikeGeneratorGroup(
        trials * source.size, index[order], step[order] * dt * b.second, dt=dt * b.second, when=SLOT, name=name,
        sorted=True,
    )  # fmt: skip


def _changing(b: Any, rates: np.ndarray, chances: SpikeChances, dt: float) -> Any:
    """The operation that sets rates in Hz, `[trial, neuron]`, in every step."""

    @b.network_operation(dt=dt * b.second, when="start", order=-1)
    def set_rates(t: Any) -> None:
        rates[:] = chances.of(round(float(np.asarray(t)) / dt)) / dt

    return set_rates
