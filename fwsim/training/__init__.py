"""Training loop for every network, also in several processes of torchrun, with checkpoints."""

from fwsim.names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
