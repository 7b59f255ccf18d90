"""
Drift on a ring
===============

A bump of activity on a ring of units stores a direction, and noise makes it diffuse. Facilitating synapses keep the
bump near its place (Itskov, Hansel & Tsodyks 2011). Both rings start with exactly the same bump.
"""

import math

import matplotlib.pyplot as plt
import numpy as np
import torch

import fwsim as fw
from fwsim import ms

units, trials, peak, edge, background, dt = 64, 12, 40.0, math.cos(math.radians(60)), 20.0, 4 * ms
theta = 2 * math.pi * torch.arange(units, dtype=torch.float64) / units
field = peak * (torch.cos(theta) - edge) / (1 - edge)
rate = torch.relu(field)
rule = fw.TsodyksMarkram(U=0.05, tau_rec=0.0, tau_facil=1.0)
settled = rule.steady_state(rate, "mean_field").state


def bumps(synapse, efficacy, variables):
    """Directions of the bumps over time, in degrees, `[trial, time]`."""
    sent = efficacy * rate
    amplitude = peak / (1 - edge)
    mean = (-amplitude * edge - background) / sent.mean()
    tuned = amplitude / (sent * torch.cos(theta)).mean()
    weights = (mean + tuned * torch.cos(theta[:, None] - theta)) / units
    net = fw.RateNetwork(fw.Projection(weights, synapse=synapse), tau=10 * ms, dt=dt, noise=2.0)
    kept = {name: value.expand(trials, 1, -1) for name, value in variables.items()}
    start = fw.State(field.expand(trials, -1), variables=kept)
    drive = torch.full((trials, round(4.0 / dt), units), background, dtype=torch.float64)
    run = fw.simulate(net, drive, state=start, record=["rate"], every=5, seed=1)
    vector = (run["rate"].transpose("trial", "time", "unit").values * np.exp(1j * theta.numpy())).sum(-1)
    return run["time"], np.degrees(np.unwrap(np.angle(vector)))


fig, panels = plt.subplots(1, 2, figsize=(5.4, 3.4), sharey=True)
static = bumps(None, torch.ones(units), {})
facilitating = bumps(rule, settled["u"] * settled["x"], {"u": settled["u"], "x": settled["x"]})
for axes, (time, direction), name in zip(panels, (static, facilitating), ("static", "facilitating")):
    axes.plot(time, direction.T, lw=0.7)
    axes.set(xlabel="time (s)", title=f"{name} synapses: {direction[:, -1].std():.1f}° after 4 s")
panels[0].set(ylabel="direction of the bump (°)")
plt.show()
