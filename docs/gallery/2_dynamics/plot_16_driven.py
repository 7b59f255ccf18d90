"""
Does the input decide what a network does?
==========================================

A random network is chaotic without input. A strong input that oscillates makes it follow: the largest exponent under
the input becomes negative, and two trials that begin in different states become the same.
"""

import matplotlib.pyplot as plt
import torch

import fwsim as fw

units, steps, dt = 100, 2000, 0.001
generator = torch.Generator().manual_seed(1)
weights = 2.0 * torch.randn(units, units, dtype=torch.float64, generator=generator) / units**0.5
net = fw.RateNetwork(fw.Projection(weights), tau=0.01, gain=fw.tanh, dt=dt)

strength = torch.linspace(0.0, 3.0, 13, dtype=torch.float64)
phase = 2 * torch.pi * torch.rand(units, dtype=torch.float64, generator=generator)
time = dt * torch.arange(steps, dtype=torch.float64)
wave = torch.cos(2 * torch.pi * 10 * time[:, None] + phase)
drive = strength[:, None, None] * wave

first, second = (
    torch.randn(len(strength), units, dtype=torch.float64, generator=generator) for _ in range(2)
)
found = fw.measure.lyapunov_exponents(net, fw.State(first), steps - 500, drive=drive, modes=1, transient=500)

runs = [
    fw.simulate(net, drive, state=fw.State(start), record=["rate"])["rate"].isel(time=slice(-500, None))
    for start in (first, second)
]
pairs = range(len(strength))
distance = [fw.measure.procrustes_distance(*(run.isel(trial=k) for run in runs)) for k in pairs]
alignment = [fw.measure.linear_cka(*(run.isel(trial=k) for run in runs)) for k in pairs]

fig, (left, right) = plt.subplots(1, 2, figsize=(5.4, 3.4))
left.axhline(0, color="0.7", lw=0.8)
left.errorbar(strength, found["exponent"][:, 0], found["error"][:, 0], fmt="o-")
left.set(xlabel="strength of the input", ylabel="largest exponent (1/s)")
right.plot(strength, distance, "o-", label="Procrustes distance")
right.plot(strength, alignment, "s-", label="linear CKA")
right.set(xlabel="strength of the input", ylabel="of two trials", ylim=(-0.05, 1.4))
right.legend()
plt.show()

# %%
# A strong input suppresses chaos (Rajan, Abbott & Sompolinsky 2010, Phys. Rev. E 82:011903). Where the exponent is
# clearly negative, the distance of two trials is 0.
