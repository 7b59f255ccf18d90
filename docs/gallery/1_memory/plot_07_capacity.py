"""
Capacity and its theory
=======================

A Hopfield network recalls its patterns if there are at most 0.138 of them per unit, and none above (Amit, Gutfreund &
Sompolinsky 1987). A memory without decay, with sign units and the inner loop, is such a network. In a finite network
some patterns are recalled slightly beyond this load. For the others, the loop ends far away, with a small overlap.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import fwsim as fw

torch.manual_seed(0)
units, cued, iterations = 1000, 8, 60
net = fw.FastWeightNetwork(
    inputs=1,
    units=units,
    memory=fw.Hebbian(tau=1e12, eta=1 / units),
    activation="sign",
    normalise="none",
    self_connections=False,
)


def recalled(load):
    """Overlap of each cued pattern with where the loop goes from it."""
    patterns = torch.randn(round(load * units), units).sign()
    matrix = patterns.T @ patterns / units
    state = fw.State(torch.zeros(cued, units), matrix.expand(cued, 1, units, units))
    after, _ = net.recall(state, patterns[:cued], steps=iterations)
    return (after.hidden * patterns[:cued]).mean(1)


loads = np.array([0.03, 0.06, 0.09, 0.11, 0.12, 0.13, 0.14, 0.15, 0.17, 0.2])
found = np.array([recalled(load).numpy() for load in loads])
curve = np.linspace(0.001, 0.2, 400)

fig, axes = plt.subplots(figsize=(3.5, 2.6))
axes.plot(curve, fw.theory.hopfield_overlap(curve), color="black", label="theory, infinitely many units")
axes.plot(np.repeat(loads, cued), found.ravel(), "o", color="#D55E00", alpha=0.6, label=f"{units} units")
axes.axvline(fw.theory.hopfield_capacity(), color="black", lw=0.5, ls=":")
axes.set(xlabel="patterns per unit", ylabel="overlap of the recalled state", ylim=(0, 1.05))
axes.legend(loc="lower left")
plt.show()
