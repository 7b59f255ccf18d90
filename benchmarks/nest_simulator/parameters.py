"""Neurons, synapses, jumps and noise of a circuit of fwsim, with the names and units of NEST: ms, mV, pA, nS, pF.

Membranes have a resistance of 1 GΩ, so that 1 pA is 1 mV, and 1 nS is the conductance of the leak.
`benchmarks/nest_simulator/circuit.py` lets NEST draw the connections; `tests/spiking/test_nest.py` gives it those of
fwsim, and shows that the spikes are the same.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fwsim import TsodyksMarkram
from fwsim.spiking import Circuit, Population


def neurons(circuit: Circuit, population: Population) -> tuple[str, dict[str, float]]:
    """Model of a population's neurons, which follows from the connections that reach it, and its parameters."""
    values = {
        "C_m": 1e3 * population.tau,
        "E_L": 0.0,
        "I_e": 1e3 * population.background,
        "V_th": 1e3 * population.threshold,
        "V_reset": 1e3 * population.reset,
        "t_ref": 1e3 * population.refractory,
    }
    reached = [each for each in circuit.connections if each.post == population.name and each.decay]
    conducts = any(each.reversal is not None for each in reached)
    for each in reached:
        sign = "ex" if (each.reversal if conducts else each.efficacy) > 0 else "in"
        values[f"tau_syn_{sign}"] = 1e3 * each.decay
        if conducts:
            values[f"E_{sign}"] = 1e3 * each.reversal
    if conducts:
        return "iaf_cond_exp", values | {"g_L": 1.0}
    return "iaf_psc_exp" if reached else "iaf_psc_delta", values | {"tau_m": 1e3 * population.tau}


def synapse(model: str, rule: TsodyksMarkram | None) -> dict[str, Any]:
    """Synapse at rest: `model`, for a plastic one `"tsodyks2_synapse"` or `"tsodyks_synapse"`, and its parameters.

    The first is the convention maass2002, the second tm1998; NEST has none of mongillo2008.
    """
    if rule is None:
        return {"synapse_model": "static_synapse"}
    values = {"U": rule.U, "tau_rec": 1e3 * rule.tau_rec, "tau_fac": 1e3 * rule.tau_facil}
    first = {"u": rule.U} if model == "tsodyks2_synapse" else {"tau_psc": 1e3 * rule.tau_inact}
    return {"synapse_model": model, **values, **first}


def jump(efficacy: ArrayLike, delay: ArrayLike, tau: ArrayLike, dt: float) -> tuple[Any, Any]:
    """Weight and delay of a jump of `efficacy` V that arrives `delay` s later, in a membrane with time constant `tau`.

    NEST adds it at the end of a step, fwsim at the beginning of the next. So in NEST it has to arrive a step later,
    decayed as it has in fwsim when the potential is next compared with the threshold.
    """
    return 1e3 * np.multiply(efficacy, np.exp(-dt / np.asarray(tau))), 1e3 * np.add(delay, dt)


def noise(population: Population, dt: float) -> dict[str, float]:
    """Parameters of a noise generator that gives the potential the standard deviation `population.noise`."""
    left = math.exp(-dt / population.tau)
    return {"std": 1e3 * population.noise * math.sqrt((1 + left) / (1 - left)), "dt": 1e3 * dt}
