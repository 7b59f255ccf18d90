"""
Fixed points and their basins
=============================

Two overlapping patterns are stored in one memory. A search from many starting states finds all fixed points of the
inner loop, stable and unstable. A line from each starting state shows where it leads, in the plane of the two
patterns.
"""

import matplotlib.pyplot as plt
import torch

import fwsim as fw

torch.manual_seed(3)
units = 100
net = fw.FastWeightNetwork(
    1, units, fw.Hebbian(tau=1e6, eta=1 / units), activation="tanh", normalise="none"
).double()
first, second = torch.randn(2, 1, units, dtype=torch.float64).sign()
second[:, :20] = first[:, :20]
state = net.write(net.write(net.initial_state(1), first), second)
matrix = state.memory[0, 0]


def step(h):
    """One iteration of states `[batch, unit]`."""
    return torch.tanh(1.6 * h @ matrix.T)


plane = torch.cat([first, second]) / units
starts = torch.tanh(torch.randn(60, 2, dtype=torch.float64) @ torch.cat([first, second]))
path = [starts]
for _ in range(30):
    path.append(step(path[-1]))
path = torch.stack(path) @ plane.T
points = fw.measure.fixed_points(step, torch.cat([starts, torch.zeros(1, units).double()]), kind="map")
where = points["state"].values @ plane.T.numpy()
stable = points["stable"].values

fig, axes = plt.subplots(figsize=(3.5, 3.2))
axes.plot(path[..., 0], path[..., 1], color="#56B4E9", lw=0.5)
axes.plot(*where[stable].T, "o", color="black", ms=6, label="stable")
axes.plot(*where[~stable].T, "o", color="black", mfc="white", ms=6, label="unstable")
axes.set(xlabel="overlap with the first pattern", ylabel="overlap with the second", aspect="equal")
axes.legend()
plt.show()
