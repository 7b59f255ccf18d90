"""
Displays in notebooks
=====================

If a cell of a notebook ends with a rule, a network, a state or a circuit, the notebook shows its equations, sizes and
units, and a small figure. The equations come from the same lines of code as simulations. For a recording use
``run.fwsim``.
"""

# sphinx_gallery_thumbnail_path = '_static/notebook_card.png'
import fwsim as fw
from fwsim import ms

fw.TsodyksMarkram(U=0.2, tau_rec=200 * ms, tau_facil=1500 * ms, convention="mongillo2008")

# %%
# Hebbian weights with two time scales, which spikes write:
fw.HebbianTraces()

# %%
# A network with the memory rule that these weights reduce to:
fw.FastWeightNetwork(inputs=20, units=30, memory=fw.HebbianTraces().reduced(), inner_steps=3)
