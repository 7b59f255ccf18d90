"""
Four conventions of the Tsodyks–Markram model
=============================================

In papers, "Tsodyks–Markram" can mean any of four models. They differ in the utilisation that counts for a spike:
before or after the spike has raised it. With the same three parameters their releases differ; ``maass2002`` and
``tm1998`` agree.
"""

import matplotlib.pyplot as plt
import torch

import fwsim as fw
from fwsim import ms
from fwsim.rules.tsodyks_markram import CONVENTIONS

times = torch.cat([torch.arange(10.0).double() * 50 * ms, torch.tensor([1.0]).double()])
looks = {"maass2002": "o-", "tm1998": "x--", "mongillo2008": "s-", "mixed": "^-"}

fig, axes = plt.subplots(figsize=(3.5, 2.6))
for convention in CONVENTIONS:
    synapse = fw.TsodyksMarkram(U=0.2, tau_rec=200 * ms, tau_facil=1500 * ms, convention=convention)
    release = synapse.respond(times)
    (line,) = axes.plot(times[:-1] / ms, release[:-1], looks[convention], label=convention)
    axes.plot(times[-1:] / ms, release[-1:], looks[convention], color=line.get_color())  # after a pause
axes.set(xlabel="time of the spike (ms)", ylabel="release", ylim=(0, None))
axes.legend()
plt.show()

# %%
# The first release is U = 0.2, but U(2 − U) = 0.36 in ``mongillo2008``. Compare first releases across papers, never U.
