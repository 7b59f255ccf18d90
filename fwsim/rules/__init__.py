"""Rules of synaptic plasticity: one file for each rule, pure functions of its state."""

from fwsim.names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
