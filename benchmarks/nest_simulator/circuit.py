"""A circuit in NEST, wired and driven as its users would do it, and how long it takes.

    cd benchmarks; python -m nest_simulator.circuit --steps 10000 --threads 2

prints a row of `spiking.py` as JSON, in a process of its own. Connections, delays and noise have the same
distributions as in fwsim but are other draws. Its synapses are `tsodyks2_synapse`, the convention maass2002, since NEST
has no synapse in that of Mongillo et al. 2008; jumps are `iaf_psc_delta`. The time of the steps does not include what
NEST prepares before the first one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import nest

from fwsim.spiking import Circuit, Connection, Population
from nest_simulator import parameters
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
    cells = {each.name: neurons(circuit, each) for each in circuit.populations}
    recorder = nest.Create("spike_recorder")
    for each in cells.values():
        nest.Connect(each, recorder)
    for each in circuit.connections:
        connect(circuit, each, cells)
    return recorder


def neurons(circuit: Circuit, population: Population) -> nest.NodeCollection:
    """Make a population, each neuron with noise of its own."""
    model, values = parameters.neurons(circuit, population)
    cells = nest.Create(model, population.size, params=values)
    cells.V_m = nest.random.uniform(0.0, values["V_th"])
    nest.Connect(nest.Create("noise_generator", params=parameters.noise(population, circuit.dt)), cells)
    return cells


def connect(circuit: Circuit, each: Connection, cells: dict[str, nest.NodeCollection]) -> None:
    """Connect two populations, with jumps of the potential."""
    tau = {population.name: population.tau for population in circuit.populations}[each.post]
    weight, delays = parameters.jump(each.efficacy, each.delay, tau, circuit.dt)
    values = parameters.synapse("tsodyks2_synapse", each.synapse)
    values |= {"weight": weight, "delay": nest.random.uniform(*delays)}
    pairs = {"rule": "pairwise_bernoulli", "p": each.probability, "allow_autapses": False}
    nest.Connect(cells[each.pre], cells[each.post], pairs, values)


if __name__ == "__main__":
    main()
