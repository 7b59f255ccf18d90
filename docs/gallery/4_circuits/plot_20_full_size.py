"""
A working memory at its full size
=================================

The network of Mongillo, Barak & Tsodyks 2008 has 10,000 neurons and 20 million synapses. One of its five pools is cued
for 0.35 s (shaded). Afterwards its neurons fire together every 0.3 s. In between, facilitation, u, holds the item. The
engine in C++ builds and simulates the network within seconds.
"""

import matplotlib.pyplot as plt
import numpy as np

import fwsim as fw
from fwsim import ms, mV
from fwsim.spiking import Pulse, mongillo_circuit, pooled, simulate, stimulus

synapse = fw.TsodyksMarkram(U=0.2, tau_rec=200 * ms, tau_facil=1500 * ms, convention="mongillo2008")
circuit = mongillo_circuit(synapse)
background, start, stop = 24.2 * mV, 0.5, 0.85
pulses = [
    Pulse(background, populations=circuit.names[:-1]),
    Pulse(0.15 * background, start, stop, populations="E1"),
]
run = simulate(
    circuit,
    stimulus(circuit, 2.0, pulses),
    record=["spike_time", "spike_unit", "rate", "u"],
    every=round(10 * ms / circuit.dt),
    seed=1,
    engine="native",
)
mean = pooled(run, circuit).isel(trial=0)

fig, (raster, rate, used) = plt.subplots(3, 1, figsize=(5, 4.5), sharex=True, height_ratios=(1.6, 1, 1))
colours = {"E1": "#0072B2", "E2": "#E69F00"}
for place, (pool, colour) in enumerate(colours.items()):
    neurons = np.arange(circuit.neurons)[circuit.members[pool]][:60]  # of 800 in the pool
    mine = np.isin(run["spike_unit"], neurons)
    row = run["spike_unit"][mine] - neurons[0] + 65 * place
    raster.plot(run["spike_time"][mine], row, ".", ms=1.5, mew=0, color=colour)
    unit = circuit.names.index(pool)
    rate.plot(mean["time"], mean["rate"].isel(unit=unit), color=colour)
    used.plot(mean["time"], mean["u"].isel(unit=unit, projection=0), color=colour)
for axes in (raster, rate, used):
    axes.axvspan(start, stop, color="#56B4E9", alpha=0.25, lw=0)
raster.set(yticks=[30, 95], yticklabels=["cued pool", "another pool"])
rate.set(ylabel="rate (Hz)")
used.set(ylabel="u", xlabel="time (s)", ylim=(0, 1))
plt.show()
