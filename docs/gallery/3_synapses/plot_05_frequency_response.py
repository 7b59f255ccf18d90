"""
Frequency response
==================

The release per spike depends on the rate of the spikes. With depression it decreases from the lowest rate on. With
facilitation and some depression it is largest at an intermediate rate. Regular and random trains differ. The mean
field of rate models describes random trains: exactly without facilitation, and nearly with it.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import fwsim as fw
from fwsim import ms

rates = torch.as_tensor(np.geomspace(0.5, 100, 60))
synapses = {
    "depressing": fw.TsodyksMarkram(U=0.5, tau_rec=800 * ms, tau_facil=0.0),
    "facilitating": fw.TsodyksMarkram(U=0.1, tau_rec=150 * ms, tau_facil=1000 * ms),
}
looks = {"regular": "-", "poisson": "--", "mean_field": ":"}

fig, panels = plt.subplots(1, 2, figsize=(5.4, 3.4), sharex=True)
for axes, (name, synapse) in zip(panels, synapses.items()):
    for train, look in looks.items():
        released = synapse.steady_state(rates, train=train).release
        axes.semilogx(rates, released, look, label=train.replace("_", " "))
    axes.set(title=name, xlabel="rate (Hz)", ylabel="release per spike", ylim=(0, None))
panels[0].legend()
plt.show()

# %%
# Values for regular and Poisson trains are exact, without simulation: the first are fixed points of the map from spike
# to spike, the second follow from the moments of u and x.
