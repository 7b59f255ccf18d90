"""
Are spikes and rates the same system?
=====================================

Eight populations on a ring are driven by an input that turns. The circuit is simulated with spikes and in its rate
version. Three measures compare the two: positions of states at the same times (Procrustes distance, linear CKA), and
their dynamics (dynamical similarity analysis, which needs no common times). Persistent homology says whether the states
lie on a ring. Other runs show what counts as near and as far.
"""

import matplotlib.pyplot as plt
import numpy as np

import fwsim as fw
from fwsim import ms, mV
from fwsim.spiking import Circuit, Connection, Population, pooled, simulate, simulate_rates

populations, dt, duration = 8, 0.5 * ms, 4.0
theta = 2 * np.pi * np.arange(populations) / populations
neuron = {"tau": 15 * ms, "threshold": 20 * mV, "reset": 12 * mV, "noise": 3 * mV, "background": 15 * mV}
circuit = Circuit(
    [Population(f"P{k}", 100, **neuron) for k in range(populations)],
    [
        Connection(f"P{j}", f"P{k}", 0.12 * mV * np.cos(theta[k] - theta[j]), 0.2)
        for j in range(populations)
        for k in range(populations)
    ],
    dt=dt,
)


def turning(frequency):
    """An input whose place turns, `[trial, time, unit]` in V."""
    time = dt * np.arange(round(duration / dt))
    return 3 * mV * np.cos(2 * np.pi * frequency * time[:, None] - theta)[None]


def spikes(frequency, seed):
    """Rates of the populations of spiking neurons in Hz."""
    run = simulate(circuit, turning(frequency), record=["rate"], every=40, seed=seed, engine="native")
    return pooled(run, circuit)["rate"]


def rates(frequency):
    """Rates of the populations in Hz, by the equations of their means."""
    return simulate_rates(circuit, turning(frequency), every=40)["rate"]


reference = spikes(1.0, seed=1)
others = {
    "spikes, other seed": spikes(1.0, seed=2),
    "rate version": rates(1.0),
    "rate version, 3 Hz": rates(3.0),
}
later = {"time": slice(25, None)}  # after 0.5 s
table = []
for name, run in others.items():
    pair = reference.isel(later), run.isel(later)
    table.append(
        (
            fw.measure.procrustes_distance(*pair),
            1 - fw.measure.linear_cka(*pair),
            fw.measure.dynamical_distance(*pair, delays=5, rank=4) ** 0.5,
        )
    )
    print(f"{name}: ring {bool(fw.measure.loops(run.isel(later)).ring)}")

fig, (left, right) = plt.subplots(1, 2, figsize=(6, 3.6), width_ratios=(1, 1.6))
for run, label in ((reference, "spikes"), (others["rate version"], "rate version")):
    flat = run.isel(later).isel(trial=0).transpose("time", "unit").values
    plane = flat @ np.stack([np.cos(theta), np.sin(theta)], 1) * 2 / populations
    left.plot(*plane.T, lw=0.8, label=label)
left.set(xlabel="cosine part (Hz)", ylabel="sine part (Hz)", aspect="equal")
left.legend(loc="center")
place = np.arange(len(others))
for k, label in enumerate(("Procrustes distance", "1 − CKA", "√ dynamical distance")):
    right.barh(place + 0.27 * (k - 1), [row[k] for row in table], 0.25, label=label)
right.set(yticks=place, yticklabels=list(others), xlabel="distance from the spiking run")
right.invert_yaxis()
right.legend(loc="upper right")
plt.show()
