"""Numbers from a recording or from a map: pure functions, xarray out, xarray in where it is a recording."""

from fwsim.names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
