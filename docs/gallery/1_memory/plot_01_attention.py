"""
Fast weights are attention to the past
======================================

The memory is a sum of decaying outer products, A = Σ κ(t−τ) h(τ) h(τ)ᵀ. Its answer to a state h_s is a sum of the
past states, each with the weight κ(t−τ) h(τ)·h_s. This is attention without normalisation (Ba et al. 2016, section
2). A recording contains these weights. The past states, multiplied by them and added up, give exactly the answer of
the matrix.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import fwsim as fw

torch.manual_seed(1)
memory = fw.Hebbian(tau=20.0, eta=0.003)
net = fw.FastWeightNetwork(inputs=40, units=200, memory=memory, inner_steps=4, activation="tanh")

# Six inputs, shown in turn and then twice in another order.
shown = torch.tensor([0, 1, 2, 3, 4, 5, 2, 0, 5, 3, 1, 4, 4, 2, 1, 0])
x = 3 * torch.randn(6, 40)[shown][None]
run = fw.simulate(net, x, record=["hidden", "inner", "attention", "memory"])

attention = run["attention"].isel(trial=0)  # [time, iteration, past]
step, last = 15, run.sizes["iteration"] - 1
before = run["memory"].isel(trial=0, time=step - 1).values
state = run["inner"].isel(trial=0, time=step, iteration=last).values
answer = before @ state
weighted = attention.isel(time=step, iteration=last).values @ run["hidden"].isel(trial=0).values

fig, (left, right) = plt.subplots(1, 2, figsize=(6, 3.6), width_ratios=(1.5, 1))
weights = np.abs(attention.isel(iteration=last).values)
image = left.imshow(weights / weights.sum(1, keepdims=True).clip(1e-9), extent=(0.5, 16.5, 16.5, 0.5))
left.set(
    xlabel="past step",
    ylabel="step",
    title="share of the attention",
    xticks=range(1, 17, 5),
    yticks=range(1, 17, 5),
)
for now, item in enumerate(shown.tolist()):
    left.text(17, now + 1, f"input {item}", va="center", fontsize=6)
fig.colorbar(image, ax=left, pad=0.2)
right.plot(answer, weighted, "o")
right.axline((0, 0), slope=1, color="black", lw=0.5)
right.set(xlabel="what the matrix answers, A h", ylabel="past states weighted by attention")
plt.show()

# %%
# A repeated input attends to the step at which it was last seen. Both ways of reading the memory give the same numbers.
print(f"largest difference: {np.abs(answer - weighted).max():.1e}")
