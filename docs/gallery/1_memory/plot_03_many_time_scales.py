"""
One time scale and many
=======================

A memory with a single decay either forgets too soon or becomes too full. A sum of decays can store items such that
their strength is a power law of their age, with the same initial strength. A few time scales reach a precision of one
per cent over the wanted range of ages.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import fwsim as fw

ages = torch.as_tensor(np.geomspace(1, 1000, 200))
power_law = fw.Hebbian.power_law(exponent=0.5, shortest=1.0, longest=1000.0, strength=0.5, tolerance=0.01)
new = float(power_law.kernel(ages[:1], dt=1.0))

fig, axes = plt.subplots(figsize=(3.5, 2.6))
for tau in (5.0, 50.0, 500.0):
    single = fw.Hebbian(tau=tau, eta=new * np.exp(1 / tau))
    axes.loglog(ages, single.kernel(ages, dt=1.0), ":", label=f"τ = {tau:g} s")
many = power_law.kernel(ages, dt=1.0)
axes.loglog(ages, many, color="black", label=f"{power_law.timescales} time scales")
axes.loglog(ages, new * ages**-0.5, "--", color="#E69F00", lw=2, zorder=0, label="age$^{-1/2}$")
axes.set(xlabel="age (s)", ylabel="strength of the item", ylim=(3e-3, 1))
axes.legend()
plt.show()

# %%
# The rule has the same class as the one with a single time scale, and can be used in the same ways.
power_law
