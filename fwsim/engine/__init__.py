"""How a network runs: networks, forms of the memory, kernels, planner."""

from fwsim.names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
