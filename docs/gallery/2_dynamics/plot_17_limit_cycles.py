"""
Oscillations over the background input
======================================

A population that excites itself through Tsodyks–Markram synapses (Cortes et al. 2013) oscillates between its upper and
its lower state. Its limit cycles are followed from the points where fixed points lose their stability. Solid lines are
stable; the oscillation is shown by its smallest and largest rate.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import fwsim as fw

alpha, tau, J, tau_rec, U, tau_facil = 1.5, 0.013, 3.07, 0.2, 0.3, 1.5


def field(state, background):
    """Rate in Hz, resources and utilisation."""
    rate, x, u = state.unbind(1)
    gain = alpha * torch.nn.functional.softplus((J * u * x * rate + background[:, 0]) / alpha)
    return torch.stack(
        [
            (gain - rate) / tau,
            (1 - x) / tau_rec - u * x * rate,
            (U - u) / tau_facil + U * (1 - u) * rate,
        ],
        1,
    )


bounds = (-2.2, -0.9)
start = torch.tensor([[0.24, 0.98, 0.37]], dtype=torch.float64)
points = fw.measure.continuation(field, start, -2.0, bounds, kind="flow", length=0.1)
cycles = fw.measure.limit_cycles(field, points, bounds, length=0.1, intervals=30, longest=20)

fig, (rates, periods) = plt.subplots(1, 2, figsize=(5.4, 3.4))
for found, values, colour, panel in (
    (points, [points["state"][..., 0]], "black", rates),
    (cycles, [cycles["minimum"][..., 0], cycles["maximum"][..., 0]], "#0072B2", rates),
    (cycles, [cycles["period"]], "#0072B2", periods),
):
    for branch in range(found.sizes["branch"]):
        p, stable = found["parameter"].values[branch], found["stable"].values[branch]
        for value in values:
            y = value.values[branch]
            panel.plot(p, np.where(stable, y, np.nan), "-", color=colour)
            panel.plot(p, np.where(stable, np.nan, y), ":", color=colour)
            there = found["bifurcation"].values[branch] == "fold"
            panel.plot(p[there], y[there], "s", ms=4, color=colour)
hopf = points["bifurcation"].values == "hopf"
rates.plot(points["parameter"].values[hopf], points["state"].values[hopf][:, 0], "o", ms=5, color="#D55E00")
rates.set(xlabel="background input", ylabel="rate (Hz)", title="fixed points and oscillations")
periods.set(xlabel="background input", ylabel="period (s)", title="period", yscale="log")
plt.show()

# %%
# Circles are Hopf points, squares are folds, also of oscillations. Floquet multipliers say which oscillations are
# stable: a small deviation is multiplied by them in every period. Where the period becomes long, the oscillation stays
# for most of it near a fixed point.
