"""Sources of a circuit in the native engine, as `spikes.hpp` takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fwsim.spiking.circuit import Circuit
from fwsim.spiking.sources import PoissonGenerator, SpikeChances, SpikeGenerator


def emitter(
    source: Any, circuit: Circuit, trials: int, steps: int
) -> Callable[[int, int], dict[str, Any]] | None:
    """What `spikes.hpp` calls a source, from one step to another; `None` for a population that is none."""
    if isinstance(source, PoissonGenerator):
        chances = SpikeChances(source, circuit.dt, trials, steps)

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
