"""
A memory that forgets never becomes full
========================================

With decay, new patterns replace old ones. The recalled overlap decreases with the age of a pattern as mean-field
theory predicts for a palimpsest (Mézard, Nadal & Toulouse 1986), here with the decay of largest capacity.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import fwsim as fw

torch.manual_seed(0)
units, trials = 600, 6
epsilon, capacity = fw.theory.palimpsest_optimum()
tau = fw.theory.tau_from_epsilon(epsilon, units)
net = fw.FastWeightNetwork(
    inputs=1,
    units=units,
    memory=fw.Hebbian(tau=tau, eta=1.0),
    activation="sign",
    normalise="none",
    self_connections=False,
)

# Far more patterns than a memory without decay could store, one per second.
patterns = torch.randn(trials, 240, units).sign()
decay = torch.exp(-torch.arange(239, -1, -1) / tau).float()
matrix = torch.einsum("p,bpi,bpj->bij", decay, patterns, patterns)
state = fw.State(torch.zeros(trials, units), matrix[:, None])

ages = np.arange(0, 60, 3)
overlap = []
for age in ages:
    item = patterns[:, -1 - age]
    after, _ = net.recall(state, item, steps=30)
    overlap.append((after.hidden * item).mean(1).numpy())

fig, axes = plt.subplots(figsize=(3.5, 2.6))
curve = np.linspace(0, 0.1, 200)
axes.plot(curve * units, fw.theory.palimpsest_overlap(curve, epsilon), color="black", label="theory")
axes.plot(np.repeat(ages, trials), np.ravel(overlap), "o", color="#D55E00", alpha=0.6, label=f"{units} units")
axes.axvline(capacity * units, color="black", lw=0.5, ls=":")
axes.set(xlabel="patterns stored since", ylabel="overlap of the recalled state", ylim=(-0.1, 1.05))
axes.legend()
plt.show()
