"""Closed forms and mean fields with which simulations are compared."""

from fwsim.names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
