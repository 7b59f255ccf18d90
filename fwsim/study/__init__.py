"""Studies: find an experiment file, run it, store the results, analyse them."""

from fwsim.names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
