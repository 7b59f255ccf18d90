"""Measures: numbers computed from a recording or a map, by pure functions. Recordings give xarray results."""

from fwsim.names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
