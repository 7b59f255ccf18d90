"""
Fitting a mossy fibre
=====================

Mossy fibres of the hippocampus facilitate sevenfold within ten pulses. Here responses are simulated with a synapse
that was fitted to measurements, for the same five protocols (Chamberland et al. 2018). Then the rule is fitted to
these responses: parameters with their uncertainty, and a prediction of the protocol that was left out.
"""

import matplotlib.pyplot as plt
import torch

import fwsim as fw
from fwsim import ms
from fwsim.fitting import TRAINS, gather, synthetic_table

truth = fw.LinearNonlinear(baseline=-1.96, a=(0.54, 0.34), tau_trace=(0.05, 2.1))
table = synthetic_table(truth, sweeps=40, gain=100.0, cv=0.6, seed=2)
responses, held_out = gather(table), "100Hz_then_20Hz"
fit = fw.fit(fw.LinearNonlinear(), responses.without(held_out), replicates=50, seed=0)

fig, panels = plt.subplots(1, 2, figsize=(5.4, 3.4), sharey=True)
for axes, protocol in zip(panels, ("20Hz_then_100Hz", held_out)):
    times = torch.tensor(TRAINS[protocol], dtype=torch.float64)
    measured = table[table.protocol == protocol].groupby("pulse").amplitude.agg(["mean", "sem"])
    axes.errorbar(
        times / ms, measured["mean"], measured["sem"], fmt="o", color="#D55E00", label="mean of 40 sweeps"
    )
    axes.plot(times / ms, fit.predict(times), color="black", label="fitted rule")
    axes.plot(times / ms, 100 * truth.respond(times), "--", color="#009E73", label="truth")
    left_out = ", left out" if protocol == held_out else ""
    axes.set(title=protocol.replace("_", " ") + left_out, xlabel="time of the pulse (ms)")
panels[0].set(ylabel="response", ylim=(0, 110))
panels[0].legend()
plt.show()

# %%
# Half a second of pulses says little about a time constant of two seconds. So the intervals are wide:
for name, value in fit.parameters.items():
    interval = fit.intervals[name]
    print(f"{name:12} {value:8.3g}   95 % from {interval.low:.3g} to {interval.high:.3g}")
