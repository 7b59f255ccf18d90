"""
How many items facilitation can store
=====================================

Clusters of neurons that excite themselves through facilitating synapses store the cued items. They fire in turn, each
with one short population spike in a period (Mi, Katkov & Tsodyks 2017). Two and four items all survive. Of eight, six
survive, because a period is too short for more.
"""

import matplotlib.pyplot as plt
import torch

import fwsim as fw
from fwsim import ms

clusters, dt = 16, 0.2 * ms
itself, others = torch.zeros(2, clusters + 1, clusters + 1, dtype=torch.float64)
itself.diagonal()[:-1] = 8.0
others[:-1, -1], others[-1, :-1] = -1.1, 1.75  # the last unit inhibits all
synapse = fw.TsodyksMarkram(U=0.3, tau_rec=300 * ms, tau_facil=1500 * ms)
net = fw.RateNetwork(
    [fw.Projection(itself, synapse=synapse), fw.Projection(others)], tau=8 * ms, gain=fw.softplus(1.5), dt=dt
)

# Each trial has another number of items; these are cued one after the other, for 30 ms each.
loads, interval, duration = (2, 4, 8), 0.3, 5.5
drive = torch.zeros(len(loads), round(duration / dt), clusters + 1, dtype=torch.float64)
drive[..., :-1] = 8.0
for trial, load in enumerate(loads):
    for item in range(load):
        begin = round((0.2 + item * interval) / dt)
        drive[trial, begin : begin + round(30 * ms / dt), item] += 225.0
run = fw.simulate(net, drive, record=["rate"], every=10)

fig, panels = plt.subplots(len(loads), 1, figsize=(5.4, 3.8), sharex=True, sharey=True)
for axes, load, trial in zip(panels, loads, run["rate"].transpose("trial", "time", "unit")):
    axes.plot(run["time"], trial.values[:, :load])
    axes.set(
        ylabel="rate (Hz)", title=f"{load} items, {(trial[-500:, :-1].max('time') > 20).values.sum()} held"
    )
panels[-1].set(xlabel="time (s)")
plt.show()
