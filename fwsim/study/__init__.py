"""Studies: find an experiment file, run it, keep what it did, analyse it."""

from fwsim.names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
