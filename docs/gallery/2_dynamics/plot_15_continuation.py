"""
A memory over its background input
==================================

A population excites itself through Tsodyks–Markram synapses. Its fixed points are followed over the background input,
through two folds and two points where oscillations begin. Solid lines are stable. Simulations that start without
activity (grey: range of the rate) stay in the lower state up to the fold. Beyond it they oscillate, until the upper
state becomes stable.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import fwsim as fw

synapse = fw.TsodyksMarkram(U=0.3, tau_rec=0.2, tau_facil=1.5)
net = fw.RateNetwork(
    [fw.Projection([[3.07]], synapse=synapse)], tau=0.013, gain=fw.softplus(1.5), dt=0.001
).double()
step = fw.measure.NetworkMap(net)
found = fw.measure.continuation(step, step.rest(1), -2.0, (-2.5, -1.0), kind="map", length=0.05)

branch = found.isel(branch=0, point=found["index"].values[0] >= 0)
rate = net.gain(torch.as_tensor(branch["state"].values[:, 0])).numpy()
fig, axes = plt.subplots(figsize=(3.6, 2.8))

inputs = np.linspace(-2.4, -1.05, 28)
drive = torch.as_tensor(inputs)[:, None, None].expand(-1, 20_000, 1)
late = fw.simulate(net, drive, record=["rate"])["rate"].isel(time=slice(-3000, None), unit=0)
axes.vlines(inputs, late.min("time"), late.max("time"), color="0.8", lw=3)

stable = branch["stable"].values
for begin, end in zip(range(len(rate) - 1), range(1, len(rate))):
    style = "-" if stable[begin] and stable[end] else ":"
    axes.plot(branch["parameter"][begin : end + 1], rate[begin : end + 1], style, color="black")
labels = {"fold": "fold", "neimark-sacker": "onset of oscillations"}
for (kind, label), marker in zip(labels.items(), "so"):
    here = branch["bifurcation"].values == kind
    axes.plot(branch["parameter"].values[here], rate[here], marker, ms=5, label=label)
axes.set(xlabel="background input", ylabel="rate (Hz)", ylim=(0, None))
axes.legend(loc="upper left")
plt.show()

# %%
# One step of the network is a map, so that oscillations begin at Neimark–Sacker points. They lie close to the Hopf
# points of the continuous network, since the step is short.
