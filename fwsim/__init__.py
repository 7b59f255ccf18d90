"""fwsim: fast weights as short-term synaptic plasticity with many time scales.

Its uses: run experiments on the time scales of plasticity on a batched torch
engine (`FastWeightNetwork`, `RateNetwork`, `simulate`), compare them with spiking
models in Brian2 (`fwsim.spiking`), and analyse the recorded attractor dynamics
(`fwsim.measure`). Names are imported when first used, so that importing fwsim is instant.
"""

from fwsim.names import attach

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = attach(__name__, __file__)
