"""
Rules show themselves
=====================

In a notebook a rule, a network, a state or a circuit that ends a cell shows what it is: equations, which come from
the same lines of code as simulations, sizes, units, and a small figure. A recording does so as ``run.fwsim``.
"""

import fwsim as fw
from fwsim import ms

fw.TsodyksMarkram(U=0.2, tau_rec=200 * ms, tau_facil=1500 * ms, convention="mongillo2008")

# %%
# Hebbian weights of two time scales, as spikes write them:
fw.HebbianTraces()

# %%
# A network with them, on the way to a memory that it writes by itself:
fw.FastWeightNetwork(inputs=20, units=30, memory=fw.HebbianTraces().reduced(), inner_steps=3)
