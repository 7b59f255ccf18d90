"""
Frequency response
==================

How much a synapse releases per spike depends on the rate at which spikes come. Depression falls from the first
release on; facilitation with some depression prefers a rate in between. Regular and random trains differ, and the
mean field, which rate models use, stands for random ones: exactly where nothing facilitates, nearly where it does.
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

fig, panels = plt.subplots(1, 2, figsize=(7, 2.6), sharex=True)
for axes, (name, synapse) in zip(panels, synapses.items()):
    for train, look in looks.items():
        released = synapse.steady_state(rates, train=train).release
        axes.semilogx(rates, released, look, label=train.replace("_", " "))
    axes.set(title=name, xlabel="rate (Hz)", ylabel="release per spike", ylim=(0, None))
panels[0].legend()
plt.show()

# %%
# Regular and Poisson trains are exact here, without simulation: the first is the fixed point of the map from spike to
# spike, the second follows from the moments of u and x.
