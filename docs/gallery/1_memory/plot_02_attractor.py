"""
The inner loop converges to an attractor
========================================

Stored patterns are fixed points of the inner loop. From a cue with a few wrong units the loop converges to the
pattern. From a worse cue it converges to another state.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import fwsim as fw

torch.manual_seed(0)
units, patterns, cues, steps = 200, 10, 40, 8
net = fw.FastWeightNetwork(
    inputs=1,
    units=units,
    memory=fw.Hebbian(tau=1e9, eta=1 / units),
    activation="sign",
    normalise="none",
    self_connections=False,
)
stored = torch.randn(patterns, units).sign()
state = net.initial_state(cues)
for pattern in stored:
    state = net.write(state, pattern.expand(cues, -1))

# Every trial is cued with the first pattern, in which an increasing fraction of the units has the wrong sign.
wrong = torch.linspace(0, 0.6, cues)
flipped = torch.rand(cues, units) < wrong[:, None]
_, path = net.recall(state, torch.where(flipped, -stored[0], stored[0]), steps=steps)
overlap = (path @ stored[0] / units).numpy()  # [trial, iteration]

fig, axes = plt.subplots(figsize=(3.5, 2.6))
colours = plt.colormaps["cividis"](np.linspace(0, 1, cues))
for row, colour in zip(overlap, colours):
    axes.plot(row, color=colour)
axes.set(xlabel="inner iteration", ylabel="overlap with the pattern", ylim=(-1.05, 1.05))
scale = plt.cm.ScalarMappable(plt.Normalize(0, 60), "cividis")
fig.colorbar(scale, ax=axes, label="wrong units in the cue (%)")
plt.show()

# %%
# Within two or three iterations, overlaps become either close to 1 or far from it: this is the edge of the basin.
# Beyond one half, the cue is nearer to the pattern with reversed sign, which is a fixed point too.
