"""
A memory without spikes, in spikes and in rates
===============================================

Facilitation stores for seconds which neurons have fired (Mongillo, Barak & Tsodyks 2008). A pool of
integrate-and-fire neurons, connected by facilitating synapses, is cued and falls silent. Later it gets a weak ping,
and only a pool that was cued responds. The same circuit is simulated as 200 spiking neurons and as one rate unit.
"""

import matplotlib.pyplot as plt

import fwsim as fw
from fwsim import ms, mV
from fwsim.spiking import Circuit, Connection, Population, Pulse, pooled, simulate, simulate_rates, stimulus

synapse = fw.TsodyksMarkram(U=0.05, tau_rec=150 * ms, tau_facil=1500 * ms, convention="mongillo2008")
pool = Population(
    "pool", 200, tau=15 * ms, threshold=20 * mV, reset=16 * mV, background=13.5 * mV, noise=2 * mV
)
circuit = Circuit([pool], [Connection("pool", "pool", 0.4 * mV, 0.5, synapse)], dt=0.5 * ms)

# The first trial is cued, the second is not; both get the ping.
cue, ping = Pulse(7.5 * mV, 0.2, 0.5, trials=[0]), Pulse(2 * mV, 1.3, 1.4)
drive = stimulus(circuit, 1.8, [cue, ping], trials=2)
spikes = simulate(
    circuit, drive, record=["rate", "u", "x", "spike_time", "spike_unit", "spike_trial"], every=40
)
rates = simulate_rates(circuit, drive, every=10)
mean = pooled(spikes, circuit)

fig, (raster, rate, synapses) = plt.subplots(3, 1, figsize=(4.5, 4.2), sharex=True, height_ratios=(1, 1, 1))
for trial, (colour, label) in enumerate((("#0072B2", "cued"), ("#D55E00", "not cued"))):
    mine = spikes["spike_trial"] == trial
    raster.plot(spikes["spike_time"][mine], spikes["spike_unit"][mine] + 210 * trial, ",", color=colour)
    rate.plot(
        mean["time"], mean["rate"].isel(trial=trial, unit=0), color=colour, lw=0.8, label=f"{label}, spikes"
    )
    rate.plot(rates["time"], rates["rate"].isel(trial=trial, unit=0), "--", color=colour, label="in rates")
    for name, look in (("u", "-"), ("x", ":")):
        values = mean[name].isel(trial=trial, unit=0, projection=0)
        synapses.plot(mean["time"], values, look, color=colour, label=name if trial == 0 else None)
raster.set(ylabel="neuron")
rate.set(ylabel="rate (Hz)")
synapses.set(ylabel="u, x", xlabel="time (s)", ylim=(0, 1.05))
rate.legend(ncols=2)
synapses.legend()
plt.show()
