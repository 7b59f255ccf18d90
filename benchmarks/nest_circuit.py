"""A circuit in NEST, wired and driven as its users would do it, and how long it takes.

    python benchmarks/nest_circuit.py --steps 10000 --threads 2

prints a row of `benchmarks/spiking.py` as JSON, in a process of its own. Connections, delays and noise have the same
distributions as in fwsim but are other draws. Its synapses are `tsodyks2_synapse`, the convention maass2002, since NEST
has no synapse in that of Mongillo et al. 2008; jumps are `iaf_psc_delta`. The time of the steps does not include what
NEST prepares before the first one.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time

import nest

from fwsim.spiking import Circuit, Connection, Population
from spiking import FEW, LONG, ROUNDS, full, resident


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a fifth of the neurons")
    parser.add_argument("--steps", type=int, required=True, help="steps of the run that counts spikes")
    parser.add_argument("--threads", type=int, default=2, help="threads of NEST (default 2)")
    options = parser.parse_args()
    imported, circuit = resident(), full(options.quick)
    builds, walls, cpus, spikes = [], [], [], []
    for seed in range(ROUNDS):
        wall = time.perf_counter()
        recorder = build(circuit, options.threads, 1 + seed)
        simulate(circuit, FEW)
        builds.append(time.perf_counter() - wall)
        simulate(circuit, options.steps - FEW)
        spikes.append(recorder.n_events)
        wall, cpu = time.perf_counter(), time.process_time()
        simulate(circuit, (LONG - 1) * options.steps)
        walls.append((time.perf_counter() - wall) / (LONG - 1))
        cpus.append((time.process_time() - cpu) / (LONG - 1))
    row = {
        "first build, s": builds[0],
        "build, s": statistics.median(builds[1:]),
        "steps, s of wall": statistics.median(walls),
        "steps, s of CPU": statistics.median(cpus),
        "spikes": statistics.median(spikes),
        "MB imported": imported,
        "MB at most": resident(),
    }
    print(json.dumps(row))


def simulate(circuit: Circuit, steps: int) -> None:
    """Go on for so many steps."""
    nest.Simulate(1e3 * circuit.dt * steps)


def build(circuit: Circuit, threads: int, seed: int) -> nest.NodeCollection:
    """Make the circuit in a new kernel, and return what records all its spikes."""
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.set(resolution=1e3 * circuit.dt, local_num_threads=threads, rng_seed=seed, overwrite_files=True)
    cells = {each.name: neurons(each, circuit.dt) for each in circuit.populations}
    recorder = nest.Create("spike_recorder")
    for each in cells.values():
        nest.Connect(each, recorder)
    taus = {each.name: each.tau for each in circuit.populations}
    for each in circuit.connections:
        connect(each, cells, math.exp(-circuit.dt / taus[each.post]), circuit.dt)
    return recorder


def neurons(each: Population, dt: float) -> nest.NodeCollection:
    """Neurons of 1 GΩ, so that 1 pA is 1 mV, each with noise of its own."""
    values = {"C_m": 1e3 * each.tau, "tau_m": 1e3 * each.tau, "E_L": 0.0, "t_ref": 1e3 * each.refractory}
    values |= {"V_th": 1e3 * each.threshold, "V_reset": 1e3 * each.reset, "I_e": 1e3 * each.background}
    cells = nest.Create("iaf_psc_delta", each.size, params=values)
    cells.V_m = nest.random.uniform(0.0, 1e3 * each.threshold)
    left = math.exp(-dt / each.tau)
    std = 1e3 * each.noise * math.sqrt((1 + left) / (1 - left))
    nest.Connect(nest.Create("noise_generator", params={"std": std, "dt": 1e3 * dt}), cells)
    return cells


def connect(each: Connection, cells: dict[str, nest.NodeCollection], left: float, dt: float) -> None:
    """Connect two populations.

    A jump arrives a step later than in fwsim, where it has decayed by the next test of the threshold.
    """
    low, high = each.delay
    synapse = {
        "synapse_model": "static_synapse",
        "weight": 1e3 * each.efficacy * left,
        "delay": nest.random.uniform(1e3 * (low + dt), 1e3 * (high + dt)),
    }
    if (rule := each.synapse) is not None:
        synapse |= {"synapse_model": "tsodyks2_synapse", "U": rule.U, "u": rule.U}
        synapse |= {"tau_rec": 1e3 * rule.tau_rec, "tau_fac": 1e3 * rule.tau_facil}
    pairs = {"rule": "pairwise_bernoulli", "p": each.probability, "allow_autapses": False}
    nest.Connect(cells[each.pre], cells[each.post], pairs, synapse)


if __name__ == "__main__":
    main()
