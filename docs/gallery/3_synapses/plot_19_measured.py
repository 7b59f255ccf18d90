"""
Measured pairs
==============

``fw.measured`` draws synapses as recorded pairs of a class are distributed. Here presynaptic neurons of the class tlx3
of mouse cortex fire at 50 Hz: synapses onto their like typically depress, synapses onto sst interneurons typically
facilitate. Lines are medians of 1,000 synapses, and bands hold 80 % of them. The bands overlap, since pairs of one
class differ and recordings leave their parameters open.
"""

import matplotlib.pyplot as plt
import torch

import fwsim as fw
from fwsim import Hz, ms

train = torch.arange(10, dtype=torch.float64) / (50 * Hz)
fig, axes = plt.subplots(figsize=(4.2, 2.8))
for name, colour, dash in (("mouse tlx3→tlx3", "#0072B2", "-"), ("mouse tlx3→sst", "#D55E00", "--")):
    pairs = fw.measured(name)
    release = pairs.sample(1000, seed=0).respond(train)  # [synapse, spike]
    relative = release / release[:, :1]
    low, median, high = relative.quantile(relative.new_tensor([0.1, 0.5, 0.9]), dim=0)
    axes.plot(train / ms, median, dash, color=colour, label=f"{name}, {pairs.pairs} recorded pairs")
    axes.fill_between(train / ms, low, high, color=colour, alpha=0.2, lw=0)
axes.set(xlabel="time of the spike (ms)", ylabel="release, relative to the first spike", yscale="log")
axes.set_yticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
axes.minorticks_off()
axes.legend(loc="lower left", bbox_to_anchor=(0, 1))
plt.show()

# %%
# The typical synapse of each class:
for name in ("mouse tlx3→tlx3", "mouse tlx3→sst"):
    rule = fw.measured(name).rule
    recovery, facilitation = rule.tau_rec / ms, rule.tau_facil / ms
    print(f"{name}: U {rule.U:.2f}, τ_rec {recovery:.0f} ms, τ_facil {facilitation:.0f} ms")
